"""Files of simulations that are brought along: known by their first bytes, and linked into the results."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from helixflow.errors import SourceError
from helixflow.files import whole_file

#: Bytes that binary files of GROMACS have near their beginning.
_MAGIC = {"xtc": b"\x00\x00\x07\xcb", "trr": b"\x00\x00\x07\xc9", "tpr": b"VERSION"}


def check_form(path: Path, form: str, origin: str) -> None:
    """See that a file is what its name says: a page that says "not found" is not.

    Parameters
    ----------
    path : Path
    form : str
        xtc, trr, tpr, gro or pdb; the last two are text, which is looked at where it is read.
    origin : str
        What it is called in messages.

    Raises
    ------
    SourceError
    """
    with path.open("rb") as stream:
        head = stream.read(16)
    if _MAGIC.get(form, b"") not in head:
        raise SourceError(
            f"{origin}: is not {form.upper()} (it begins with {head[:8]!r}), expected a file of GROMACS in "
            "the format that its name says"
        )


def place_file(source: Path, final: str | os.PathLike[str], downloaded: bool) -> None:
    """Have a large file under another name without a second copy of it.

    A file of the user's gets a symbolic link: a second name of the file itself would share its time stamp,
    which Snakemake renews on outputs, so that the source would seem to be changed. A download gets a
    second name, since its first one is removed later.
    """
    with whole_file(final) as path:
        if not downloaded:
            path.symlink_to(source.resolve())
            return
        try:
            os.link(source, path)
        except OSError:  # another file system, or one without such links
            shutil.copyfile(source, path)

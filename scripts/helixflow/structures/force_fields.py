"""Force fields: those that ship with GROMACS, by name, and others, by the path of their .ff folder.

The family decides the cut-offs of the simulations, since a force field is right only with those it was
fitted with (see `helixflow.trajectories.forces`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from helixflow.errors import ConfigError
from helixflow.files import file_digest
from helixflow.gmx import GmxBuild

#: Families whose cut-offs are known, by how the names of those that ship with GROMACS begin.
_NAMES = {"amber": "amber", "oplsaa": "oplsaa", "charmm": "charmm", "gromos": "gromos"}
#: And by what forcefield.itp of a folder defines.
_DEFINES = {"_FF_AMBER": "amber", "_FF_OPLS": "oplsaa", "_FF_CHARMM": "charmm", "_FF_GROMOS96": "gromos"}


@dataclass(frozen=True)
class ForceField:
    """A force field on this machine; `digest` is that of a folder given by path, else empty."""

    name: str
    folder: Path
    family: str
    digest: str

    def waters(self) -> list[str]:
        """List the water models that it has."""
        listed = self.folder / "watermodels.dat"
        lines = _read(listed).splitlines()
        return [line.split()[0] for line in lines if line.strip() and not line.startswith(";")]

    def ions(self) -> dict[str, int]:
        """List the ions that it has, by name of their molecule, and their charges in elementary charges.

        Raises
        ------
        ConfigError
            If a molecule has no name, or no atom with a charge.
        """
        file = self.folder / "ions.itp"
        text = re.sub(r";.*", "", _read(file))
        found = {}
        for part in re.split(r"\[\s*moleculetype\s*\]", text)[1:]:
            head, _, atoms = part.partition("[")
            columns = atoms.partition("]")[2].split()
            try:
                found[head.split()[0]] = round(float(columns[6]))
            except (IndexError, ValueError):
                name = next(iter(head.split()), "(no name)")
                raise ConfigError(
                    f"{file}: molecule {name} has no atom with a charge, "
                    "expected moleculetype and atoms of each ion; is the file whole?"
                ) from None
        return found

    def lacking_at_ends(self) -> frozenset[str]:
        """List the states of residues that it has within a chain but not at both ends, as pdb2gmx names them.

        The columns of an .r2b file are the state, and what it is called within a chain, at its two ends, and
        where it is both; one alone is for all places.
        """
        lines = [line for file in sorted(self.folder.glob("*.r2b")) for line in _read(file).splitlines()]
        rows = [line.partition(";")[0].split() for line in lines]
        return frozenset(row[0] for row in rows if row[1:2] != ["-"] and "-" in row[2:4])


def _read(file: Path) -> str:
    """Read a file of a force field, empty where there is none; comments may be in any encoding."""
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def is_path(force_field: str) -> bool:
    """Tell whether a force field is given by the path of its folder, and not by name."""
    return force_field.rstrip("/").endswith(".ff")


def family_of(force_field: str) -> str:
    """Tell the family of a force field, and refuse one that the protocol cannot serve.

    Parameters
    ----------
    force_field : str
        Name of one that ships with GROMACS, or path of a folder that ends in ``.ff``.

    Returns
    -------
    str
        ``amber``, ``oplsaa`` or ``charmm``.

    Raises
    ------
    ConfigError
        If the family is not known, the folder is none, or GROMACS itself warns of the family.
    """
    family = _of_folder(Path(force_field)) if is_path(force_field) else _of_name(force_field)
    if family == "gromos":
        raise ConfigError(
            f"config: 'structures/force_field' is {force_field}, but GROMOS force fields were fitted with a "
            "twin-range cut-off that GROMACS has no more, and it warns of wrong densities; take an Amber, "
            "OPLS or CHARMM force field"
        )
    return family


def _of_name(name: str) -> str:
    families = [family for beginning, family in _NAMES.items() if name.startswith(beginning)]
    if not families or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ConfigError(
            f"config: 'structures/force_field' is {name!r}, expected the name of an Amber, OPLS or "
            "CHARMM force field of GROMACS (amber99sb-ildn, oplsaa, charmm27, …) or the path "
            "of a folder that ends in .ff"
        )
    return families[0]


def _of_folder(folder: Path) -> str:
    file = folder / "forcefield.itp"
    if not file.is_file():
        raise ConfigError(
            f"config: 'structures/force_field' is {folder}, expected a folder with forcefield.itp in it"
        )
    defined = re.findall(r"^\s*#\s*define\s+(\w+)", _read(file), re.MULTILINE)
    families = {_DEFINES[name] for name in defined if name in _DEFINES}
    if len(families) != 1:
        raise ConfigError(
            f"{file}: defines {', '.join(defined) or 'nothing'}, expected one of {', '.join(_DEFINES)}, "
            "which tells the cut-offs it was made for; add the line, such as '#define _FF_AMBER'"
        )
    return families.pop()


def force_field_files(force_field: str) -> list[str]:
    """List the files of a force field given by path, so that a change of them is seen; else nothing."""
    if not is_path(force_field):
        return []
    return [str(path) for path in _files(Path(force_field))]


def find_force_field(force_field: str, build: GmxBuild) -> ForceField:
    """Find a force field's folder.

    Parameters
    ----------
    force_field : str
        As in `family_of`.
    build : GmxBuild
        The GROMACS whose force fields are looked through.

    Raises
    ------
    ConfigError
        If there is none of that name; those that are there are listed.
    """
    family = family_of(force_field)
    if is_path(force_field):
        folder = Path(force_field).absolute()
        return ForceField(folder.name.removesuffix(".ff"), folder, family, _digest(folder))
    library = Path(build.data_prefix, "share/gromacs/top")
    if (library / f"{force_field}.ff" / "forcefield.itp").is_file():
        return ForceField(force_field, library / f"{force_field}.ff", family, "")
    there = sorted(path.name.removesuffix(".ff") for path in library.glob("*.ff"))
    raise ConfigError(
        f"config: 'structures/force_field' is {force_field}, which {build.path} does not have; it has "
        f"{', '.join(name for name in there if not name.startswith('gromos')) or 'none'}"
    )


def _digest(folder: Path) -> str:
    """Digest the names and contents of a folder's files."""
    lines = [f"{path.relative_to(folder)} {file_digest(path)}\n" for path in _files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    """List the files of a folder; a link that leads to no file has no content that a digest could tell."""
    paths = sorted(folder.rglob("*"))
    for path in paths:
        if path.is_symlink() and not path.is_file():
            raise ConfigError(
                f"{path}: is a link to a folder or to nothing, expected files in the force field's own "
                "folder; put what is meant in its place"
            )
    return [path for path in paths if path.is_file()]

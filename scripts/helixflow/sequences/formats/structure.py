"""Write a structure as the plain text it was found to be, PDB or mmCIF."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from helixflow.errors import SourceError
from helixflow.files import whole_file
from helixflow.sequences.formats.normalise import Tally
from helixflow.sequences.formats.reading import Reading, read_blocks
from helixflow.sequences.formats.recognise import STRUCTURES, recognise

#: Bytes a structure has at most: it is parsed as a whole.
_LARGEST = 10**9


def write_structure(
    source: Path, reading: Reading, structure: Path, accept: Callable[[Tally], None]
) -> Tally:
    """Write a structure unpacked, its bytes as they are.

    Parameters
    ----------
    source : Path
        PDB or mmCIF, plain or compressed, up to 1 GB.
    reading : Reading
    structure : Path
        The file to write; it is not left half written.
    accept : callable
        Given what was found before the file takes its name; may raise.

    Returns
    -------
    Tally
        Its records are the atoms of the first model, its residues those of it; `first` is the entry's
        name in mmCIF, that of its data block.

    Raises
    ------
    SourceError
        When the source is neither format, has no atoms, or is cut off.
    """
    reading = replace(reading, max_bytes=min(reading.max_bytes, _LARGEST))
    tally = Tally(format=recognise(source, reading, STRUCTURES))
    with whole_file(structure) as part:
        end = b""
        with part.open("wb") as out:
            for block in read_blocks(source, reading):
                out.write(block)
                end = block[-1:]
        if tally.format == "mmcif" and end not in (b"\n", b"\r"):
            raise SourceError(f"{reading.origin}: its last line has no end: it is cut off (fetch it again)")
        model = _parse(part, tally.format, reading.origin)
        tally.records = sum(1 for _ in model.get_atoms())
        tally.residues = sum(1 for _ in model.get_residues())
        tally.first = _entry(part) if tally.format == "mmcif" else ""
        accept(tally)
    return tally


def mean_plddt(structure: Path, form: str) -> float:
    """Return the mean over residues of the B factors of CA atoms, where AlphaFold writes its confidence."""
    atoms = [atom for atom in _parse(structure, form, str(structure)).get_atoms() if atom.name == "CA"]
    if not atoms:
        raise SourceError(f"{structure}: has no CA atoms, expected a predicted protein")
    return float(sum(atom.bfactor for atom in atoms) / len(atoms))


def entry_of(structure: Path, form: str) -> str:
    """Return the name a file gives its entry: of PDB that in HEADER, of mmCIF that of its data block."""
    if form == "mmcif":
        return _entry(structure)
    with structure.open(encoding="utf-8", errors="replace") as stream:
        first = stream.readline()
    return first[62:66].strip() if first.startswith("HEADER") else ""


def _entry(path: Path) -> str:
    """Return the name of the data block of an mmCIF file."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        block = next((line for line in stream if line.startswith("data_")), "")
    return block.removeprefix("data_").strip()


def _parse(path: Path, form: str, origin: str) -> Any:
    """Return the first model of a structure, as Biopython has it."""
    from Bio.PDB import MMCIFParser, PDBParser

    parser = MMCIFParser(QUIET=True) if form == "mmcif" else PDBParser(QUIET=True)
    try:
        with warnings.catch_warnings(action="ignore"):
            model = next(iter(parser.get_structure("", str(path))))
    except Exception as error:  # what these parsers raise on a bad file is anything
        reason = " ".join(str(error).split()) or "no atoms"
        raise SourceError(
            f"{origin}: is not a structure ({reason}), expected PDB or mmCIF with atoms"
        ) from None
    if not any(True for _ in model.get_atoms()):
        raise SourceError(f"{origin}: is not a structure (no atoms), expected PDB or mmCIF with atoms")
    return model

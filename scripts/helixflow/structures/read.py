"""Atoms and sequences of PDB and mmCIF files, every atom record as it is in the file.

Nothing is dropped or merged here, so that what cleaning sets aside can be counted against the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helixflow.errors import StructureError

_MMCIF_COLUMNS = (
    "group_PDB",
    "type_symbol",
    "label_atom_id",
    "label_comp_id",
    "Cartn_x",
    "Cartn_y",
    "Cartn_z",
)


@dataclass(frozen=True)
class Atom:
    """One atom record.

    `model` counts from 1 in the order of the file. `altloc`, `insertion`, `element` and `chain` are
    empty where the file leaves them blank. Coordinates are in ångström.
    """

    model: int
    chain: str
    number: int
    insertion: str
    residue: str
    hetero: bool
    name: str
    altloc: str
    element: str
    xyz: tuple[float, float, float]
    occupancy: float
    b_factor: float

    @property
    def residue_key(self) -> tuple[int, str, int, str, str]:
        """What tells the residues of a file apart."""
        return self.model, self.chain, self.number, self.insertion, self.residue


def read_atoms(path: str | os.PathLike[str], structure_format: str) -> list[Atom]:
    """Read every atom record of a structure file.

    Parameters
    ----------
    path : path
        Plain text.
    structure_format : str
        ``pdb`` or ``mmcif``.

    Returns
    -------
    list of Atom
        In the order of the file, all models.

    Raises
    ------
    StructureError
        If the file is truncated, damaged, or holds no atoms.
    """
    read = {"pdb": _read_pdb, "mmcif": _read_mmcif}[structure_format]
    atoms = list(read(Path(path)))
    if not atoms:
        raise StructureError(
            f"{path}: no atoms found, expected the ATOM records of a {structure_format} file"
        )
    return atoms


def read_seqres(path: str | os.PathLike[str], structure_format: str) -> dict[str, list[str]]:
    """Read the residue names of each chain as it was in the experiment, seen or not.

    Returns
    -------
    dict of str to list of str
        Empty where the file does not say (no SEQRES, no ``_pdbx_poly_seq_scheme``).
    """
    read = {"pdb": _pdb_seqres, "mmcif": _mmcif_seqres}[structure_format]
    sequences: dict[str, list[str]] = {}
    for chain, name in read(Path(path)):
        sequences.setdefault(chain, []).append(name)
    return sequences


def _lines(path: Path) -> list[str]:
    # Latin-1 reads any byte: old files have accents in their remarks, and atoms are ASCII.
    return path.read_text(encoding="latin-1").splitlines()


def _read_pdb(path: Path) -> Iterator[Atom]:
    lines = _lines(path)
    records = {line[:6].strip() for line in lines}
    if "HEADER" in records and "END" not in records:
        raise StructureError(
            f"{path}: truncated, it has a HEADER but no END record "
            "(fetch it again, or add END if it is known to be whole)"
        )
    model, explicit = 1, False
    for number, line in enumerate(lines, 1):
        if line.startswith("MODEL "):
            model, explicit = (model + 1 if explicit else 1), True
        elif line.startswith(("ATOM  ", "HETATM")):
            try:
                yield _pdb_atom(line, model)
            except ValueError as error:
                raise StructureError(
                    f"{path} line {number}: not a whole atom record of a PDB file ({error})"
                ) from None


def _pdb_atom(line: str, model: int) -> Atom:
    if len(line) < 54:
        raise ValueError(f"ends after column {len(line)}, before its coordinates do")
    return Atom(
        model=model,
        chain=line[21:22].strip(),
        number=int(line[22:26]),
        insertion=line[26:27].strip(),
        residue=line[17:20].strip(),
        hetero=line.startswith("HETATM"),
        name=line[12:16].strip(),
        altloc=line[16:17].strip(),
        element=_element(line[76:78]),
        xyz=_position(line[30:38], line[38:46], line[46:54]),
        occupancy=_finite("occupancy", line[54:60].strip() or "1"),
        b_factor=_finite("B factor", line[60:66].strip() or "0"),
    )


def _element(text: str) -> str:
    # Files of the last century have the entry's name and a line number in these columns.
    return text.strip().upper() if text.strip().isalpha() else ""


def _position(x: str, y: str, z: str) -> tuple[float, float, float]:
    return _finite("coordinate", x), _finite("coordinate", y), _finite("coordinate", z)


def _finite(what: str, text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{what} {text.strip()} is not finite")
    return value


def _pdb_seqres(path: Path) -> Iterator[tuple[str, str]]:
    for line in _lines(path):
        if line.startswith("SEQRES"):
            for name in line[19:70].split():
                yield line[11:12].strip(), name


def _read_mmcif(path: Path) -> Iterator[Atom]:
    columns = _mmcif_category(path, "_atom_site.")
    missing = [name for name in _MMCIF_COLUMNS if name not in columns]
    if missing:
        raise StructureError(
            f"{path}: no column _atom_site.{missing[0]}, expected the atoms of an mmCIF file"
        )
    size = len(columns["group_PDB"])
    if any(len(column) != size for column in columns.values()):
        raise StructureError(f"{path}: truncated, the last row of _atom_site is not whole (fetch it again)")
    last = [line for line in _lines(path) if line.strip()][-1]
    if last.startswith(("ATOM ", "HETATM ")):
        raise StructureError(
            f"{path}: truncated, its last line is row {size} of _atom_site, expected # or another category "
            "after the atoms (fetch it again, or add a line # if it is known to be whole)"
        )
    models: dict[str, int] = {}
    for row in range(size):
        record = {name: column[row] for name, column in columns.items()}
        model = models.setdefault(record.get("pdbx_PDB_model_num", "1"), len(models) + 1)
        try:
            yield _mmcif_atom(record, model)
        except (ValueError, KeyError) as error:
            raise StructureError(
                f"{path}: row {row + 1} of _atom_site is not a whole atom ({error})"
            ) from None


def _mmcif_atom(record: dict[str, str], model: int) -> Atom:
    # The author's names are those of the literature and of the PDB file of the same entry.
    given = {name: value for name, value in record.items() if value not in ("?", ".")}
    return Atom(
        model=model,
        chain=given.get("auth_asym_id") or given["label_asym_id"],
        number=int(given.get("auth_seq_id") or given["label_seq_id"]),
        insertion=given.get("pdbx_PDB_ins_code", ""),
        residue=given["label_comp_id"],
        hetero=given["group_PDB"] == "HETATM",
        name=given["label_atom_id"],
        altloc=given.get("label_alt_id", ""),
        element=given.get("type_symbol", "").upper(),
        xyz=_position(given["Cartn_x"], given["Cartn_y"], given["Cartn_z"]),
        occupancy=_finite("occupancy", given.get("occupancy", "1")),
        b_factor=_finite("B factor", given.get("B_iso_or_equiv", "0")),
    )


def _mmcif_seqres(path: Path) -> Iterator[tuple[str, str]]:
    columns = _mmcif_category(path, "_pdbx_poly_seq_scheme.")
    names = ("pdb_strand_id", "seq_id", "mon_id")
    seen = set()
    for chain, number, name in zip(*(columns.get(column, []) for column in names), strict=False):
        # Where a position is occupied by two kinds of residue, the first one stands for it.
        if (chain, number) not in seen:
            yield chain, name
        seen.add((chain, number))


def _mmcif_category(path: Path, prefix: str) -> dict[str, list[str]]:
    """Read the columns of one category, without its name."""
    from Bio.PDB.MMCIF2Dict import MMCIF2Dict

    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            content = MMCIF2Dict(stream)
    except ValueError as error:
        raise StructureError(f"{path}: not an mmCIF file or truncated ({error})") from None
    return {key.removeprefix(prefix): values for key, values in content.items() if key.startswith(prefix)}

"""PDB files: fixed columns, with what became customary where the columns are too narrow."""

from __future__ import annotations

import codecs
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from helixflow.errors import StructureError
from helixflow.structures.deposit import Atom, Deposit, Generator, Operator, Place

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IDENTITY = "1555"


def read_pdb(path: Path) -> Deposit:
    """Read a PDB file; errors are those of `helixflow.structures.read.read_structure`."""
    # Latin-1 reads any byte: old files have accents in their remarks, and atoms are ASCII.
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("latin-1").splitlines()
    records = {line[:6].strip() for line in lines}
    if "HEADER" in records and "END" not in records:
        raise StructureError(
            f"{path}: truncated, it has a HEADER but no END record "
            "(fetch it again, or add END if it is known to be whole)"
        )
    return Deposit(
        atoms=list(_atoms(path, lines)),
        sequences=_sequences(lines),
        assemblies=_assemblies(path, lines),
        disulfides=list(_disulfides(lines)),
        components=_components(lines),
        predicted=_is_predicted(lines),
    )


def atom_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the lines of the atoms of the first model, as a program of this workflow wrote them."""
    # A title may hold anything; no byte is wrong in latin-1.
    with Path(path).open(encoding="latin-1") as stream:
        for line in stream:
            if line.startswith("ENDMDL"):
                return
            if line.startswith(("ATOM  ", "HETATM")):
                yield line


def finite(what: str, text: str) -> float:
    """Read a number, which must be finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{what} {text.strip()} is not finite")
    return value


def position(x: str, y: str, z: str) -> tuple[float, float, float]:
    """Read coordinates."""
    return finite("coordinate", x), finite("coordinate", y), finite("coordinate", z)


def residue_number(text: str) -> int:
    """Read the four columns of a residue's number; hybrid-36 goes on from 9999 with A000."""
    if text[:1].isalpha() and re.fullmatch("[A-Z][0-9A-Z]{3}|[a-z][0-9a-z]{3}", text):
        value = 0
        for letter in text.upper():
            value = 36 * value + _DIGITS.index(letter)
        lower = 26 * 36**3 if text[0].islower() else 0
        return value - 10 * 36**3 + 10**4 + lower
    return int(text)


def _atoms(path: Path, lines: list[str]) -> Iterator[Atom]:
    """Give the atoms; their serials, which wrap or overflow beyond 99,999, are not read.

    Nothing else begins with ATOM or HETATM, so a line that does is an atom or an error.
    """
    model, explicit = 1, False
    for number, line in enumerate(lines, 1):
        if line.startswith("MODEL "):
            model, explicit = (model + 1 if explicit else 1), True
        elif line.startswith(("ATOM", "HETATM")):
            try:
                yield _atom(line, model)
            except ValueError as error:
                raise StructureError(
                    f"{path} line {number}: not a whole atom record of a PDB file ({error})"
                ) from None


def _atom(line: str, model: int) -> Atom:
    if len(line) < 54:
        raise ValueError(f"ends after column {len(line)}, before its coordinates do")
    chain = line[21:22].strip()
    return Atom(
        model=model,
        chain=chain,
        number=residue_number(line[22:26]),
        insertion=line[26:27].strip(),
        residue=line[17:20].strip(),
        hetero=line.startswith("HETATM"),
        name=line[12:16].strip(),
        altloc=line[16:17].strip(),
        element=_element(line[76:78]),
        xyz=position(line[30:38], line[38:46], line[46:54]),
        occupancy=finite("occupancy", line[54:60].strip() or "1"),
        b_factor=finite("B factor", line[60:66].strip() or "0"),
        part=chain,
    )


def _element(text: str) -> str:
    # Files of the last century have the entry's name and a line number in these columns.
    return text.strip().upper() if text.strip().isalpha() else ""


def _sequences(lines: list[str]) -> dict[str, list[str]]:
    sequences: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("SEQRES"):
            sequences.setdefault(line[11:12].strip(), []).extend(line[19:70].split())
    return sequences


def _assemblies(path: Path, lines: list[str]) -> dict[str, list[Generator]]:
    """Read REMARK 350: assemblies, the chains of each, and the rows of their operators."""
    assemblies: dict[str, list[tuple[list[str], list[list[float]]]]] = {}
    current = ""
    for number, line in enumerate(lines, 1):
        text = line[10:].strip() if line.startswith("REMARK 350") else ""
        if text.startswith("BIOMOLECULE:"):
            current = text.partition(":")[2].strip()
            assemblies[current] = []
        elif text.startswith("APPLY THE FOLLOWING TO CHAINS:") and current:
            assemblies[current].append((_chains(text), []))
        elif text.startswith("AND CHAINS:") and current and assemblies[current]:
            assemblies[current][-1][0].extend(_chains(text))
        elif text.startswith("BIOMT") and current and assemblies[current]:
            try:
                assemblies[current][-1][1].append(_operator_row(text))
            except ValueError as error:
                raise StructureError(f"{path} line {number}: not a row of an operator ({error})") from None
    for name, generators in assemblies.items():
        for _, rows in generators:
            if len(rows) % 3:
                raise StructureError(
                    f"{path}: REMARK 350 gives assembly {name} {len(rows)} rows BIOMT, expected three for "
                    "each operator; add what is missing, or remove REMARK 350"
                )
    return {
        name: [Generator(tuple(chains), tuple(_operators(rows))) for chains, rows in generators]
        for name, generators in assemblies.items()
    }


def _operator_row(text: str) -> list[float]:
    """Read one row of an operator, behind its name and number."""
    row = [finite("operator", word) for word in text.split()[2:6]]
    if len(row) < 4:
        raise ValueError(f"{len(row)} numbers, expected 4")
    return row


def _chains(text: str) -> list[str]:
    return [name.strip() for name in text.partition(":")[2].split(",") if name.strip()]


def _operators(rows: list[list[float]]) -> Iterator[Operator]:
    for first in range(0, len(rows), 3):
        yield rows[first : first + 3]


def _disulfides(lines: list[str]) -> Iterator[tuple[Place, Place]]:
    """Give the bonds of SSBOND records within the file's own coordinates."""
    for line in lines:
        if line.startswith("SSBOND") and len(line) >= 35:
            operators = {line[59:65].strip() or _IDENTITY, line[66:72].strip() or _IDENTITY}
            if operators == {_IDENTITY}:
                yield (
                    Place(line[15:16].strip(), residue_number(line[17:21]), line[21:22].strip()),
                    Place(line[29:30].strip(), residue_number(line[31:35]), line[35:36].strip()),
                )


def _components(lines: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for line in lines:
        if line.startswith("HETNAM"):
            code = line[11:14].strip()
            names[code] = f"{names.get(code, '')}{line[15:70].strip()}"
    return names


def _is_predicted(lines: list[str]) -> bool:
    """Tell a model of AlphaFold by its title; one of an experiment names its method."""
    title = " ".join(line[10:] for line in lines if line.startswith(("HEADER", "TITLE")))
    return "ALPHAFOLD" in title.upper() and not any(line.startswith("EXPDTA") for line in lines)

"""Readers of molecules: atoms of PDB and GRO files, and lines of topologies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.compare.records import Key, Measured, Number, Reader, Record, digest_of, key_words, place

Floats = NDArray[np.float64]


class Atom(NamedTuple):
    """Where an atom is, in nm, and what else its line says of it."""

    position: tuple[float, ...]
    rest: str


def pdb_reader() -> Reader:
    """Read the atoms of a PDB file, by chain, residue and name."""
    return Reader("atom", _read_pdb, measure_atoms, _pdb_name, _overall_pdb)


def _read_pdb(path: Path) -> Iterator[Record]:
    found: dict[Key, Record] = {}
    seen: Counter[Key] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith(("ATOM  ", "HETATM")):
            continue
        name = line[21].strip(), f"{int(line[22:26]) + 100_000:06d}", line[26].strip(), line[12:16].strip()
        key = (*name, seen[name])
        seen[name] += 1
        position = tuple(float(line[at : at + 8]) / 10 for at in (30, 38, 46))
        atom = Atom(position, f"{line[:6]}{line[16:20]}{line[54:].rstrip()}")
        found[key] = Record(key, digest_of(repr(atom)), atom)
    yield from (found[key] for key in sorted(found, key=place))


def _pdb_name(key: Key) -> str:
    chain, number, insertion, name, again = key
    told = f"{name} of residue {chain} {int(number) - 100_000}{insertion}".replace("  ", " ")
    return told + (f" (number {int(again) + 1} of that name)" if again else "")


def gro_reader() -> Reader:
    """Read the atoms of a GRO file by their places, and the box."""
    return Reader("atom", _read_gro, measure_atoms, lambda key: "the box" if key[1] else key_words(key[:1]))


def _read_gro(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as stream:
        next(stream, "")
        atoms = int(next(stream, ""))
        number = 0
        for number, line in zip(range(1, atoms + 1), stream, strict=False):
            width = line.index(".", line.index(".") + 1) - line.index(".")
            values = [line[at : at + width] for at in range(20, 20 + 3 * width, width)]
            atom = Atom(tuple(map(float, values)), line[:15] + line[20 + 3 * width :].rstrip())
            yield Record((number, 0), digest_of(repr(atom)), atom)
        box = Atom((), next(stream, "").strip())
        if number < atoms or not box.rest:
            raise ValueError(f"expected {atoms} atoms and the box, but it ends after line {2 + number}")
        yield Record((atoms + 1, 1), digest_of(box.rest), box)


def measure_atoms(a: Atom, b: Atom) -> Measured:
    """Tell how far an atom of one is from that of the other, or what else is said of it."""
    if a.position == b.position:
        return Measured("line", (a.rest.strip(), b.rest.strip()))
    moved = float(np.linalg.norm(np.subtract(a.position, b.position)))
    told = [" ".join(f"{value:.4f}" for value in atom.position) for atom in (a, b)]
    return Measured("position (nm)", told, [Number("largest distance of an atom", moved, "nm", "most")])


def _overall_pdb(a: Path, b: Path) -> list[Number]:
    """Return the RMSD of all atoms that both have, superposed."""
    found = [{record.key: record.value.position for record in _read_pdb(path)} for path in (a, b)]
    shared = sorted(found[0].keys() & found[1].keys(), key=place)
    if len(shared) < 3:
        return []
    positions = [np.array([atoms[key] for key in shared]) for atoms in found]
    return [Number("RMSD of all atoms, superposed", superposed_rmsd(*positions), "nm", "last")]


def superposed_rmsd(a: Floats, b: Floats) -> float:
    """Return the least RMSD of two sets of points over all rotations and shifts of one (Kabsch 1976).

    Parameters
    ----------
    a, b : (A, 3) float64
        In nm.

    Returns
    -------
    float
        In nm; from the singular values of their covariance, so that neither is the reference. Below
        1e-8 nm it is rounding.
    """
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    values = np.linalg.svd(a.T @ b, compute_uv=False)
    if np.linalg.det(a.T @ b) < 0:
        values[-1] = -values[-1]
    square = ((a**2).sum() + (b**2).sum() - 2 * values.sum()) / len(a)
    return float(np.sqrt(max(square, 0.0)))


def topology_reader() -> Reader:
    """Read the lines of a topology that are no comments, by section and place in it."""
    return Reader("line", _read_topology, _measure_lines)


def _read_topology(path: Path) -> Iterator[Record]:
    section, ordinal, number = "top", 0, 0
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            text = " ".join(line.partition(";")[0].split())
            if not text:
                continue
            if found := re.fullmatch(r"\[ *(\w+) *\]", text):
                section, ordinal, number = found[1], ordinal + 1, 0
                continue
            number += 1
            # Sections are in the order of the file; a name tells what a line is.
            value = f"{section} {text}"
            yield Record((ordinal, f"[ {section} ] line", number), digest_of(value), value)


def parameters_reader() -> Reader:
    """Read the parameters of an MDP file by their names."""

    def read(path: Path) -> Iterator[Record]:
        found = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            name, sign, value = line.partition(";")[0].partition("=")
            if name.strip():
                # GROMACS takes names that differ in case and in these marks for one.
                key = re.sub("[-_]", "", name.strip()).lower()
                found[key] = " ".join(value.split()) if sign else "no value"
        for name in sorted(found):
            yield Record((name,), digest_of(found[name]), found[name])

    return Reader("parameter", read, lambda a, b: Measured("", (a or "empty", b or "empty")))


def _measure_lines(a: str, b: str) -> Measured:
    """Compare two lines of a topology; of atoms, the charges too."""
    numbers = []
    if a.startswith("atoms ") and b.startswith("atoms "):
        charges = [float(line.split()[7]) for line in (a, b)]
        if charges[0] != charges[1]:
            numbers = [Number("difference of charges", abs(charges[0] - charges[1]), "e", "sum")]
    return Measured("", (a.partition(" ")[2], b.partition(" ")[2]), numbers)

"""Topologies of TPR files, with the numbers of their residues.

MDAnalysis reads past the residue numbers and insertion codes of a TPR file and counts residues anew over
all molecules. So its reader of residues is replaced while a file is read by one that keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

#: Number and insertion code of each residue of each kind of molecule.
Numbers = dict[str, list[tuple[int, str]]]

#: Version of the format from which residues have numbers of their own.
_WITH_NUMBERS = 63


def read_tpr(path: Path) -> tuple[Any, list[tuple[int, str]]]:
    """Return the topology as MDAnalysis has it, and number and insertion code of each of its residues.

    In files older than GROMACS 4.5, which have no numbers, the residues of each molecule count from 1.
    """
    from MDAnalysis.topology.TPRParser import TPRParser

    with _keeping_numbers() as numbers, TPRParser(str(path)) as parser:
        parsed = parser.parse()
    told: list[tuple[int, str]] = []
    kinds = parsed.moltypes.values
    for _, members in groupby(range(len(kinds)), key=lambda residue: parsed.molnums.values[residue]):
        residues = list(members)
        told += numbers[str(kinds[residues[0]])] or [(at, "") for at in range(1, len(residues) + 1)]
    return parsed, told


@contextmanager
def _keeping_numbers() -> Iterator[Numbers]:
    """Give what is filled with the numbers of the residues of each kind of molecule that is read."""
    from MDAnalysis.topology.tpr import utils

    numbers: Numbers = {}
    last: list[tuple[int, str]] = []
    read_molecule, read_residues = utils.do_moltype, utils.do_resinfo

    def do_moltype(data: Any, symbols: Any, version: int) -> Any:
        molecule = read_molecule(data, symbols, version)
        numbers[molecule.name.decode("utf-8")] = last.copy()
        return molecule

    def do_resinfo(data: Any, symbols: Any, version: int, residues: int) -> Any:
        last.clear()
        if version < _WITH_NUMBERS:
            return read_residues(data, symbols, version, residues)
        names = []
        for _ in range(residues):
            names.append(symbols[data.unpack_int()])
            number, insertion = data.unpack_int(), data.unpack_uchar()
            last.append((number, chr(insertion).strip("\0 ")))
        return names

    utils.do_moltype, utils.do_resinfo = do_moltype, do_resinfo
    try:
        yield numbers
    finally:
        utils.do_moltype, utils.do_resinfo = read_molecule, read_residues

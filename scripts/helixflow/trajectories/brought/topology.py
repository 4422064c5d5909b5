"""Atoms and residues of a topology that was brought along: TPR, GRO or PDB."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import SourceError
from helixflow.trajectories.brought.tpr import read_tpr

#: Elements of what is taken for an atom; virtual sites, lone pairs and the like have others or none.
ELEMENTS = frozenset({"H", "C", "N", "O", "S", "P", "SE"})


@dataclass(frozen=True)
class Group:
    """One residue as the topology has it, of whatever kind.

    `molecule` tells molecules or chains apart, `label` is the chain id where there is one; `atoms` are
    indices of atoms.
    """

    name: str
    number: int
    insertion: str
    molecule: int
    label: str
    atoms: list[int]


@dataclass(frozen=True)
class Topology:
    """All atoms of a file: names, elements (empty where there is none), residues.

    `bonds` is (B, 2), or None where the format has none.
    """

    names: list[str]
    elements: list[str]
    groups: list[Group]
    bonds: NDArray[np.int64] | None


def read_topology(path: Path, form: str, origin: str) -> Topology:
    """Read a topology.

    Parameters
    ----------
    path : Path
    form : str
        tpr, gro or pdb.
    origin : str
        What it is called in messages.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    parsed, numbers = _parse(path, form, origin)
    names = [str(name) for name in parsed.names.values]
    told = getattr(parsed, "elements", None)
    elements = [
        _element(name, str(element))
        for name, element in zip(names, told.values if told is not None else [""] * len(names), strict=True)
    ]
    bonds = np.array(parsed.bonds.values, np.int64).reshape(-1, 2) if form == "tpr" else None
    return Topology(names, elements, _groups(parsed, names, numbers), bonds)


def _parse(path: Path, form: str, origin: str) -> tuple[Any, list[tuple[int, str]]]:
    """Return the topology as MDAnalysis has it, and number and insertion code of each residue."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return read_tpr(path) if form == "tpr" else _parse_text(path, form)
    except Exception as error:  # what these parsers raise on a bad file is anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(
            f"{origin}: cannot be read as {form.upper()} ({reason[:200]}); expected a file of GROMACS"
            + (" whose version MDAnalysis knows, or a .gro of the same atoms" if form == "tpr" else "")
        ) from None


def _parse_text(path: Path, form: str) -> tuple[Any, list[tuple[int, str]]]:
    from MDAnalysis.topology.GROParser import GROParser
    from MDAnalysis.topology.PDBParser import PDBParser

    with {"gro": GROParser, "pdb": PDBParser}[form](str(path)) as parser:
        parsed = parser.parse()
    numbers = [int(number) for number in parsed.resids.values]
    insertions = getattr(parsed, "icodes", None)
    codes = [str(code).strip() for code in insertions.values] if insertions else [""] * len(numbers)
    return parsed, list(zip(numbers, codes, strict=True))


def _groups(parsed: Any, names: list[str], numbers: list[tuple[int, str]]) -> list[Group]:
    """Sort the atoms into residues; each begins with its N, since two may have one number and name."""
    resindex = parsed.tt.atoms2residues(np.arange(len(names)))
    molecules, labels = _molecules(parsed, resindex)
    groups: list[Group] = []
    for residue, atoms in groupby(range(len(names)), key=lambda atom: resindex[atom]):
        run: list[int] = []
        place = str(parsed.resnames.values[residue]), numbers[residue][0], numbers[residue][1]
        for atom in atoms:
            if names[atom] == "N" and any(names[other] == "N" for other in run):
                groups.append(Group(*place, molecules[run[0]], labels[run[0]], run))
                run = []
            run.append(atom)
        groups.append(Group(*place, molecules[run[0]], labels[run[0]], run))
    return groups


def _molecules(parsed: Any, resindex: NDArray[np.int64]) -> tuple[list[int], list[str]]:
    """Return for each atom the number of its molecule or chain, and the chain's id, empty if it has none."""
    if hasattr(parsed, "molnums"):
        numbers = [int(number) for number in parsed.molnums.values[resindex]]
        # GROMACS calls its molecules Protein_chain_A.
        return numbers, [_label(str(name)) for name in _per_atom(parsed.chainIDs, resindex)]
    if hasattr(parsed, "chainIDs"):
        labels = [_label(str(name)) for name in parsed.chainIDs.values]
        places = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        return [places[label] for label in labels], labels
    return [0] * len(resindex), [""] * len(resindex)


def _per_atom(attribute: Any, resindex: NDArray[np.int64]) -> Any:
    """Return the values of an attribute of atoms or of residues, one per atom."""
    values = attribute.values
    return values if len(values) == len(resindex) else values[resindex]


def _label(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9]", name) else ""


def _element(name: str, told: str) -> str:
    """Return the element of a protein's atom, told or meant: the names 1HB, HB1 and CA begin with theirs."""
    element = told.upper() or ("SE" if name.upper() == "SE" else name.lstrip("0123456789")[:1].upper())
    return element if element in ELEMENTS else ""

"""What a structure file says, before anything is chosen: its atoms, and what it tells beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: Model, chain, number, insertion code and name: what tells the residues of a file apart.
ResidueKey = tuple[int, str, int, str, str]
#: Three rows of a rotation and a shift in ångström, (3, 4).
Operator = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Atom:
    """One atom record.

    `model` counts from 1 in the order of the file. `altloc`, `insertion`, `element` and `chain` are
    empty where the file leaves them blank. Coordinates are in ångström. `part` is the id by which an
    assembly names the atom's molecule (``label_asym_id`` of mmCIF, the chain of a PDB file), and
    `sequence_number` its residue's place in the chain's sequence, from 1, where the file tells.
    `deposited` is the residue's name in the file, where cleaning gave it another, and `built` is true
    for an atom that the file does not have.
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
    part: str = ""
    sequence_number: int | None = None
    deposited: str = ""
    built: bool = False

    @property
    def residue_key(self) -> ResidueKey:
        """What tells the residues of a file apart."""
        return self.model, self.chain, self.number, self.insertion, self.residue


class Place(NamedTuple):
    """Where a residue is in a file."""

    chain: str
    number: int
    insertion: str

    def __str__(self) -> str:
        return f"{self.chain or '(blank)'} {self.number}{self.insertion}"


class Generator(NamedTuple):
    """Parts of a file, and the operators whose copies of them make an assembly."""

    parts: tuple[str, ...]
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class Deposit:
    """A structure as it was deposited.

    Attributes
    ----------
    atoms : list of Atom
        In the order of the file, all models.
    sequences : mapping of str to list of str
        Residue names of each chain as it was in the experiment, seen or not; empty where not told.
    assemblies : mapping of str to list of Generator
        Biological assemblies by their ids.
    disulfides : list of (Place, Place)
        As the file names them, those to copies in the crystal left out.
    components : mapping of str to str
        Chemical names of residues and ligands.
    predicted : bool
        Whether the B factors are the confidence (pLDDT) of a predicted structure.
    """

    atoms: list[Atom]
    sequences: Mapping[str, list[str]] = field(default_factory=dict)
    assemblies: Mapping[str, list[Generator]] = field(default_factory=dict)
    disulfides: Sequence[tuple[Place, Place]] = ()
    components: Mapping[str, str] = field(default_factory=dict)
    predicted: bool = False


def by_residue(atoms: Iterable[Atom]) -> list[list[Atom]]:
    """Sort atoms into residues, in the order of the file."""
    residues: dict[ResidueKey, list[Atom]] = {}
    for atom in atoms:
        residues.setdefault(atom.residue_key, []).append(atom)
    return list(residues.values())


def by_chain(atoms: Iterable[Atom]) -> dict[str, list[list[Atom]]]:
    """Sort residues into chains, in the order of the file."""
    chains: dict[str, list[list[Atom]]] = {}
    for residue in by_residue(atoms):
        chains.setdefault(residue[0].chain, []).append(residue)
    return chains


def name_of(atom: Atom) -> str:
    """Name the residue of an atom as the file does, such as ``MSE A 151``."""
    return f"{atom.residue} {place_of(atom)}"


def place_of(atom: Atom) -> Place:
    """Return where the residue of an atom is."""
    return Place(atom.chain, atom.number, atom.insertion)


def rounded(values: Iterable[float], digits: int = 3) -> tuple[float, float, float]:
    """Return three coordinates with as many digits as a PDB file has."""
    x, y, z = (round(float(value), digits) for value in values)
    return x, y, z


def listed(names: Iterable[str], most: int = 5) -> str:
    """List the first of some names, and say how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""Missing atoms and short internal gaps: refused by name, or built by PDBFixer, made sound, and checked.

What the file has stays where it is, to the last digit. Ends of chains that were not seen are never built.
"""

from __future__ import annotations

import io
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from helixflow.errors import StructureError
from helixflow.structures.chemistry import HEAVY_ATOMS
from helixflow.structures.deposit import Atom, Place, listed, name_of, place_of, rounded
from helixflow.structures.gaps import PEPTIDE_BOND, ChainState, Gap, unknown_atoms
from helixflow.structures.geometry import find_faults
from helixflow.structures.residues import Residue, pdb_line

_BACKBONE = ("N", "CA", "C")
#: Distance between the C-alphas of neighbours in a trans peptide, in ångström.
_SPAN = 3.8
#: Models that are tried, each from another seed, before a structure is refused.
_TRIES = 3

Chains = list[list[list[Atom]]]


def check_chain(state: ChainState, repair: str, max_gap: int) -> None:
    """Refuse a chain that is not whole and that the settings do not allow to mend.

    Raises
    ------
    StructureError
        Naming chain and residue, and what to set.
    """
    for at, residue in enumerate(state.residues):
        _check_residue(residue, state.atoms.get(at, []), _ends(state, at), repair)
    for gap in state.gaps:
        _check_gap(gap, len(state.gaps), repair, max_gap)


def build_missing(states: Sequence[ChainState], disulfides: Sequence[tuple[Place, Place]] = ()) -> Chains:
    """Build what chains lack, all that `check_chain` lets pass.

    Parameters
    ----------
    states : sequence of ChainState
    disulfides : sequence of (Place, Place)
        Those that the file names; one with a cysteine that is built is made where the chain reaches.

    Returns
    -------
    list of list of list of Atom
        Of each chain its residues, of each residue its atoms; what was built is marked.

    Raises
    ------
    StructureError
        If no model was found that is sound.
    """
    if not any(state.atoms or state.gaps for state in states):
        return [state.residues for state in states]
    from helixflow.structures.refine import refine

    faults: list[str] = []
    for seed in range(1, _TRIES + 1):
        chains = _run_fixer(states, seed)
        if find_faults(chains) or _to_bond(chains, disulfides):
            chains = refine(chains, seed, _to_bond(chains, disulfides))
        faults = find_faults(chains)
        if not faults:
            return chains
    raise StructureError(
        f"what was built cannot be: {listed(faults)}; lower structures/repair, or build it with another "
        "program (Modeller) or choose another structure"
    )


def _to_bond(chains: Chains, disulfides: Sequence[tuple[Place, Place]]) -> list[tuple[Atom, Atom]]:
    """Give the sulfur atoms of disulfides of the file, one of each pair built."""
    sulfurs = {
        place_of(atom): atom
        for chain in chains
        for residue in chain
        for atom in residue
        if (atom.residue, atom.name) == ("CYS", "SG")
    }
    pairs = [(sulfurs[a], sulfurs[b]) for a, b in disulfides if a in sulfurs and b in sulfurs]
    return [pair for pair in pairs if pair[0].built or pair[1].built]


def _ends(state: ChainState, at: int) -> list[str]:
    """Name the backbone atoms that make a residue the end of its chain."""
    return [*(["N"] if at == 0 else []), *(["C"] if at == len(state.residues) - 1 else [])]


def _check_residue(residue: list[Atom], missing: list[str], ends: list[str], repair: str) -> None:
    """See that a residue has no atoms but those of its kind, and enough of them."""
    name, last = name_of(residue[0]), "C" in ends
    expected = " ".join(HEAVY_ATOMS[residue[0].residue])
    unknown = unknown_atoms(residue, last)
    if missing and unknown:
        raise StructureError(
            f"{name} has no atom {', '.join(missing)} but has atom {', '.join(unknown)}, "
            f"expected {expected}; rename what is the same, remove the rest, build what is missing"
        )
    if unknown:
        raise StructureError(
            f"{name} has atom {', '.join(unknown)}, expected {expected}"
            f"{' OXT' if last else ' within a chain'}; rename or remove it"
        )
    if not missing:
        return
    backbone = [atom for atom in missing if atom in _BACKBONE]
    lacks = f"{name} has no atom {', '.join(missing)}"
    if set(backbone) & set(ends):
        raise StructureError(f"{lacks}; ends of chains are not built: remove the residue from the file")
    if len(residue) < 3 and repair != "none":
        raise StructureError(
            f"{lacks}, which is too little to build on; remove it, so that it is built whole"
        )
    if repair == "none" or (backbone and repair != "loops"):
        raise StructureError(
            f"{lacks}; set structures/repair to {'loops' if backbone else 'sidechains'} to have the missing "
            "atoms built, or choose another structure"
        )


def _check_gap(gap: Gap, count: int, repair: str, max_gap: int) -> None:
    told = _describe(gap, count)
    if gap.length == 0:
        raise StructureError(f"{told}; mend the bond between the two, or choose another structure")
    if gap.missing and _SPAN * (len(gap.missing) + 1) < gap.distance < math.inf:
        raise StructureError(
            f"{told}; so many reach over {_SPAN * (len(gap.missing) + 1):.1f} Å at most: mend "
            "the places of the atoms or the sequence, or choose another structure"
        )
    if repair != "loops":
        raise StructureError(
            f"{told}; set structures/repair to loops to have gaps of up to structures/max_gap residues "
            "built, or choose another structure"
        )
    if gap.missing is None or not set(gap.missing) <= HEAVY_ATOMS.keys():
        raise StructureError(
            f"{told}; a loop is built by the sequence of the experiment: add SEQRES records (mmCIF: "
            "_pdbx_poly_seq_scheme) that fit the chain, or build it with another program"
        )
    if len(gap.missing) > max_gap:
        raise StructureError(
            f"{told}; these are {len(gap.missing)} residues, more than structures/max_gap ({max_gap}): "
            "raise it, or choose another structure"
        )


def _describe(gap: Gap, count: int) -> str:
    """Say which residues are missing at a gap, as far as numbers and SEQRES tell."""
    first, second = gap.before, gap.after
    missing = f"{first.number + 1}-{second.number - 1}" if gap.numbers > 0 else ""
    if gap.missing:
        missing += f" {gap.told(False)['residues']} of SEQRES"
    lack = f"residues {missing.strip() or '(unknown)'} are missing"
    if gap.length == 0:
        lack = "the chain is broken"
    others = f" and at {count - 1} more places" if count > 1 else ""
    return (
        f"chain {first.chain or '(blank)'}: {lack} between {name_of(first)} and {name_of(second)}{others} "
        f"(C-N {gap.distance:.1f} Å, expected at most {PEPTIDE_BOND} Å)"
    )


def _run_fixer(states: Sequence[ChainState], seed: int) -> Chains:
    """Have PDBFixer place what is missing; the reference platform gives the same on every machine."""
    import openmm
    from pdbfixer import PDBFixer

    platform = openmm.Platform.getPlatformByName("Reference")
    fixer = PDBFixer(pdbfile=io.StringIO("".join(_pdb_lines(states))), platform=platform)
    gaps = {(number, gap.at): gap for number, state in enumerate(states) for gap in state.gaps}
    fixer.missingResidues = {place: list(gap.missing or ()) for place, gap in gaps.items()}
    fixer.findMissingAtoms()
    fixer.missingTerminals = {}
    fixer.addMissingAtoms(seed=seed)
    positions = fixer.positions.value_in_unit(openmm.unit.angstrom)
    return [
        list(_merge(number, state, gaps, list(chain.residues()), positions))
        for number, (state, chain) in enumerate(zip(states, fixer.topology.chains(), strict=True))
    ]


def _pdb_lines(states: Sequence[ChainState]) -> Iterator[str]:
    """Write chains with numbers from 1, by the order of which they are known again."""
    signs = string.ascii_uppercase + string.ascii_lowercase + string.digits
    for count, state in enumerate(states):
        for number, residue in enumerate(state.residues, 1):
            row = Residue(0, signs[count % len(signs)], number, "", residue[0].residue, "")
            yield from (pdb_line(1, atom.name, row, atom.xyz) for atom in residue)
        yield "TER\n"
    yield "END\n"


def _merge(
    count: int,
    state: ChainState,
    gaps: Mapping[tuple[int, int], Gap],
    modelled: list[Any],
    positions: Sequence[Any],
) -> Iterator[list[Atom]]:
    """Give the residues of a chain with those that were built in their places."""
    left = iter(modelled)
    for at, residue in enumerate(state.residues):
        if (count, at) in gaps:
            gap = gaps[count, at]
            for atom, _ in zip(_number(gap), gap.missing or (), strict=True):
                yield _new_atoms(next(left), atom, set(), positions)
        new = _new_atoms(next(left), residue[0], {atom.name for atom in residue}, positions)
        yield [*residue, *new]


def _new_atoms(modelled: Any, like: Atom, known: set[str], positions: Sequence[Any]) -> list[Atom]:
    """Give the atoms of a residue of the model that are not known yet, in the residue of `like`."""
    return [
        replace(
            like,
            residue=modelled.name,
            name=atom.name,
            element=atom.element.symbol.upper(),
            xyz=rounded(positions[atom.index]),
            altloc="",
            occupancy=1.0,
            b_factor=0.0,
            hetero=False,
            built=True,
        )
        for atom in modelled.atoms()
        if atom.name not in known
    ]


def _number(gap: Gap) -> Iterator[Atom]:
    """Give an atom with the number of each missing residue: those left free, else insertion codes."""
    missing = gap.missing or ()
    fresh = replace(gap.before, deposited="", sequence_number=None)
    if gap.numbers >= len(missing):
        yield from (
            replace(fresh, number=fresh.number + at, insertion="") for at in range(1, len(missing) + 1)
        )
    elif gap.before.insertion or gap.after.number == gap.before.number or len(missing) > 26:
        raise StructureError(
            f"chain {gap.before.chain}: {len(missing)} residues are missing between {name_of(gap.before)} "
            f"and {name_of(gap.after)}, but numbers leave room for {max(gap.numbers, 0)}; renumber the file"
        )
    else:
        yield from (replace(fresh, insertion=letter) for letter in string.ascii_uppercase[: len(missing)])

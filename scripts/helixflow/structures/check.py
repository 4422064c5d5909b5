"""Whether a chain is whole: all heavy atoms of every residue, and no residue missing within."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from helixflow.errors import StructureError
from helixflow.structures.chemistry import HEAVY_ATOMS, LETTERS, MODIFIED
from helixflow.structures.read import Atom

#: Longest peptide bond, in ångström.
PEPTIDE_BOND = 2.0


def check_chain(chain: str, residues: list[list[Atom]], seqres: list[str]) -> dict[str, Any]:
    """See that a chain is whole; give its ends, where the experiment did not see them."""
    for residue in residues:
        _check_atoms(residue, last=residue is residues[-1])
    natural = "".join(LETTERS.get(MODIFIED.get(name, (name, {}))[0], "X") for name in seqres)
    gaps = [
        at for at in range(1, len(residues)) if peptide_bond(residues[at - 1], residues[at]) > PEPTIDE_BOND
    ]
    if gaps:
        raise StructureError(_describe_gap(residues, gaps, natural))
    before, found, after = natural.partition(_sequence(residues))
    return {
        "chain": chain,
        "residues": len(residues),
        "seqres": len(seqres),
        "in_seqres": bool(found) if seqres else None,
        "missing_before": before if found else "",
        "missing_after": after,
    }


def peptide_bond(before: Iterable[Atom], after: Sequence[Atom]) -> float:
    """Measure the shortest distance of a C to an N of the next residue, in ångström."""
    carbons = [atom.xyz for atom in before if atom.name == "C"]
    nitrogens = [atom.xyz for atom in after if atom.name == "N"]
    return min((math.dist(c, n) for c in carbons for n in nitrogens), default=math.inf)


def name_of(atom: Atom) -> str:
    """Name the residue of an atom as the file does, such as ``MSE A 151``."""
    return f"{atom.residue} {atom.chain or '(blank)'} {atom.number}{atom.insertion}"


def _check_atoms(residue: list[Atom], last: bool) -> None:
    """See that a residue has all the heavy atoms of its kind and no others."""
    names = {atom.name for atom in residue}
    expected = HEAVY_ATOMS[residue[0].residue]
    missing = [name for name in expected if name not in names]
    unknown = sorted(names - {*expected, "OXT"} if last else names - {*expected})
    if missing and unknown:
        raise StructureError(
            f"{name_of(residue[0])} has no atom {', '.join(missing)} but has atom {', '.join(unknown)}, "
            f"expected {' '.join(expected)}; rename what is the same, remove the rest, build what is missing"
        )
    if missing:
        raise StructureError(
            f"{name_of(residue[0])} has no atom {', '.join(missing)}; build the missing atoms first "
            "(PDBFixer, Modeller), or choose another structure"
        )
    if unknown:
        raise StructureError(
            f"{name_of(residue[0])} has atom {', '.join(unknown)}, expected {' '.join(expected)}"
            f"{' OXT' if last else ' within a chain'}; rename or remove it"
        )


def _describe_gap(residues: list[list[Atom]], gaps: list[int], natural: str) -> str:
    """Say which residues are missing at the first gap of a chain, as far as numbers and SEQRES tell."""
    first, second = gaps[0], [*gaps, len(residues)][1]
    before, after = residues[first - 1], residues[first]
    missing = (
        f"{before[0].number + 1}-{after[0].number - 1}" if after[0].number > before[0].number + 1 else ""
    )
    # The SEQRES residues between the places of the two segments beside the gap.
    _, _, rest = natural.partition(_sequence(residues[:first]))
    between, found, _ = rest.partition(_sequence(residues[first:second]))
    if found and between:
        missing += f" {between} of SEQRES"
    missing = missing.strip() or "(unknown)"
    others = f" and at {len(gaps) - 1} more places" if len(gaps) > 1 else ""
    return (
        f"chain {before[0].chain or '(blank)'}: residues {missing} are missing between "
        f"{name_of(before[0])} and {name_of(after[0])}{others} (C-N {peptide_bond(before, after):.1f} Å, "
        f"expected at most {PEPTIDE_BOND} Å); build them (PDBFixer, Modeller), or choose another structure"
    )


def _sequence(residues: Iterable[list[Atom]]) -> str:
    return "".join(LETTERS[residue[0].residue] for residue in residues)

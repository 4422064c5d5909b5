"""Checks of the protein in all its frames: finite, whole, bonded, of one hand, and apart from its images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helixflow.structures.residues import Residue
from helixflow.structures.topology import Protein
from helixflow.trajectories.quality.frames import Changes, Extremes, FrameMeasures
from helixflow.trajectories.quality.gates import Gate, count, judge, unknown
from helixflow.trajectories.quality.judgement import Judgement

Floats = NDArray[np.float64]


def judge_molecule(
    measures: FrameMeasures,
    protein: Protein,
    residues: Sequence[Residue],
    cutoff_nm: float,
    judgement: Judgement,
) -> dict[str, Gate]:
    """Judge all that the frames of the protein tell."""
    atoms = [f"{name} of {residues[at]}" for name, at in zip(protein.atoms, protein.residue_of, strict=True)]
    bonds = [f"{atoms[first]} to {atoms[second]}" for first, second in protein.bonds]
    times = np.array(measures.times)
    image_limit = judgement.image_cutoffs * cutoff_nm
    gates = {
        "positions_not_finite": finite_gate(measures.lost),
        "image_distance_nm": image_gate(times, np.array(measures.image_nm), image_limit),
        "rmsd_jump_sigmas": jump_gate(times, np.array(measures.steps_nm), judgement.jump_sigmas),
        "longest_bond_nm": longest_bond_gate(measures.bonds, bonds, judgement.longest_bond_nm),
        "disulfides_lost": disulfide_gate(measures.bonds, protein, bonds, judgement.disulfide_nm),
        "chirality_changed": chirality_gate(measures.hands, [atoms[at] for at in measures.centres[:, 0]]),
        "peptides_changed": peptide_gate(measures, protein, residues),
    }
    if measures.stretch is not None:
        gates["bond_stretch"] = stretch_gate(measures.stretch, bonds, judgement.bond_stretch)
    return gates


def finite_gate(lost: Sequence[float]) -> Gate:
    """Judge by the frames, told by their times, in which a position is not finite."""
    return count([f"at {time:g} ps" for time in lost])


def image_gate(times: Floats, distances: Floats, limit: float) -> Gate:
    """Judge the least distance of the protein from its own periodic images.

    Below the cut-off, the protein's atoms are pairs with those of its image, and what it does depends
    on the box.
    """
    if not np.isfinite(distances).any():
        return unknown(judge(np.nan, limit, np.inf, unit="nm"), "no frame is finite and in a periodic box")
    least = int(np.nanargmin(distances))
    close = int((distances < limit).sum())
    details = [f"least at {times[least]:g} ps", f"below {limit:g} nm in {close} of {len(times)} frames"]
    return judge(float(distances[least]), limit, np.inf, unit="nm", details=details)


def jump_gate(times: Floats, steps: Floats, limit: float) -> Gate:
    """Judge the greatest move from one frame to the next, as the MDDB does.

    A move is the RMSD of the heavy atoms of a frame from the frame before, best superposed. The value is
    how many standard deviations of all moves the greatest one is above their mean. Among n moves no one can
    be more than the root of n - 1 of them above it, so that fewer cannot fail and are unknown.
    """
    finite = steps[np.isfinite(steps)]
    if len(finite) < 2 or not finite.std() > 0:
        return unknown(judge(np.nan, -np.inf, limit), "too few frames, or none moves")
    sigmas = (steps - finite.mean()) / finite.std()
    at = int(np.nanargmax(sigmas))
    details = [
        f"{steps[at]:.3f} nm from {times[at]:g} to {times[at + 1]:g} ps, on average {finite.mean():.3f} nm"
    ]
    gate = judge(float(sigmas[at]), -np.inf, limit, details=details)
    if len(finite) - 1 <= limit**2:
        return unknown(gate, f"{len(finite)} moves, expected more than {limit**2 + 1:g}")
    return gate


def longest_bond_gate(bonds: Extremes, names: Sequence[str], limit: float) -> Gate:
    """Judge the longest bond: in a molecule that is torn over the box it is several nm long."""
    details = _worst(bonds, names, limit, "nm")
    return judge(float(bonds.values.max(initial=0)), 0, limit, unit="nm", details=details)


def stretch_gate(stretch: Extremes, names: Sequence[str], limit: float) -> Gate:
    """Judge the greatest ratio of a bond's length and that at rest, whichever of them is longer."""
    details = _worst(stretch, names, limit, "times its length at rest, or as much shorter")
    return judge(float(stretch.values.max(initial=1)), 1, limit, details=details)


def disulfide_gate(bonds: Extremes, protein: Protein, names: Sequence[str], limit: float) -> Gate:
    """Judge by the number of disulfides whose sulphurs were farther apart than the limit, in nm."""
    chosen = np.array(
        [all(protein.atoms[atom] == "SG" for atom in bond) for bond in protein.bonds], dtype=bool
    )
    kept = Extremes(np.where(chosen, bonds.values, -np.inf), bonds.times)
    return count(_worst(kept, names, limit, "nm"))


def chirality_gate(hands: Changes, names: list[str]) -> Gate:
    """Judge by the number of chiral centres that were in any frame the mirror image of the start's."""
    return count([f"{names[int(at)]} {_when(hands, at)}" for at in np.flatnonzero(hands.frames)])


def peptide_gate(measures: FrameMeasures, protein: Protein, residues: Sequence[Residue]) -> Gate:
    """Judge by the number of peptide bonds that turned from trans to cis since the start, or conversely."""
    changes, found = measures.peptides, []
    for at in np.flatnonzero(changes.frames):
        before, after = (residues[protein.residue_of[atom]] for atom in measures.peptide_atoms[at][[1, 2]])
        turn = "cis to trans" if measures.start_cis[at] else "trans to cis"
        found.append(f"{before} to {after}: {turn} {_when(changes, at)}")
    return count(found)


def _worst(extremes: Extremes, names: Sequence[str], limit: float, unit: str) -> list[str]:
    """Name what is above a limit, the worst first."""
    order = np.argsort(-extremes.values, kind="stable")
    return [
        f"{names[at]}: {extremes.values[at]:.3f} {unit}, at {extremes.times[at]:g} ps"
        for at in order[: int((extremes.values > limit).sum())]
    ]


def _when(changes: Changes, at: np.int64) -> str:
    return f"in {changes.frames[at]} frames, first at {changes.first[at]:g} ps"

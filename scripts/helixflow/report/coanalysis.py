"""Parts on the co-analysis of a structure: its motion, and its contacts beside its embeddings."""

from __future__ import annotations

import os

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.report.blocks import Cell, Figure, Section, Table, number, plural, table
from helixflow.report.figures import Place, curves, residue_profile, split_map

#: Below so many pairs, a rank correlation says little.
FEW_PAIRS = 100
#: Replicas that figures show.
MOST_DRAWN = 6

Curves = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def coanalysis_parts(
    name: str, path: str | os.PathLike[str], figured: bool, where: str = ""
) -> list[Section]:
    """Show the co-analysis of a structure, with figures or with tables alone; `where` ends the headings."""
    motion = Section(f"structure-{name}-motion", f"Motion{where}")
    contacts = Section(f"structure-{name}-contacts", f"Contacts and embeddings{where}")
    with h5py.File(path) as h5:
        motion.blocks += [_means_table(h5)]
        contacts.blocks += [*_coverage(h5), _correlation_table(h5)]
        if figured:
            motion.blocks += _motion_figures(h5)
            contacts.blocks += _contact_figures(h5)
    return [motion, contacts]


def _motion_figures(h5: h5py.File) -> list[Figure]:
    return [
        Figure(
            "RMSD",
            curves(_over_time(h5, "rmsd_nm"), "time (ps)", "RMSD of C-alphas (nm)"),
            "Root-mean-square deviation of the C-alphas from the first frame over time, a curve per replica.",
            "Distance from the replica's own first frame; a plateau is a state, a rise a drift away from it.",
        ),
        Figure(
            "Radius of gyration",
            curves(_over_time(h5, "rg_nm"), "time (ps)", "radius of gyration (nm)"),
            "Radius of gyration of all atoms of the protein over time, a curve per replica.",
            "The spread of the protein's mass about its centre; it rises when the protein unfolds or opens.",
        ),
        _fluctuation_figure(h5),
    ]


def _fluctuation_figure(h5: h5py.File) -> Figure:
    profiles = {f"replica {number}": h5[f"replica/{number}/residue/rmsf_nm"][:] for number in _drawn(h5)}
    if len(profiles) > 1:
        profiles["pooled"] = h5["residue/rmsf_nm"][:]
    return Figure(
        "RMSF",
        residue_profile(profiles, _places(h5), "RMSF of C-alpha (nm)"),
        "Root-mean-square fluctuation of each residue's C-alpha, a curve per replica and, "
        "of several, one of all pooled.",
        "High values are flexible residues; where replicas differ, the runs are too short to tell.",
    )


def _contact_figures(h5: h5py.File) -> list[Figure]:
    cutoff = number(float(h5.attrs["cutoff_nm"]))
    return [
        Figure(
            "Contacts over time",
            curves(_over_time(h5, "contacts"), "time (ps)", "contacts (pairs of residues)", whole=True),
            "Number of pairs of residues in contact over time, a curve per replica.",
            "Contacts that are lost and do not come back hint at unfolding.",
        ),
        Figure(
            "Coherence over time",
            curves(_over_time(h5, "coherence"), "time (ps)", "mean cosine of contacts"),
            "Mean embedding cosine of the residues in contact over time, a curve per replica.",
            "How similar the embeddings of residues in contact are; a residue has one embedding in all "
            "frames, so only contacts change it.",
        ),
        Figure(
            "Contacts beside embeddings",
            split_map(
                h5["pair/contact_frequency"][:],
                h5["pair/embedding_cosine"][:],
                _places(h5),
                "above the diagonal: contact frequency (share of frames)",
                "below the diagonal: cosine similarity of embeddings",
            ),
            "Matrix over residues, contact frequency above the diagonal and cosine of embeddings below it.",
            f"A square is a pair of residues: above, how often their C-alphas are closer than {cutoff} nm; "
            "mirrored below, how similar their embeddings are.",
        ),
    ]


def _coverage(h5: h5py.File) -> list[str]:
    """Say what the embeddings do not cover, if anything."""
    told = h5["statistics"].attrs
    left_out, frames = float(told["contacts_per_frame_left_out"]), int(told["frames_without_embedding"])
    lines = []
    if left_out:
        lines.append(
            f"{number(left_out)} of the {number(float(told['contacts_per_frame']))} contacts of a mean frame "
            "are of residues without an embedding; they are left out where embeddings count."
        )
    if frames:
        lines.append(
            f"{number(frames)} of {plural(int(told['frames']), 'frame')} have no contact of residues with an "
            "embedding, and thus no coherence."
        )
    return lines


def _means_table(h5: h5py.File) -> Table:
    group = h5["statistics/replica"]
    names = ("replica", "frames", "rmsd_nm", "rg_nm", "contacts", "coherence")
    return table(
        "Means over the frames of each replica",
        "replica # | frames # | RMSD (nm) # | radius of gyration (nm) # | contacts # | coherence #",
        zip(*(group[name][:].tolist() for name in names), strict=True),
    )


def _correlation_table(h5: h5py.File) -> Table:
    group = h5["statistics/contact_cosine"]
    columns = [group[name][:].tolist() for name in ("pairs", "number", "spearman")]
    rows = [
        (
            pairs.decode(),
            Cell(f"{number(count)} (few)", "unsure") if 0 < count < FEW_PAIRS else count,
            round(coefficient, 3),
        )
        for pairs, count, coefficient in zip(*columns, strict=True)
    ]
    return table(
        "Do residues in contact have similar embeddings?",
        "pairs of residues | n # | Spearman's ρ #",
        rows,
        "Rank correlation of contact frequency and cosine similarity over n pairs of residues, from −1 to 1. "
        f"Residues of one chain count from {plural(int(h5.attrs['min_separation']), 'residue')} apart. Pairs "
        f"that share a residue are not independent, and fewer than {FEW_PAIRS} say little.",
    )


def _over_time(h5: h5py.File, name: str) -> Curves:
    frames = {number: h5[f"replica/{number}/frame"] for number in _drawn(h5)}
    return {f"replica {number}": (group["time_ps"][:], group[name][:]) for number, group in frames.items()}


def _places(h5: h5py.File) -> list[Place]:
    chains, insertions = (h5[f"residue/{name}"].asstr()[:] for name in ("chain", "insertion"))
    return list(zip(chains, h5["residue/number"][:].tolist(), insertions, strict=True))


def _drawn(h5: h5py.File) -> list[int]:
    """Return the numbers of the replicas that figures show."""
    numbers: list[int] = h5["statistics/replica/replica"][:MOST_DRAWN].tolist()
    return numbers

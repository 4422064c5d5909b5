"""Part on the motion of a structure: how far it goes from where, which residues move, in 3-D and together."""

from __future__ import annotations

import os

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.report.analysis import (
    curves_of,
    labels_of,
    own_mode,
    places_of,
    profiles_of,
    rows_of,
    typicality,
)
from helixflow.report.blocks import Figure, Section, Table, View, number, table
from helixflow.report.canvas import SIGNED
from helixflow.report.figures import Place, curves, residue_profile
from helixflow.report.plots import signed_map, trace
from helixflow.report.view import Backbone, by_kind, by_value, view_of

#: From this share of the frames on, a residue is called helical or of a strand.
MOSTLY = 0.5
_EMBEDDING = (
    "In “Embedding”, the value of a residue is that of its context, the sum of the embeddings of the "
    "residues that it is in contact with in a mean frame, along the first component of the frames' "
    "embeddings, less the mean over the residues. Residues of one colour have surroundings that are alike to "
    "the model; sign and unit are arbitrary."
)
KINDS = ("helix", "strand", "neither")


def motion_part(
    name: str, h5: h5py.File, figured: bool, where: str, topology: str | os.PathLike[str] | None
) -> Section:
    """Show the motion of a structure, with figures or with tables alone."""
    section = Section(f"structure-{name}-motion", f"Motion{where}", [_means_table(h5)])
    if figured:
        if topology is not None:
            section.blocks += structure_blocks(h5, Backbone(topology), f"Starting structure{where}")
        section.blocks += [*_over_time(h5), *_over_residues(h5), _together(h5)]
    return section


def _means_table(h5: h5py.File) -> Table:
    names = ("replica", "frames", "rmsd_nm", "rg_nm", "contacts", "coherence")
    return table(
        "Means over the frames of each replica",
        "replica # | frames # | RMSD (nm) # | radius of gyration (nm) # | contacts # | coherence #",
        rows_of(h5["statistics/replica"], *names),
    )


def _over_time(h5: h5py.File) -> list[Figure]:
    return [
        Figure(
            "RMSD",
            curves(curves_of(h5, "rmsd_nm"), "time (ps)", "RMSD of C-alphas (nm)"),
            "Root-mean-square deviation of the C-alphas from the first frame over time, a curve per replica.",
            "Distance from the replica's own first frame, in which it is 0 by definition. A steady rise is a "
            "drift away from it; on a plateau the distance stays, which different structures may share.",
        ),
        Figure(
            "RMSD to the mean structure",
            curves(curves_of(h5, "rmsd_to_mean_nm"), "time (ps)", "RMSD of C-alphas (nm)"),
            "Root-mean-square deviation of the C-alphas from the mean over all replicas, a curve per "
            "replica.",
            "Distance from the mean of all frames of all replicas. Replicas at different distances are "
            "different, but those at the same distance need not be alike: two in two states are equally far "
            "from the mean between them, which is neither.",
        ),
        Figure(
            "Radius of gyration",
            curves(curves_of(h5, "rg_nm"), "time (ps)", "radius of gyration (nm)"),
            "Radius of gyration of all atoms of the protein over time, a curve per replica.",
            "The spread of the protein's mass about its centre; it rises when the protein unfolds or opens.",
        ),
        Figure(
            "Secondary structure over time",
            curves(_secondary(h5), "time (ps)", "share of residues"),
            "Share of residues in helices and in strands over time, over all replicas.",
            "By hydrogen bonds of the backbone (Kabsch and Sander). A fall that stays is a loss of helix or "
            "strand; brief ones come from bonds near the threshold. What one replica shows was seen once.",
        ),
    ]


def _secondary(h5: h5py.File) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the shares of helix and strand of each replica that is drawn."""
    helix, strand = curves_of(h5, "helix"), curves_of(h5, "strand")
    named = {f"helix, {name}": curve for name, curve in helix.items()}
    return named | {f"strand, {name}": curve for name, curve in strand.items()}


def _over_residues(h5: h5py.File) -> list[Figure]:
    places = places_of(h5)
    secondary = {kind: h5[f"residue/{kind}"][:] for kind in ("helix", "strand")}
    return [
        _fluctuation_figure(h5, places),
        _signal_figure(h5, places),
        Figure(
            "Secondary structure over the sequence",
            residue_profile(secondary, places, "share of frames"),
            "Share of the frames in which each residue is in a helix or in a strand.",
            "1 is always, 0 never; between them the residue changes. The rest are turns and coil.",
        ),
        Figure(
            "Exposure",
            residue_profile(profiles_of(h5, "neighbours"), places, "neighbours (mean number)"),
            "Mean number of neighbours of each residue, a curve per replica and, of several, one of all "
            "pooled.",
            "Other residues whose C-beta (C-alpha of glycine) is within "
            f"{number(float(h5.attrs['neighbour_radius_nm']))} nm: few are exposed to the solvent, many "
            f"buried.",
        ),
    ]


def _fluctuation_figure(h5: h5py.File, places: list[Place]) -> Figure:
    profiles = profiles_of(h5, "rmsf_nm")
    predicted = h5["statistics/rmsf/predicted"][:]
    reading = "High values are flexible residues; where replicas differ, the runs are too short to tell."
    if np.isfinite(predicted).any():
        profiles["told by embeddings"] = predicted
        reading += (
            " The last curve is what the embeddings alone tell, each stretch of residues by what was learnt "
            "of the others; the statistics below say how good that is."
        )
    return Figure(
        "RMSF",
        residue_profile(profiles, places, "RMSF of C-alpha (nm)"),
        "Root-mean-square fluctuation of each residue's C-alpha, a curve per replica and, "
        "of several, one of all pooled, with what embeddings tell of it.",
        reading,
    )


def _signal_figure(h5: h5py.File, places: list[Place]) -> Figure:
    return Figure(
        "The embedding's own signal",
        residue_profile({"mean cosine": typicality(h5)}, places, "mean cosine to the other residues"),
        "Mean cosine similarity of each residue's embedding to those of all other residues.",
        "How usual a residue's embedding is within its protein, from the sequence alone: a dip is a residue "
        "that the model sees as unlike the others. It is drawn beside RMSF to be compared by eye; whether "
        "embeddings tell RMSF is tested in the statistics below.",
    )


def _together(h5: h5py.File) -> Figure:
    return Figure(
        "Residues that move together",
        signed_map(h5["pair/cross_correlation"][:], places_of(h5), "dynamic cross-correlation"),
        "Square of residues by residues with the correlation of the motions of their C-alphas.",
        "Of the deviations of each replica's frames from that replica's own mean, over all replicas, as of "
        "the pooled RMSF: how replicas differ from each other is not in it. 1 where two C-alphas move the "
        "same way at the same time, −1 where they move against each other, 0 where they do not heed each "
        "other, or move at right angles. Of few independent frames, much of it is chance.",
    )


def structure_blocks(h5: h5py.File, backbone: Backbone, title: str) -> list[str | Table | Figure | View]:
    """Show the starting structure in 3-D, coloured by what was found, and drawn without a program."""
    rmsf, own = h5["residue/rmsf_nm"][:], own_mode(h5)
    colourings = [
        by_value("RMSF", "RMSF of C-alpha", "nm", rmsf),
        by_value("Embedding", "context along component 1 of the embeddings", "", own, SIGNED, middle=True),
        by_kind("Secondary structure", "what a residue is in most frames", _mostly(h5), KINDS),
        by_kind("Chain", "chain", [chain or "(blank)" for chain, _, _ in places_of(h5)]),
    ]
    shown = view_of(title, backbone, labels_of(h5), colourings)
    blocks: list[str | Table | Figure | View] = [shown]
    if isinstance(shown, View):
        blocks.append(_EMBEDDING)
    if len(backbone.residues) == len(rmsf):
        drawn = trace(backbone.alphas() / 10, backbone.strands(), rmsf, places_of(h5), "RMSF of C-alpha (nm)")
        blocks.append(
            Figure(
                "Where the structure moves",
                drawn,
                "The C-alphas of the starting structure, joined, coloured by their fluctuation.",
                "The starting structure from where it is widest; thick is near, thin is far. Yellow residues "
                "fluctuate most, dark ones least; each half of what joins two residues has the colour of the "
                "nearer one, on the scale of the view in 3-D. The first residue of each chain is named.",
            )
        )
    return blocks


def _mostly(h5: h5py.File) -> list[str]:
    shares = np.stack([h5["residue/helix"][:], h5["residue/strand"][:]], axis=1)
    most = np.where((shares >= MOSTLY).any(axis=1), shares.argmax(axis=1), 2)
    known = np.isfinite(shares).all(axis=1)
    return [KINDS[kind] if sure else "not available" for kind, sure in zip(most, known, strict=True)]

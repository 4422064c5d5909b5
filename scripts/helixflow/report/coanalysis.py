"""Parts on the co-analysis of a structure: its motion, its contacts beside its embeddings, what they tell."""

from __future__ import annotations

import os

import h5py

from helixflow.coanalysis.measures import CRITERIA
from helixflow.report.analysis import curves_of, places_of
from helixflow.report.blocks import Figure, Section, number, plural
from helixflow.report.figures import curves, split_map
from helixflow.report.latent import latent_part
from helixflow.report.motion import motion_part
from helixflow.report.statistics import relation_part, statistics_part

#: What a contact is by each criterion.
WORDS = {"alphas": "their C-alphas", "heavy": "two of their heavy atoms"}


def coanalysis_parts(
    name: str,
    path: str | os.PathLike[str],
    figured: bool,
    where: str = "",
    topology: str | os.PathLike[str] | None = None,
) -> list[Section]:
    """Show the co-analysis of a structure.

    Parameters
    ----------
    name : str
        Within addresses.
    path : path
        What the co-analysis wrote.
    figured : bool
        Whether there are figures beside tables.
    where : str
        What ends the headings.
    topology : path, optional
        PDB file with the starting structure, for the view in 3-D.
    """
    with h5py.File(path) as h5:
        return [
            motion_part(name, h5, figured, where, topology),
            contacts_part(name, h5, figured, where),
            relation_part(name, h5, figured, where),
            latent_part(name, h5, figured, where),
            statistics_part(name, h5, where),
        ]


def contacts_part(name: str, h5: h5py.File, figured: bool, where: str) -> Section:
    """Show contacts over time, and how often residues meet beside how alike their embeddings are."""
    section = Section(f"structure-{name}-contacts", f"Contacts and embeddings{where}")
    section.blocks += [_criterion(h5), *_coverage(h5)]
    if figured:
        section.blocks += [*_over_time(h5), _map_figure(h5)]
    return section


def _criterion(h5: h5py.File) -> str:
    cutoff = number(float(h5.attrs["cutoff_nm"])), number(float(h5.attrs["heavy_cutoff_nm"]))
    asked = WORDS[_text(h5.attrs["criterion"])]
    return (
        f"Two residues are in contact where their C-alphas are closer than {cutoff[0]} nm, or by the other "
        f"criterion two of their heavy atoms closer than {cutoff[1]} nm; those of one chain from "
        f"{plural(int(h5.attrs['min_separation']), 'residue')} apart. What follows on embeddings goes by "
        f"{asked}, as coanalysis/contacts of the configuration says."
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


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


def _over_time(h5: h5py.File) -> list[Figure]:
    return [
        Figure(
            "Contacts over time",
            curves(curves_of(h5, "contacts"), "time (ps)", "contacts (pairs of residues)", whole=True),
            "Number of pairs of residues in contact by C-alphas over time, a curve per replica.",
            "Contacts that are lost and do not come back hint at unfolding.",
        ),
        Figure(
            "Contacts of heavy atoms over time",
            curves(curves_of(h5, "heavy_contacts"), "time (ps)", "contacts (pairs of residues)", whole=True),
            "Number of pairs of residues in contact by heavy atoms over time, a curve per replica.",
            "As before, by side chains too: a fall here alone is looser packing of the same fold.",
        ),
        Figure(
            "Coherence over time",
            curves(curves_of(h5, "coherence"), "time (ps)", "mean cosine of contacts"),
            "Mean embedding cosine of the residues in contact over time, a curve per replica.",
            "How similar the embeddings of residues in contact are; a residue has one embedding in all "
            "frames, so only contacts change it.",
        ),
    ]


def _map_figure(h5: h5py.File) -> Figure:
    criterion = _text(h5.attrs["criterion"])
    return Figure(
        "Contacts beside embeddings",
        split_map(
            h5[CRITERIA[criterion].frequency][:],
            h5["pair/embedding_cosine"][:],
            places_of(h5),
            "above the diagonal: contact frequency (share of frames)",
            "below the diagonal: cosine similarity of embeddings",
        ),
        "Matrix over residues, contact frequency above the diagonal and cosine of embeddings below it.",
        f"A square is a pair of residues: above, in which share of the frames {WORDS[criterion]} are in "
        "contact; mirrored below, how similar their embeddings are. A pattern on both sides of the diagonal "
        "is one that the embedding shares with the contacts.",
    )

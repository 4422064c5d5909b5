"""Part on the latent trajectory of a structure: its frames on the main components of three spaces."""

from __future__ import annotations

import math
from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.report.analysis import drawn_replicas, rows_of
from helixflow.report.blocks import Cell, Figure, Section, Table, number, percent, plural, table
from helixflow.report.plots import Plane, planes
from helixflow.report.statistics import FEW_FRAMES

#: Group of the file, heading, and unit of the projections.
SPACES = (
    ("motion", "motion of C-alphas", " (nm)"),
    ("embedding", "embeddings of frames", ""),
    ("contact", "contact map", ""),
)
#: Below so many frames for each component that it is told by, R² says little.
FRAMES_PER_PREDICTOR = 10
_NAMES = {space: heading for space, heading, _ in SPACES}
_NAMES["shuffled"] = "embeddings shuffled over the residues"


def latent_part(name: str, h5: h5py.File, figured: bool, where: str) -> Section:
    """Show the frames on the first two components, and what each space explains of the motion."""
    section = Section(f"structure-{name}-latent", f"Latent trajectory{where}")
    section.blocks.append(
        "Each frame is described in three ways: by where its C-alphas are, by the mean embedding of the "
        "residues in contact, and by which pairs are in contact. The embedding of a residue is the same in "
        "all frames, so all that it can tell of the motion comes by the contacts; the contact map is the "
        "plain description that embeddings must surpass to be of use."
    )
    section.blocks += [_shares_table(h5), _explained_table(h5), *_few_frames(h5)]
    if figured:
        section.blocks.append(_planes_figure(h5))
    return section


def _shares_table(h5: h5py.File) -> Table:
    shares = {space: _with_sums(h5[f"components/{space}/share"][:]) for space, _, _ in SPACES}
    rows = [
        (rank + 1, *(_share_words(of[rank]) if rank < len(of) else "none" for of in shares.values()))
        for rank in range(max(map(len, shares.values())))
    ]
    return table(
        "Share of the variance that each component has",
        " | ".join(["component #", *(f"{heading} #" for _, heading, _ in SPACES)]),
        rows,
        "Of the total variance over all frames of all replicas, in brackets with the components before it. A "
        "few components with most of it mean that few collective changes happen; of few independent frames, "
        "that is so by chance as well.",
    )


def _share_words(share: tuple[float, float]) -> str:
    own, total = share
    return f"{percent(own, 1)} ({percent(total, 1)})"


def _with_sums(shares: NDArray[np.float64]) -> list[tuple[float, float]]:
    return list(zip(shares.tolist(), np.cumsum(shares).tolist(), strict=True))


def _explained_table(h5: h5py.File) -> Table:
    group = h5["components/explained"]
    known = group["r2"].shape[1] if group["r2"].ndim == 2 else 0
    headings = " | ".join(["by the components of", *(f"motion {rank + 1} #" for rank in range(known))])
    rows = [
        (_NAMES.get(space, space), *(Cell(_r2_words(value)) for value in values))
        for space, values in rows_of(group, "space", "r2")
    ]
    return table(
        "What contacts and embeddings explain of the motion (R²)",
        headings,
        rows,
        "Share of the variance of each component of the motion that a linear regression on the components "
        "of the other space explains, in frames left out: stretches of time that it was not fitted to. Each "
        "replica is about its own mean, so where replicas stand apart explains nothing. 1 is all, 0 is no "
        "better than the mean of what was learnt from, below 0 is worse, as where the stretches are "
        "unlike each other. The embedding of a frame weighs residues by their numbers of contacts, which any "
        "vectors carry over: only what exceeds the same vectors shuffled over the residues (mean of ten "
        "shuffles) is of the embedding. R² has no error here, and where motion is slow single values up to "
        "0.6 come by chance.",
    )


def _few_frames(h5: h5py.File) -> Iterator[str]:
    """Say of how many frames R² is, and warn of few."""
    frames = len(h5["frame/time_ps"])
    segments = int(h5["components/explained"].attrs["segments"])
    predictors = max(h5[f"components/{space}/projection"].shape[1] for space in ("embedding", "contact"))
    independent = dict(rows_of(h5["statistics/series"], "name", "effective")).get("motion_1", math.nan)
    yield (
        f"R² is of {plural(frames, 'frame')} in {plural(segments, 'segment')} of time, told by at most "
        f"{plural(predictors, 'component')} of a space; the first component of the motion has "
        f"{number(independent, 3)} independent frames."
    )
    if frames < FRAMES_PER_PREDICTOR * predictors or not independent >= FEW_FRAMES:
        yield (
            f"Warning: below {FEW_FRAMES} independent frames, or {FRAMES_PER_PREDICTOR} frames for each "
            "component that it is told by, R² may be far off, also by its sign."
        )


def _r2_words(value: float) -> str:
    return number(round(value, 3), 3)


def _planes_figure(h5: h5py.File) -> Figure:
    shown = [_plane(h5, *space) for space in SPACES]
    drawing = planes(shown, h5["frame/time_ps"][:], h5["frame/replica"][:], drawn_replicas(h5))
    return Figure(
        "Frames on the first two components",
        drawing,
        "Three planes side by side, motion, embeddings and contact map, with a point per frame, coloured by "
        "time, marked by replica.",
        "A point is a frame, dark at the beginning and yellow at the end, its mark the replica. Clouds apart "
        "are states; replicas that do not overlap have not seen the same states. Where the same frames lie "
        "together in two planes, both descriptions see the same change. Signs of components mean nothing.",
        wide=True,
    )


def _plane(h5: h5py.File, space: str, heading: str, unit: str) -> Plane:
    """Take the first two components of a space; of fewer, what is missing is 0."""
    group = h5[f"components/{space}"]
    projection, shares = group["projection"][:], group["share"][:].tolist()
    x, y = (projection[:, at] if at < projection.shape[1] else np.zeros(len(projection)) for at in (0, 1))
    labels = [
        f"component {at + 1}{unit}, {percent(shares[at], 1)}"
        if at < len(shares)
        else f"no component {at + 1}"
        for at in (0, 1)
    ]
    return Plane(heading, x, y, *labels)

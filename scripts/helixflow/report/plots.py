"""The kinds of figures that only the co-analysis has: plain arrays in, drawings with what they show out.

Values without a sign have the colours of viridis, those with one the colours of `SIGNED` about white: both
are read alike by colour-blind readers, since lightness tells them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from helixflow.report.blocks import Drawing
from helixflow.report.blocks import number as short_number
from helixflow.report.canvas import (
    COLOURS,
    GREY,
    INK,
    LINE,
    MARKS,
    SIGNED,
    colour_bar,
    drawing,
    label_axes,
    shorten,
)
from helixflow.report.figures import Array, Place, name_pairs, pair_columns, residue_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points or lines above which they become an image within the drawing, so that it stays small.
MOST_SHAPES = 600
#: Of a map, odd so that 0 has one.
SHADES = 33


@dataclass(frozen=True)
class Plane:
    """Frames by their projections on two components, (T,) each, and the labels of the axes."""

    title: str
    x: Array
    y: Array
    x_label: str
    y_label: str


def signed_map(values: Array, places: Sequence[Place], label: str) -> Drawing:
    """Draw a symmetric (N, N) matrix of values from -1 to 1 over N residues."""
    import matplotlib as mpl

    # Few shades, white in the middle, keep the image small; the data have all digits.
    shades = mpl.colormaps[SIGNED].resampled(SHADES)
    with drawing(5.0, 5.0) as (axes, finish):
        image = axes.imshow(values, vmin=-1, vmax=1, cmap=shades, interpolation_stage="data")
        name_pairs(axes, places)
        colour_bar(axes, image, label, "top")
    return finish(pair_columns(places, {label: values}))


def planes(
    shown: Sequence[Plane], times: Array, replicas: NDArray[np.int64], chosen: Sequence[int]
) -> Drawing:
    """Draw frames in several planes side by side, coloured by time, with a mark for each replica.

    Parameters
    ----------
    shown : sequence of Plane
    times : (T,)
        In ps.
    replicas : (T,)
        Number of the replica that each frame is of.
    chosen : sequence of int
        The replicas that are drawn; all are in the data.
    """
    with drawing(9.6, 3.9) as (axes, finish):
        for panel, plane in zip(_panels(axes, 1, len(shown)), shown, strict=True):
            image = None
            for number, mark in zip(chosen, MARKS, strict=False):
                of = replicas == number
                image = panel.scatter(
                    plane.x[of], plane.y[of], s=14, c=times[of], marker=mark, cmap="viridis", linewidths=0,
                    vmin=_least(times), vmax=_most(times), alpha=0.85, label=f"replica {number}",
                    rasterized=len(times) > MOST_SHAPES,
                )  # fmt: skip
            panel.set_title(plane.title, fontsize=10, color=INK)
            panel.set_xlabel(plane.x_label)
            panel.set_ylabel(plane.y_label)
            panel.locator_params(nbins=5)
        if image is not None:
            bar = panel.figure.colorbar(image, ax=panel.figure.axes, location="right", shrink=0.9, aspect=30)
            bar.set_label("time (ps)")
            bar.outline.set_visible(False)
        _legend_of_marks(panel, chosen)
    columns: dict[str, Any] = {"replica": replicas, "time (ps)": times}
    for plane in shown:
        columns |= {f"{plane.title}, {plane.x_label}": plane.x, f"{plane.title}, {plane.y_label}": plane.y}
    return finish(columns)


def _least(values: Array) -> float:
    return float(values.min()) if len(values) else 0.0


def _most(values: Array) -> float:
    return float(values.max()) if len(values) else 1.0


def _legend_of_marks(panel: Axes, chosen: Sequence[int]) -> None:
    """Say which mark is which replica, in a grey that is no time's."""
    from matplotlib.lines import Line2D

    if len(chosen) > 1:
        marks = [
            Line2D([], [], linestyle="", marker=mark, color=GREY, label=f"replica {number}")
            for number, mark in zip(chosen, MARKS, strict=False)
        ]
        panel.figure.legend(handles=marks, loc="outside upper left", ncols=len(marks))


def _panels(axes: Axes, rows: int, columns: int, sharex: bool = False) -> list[Axes]:
    """Put a grid of axes in place of the one that a drawing begins with."""
    figure = axes.figure
    axes.remove()
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    return list(grid.ravel())


@dataclass(frozen=True)
class Chance:
    """What chance gives of one kind of pairs by one null, (n,), what was found, and its p in words.

    `draws` is what the values are of, such as permutations.
    """

    pairs: str
    null: str
    draws: str
    values: Array
    found: float
    p: str

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return bool(np.isfinite(self.found)) and bool(np.isfinite(self.values).any())


def null_panels(chances: Sequence[Chance], columns: int, label: str) -> Drawing:
    """Draw what chance gives as a histogram each, and what was found as a line in it.

    Parameters
    ----------
    chances : sequence of Chance
        The nulls of one kind of pairs follow each other; of kinds of which nothing is known, none is drawn.
    columns : int
        How many nulls there are.
    label : str
        Of the values.
    """
    kinds = {chance.pairs for chance in chances if chance.known} or {chance.pairs for chance in chances[:1]}
    shown = [chance for chance in chances if chance.pairs in kinds]
    rows = max(1, -(-len(shown) // columns))
    with drawing(7.6, 0.7 + 1.35 * rows) as (axes, finish):
        grid = _panels(axes, rows, columns, sharex=True)
        for panel, chance in zip(grid, shown, strict=False):
            _null_panel(panel, chance)
        for panel in grid[-columns:]:
            panel.set_xlabel(label)
    told = [
        (chance.pairs, chance.null, kind, value)
        for chance in chances
        for kind, values in (("chance", chance.values), ("found", [chance.found]))
        for value in values
    ]
    names, nulls, kind_of, value_of = zip(*told, strict=True) if told else ((), (), (), ())
    return finish({"pairs of residues": names, "null": nulls, "value of": kind_of, label: value_of})


def _null_panel(panel: Axes, chance: Chance) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_title(shorten(f"{chance.pairs}, {chance.null}", 60), fontsize=9, color=INK)
    if not chance.known:
        panel.set_yticks([])
        panel.annotate("not available", (0.5, 0.5), xycoords="axes fraction", ha="center", color=LINE)
        return
    null = chance.values[np.isfinite(chance.values)]
    panel.hist(null, bins=30, color=COLOURS[5], edgecolor="white", linewidth=0.3)
    panel.axvline(chance.found, color=COLOURS[1], linewidth=2.2)
    panel.set_ylabel(chance.draws, fontsize=9)
    panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.tick_params(labelsize=8)
    # In the corner that the line is not in; bars are low there.
    right = chance.found <= (null.min() + null.max()) / 2
    panel.annotate(
        f"found {short_number(round(chance.found, 2), 3)}\np {chance.p}",
        (0.99 if right else 0.01, 0.98), xycoords="axes fraction", fontsize=8, color=INK,
        ha="right" if right else "left", va="top",
    )  # fmt: skip


def trace(
    alphas: Array, strands: NDArray[np.int64], values: Array, places: Sequence[Place], label: str
) -> Drawing:
    """Draw the C-alphas of a structure from where it is widest, joined and coloured by a value.

    Parameters
    ----------
    alphas : (N, 3)
        In nm; NaN where a residue has none.
    strands : (N,)
        Number of the unbroken chain of each residue; others are not joined.
    values : (N,)
        Grey where NaN.
    places : sequence of (str, int, str)
    label : str
        Of the values, with their unit.
    """
    import matplotlib as mpl
    from matplotlib.collections import LineCollection

    shades = mpl.colormaps["viridis"].with_extremes(bad="#b4b9c1")
    flat = _flattened(alphas)
    joined = np.flatnonzero(np.diff(strands) == 0)
    with drawing(5.0, 4.6) as (axes, finish):
        # Each half of what joins two residues has the colour of the nearer one.
        first, second = flat[joined], flat[joined + 1]
        middle = (first + second) / 2
        ends = np.concatenate([np.stack([first, middle], axis=1), np.stack([middle, second], axis=1)])
        of = np.concatenate([joined, joined + 1])
        # What lies behind is drawn first and thinner.
        order = np.argsort(ends[:, :, 2].mean(axis=1), kind="stable")
        depth = np.linspace(1.2, 4.5, len(order))
        lines = LineCollection(list(ends[order, :, :2]), cmap=shades, linewidths=depth, capstyle="round",
                               rasterized=len(order) > MOST_SHAPES)  # fmt: skip
        lines.set_array(np.ma.masked_invalid(values[of[order]]))
        if np.isfinite(values).any():
            lines.set_clim(float(np.nanmin(values)), float(np.nanmax(values)))
        axes.add_collection(lines)
        axes.autoscale_view()
        axes.set_aspect("equal", adjustable="datalim")
        _name_ends(axes, flat, strands, places)
        label_axes(axes, "along the widest direction (nm)", "across it (nm)")
        if np.isfinite(values).any():
            colour_bar(axes, lines, label, "top")
    seen = {f"{axis} as drawn (nm)": flat[:, at] for at, axis in enumerate(("x", "y", "depth"))}
    return finish(residue_columns(places) | seen | {label: values})


def _name_ends(axes: Axes, flat: Array, strands: NDArray[np.int64], places: Sequence[Place]) -> None:
    """Write the first residue of each of the first chains beside it."""
    starts = np.flatnonzero(np.diff(strands, prepend=-1))[:8]
    for at in starts:
        chain, number, insertion = places[at]
        if np.isfinite(flat[at]).all():
            name = shorten(f"{chain} {number}{insertion}".strip(), 12)
            axes.annotate(
                name, (flat[at, 0], flat[at, 1]), fontsize=9, color=INK, zorder=5,
                xytext=(4, 4), textcoords="offset points",
                bbox={"fc": "white", "ec": "none", "pad": 1.0, "alpha": 0.8},
            )  # fmt: skip


def _flattened(alphas: Array) -> NDArray[np.float64]:
    """Turn (N, 3) so that the first axis is the widest and the last the narrowest."""
    known = np.isfinite(alphas).all(axis=1)
    if not known.any():
        return np.asarray(alphas, np.float64)
    centred = alphas - alphas[known].mean(axis=0)
    _, _, axes = np.linalg.svd(centred[known], full_matrices=True)
    # The sign of an axis is the linear algebra's whim; its greatest entry is made positive.
    signs = np.sign(axes[np.arange(3), np.abs(axes).argmax(axis=1)])
    turned: NDArray[np.float64] = centred @ (axes * signs[:, None]).T
    return turned

"""The kinds of figures: plain arrays in, drawings with what they show out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from helixflow.report.blocks import Columns, Drawing
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
    line_styles,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.floating[Any]]
#: Chain, number and insertion code of a residue in the file of its structure.
Place = tuple[str, int, str]

#: Values of a curve that are drawn; of a longer one, every second, third, … value.
MOST_POINTS = 300
#: Residues of an axis that are named, at most.
MOST_TICKS = 7
#: Names up to which a matrix is drawn in the width of other figures.
NARROW = 12

_RESIDUE = "residue, numbered as in the structure"


def curves(
    series: Mapping[str, tuple[Array, Array]], x_label: str, y_label: str, whole: bool = False
) -> Drawing:
    """Draw curves over one axis.

    Parameters
    ----------
    series : dict of str to ((T,), (T,))
        Name, abscissa and ordinate of each curve; NaN leaves a gap.
    x_label, y_label : str
        With their units.
    whole : bool
        Whether ordinates are counts.
    """
    from matplotlib.ticker import MaxNLocator

    with drawing(5.0, 2.9) as (axes, finish):
        for (name, (x, y)), style in zip(series.items(), line_styles(), strict=False):
            step = max(1, -(-len(x) // MOST_POINTS))
            axes.plot(x[::step], y[::step], label=shorten(name), **style)
        if whole:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        label_axes(axes, x_label, y_label, legend=len(series) > 1)
    return finish(
        {
            "curve": _repeated({name: len(x) for name, (x, _) in series.items()}),
            x_label: _joined([x for x, _ in series.values()]),
            y_label: _joined([y for _, y in series.values()]),
        }
    )


def residue_profile(series: Mapping[str, Array], places: Sequence[Place], y_label: str) -> Drawing:
    """Draw a value per residue.

    Parameters
    ----------
    series : dict of str to (N,)
        Name and values of each curve.
    places : sequence of (str, int, str)
        N residues; of several chains, each gets a line and its name.
    y_label : str
        With its unit.
    """
    with drawing(5.0, 2.9) as (axes, finish):
        for (name, values), style in zip(series.items(), line_styles(), strict=False):
            axes.plot(np.arange(len(values)), values, label=shorten(name), **style)
        starts = _chain_starts(places)
        for chain, start in starts.items() if len(starts) > 1 else ():
            axes.axvline(start - 0.5, color=GREY, linewidth=0.6)
            place = ("data", "axes fraction")
            axes.annotate(shorten(chain), (start, 1), xycoords=place, fontsize=9, color=LINE)
        ticks = residue_ticks(places)
        axes.set_xticks(list(ticks), ticks.values())
        label_axes(axes, _RESIDUE, y_label, legend=len(series) > 1)
    residues = residue_columns([place for values in series.values() for place in places[: len(values)]])
    curve = _repeated({name: len(values) for name, values in series.items()})
    return finish({"curve": curve} | residues | {y_label: _joined(list(series.values()))})


def residue_ticks(places: Sequence[Place]) -> dict[int, str]:
    """Choose the residues to name on an axis, by index: the first of each chain, then round numbers.

    Residues stand by index, so that gaps in the numbers and insertion codes shift nothing.
    """
    apart = len(places) / MOST_TICKS
    step = next(
        step for power in count() for step in (10**power, 2 * 10**power, 5 * 10**power) if step >= apart
    )
    starts = _chain_starts(places)
    rounded = (at for at, (_, number, insertion) in enumerate(places) if number % step == 0 and not insertion)
    ticks: dict[int, str] = {}
    for at in (*starts.values(), *rounded):
        if all(abs(at - other) >= apart for other in ticks):
            chain, number, insertion = places[at]
            ticks[at] = shorten(f"{chain if len(starts) > 1 else ''} {number}{insertion}".strip())
    return ticks


def _chain_starts(places: Sequence[Place]) -> dict[str, int]:
    """Find the index of the first residue of each chain."""
    chains = [chain for chain, _, _ in places]
    return {chain: chains.index(chain) for chain in dict.fromkeys(chains)}


def histogram(values: NDArray[np.int64], counts: NDArray[np.int64], x_label: str, y_label: str) -> Drawing:
    """Draw how often whole numbers occur, (n,) each, ascending, in at most 40 bins of one width."""
    from matplotlib.ticker import MaxNLocator

    with drawing(5.0, 2.9) as (axes, finish):
        if len(values):
            width = -(-int(values[-1] - values[0] + 1) // 40)
            edges = np.arange(values[0], values[-1] + width + 1, width).tolist()
            axes.hist(values, edges, weights=counts, color=COLOURS[0], edgecolor="white", linewidth=0.4)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        label_axes(axes, x_label, y_label)
    return finish({x_label: values, y_label: counts})


def matrix(values: Array, names: Sequence[str], colour_label: str) -> Drawing:
    """Draw a symmetric (n, n) matrix of shares from 0 to 1, with numbers in it where there is room.

    Only rows have names. For more than `NARROW` names the drawing is wider than others.
    """
    narrow = len(names) <= NARROW
    with drawing(*((5.0, 3.5) if narrow else (8.0, 6.2))) as (axes, finish):
        image = axes.imshow(values, vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks([])
        axes.set_yticks(range(len(names)), [shorten(name) for name in names])
        axes.tick_params(length=0, labelsize=9 if narrow else 8)
        axes.spines[:].set_visible(False)
        if len(names) <= 8:
            for (row, column), value in np.ndenumerate(values):
                ink = "white" if value > 0.55 else INK
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=ink)
        colour_bar(axes, image, colour_label, "right")
    first, second = np.triu_indices(len(names))
    of = np.array(names, object)
    return finish({"first": of[first], "second": of[second], colour_label: values[first, second]})


def scatter_map(
    points: Mapping[str, Array], x_label: str, y_label: str, names: Mapping[str, Columns]
) -> Drawing:
    """Draw points in the plane by group, (n, 2) each; groups behind the seventh are grey.

    `names` are more columns for each group, which tell what its points are.
    """
    with drawing(5.0, 4.2) as (axes, finish):
        for rank, (name, xy) in enumerate(points.items()):
            colour, mark = (COLOURS[rank], MARKS[rank]) if rank < len(COLOURS) else (GREY, ".")
            axes.scatter(
                xy[:, 0], xy[:, 1], s=22, c=colour, marker=mark, alpha=0.8, linewidths=0.4,
                edgecolors="white", label=shorten(name), rasterized=len(xy) > 1000,
            )  # fmt: skip
        label_axes(axes, x_label, y_label, legend=True)
    return finish(
        {
            "group": _repeated({name: len(xy) for name, xy in points.items()}),
            **{
                column: [value for name in points for value in names[name][column]]
                for column in next(iter(names.values()), {})
            },
            x_label: _joined([xy[:, 0] for xy in points.values()]),
            y_label: _joined([xy[:, 1] for xy in points.values()]),
        }
    )


def split_map(
    upper: Array, lower: Array, places: Sequence[Place], upper_label: str, lower_label: str
) -> Drawing:
    """Draw two symmetric (N, N) matrices over N residues as one square, each with a scale of its own.

    Above the diagonal is `upper`, from 0 to 1; below it `lower`, which has a sign: its scale reaches as far
    below 0 as above.
    """
    known = np.abs(lower[np.tri(len(lower), k=-1, dtype=bool) & np.isfinite(lower)])
    reach = float(known.max()) if known.size and known.max() > 0 else 1.0
    with drawing(5.0, 5.4) as (axes, finish):
        above = np.tri(len(upper), k=-1, dtype=bool).T
        above_image = axes.imshow(
            np.ma.masked_where(~above, upper),
            vmin=0,
            vmax=1,
            cmap=_shades("Blues"),
            interpolation_stage="data",
        )
        below_image = axes.imshow(
            np.ma.masked_where(~above.T, lower),
            vmin=-reach,
            vmax=reach,
            cmap=_shades(SIGNED),
            interpolation_stage="data",
        )
        name_pairs(axes, places)
        colour_bar(axes, above_image, upper_label, "top")
        colour_bar(axes, below_image, lower_label, "bottom")
    return finish(pair_columns(places, {upper_label: upper, lower_label: lower}))


def name_pairs(axes: Axes, places: Sequence[Place]) -> None:
    """Name the residues along both axes of a map, on a ground that tells pairs without a value."""
    axes.set_facecolor("#f1f3f5")
    ticks = residue_ticks(places)
    axes.set_xticks(list(ticks), ticks.values())
    axes.set_yticks(list(ticks), ticks.values())
    axes.set_xlabel(_RESIDUE)
    axes.set_ylabel(_RESIDUE)


def pair_columns(places: Sequence[Place], maps: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    """Give the pairs of N residues as columns, and what symmetric (N, N) matrices say of each."""
    first, second = np.triu_indices(len(places), 1)
    pairs = residue_columns(places, first, "first ") | residue_columns(places, second, "second ")
    return pairs | {label: values[first, second] for label, values in maps.items()}


def _shades(name: str) -> Any:
    """Give colours in so few steps that a large map stays a small image, odd so that 0 has one."""
    import matplotlib as mpl

    return mpl.colormaps[name].resampled(33)


def residue_columns(
    places: Sequence[Place], chosen: NDArray[np.intp] | None = None, prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """Give chain, number and insertion code of residues as columns, of all or of those at some indexes."""
    columns = {
        f"{prefix}chain": np.array([chain for chain, _, _ in places], object),
        f"{prefix}residue": np.array([number for _, number, _ in places], np.int32),
        f"{prefix}insertion code": np.array([insertion for _, _, insertion in places], object),
    }
    return columns if chosen is None else {name: column[chosen] for name, column in columns.items()}


def _repeated(lengths: Mapping[str, int]) -> list[str]:
    """Name each value of curves that stand below each other."""
    return [name for name, length in lengths.items() for _ in range(length)]


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(columns) if columns else np.empty(0)

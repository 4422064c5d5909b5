"""The figures: plain arrays in, SVG text out, with the same bytes each time.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; lines and points differ
in their dashes and marks too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.floating[Any]]
#: Chain, number and insertion code of a residue in the file of its structure.
Place = tuple[str, int, str]

#: Values of a curve that are drawn; of a longer one, every second, third, … value.
MOST_POINTS = 300
#: Residues of an axis that are named, at most.
MOST_TICKS = 7
#: Names up to which a matrix is drawn in the width of other figures.
NARROW = 12
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8a8f98"

_RESIDUE = "residue, numbered as in the structure"
_INK, _LINE = "#1c2430", "#5b6573"
_FONT = "DejaVu Sans"
_PAGE_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_STYLE: Any = {
    # Names of parts of a drawing are random otherwise.
    "svg.hashsalt": "helixflow",
    # Text is set by the browser, in the fonts of the page; names in it are no formulas.
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": [_FONT],
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.3,
}
_NAMELESS = {"Date": None, "Creator": None, "Format": None, "Type": None}


def curves(series: Mapping[str, tuple[Array, Array]], x_label: str, y_label: str, whole: bool = False) -> str:
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

    with _drawing(5.0, 2.9) as (axes, finish):
        for (name, (x, y)), style in zip(series.items(), _line_styles(), strict=False):
            step = max(1, -(-len(x) // MOST_POINTS))
            axes.plot(x[::step], y[::step], label=_short(name), **style)
        if whole:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        _label(axes, x_label, y_label, legend=len(series) > 1)
    return finish()


def residue_profile(series: Mapping[str, Array], places: Sequence[Place], y_label: str) -> str:
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
    with _drawing(5.0, 2.9) as (axes, finish):
        for (name, values), style in zip(series.items(), _line_styles(), strict=False):
            axes.plot(np.arange(len(values)), values, label=_short(name), **style)
        starts = _chain_starts(places)
        for chain, start in starts.items() if len(starts) > 1 else ():
            axes.axvline(start - 0.5, color=GREY, linewidth=0.6)
            place = ("data", "axes fraction")
            axes.annotate(_short(chain), (start, 1), xycoords=place, fontsize=9, color=_LINE)
        ticks = residue_ticks(places)
        axes.set_xticks(list(ticks), ticks.values())
        _label(axes, _RESIDUE, y_label, legend=len(series) > 1)
    return finish()


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
            ticks[at] = _short(f"{chain if len(starts) > 1 else ''} {number}{insertion}".strip())
    return ticks


def _chain_starts(places: Sequence[Place]) -> dict[str, int]:
    """Find the index of the first residue of each chain."""
    chains = [chain for chain, _, _ in places]
    return {chain: chains.index(chain) for chain in dict.fromkeys(chains)}


def histogram(values: NDArray[np.int64], counts: NDArray[np.int64], x_label: str, y_label: str) -> str:
    """Draw how often whole numbers occur, (n,) each, ascending, in at most 40 bins of one width."""
    from matplotlib.ticker import MaxNLocator

    with _drawing(5.0, 2.9) as (axes, finish):
        if len(values):
            width = -(-int(values[-1] - values[0] + 1) // 40)
            edges = np.arange(values[0], values[-1] + width + 1, width).tolist()
            axes.hist(values, edges, weights=counts, color=COLOURS[0], edgecolor="white", linewidth=0.4)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        _label(axes, x_label, y_label)
    return finish()


def matrix(values: Array, names: Sequence[str], colour_label: str) -> str:
    """Draw a symmetric (n, n) matrix of shares from 0 to 1, with numbers in it where there is room.

    Only rows have names. For more than `NARROW` names the drawing is wider than others.
    """
    narrow = len(names) <= NARROW
    with _drawing(*((5.0, 3.5) if narrow else (8.0, 6.2))) as (axes, finish):
        image = axes.imshow(values, vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks([])
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.tick_params(length=0, labelsize=9 if narrow else 8)
        axes.spines[:].set_visible(False)
        if len(names) <= 8:
            for (row, column), value in np.ndenumerate(values):
                ink = "white" if value > 0.55 else _INK
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=ink)
        _colour_bar(axes, image, colour_label, "right")
    return finish()


def scatter_map(points: Mapping[str, Array], x_label: str, y_label: str) -> str:
    """Draw points in the plane by group, (n, 2) each; groups behind the seventh are grey."""
    with _drawing(5.0, 4.2) as (axes, finish):
        for rank, (name, xy) in enumerate(points.items()):
            colour, mark = (COLOURS[rank], MARKS[rank]) if rank < len(COLOURS) else (GREY, ".")
            axes.scatter(
                xy[:, 0], xy[:, 1], s=22, c=colour, marker=mark, alpha=0.8, linewidths=0.4,
                edgecolors="white", label=_short(name), rasterized=len(xy) > 1000,
            )  # fmt: skip
        _label(axes, x_label, y_label, legend=True)
    return finish()


def split_map(upper: Array, lower: Array, places: Sequence[Place], upper_label: str, lower_label: str) -> str:
    """Draw two symmetric (N, N) matrices over N residues as one square, each with a scale of its own.

    Above the diagonal is `upper`, from 0 to 1; below it `lower`, over the range of its values.
    """
    with _drawing(5.0, 5.4) as (axes, finish):
        above = np.tri(len(upper), k=-1, dtype=bool).T
        first = axes.imshow(np.ma.masked_where(~above, upper), vmin=0, vmax=1, cmap="Blues")
        second = axes.imshow(np.ma.masked_where(~above.T, lower), cmap="Oranges")
        axes.set_facecolor("#f1f3f5")
        ticks = residue_ticks(places)
        axes.set_xticks(list(ticks), ticks.values())
        axes.set_yticks(list(ticks), ticks.values())
        axes.set_xlabel(_RESIDUE)
        axes.set_ylabel(_RESIDUE)
        _colour_bar(axes, first, upper_label, "top")
        _colour_bar(axes, second, lower_label, "bottom")
    return finish()


@contextmanager
def _drawing(width: float, height: float) -> Iterator[tuple[Axes, Callable[[], str]]]:
    """Give axes of a size in inches to draw on, and a function that gives the SVG afterwards."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasSVG(figure)
        svg: list[str] = []
        yield figure.add_subplot(), svg.pop
        svg.append(_to_svg(figure))


def _to_svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", dpi=100, metadata=_NAMELESS)
    svg = stream.getvalue().replace(f"'{_FONT}', sans-serif", _PAGE_FONTS)
    # Two decimals of 1/72 inch are finer than any screen or printer.
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)


def _line_styles() -> Iterator[dict[str, Any]]:
    for number in count():
        yield {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}


def _label(axes: Axes, x_label: str, y_label: str, legend: bool = False) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.margins(x=0.02)
    if legend:
        longest = max(len(str(artist.get_label())) for artist in axes.get_legend_handles_labels()[0])
        axes.figure.legend(loc="outside upper left", ncols=3 if longest <= 14 else 2)


def _colour_bar(axes: Axes, image: Any, label: str, location: str) -> None:
    bar = axes.figure.colorbar(image, ax=axes, location=location, shrink=0.8, aspect=30)
    bar.set_label(label)
    bar.outline.set_visible(False)


def _short(name: str, most: int = 24) -> str:
    """Leave out the middle of a long name, and what XML has no room for."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    half = most // 2
    return shown if len(shown) <= most else f"{shown[:half]}…{shown[1 - half :]}"

"""What every figure is drawn on: one style, axes of a size, and SVG text with the same bytes each time.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; lines and points differ
in their dashes and marks too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from helixflow.report.blocks import Columns, Drawing, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
#: Scale of colours for values with a sign, white at 0: orange above it, purple below.
SIGNED = "PuOr_r"
MARKS = ("o", "s", "^", "D", "v", "P", "X")
GREY, INK, LINE = "#8a8f98", "#1c2430", "#5b6573"

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
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.3,
}
_NAMELESS = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Axes, Callable[[Columns], Drawing]]]:
    """Give axes of a size in inches to draw on, and a function that gives the drawing afterwards.

    The function is called behind the block, with what the drawing shows: columns of one length, by names
    that have the units, of all values and not of the drawn ones alone.

    Examples
    --------
    >>> with drawing(5.0, 2.9) as (axes, finish):
    ...     _ = axes.plot(time, rmsd)
    >>> figure = Figure("RMSD", finish({"time (ps)": time, "RMSD (nm)": rmsd}), "...", "...")
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasSVG(figure)
        svg: list[str] = []
        yield figure.add_subplot(), lambda data: Drawing(svg.pop(), data)
        svg.append(_to_svg(figure))


def _to_svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", dpi=100, metadata=_NAMELESS)
    svg = stream.getvalue().replace(f"'{_FONT}', sans-serif", _PAGE_FONTS)
    # Two decimals of 1/72 inch are finer than any screen or printer.
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)


def line_styles() -> Iterator[dict[str, Any]]:
    """Give colours and dashes, those of one curve after those of another, without an end."""
    for number in count():
        yield {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}


def label_axes(axes: Axes, x_label: str, y_label: str, legend: bool = False) -> None:
    """Name both axes, with units, and curves or groups where there are several."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.margins(x=0.02)
    if legend:
        longest = max(len(str(artist.get_label())) for artist in axes.get_legend_handles_labels()[0])
        axes.figure.legend(loc="outside upper left", ncols=3 if longest <= 14 else 2)


def colour_bar(axes: Axes, image: Any, label: str, location: str) -> None:
    """Put the colours of an image and what they stand for at ``top``, ``bottom``, ``left`` or ``right``."""
    bar = axes.figure.colorbar(image, ax=axes, location=location, shrink=0.8, aspect=30)
    bar.set_label(label)
    bar.outline.set_visible(False)


def shorten(name: str, most: int = 24) -> str:
    """Leave out the middle of a long name, and what XML has no room for."""
    shown = printable(name)
    half = most // 2
    return shown if len(shown) <= most else f"{shown[:half]}…{shown[1 - half :]}"

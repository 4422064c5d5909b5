"""The drawing of the rules of a run and of what reads what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from helixflow.report.blocks import Columns, Drawing
from helixflow.report.canvas import COLOURS, INK, LINE, drawing
from helixflow.report.flow import Edge, arrange

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Width and height of a box, where the next column and the next layer are 1 apart.
_WIDTH, _HEIGHT = 0.94, 0.52
#: Size of a column and of a layer in inches.
_COLUMN, _LAYER = 1.8, 0.68


def flow_chart(
    captions: Mapping[str, str], shares: Mapping[str, float], edges: Collection[Edge], data: Columns
) -> Drawing:
    """Draw rules as boxes, with arrows to the rules that read from them.

    Parameters
    ----------
    captions : dict of str to str
        What is told of each rule.
    shares : dict of str to float
        How dark its box is, from 0 to 1.
    edges : collection of (str, str)
        Between these rules.
    data : columns
        What the drawing shows.
    """
    places, lines = arrange(list(captions), edges)
    columns = [column for column, _ in places.values()]
    left, right = min(columns, default=0) - 0.5, max(columns, default=0) + 0.5
    layers = 1 + max((layer for _, layer in places.values()), default=0)
    with drawing(max(5.0, _COLUMN * (right - left)), _LAYER * layers) as (axes, finish):
        axes.set_axis_off()
        axes.set(xlim=(left, right), ylim=(layers - 0.5, -0.5))
        for line in lines:
            _draw_line(axes, [places[name] for name in line])
        for name, caption in captions.items():
            _draw_box(axes, places[name], name, caption, shares[name])
    return finish(data)


def _draw_line(axes: Axes, places: Sequence[tuple[float, int]]) -> None:
    """Draw an arrow from the bottom of a box to the top of another, upright where it leads past boxes."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    column, layer = places[0]
    points, codes = [(column, layer + _HEIGHT / 2)], [Path.MOVETO]
    for after, below in places[1:]:
        top = below - _HEIGHT / 2
        middle = (points[-1][1] + top) / 2
        points += [(column, middle), (after, middle), (after, top), (after, below + _HEIGHT / 2)]
        codes += [Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
        column = after
    axes.add_patch(PathPatch(Path(points[:-1], codes[:-1]), fill=False, edgecolor=LINE, linewidth=0.9))
    axes.plot(*points[-2], marker=(3, 0, 180), markersize=5, color=LINE)


def _draw_box(axes: Axes, place: tuple[float, int], name: str, caption: str, share: float) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import FancyBboxPatch

    column, layer = place
    # Never darker than what black letters can be read on.
    strength = 0.06 + 0.5 * share
    colour = [1 - strength * (1 - part) for part in to_rgb(COLOURS[5])]
    corner = column - _WIDTH / 2, layer - _HEIGHT / 2
    shape = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch(corner, _WIDTH, _HEIGHT, boxstyle=shape, facecolor=colour, edgecolor=LINE, zorder=3)
    axes.add_patch(box)
    axes.text(
        column, layer - 0.1, name, ha="center", va="center", fontsize=8, weight="bold", color=INK, zorder=4
    )
    axes.text(column, layer + 0.13, caption, ha="center", va="center", fontsize=7.5, color=INK, zorder=4)

"""The files of the figures: each as SVG, and what it shows as a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.report.blocks import Columns, Figure, Section, printable

#: Rows of a table that are text at once.
_ROWS = 1 << 15
#: Letters of a name that are kept; of names that become alike, the later ones are counted.
_LONGEST = 80


def place_figures(sections: Sequence[Section]) -> None:
    """Give each figure a file of its own: the folder is named after its section, the file after its title.

    No name differs from another in case alone, since some file systems take such names for one.
    """
    taken: set[str] = set()
    for section in every_section(sections):
        folder = _untaken(_safe(section.anchor), taken)

        def place(figure: Figure, folder: str = folder) -> Figure:
            return replace(figure, file=_untaken(f"{folder}/{_safe(figure.title.lower())}", taken))

        change_figures([section], place)


def change_figures(sections: Sequence[Section], change: Callable[[Figure], Figure]) -> None:
    """Put a changed figure in the place of each, in the order of the page."""
    for section in every_section(sections):
        section.blocks[:] = [
            change(block) if isinstance(block, Figure) else block for block in section.blocks
        ]


def every_section(sections: Sequence[Section]) -> Iterator[Section]:
    """Yield sections and all parts below them, in the order of the page."""
    for section in sections:
        yield section
        yield from every_section(section.parts)


def figures_of(sections: Sequence[Section]) -> list[Figure]:
    """List the figures, in the order of the page."""
    return [
        block for section in every_section(sections) for block in section.blocks if isinstance(block, Figure)
    ]


def write_figures(sections: Sequence[Section], folder: Path) -> None:
    """Write each figure that has a place into two files, ``.svg`` and ``.tsv``."""
    for figure in figures_of(sections):
        path = folder / figure.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{path}.svg").write_text(figure.drawing.svg, encoding="utf-8")
        with Path(f"{path}.tsv").open("w", encoding="utf-8") as stream:
            stream.writelines(tsv_pieces(figure.drawing.data))


def to_tsv(data: Columns) -> str:
    """Write columns as text with a tab between values, numbers with all their digits, NaN as ``nan``."""
    return "".join(tsv_pieces(data))


def tsv_pieces(data: Columns) -> Iterator[str]:
    """Give what `to_tsv` writes in pieces, since as text a large map takes a gigabyte."""
    yield "\t".join(map(printable, data)) + "\n"
    columns = [np.asarray(column) for column in data.values()]
    for start in range(0, len(columns[0]), _ROWS):
        texts = [_texts(column[start : start + _ROWS]) for column in columns]
        yield "".join("\t".join(row) + "\n" for row in zip(*texts, strict=True))


def _texts(column: NDArray[Any]) -> list[str]:
    if column.dtype.kind in "fiub":
        # Of 4 bytes, a Python number has more digits than the number has.
        return list(map(str, column if column.dtype == np.float32 else column.tolist()))
    return ["" if value is None else printable(str(value)) for value in column.tolist()]


def _safe(name: str) -> str:
    """Keep letters, digits and the marks that are in names of samples; no name begins with a point."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_LONGEST] or "unnamed"


def _untaken(name: str, taken: set[str]) -> str:
    """Return the name, counted if another is the same but for case, and take it."""
    free = name
    number = 1
    while free.lower() in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free.lower())
    return free

"""What a page is made of: sections of text, tables and figures, and numbers put into words."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

#: Rows of a table that are shown; the files have the others.
MOST_ROWS = 200
#: Letters of a cell that are shown; its title has all.
MOST_LETTERS = 600
#: What stands where a file holds no number.
MISSING = "not available"

#: What a stage wrote as JSON.
Json = dict[str, Any]
#: Columns of one length, by names that have the units.
Columns = Mapping[str, Sequence[Any] | NDArray[Any]]

_KINDS = {"#": "number", ":": "code"}


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `mark` is ``good``, ``bad``, ``unsure`` or nothing, which the text says as well.

    Where the text is cut short, `whole` is all of it.
    """

    text: str
    mark: str = ""
    whole: str = ""


@dataclass(frozen=True)
class Table:
    """A table; `columns` has each heading and its kind, `left_out` counts the rows that are not shown."""

    caption: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]
    left_out: int
    note: str


@dataclass(frozen=True)
class Drawing:
    """A drawing and what it shows.

    Parameters
    ----------
    svg : str
    data : mapping of str to (n,)
        All values that are shown, not only those there is room for, by names that have their units.
    """

    svg: str
    data: Columns

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together."""
        lengths = {name: len(column) for name, column in self.data.items()}
        if not lengths or len(set(lengths.values())) > 1:
            raise ValueError(f"expected columns of one length, but got {lengths}")


@dataclass(frozen=True)
class Figure:
    """A drawing, what it shows in words, and how to read it; a `wide` one has a row of its own.

    `file` is its path below the folder of figures, without ending; the drawing of one that is not
    `shown` is there alone.
    """

    title: str
    drawing: Drawing
    alt: str
    reading: str
    wide: bool = False
    file: str = ""
    shown: bool = True


@dataclass(frozen=True)
class Colouring:
    """What residues are coloured by.

    `button` and `label` name it, the latter with its unit; `palette` has its colours. Of a scale, `low` and
    `high` are its ends; of kinds, `names` are theirs. `unknown` says whether some residue has no value.
    """

    button: str
    label: str
    palette: Sequence[str]
    low: str = ""
    high: str = ""
    names: Sequence[str] = ()
    unknown: bool = False


@dataclass(frozen=True)
class View:
    """A view in 3-D: `data` is what the program draws, see ``view.js``."""

    title: str
    reading: str
    colourings: Sequence[Colouring]
    data: Json


@dataclass
class Section:
    """A part of the page with a heading, and parts below it."""

    anchor: str
    title: str
    blocks: list[str | Table | Figure | View] = field(default_factory=list)
    parts: list[Section] = field(default_factory=list)


def table(caption: str, headings: str, rows: Iterable[Sequence[Any]], note: str = "") -> Table:
    """Make a table of any values, of which the first `MOST_ROWS` rows are shown.

    Parameters
    ----------
    caption : str
    headings : str
        Of the columns, with ``|`` between them. One that ends with ``#`` is of numbers, one that ends
        with ``:`` of digests, files or letters of a sequence.
    rows : iterable of sequence
        A value for each heading.
    note : str
        What a reader must know to understand it.
    """
    columns = [(name.strip(" #:"), _KINDS.get(name.strip()[-1:], "text")) for name in headings.split("|")]
    cells = [[_cell(value) for value in row] for row in rows]
    return Table(caption, columns, cells[:MOST_ROWS], max(0, len(cells) - MOST_ROWS), note)


def _cell(value: Any) -> Cell:
    """Make a cell of a value, of a very long one the ends."""
    if isinstance(value, Cell):
        return value
    text = words(value)
    half = MOST_LETTERS // 2
    return Cell(text) if len(text) <= MOST_LETTERS else Cell(f"{text[:half]} … {text[-half:]}", whole=text)


def facts(caption: str, values: Mapping[str, Any]) -> Table:
    """Make a table of names and values."""
    return table(caption, "what | value", values.items())


def words(value: Any) -> str:
    """Put a value into words: whole numbers with thin spaces, others with four digits, lists with commas.

    Letters of a text that steer how it is shown, such as U+202E, are shown as what they are.
    """
    if isinstance(value, str):
        return "".join(map(_shown, value)) if not value.isprintable() else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence):
        return ", ".join(map(words, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(count)} {name}" for name, count in value.items()) or "none"
    return number(value)


def _shown(letter: str) -> str:
    steers = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in "\n\t"
    return f"U+{ord(letter):04X}" if steers else letter


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits, a whole or large one with all before the point."""
    if value is None or not math.isfinite(value):
        return MISSING
    if float(value).is_integer() or 10**digits <= abs(value) < 1e15:
        grouped = f"{round(value):,}" if abs(value) >= 10_000 else str(round(value))
        return grouped.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "\N{MINUS SIGN}")
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    written = f"{mantissa} × 10^{int(exponent)}" if exponent else mantissa
    return written.replace("-", "\N{MINUS SIGN}")


def percent(part: float, whole: float) -> str:
    """Write a share of a whole in per cent."""
    share = 100 * part / whole if whole else math.nan
    return f"{number(share, 3)} %" if math.isfinite(share) else MISSING


def plural(count: int, noun: str) -> str:
    """Write a count and its noun, as in "1 residue" and "70 residues"."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """Show U+FFFD for what would end a line or a column, and what XML has no room for."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

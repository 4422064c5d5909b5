"""Readers of JSON, tab-separated and Parquet files: values by their keys, rows by some of their columns."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from helixflow.compare.records import (
    Key,
    Measured,
    Number,
    Reader,
    Record,
    digest_of,
    part_words,
    sort_records,
    without_copy,
)
from helixflow.files import read_json

#: Ends of names of columns that are units.
_UNITS = {
    "ps": "ps", "nm": "nm", "K": "K", "bar": "bar", "kg_m3": "kg/m³", "kJ_mol": "kJ/mol",
}  # fmt: skip


def json_reader(noun: str = "entry", without: str = "", only: str = "") -> Reader:
    """Read every value of a JSON file as a record, named by the keys on the way to it.

    Parameters
    ----------
    noun : str
        What a value is.
    without, only : str
        Regular expressions of keys, joined by ``/``, that are left out, and of those that are taken.
    """

    def read(path: Path) -> Iterator[Record]:
        found = {
            key: value
            for key, value in flatten(read_json(path))
            if not (without and re.search(without, key)) and (not only or re.search(only, key))
        }
        for key in sorted(found):
            yield Record((key,), digest_of(json.dumps(found[key])), found[key])

    return Reader(noun, read, measure_values)


def flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value of nested dictionaries and lists with the keys on the way to it, joined by ``/``."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flatten(value, f"{prefix}/{key}" if prefix else str(key))
    elif isinstance(content, list) and any(isinstance(value, dict | list) for value in content):
        for place, value in enumerate(content, 1):
            yield from flatten(value, f"{prefix}/{place:04d}")
    else:
        yield prefix, content


def measure_values(a: Any, b: Any) -> Measured:
    """Tell two values apart, and numbers by how much."""
    numbers = []
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b)):
        numbers = [Number("largest difference", abs(a - b), "", "most")]
    return Measured("", (value_words(a), value_words(b)), numbers)


def value_words(value: Any) -> str:
    """Write a value of a table or of JSON."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def tsv_reader(
    noun: str, keys: Sequence[str], without: Sequence[str] = (), where: Sequence[tuple[str, str]] = ()
) -> Reader:
    """Read the rows of a tab-separated table, named by some of their columns.

    Parameters
    ----------
    noun : str
        What a row is.
    keys, without : sequence of str
        Columns that name a row, and those that are not compared.
    where : sequence of (str, str)
        Columns and the value that a row must have there to be taken.
    """

    def rows(path: Path) -> Iterator[dict[str, Any]]:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
                if None in row or None in row.values():
                    raise ValueError(f"a row has another number of columns than the header: {list(row)}")
                if all(row[name] == value for name, value in where):
                    yield row

    return row_reader(noun, rows, keys, without)


def parquet_reader(noun: str, keys: Sequence[str], without: Sequence[str] = ()) -> Reader:
    """Read the rows of a Parquet file, as `tsv_reader`."""

    def rows(path: Path) -> Iterator[dict[str, Any]]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches():
                yield from batch.to_pylist()

    return row_reader(noun, rows, keys, without)


def row_reader(
    noun: str,
    rows: Callable[[Path], Iterator[dict[str, Any]]],
    keys: Sequence[str],
    without: Sequence[str] = (),
) -> Reader:
    """Read rows, which are sorted by the columns that name them."""

    def read(path: Path) -> Iterator[Record]:
        def records() -> Iterator[Record]:
            for row in rows(path):
                kept = {name: value for name, value in row.items() if name not in without}
                key = tuple(_key_part(kept.pop(name)) for name in keys)
                text = json.dumps(kept, ensure_ascii=False)
                yield Record(key, digest_of(text), text)

        return sort_records(records())

    def name(key: Key) -> str:
        told = [f"{name} {part_words(part)}" for name, part in zip(keys, key, strict=False) if part != ""]
        # One column needs no name: what a row is says what it is.
        return without_copy(key) if len(keys) == 1 else ", ".join(told)

    return Reader(noun, read, measure_rows, name)


def _key_part(value: Any) -> str | float:
    """Return a value of a key as a number where it is one that can be put in order, else as text."""
    text = str(value)
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text) else text


def measure_rows(a: str, b: str) -> Measured:
    """Tell in which columns two rows differ: the first of them, and by how much in all."""
    left, right = json.loads(a), json.loads(b)
    differing = [
        name
        for name in left.keys() | right.keys()
        if left.get(name, "no such column") != right.get(name, "no such column")
    ]
    differing.sort(key=[*left, *(name for name in right if name not in left)].index)
    first = differing[0]
    numbers = [_amount(name, left.get(name), right.get(name)) for name in sorted(differing)]
    return Measured(first, (value_words(left.get(first)), value_words(right.get(first))), numbers)


def _amount(column: str, a: Any, b: Any) -> Number:
    """Measure how values of a column differ: numbers by how much, others by how often."""
    try:
        difference = abs(float(a) - float(b))
    except (TypeError, ValueError):
        return Number(f"rows of other {column}", 1, "", "sum")
    unit = next((unit for end, unit in _UNITS.items() if column.endswith(f"_{end}")), "")
    return Number(f"largest difference of {column}", difference, unit, "most")

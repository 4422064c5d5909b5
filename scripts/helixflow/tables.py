"""Tables: Parquet files, the same bytes each time, and a database for what may not fit into memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

from helixflow.files import whole_file

_BATCH_ROWS = 65_536
_CACHE_KIB = 65_536


def write_parquet(
    final: str | os.PathLike[str], columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]
) -> None:
    """Write a table that is in memory, whole or not at all.

    Parameters
    ----------
    final : path
        The Parquet file.
    columns : dict of str to sequence
        Values of each column of `types`.
    types : dict of str to str
        Names of the columns, in order, and their Arrow types, such as ``string`` or ``int64``.
    """
    write_rows(final, zip(*(columns[name] for name in types), strict=True), types)


def write_rows(final: str | os.PathLike[str], rows: Iterable[Sequence[Any]], types: Mapping[str, str]) -> int:
    """Write a table from a stream of rows, each with its values in the order of `types`.

    Returns
    -------
    int
        Number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in types.items()])
    rows, total = iter(rows), 0
    with whole_file(final) as path, pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH_ROWS)):
            columns = zip(*batch, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            total += len(batch)
    return total


def read_rows(path: str | os.PathLike[str], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a Parquet file as tuples of the columns named, in that order, as a stream."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        for batch in table.iter_batches(_BATCH_ROWS, columns=list(names)):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


@contextmanager
def private_database(cache_kib: int = _CACHE_KIB) -> Iterator[sqlite3.Connection]:
    """Give an empty database for sorting and joining, whose memory does not follow the size of the data.

    It lives in memory up to `cache_kib` KiB, 64 MB unless told, and beyond that in a file of the folder
    TMPDIR names, which has no name, so nothing is left of it however the program ends. Sorting takes as
    much again.
    """
    with closing(sqlite3.connect("")) as database:
        database.execute(f"PRAGMA cache_size = -{cache_kib}")
        yield database

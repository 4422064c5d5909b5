"""The files of many samples put together without holding them: each is in order already.

What is held does not grow with the number of proteins: of sequences one a file, of tables one batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from helixflow.errors import MismatchError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.files import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

StrPath = str | os.PathLike[str]

#: FASTA files that are open at a time, each of which takes some 0.1 MB.
MOST_OPEN = 200
#: Rows of a group in a merged table.
_GROUP_ROWS = 65_536


def merge_proteins(fastas: Sequence[StrPath], most_open: int = MOST_OPEN) -> Iterator[tuple[str, str]]:
    """Give every distinct protein of FASTA files once, by ascending id.

    More files than may be open are merged in rounds, through files in the folder TMPDIR names.

    Parameters
    ----------
    fastas : sequence of path
        Each with its records by ascending id.
    most_open : int
        Files read at a time, at least 2.

    Yields
    ------
    name, sequence : str

    Raises
    ------
    MismatchError
        Where the records of a file are not in order, or one id has two sequences.
    """
    with TemporaryDirectory(prefix="helixflow-") as folder:
        files, number = list(fastas), 0
        while len(files) > most_open:
            # As few as leave no more than may be open; the rest is merged once.
            some = min(most_open, len(files) - most_open + 1)
            first, files = files[:some], files[some:]
            merged = Path(folder, f"{number}.fasta")
            write_fasta(merged, _merge(first))
            # Behind the others, so that none is merged much more often than another.
            files.append(merged)
            for file in first:
                if Path(folder) in Path(file).parents:
                    Path(file).unlink()
            number += 1
        yield from _merge(files)


def _merge(fastas: Iterable[StrPath]) -> Iterator[tuple[str, str]]:
    """Merge FASTA files in order, giving equal records once."""
    with ExitStack() as stack:
        # Closed when the merge is left early, so that no file stays open.
        records = [stack.enter_context(closing(_in_order(fasta))) for fasta in fastas]
        last = ("", "")
        for record in merge(*records):
            if record != last:
                if record[0] == last[0]:
                    raise MismatchError(
                        f"proteins: {record[0]} has two sequences, of {len(last[1])} and {len(record[1])} "
                        "residues (expected one); run again with --forcerun proteins"
                    )
                yield record
            last = record


def _in_order(fasta: StrPath) -> Generator[tuple[str, str], None, None]:
    """Give the records of a FASTA file, which must be by ascending id."""
    last = ""
    for name, sequence in read_fasta(fasta):
        if name <= last:
            raise MismatchError(
                f"{fasta}: record '{name}' comes after '{last}' (expected ascending ids); remove the file, "
                "and run again"
            )
        yield name, sequence
        last = name


def merge_tables(
    final: StrPath,
    tables: Iterable[StrPath],
    key: str,
    schema: pa.Schema,
    keep: Callable[[pa.RecordBatch], pa.RecordBatch],
) -> None:
    """Write tables one after the other as one, in groups of rows that do not depend on where one ends.

    Parameters
    ----------
    final : path
        The Parquet file, written whole or not at all.
    tables : iterable of path
        Parquet files; all rows of one have the same value in the column `key`, and no other has it.
    key : str
        A column of text, by which the tables are put in order.
    schema : pyarrow.Schema
        Of the tables.
    keep : callable
        Gives those rows of a batch that are written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole_file(final) as path, pq.ParquetWriter(path, schema) as writer:
        waiting: list[pa.RecordBatch] = []
        rows = 0
        for table in _by_first_value(tables, key):
            with pq.ParquetFile(table) as file:
                for batch in file.iter_batches(_GROUP_ROWS, columns=schema.names):
                    waiting.append(keep(batch))
                    rows += len(waiting[-1])
                    if rows >= _GROUP_ROWS:
                        whole = pa.Table.from_batches(waiting, schema).combine_chunks()
                        writer.write_table(whole.slice(0, _GROUP_ROWS))
                        waiting, rows = whole.slice(_GROUP_ROWS).to_batches(), rows - _GROUP_ROWS
        if rows:
            writer.write_table(pa.Table.from_batches(waiting, schema).combine_chunks())


def _by_first_value(tables: Iterable[StrPath], key: str) -> list[StrPath]:
    """Return the tables that have rows, ascending by their value of a column."""
    import pyarrow.parquet as pq

    values: list[tuple[str, str]] = []
    for table in tables:
        with pq.ParquetFile(table) as file:
            batch = next(file.iter_batches(1, columns=[key]), None)
            values += [(batch.column(0)[0].as_py(), os.fspath(table))] if batch else []
    return [table for _, table in sorted(values)]

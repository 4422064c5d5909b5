"""Section on proteins: how many each sample has, how long they are, and which samples share them."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from helixflow.report.blocks import Figure, Json, Section, Table, number, plural, table
from helixflow.report.figures import histogram
from helixflow.tables import private_database, read_rows

StrPath = str | os.PathLike[str]

#: Pairs of samples whose shared proteins are listed.
MOST_PAIRS = 20


@contextmanager
def seen_proteins(occurrences: StrPath) -> Iterator[sqlite3.Connection]:
    """Give a database with a table ``seen`` that has each pair of a protein and a sample once."""
    with private_database() as database:
        database.execute("CREATE TABLE seen (protein, sample, PRIMARY KEY (protein, sample)) WITHOUT ROWID")
        rows = read_rows(occurrences, ["protein", "sample"])
        database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        yield database


def count_lengths(index: StrPath) -> Counter[int]:
    """Count the distinct proteins of each length."""
    return Counter(length for (length,) in read_rows(index, ["length"]))


def proteins_section(
    counts: Sequence[Json],
    distinct: Json,
    lengths: Counter[int],
    database: sqlite3.Connection,
    brought: Collection[str] = (),
) -> Section:
    """Show how many proteins each sample has, how long they are and which samples share them.

    Parameters
    ----------
    counts : sequence of dict
        What each sample's job counted.
    distinct : dict
        What was counted over all of them.
    lengths : Counter
        Distinct proteins by length.
    database
        See `seen_proteins`.
    brought : collection of str
        Samples whose chains are of a trajectory that is brought along.
    """
    shared = dict(
        database.execute(
            "SELECT sample, count(*) FROM seen WHERE protein IN "
            "(SELECT protein FROM seen GROUP BY protein HAVING count(*) > 1) GROUP BY sample"
        )
    )
    rows = [
        (
            sample["sample"],
            "trajectory" if sample["sample"] in brought else sample["kind"],
            sample["occurrences"],
            sample["distinct"],
            shared.get(sample["sample"], 0),
            sample["partial"],
            sample.get("mode", "–"),
            ", ".join(sample.get("genetic_codes", {})) or "–",
        )
        for sample in counts
    ]
    by_sample = table(
        "Proteins by sample",
        "sample | kind | places # | distinct # | also in other samples # | partial # | gene model | "
        "genetic code",
        rows,
        "A place is a gene, a record or a chain. The gene model single was trained on the genome itself; "
        "meta is, for each contig, the best of Pyrodigal's metagenomic ones, with a genetic code of its own.",
    )
    return Section(
        "proteins",
        "Proteins",
        [
            f"{plural(distinct['distinct'], 'distinct protein')} seen at "
            f"{plural(distinct['occurrences'], 'place')}, of {number(distinct['min_length'])} to "
            f"{plural(distinct['max_length'], 'residue')}, together {number(distinct['residues'])}.",
            by_sample,
            *_letters_table(counts),
            *_pairs_table(database),
            *([_length_figure(lengths)] if len(lengths) > 1 else []),
        ],
    )


def _length_figure(lengths: Counter[int]) -> Figure:
    ascending = sorted(lengths)
    return Figure(
        "Length of the proteins",
        histogram(
            np.array(ascending, np.int64),
            np.array([lengths[length] for length in ascending], np.int64),
            "length (residues)",
            "distinct proteins",
        ),
        f"Histogram of the lengths of {plural(sum(lengths.values()), 'distinct protein')}.",
        "The height of a bar is the number of distinct proteins whose length is in its range.",
    )


def _letters_table(counts: Sequence[Json]) -> list[Table]:
    """List the letters that became X; nothing where none did."""
    rows = [
        (sample["sample"], letter, count)
        for sample in counts
        for letter, count in sample.get("mapped_to_X", {}).items()
    ]
    caption = "Letters the model has no trained vector for, embedded as X"
    return [table(caption, "sample | letter | residues #", rows)] if rows else []


def _pairs_table(database: sqlite3.Connection) -> list[Table]:
    """List the pairs of samples that share most proteins; nothing where none does."""
    rows = database.execute(
        "SELECT a.sample, b.sample, count(*) FROM seen a JOIN seen b USING (protein) "
        "WHERE a.sample < b.sample GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT ?",
        (MOST_PAIRS,),
    ).fetchall()
    headings = "sample | and | distinct proteins in both #"
    return [table(f"Samples that share proteins, {MOST_PAIRS} pairs at most", headings, rows)] if rows else []

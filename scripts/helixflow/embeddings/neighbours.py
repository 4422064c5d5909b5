"""The proteins of a run whose pooled vectors are nearest to those of a query, or to each other's."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.index import read_embedded
from helixflow.embeddings.nearest import Block, nearest
from helixflow.embeddings.reading import map_part, open_pooled, split_uri
from helixflow.embeddings.store import open_store
from helixflow.errors import EmbeddingError, LimitError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.proteins.names import normalise, protein_id
from helixflow.tables import private_database, write_rows

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

#: Columns of the table of neighbours and their Arrow types.
NEIGHBOUR_TYPES = {"query": "string", "protein": "string", "rank": "int32", "cosine": "float32"}
#: Vectors, and queries, of a block.
BLOCK = QUERIES = 4096

Neighbours = Iterator[tuple[str, str, int, float]]


def find_neighbours(
    index: StrPath,
    k: int,
    queries: StrPath | Sequence[str],
    embed: Callable[[Path], None],
    *,
    store: StrPath,
    key: str,
    limit: int,
) -> Neighbours:
    """Find the neighbours of the queries, a FASTA file, or of all proteins where there is none."""
    if queries:
        return neighbours_of(str(queries), index, k, store, key, embed)
    return neighbours_of_all(index, k, limit)


def neighbours_of_all(index: StrPath, k: int, limit: int) -> Neighbours:
    """Find the nearest neighbours of every protein of a run, itself left out.

    Parameters
    ----------
    index : path
        Parquet, as `helixflow.embeddings.index.write_index` writes it. Of near-duplicates the
        representative alone is looked at.
    k : int
        Neighbours of each protein.
    limit : int
        Most proteins; the time grows with their number squared.

    Yields
    ------
    query, protein, rank, cosine
        By id of the query, then by rank: cosine descending, then id of the protein.

    Raises
    ------
    LimitError
        For more proteins.
    """
    count = sum(1 for _ in read_embedded(index))
    if count > limit:
        raise LimitError(
            f"{index}: {count} proteins, expected at most {limit} (embeddings/neighbours_limit) to "
            "find the neighbours of all; raise it, or name the proteins of interest in "
            "embeddings/neighbours_query"
        )
    folder, proteins = Path(index).parent, list(read_embedded(index))
    for start in range(0, count, QUERIES):
        queries = proteins[start : start + QUERIES]
        yield from _search([name for name, _ in queries], queries, folder, index, k, own=True)


def neighbours_of(
    queries: StrPath,
    index: StrPath,
    k: int,
    store: StrPath,
    key: str,
    embed: Callable[[Path], None],
) -> Neighbours:
    """Find the nearest neighbours of the proteins of a FASTA file among those of a run.

    Parameters
    ----------
    queries : path
        FASTA of proteins, which need not be normalised; the name of a record is its header up to the
        first blank.
    index, k
        As of `neighbours_of_all`. A query that the run has is its own nearest neighbour.
    store, key
        Where pooled vectors are looked up; what the store lacks is embedded into it.
    embed : callable
        Embeds a FASTA file of normalised proteins, named by their ids, into the store.

    Yields
    ------
    query, protein, rank, cosine
        In the order of the queries, as of `neighbours_of_all`.

    Raises
    ------
    EmbeddingError
        For two queries of one name, or one without residues.
    """
    named = _read_queries(queries)
    _embed_lacking({protein: sequence for _, protein, sequence in named}, store, key, embed)
    with open_store(store, key) as stored:
        uris = [f"{stored.path(stored.get(protein).part)}#{protein}" for _, protein, _ in named]
    for start in range(0, len(named), QUERIES):
        names = [name for name, _, _ in named[start : start + QUERIES]]
        wanted = [(protein, uri) for (_, protein, _), uri in zip(named, uris, strict=True)]
        yield from _search(names, wanted[start : start + QUERIES], None, index, k, own=False)


def write_neighbours(path: StrPath, neighbours: Neighbours) -> None:
    """Write neighbours as Parquet with the columns of `NEIGHBOUR_TYPES`."""
    count = write_rows(path, neighbours, NEIGHBOUR_TYPES)
    log.info("%d neighbours in %s", count, path)


def pooled_blocks(proteins: Iterable[tuple[str, str]], folder: StrPath) -> Iterator[Block]:
    """Give ids and pooled vectors of proteins with their URIs, part by part, at most `BLOCK` at a time."""
    with private_database() as database:
        database.execute("CREATE TABLE pooled (part, protein)")
        rows = ((split_uri(uri)[0], protein) for protein, uri in proteins)
        database.executemany("INSERT INTO pooled VALUES (?, ?)", rows)
        cursor = database.execute("SELECT part, protein FROM pooled ORDER BY part, protein")
        while found := cursor.fetchmany(BLOCK):
            for part, group in groupby(found, key=itemgetter(0)):
                ids = np.array([protein for _, protein in group], "S35")
                yield ids, _pooled(str(Path(folder, part)), ids)


def _pooled(part: str, ids: NDArray[np.bytes_]) -> NDArray[np.float32]:
    """Take the pooled vectors of some proteins, ascending, from a part that must hold them."""
    mapped = map_part(part)
    rows = np.searchsorted(mapped.protein, ids).clip(max=len(mapped.protein) - 1)
    strangers = ids[mapped.protein[rows] != ids]
    if len(strangers):
        raise EmbeddingError(
            f"{part}: no protein {strangers[0].decode('ascii')} among the {len(mapped.protein)} of this "
            "part; run again with --forcerun index_embeddings"
        )
    vectors: NDArray[np.float32] = mapped.mean[rows]
    return vectors


def _search(
    names: list[str],
    queries: list[tuple[str, str]],
    folder: Path | None,
    index: StrPath,
    k: int,
    *,
    own: bool,
) -> Neighbours:
    """Find the neighbours of some queries, given by id and URI, and call them by their names."""
    ids = np.array([protein for protein, _ in queries], "S35")
    vectors = open_pooled((uri for _, uri in queries), folder)
    blocks = pooled_blocks(read_embedded(index), Path(index).parent)
    for query, rank, protein, cosine in zip(*nearest(vectors, blocks, k, ids if own else None), strict=True):
        yield names[query], protein.decode("ascii"), int(rank), float(cosine)


def _read_queries(path: StrPath) -> list[tuple[str, str, str]]:
    """Return name, id and normalised sequence of every record."""
    named: dict[str, tuple[str, str, str]] = {}
    for name, sequence in read_fasta(path):
        protein = normalise(sequence, f"{path}: record '{name}'")
        if not protein:
            raise EmbeddingError(f"{path}: record '{name}' has no residues, expected a protein")
        if name in named:
            raise EmbeddingError(
                f"{path}: two records are named '{name}', expected a name of its own for each"
            )
        named[name] = name, protein_id(protein), protein
    if not named:
        raise EmbeddingError(f"{path}: holds no record, expected proteins (embeddings/neighbours_query)")
    return list(named.values())


def _embed_lacking(
    proteins: Mapping[str, str], store: StrPath, key: str, embed: Callable[[Path], None]
) -> None:
    """Embed the proteins that the store lacks."""
    with open_store(store, key) as stored:
        lacking = {protein for protein in proteins if stored.find(protein) is None}
    log.info("%d of %d queries are in the store", len(proteins) - len(lacking), len(proteins))
    if lacking:
        with TemporaryDirectory() as scratch:
            fasta = Path(scratch, "queries.fasta")
            write_fasta(fasta, ((protein, proteins[protein]) for protein in sorted(lacking)))
            embed(fasta)

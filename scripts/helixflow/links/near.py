"""The proteins whose pooled embeddings are nearest to a chain's: proposals that share no word with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from helixflow.embeddings.index import read_embedded
from helixflow.embeddings.nearest import nearest
from helixflow.embeddings.neighbours import pooled_blocks
from helixflow.embeddings.reading import open_pooled
from helixflow.errors import MismatchError
from helixflow.fasta import read_fasta
from helixflow.proteins.names import normalise, protein_id
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]

#: Proteins proposed for a chain by their embeddings.
MOST_NEAR = 20


def find_near(
    chains: Iterable[str], index: StrPath, excluded: Set[str], most: int = MOST_NEAR
) -> dict[str, set[str]]:
    """Find the proteins whose pooled vectors are nearest to those of chains, by cosine.

    Parameters
    ----------
    chains : iterable of str
        Distinct sequences of chains, all of which are in the index.
    index : path
        Parquet, as `helixflow.embeddings.index.write_index` writes it.
    excluded : set of str
        Ids of proteins that are no candidates.
    most : int
        Proteins for each chain.

    Returns
    -------
    dict of str to set of str
        Their ids, for each chain.
    """
    sequences, folder = sorted(chains), Path(index).parent
    names = [protein_id(normalise(sequence, "chain")) for sequence in sequences]
    wanted = set(names)
    uris = {protein: uri for protein, uri in read_rows(index, ["protein", "uri"]) if protein in wanted}
    missing = sorted(wanted - set(uris))
    if missing:
        raise MismatchError(
            f"{index}: no protein {missing[0]}, a chain of the structure; "
            "run again with --forcerun index_embeddings"
        )
    near: dict[str, set[str]] = {sequence: set() for sequence in sequences}
    if sequences:
        candidates = (entry for entry in read_embedded(index) if entry[0] not in excluded)
        vectors = open_pooled((uris[name] for name in names), folder)
        query, _, proteins, _ = nearest(vectors, pooled_blocks(candidates, folder), most)
        for number, protein in zip(query, proteins, strict=True):
            near[sequences[number]].add(protein.decode("ascii"))
    return near


def read_with_embedding(proteins: StrPath, index: StrPath) -> Iterator[tuple[str, str]]:
    """Give the proteins of a FASTA file that have an embedding of their own.

    Raises
    ------
    MismatchError
        For one that the index lacks, which has the proteins in the same order.
    """
    rows = read_rows(index, ["protein", "embedded"])
    for protein, sequence in read_fasta(proteins):
        embedded = next((embedded for name, embedded in rows if name == protein), None)
        if embedded is None:
            raise MismatchError(
                f"{index}: no protein {protein}, or not in the order of {proteins}, which has it; "
                "run again with --forcerun index_embeddings"
            )
        if embedded == protein:
            yield protein, sequence

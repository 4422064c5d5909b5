"""The embeddings that one structure rests on: those of the proteins that its residues are linked to."""

from __future__ import annotations

from pathlib import Path

from helixflow.compare.contrast import readable
from helixflow.compare.vectors import vectors_digest
from helixflow.files import read_tsv
from helixflow.tables import read_rows


def linked_vectors_differ(a: Path, b: Path, structure: str) -> bool:
    """Tell whether two runs have other vectors for a protein that a structure is linked to.

    Parameters
    ----------
    a, b : path
        Folders results.
    structure : str
        A structure or trajectory that both have links of; where one has none, they are thought to differ.
    """
    found = []
    for results in (a, b):
        links, index = results / "links" / f"{structure}.tsv", results / "embeddings/index.parquet"
        if not (links.exists() and index.exists()):
            return True
        with readable(links):
            linked = {row["protein"] for row in read_tsv(links)} - {""}
        with readable(index):
            found.append(_digests(index, linked))
    return found[0] != found[1]


def _digests(index: Path, proteins: set[str]) -> dict[str, bytes]:
    """Return digests of the vectors of some proteins of an index."""
    rows = read_rows(index, ["protein", "uri"])
    uris = {protein: uri for protein, uri in rows if protein in proteins}
    return {protein: vectors_digest(uri, index.parent) for protein, uri in uris.items()}

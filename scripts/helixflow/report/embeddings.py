"""Section on embeddings: what made them, and a map of the proteins."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.reading import open_pooled
from helixflow.files import read_json
from helixflow.report.blocks import Figure, Json, Section, Table, facts, percent, plural, table
from helixflow.report.canvas import COLOURS
from helixflow.report.figures import scatter_map
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]

#: Proteins on the map. Ids are digests, so the first by id are a random sample.
MOST_POINTS = 3000


def embeddings_section(
    model: Json,
    index: StrPath,
    long: Sequence[tuple[str, int]],
    trained: int,
    database: sqlite3.Connection,
    jobs: Sequence[StrPath] = (),
    neighbours: Sequence[str | Table] = (),
) -> Section:
    """Show what made the embeddings, and a map of the proteins.

    Parameters
    ----------
    model : dict
        Description of the model.
    index : path
        Where each protein's embedding is.
    long : sequence of (str, int)
        Id and length of the proteins that are longer than what the model was trained on.
    trained : int
        Residues up to which it was trained.
    database
        See `seen_proteins`.
    jobs : sequence of path
        Summaries of the jobs that embedded.
    neighbours : sequence of str or Table
        See `neighbours_table`.
    """
    section = Section("embeddings", "Embeddings")
    section.blocks.append(
        facts(
            "Model",
            {
                "model": model["model"],
                "revision": model["revision"] or "local folder",
                "note": model["note"] or "none",
                "sha256 of the weights": model["weights_sha256"],
                "dimension": model["hidden_size"],
                "layer": model["layer"],
                "normalisation": model["normalisation"],
                "computed in, stored in": f"{model['compute_dtype']}, {model['storage_dtype']}",
                "key in the store": model["key"],
            },
        )
    )
    if jobs:
        section.blocks.append(_jobs_table(jobs))
    if long:
        caption = f"Proteins of more than {trained} residues, embedded whole"
        section.blocks.append(table(caption, "protein: | residues #", long))
    section.blocks += [*neighbours, _embedding_map(index, database)]
    return section


def _jobs_table(jobs: Sequence[StrPath]) -> Table:
    """Show what each job embedded and how fast."""
    rows = [
        (
            Path(path).stem, job["given"], job["proteins"], job["residues"], job["residues_per_s"],
            percent(job["packing"], 1), job["memory_MB"], job["gpu_memory_MB"], job["compute_dtype"],
            f"{job['device']}, {plural(job['threads'], 'thread')}",
        )
        for path, job in ((path, read_json(path)) for path in jobs)
    ]  # fmt: skip
    headings = (
        "job | proteins # | embedded # | residues # | residues/s # | packs full # | memory, MB # | "
        "of the GPU, MB # | numbers | machine"
    )
    note = (
        "Embedded are those the store did not have when the job began; packs full is the share of the token "
        "budget in use."
    )
    return table("Jobs", headings, rows, note)


def find_long(index: StrPath, trained: int) -> list[tuple[str, int]]:
    """Return id and length of the proteins longer than this, longest first."""
    rows = read_rows(index, ["protein", "length"])
    long = ((protein, length) for protein, length in rows if length > trained)
    return sorted(long, key=lambda row: (-row[1], row[0]))


def _embedding_map(index: StrPath, database: sqlite3.Connection) -> Figure | str:
    proteins, vectors = read_means(index, MOST_POINTS)
    if len(proteins) < 3:
        return f"No map is drawn of {plural(len(proteins), 'protein')}; it takes three."
    points, explained = principal_components(vectors)
    samples = _sample_of(proteins, database)
    total = Counter(samples)
    ranked = sorted(total, key=lambda sample: (-total[sample], sample))
    own, others = ranked[: len(COLOURS)], set(ranked[len(COLOURS) :])
    of_sample, ids = np.array(samples), np.array(proteins)
    chosen = {sample: of_sample == sample for sample in own}
    if others:
        chosen[f"{len(others)} other samples"] = np.isin(of_sample, sorted(others))
    groups = {name: points[rows] for name, rows in chosen.items()}
    told = {name: {"protein": ids[rows], "sample": of_sample[rows]} for name, rows in chosen.items()}
    first, second = (percent(share, 1) for share in explained)
    drawn = f" These are {MOST_POINTS} proteins drawn at random." if len(proteins) == MOST_POINTS else ""
    return Figure(
        "Map of the proteins",
        scatter_map(
            groups, f"first component ({first} of the variance)", f"second component ({second})", told
        ),
        f"Scatter plot of {len(proteins)} proteins on two principal components of their mean embeddings.",
        "A point is a distinct protein, at the first two principal components of the proteins' mean vectors. "
        f"They show {percent(sum(explained), 1)} of the variance: far points differ, near ones may.{drawn}",
    )


def read_means(index: StrPath, most: int) -> tuple[list[str], NDArray[np.float32]]:
    """Read the mean vectors of the first proteins of an index.

    Returns
    -------
    proteins : list of str
        Ids, n of them.
    means : (n, D) float32
    """
    rows = list(islice(read_rows(index, ["protein", "uri"]), most))
    return [protein for protein, _ in rows], open_pooled((uri for _, uri in rows), Path(index).parent)


def principal_components(
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Project vectors on their first two principal components.

    Parameters
    ----------
    vectors : (n, D)
        n at least 2, D at least 2.

    Returns
    -------
    points : (n, 2) float64
        The largest weight of each component is positive, so that its sign does not depend on chance.
    explained : (float, float)
        Share of the variance; NaN where there is none.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, sizes, weights = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(weights[:2]).argmax(axis=1)
    signs = np.sign(weights[[0, 1], largest])
    with np.errstate(invalid="ignore"):
        first, second = (sizes[:2] ** 2 / (sizes**2).sum()).tolist()
    return centred @ (weights[:2] * signs[:, None]).T, (first, second)


def _sample_of(proteins: Sequence[str], database: sqlite3.Connection) -> list[str]:
    """Name the sample of each protein, or say that there are several."""
    rows = database.execute(
        "SELECT protein, CASE count(*) WHEN 1 THEN min(sample) ELSE 'several samples' END FROM seen "
        "WHERE protein <= ? GROUP BY protein",
        (max(proteins),),
    )
    samples: dict[str, str] = dict(rows)
    return [samples[protein] for protein in proteins]

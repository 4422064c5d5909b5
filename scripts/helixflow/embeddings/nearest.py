"""Exact nearest neighbours by cosine, in blocks.

Axes: Q queries, B vectors of a block, D numbers of a vector.

A product in float32 says which vectors of a block can be among the nearest, with a margin above its
rounding error; the cosines of those are then computed in float64. So the result depends neither on the
blocks nor on who computed the product, and equal vectors are equal: they come by ascending id.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Above the error of a cosine in float32, of vectors of some thousand numbers.
MARGIN = 1e-5
#: Cosines that differ by less are the same: the order in which numbers are added is not always one.
_DECIMALS = 9
#: More than are asked of faiss, whose order among equals is another one.
_SPARE = 32
_PAIRS = 4096

Block = tuple[NDArray[np.bytes_], NDArray[np.float32]]


class Nearest:
    """The nearest of the vectors seen so far, for each of some queries.

    Parameters
    ----------
    queries : (Q, D) float32
        The cosine of a vector that is zero is 0.
    k : int
        Neighbours wanted for each query.
    own : (Q,) bytes, optional
        Id of each query among the vectors, which is not its neighbour.
    faiss : bool, optional
        Whether faiss computes the products; by default where it is installed.
    """

    def __init__(
        self,
        queries: NDArray[np.float32],
        k: int,
        own: NDArray[np.bytes_] | None = None,
        faiss: bool | None = None,
    ) -> None:
        self._queries = normalised(queries)
        self._short = self._queries.astype(np.float32)
        self._k = k
        self._own = own
        self._faiss = _find_faiss(faiss)
        # What is kept of each query, flat: its number, the cosine and the id of the neighbour.
        self._query = np.empty(0, np.int64)
        self._cosine = np.empty(0, np.float64)
        self._id = np.empty(0, "S35")
        self._worst = np.full(len(queries), -np.inf)

    def add(self, ids: NDArray[np.bytes_], vectors: NDArray[np.float32]) -> None:
        """Look through a block: (B,) ids and their (B, D) vectors."""
        unit = normalised(vectors)
        query, row = self._candidates(unit.astype(np.float32))
        if self._own is not None:
            other = self._own[query] != ids[row]
            query, row = query[other], row[other]
        cosine = np.empty(len(query))
        for start in range(0, len(query), _PAIRS):
            pairs = slice(start, start + _PAIRS)
            cosine[pairs] = np.einsum("nd,nd->n", self._queries[query[pairs]], unit[row[pairs]])
        self._query = np.concatenate([self._query, query])
        self._cosine = np.concatenate([self._cosine, np.round(cosine, _DECIMALS)])
        self._id = np.concatenate([self._id, ids[row]])
        self._keep_best()

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bytes_], NDArray[np.float64]]:
        """Return query, rank from 1, id and cosine of all neighbours, by query and rank."""
        return self._query, self._ranks() + 1, self._id, self._cosine

    def _candidates(self, unit: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pick the pairs of query and row of a block, (B, D), that can be among the nearest."""
        # A query that is there itself takes one place.
        wanted = self._k + (self._own is not None)
        if self._faiss is not None and len(unit) > wanted + _SPARE:
            cosine, row = self._faiss.knn(
                self._short, unit, wanted + _SPARE, metric=self._faiss.METRIC_INNER_PRODUCT
            )
            least = self._least(cosine, wanted)
            if (cosine[:, -1] < least).all():
                query, place = np.nonzero(cosine >= least[:, None])
                return query, row[query, place]
        cosine = self._short @ unit.T
        query, found = np.nonzero(cosine >= self._least(cosine, wanted)[:, None])
        return query, found

    def _least(self, cosine: NDArray[np.float32], wanted: int) -> NDArray[np.float64]:
        """Return the cosine below which nothing of a block can be among the nearest, (Q,)."""
        least = self._worst
        if cosine.shape[1] > wanted:
            among_block = np.partition(cosine, -wanted, axis=1)[:, -wanted]
            least = np.maximum(least, among_block)
        return least - MARGIN

    def _keep_best(self) -> None:
        order = np.lexsort((self._id, -self._cosine, self._query))
        self._query, self._cosine, self._id = self._query[order], self._cosine[order], self._id[order]
        kept = self._ranks() < self._k
        self._query, self._cosine, self._id = self._query[kept], self._cosine[kept], self._id[kept]
        last = self._ranks() == self._k - 1
        self._worst[self._query[last]] = self._cosine[last]

    def _ranks(self) -> NDArray[np.int64]:
        """Count the neighbours of a query before each, which lie in order."""
        return np.arange(len(self._query)) - np.searchsorted(self._query, self._query)


def nearest(
    queries: NDArray[np.float32],
    blocks: Iterable[Block],
    k: int,
    own: NDArray[np.bytes_] | None = None,
    faiss: bool | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bytes_], NDArray[np.float64]]:
    """Find the `k` vectors of all blocks nearest to each query; see `Nearest`."""
    found = Nearest(queries, k, own, faiss)
    for ids, vectors in blocks:
        found.add(ids, vectors)
    return found.result()


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Divide vectors, (N, D), by their lengths; one that is zero stays so."""
    exact = vectors.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(length > 0, length, 1)


def _find_faiss(wanted: bool | None) -> Any:
    """Load faiss where it is wanted, and installed unless it is asked for."""
    if wanted is False or (wanted is None and find_spec("faiss") is None):
        return None
    return import_module("faiss")

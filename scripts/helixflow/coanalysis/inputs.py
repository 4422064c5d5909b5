"""What an analysis starts from, read and checked against each other, but for the frames and the vectors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.contacts import Features, choose_features
from helixflow.coanalysis.embedding import Place, find_embeddings
from helixflow.coanalysis.links import Link, read_links
from helixflow.coanalysis.measures import CRITERIA, Measures
from helixflow.coanalysis.predicted import read_predicted
from helixflow.structures.residues import Residue, read_residues


@dataclass(frozen=True)
class Request:
    """The files of one structure, and what is asked of them.

    `measures` has one file per replica, numbered by `replicas`; `contacts` are tables of contact maps that
    a model predicted, none where none were asked for. `criterion` is which contacts are compared with
    embeddings, ``alphas`` or ``heavy``, `components` how many principal components are kept, `permutations`
    how many a correlation is held against, and `seed` theirs.
    """

    residues: str
    links: str
    index: str
    contacts: Sequence[str]
    measures: Sequence[str]
    replicas: Sequence[int]
    criterion: str
    components: int
    permutations: int
    seed: int


@dataclass(frozen=True)
class Inputs:
    """What is known before the frames are read.

    `places` says where the proteins are in the store, `settings` what the measures count as a contact and
    a neighbour, `frequency` (N, N) is that of the contacts asked for over all frames, `start` (N, N) bool
    those of the first frame of the first replica, and `reference` (N, 3) its C-alphas in nm; `predicted`
    is (N, N), or None where no contacts were predicted.
    """

    residues: list[Residue]
    links: list[Link]
    places: dict[str, Place]
    settings: dict[str, float | int]
    frames: list[int]
    frequency: NDArray[np.float64]
    features: Features
    start: NDArray[np.bool_]
    reference: NDArray[np.float64]
    predicted: NDArray[np.float32] | None


def read_inputs(request: Request) -> Inputs:
    """Read and check everything but the frames and the vectors.

    Raises
    ------
    MismatchError, EmbeddingError
        If two of the files do not fit together, or one cannot be read.
    """
    residues = read_residues(request.residues)
    links = read_links(request.links, residues, request.residues)
    places = find_embeddings(request.index, links, request.links)
    with ExitStack() as stack:
        measures = open_measures(stack, request)
        check_measures(measures, residues, request.residues)
        frames = [one.frames for one in measures]
        frequency = pool_frequency(measures, CRITERIA[request.criterion].frequency)
        _, pairs = measures[0].contacts(request.criterion, 0, 1)
        return Inputs(
            residues=residues,
            links=links,
            places=places,
            settings=measures[0].settings,
            frames=frames,
            frequency=frequency,
            features=choose_features(frequency),
            start=_as_map(pairs, len(residues)),
            reference=measures[0].alphas(0, 1)[0],
            predicted=read_predicted(request.contacts, places, links, residues),
        )


def open_measures(stack: ExitStack, request: Request) -> list[Measures]:
    """Open the measures of all replicas, until the stack is left."""
    numbered = zip(request.measures, request.replicas, strict=True)
    return [stack.enter_context(Measures(path, replica)) for path, replica in numbered]


def check_measures(
    measures: Sequence[Measures], residues: Sequence[Residue], residues_file: str | os.PathLike[str]
) -> None:
    """Raise MismatchError if replicas are not of these residues, or were measured in different ways."""
    for one in measures:
        one.check_residues(residues, residues_file)
        one.check_settings(measures[0])


def pool_frequency(measures: Sequence[Measures], name: str) -> NDArray[np.float64]:
    """Return (N, N): in what share of all frames a pair is in contact, from that of each replica."""
    # Numbers of frames are whole, so that the sum is exact.
    number = sum(np.rint(one.read(name) * one.frames) for one in measures)
    frequency: NDArray[np.float64] = number / sum(one.frames for one in measures)
    return frequency


def _as_map(pairs: NDArray[np.uint32], n_residue: int) -> NDArray[np.bool_]:
    contact = np.zeros((n_residue, n_residue), np.bool_)
    first, second = np.divmod(pairs.astype(np.int64), n_residue)
    contact[first, second] = contact[second, first] = True
    return contact

"""The co-analysis of one structure, from measures to file, by all ranks of a communicator."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.blocks import Spaces, Survey, Task, project_block, survey_block
from helixflow.coanalysis.components import Components, find_components, find_weighted_components
from helixflow.coanalysis.embedding import read_embedding
from helixflow.coanalysis.explained import SHUFFLES, about_replicas, explain
from helixflow.coanalysis.inputs import Inputs, Request, open_measures, read_inputs
from helixflow.coanalysis.moments import Moments
from helixflow.coanalysis.motion import LEAST_VARIANCE_NM2, cross_correlation
from helixflow.coanalysis.output import (
    create_frames,
    put,
    write_inputs,
    write_means,
    write_projection,
    write_spaces,
    write_survey,
)
from helixflow.coanalysis.parallel import agree, map_in_order
from helixflow.coanalysis.statistics import StatisticsSettings, write_statistics
from helixflow.coanalysis.whole import whole_h5

if TYPE_CHECKING:
    import h5py
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Of the mean square length of the residues' vectors, the variance that rounding alone can have.
_ROUNDING = 1e-15
#: A covariance above this is worth a line in the log.
_LARGE_BYTES = 200_000_000


def analyse_structure(comm: Intracomm, request: Request, output: str | os.PathLike[str]) -> None:
    """Analyse all replicas of a structure; every rank calls this.

    Raises
    ------
    MismatchError, EmbeddingError
        The same on all ranks.
    OSError
        On rank 0, where there is no room for the output.
    """
    inputs = comm.bcast(agree(comm, lambda: read_inputs(request) if comm.rank == 0 else None))
    embedding = once_per_node(
        comm,
        lambda: read_embedding(request.index, inputs.places, inputs.links, inputs.residues, request.links),
    )
    with ExitStack() as stack:
        measures = agree(comm, partial(open_measures, stack, request))
        task = Task(measures, embedding, request.criterion, inputs.features, inputs.reference)
        file = stack.enter_context(whole_h5(output)) if comm.rank == 0 else None
        if file is not None:
            _warn_of_memory(len(inputs.residues))
            write_inputs(file, request, inputs, embedding)
            create_frames(file, request.replicas, inputs.frames, embedding.vectors.shape[1])
        spaces = _survey(comm, file, task, request)
        moments = _project(comm, file, task, spaces)
        if file is not None:
            _explain(file, moments)
            _report(file, spaces, inputs, request.components, comm.size)
        settings = StatisticsSettings(request.permutations, request.seed)
        write_statistics(comm, file, settings, embedding.vectors if comm.rank == 0 else None)


def once_per_node(comm: Intracomm, work: Callable[[], T]) -> T:
    """Do a piece of work, which does not communicate, on one rank of each node, and give all the result."""
    if comm.size == 1:
        return work()
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        result: T = node.bcast(agree(comm, lambda: work() if node.rank == 0 else None))
    finally:
        node.Free()
    return result


def _warn_of_memory(n_residue: int) -> None:
    """Say in the log when memory may not do for the motion of so many residues; a killed job says nothing."""
    size = 8 * (3 * n_residue) ** 2
    if size > _LARGE_BYTES:
        log.warning(
            "%d residues: the covariance of their motion takes %.1f GB, of which ranks hold one or two and "
            "rank 0 several; if the job is killed, give it more memory (resource mem_mb)",
            n_residue, size / 1e9,
        )  # fmt: skip


def _survey(comm: Intracomm, file: h5py.File | None, task: Task, request: Request) -> Spaces:
    """Pass over the frames for what belongs to each, and find mean structure and components."""
    parts = map_in_order(comm, partial(survey_block, task=task), task.blocks())
    if file is None:
        deque(parts, maxlen=0)
        return comm.bcast(None)  # type: ignore[no-any-return]
    spaces = _write_survey(file, parts, task, request)
    write_spaces(file, spaces, task.features)
    return comm.bcast(spaces)  # type: ignore[no-any-return]


def _write_survey(file: h5py.File, parts: Iterator[Survey], task: Task, request: Request) -> Spaces:
    """Write what a first pass gives, in the order of the blocks, and sum it up."""
    n_residue, components = len(task.reference), request.components
    motion, weights, contact = Moments.nothing(3 * n_residue), None, None
    within = motion.products
    for number, of_replica in groupby(parts, key=lambda part: part.block.replica):
        own, measures = Moments.nothing(3 * n_residue), task.measures[number]
        for part in of_replica:
            write_survey(file, part, measures, task.firsts[number])
            own += part.motion
            weights = part.weights if weights is None else weights + part.weights
            contact = part.contact if contact is None else contact + part.contact
        group = file[f"replica/{measures.replica}"]
        write_means(group, [measures], task.embedding, task.criterion, cross_correlation(own))
        group["pair/embedding_cosine"] = file["pair/embedding_cosine"]
        motion, within = motion + own, within + own.products
    # Where replicas stand apart is no motion: each moves about its own mean.
    pooled = cross_correlation(replace(motion, products=within))
    write_means(file, task.measures, task.embedding, task.criterion, pooled)
    assert weights is not None and contact is not None
    embedding, shuffled = _find_embedding_components(weights, task, request)
    return Spaces(
        mean=motion.mean.reshape(n_residue, 3),
        motion=find_components(motion, components, LEAST_VARIANCE_NM2),
        embedding=embedding,
        contact=find_components(contact, components),
        shuffled=shuffled,
    )


def _find_embedding_components(
    weights: Moments, task: Task, request: Request
) -> tuple[Components, list[NDArray[np.float64]]]:
    """Find the components of the frames' embeddings, and what `Spaces.shuffled` has."""
    vectors = task.embedding.vectors[task.embedding.linked]
    least = _ROUNDING * float((vectors**2).sum(axis=1).mean()) if vectors.size else 0.0
    dice = np.random.default_rng([request.seed, SHUFFLES])
    orders = [np.arange(len(vectors)), *(dice.permutation(len(vectors)) for _ in range(SHUFFLES))]
    sets = [vectors[order] for order in orders]
    own, *others = find_weighted_components(weights, sets, request.components, least)
    # Weights of a frame add up to 1, so that the mean may be taken off before.
    return own, [space.project(each) for space, each in zip(others, sets[1:], strict=True)]


def _project(
    comm: Intracomm, file: h5py.File | None, task: Task, spaces: Spaces
) -> dict[str | int, list[Moments]]:
    """Pass over the frames again for what is told about mean structure and components.

    On rank 0 return the moments of `Projection` of all segments.
    """
    total: dict[str | int, dict[int, Moments]] = {}
    for part in map_in_order(comm, partial(project_block, task=task, spaces=spaces), task.blocks()):
        if file is not None:
            write_projection(file, part, task.firsts[part.block.replica])
        for name, of_segments in part.moments.items():
            known = total.setdefault(name, {})
            for number, moments in of_segments.items():
                known[number] = known[number] + moments if number in known else moments
    return {name: about_replicas(parts, task.segment_replicas) for name, parts in total.items()}


def _explain(file: h5py.File, moments: Mapping[str | int, Sequence[Moments]]) -> None:
    """Write how much of the motion the components of other spaces and of shuffled vectors explain."""
    n_target = len(file["components/motion/variance"])
    found = {name: explain(parts, n_target) for name, parts in moments.items()}
    shuffled = np.array([found[number] for number in range(SHUFFLES)])
    r2 = {"embedding": found["embedding"], "shuffled": shuffled.mean(axis=0), "contact": found["contact"]}
    put(file, "components/explained/space", np.array(list(r2)))
    put(file, "components/explained/r2", np.array(list(r2.values())))
    put(file, "components/explained/shuffled_r2", shuffled)
    file["components/explained"].attrs.update(segments=len(moments["embedding"]), shuffles=SHUFFLES)


def _report(file: h5py.File, spaces: Spaces, inputs: Inputs, components: int, ranks: int) -> None:
    """Say in the log what was analysed, and what there is less of than was asked for."""
    log.info(
        "%d frames of %d replicas, %d residues, %d ranks",
        sum(inputs.frames), len(inputs.frames), len(inputs.residues), ranks,
    )  # fmt: skip
    for name, space in spaces.by_name().items():
        if len(space.variance) < components:
            log.info("%d components of %s, for no more than these vary", len(space.variance), name)
    lacking = int(np.isnan(file["frame/coherence"][:]).sum())
    if lacking:
        log.info("%d frames have no contact of linked residues, and no embedding", lacking)

"""The co-analysis of one structure, from measures to file, by all ranks of a communicator."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from helixflow.coanalysis.blocks import Spaces, Survey, Task, project_block, survey_block
from helixflow.coanalysis.components import Components, find_components, find_weighted_components
from helixflow.coanalysis.embedding import read_embedding
from helixflow.coanalysis.explained import cut_segments, explain
from helixflow.coanalysis.inputs import Inputs, Request, open_measures, read_inputs
from helixflow.coanalysis.moments import Moments
from helixflow.coanalysis.motion import LEAST_VARIANCE_NM2, cross_correlation
from helixflow.coanalysis.output import (
    create_frames,
    open_result,
    put,
    write_inputs,
    write_means,
    write_projection,
    write_spaces,
    write_survey,
)
from helixflow.coanalysis.parallel import agree, map_in_order
from helixflow.coanalysis.statistics import StatisticsSettings, write_statistics

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
    """
    inputs = comm.bcast(agree(comm, lambda: read_inputs(request) if comm.rank == 0 else None))
    embedding = once_per_node(
        comm,
        lambda: read_embedding(request.index, inputs.places, inputs.links, inputs.residues, request.links),
    )
    with ExitStack() as stack:
        measures = agree(comm, partial(open_measures, stack, request))
        task = Task(measures, embedding, request.criterion, inputs.features, inputs.reference)
        file = stack.enter_context(open_result(output)) if comm.rank == 0 else None
        if file is not None:
            _warn_of_memory(len(inputs.residues))
            write_inputs(file, request, inputs, embedding)
            create_frames(file, request.replicas, inputs.frames, embedding.vectors.shape[1])
        spaces = _survey(comm, file, task, request.components)
        _project(comm, file, task, spaces)
        if file is not None:
            _explain(file, inputs.frames)
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


def _survey(comm: Intracomm, file: h5py.File | None, task: Task, components: int) -> Spaces:
    """Pass over the frames for what belongs to each, and find mean structure and components."""
    parts = map_in_order(comm, partial(survey_block, task=task), task.blocks())
    if file is None:
        deque(parts, maxlen=0)
        return comm.bcast(None)  # type: ignore[no-any-return]
    spaces = _write_survey(file, parts, task, components)
    write_spaces(file, spaces, task.features)
    return comm.bcast(spaces)  # type: ignore[no-any-return]


def _write_survey(file: h5py.File, parts: Iterator[Survey], task: Task, components: int) -> Spaces:
    """Write what a first pass gives, in the order of the blocks, and sum it up."""
    n_residue, firsts = len(task.reference), _first_rows(task)
    motion, weights, contact = Moments.nothing(3 * n_residue), None, None
    within = motion.products
    for number, of_replica in groupby(parts, key=lambda part: part.block.replica):
        own, measures = Moments.nothing(3 * n_residue), task.measures[number]
        for part in of_replica:
            write_survey(file, part, measures, firsts[number])
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
    return Spaces(
        mean=motion.mean.reshape(n_residue, 3),
        motion=find_components(motion, components, LEAST_VARIANCE_NM2),
        embedding=_find_embedding_components(weights, task, components),
        contact=find_components(contact, components),
    )


def _find_embedding_components(weights: Moments, task: Task, components: int) -> Components:
    vectors = task.embedding.vectors[task.embedding.linked]
    least = _ROUNDING * float((vectors**2).sum(axis=1).mean()) if vectors.size else 0.0
    if task.weighs_less:
        return find_weighted_components(weights, vectors, components, least)
    return find_components(weights, components, least)


def _project(comm: Intracomm, file: h5py.File | None, task: Task, spaces: Spaces) -> None:
    """Pass over the frames again for what is told about mean structure and components."""
    firsts = _first_rows(task)
    parts = map_in_order(comm, partial(project_block, task=task, spaces=spaces), task.blocks())
    for part in parts:
        if file is not None:
            write_projection(file, part, firsts[part.block.replica])


def _first_rows(task: Task) -> list[int]:
    """Return the row of each replica's first frame among all."""
    return [0, *accumulate(measures.frames for measures in task.measures)]


def _explain(file: h5py.File, frames: Sequence[int]) -> None:
    """Write how much of the motion the components of the other spaces explain."""
    segments, spaces = cut_segments(frames), ("embedding", "contact")

    def read(space: str, start: int, stop: int) -> Any:
        return file[f"components/{space}/projection"][start:stop]

    n_target = len(file["components/motion/variance"])
    found = [explain(partial(read, space), partial(read, "motion"), segments, n_target) for space in spaces]
    put(file, "components/explained/space", np.array(spaces))
    put(file, "components/explained/r2", np.array(found))
    file["components/explained"].attrs["segments"] = len(segments)


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

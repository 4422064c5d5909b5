"""The co-analysis of one structure, from files to file, by all ranks of a communicator."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from helixflow.coanalysis.blocks import Task, analyse_block
from helixflow.coanalysis.embedding import read_embedding, read_links
from helixflow.coanalysis.molecule import Molecule, read_molecule
from helixflow.coanalysis.output import write_results
from helixflow.coanalysis.parallel import agree, map_in_order
from helixflow.coanalysis.trajectory import open_trajectory
from helixflow.errors import MismatchError
from helixflow.files import whole_file
from helixflow.structures.residues import read_residues

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """The files of one structure, and what a contact is.

    `topologies` (PDB) and `trajectories` (XTC) have one file per replica, numbered by `replicas`.
    """

    residues: str
    links: str
    index: str
    topologies: Sequence[str]
    trajectories: Sequence[str]
    replicas: Sequence[int]
    cutoff_nm: float
    min_separation: int


def analyse_structure(comm: Intracomm, request: Request, output: str | os.PathLike[str]) -> None:
    """Analyse all replicas of a structure; every rank calls this.

    Raises
    ------
    MismatchError, EmbeddingError
        The same on all ranks; of several, that of the first frame.
    """
    task = comm.bcast(agree(comm, lambda: prepare(request) if comm.rank == 0 else None))
    parts = map_in_order(comm, partial(analyse_block, task=task), task.blocks())
    if comm.rank > 0:
        deque(parts, maxlen=0)
        return
    with whole_file(output) as path:
        write_results(path, parts, task)
    frames = sum(len(trajectory.offsets) for trajectory in task.trajectories)
    log.info(
        "%d frames of %d replicas, %d residues, %d ranks",
        frames, len(task.trajectories), len(task.molecule.residues), comm.size,
    )  # fmt: skip


def prepare(request: Request) -> Task:
    """Read and check everything but the frames."""
    residues = read_residues(request.residues)
    links = read_links(request.links, residues, request.residues)
    embedding = read_embedding(request.index, links, residues, request.links)
    molecules = [read_molecule(path, residues, request.residues) for path in request.topologies]
    for molecule, path in zip(molecules, request.topologies, strict=True):
        _check_same(molecule, path, molecules[0], request.topologies[0])
    return Task(
        molecule=molecules[0],
        embedding=embedding,
        trajectories=[
            open_trajectory(path, replica, molecules[0])
            for path, replica in zip(request.trajectories, request.replicas, strict=True)
        ],
        eligible=molecules[0].eligible_pairs(request.min_separation),
        cutoff_nm=request.cutoff_nm,
        min_separation=request.min_separation,
    )


def _check_same(molecule: Molecule, path: str, first: Molecule, first_path: str) -> None:
    if not np.array_equal(molecule.masses, first.masses) or not np.array_equal(molecule.alphas, first.alphas):
        raise MismatchError(f"{path}: other atoms than in {first_path}, expected the same; simulate again")

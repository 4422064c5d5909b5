"""What MPI ranks do together: share work, and fail together with one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from helixflow.errors import HelixflowError

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

T = TypeVar("T")
R = TypeVar("R")


def agree(comm: Intracomm, work: Callable[[], T]) -> T:
    """Do a piece of work on every rank; where some fail, all raise the error of the lowest such rank.

    `work` itself must not communicate.
    """
    error = None
    try:
        result = work()
    except HelixflowError as raised:
        error = raised
    for raised_somewhere in comm.allgather(error):
        if raised_somewhere is not None:
            raise raised_somewhere
    return result


def map_in_order(comm: Intracomm, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Spread items over the ranks by turns and give the results on rank 0, in the order of the items.

    One item per rank is worked on at a time, so rank 0 holds no more results than there are ranks.
    All ranks must exhaust the iterator; on the others it is empty.
    """
    for first in range(0, len(items), comm.size):
        mine = items[first + comm.rank : first + comm.rank + 1]
        # map is lazy: its work is done, and fails, within agree.
        results: list[R] = agree(comm, partial(list, map(function, mine)))
        for one in comm.gather(results) or []:
            yield from one


@contextmanager
def one_line(comm: Intracomm) -> Iterator[None]:
    """End all ranks with the one line of an error that `agree` raised on each, without a traceback."""
    from mpi4py import MPI

    try:
        yield
    except HelixflowError as error:
        if comm.rank == 0:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        # All leave together; else the first one to do so aborts the others, and the launcher has its say.
        MPI.Finalize()
        sys.exit(1)

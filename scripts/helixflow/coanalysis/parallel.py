"""What MPI ranks do together: share work, and fail together with one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from helixflow.errors import HelixflowError, of_the_machine

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

#: Tags of messages: which item to work on, or None; and rank, item and result.
_ITEM, _RESULT = 1, 2
#: Items for each rank that may be worked on, or wait for their turn, at once.
_AHEAD = 4

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
    """Spread items over the ranks and give the results on rank 0, in the order of the items.

    Rank 0 hands out items, takes what comes back, and works itself while there is nothing to take, so that no
    rank waits for what is done with the results. It holds no more of them than a few for each rank. All ranks
    must exhaust the iterator; on the others it is empty. Where items fail, all ranks raise the error of the
    first of them. `function` itself must not communicate.
    """
    if comm.size == 1:
        yield from map(function, items)
    elif comm.rank == 0:
        yield from _lead(comm, function, items)
    else:
        _follow(comm, function, items)


def _lead(comm: Intracomm, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    # Where the caller leaves before the last result, the other ranks leave too.
    error: HelixflowError | None = HelixflowError("rank 0 has no use for more results")
    # Two items for each, so that a rank has one to go on with while rank 0 works.
    free, given, done = [*range(1, comm.size)] * 2, 0, dict[int, R | HelixflowError]()
    try:
        for turn in range(len(items)):
            while turn not in done:
                # Nothing behind an item that failed is worked on any more.
                failed = [at for at, result in done.items() if isinstance(result, HelixflowError)]
                end = min([len(items), turn + _AHEAD * comm.size, *failed])
                while free and given < end:
                    comm.send(given, free.pop(0), _ITEM)
                    given += 1
                if comm.iprobe(tag=_RESULT) or given >= end:
                    rank, at, done[at] = comm.recv(tag=_RESULT)
                    free.append(rank)
                else:
                    given += 1
                    done[given - 1] = _attempt(function, items[given - 1])
            result = done.pop(turn)
            if isinstance(result, HelixflowError):
                error = result
                raise result
            yield result
        error = None
    finally:
        for rank in range(1, comm.size):
            comm.send(None, rank, _ITEM)
        for _ in range(2 * (comm.size - 1) - len(free)):
            comm.recv(tag=_RESULT)
        comm.bcast(error)


def _follow(comm: Intracomm, function: Callable[[T], R], items: Sequence[T]) -> None:
    """Work on the items that rank 0 hands out until it has no more."""
    sending = None
    while (number := comm.recv(source=0, tag=_ITEM)) is not None:
        result = _attempt(function, items[number])
        if sending is not None:
            sending.wait()
        sending = comm.isend((comm.rank, number, result), 0, _RESULT)
    if sending is not None:
        sending.wait()
    error = comm.bcast(None)
    if error is not None:
        raise error


def _attempt(function: Callable[[T], R], item: T) -> R | HelixflowError:
    try:
        return function(item)
    except HelixflowError as error:
        return error


@contextmanager
def one_line(comm: Intracomm) -> Iterator[None]:
    """End all ranks with the one line of an error that they raise together, without a traceback.

    So does a file that one rank cannot read or write, after which the others are ended. One line is also said
    where the ranks are ended from outside, as launchers do when one of them was killed: those that are asked
    to be quiet do not say so themselves.
    """
    from mpi4py import MPI

    _tell_of_the_end(comm.rank)
    try:
        yield
    except HelixflowError as error:
        if comm.rank == 0:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        # All leave together; else the first one to do so aborts the others, and the launcher has its say.
        MPI.Finalize()
        sys.exit(1)
    except OSError as error:
        # Of one rank, for which the others may wait.
        told = of_the_machine(error) or error
        print(f"{type(told).__name__}: {told}", file=sys.stderr, flush=True)
        comm.Abort(1)


def _tell_of_the_end(rank: int) -> None:
    """Say so when this process is told to end (SIGTERM), also while it waits within MPI."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The interpreter handles signals between two of its instructions alone; a byte it writes at once.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wait() -> None:
        while signal.SIGTERM not in os.read(reading, 1):
            pass
        # Where rank 0 is the one that was killed, the next one speaks.
        if rank < 2:
            why = (
                "another rank failed, as a line of its own says, or was killed, perhaps for want of memory "
                "(resource mem_mb), or the whole job was"
            )
            print(
                f"ERROR rank {rank} was told to end (SIGTERM): {why}; run again", file=sys.stderr, flush=True
            )
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()

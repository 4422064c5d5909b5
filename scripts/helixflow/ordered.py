"""Work spread over threads, its results in the order of what came in, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_order(
    pool: Executor, function: Callable[[_In], _Out], items: Iterable[_In], window: int
) -> Iterator[_Out]:
    """Give the result of a function for each item, in the order of the items, whichever is done first.

    Parameters
    ----------
    pool : Executor
        Runs the function.
    function, items
        What is run, and on what. The items are taken in the thread that asks for the results.
    window : int
        Most items that are taken before the result of the first of them is given, at least 1.
    """
    waiting: deque[Future[_Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()

"""Turns at a source: how many ask it at once, and how fast, over all threads and processes of a project."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from helixflow.sequences.downloads.flock import lock

_POLL_S = 0.1


class Turns:
    """Slots of each source, which are locked files, so that those of a killed process are free again.

    Parameters
    ----------
    folder : Path
        Where the files lie; all who share it take turns.
    connections : int
        How many may be at one source at once.
    per_second : mapping of str to float
        For some sources, how many requests may start in a second.
    wait : callable
        Waits so many seconds before it is looked again for a free slot.
    """

    def __init__(
        self,
        folder: Path,
        connections: int,
        per_second: Mapping[str, float],
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._connections, self._per_second = folder, connections, per_second
        self._wait = wait

    @contextmanager
    def turn(self, source: str) -> Iterator[None]:
        """Hold a slot of a source for the length of the block, waiting for it and for the source's rate."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # A host may have a colon and anything else in it; the dot keeps "." and ".." from being names.
        name = f"{quote(source, safe='')[:200]}."
        with self._slot(name):
            if source in self._per_second:
                self._await_start(self._folder / f"{name}start", 1 / self._per_second[source])
            yield

    def _slot(self, name: str) -> BinaryIO:
        """Return the locked file of a slot that is free."""
        while True:
            for number in range(self._connections):
                stream = (self._folder / f"{name}{number}").open("a+b")
                if lock(stream, wait=False):
                    return stream
                stream.close()
            self._wait(_POLL_S)

    def _await_start(self, path: Path, interval_s: float) -> None:
        """Wait until the last start is long enough ago; those behind wait for the lock meanwhile."""
        with path.open("a+b") as stream:
            lock(stream, wait=True)
            stream.seek(0)
            last = _number(stream.read())
            # Clocks of machines differ, and may be set back: never wait longer than one interval.
            time.sleep(min(max(last + interval_s - time.time(), 0.0), interval_s))
            stream.truncate(0)
            stream.write(repr(time.time()).encode())


def _number(text: bytes) -> float:
    """Read a number; 0 where there is none, as in a new file or that of a process that was killed."""
    try:
        return float(text)
    except ValueError:
        return 0.0

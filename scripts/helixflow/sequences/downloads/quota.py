"""The bytes that downloads and results may take on disk together."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from helixflow.errors import LimitError

#: A scan is good for so many times as long as it took, and at least a second.
_GOOD_FOR = 50


class Quota:
    """A limit on the bytes of some folders, cheap to ask about before every block that is written.

    Parameters
    ----------
    folders : sequence of Path
        They need not exist, must not lie in one another, and others may add and remove files meanwhile.
    max_bytes : int
        What all files in them may have together.
    """

    def __init__(self, folders: Sequence[Path], max_bytes: int) -> None:
        self._folders, self._max_bytes = folders, max_bytes
        self._used, self._until = 0, 0.0

    def room(self, more: int, origin: str) -> None:
        """Refuse what does not fit any more.

        Parameters
        ----------
        more : int
            Bytes to be written.
        origin : str
            What they are of, for the message.

        Raises
        ------
        LimitError
            When the folders would have more bytes than they may.
        """
        if time.monotonic() > self._until or self._used + more > self._max_bytes:
            self._scan()
        if self._used + more > self._max_bytes:
            folders = " and ".join(map(str, self._folders))
            raise LimitError(
                f"{origin}: {more} more bytes do not fit, {folders} have {self._used} of the "
                f"{self._max_bytes} they may have (make room, or raise sequences/limits/total_GB)"
            )

    def _scan(self) -> None:
        began = time.monotonic()
        self._used = sum(_bytes_in(folder) for folder in self._folders)
        now = time.monotonic()
        self._until = now + max(1.0, _GOOD_FOR * (now - began))


def _bytes_in(folder: str | os.PathLike[str]) -> int:
    """Add up the files in a folder and below it; what vanishes meanwhile has no bytes."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                total += _bytes_of(entry)
    except FileNotFoundError:
        pass
    return total


def _bytes_of(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            return _bytes_in(entry.path)
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0

"""HDF5 files that are whole or not there, also where there is no room for them.

The HDF5 library does not bear a write that fails: what it still has to write stays with it, and closing a
dataset or the file then ends the whole program without a message. So it never gets to know.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py

from helixflow.files import remove_leftovers, whole_file


class _Disk(io.FileIO):
    """A file that takes all that it is given, and remembers why it could not keep it."""

    error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of some bytes, unless the disk is full already; return how many these are."""
        rest = memoryview(content).cast("B")
        number = len(rest)
        try:
            while self.error is None and len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return number

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file, unless the disk is full already."""
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0


class WholeFile(h5py.File):  # type: ignore[misc]
    """A file open for writing; see `whole_h5`."""

    def __init__(self, disk: _Disk, output: str | os.PathLike[str]) -> None:
        self._disk, self._output = disk, output
        super().__init__(disk, "w")

    def check(self) -> None:
        """Raise OSError where something could not be written."""
        if (error := self._disk.error) is not None:
            raise OSError(error.errno, error.strerror, os.fspath(self._output))


@contextmanager
def whole_h5(output: str | os.PathLike[str]) -> Iterator[WholeFile]:
    """Give an HDF5 file to write to, which takes its name when the block succeeds.

    Raises
    ------
    OSError
        Where there is no room for the file: at the end of the block, or when that fails before for want of
        what could not be written.
    """
    # Of a run that was killed.
    remove_leftovers(output)
    with whole_file(output) as path:
        with _Disk(path, "w+") as disk, WholeFile(disk, output) as file:
            try:
                yield file
            except Exception:
                file.check()
                raise
        file.check()

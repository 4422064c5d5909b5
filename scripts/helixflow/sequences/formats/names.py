"""Find names that occur twice among many, in bounded memory."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable
from pathlib import Path

_SPILL = 1 << 16
#: Digests that are sorted at once, 8 bytes each.
_AT_ONCE = 1 << 19
#: Digests that are told at most: a file that holds all names twice is refused for the first.
_MOST = 1000


class Names:
    """Digests of 64 bits of the names so far, kept in a file that has no name.

    Parameters
    ----------
    folder : Path
        Where there is room for 8 bytes a name.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._digests = array("q")
        self._number = 0

    def add(self, names: Iterable[str]) -> None:
        """Note more names."""
        self._digests.extend(map(hash, names))
        if len(self._digests) >= _SPILL:
            self._spill()

    def suspects(self) -> set[int]:
        """Return digests, as `hash` gives them, that occur twice: of equal names, or rarely by chance."""
        import numpy as np

        self._spill()
        passes = self._number // _AT_ONCE + 1
        found: set[int] = set()
        for number in range(passes):
            share = []
            self._file.seek(0)
            while block := self._file.read(8 * _SPILL):
                digests = np.frombuffer(block, np.int64)
                share.append(digests[digests % passes == number] if passes > 1 else digests)
            ordered = np.sort(np.concatenate(share)) if share else np.empty(0, np.int64)
            found.update(ordered[1:][ordered[1:] == ordered[:-1]][:_MOST].tolist())
            if len(found) >= _MOST:
                break
        return found

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def _spill(self) -> None:
        self._number += len(self._digests)
        self._file.write(self._digests.tobytes())
        del self._digests[:]

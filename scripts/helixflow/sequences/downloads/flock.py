"""Locks on files, between threads and processes; the kernel lets go of the lock of one that was killed."""

from __future__ import annotations

import errno
import fcntl
import logging
from functools import cache
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

#: What file systems answer that know no locks, such as Lustre mounted without flock.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def lock(stream: BinaryIO, wait: bool) -> bool:
    """Lock an open file for its holder alone, until it is closed.

    Parameters
    ----------
    stream : file
        Open for writing.
    wait : bool
        Wait until the file is free.

    Returns
    -------
    bool
        False where another holder has the lock. True, with a warning, where the file system has no locks.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn(str(Path(stream.name).parent), error.strerror)
    return True


@cache
def _warn(folder: str, reason: str) -> None:
    """Say once that there are no locks."""
    log.warning("%s: the file system has no locks (%s); going on without", folder, reason)

"""Compile kernels with numba, once for all jobs where there is a folder to keep them in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import binding

_Function = TypeVar("_Function", bound=Callable[..., Any])


def find_cache() -> Path | None:
    """Return the folder that compiled kernels are kept in, None where there is none.

    It is the first of these that can be written to: ``NUMBA_CACHE_DIR``, beside this module, and below
    the user's cache folder (``XDG_CACHE_HOME`` or ``~/.cache``). Folders that others can write to, such
    as ``/tmp``, are no choice, since what lies in a cache is run. Each kind of processor has a folder of
    its own, for the reason that `kernel` tells.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    for folder in (Path(__file__).parent / "__pycache__", *_user_cache()):
        own = folder / f"numba-{binding.get_host_cpu_name()}"
        if _can_write(own):
            return own
    return None


def _user_cache() -> list[Path]:
    """Return the folder below the user's cache folder; none where the user has no home."""
    try:
        return [Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "helixflow"]
    except RuntimeError:
        return []


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep it; it runs without the interpreter's lock.

    It must be called with arguments of the same types always: numba numbers what it keeps of several types,
    and two jobs that start at once would give one number to two.
    """
    compiled: _Function = numba.njit(function, nogil=True, cache=_CACHE is not None, error_model="numpy")
    return compiled


def part(function: _Function) -> _Function:
    """Compile a function into the kernels that call it."""
    compiled: _Function = numba.njit(function, nogil=True, error_model="numpy")
    return compiled


_CACHE = find_cache()
if _CACHE:
    # numba reads this when a function is decorated.
    numba.config.CACHE_DIR = str(_CACHE)

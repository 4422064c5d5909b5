"""Compile kernels with numba, once for all jobs where there is a folder to keep them in."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import binding
from numba.core.caching import FunctionCache

_Function = TypeVar("_Function", bound=Callable[..., Any])


def find_cache() -> Path | None:
    """Return the folder that compiled kernels are kept in, None where there is none.

    It is the first of these that can be written to: ``NUMBA_CACHE_DIR``, beside this module, below the
    user's cache folder (``XDG_CACHE_HOME`` or ``~/.cache``). Folders that others can write to, such
    as ``/tmp``, are no choice, since what lies in a cache is run. Each kind of processor has a folder of
    its own, for the reason that `kernel` tells.
    """
    own = Path(os.environ.get("NUMBA_CACHE_DIR", ""))
    if own != Path() and _can_write(own):
        return own
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


class _Cache(FunctionCache):  # type: ignore[misc]
    """What is compiled of a function, on disk; without it, where that is damaged or cannot be written."""

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Load what is kept, None where there is nothing that can be used."""
        try:
            return super().load_overload(signature, target_context)
        except Exception:
            # Damage of a file shows as any error; what is not loaded is compiled, and written anew.
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep what was compiled, unless the disk is full or may not be written to any more."""
        with suppress(OSError):
            super().save_overload(signature, data)


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep it; it runs without the interpreter's lock.

    It must be called with arguments of the same types always: numba numbers what it keeps of several types,
    and two jobs that start at once would give one number to two.
    """
    compiled: Any = numba.njit(function, nogil=True, error_model="numpy")
    if _CACHE:
        compiled._cache = _Cache(function)
    kept: _Function = compiled
    return kept


def part(function: _Function) -> _Function:
    """Compile a function into the kernels that call it."""
    compiled: _Function = numba.njit(function, nogil=True, error_model="numpy")
    return compiled


_CACHE = find_cache()
if _CACHE:
    # numba reads this when a function is decorated.
    numba.config.CACHE_DIR = str(_CACHE)

"""What mdrun's log says: the program, the machine, the speed, and warnings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: What mdrun warns of where bonds or waters leave what the constraint algorithms can mend.
_WARNING = re.compile(r"LINCS WARNING|can not be settled")
_WHEN = re.compile(r"[Ss]tep (\d+)")

_PATTERNS = {
    "gmx_version": r"^GROMACS version: +(.*)$",
    "simd": r"^SIMD instructions: +(.*)$",
    "simd_possible": r"^Highest SIMD level supported by all nodes in run: +(.*)$",
    "gpu_support": r"^GPU support: +(.*)$",
    "gpus": r"^Mapping of GPU IDs to the \d+ GPU task.*:\n +(.*)$",
    "ranks": r"^Using (\d+) MPI (?:thread|process)",
    "threads": r"^Using (\d+) OpenMP thread",
    "performance_ns_day": r"^Performance: +(\S+)",
}
_NUMBERS = {"ranks": int, "threads": int, "performance_ns_day": float}


def read_log(log: str) -> dict[str, Any]:
    """Read from md.log what really ran; None for what it does not say.

    Where a run was continued, the last start is told, and how often it was continued.
    """
    found = {name: re.findall(pattern, log, re.MULTILINE) for name, pattern in _PATTERNS.items()}
    told: dict[str, Any] = {name: values[-1] if values else None for name, values in found.items()}
    for name, kind in _NUMBERS.items():
        told[name] = None if told[name] is None else kind(told[name])
    # A stop before the first checkpoint after a continuation takes both, and this line of the log, back.
    told["continuations"] = len(re.findall(r"^Restarting from checkpoint, appending", log, re.MULTILINE))
    return told


def constraint_warnings(lines: Iterable[str]) -> list[str]:
    """Name every warning of a bond that LINCS, or a water that SETTLE, could hardly keep, with its step."""
    found = []
    for line in lines:
        if warning := _WARNING.search(line):
            step = _WHEN.search(line)
            what = "LINCS" if warning[0].startswith("LINCS") else "SETTLE"
            found.append(f"{what} at step {step[1]}" if step else what)
    return found

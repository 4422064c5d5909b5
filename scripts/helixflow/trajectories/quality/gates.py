"""One check: a value, its limits, and what follows."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError

_log = logging.getLogger(__name__)

Gate = dict[str, Any]

#: Residues, bonds or frames that a check names; it counts the others.
MOST_NAMED = 5


def judge(
    value: float,
    low: float,
    high: float,
    error: float = 0.0,
    *,
    unit: str = "",
    details: Sequence[str] = (),
) -> Gate:
    """Compare a value with its limits.

    Parameters
    ----------
    value : float
        What was found.
    low, high : float
        Limits, both allowed; infinite where there is none.
    error : float
        Standard error of the value. Where two of it reach over a limit, the outcome is ``unknown``.
    unit : str
        Of the value; empty for a count.
    details : sequence of str
        What was found where, or why it cannot be told.

    Returns
    -------
    dict
        value, error, low, high (None where not finite), unit, outcome (``pass``, ``fail`` or ``unknown``),
        and details, the first `MOST_NAMED` and the number of the others.
    """
    margin = 2 * error
    outcome = "unknown"
    if low + margin <= value <= high - margin:
        outcome = "pass"
    elif value < low - margin or value > high + margin:
        outcome = "fail"
    known = {"value": value, "error": error, "low": low, "high": high}
    return {
        **{name: number if math.isfinite(number) else None for name, number in known.items()},
        "unit": unit,
        "outcome": outcome,
        "details": _first(details),
    }


def count(found: Sequence[str], most: int = 0, *, total: int | None = None) -> Gate:
    """Judge by the number of things that should not be.

    Parameters
    ----------
    found : sequence of str
        Each of them, named.
    most : int
        So many are allowed.
    total : int, optional
        How many there are, where not all are named.
    """
    return judge(len(found) if total is None else total, 0, most, details=found)


def unknown(gate: Gate, reason: str) -> Gate:
    """Say why a check cannot be judged."""
    return {**gate, "outcome": "unknown", "details": [reason, *gate["details"]]}


def passed(gates: dict[str, Gate]) -> bool:
    """Tell whether no check has failed."""
    return all(gate["outcome"] != "fail" for gate in gates.values())


def demand_gates(gates: dict[str, Gate], policy: str, subject: str, told: Path | None = None) -> None:
    """Raise an error, or warn where the policy is ``warn``, if a check has failed.

    Parameters
    ----------
    gates : dict of str to dict
    policy : str
        ``fail`` or ``warn``.
    subject : str
        What errors name.
    told : Path, optional
        File that has all checks, also when one has failed.
    """
    failed = [_told(name, gate) for name, gate in gates.items() if gate["outcome"] == "fail"]
    for name, gate in gates.items():
        if gate["outcome"] == "warn":
            _log.warning("%s: %s: %s", subject, name, "; ".join(gate["details"]))
    if not failed:
        return
    line = f"{subject} does not pass its checks: {'; '.join(failed)}"
    if policy == "fail":
        where = f"all in {told}; " if told else ""
        raise SimulationError(
            f"{line} ({where}trajectories/quality has the limits, and trajectories/gates: warn keeps it)"
        )
    _log.warning("%s", line)


def _told(name: str, gate: Gate) -> str:
    low, high = gate["low"], gate["high"]
    limits = f"{low} to {high}"
    if low is None or high is None:
        limits = f"at most {high}" if low is None else f"at least {low}"
    details = f" ({gate['details'][0]})" if gate["details"] else ""
    return f"{name} is {gate['value']}{details}, expected {high if low == high else limits}"


def _first(details: Sequence[str]) -> list[str]:
    more = len(details) - MOST_NAMED
    return [*details[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]

"""Checks that mdrun did what it was to do: to the last step, every frame, no crash, no warning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helixflow.trajectories.quality.gates import Gate, count, judge, unknown
from helixflow.trajectories.quality.logs import constraint_warnings

#: One start of mdrun, as runs.json has it.
Run = Mapping[str, Any]

#: Times between frames may differ by this share.
_TOLERANCE = 1e-3


def end_gate(last_ps: float, steps: int, timestep_ps: float) -> Gate:
    """Judge the time of the last energies: that of the last step, to half a step."""
    end = steps * timestep_ps
    return judge(last_ps, end - timestep_ps / 2, end + timestep_ps / 2, unit="ps")


def frames_gate(times: Sequence[float], expected: int, frame_ps: float, damage: str = "") -> Gate:
    """Judge the number of frames, each at its time.

    Parameters
    ----------
    times : sequence of float
        Of the frames, in ps.
    expected : int
        How many there should be, from time 0.
    frame_ps : float
        From one to the next.
    damage : str
        Why no further frame can be read.
    """
    details = [f"frame {len(times) + 1} cannot be read: {damage}"] if damage else []
    # Times are float32 in the file.
    off = [
        at for at, time in enumerate(times) if abs(time - at * frame_ps) > _TOLERANCE * frame_ps + 1e-6 * time
    ]
    if off:
        details.append(f"frame {off[0] + 1} is at {times[off[0]]:g} ps, expected {off[0] * frame_ps:g}")
    gate = judge(len(times), expected, expected, details=details)
    return {**gate, "outcome": "fail"} if off else gate


def spacing_gate(times: Sequence[float]) -> Gate:
    """Judge by the steps from frame to frame, in ps, that are not as long as most, or not forward.

    Files have times as float32, whose last digit is allowed for.
    """
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    allowed = _TOLERANCE * abs(usual) + 2 * np.spacing(np.abs(times).max().astype(np.float32))
    odd = np.flatnonzero((np.abs(steps - usual) > allowed) | (steps <= 0))
    return count([f"{times[at]:g} to {times[at + 1]:g} ps, expected {usual:g} ps" for at in odd.tolist()])


def status_gate(runs: Sequence[Run] | None) -> Gate:
    """Judge by the parts of the production whose last mdrun did not end with status 0.

    One that was stopped and continued ended well. It is unknown where nothing recorded the processes.
    """
    if runs is None:
        return unknown(judge(float("nan"), 0, 0), "there is no record of mdrun's processes")
    last = {run.get("segment"): run for run in _production(runs)}
    failed = [
        f"production {segment if segment is not None else ''}".strip() + f": status {run['exit_status']}"
        for segment, run in last.items()
        if run["exit_status"] != 0
    ]
    return count(failed)


def step_files_gate(folder: Path, runs: Sequence[Run] | None) -> Gate:
    """Judge by the step*.pdb files that mdrun writes before it gives up."""
    names = {path.name for path in folder.glob("step*.pdb")}
    for run in _production(runs or []):
        told = run.get("step_files") or []
        names |= set(told) if isinstance(told, list) else {f"{told} files"}
    return count(sorted(names))


def warnings_gate(log: Iterable[str], most: int) -> Gate:
    """Judge by the warnings of constraints that md.log has."""
    found = constraint_warnings(log)
    return count(found, most)


def layout_gate(runs: Sequence[Run] | None) -> Gate:
    """Warn where ranks, threads or devices were others than asked for; it changes the speed alone."""
    told = [run for run in _production(runs or []) if run.get("layout_ran")]
    gate = count(list(dict.fromkeys(line for run in told for line in run["layout_differences"])))
    if not told:
        return unknown(gate, "there is no record of what ran")
    return {**gate, "outcome": "warn"} if gate["value"] else gate


def _production(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.get("phase") == "production"]

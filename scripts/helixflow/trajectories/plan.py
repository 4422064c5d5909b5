"""Which replicas are simulated in one job, and in which segments: of the config, or as it was begun.

How the work is split decides no byte. So a replica that was begun, or is finished, keeps the split it was
begun with, whatever the config says now; else a change of a key of speed would make its jobs other ones.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from helixflow.errors import ConfigError
from helixflow.files import read_json, write_json

#: A pair list of an exact run lives this long; one that begins at another step finds other last digits.
_PAIR_LIST_FS = 20


@dataclass(frozen=True)
class Plan:
    """The job of a replica: its pack, such as ``1-4``, and the ends of its segments in ps."""

    pack: str
    ends: tuple[str, ...]


def segment_ends(section: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the ends of the segments of a production, in ps.

    Raises
    ------
    ConfigError
        If a segment is no whole number of frames.
    """
    step = Fraction(str(section["timestep_fs"])) / 1000
    length = Fraction(str(section["production_ns"])) * 1000
    segment = Fraction(str(section["segment_ns"])) * 1000 or length
    frame = Fraction(str(section["frame_ps"])) / step
    pair_list = max(1, int(_PAIR_LIST_FS / Fraction(str(section["timestep_fs"]))))
    unit = math.lcm(max(1, int(frame)), pair_list) * step
    if segment < length and segment % unit:
        raise ConfigError(
            f"config: 'trajectories/segment_ns' is {section['segment_ns']:g}, expected a multiple of "
            f"{float(unit / 1000):g}: whole frames, and pair lists of {pair_list} steps"
        )
    count = max(1, math.ceil(length / segment))
    return tuple(_text(min(length, segment * number)) for number in range(1, count + 1))


def check_running(section: Mapping[str, Any]) -> None:
    """See that the keys of how simulations are run fit together, before any job starts."""
    segment_ends(section)
    if section["gpu"] and section["ranks"] > 1:
        raise ConfigError(
            f"config: 'trajectories/ranks' is {section['ranks']}, expected 1 with trajectories/gpu: one rank "
            "drives a GPU"
        )
    if section["packing"] != "auto":
        pack_size(section["packing"], 1)


def pack_size(packing: str | int, replicas: int) -> int:
    """Replicas of one job: a number, or all of them."""
    if packing == "auto":
        return max(1, replicas)
    if not str(packing).isdigit() or int(packing) < 1:
        raise ConfigError(f"config: 'trajectories/packing' is {packing!r}, expected a number from 1, or auto")
    return int(packing)


def pack_name(replicas: Sequence[int]) -> str:
    """Name a pack: ``1-3_5`` is the replicas 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for replica in sorted(replicas):
        if runs and replica == runs[-1][-1] + 1:
            runs[-1].append(replica)
        else:
            runs.append([replica])
    return "_".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def pack_replicas(name: str) -> list[int]:
    """Give the replicas of a pack from its name."""
    ends = [[int(number) for number in part.split("-")] for part in name.split("_")]
    return [replica for run in ends for replica in range(run[0], run[-1] + 1)]


def plan_replicas(
    name: str, replicas: Sequence[int], section: Mapping[str, Any], root: str | os.PathLike[str] = "."
) -> dict[int, Plan]:
    """Plan the jobs of the replicas of one structure at one temperature.

    Parameters
    ----------
    name : str
        ``{structure}`` or ``{structure}/300K``.
    replicas : sequence of int
        Numbers of the replicas that are wanted.
    section : mapping
        ``trajectories`` of the config.
    root : path
        Where ``results/`` and ``work/`` are.
    """
    ends = segment_ends(section)
    plans = {}
    for replica in replicas:
        recorded = _recorded(name, replica, Path(root))
        # Of another length, it will be made anew.
        if recorded and recorded.ends[-1] == ends[-1]:
            plans[replica] = recorded
    new = [replica for replica in replicas if replica not in plans]
    size = pack_size(section["packing"], len(new))
    for first in range(0, len(new), size):
        pack = new[first : first + size]
        plans |= {replica: Plan(pack_name(pack), ends) for replica in pack}
    return plans


def plan_pack(
    name: str, pack: str, section: Mapping[str, Any], root: str | os.PathLike[str] = "."
) -> tuple[str, ...]:
    """Give the ends of the segments of a pack, as it was begun or as the config says."""
    ends = segment_ends(section)
    recorded = _recorded(name, pack_replicas(pack)[0], Path(root))
    return recorded.ends if recorded and (recorded.pack, recorded.ends[-1]) == (pack, ends[-1]) else ends


def record_begin(name: str, pack: str, ends: Sequence[str], root: str | os.PathLike[str] = ".") -> None:
    """Note that the replicas of a pack are begun in these segments."""
    for replica in pack_replicas(pack):
        write_json(_begun(name, replica, Path(root)), {"pack": pack, "segments_ps": list(ends)})


def _recorded(name: str, replica: int, root: Path) -> Plan | None:
    """Read how a replica was begun: where it was begun, or from its results."""
    for path in (
        _begun(name, replica, root),
        root / "results/trajectories" / name / str(replica) / "segments.json",
    ):
        # A note that a full disk has cut off is none.
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            record = read_json(path)
            return Plan(record["pack"], tuple(record["segments_ps"]))
    return None


def _begun(name: str, replica: int, root: Path) -> Path:
    return root / "work/trajectories" / name / "begun" / f"{replica}.json"


def _text(length: Fraction) -> str:
    """Write a length in ps with all its decimals and no more."""
    return f"{float(length):.9f}".rstrip("0").rstrip(".")

"""What the jobs of each rule took, from Snakemake's benchmarks."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from helixflow.files import read_tsv
from helixflow.report.blocks import Figure, Table, number, percent, plural, table
from helixflow.report.flow import in_flow_order, read_flow, reduce_edges
from helixflow.report.flow_chart import flow_chart

#: What is shown of jobs that were over before Snakemake looked at them.
TOO_SHORT = "below the clock's step"
#: Seconds from which on Snakemake saw a job twice.
_TWO_LOOKS = 1.0
#: This page is not done when it is written.
_UNFINISHED = "write_report"
#: Seconds or MB above which a benchmark is no measurement.
_MOST = 1e10
#: Benchmarks that cannot be read of which the names are told.
_MOST_NAMED = 10


@dataclass(frozen=True)
class Job:
    """A job: wall time, CPU time and peak memory (resident); NaN where it was too short to tell."""

    rule: str
    seconds: float
    cpu_s: float
    memory_MB: float


@dataclass(frozen=True)
class Work:
    """What the jobs of a rule took together; CPU time and load are those of the `measured` ones."""

    rule: str
    jobs: int
    measured: int
    seconds: float
    longest_s: float
    cpu_s: float
    load: float
    memory_MB: float


def read_jobs(folder: str | os.PathLike[str]) -> tuple[list[Job], list[str]]:
    """Read the benchmarks ``{rule}.tsv`` and ``{rule}/**/*.tsv`` of a folder, but for this page's.

    Snakemake looks at a job every half second. One that was over by then has a CPU time of 0, and one that it
    saw once has the memory of the shell that began it: neither is a measurement.

    Returns
    -------
    list of Job
    list of str
        Benchmarks that cannot be read, below the folder.
    """
    jobs, unread = [], []
    for path in sorted(Path(folder).rglob("*.tsv")):
        place = path.relative_to(folder)
        try:
            jobs += list(_read(path, place.parts[0].removesuffix(".tsv")))
        except (OSError, ValueError, csv.Error):
            unread.append(place.as_posix())
    return [job for job in jobs if job.rule != _UNFINISHED], unread


def _read(path: Path, rule: str) -> Iterator[Job]:
    for row in read_tsv(path):
        if "s" not in row:
            raise ValueError(f"{path}: no column 's'")
        seconds, cpu, memory = (_number(row.get(name)) for name in ("s", "cpu_time", "max_rss"))
        yield Job(rule, seconds, cpu if cpu > 0 else math.nan, memory if seconds >= _TWO_LOOKS else math.nan)


def _number(text: str | None) -> float:
    """Read a number; what Snakemake could not measure is ``-`` or ``NA``, and what cannot be is none."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return value if 0 <= value < _MOST else math.nan


def sum_up(jobs: Sequence[Job]) -> list[Work]:
    """Add up the jobs of each rule, in the order of the data flow; rules that no longer are come last."""
    order = {rule: at for at, rule in enumerate(in_flow_order(read_flow()))}
    rules = sorted({job.rule for job in jobs}, key=lambda rule: (order.get(rule, len(order)), rule))
    return [_sum_of(rule, [job for job in jobs if job.rule == rule]) for rule in rules]


def _sum_of(rule: str, jobs: Sequence[Job]) -> Work:
    timed = [job.seconds for job in jobs if math.isfinite(job.seconds)]
    measured = [job for job in jobs if math.isfinite(job.cpu_s)]
    cpu, wall = sum(job.cpu_s for job in measured), sum(job.seconds for job in measured)
    return Work(
        rule,
        len(jobs),
        len(measured),
        sum(timed),
        max(timed, default=math.nan),
        cpu if measured else math.nan,
        cpu / wall if wall else math.nan,
        max((job.memory_MB for job in jobs if math.isfinite(job.memory_MB)), default=math.nan),
    )


def jobs_table(works: Sequence[Work]) -> Table:
    """Show what the rules took, in the order of the data flow."""
    rows = [
        (
            work.rule,
            work.jobs,
            work.seconds,
            work.longest_s,
            percent(work.seconds / work.jobs, work.longest_s) if work.jobs > 1 else "–",
            _cpu_cell(work),
            percent(work.load, 1) if work.measured else "–",
            TOO_SHORT if math.isnan(work.memory_MB) else work.memory_MB,
        )
        for work in works
    ]
    return table(
        "Time and memory of each rule",
        "rule | jobs # | wall time, sum (s) # | longest (s) # | balance # | CPU time (s) # | load # | "
        "peak memory (MB) #",
        rows,
        "From Snakemake's benchmarks of the jobs that are in the folder, each as it last ran. Balance is "
        "the mean over the longest: 100 % where all jobs of a rule take as long. Load is CPU time over wall "
        "time; more than 100 % is more than one core. Snakemake looks at a job every half second: what it "
        f"could not measure of short jobs (CPU time below half a second, memory below one) is {TOO_SHORT} "
        "and in no sum.",
    )


def _cpu_cell(work: Work) -> str:
    """Show CPU time, and of how many jobs it is where it is not of all."""
    if not work.measured:
        return TOO_SHORT
    return number(work.cpu_s) + (
        "" if work.measured == work.jobs else f" ({work.measured} of {work.jobs} jobs)"
    )


def flow_figure(works: Sequence[Work]) -> Figure:
    """Draw the rules that ran and which reads what of which."""
    ran = {work.rule: work for work in works}
    edges = [edge for edge in read_flow() if set(edge) <= set(ran)]
    before = {rule: ", ".join(a for a, b in edges if b == rule) for rule in ran}
    columns = ("jobs", "measured", "seconds", "longest_s", "cpu_s", "memory_MB")
    data = {name: [getattr(work, name) for work in works] for name in columns}
    captions = {
        work.rule: f"{plural(work.jobs, 'job')}, {_cpu(work)}"
        + ("" if math.isnan(work.memory_MB) else f", {number(work.memory_MB, 3)} MB")
        for work in works
    }
    most = max((work.cpu_s for work in works if work.measured), default=1.0)
    shares = {work.rule: work.cpu_s / most if work.measured else 0.0 for work in works}
    return Figure(
        "Rules of the run",
        flow_chart(
            captions,
            shares,
            reduce_edges(edges),
            {"rule": list(ran), "reads from": list(before.values())} | data,
        ),
        f"Flow chart of {plural(len(works), 'rule')}: those that fetch are at the top, and at the bottom "
        "those that read what all others wrote.",
        "A box is a rule with the number of its jobs, their CPU time together and the most memory that one "
        "of them had; the darker, the more CPU time it took. An arrow leads to a rule that reads what "
        "another one wrote; arrows that others imply are left out.",
        wide=True,
    )


def _cpu(work: Work) -> str:
    return f"{number(work.cpu_s, 3)} s CPU" if work.measured else f"{number(work.seconds, 2)} s"


def work_blocks(folder: str | os.PathLike[str]) -> list[str | Table | Figure]:
    """Show what ran and what it took, or say that nothing is known of it."""
    jobs, unread = read_jobs(folder)
    works = sum_up(jobs)
    told: list[str | Table | Figure] = []
    if unread:
        named = ", ".join(unread[:_MOST_NAMED]) + (", …" if len(unread) > _MOST_NAMED else "")
        told.append(f"Left out, since it cannot be read: {plural(len(unread), 'benchmark')} ({named}).")
    if not works:
        none = f"What the jobs took is not known: there is no benchmark of them in {os.fspath(folder)}."
        return [*told, none]
    return [*told, flow_figure(works), jobs_table(works)]

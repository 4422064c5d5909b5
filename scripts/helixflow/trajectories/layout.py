"""How one mdrun uses its share of a machine: what it is asked for, and what its log says it did."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from helixflow.errors import ConfigError
from helixflow.gmx import GmxBuild

#: Variables of the schedulers whose jobs have an end; on a workstation a rule's runtime limits nothing.
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "AWS_BATCH_JOB_ID")
#: Share of a job's time after which mdrun stops itself, so that its checkpoint is written and kept.
_SHARE_OF_TIME = 0.97


@dataclass(frozen=True)
class Job:
    """What a job may use, and how a run is to use it.

    Attributes
    ----------
    program : str
        GROMACS, from ``gmx`` of the config.
    threads, ranks, gpus : int
        OpenMP threads of a rank, ranks of one mdrun, GPUs of the job, as configured.
    cores : int
        What Snakemake gave the job.
    launcher : str
        What starts a GROMACS that was built with MPI, such as ``mpirun``; thread-MPI needs none.
    checkpoint_min : float
        Minutes between two checkpoints.
    end : float or None
        When mdrun must stop, in seconds since the epoch.
    """

    program: str
    threads: int = 1
    ranks: int = 1
    gpus: int = 0
    cores: int = 1
    launcher: str = ""
    checkpoint_min: float = 5
    end: float | None = None

    @property
    def exact(self) -> bool:
        """Whether the run must give the same bytes whatever happens to it; only one thread can."""
        return self.threads == 1 and self.ranks == 1 and self.gpus == 0


@dataclass(frozen=True)
class Layout:
    """How the runs of a job share its cores.

    Attributes
    ----------
    together : int
        Runs at a time.
    ranks, threads : int
        Ranks of one mdrun, and OpenMP threads of a rank.
    gpus : int
        GPUs that the runs at a time share.
    multidir : bool
        Whether all runs are one program of MPI.
    mps : bool
        Whether runs on one GPU share it through NVIDIA's service.
    pin : bool
        Whether threads are tied to cores.
    """

    together: int = 1
    ranks: int = 1
    threads: int = 1
    gpus: int = 0
    multidir: bool = False
    mps: bool = False
    pin: bool = False

    def __str__(self) -> str:
        words = [f"{self.together} at a time", f"{self.ranks} rank x {self.threads} threads"]
        words += [f"{self.gpus} GPU"] if self.gpus else []
        words += ["one MPI program"] if self.multidir else []
        return ", ".join([*words, *(["MPS"] if self.mps else []), *(["pinned"] if self.pin else [])])


def job_end(runtime_min: float, environment: dict[str, str], began: float) -> float | None:
    """Say when mdrun must stop, in seconds since the epoch; None where no scheduler ends the job.

    Parameters
    ----------
    runtime_min : float
        Minutes that the job was given.
    environment : dict
        Of the process; SLURM says there when the job began.
    began : float
        When this process began, for schedulers that do not say when the job did.
    """
    if not any(name in environment for name in _SCHEDULERS):
        return None
    began = float(environment.get("SLURM_JOB_START_TIME", began))
    return began + _SHARE_OF_TIME * runtime_min * 60


def job_of(keys: Mapping[str, Any], program: str, cores: int, launcher: str, runtime_min: float) -> Job:
    """Describe this process's job.

    Parameters
    ----------
    keys : mapping
        ``trajectories`` of the config.
    program : str
        ``gmx`` of the config.
    cores, launcher, runtime_min
        Threads, and resources ``mpi`` and ``runtime``, of the Snakemake job.
    """
    end = job_end(runtime_min, dict(os.environ), time.time())
    return Job(
        program, keys["threads"], keys["ranks"], keys["gpu"], cores, launcher, keys["checkpoint_min"], end
    )


def owns_node(environment: dict[str, str], cores: int) -> bool:
    """Whether the job has the whole machine: a scheduler says so and all its cores are asked for."""
    machine = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    given = environment.get("SLURM_CPUS_ON_NODE", "")
    return given.isdigit() and int(given) == machine == allowed == cores


def mdrun_options(build: GmxBuild, job: Job, layout: Layout, slot: int) -> list[str]:
    """Give the options of mdrun that lay it out on the machine.

    Parameters
    ----------
    build : GmxBuild
        The program; ``-ntmpi`` is an error for one built with MPI.
    job : Job
        What was asked for.
    layout : Layout
        How the cores are shared.
    slot : int
        Which of the runs at a time it is, from 0: it has its own cores and GPU.
    """
    options = ["-ntmpi", str(layout.ranks)] if build.mpi == "thread_mpi" else []
    options += ["-ntomp", str(layout.threads)]
    width = layout.ranks * layout.threads
    options += (
        ["-pin", "on", "-pinoffset", str(slot * width), "-pinstride", "1"]
        if layout.pin and not layout.multidir
        else ["-pin", "on" if layout.pin else "off"]
    )
    if layout.gpus:
        options += ["-nb", "gpu", "-pme", "gpu", "-bonded", "gpu", "-update", "gpu"]
        options += ["-gpu_id", str(slot % layout.gpus)] if layout.gpus > 1 and not layout.multidir else []
    # Without -reprod, FFTW chooses its plans, and so the last digits, by stopwatch.
    options += ["-reprod"] if job.exact else []
    options += ["-cpt", f"{job.checkpoint_min:g}"]
    if job.end is not None:
        options += ["-maxh", f"{max(job.end - time.time(), 1) / 3600:.6f}"]
    return options


def mdrun_program(build: GmxBuild, job: Job, ranks: int) -> list[str]:
    """Give the words that start mdrun: the program, behind a launcher where MPI needs one."""
    if job.gpus and build.gpu == "disabled":
        raise ConfigError(
            f"config: 'trajectories/gpu' is {job.gpus}, but {build.path} is built without GPU support "
            "(set gmx to one that has it)"
        )
    program = [build.path, "mdrun"]
    if build.mpi != "MPI":
        return program
    if not job.launcher:
        if ranks == 1:
            return program
        raise ConfigError(
            f"config: 'trajectories/ranks' is {job.ranks}, and gmx is built with MPI: set "
            "trajectories/mpi, and the resource mpi to its launcher where that is not mpirun"
        )
    return [*job.launcher.split(), "-n", str(ranks), *program]


def single_layout(job: Job, build: GmxBuild, environment: dict[str, str]) -> Layout:
    """Lay one run out on all that the job has."""
    return shared_layout(job, build, 1, environment)


def shared_layout(job: Job, build: GmxBuild, together: int, environment: dict[str, str]) -> Layout:
    """Lay runs out so that `together` at a time share the cores of the job evenly."""
    # Ranks of MPI have cores of their own; those of thread-MPI share the job's.
    ranks = job.ranks if build.mpi == "MPI" else max(1, min(job.ranks, job.cores // together))
    width = job.cores // together if build.mpi == "MPI" else job.cores // (together * ranks)
    threads = 1 if job.exact else max(1, width)
    used = together * threads * (1 if build.mpi == "MPI" else ranks)
    return Layout(together, ranks, threads, job.gpus, pin=owns_node(environment, used))


def read_layout(log: str) -> dict[str, Any]:
    """Read from md.log on what the last start of mdrun really ran; None for what it does not say.

    Returns
    -------
    dict
        ranks, threads, gpu_tasks (``nonbonded``, ``bonded``, ``pme``, ``update``), gpu_mapping,
        pinned, simd, simd_possible.
    """
    log = log[max(log.rfind("Command line:"), 0) :]

    def found(pattern: str) -> str | None:
        match = re.search(pattern, log, re.MULTILINE)
        return match[1].strip() if match else None

    ranks, threads = found(r"^Using (\d+) MPI (?:thread|process)"), found(r"^Using (\d+) OpenMP thread")
    tasks = {
        "nonbonded": r"(short-ranged.*on the GPU)",
        "bonded": r"(bonded interactions on the GPU)",
        "pme": r"(PME tasks will do all aspects on the GPU)",
        "update": r"(update and constrain coordinates on the GPU)",
    }
    pinned = found(r"^((?:Pinning threads|Applying core pinning).*)$") is not None
    return {
        "ranks": int(ranks) if ranks else None,
        "threads": int(threads) if threads else None,
        "gpu_tasks": [name for name, pattern in tasks.items() if found(pattern)],
        "gpu_mapping": found(r"^Mapping of GPU IDs to the .*\n +(\S+)"),
        "pinned": pinned and not found(r"(NOTE: Thread affinity was not set)"),
        "simd": found(r"^SIMD instructions(?: selected at compile time)?: +(.*)$"),
        "simd_possible": found(r"^Highest SIMD level supported by all nodes in run: +(.*)$"),
    }


def layout_differences(asked: Layout, ran: dict[str, Any]) -> list[str]:
    """Say in words in what a run differs from what was asked for."""
    said = [
        f"{name} {getattr(asked, name)} asked for, {ran[name]} ran"
        for name in ("ranks", "threads")
        if ran[name] is not None and ran[name] != getattr(asked, name)
    ]
    wanted = {"nonbonded", "bonded", "pme", "update"} if asked.gpus else set()
    missing = sorted(wanted - set(ran["gpu_tasks"]))
    said += [f"not on the GPU: {', '.join(missing)}"] if missing else []
    said += ["threads were not pinned"] if asked.pin and not ran["pinned"] else []
    return said

"""Runs of mdrun: begun, continued where they were stopped, or found finished; several at a time.

What is there decides: the last coordinates are written under their name only by a run that reached its
last step, and a checkpoint only when everything before it is on disk.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helixflow.errors import SimulationError
from helixflow.gmx import GmxTools, fatal_message
from helixflow.trajectories.alone import chain_to_snakemake, is_orphaned
from helixflow.trajectories.layout import Job, Layout, mdrun_options, mdrun_program
from helixflow.trajectories.run_input import grompp

_log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
#: What a run whose forces went out of bounds dies of, beside its own error message.
_CRASHES = (-signal.SIGSEGV, -signal.SIGFPE, 128 + signal.SIGSEGV, 128 + signal.SIGFPE)
_BLOW_UP_WORDS = re.compile(
    r"LINCS WARNING|can not be settled|not finite|constraint error|\bnan\b", re.IGNORECASE
)
#: Seconds between two looks at processes that run.
_LOOK = 0.05
#: Bytes; with less room left on a disk, a program that failed there failed for that.
_NO_ROOM = 1 << 16


@dataclass(frozen=True)
class Launch:
    """A program to be started in a folder; its command depends on which of those at a time it is."""

    folder: Path
    command: Callable[[int], list[str]]
    ended: Callable[[int], None] = lambda status: None


def run_phase(
    gmx: GmxTools,
    phase: str,
    mdp: str,
    inputs: dict[str, str],
    job: Job,
    layout: Layout,
) -> None:
    """Bring one phase to its last step.

    Parameters
    ----------
    gmx : GmxTools
        Tools in the folder where the files of all phases are.
    phase : str
        Name of the phase and of its files; ``{phase}.gro`` is there when it is finished.
    mdp : str
        Run parameters.
    inputs : dict of str to str
        Options of grompp, without the dash, and the files of the folder that they name.
    job : Job
        What may be used.
    layout : Layout
        How.

    Raises
    ------
    SimulationError
        If the run was stopped, failed, or blew up; one that blew up is not tried again.
    """
    folder = gmx.folder
    demand_no_blow_up(folder, phase)
    if (folder / f"{phase}.gro").exists():
        _log.info("%s: %s is finished", gmx.subject, phase)
        return
    checkpoint = find_checkpoint(folder, phase)
    if checkpoint:
        tell_of_continuation(gmx.subject, phase, checkpoint, job)
        more = ["-cpi", checkpoint, "-append"]
    else:
        _begin(gmx, phase, mdp, inputs)
        more = []
    unfinished = f"{phase}_unfinished.gro"
    (folder / unfinished).unlink(missing_ok=True)
    command = [*mdrun_program(gmx.build, job, layout.ranks), "-deffnm", phase, "-c", unfinished]
    command += mdrun_options(gmx.build, job, layout, 0) + more
    status, stopped = run_stoppable(command, folder)
    if status == 0 and is_whole(folder / unfinished):
        (folder / unfinished).rename(folder / f"{phase}.gro")
    if stopped:
        raise stop_error(gmx.subject, phase, stopped)
    if not (folder / f"{phase}.gro").exists():
        if status == 0 and _did_last_step(folder / f"{phase}.log", mdp):
            # From a checkpoint of the last step mdrun writes no coordinates: the phase begins anew.
            (folder / f"{phase}.cpt").unlink(missing_ok=True)
            (folder / f"{phase}_prev.cpt").unlink(missing_ok=True)
            raise SimulationError(
                f"{gmx.subject}: {phase} was stopped before its last coordinates were written; run again: "
                f"{phase} begins anew"
            )
        raise failure(folder, phase, f"{phase}.log", status, gmx.subject)


def is_whole(gro: Path) -> bool:
    """Whether last coordinates are there to their end, which on a full disk mdrun does not see to."""
    if not gro.exists():
        return False
    *lines, rest = gro.read_text(encoding="utf-8").split("\n")
    return not rest and len(lines) > 2 and lines[1].strip().isdigit() and len(lines) == int(lines[1]) + 3


def _did_last_step(log: Path, mdp: str) -> bool:
    """Whether a log tells of the last step of a phase."""
    steps = re.findall(r"^ +(\d+) +\d+\.\d+$", log.read_text(errors="replace"), re.MULTILINE)
    nsteps = re.search(r"^nsteps *= *(\d+)", mdp, re.MULTILINE)
    return bool(steps and nsteps) and int(steps[-1]) >= int(nsteps[1] if nsteps else 0)


def _begin(gmx: GmxTools, phase: str, mdp: str, inputs: dict[str, str]) -> None:
    """Remove what an earlier try of the phase left, and make its run input."""
    for old in gmx.folder.glob(f"{phase}*"):
        old.unlink()
    grompp(gmx, phase, mdp, inputs)


def run_stoppable(command: list[str], folder: Path) -> tuple[int, str]:
    """Run mdrun so that a stop of this process stops it too, with a checkpoint.

    Returns
    -------
    (int, str)
        Exit status, and the name of the signal that stopped it or nothing.
    """
    statuses: list[int] = []
    stopped = run_together([Launch(folder, lambda slot: command, statuses.append)], 1)
    return statuses[0], stopped


def run_together(launches: Sequence[Launch], together: int) -> str:
    """Run programs, some at a time; a stop of this process stops all that run, and no other is begun.

    Parameters
    ----------
    launches : sequence of Launch
        Each is told its exit status when it has ended.
    together : int
        How many run at a time.

    Returns
    -------
    str
        Name of the signal that stopped them, or nothing.
    """
    waiting = list(launches)
    running: dict[int, tuple[Launch, subprocess.Popen[bytes]]] = {}
    received: list[str] = []

    def stop(number: int, frame: object) -> None:
        if not received:
            for _, process in running.values():
                process.terminate()
        received.append(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    chain = chain_to_snakemake()
    try:
        while running or (waiting and not received):
            free = [slot for slot in range(together) if slot not in running]
            while waiting and free and not received:
                launch = waiting.pop(0)
                # A stop that comes while a program is started finds it among those that run.
                signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
                running[free[0]] = (launch, _start(launch.command(free[0]), launch.folder))
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
                del free[0]
            for slot in [slot for slot, (_, process) in running.items() if process.poll() is not None]:
                launch, process = running.pop(slot)
                launch.ended(process.returncode)
            if running and not received and is_orphaned(chain):
                # Nobody takes what this job makes, and the one that is begun anew waits for its end.
                _log.warning("Snakemake has ended; its simulations are stopped")
                os.kill(os.getpid(), signal.SIGTERM)
            if running:
                time.sleep(_LOOK)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return received[0] if received else ""


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    print(f"$ {' '.join(command)}", file=sys.stderr, flush=True)
    # Snakemake sets OMP_NUM_THREADS; mdrun takes offence where it differs from -ntomp.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    # Left alone, OpenMPI's launcher gives a program that it stops one second for its checkpoint.
    environment.setdefault("OMPI_MCA_odls_base_sigkill_timeout", "60")
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, "GMX_MAXBACKUP": "-1"},
        stdin=subprocess.DEVNULL,
        # It holds the lock of the folder too.
        close_fds=False,
        # In a session of its own it does not get the terminal's Ctrl-C as well: mdrun takes two
        # signals as an order to stop without care.
        start_new_session=True,
        preexec_fn=_stop_with_parent,
    )


def _stop_with_parent() -> None:
    """Have Linux stop mdrun when this process is killed without a chance to do so."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    # What the parent holds back while it starts a program must reach the program.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def find_checkpoint(folder: Path, phase: str) -> str:
    """Name the checkpoint to continue from; nothing where there is none."""
    # While mdrun exchanges its checkpoints, only the one before is there.
    names = (f"{phase}.cpt", f"{phase}_prev.cpt")
    return next((name for name in names if (folder / name).exists()), "")


def tell_of_continuation(subject: str, phase: str, checkpoint: str, job: Job) -> None:
    """Say in the log that a run continues, and what that means for its last digits."""
    exact = "" if job.exact else "; with several threads its last digits differ from now on"
    _log.info("%s: %s continues from %s%s", subject, phase, checkpoint, exact)


def stop_error(subject: str, phase: str, stopped: str) -> SimulationError:
    """Give the error of a run that a signal stopped."""
    return SimulationError(f"{subject}: {phase} was stopped by {stopped}; run again to continue it")


def demand_no_blow_up(folder: Path, phase: str) -> None:
    """Raise again what is noted of a run that blew up: the same would happen again."""
    note = folder / f"{phase}.blown_up"
    if note.exists():
        raise SimulationError(note.read_text(encoding="utf-8"))


def failure(folder: Path, phase: str, log_name: str, status: int, subject: str) -> SimulationError:
    """Say why mdrun did not reach the last step; a blow-up is noted so that it is not repeated.

    Parameters
    ----------
    folder : Path
        Where the run is.
    phase, log_name : str
        Name of the phase, and of the log of the last start.
    status : int
        Exit status; mdrun ends with 0 when its time is up.
    subject : str
        What the error names.
    """
    log = folder / log_name
    written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    # A run that was continued has told of earlier trouble in the same log.
    written = written[max(written.rfind("Command line:"), 0) :]
    message = fatal_message(written)
    step_files = step_files_of(folder, phase)
    if step_files or status in _CRASHES or _BLOW_UP_WORDS.search(message):
        signs = ", ".join(filter(None, [_status(status), *step_files[:2], message]))
        line = (
            f"{subject}: {phase} blew up ({signs}); shorten trajectories/timestep_fs, minimise further, "
            f"mend the structure, or remove {folder} to try the same again"
        )
        (folder / f"{phase}.blown_up").write_text(line, encoding="utf-8")
        return SimulationError(line)
    if status == 0 and " -maxh " in written:
        times = re.findall(r"^ +\d+ +(\d+\.\d+)$", written, re.MULTILINE)
        at = f" at {float(times[-1]):g} ps" if times else ""
        return SimulationError(
            f"{subject}: {phase} was stopped by its time limit{at}; run again to continue it"
        )
    if shutil.disk_usage(folder).free < _NO_ROOM:
        return SimulationError(
            f"{subject}: {phase} ended with {_status(status)}: no room is left on the disk of {folder}; "
            "make room and run again to continue it"
        )
    return SimulationError(
        f"{subject}: {phase} ended with {_status(status)} before its last step: {message or f'see {log}'}"
    )


def step_files_of(folder: Path, phase: str) -> list[str]:
    """Name the coordinates that mdrun wrote because a constraint failed since the phase was begun."""
    begun = (folder / f"{phase}.tpr").stat().st_mtime
    return sorted(path.name for path in folder.glob("step*.pdb") if path.stat().st_mtime >= begun)


def _status(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"

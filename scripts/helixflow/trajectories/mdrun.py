"""One phase of a simulation: begun, continued where it was stopped, or found finished.

What is there decides: the last coordinates are written under their name only by a run that reached its
last step, and a checkpoint only when everything before it is on disk.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from helixflow.errors import SimulationError
from helixflow.gmx import GmxTools, fatal_message
from helixflow.trajectories.run_input import grompp

_log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
#: What a run whose forces went out of bounds dies of, beside its own error message.
_CRASHES = (-signal.SIGSEGV, -signal.SIGFPE)
_BLOW_UP_WORDS = re.compile(
    r"LINCS WARNING|can not be settled|not finite|constraint error|\bnan\b", re.IGNORECASE
)


def run_phase(
    gmx: GmxTools, phase: str, mdp: str, inputs: dict[str, str], threads: int, checkpoint_min: float
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
    threads : int
        OpenMP threads.
    checkpoint_min : float
        Minutes between two checkpoints.

    Raises
    ------
    SimulationError
        If the run was stopped, failed, or blew up; one that blew up is not tried again.
    """
    folder = gmx.folder
    blown_up = folder / f"{phase}.blown_up"
    if blown_up.exists():
        raise SimulationError(blown_up.read_text(encoding="utf-8"))
    if (folder / f"{phase}.gro").exists():
        _log.info("%s: %s is finished", gmx.subject, phase)
        return
    checkpoint = _checkpoint(folder, phase)
    if checkpoint:
        exact = "" if threads == 1 else "; with several threads its last digits differ from now on"
        _log.info("%s: %s continues from %s%s", gmx.subject, phase, checkpoint, exact)
        options = ["-cpi", checkpoint, "-append"]
    else:
        _begin(gmx, phase, mdp, inputs)
        options = []
    # -ntmpi is an error for a GROMACS that was built with MPI.
    options += ["-ntmpi", "1"] if gmx.build.mpi == "thread_mpi" else []
    # Without -reprod, FFTW chooses its plans, and so the last digits, by stopwatch.
    options += ["-reprod"] if threads == 1 else []
    unfinished = f"{phase}_unfinished.gro"
    command = [gmx.build.path, "mdrun", "-deffnm", phase, "-c", unfinished, "-ntomp", str(threads)]
    command += ["-pin", "off", "-cpt", f"{checkpoint_min:g}", *options]
    status, stopped = run_stoppable(command, folder)
    if status == 0 and (folder / unfinished).exists():
        (folder / unfinished).rename(folder / f"{phase}.gro")
    if stopped:
        raise SimulationError(f"{gmx.subject}: {phase} was stopped by {stopped}; run again to continue it")
    if not (folder / f"{phase}.gro").exists():
        raise _failure(folder, phase, status, gmx.subject)


def _begin(gmx: GmxTools, phase: str, mdp: str, inputs: dict[str, str]) -> None:
    """Remove what an earlier try of the phase left, and make its run input."""
    for old in gmx.folder.glob(f"{phase}*"):
        old.unlink()
    grompp(gmx, phase, mdp, inputs, processed="processed.top" if phase == "production" else None)


def run_stoppable(command: list[str], folder: Path) -> tuple[int, str]:
    """Run mdrun so that a stop of this process stops it too, with a checkpoint.

    Returns
    -------
    (int, str)
        Exit status, and the name of the signal that stopped it or nothing.
    """
    print(f"$ {' '.join(command)}", file=sys.stderr, flush=True)
    # Snakemake sets OMP_NUM_THREADS; mdrun takes offence where it differs from -ntomp.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, "GMX_MAXBACKUP": "-1"},
        stdin=subprocess.DEVNULL,
        # In a session of its own it does not get the terminal's Ctrl-C as well: mdrun takes two
        # signals as an order to stop without care.
        start_new_session=True,
        preexec_fn=_stop_with_parent,
    )
    received: list[str] = []

    def stop(number: int, frame: object) -> None:
        if not received:
            process.terminate()
        received.append(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status, received[0] if received else ""


def _stop_with_parent() -> None:
    """Have Linux stop mdrun when this process is killed without a chance to do so."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _checkpoint(folder: Path, phase: str) -> str:
    """Name the checkpoint to continue from; nothing where there is none."""
    # While mdrun exchanges its checkpoints, only the one before is there.
    names = (f"{phase}.cpt", f"{phase}_prev.cpt")
    return next((name for name in names if (folder / name).exists()), "")


def _failure(folder: Path, phase: str, status: int, subject: str) -> SimulationError:
    """Say why mdrun did not reach the last step; a blow-up is noted so that it is not repeated."""
    log = folder / f"{phase}.log"
    written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    # A run that was continued has told of earlier trouble in the same log.
    message = fatal_message(written[written.rfind("Command line:") :])
    begun = (folder / f"{phase}.tpr").stat().st_mtime
    step_files = sorted(path.name for path in folder.glob("step*.pdb") if path.stat().st_mtime >= begun)
    if step_files or status in _CRASHES or _BLOW_UP_WORDS.search(message):
        signs = ", ".join(filter(None, [_status(status), *step_files[:2], message]))
        line = (
            f"{subject}: {phase} blew up ({signs}); shorten trajectories/timestep_fs, minimise further, "
            f"mend the structure, or remove {folder} to try the same again"
        )
        (folder / f"{phase}.blown_up").write_text(line, encoding="utf-8")
        return SimulationError(line)
    return SimulationError(
        f"{subject}: {phase} ended with {_status(status)} before its last step: {message or f'see {log}'}"
    )


def _status(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"

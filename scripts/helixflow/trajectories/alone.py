"""One job at a time in a folder of work/, also where Snakemake was killed and its jobs live on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helixflow.joblog import tell


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process and the programs it starts; wait where another one has it.

    Parameters
    ----------
    folder : Path
        Need not be there; ``{folder}.lock`` beside it is locked, and stays.

    Yields
    ------
    bool
        Whether it had to be waited for: what the other one was to make may be there now.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        # mdrun outlives a job that is killed by a moment; till then the folder is not free.
        os.set_inheritable(lock.fileno(), True)
        waited = False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            tell(f"{folder}: another job is at work there; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield waited


def chain_to_snakemake() -> list[tuple[int, int]]:
    """Give the processes from this one up to the Snakemake that runs its job, each with its parent.

    Empty where no Snakemake of this machine does, as in a job of a cluster, or where there is no /proc.
    """
    chain: list[tuple[int, int]] = []
    top, process = 0, os.getpid()
    while process > 1 and (parent := _parent(process)):
        chain.append((process, parent))
        process = parent
        top = len(chain) if _is_snakemake(parent) else top
    return chain[:top]


def is_orphaned(chain: list[tuple[int, int]]) -> bool:
    """Whether a process of a chain has ended, so that the one below it has another parent."""
    return any(_parent(process) != parent for process, parent in chain)


def _parent(process: int) -> int:
    try:
        # Behind the name, which may hold anything: state and parent.
        return int(Path(f"/proc/{process}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _is_snakemake(process: int) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word == b"snakemake" or word.endswith(b"/snakemake") for word in words[:4])

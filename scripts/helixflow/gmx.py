"""GROMACS: which program it is, and calls of its tools through GromacsWrapper.

mdrun is not called here but as a plain process, since GromacsWrapper would leave it running alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helixflow.errors import ConfigError, HelixflowError


@dataclass(frozen=True)
class GmxBuild:
    """A GROMACS program: its absolute path, and what it says of itself."""

    path: str
    version: str
    #: ``thread_mpi``, ``MPI`` or ``none``.
    mpi: str
    #: ``disabled``, ``CUDA``, ``OpenCL``, ``SYCL``; empty where it does not say.
    gpu: str = ""
    #: Folder that has its library as ``share/gromacs/top``.
    data_prefix: str = "/usr"


def find_gmx(program: str) -> GmxBuild:
    """Find a GROMACS program and ask for its version.

    Parameters
    ----------
    program : str
        Name on PATH, or path, as ``gmx`` of the config gives it.

    Raises
    ------
    ConfigError
        If there is no such program or it is no GROMACS.
    """
    path = shutil.which(program)
    if path is None:
        raise ConfigError(
            f"gmx: no program '{program}' (install GROMACS, or set gmx in the config to its path)"
        )
    try:
        told = subprocess.run(
            [path, "--version"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"gmx: '{path}' does not run ({error}); set gmx in the config to a GROMACS"
        ) from None
    found = {
        name: re.search(rf"^{name}:\s+(\S+)", told, re.MULTILINE)
        for name in ("GROMACS version", "MPI library", "GPU support")
    }
    version, mpi = found["GROMACS version"], found["MPI library"]
    if version is None or mpi is None:
        raise ConfigError(
            f"gmx: '{path} --version' names no GROMACS version; set gmx in the config to a GROMACS"
        )
    prefix = re.search(r"^Data prefix:\s+(\S+)", told, re.MULTILINE)
    gpu = found["GPU support"]
    return GmxBuild(
        str(Path(path).absolute()), version[1], mpi[1], gpu[1] if gpu else "", prefix[1] if prefix else "/usr"
    )


class GmxTools:
    """Tools of one GROMACS program, called in one folder.

    Attributes
    ----------
    build : GmxBuild
        The program.
    folder : Path
        Where the tools run.
    subject : str
        What errors name.
    commands : list of str
        Every command line so far, as it could be typed in the folder.
    """

    def __init__(self, program: str, folder: Path, error: type[HelixflowError], subject: str) -> None:
        """Prepare calls in `folder`; a tool that fails raises `error` with a line that names `subject`."""
        self.build = find_gmx(program)
        self.commands: list[str] = []
        self.folder = folder
        self._error = error
        self.subject = subject
        # Files are written once under their own name; backups would fill the folder on every retry.
        os.environ["GMX_MAXBACKUP"] = "-1"

    def __call__(self, tool: str, *, answers: Sequence[str] = (), **options: Any) -> str:
        """Run one tool and return what it printed.

        Parameters
        ----------
        tool : str
            Name of the tool, such as ``grompp``.
        answers : sequence of str
            What is typed at its prompts.
        **options
            Options without the dash; True and False are switches, a list is several values.
        """
        command = _tool_factory()(tool.capitalize(), tool, self.build.path)(failure=None)
        typed = " ".join(command.transform_args(**options))
        self.commands.append(f"gmx {tool} {typed}" + (f" <<< '{' '.join(answers)}'" if answers else ""))
        with contextlib.chdir(self.folder):
            status, out, err = command(
                input=list(answers), stdin=subprocess.DEVNULL, stdout=False, stderr=False, **options
            )
        print(f"$ {self.commands[-1]}\n{err}{out}", file=sys.stderr)
        if status != 0:
            raise self._error(
                f"{self.subject}: gmx {tool} failed: {fatal_message(err) or f'status {status}'}"
            )
        return str(err + out)


def fatal_message(printed: str) -> str:
    """Return the message of a GROMACS error in one line, with grompp's warnings; empty if there is none."""
    found = re.search(r"^Source file:.*?\n\n(.*?)\n\nFor more information", printed, re.MULTILINE | re.DOTALL)
    if found is None:
        return ""
    warnings = re.findall(r"^(?:WARNING|ERROR) \d+ \[.*?\]:\n(.*?)\n\n", printed, re.MULTILINE | re.DOTALL)
    return " ".join(" ".join([found[1], *warnings]).split())


@cache
def _tool_factory() -> Any:
    """Import what makes GromacsWrapper's commands.

    Left alone, the import runs every gmx on PATH and fails where there is none. Told that the release
    is 4, it takes the names of tools from its configuration, which it finds through HOME, and runs nothing.
    """
    os.environ["GROMACSWRAPPER_SUPPRESS_SETUP_CHECK"] = "1"
    home = os.environ.get("HOME", "")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, ".gromacswrapper.cfg").write_text(
            "[Gromacs]\nrelease = 4\ntools = none\n", encoding="utf-8"
        )
        os.environ["HOME"] = folder
        try:
            from gromacs.tools import tool_factory
        finally:
            os.environ["HOME"] = home
    return tool_factory

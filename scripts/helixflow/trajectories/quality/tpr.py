"""What a run input holds: parameters as mdrun reads them, and the length each bond should have."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from helixflow.errors import SimulationError

_PARAMETER = re.compile(r"^ {3}([A-Za-z][\w-]*) += (\S.*)$")
#: A kind of interaction with the length at which it is at rest: harmonic, Morse and other bonds, constraints.
_LENGTH = re.compile(r"functype\[(\d+)\]=\w*(?:BONDS|MORSE|CONSTR\w*)\b.*?\b(?:b0A?|dA) *= *([-+.\deE]+)")
_BOND = re.compile(r"type=(\d+) \((?:\w*BONDS|MORSE|CONSTR\w*)\) +(\d+) +(\d+)\s*$")


@dataclass
class RunInput:
    """Parameters by their names, and nm of each pair of atoms that is bonded."""

    parameters: dict[str, str] = field(default_factory=dict)
    lengths: dict[tuple[int, int], float] = field(default_factory=dict)

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return int(self.parameters["natoms"])

    @property
    def cutoff_nm(self) -> float:
        """The longest distance at which two atoms are a pair."""
        return max(float(self.parameters[name]) for name in ("rcoulomb", "rvdw"))

    @property
    def ensemble(self) -> str:
        """What is kept: NPT, NVT or NVE."""
        if self.parameters["pcoupl"].lower() != "no":
            return "NPT"
        return "NVT" if self.parameters["tcoupl"].lower() != "no" else "NVE"


def read_tpr(program: str, path: Path) -> RunInput:
    """Read a run input of one kind of molecule, as ``gmx dump`` shows it."""
    command = [program, "-quiet", "dump", "-s", str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        run_input = parse_dump(process.stdout)
    if process.returncode != 0 or not run_input.parameters:
        raise SimulationError(f"{path}: gmx dump cannot read it (status {process.returncode}); run again")
    return run_input


def parse_dump(lines: Iterable[str]) -> RunInput:
    """Read what ``gmx dump`` shows of a run input, line by line."""
    found, rest = RunInput(), {}
    for line in lines:
        if told := _PARAMETER.match(line):
            found.parameters.setdefault(told[1], told[2].strip())
        elif told := _LENGTH.search(line):
            rest[told[1]] = float(told[2])
        elif (told := _BOND.search(line)) and told[1] in rest:
            first, second = sorted((int(told[2]), int(told[3])))
            found.lengths[first, second] = rest[told[1]]
    return found

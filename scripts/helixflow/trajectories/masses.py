"""Heavier hydrogens, which move slowly enough for a longer time step.

Mass goes from each heavy atom of the protein to the hydrogens on it, so that the molecule weighs as much as
before and everything that does not depend on time stays as it is. Water stays as light as it is: it is rigid.
It is done in the topology, so that it does not depend on the version of GROMACS.
"""

from __future__ import annotations

import re
from collections import defaultdict

from helixflow.errors import ConfigError

#: What is lighter is a hydrogen, in atomic mass units.
_HEAVIEST_HYDROGEN = 1.2


def repartition_masses(topology: str, factor: float) -> str:
    """Make the hydrogens of the protein heavier at the cost of the atoms they are bonded to.

    Parameters
    ----------
    topology : str
        Self-contained topology as pdb2gmx writes it, masses in the eighth column of its atoms.
    factor : float
        How many times as heavy the hydrogens become; at 1 the topology stays as it is.

    Returns
    -------
    str
        The topology with other masses.

    Raises
    ------
    ConfigError
        If a heavy atom would become lighter than its hydrogens.
    """
    if factor == 1:
        return topology
    heads = re.compile(r"(?=^\[ *moleculetype *\])", re.MULTILINE)
    return "".join(
        _repartition(part, factor) if re.match(r"\[[^\n]*\n(\s*;[^\n]*\n)*\s*Protein", part) else part
        for part in heads.split(topology)
    )


def _repartition(molecule: str, factor: float) -> str:
    """Change the masses of one molecule."""
    lines = molecule.splitlines(keepends=True)
    atoms, bonds = _sections(lines)
    masses = {number: float(lines[at].split()[7]) for number, at in atoms.items()}
    changed = dict(masses)
    for pair in bonds:
        for hydrogen, heavy in (pair, pair[::-1]):
            if masses[hydrogen] < _HEAVIEST_HYDROGEN <= masses[heavy]:
                added = (factor - 1) * masses[hydrogen]
                changed[hydrogen] += added
                changed[heavy] -= added
    for number, at in atoms.items():
        if changed[number] != masses[number]:
            lines[at] = _with_mass(lines[at], changed[number])
        if masses[number] >= _HEAVIEST_HYDROGEN and changed[number] < factor * 1.008:
            raise ConfigError(
                f"config: 'trajectories/hydrogen_mass_factor' is {factor:g}, which leaves atom {number} "
                f"({lines[at].split()[4]}) {changed[number]:.2f} u, less than its hydrogens; take 3"
            )
    return "".join(lines)


def _sections(lines: list[str]) -> tuple[dict[int, int], list[tuple[int, int]]]:
    """Find the lines of atoms by their numbers, and the bonded pairs of numbers."""
    atoms: dict[int, int] = {}
    found: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    section = ""
    for at, line in enumerate(lines):
        text = line.partition(";")[0].strip()
        if text.startswith("["):
            section = text.strip("[] ")
        elif text and not text.startswith("#"):
            found[section].append((at, text.split()))
    atoms = {int(values[0]): at for at, values in found["atoms"]}
    return atoms, [(int(values[0]), int(values[1])) for _, values in found["bonds"]]


def _with_mass(line: str, mass: float) -> str:
    """Put a mass into the eighth column of an atom's line."""
    return re.sub(r"^((?:\s*\S+\s+){7})\S+", lambda found: f"{found[1]}{mass:.6g}", line, count=1)

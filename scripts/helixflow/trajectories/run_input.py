"""Run inputs by grompp, and the check that GROMACS took every parameter as it was meant."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path

from helixflow.errors import ConfigError, SimulationError
from helixflow.gmx import GmxTools
from helixflow.trajectories.overrides import canonical, read_mdp
from helixflow.trajectories.settings import PHASES, SimulationSettings, phase_mdp

_TRUE, _FALSE = {"yes", "true", "on"}, {"no", "false", "off"}


def grompp(
    gmx: GmxTools, phase: str, mdp: str, inputs: Mapping[str, str], processed: str | None = None
) -> None:
    """Make the run input of a phase; any warning of grompp is an error.

    Written in the folder of `gmx`: ``{phase}.mdp``, ``{phase}.tpr`` and ``{phase}_full.mdp``, which is every
    parameter as GROMACS understood it.

    Parameters
    ----------
    gmx : GmxTools
        Tools in the folder of the run.
    phase : str
        Name of the phase and of its files.
    mdp : str
        Run parameters.
    inputs : mapping of str to str
        Options of grompp, without the dash, and the files that they name.
    processed : str, optional
        Name of the file that gets the topology with all that it includes.

    Raises
    ------
    ConfigError
        If GROMACS does not know a parameter, or took another value than was asked for.
    SimulationError
        If grompp fails for another reason, with its own words.
    """
    folder = gmx.folder
    (folder / f"{phase}.mdp").write_text(mdp, encoding="utf-8")
    full = folder / f"{phase}_full.mdp"
    more = {"pp": processed} if processed else {}
    try:
        gmx("grompp", f=f"{phase}.mdp", o=f"{phase}.tpr", po=full.name, **inputs, **more)
    except SimulationError as error:
        known = _strip(full) if full.exists() else ""
        raise _explain(str(error), phase, known, gmx) from None
    text = _strip(full)
    _check_values(read_mdp(mdp), read_mdp(text), phase, gmx.subject)
    full.write_text(text, encoding="utf-8")
    if processed:
        _clean_topology(folder / processed)


def check_protocol(
    gmx: GmxTools, settings: SimulationSettings, inputs: Mapping[str, str], exact: bool = False
) -> None:
    """See that grompp takes every phase, before the first of them runs.

    Parameters
    ----------
    gmx : GmxTools
        Tools in a folder with the files of `inputs`; what is made there is removed again.
    settings : SimulationSettings
        The protocol.
    inputs : mapping of str to str
        Topology ``p`` and coordinates ``c``, which need not be those that a phase begins with.
    exact : bool
        Whether the runs will be exact, as of `phase_mdp`.
    """
    for phase in PHASES:
        held = {} if phase == "production" else {"r": inputs["c"]}
        grompp(gmx, phase, phase_mdp(phase, settings, 1, exact), {**inputs, **held})
        for path in gmx.folder.glob(f"{phase}*"):
            path.unlink()


def _strip(full: Path) -> str:
    """Read what grompp made of an .mdp file, without its comments: they name the time, user and folder."""
    lines = [line.rstrip() for line in full.read_text(encoding="utf-8").splitlines()]
    return "".join(f"{line}\n" for line in lines if line and not line.startswith(";"))


def _explain(message: str, phase: str, known: str, gmx: GmxTools) -> ConfigError | SimulationError:
    """Say which parameter GROMACS does not know, or let the message be what it is."""
    unknown = re.search(r"Unknown left-hand '(.+?)' in parameter file", message)
    if unknown is None:
        return SimulationError(f"{message} (phase {phase})")
    listed = [line.partition("=")[0].strip() for line in known.splitlines()]
    names = {canonical(name): name for name in listed if canonical(name) != canonical(unknown[1])}
    near = difflib.get_close_matches(canonical(unknown[1]), list(names), n=1, cutoff=0.6)
    meant = f"did you mean '{names[near[0]]}'?" if near else "its manual lists them"
    return ConfigError(
        f"config: 'trajectories/mdp' sets '{unknown[1]}' for {phase}, which is no mdp parameter of GROMACS "
        f"{gmx.build.version}; {meant}"
    )


def _check_values(asked: Mapping[str, str], found: Mapping[str, str], phase: str, subject: str) -> None:
    for name, value in asked.items():
        if name not in found:
            raise ConfigError(
                f"config: GROMACS ignores the mdp parameter '{name}' of {phase}, as it has it no more or by "
                "another name; take it out of trajectories/mdp"
            )
        if not _same(value, found[name]):
            raise ConfigError(
                f"{subject}: mdp parameter '{name}' of {phase} is '{value}', but GROMACS took '{found[name]}'"
                "; set another in trajectories/mdp"
            )


def _same(asked: str, found: str) -> bool:
    """Compare two values word by word, numbers as numbers, words as GROMACS does."""
    pairs = list(zip(asked.split(), found.split(), strict=False))
    return len(asked.split()) == len(found.split()) and all(_same_word(*pair) for pair in pairs)


def _same_word(asked: str, found: str) -> bool:
    try:
        # GROMACS writes six digits.
        return math.isclose(float(asked), float(found), rel_tol=1e-5)
    except ValueError:
        words = {canonical(asked), canonical(found)}
        return len(words) == 1 or words <= _TRUE or words <= _FALSE


def _clean_topology(path: Path) -> None:
    """Leave comments and empty lines out of a topology."""
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line.rstrip() for line in lines if line.strip() and not line.startswith((";", "*"))]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

"""Run parameters that the configuration sets freely, by phase, beside or in place of the protocol's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from helixflow.errors import ConfigError

Parameters = dict[str, Any]

#: Where parameters go by their meaning: those that a key of the configuration decides, …
_DECIDED = {
    "dt": "timestep_fs",
    "nsteps": "minimise_steps, nvt_ps, npt_ps and production_ns",
    "emtol": "minimise_force_kJ_mol_nm",
    "ref-t": "temperature_K",
    "gen-temp": "temperature_K",
    "ref-p": "pressure_bar",
    "gen-seed": "seed",
    "ld-seed": "seed",
    "nstxout-compressed": "frame_ps",
    "nstxtcout": "frame_ps",
    "nstenergy": "frame_ps",
    "nstlog": "frame_ps",
    "nstcalcenergy": "frame_ps",
    "compressed-x-precision": "precision_per_nm",
    "xtc-precision": "precision_per_nm",
    "mass-repartition-factor": "hydrogen_mass_factor",
}
#: … and those that the order of the phases and the results rest on.
_FIXED = {
    "gen-vel": "velocities are made once, at the begin of nvt",
    "continuation": "each phase goes on from the one before",
    "unconstrained-start": "each phase goes on from the one before",
    "tinit": "every phase begins at time 0",
    "init-step": "every phase begins at step 0",
    "simulation-part": "mdrun counts them",
    "nstxout": "positions are those of trajectory.xtc, at every trajectories/frame_ps",
    "nstvout": "only trajectory.xtc is kept",
    "nstfout": "only trajectory.xtc is kept",
    "compressed-x-grps": "trajectory.xtc has all atoms",
    "xtc-grps": "trajectory.xtc has all atoms",
    "include": "the topology is self-contained",
    "pbc": "molecules are made whole over a box that is periodic in all directions",
}
#: What a minimisation has no use for, so that it does not take it from those for all phases.
_OF_DYNAMICS = [
    "integrator", "tcoupl", "nsttcouple", "tc-grps", "tau-t", "pcoupl", "pcoupltype", "nstpcouple", "tau-p",
    "compressibility", "constraints", "comm-mode", "nstcomm",
]  # fmt: skip


def canonical(name: str) -> str:
    """Return a parameter's name as GROMACS compares it: without regard to case, ``-`` and ``_``."""
    return re.sub(r"[-_]", "", name).lower()


#: Integrators of dynamics; the others of GROMACS minimise, or run no step of their own.
_DYNAMICS = {canonical(name): name for name in ("md", "md-vv", "md-vv-avek", "sd", "bd")}


def check_overrides(section: Mapping[str, Mapping[str, Any]]) -> None:
    """See that no parameter is set that the configuration or the protocol decides, and none twice.

    Parameters
    ----------
    section : mapping
        ``trajectories/mdp`` of the configuration: parameters by phase, and for ``all``.

    Raises
    ------
    ConfigError
        Naming the parameter and the key that decides it; also for an integrator that is not of dynamics.
    """
    decided = {canonical(name): key for name, key in _DECIDED.items()}
    fixed = {canonical(name): reason for name, reason in _FIXED.items()}
    for phase, parameters in section.items():
        seen: dict[str, str] = {}
        for name in parameters:
            where, same = f"config: 'trajectories/mdp/{phase}/{name}'", canonical(name)
            if same in decided:
                raise ConfigError(f"{where} is decided by trajectories/{decided[same]}; set that instead")
            if same in fixed or (phase == "minimise" and same == "integrator"):
                raise ConfigError(f"{where} cannot be set: {fixed.get(same, 'steepest descent it is')}")
            if same == "integrator" and canonical(str(parameters[name])) not in _DYNAMICS:
                raise ConfigError(
                    f"{where} is {parameters[name]!r}, expected one of {', '.join(_DYNAMICS.values())}: the "
                    "phases after the minimisation are dynamics"
                )
            if same in seen:
                raise ConfigError(f"{where} is the parameter '{seen[same]}' again, expected it once")
            seen[same] = name


def overrides_of(section: Mapping[str, Mapping[str, Any]], phase: str) -> Parameters:
    """Return the parameters set for a phase: its own, and those for all that it does not set itself.

    The minimisation takes nothing that is of dynamics alone from those for all, such as a thermostat.
    """
    own = section.get(phase, {})
    names = {canonical(name) for name in [*own, *(_OF_DYNAMICS if phase == "minimise" else [])]}
    general = {name: value for name, value in section.get("all", {}).items() if canonical(name) not in names}
    return {**general, **own}


def override(parameters: Mapping[str, Any], changes: Mapping[str, Any]) -> Parameters:
    """Put changes in the place of the parameters of the same name, the others behind them."""
    wanted = {canonical(name): (name, value) for name, value in changes.items()}
    result = {name: wanted.pop(canonical(name), (name, value))[1] for name, value in parameters.items()}
    return result | dict(wanted.values())


def to_mdp(parameters: Mapping[str, Any]) -> str:
    """Write parameters as an .mdp file."""
    words = {True: "yes", False: "no"}
    return "".join(
        f"{name} = {words[value] if isinstance(value, bool) else value}\n"
        for name, value in parameters.items()
    )


def read_mdp(text: str) -> dict[str, str]:
    """Read an .mdp file: values by canonical name."""
    lines = (line.partition(";")[0].partition("=") for line in text.splitlines())
    return {canonical(name.strip()): value.strip() for name, equals, value in lines if equals}

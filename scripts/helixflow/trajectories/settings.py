"""The protocol: what the configuration's lengths, temperature and seeds become as GROMACS run parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any

from helixflow.errors import ConfigError
from helixflow.trajectories.forces import FORCES
from helixflow.trajectories.overrides import override, read_mdp, to_mdp

#: Phases of a replica in their order; each begins with the last state of the one before.
PHASES = ("nvt", "npt", "production")

#: For a run that must continue to the same bytes the range of the pair list is fixed: left alone, mdrun fits
#: it to the box it starts from, which after a stop is another one, and prunes the list in between. At 300 K
#: GROMACS finds 1.00 nm enough for 20 fs with cut-offs of 1.0 nm; the rest is for hotter runs.
_PAIR_LIST_FS = 20
_PAIR_LIST_BUFFER_NM = 0.05

#: Every seed is a block of 1000 numbers, one for each replica, below 2^31.
_BLOCKS = 2147483


@dataclass(frozen=True)
class MinimiseSettings:
    """Steepest descent: most steps, the greatest force at which it is done; the rest as of a simulation."""

    minimise_steps: int
    minimise_force_kJ_mol_nm: float
    family: str = "amber"
    mdp: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class SimulationSettings:
    """What decides a replica's trajectory; names and units are those of the configuration.

    There is one temperature, where the configuration may have several. `family` is that of the force field,
    `mdp` has the parameters that are set freely, by phase.

    Raises
    ------
    ConfigError
        Naming the key of a length that is no whole number of time steps, or of a production that is no whole
        number of frames.
    """

    seed: int
    temperature_K: float
    pressure_bar: float
    timestep_fs: float
    nvt_ps: float
    npt_ps: float
    production_ns: float
    frame_ps: float
    hydrogen_mass_factor: float = 1
    family: str = "amber"
    mdp: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    precision_per_nm: int = 1000

    def __post_init__(self) -> None:
        for phase in PHASES:
            self.steps(phase)
        if self.frame_steps > self.steps("production"):
            raise ConfigError(
                f"config: 'trajectories/frame_ps' is {self.frame_ps:g}, expected at most the production of "
                f"{self.production_ns:g} ns"
            )
        # Else the last step has energies and no frame, and segments do not meet at frames.
        if self.steps("production") % self.frame_steps:
            raise ConfigError(
                f"config: 'trajectories/frame_ps' is {self.frame_ps:g}, expected a whole number of frames in "
                f"the production ('trajectories/production_ns' is {self.production_ns:g})"
            )

    @property
    def frame_steps(self) -> int:
        """Time steps from one frame to the next."""
        return _steps("frame_ps", self.frame_ps, 1, self.timestep_fs)

    def steps(self, phase: str) -> int:
        """Time steps of a phase."""
        key, unit_ps = ("production_ns", 1000) if phase == "production" else (f"{phase}_ps", 1)
        return _steps(key, getattr(self, key), unit_ps, self.timestep_fs)

    @property
    def frames(self) -> int:
        """Frames of the production, that at time 0 among them."""
        return self.steps("production") // self.frame_steps + 1

    def run_seed(self, replica: int) -> int:
        """Seed of a replica, for its first velocities and its thermostat.

        Replicas of one temperature have numbers that follow each other; temperatures that differ by 0.001 K
        or more (up to 2147 K) have none in common.
        """
        return 1000 * ((self.seed + round(1000 * self.temperature_K)) % _BLOCKS) + replica


def temperatures_of(value: float | Sequence[float]) -> list[float]:
    """Return the temperatures of the configuration, which has one or a list."""
    return [value] if isinstance(value, int | float) else list(value)


def temperature_folders(value: float | Sequence[float]) -> list[str]:
    """Name the level of the results that tells temperatures apart: none for one, else such as ``/300K``."""
    return [""] if isinstance(value, int | float) else [f"/{each:g}K" for each in value]


def check_lengths(section: Mapping[str, Any]) -> None:
    """See that the section ``trajectories`` of the configuration makes phases of whole steps, with frames."""
    names = [each.name for each in fields(SimulationSettings) if each.name in section and each.name != "mdp"]
    temperature_K = temperatures_of(section["temperature_K"])[0]
    SimulationSettings(**{**{name: section[name] for name in names}, "temperature_K": temperature_K})


def minimise_mdp(settings: MinimiseSettings) -> str:
    """Give the run parameters of the minimisation."""
    parameters = {
        "integrator": "steep",
        "nsteps": settings.minimise_steps,
        "emtol": settings.minimise_force_kJ_mol_nm,
        "emstep": 0.01,
        **FORCES[settings.family],
    }
    return to_mdp(override(parameters, settings.mdp.get("minimise", {})))


def phase_mdp(phase: str, settings: SimulationSettings, replica: int, exact: bool = False) -> str:
    """Give the run parameters of one phase of one replica.

    Parameters
    ----------
    phase : str
        One of `PHASES`.
    settings : SimulationSettings
        The protocol.
    replica : int
        Number from 1.
    exact : bool
        Whether a run that was stopped must continue to the same bytes, which one thread can; it costs about
        a sixth of the speed.
    """
    changes = settings.mdp.get(phase, {})
    parameters = override(_phase(phase, settings, replica), changes)
    # As many temperatures as there are groups, which may have been set.
    groups = len(str(parameters["tc-grps"]).split())
    parameters["ref-t"] = " ".join([f"{settings.temperature_K:g}"] * groups)
    if exact:
        parameters = override(parameters, _fixed_pair_list(parameters, settings.timestep_fs))
        parameters = override(parameters, changes)
    # Masses are changed in the topology; with the line, what is compared of two runs differs as well.
    factor = settings.hydrogen_mass_factor
    note = f"; hydrogens are {factor:g} times as heavy (topol.top)\n" if factor != 1 else ""
    return note + to_mdp(parameters)


def _phase(phase: str, settings: SimulationSettings, replica: int) -> dict[str, Any]:
    """Give the run parameters of a phase as the protocol has them."""
    seed = settings.run_seed(replica)
    frame = settings.frame_steps
    parameters: dict[str, Any] = {
        "integrator": "md",
        "dt": settings.timestep_fs / 1000,
        "nsteps": settings.steps(phase),
        # Energies are written with the frames, so the steps at which they are known must divide these.
        "nstcalcenergy": math.gcd(frame, 100),
        "nstenergy": frame,
        "nstlog": frame,
        "nstxout-compressed": frame if phase == "production" else 0,
        **FORCES[settings.family],
        "compressed-x-precision": settings.precision_per_nm,
        "constraints": "h-bonds",
        "constraint-algorithm": "lincs",
        "tcoupl": "V-rescale",
        "tc-grps": "Protein Non-Protein",
        "tau-t": "0.1 0.1",
        "ref-t": "",
        "ld-seed": seed,
        # Where no velocities are made it does nothing; left out, grompp makes one up and writes it down.
        "gen-seed": seed,
    }
    if phase == "nvt":
        parameters |= {"gen-vel": "yes", "gen-temp": f"{settings.temperature_K:g}"}
    else:
        parameters |= {
            "gen-vel": "no",
            "continuation": "yes",
            "pcoupl": "C-rescale",
            "tau-p": 2.0,
            "compressibility": 4.5e-5,
            "ref-p": settings.pressure_bar,
        }
    if phase != "production":
        parameters |= {"define": "-DPOSRES", "refcoord-scaling": "com"}
    return parameters


def _fixed_pair_list(parameters: Mapping[str, Any], timestep_fs: float) -> dict[str, Any]:
    """Give a pair list of fixed range and life time, as wide as the cut-offs that were set."""
    named = read_mdp(to_mdp(parameters))
    longest = max(float(named["rcoulomb"]), float(named["rvdw"]))
    return {
        "nstlist": max(1, int(_PAIR_LIST_FS // timestep_fs)),
        "rlist": round(longest + _PAIR_LIST_BUFFER_NM, 6),
        "verlet-buffer-tolerance": -1,
    }


def _steps(key: str, length: float, unit_ps: int, timestep_fs: float) -> int:
    # As fractions of the decimals that were written: 0.2 ps is 100 steps of 2 fs exactly.
    steps = Fraction(str(length)) * unit_ps * 1000 / Fraction(str(timestep_fs))
    if steps.denominator != 1:
        raise ConfigError(
            f"config: 'trajectories/{key}' is {length:g}, expected a whole number of time steps of "
            f"{timestep_fs:g} fs"
        )
    return int(steps)

"""The protocol: what the configuration's lengths, temperature and seeds become as GROMACS run parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from helixflow.errors import ConfigError

#: Phases of a replica in their order; each begins with the last state of the one before.
PHASES = ("nvt", "npt", "production")

#: Cut-offs as the Amber force fields were tested with, in nm.
_FORCES = {
    "cutoff-scheme": "Verlet",
    "coulombtype": "PME",
    "rcoulomb": 1.0,
    "vdwtype": "Cut-off",
    "rvdw": 1.0,
    "DispCorr": "EnerPres",
    "pbc": "xyz",
}

#: Added for a run that must continue to the same bytes: left alone, mdrun fits the range of the pair list
#: to the box it starts from, which after a stop is another one, and prunes the list in between. At 300 K
#: and 2 fs GROMACS finds 1.00 nm enough for 10 steps; the rest is for hotter runs and longer steps.
FIXED_PAIR_LIST = "nstlist = 10\nrlist = 1.05\nverlet-buffer-tolerance = -1\n"


@dataclass(frozen=True)
class MinimiseSettings:
    """Steepest descent: most steps, and the greatest force at which it is done."""

    minimise_steps: int
    minimise_force_kJ_mol_nm: float


@dataclass(frozen=True)
class SimulationSettings:
    """What decides a replica's trajectory; names and units are those of the configuration.

    Raises
    ------
    ConfigError
        Naming the key of a length that is no whole number of time steps, or if there would be no frames.
    """

    seed: int
    temperature_K: float
    pressure_bar: float
    timestep_fs: float
    nvt_ps: float
    npt_ps: float
    production_ns: float
    frame_ps: float

    def __post_init__(self) -> None:
        for phase in PHASES:
            self.steps(phase)
        if self.frame_steps > self.steps("production"):
            raise ConfigError(
                f"config: 'trajectories/frame_ps' is {self.frame_ps:g}, expected at most the production of "
                f"{self.production_ns:g} ns"
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
        """Seed of a replica, for its first velocities and its thermostat."""
        return 1000 * self.seed + replica


def temperature_folders(value: float | Sequence[float]) -> list[str]:
    """Name the level of the results that tells temperatures apart: none for one, else such as ``/300K``."""
    return [""] if isinstance(value, int | float) else [f"/{each:g}K" for each in value]


def check_lengths(section: Mapping[str, Any]) -> None:
    """See that the section ``trajectories`` of the configuration makes a protocol, before any job starts."""
    SimulationSettings(**{field.name: section[field.name] for field in fields(SimulationSettings)})


def minimise_mdp(settings: MinimiseSettings) -> str:
    """Give the run parameters of the minimisation."""
    return _mdp(
        {
            "integrator": "steep",
            "nsteps": settings.minimise_steps,
            "emtol": settings.minimise_force_kJ_mol_nm,
            "emstep": 0.01,
            **_FORCES,
        }
    )


def phase_mdp(phase: str, settings: SimulationSettings, replica: int) -> str:
    """Give the run parameters of one phase of one replica."""
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
        **_FORCES,
        "constraints": "h-bonds",
        "constraint-algorithm": "lincs",
        "tcoupl": "V-rescale",
        "tc-grps": "Protein Non-Protein",
        "tau-t": "0.1 0.1",
        "ref-t": f"{settings.temperature_K:g} {settings.temperature_K:g}",
        "ld-seed": seed,
        # Not used where velocities are there, but GROMACS would write one by chance.
        "gen-seed": seed,
    }
    if phase == "nvt":
        parameters |= {"gen-vel": "yes", "gen-temp": settings.temperature_K}
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
    return _mdp(parameters)


def _steps(key: str, length: float, unit_ps: int, timestep_fs: float) -> int:
    # As fractions of the decimals that were written: 0.2 ps is 100 steps of 2 fs exactly.
    steps = Fraction(str(length)) * unit_ps * 1000 / Fraction(str(timestep_fs))
    if steps.denominator != 1:
        raise ConfigError(
            f"config: 'trajectories/{key}' is {length:g}, expected a whole number of time steps of "
            f"{timestep_fs:g} fs"
        )
    return int(steps)


def _mdp(parameters: dict[str, Any]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in parameters.items())

"""The protocol as the configuration has it: its temperatures, what is set freely, and checks of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from helixflow.errors import ConfigError
from helixflow.structures.force_fields import family_of
from helixflow.trajectories.overrides import check_overrides, overrides_of
from helixflow.trajectories.settings import (
    PHASES,
    MinimiseSettings,
    SimulationSettings,
    check_lengths,
    temperature_folders,
    temperatures_of,
)

#: Longest time step without heavier hydrogens, in fs; and the least factor that a longer one wants.
_LONGEST_PLAIN_STEP = 2.5
_LEAST_FACTOR = 2


def temperature_of(folder: str, value: float | Sequence[float]) -> float:
    """Return the temperature that a folder of `temperature_folders` stands for."""
    return dict(zip(temperature_folders(value), temperatures_of(value), strict=True))[folder]


def protocol_of(
    kind: type[MinimiseSettings | SimulationSettings], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Take what decides a minimisation or a simulation out of the complete configuration.

    Returns
    -------
    dict
        All fields of `kind` but the temperature, of which a simulation has one and the configuration a list.
    """
    section = config["trajectories"]
    phases = ("minimise",) if kind is MinimiseSettings else PHASES
    free = {phase: overrides_of(section["mdp"], phase) for phase in phases}
    derived = {
        "family": family_of(config["structures"]["force_field"]),
        "mdp": {phase: parameters for phase, parameters in free.items() if parameters},
    }
    names = [each.name for each in fields(kind) if each.name != "temperature_K"]
    return {name: derived[name] if name in derived else section[name] for name in names}


def simulation_settings(config: Mapping[str, Any], temperature_K: float) -> SimulationSettings:
    """Return the protocol of the complete configuration at one of its temperatures."""
    return SimulationSettings(**protocol_of(SimulationSettings, config), temperature_K=temperature_K)


def check_protocol(config: Mapping[str, Any]) -> None:
    """See that the complete configuration makes a protocol, before any job starts.

    Raises
    ------
    ConfigError
        Naming the key that does not fit.
    """
    section = config["trajectories"]
    _check_limits(section["quality"])
    check_lengths(section)
    check_overrides(section["mdp"])
    folders = temperature_folders(section["temperature_K"])
    if len({*folders}) < len(folders):
        raise ConfigError(
            f"config: 'trajectories/temperature_K' is {section['temperature_K']}, expected temperatures that "
            "differ in their first six digits"
        )
    runs = [simulation_settings(config, each) for each in temperatures_of(section["temperature_K"])]
    if len({run.run_seed(1) for run in runs}) < len(runs):
        raise ConfigError(
            f"config: 'trajectories/temperature_K' is {section['temperature_K']}, expected temperatures that "
            "differ by 0.001 K, within 2147 K, since the replicas' seeds follow from them"
        )
    _check_step(runs[0])


def _check_limits(limits: Mapping[str, Any]) -> None:
    """Refuse limits of the quality checks that no run can keep."""
    low, high = limits["density_low_kg_m3"], limits["density_high_kg_m3"]
    if low >= high:
        raise ConfigError(
            f"config: 'trajectories/quality/density_low_kg_m3' is {low:g}, expected less than "
            f"density_high_kg_m3, which is {high:g}"
        )


def _check_step(settings: SimulationSettings) -> None:
    """Refuse a time step that the motion of hydrogens does not allow."""
    if settings.timestep_fs > _LONGEST_PLAIN_STEP and settings.hydrogen_mass_factor < _LEAST_FACTOR:
        raise ConfigError(
            f"config: 'trajectories/timestep_fs' is {settings.timestep_fs:g}, expected at most "
            f"{_LONGEST_PLAIN_STEP} with hydrogens as light as they are; shorten it, or set "
            "trajectories/hydrogen_mass_factor to 3"
        )

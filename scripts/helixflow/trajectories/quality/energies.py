"""Checks of what the .edr file tells: temperature, density, drift, and numbers that are none."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from helixflow.files import write_text
from helixflow.gmx import GmxTools
from helixflow.series import mean_error, slope_error
from helixflow.trajectories.quality.gates import Gate, count, judge, unknown
from helixflow.trajectories.quality.judgement import Judgement

#: Columns of energy.tsv after the time: what gmx energy is asked for, and how its answer is headed.
ENERGIES = {
    "temperature_K": ("Temperature", "Temperature"),
    "pressure_bar": ("Pressure", "Pressure"),
    "density_kg_m3": ("Density", "Density"),
    "potential_kJ_mol": ("Potential", "Potential"),
    "conserved_kJ_mol": ("Conserved-En.", "Conserved En."),
}
#: Independent values below which a standard error is itself too unsure to judge by three of it.
FEWEST_INDEPENDENT = 30

Energies = dict[str, NDArray[np.float64]]


def write_energies(gmx: GmxTools, source: str, final: str) -> Energies:
    """Take the energies of every frame out of an .edr file, into a table and as columns.

    Parameters
    ----------
    gmx : GmxTools
        Tools in the folder of both files; ``energy.xvg`` is written there on the way.
    source, final : str
        Names of the .edr file and of the tab-separated table: ``time_ps`` and the columns of `ENERGIES`.
    """
    gmx("energy", f=source, o="energy.xvg", answers=[*(asked for asked, _ in ENERGIES.values()), ""])
    lines = (gmx.folder / "energy.xvg").read_text(encoding="utf-8").splitlines()
    # GROMACS orders the columns as the .edr file does, not as they were asked for.
    legends = [found[1] for line in lines if (found := re.match(r'@ s\d+ legend "(.*)"', line))]
    places = [0, *(1 + legends.index(heading) for _, heading in ENERGIES.values())]
    names = ["time_ps", *ENERGIES]
    rows = [[line.split()[place] for place in places] for line in lines if not line.startswith(("#", "@"))]
    write_text(gmx.folder / final, "".join("\t".join(row) + "\n" for row in [names, *rows]))
    return dict(zip(names, np.array(rows, dtype=np.float64).T, strict=True))


def judge_energies(
    energies: Energies, temperature_K: float, atoms: int, judgement: Judgement
) -> dict[str, Gate]:
    """Judge all that the energies of a production run tell."""
    times = energies["time_ps"]
    temperature, density = energies["temperature_K"], energies["density_kg_m3"]
    return {
        "energies_not_finite": finite_gate(energies),
        "temperature_K": temperature_gate(times, temperature, temperature_K, judgement),
        "density_kg_m3": density_gate(density, judgement.density_low_kg_m3, judgement.density_high_kg_m3),
        "drift_kJ_mol_ps_atom": drift_gate(times, energies["conserved_kJ_mol"] / atoms, judgement),
    }


def finite_gate(energies: Energies) -> Gate:
    """Judge by the number of energies that are not finite."""
    times = energies["time_ps"]
    lost = [
        f"{name} at {times[at]:g} ps"
        for name in energies
        for at in np.flatnonzero(~np.isfinite(energies[name]))
    ]
    return count(lost)


def temperature_gate(
    times: NDArray[np.float64], temperatures: NDArray[np.float64], expected: float, judgement: Judgement
) -> Gate:
    """Judge the mean temperature: within so many of its standard errors of the thermostat's.

    The error of a long run becomes smaller than what a finite time step shifts the temperature by, so a
    deviation within ``temperature_tolerance`` of the thermostat's is allowed whatever the error is. It is
    unknown for a run that is too short, or whose values amount to too few independent ones.
    """
    mean, error, independent = mean_error(temperatures)
    wide = max(judgement.temperature_errors * error, judgement.temperature_tolerance * expected)
    gate = {
        **judge(mean, expected - wide, expected + wide, unit="K"),
        "error": error if np.isfinite(error) else None,
    }
    if length(times) < judgement.shortest_ps:
        return unknown(gate, too_short(times, judgement.shortest_ps))
    if independent < FEWEST_INDEPENDENT:
        return unknown(
            gate,
            f"the {len(temperatures)} values amount to {independent:.0f} independent ones, expected "
            f"{FEWEST_INDEPENDENT}",
        )
    return gate


def density_gate(densities: NDArray[np.float64], low: float, high: float) -> Gate:
    """Judge the mean density by limits that a bubble or a collapse passes."""
    mean, error, _ = mean_error(densities)
    return judge(mean, low, high, error, unit="kg/m³")


def drift_gate(times: NDArray[np.float64], conserved: NDArray[np.float64], judgement: Judgement) -> Gate:
    """Judge the slope of the conserved energy per atom; unknown for a run that is too short."""
    slope, error = slope_error(times, conserved)
    limit = judgement.drift_kJ_mol_ps_atom
    gate = judge(slope, -limit, limit, error, unit="kJ/mol/ps/atom")
    if length(times) < judgement.shortest_ps:
        return unknown(gate, too_short(times, judgement.shortest_ps))
    return gate


def length(times: NDArray[np.float64]) -> float:
    """Time from the first value to the last."""
    return float(times[-1] - times[0])


def too_short(times: NDArray[np.float64], shortest: float) -> str:
    """Say that a run tells how the box still relaxes, not how well it is kept."""
    return f"the run of {length(times):g} ps is shorter than {shortest:g} ps, so the box still relaxes"

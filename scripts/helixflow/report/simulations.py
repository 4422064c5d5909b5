"""Part on the simulations of a structure: whether they can be trusted, how they ran, their energies."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from helixflow.files import read_tsv
from helixflow.report.analysis import MOST_DRAWN
from helixflow.report.blocks import Figure, Json, Section, Table, facts, number, table
from helixflow.report.figures import curves
from helixflow.report.structures import OUTCOMES, Ensemble

#: Column of the energies, title, label of the axis, and how to read it.
_ENERGIES = (
    ("temperature_K", "Temperature", "temperature (K)", "It should vary about the thermostat's, drawn too."),
    ("density_kg_m3", "Density", "density (kg/m³)", "It should vary without a trend; water is near 1000."),
    ("potential_kJ_mol", "Potential energy", "potential energy (kJ/mol)", "A trend means it still relaxes."),
)


def simulation_part(ensemble: Ensemble, figured: bool) -> Section:
    """Show the runs of one temperature and whether they can be trusted, with figures or with tables alone."""
    section = Section(f"structure-{ensemble.anchor}-simulation", f"Simulation{ensemble.where}")
    section.blocks += [gates_table(ensemble.quality), _runs_table(ensemble.quality)]
    section.blocks.append(_protocol(next(iter(ensemble.quality.values()))["metadata"]))
    if figured:
        section.blocks += _energy_figures(ensemble.energy, _thermostat_K(ensemble.quality))
    return section


def gates_table(qualities: Mapping[int, Json]) -> Table:
    """Show the checks of runs, by their numbers."""
    rows = [
        (name, replica, _value(gate), _limits(gate), OUTCOMES[gate["outcome"]], "; ".join(gate["details"]))
        for replica, quality in qualities.items()
        for name, gate in quality["gates"].items()
    ]
    return table(
        "Checks of the production",
        "check | replica # | value # | allowed # | outcome | details",
        rows,
        "Behind ± is the standard error. Where it is too great to tell, or where nothing can be told, the "
        "outcome is unknown. The limits are in trajectories/quality of the configuration.",
    )


def _value(gate: Json) -> str:
    error = f" ± {number(gate['error'], 2)}" if gate["error"] else ""
    return f"{number(gate['value'])}{error}" + (f" {gate['unit']}" if gate["unit"] else "")


def _limits(gate: Json) -> str:
    low, high = gate["low"], gate["high"]
    if low is None or high is None:
        return f"at most {number(high)}" if low is None else f"at least {number(low)}"
    return number(low) + (f" to {number(high)}" if high != low else "")


def _runs_table(qualities: Mapping[int, Json]) -> Table:
    told = (
        "gmx_version", "simd", "simd_possible", "gpu_support", "ranks", "threads", "continuations",
        "performance_ns_day",
    )  # fmt: skip
    rows = [
        (
            replica,
            str(quality["seeds"]["gen_seed"]),
            quality["settings"]["production_ns"],
            quality["frames"],
            *(quality["run"][name] for name in told),
        )
        for replica, quality in qualities.items()
    ]
    return table(
        "Runs",
        "replica # | seed # | length (ns) # | frames # | GROMACS | SIMD | SIMD possible | GPU support | "
        "ranks # | threads # | continued # | ns a day #",
        rows,
    )


def _protocol(metadata: Json) -> Table:
    """Show the protocol as GROMACS read it."""
    told = {
        "ensemble": metadata["ensemble"],
        "temperature (K)": metadata["temperature_K"],
        "pressure (bar)": metadata["pressure_bar"],
        "thermostat, barostat": f"{metadata['thermostat']}, {metadata['barostat']}",
        "electrostatics, cut-off (nm)": f"{metadata['electrostatics']}, {number(metadata['cutoff_nm'])}",
        "time step (fs)": metadata["timestep_fs"],
        "time between frames (ps)": metadata["frame_ps"],
    }
    return facts("Protocol", told)


def read_energies(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Read the energies of a run, (T,) each, by the names of their columns."""
    rows = read_tsv(path)
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def _thermostat_K(qualities: Mapping[int, Json]) -> float | None:
    told: float | None = next(iter(qualities.values()))["metadata"]["temperature_K"]
    return told


def _energy_figures(paths: Mapping[int, str], thermostat_K: float | None) -> list[Figure]:
    first = list(paths.items())[:MOST_DRAWN]
    energies = {f"replica {replica}": read_energies(path) for replica, path in first}
    figures = []
    for column, title, label, reading in _ENERGIES:
        series = {replica: (values["time_ps"], values[column]) for replica, values in energies.items()}
        if column == "temperature_K" and thermostat_K is not None:
            ends = np.array([min(x[0] for x, _ in series.values()), max(x[-1] for x, _ in series.values())])
            series[f"thermostat, {number(thermostat_K)} K"] = ends, np.full(2, float(thermostat_K))
        drawn = curves(series, "time (ps)", label)
        figures.append(Figure(title, drawn, f"{title} over time, a curve per replica.", reading))
    return figures

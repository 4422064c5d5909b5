"""Parts on a structure: how it was cleaned and set up, whether to trust its runs, what its chains are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.files import read_json, read_tsv
from helixflow.report.accounting import StageFiles, replica_of
from helixflow.report.blocks import Cell, Figure, Json, Section, Table, facts, number, plural, table
from helixflow.report.coanalysis import MOST_DRAWN
from helixflow.report.figures import curves

_OUTCOMES = {
    "pass": Cell("✓ pass", "good"),
    "fail": Cell("✗ fail", "bad"),
    "unknown": Cell("? unknown", "unsure"),
}
#: Column of the energies, title, label of the axis, and how to read it.
_ENERGIES = (
    ("temperature_K", "Temperature", "temperature (K)", "It should vary about the thermostat's temperature."),
    ("density_kg_m3", "Density", "density (kg/m³)", "It should vary without a trend; water is near 1000."),
    ("potential_kJ_mol", "Potential energy", "potential energy (kJ/mol)", "A trend means it still relaxes."),
)


@dataclass(frozen=True)
class Structure:
    """What the stages wrote of a structure; `quality` and `energy` have a value for each replica.

    `energy`, `links` and `coanalysis` are paths.
    """

    name: str
    cleaning: Json
    setup: Json
    quality: Mapping[int, Json]
    energy: Mapping[int, str]
    links: str
    link_summary: Json
    coanalysis: str


def read_structures(files: StageFiles) -> list[Structure]:
    """Read what the stages wrote of each structure."""
    qualities, energies = _by_replica(files.quality), _by_replica(files.energy)
    per_structure = (files.cleaning, files.setup, files.links, files.link_summaries, files.coanalysis)
    structures = []
    for cleaning, setup, links, summary, coanalysis in zip(*per_structure, strict=True):
        name = Path(cleaning).parent.name
        quality = {replica: read_json(path) for replica, path in qualities[name].items()}
        told = read_json(cleaning), read_json(setup), quality, energies[name]
        structures.append(Structure(name, *told, links, read_json(summary), coanalysis))
    return structures


def _by_replica(paths: Sequence[str]) -> dict[str, dict[int, str]]:
    """Sort the files of replicas by structure and number."""
    found: dict[str, dict[int, str]] = {}
    for (name, replica), path in sorted((replica_of(path), path) for path in paths):
        found.setdefault(name, {})[replica] = path
    return found


def structures_table(structures: Sequence[Structure]) -> Table:
    """List the structures, a row each."""
    rows = []
    for structure in structures:
        gates = [gate for quality in structure.quality.values() for gate in quality["gates"].values()]
        outcomes = Counter(gate["outcome"] for gate in gates)
        rows.append(
            (
                structure.name,
                len(structure.cleaning["chains"]),
                structure.cleaning["residues_out"],
                structure.setup["atoms"],
                len(structure.quality),
                *(outcomes[outcome] for outcome in _OUTCOMES),
            )
        )
    return table(
        "All structures",
        "structure | chains # | residues # | atoms with water # | replicas # | checks passed # | failed # | "
        "unknown #",
        rows,
    )


def cleaning_part(structure: Structure) -> Section:
    """Show what was kept of the file, and what was done to it."""
    cleaning = structure.cleaning
    chains = [
        (
            chain["chain"] or "(blank)",
            chain["residues"],
            chain["seqres"] or "not told",
            chain["missing_before"],
            chain["missing_after"],
        )
        for chain in cleaning["chains"]
    ]
    section = Section(
        f"structure-{structure.name}-cleaning",
        "Cleaning",
        [
            f"{number(cleaning['atoms_out'])} of {plural(cleaning['atoms_in'], 'atom')} and "
            f"{number(cleaning['residues_out'])} of {plural(cleaning['residues_in'], 'residue')} of the file "
            "were kept. The accounting names the reasons.",
            table(
                "Chains",
                "chain | residues # | of the experiment # | not seen before them: | not seen behind them:",
                chains,
                "Residues of the experiment (SEQRES) that the structure does not show are not simulated.",
            ),
        ],
    )
    actions = [_action(action) for action in cleaning["actions"]]
    if actions:
        section.blocks.append(table("What was done", "what | chain | residue | details", actions))
    return section


def _action(action: Json) -> tuple[str, str, str, str]:
    place = ("action", "chain", "number", "insertion", "name")
    _, chain, number_, insertion, name = (str(action.get(key, "")) for key in place)
    others = {key: value for key, value in action.items() if key not in place}
    details = "; ".join(
        f"{key.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for key, value in others.items()
    )
    return action["action"], chain or "(blank)", f"{name} {number_}{insertion}".strip(), details


def setup_part(structure: Structure) -> Section:
    """Show what was simulated."""
    setup = structure.setup
    system = {
        "force field": setup["force_field"],
        "water model": setup["water"],
        "box": f"{setup['box_shape']}, protein at least {number(setup['box_distance_nm'])} nm from its wall",
        "box vectors (nm)": setup["box_vectors_nm"],
        "atoms": f"{number(setup['atoms'])}, of which the protein has {number(setup['protein_atoms'])}",
        "waters": setup["waters"],
        "ions": setup["ions"],
        "charge of the protein (e)": setup["charge"],
        "salt (mol/l)": setup["salt_M"],
        "disulfides": [" – ".join(pair) for pair in setup["disulfides"]],
        "seed of the ions' places": str(setup["seed"]),
        "GROMACS": setup["gmx_version"],
    }
    return Section(f"structure-{structure.name}-setup", "Set-up", [facts("Simulated system", system)])


def simulation_part(structure: Structure, figured: bool) -> Section:
    """Show the runs and whether they can be trusted, with figures or with tables alone."""
    section = Section(f"structure-{structure.name}-simulation", "Simulation")
    section.blocks += [_gates_table(structure.quality), _runs_table(structure.quality)]
    if figured:
        section.blocks += _energy_figures(structure.energy)
    return section


def _gates_table(qualities: Mapping[int, Json]) -> Table:
    rows = [
        (
            name,
            replica,
            f"{number(gate['value'])} ± {number(gate['error'], 2)}" if gate["error"] else gate["value"],
            number(gate["low"]) + (f" to {number(gate['high'])}" if gate["high"] != gate["low"] else ""),
            _OUTCOMES[gate["outcome"]],
        )
        for replica, quality in qualities.items()
        for name, gate in quality["gates"].items()
    ]
    return table(
        "Checks of the production",
        "check | replica # | value # | allowed # | outcome",
        rows,
        "Behind ± is the standard error. Where two of it reach over a limit, or where it cannot be told, the "
        "outcome is unknown.",
    )


def _runs_table(qualities: Mapping[int, Json]) -> Table:
    told = ("gmx_version", "simd", "simd_possible", "gpu_support", "ranks", "threads", "performance_ns_day")
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
        "ranks # | threads # | ns a day #",
        rows,
    )


def read_energies(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float64]]:
    """Read the energies of a run, (T,) each, by the names of their columns."""
    rows = read_tsv(path)
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def _energy_figures(paths: Mapping[int, str]) -> list[Figure]:
    drawn = list(paths.items())[:MOST_DRAWN]
    energies = {f"replica {replica}": read_energies(path) for replica, path in drawn}
    figures = []
    for column, title, label, reading in _ENERGIES:
        series = {replica: (values["time_ps"], values[column]) for replica, values in energies.items()}
        svg = curves(series, "time (ps)", label)
        figures.append(Figure(title, svg, f"{title} over time, a curve per replica.", reading))
    return figures

"""Parts on a structure: what was kept of its file, and how it was set up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helixflow.files import read_json
from helixflow.report.accounting import StageFiles, analysed_in, replica_of
from helixflow.report.blocks import Cell, Json, Section, Table, facts, number, plural, table

#: How the outcome of a check is shown.
OUTCOMES = {
    "pass": Cell("✓ pass", "good"),
    "fail": Cell("✗ fail", "bad"),
    "warn": Cell("! warning", "unsure"),
    "unknown": Cell("? unknown", "unsure"),
}


@dataclass(frozen=True)
class Ensemble:
    """The replicas of a structure at one temperature; `quality` and `energy` have a value for each.

    `name` is the structure's, with ``/300K`` behind it where there are several temperatures. `energy`,
    `coanalysis` and `topology`, the first frame of the first replica, are paths.
    """

    name: str
    quality: Mapping[int, Json]
    energy: Mapping[int, str]
    coanalysis: str
    topology: str | None = None

    @property
    def anchor(self) -> str:
        """Name within an address."""
        return self.name.replace("/", "-")

    @property
    def where(self) -> str:
        """What ends the headings of its parts."""
        temperature = self.name.partition("/")[2]
        return f" at {temperature.removesuffix('K')} K" if temperature else ""


@dataclass(frozen=True)
class Structure:
    """What the stages wrote of a structure; `links` is a path."""

    name: str
    cleaning: Json
    setup: Json
    ensembles: Sequence[Ensemble]
    links: str
    link_summary: Json


def ensembles_of(structures: Iterable[Structure]) -> list[Ensemble]:
    """Give the ensembles of all structures."""
    return [ensemble for structure in structures for ensemble in structure.ensembles]


def temperatures_K(structures: Iterable[Structure]) -> dict[str, float]:
    """Give the temperature of each structure that was simulated at one alone."""
    qualities = {one.name: next(iter(one.quality.values())) for one in ensembles_of(structures)}
    return {name: quality["metadata"]["temperature_K"] for name, quality in qualities.items()}


def read_structures(files: StageFiles) -> list[Structure]:
    """Read what the stages wrote of each structure."""
    ensembles = _read_ensembles(files)
    per_structure = (files.cleaning, files.setup, files.links, files.link_summaries)
    structures = []
    for cleaning, setup, links, summary in zip(*per_structure, strict=True):
        name = Path(cleaning).parent.name
        told = read_json(cleaning), read_json(setup), ensembles[name]
        structures.append(Structure(name, *told, links, read_json(summary)))
    return structures


def _read_ensembles(files: StageFiles) -> dict[str, list[Ensemble]]:
    """Read the runs, by structure, in the order of the temperatures."""
    qualities, energies = _by_replica(files.quality), _by_replica(files.energy)
    topologies = {replica_of(path)[0]: path for path in files.topologies}
    found: dict[str, list[Ensemble]] = {}
    for path in files.coanalysis:
        name = analysed_in(path)
        quality = {replica: read_json(file) for replica, file in qualities[name].items()}
        one = Ensemble(name, quality, energies[name], path, topologies.get(name))
        found.setdefault(name.partition("/")[0], []).append(one)
    return found


def _by_replica(paths: Sequence[str]) -> dict[str, dict[int, str]]:
    """Sort the files of replicas by what they are of, and number."""
    found: dict[str, dict[int, str]] = {}
    for (name, replica), path in sorted((replica_of(path), path) for path in paths):
        found.setdefault(name, {})[replica] = path
    return found


def structures_table(structures: Sequence[Structure]) -> Table:
    """List the structures, a row each."""
    rows = []
    for structure in structures:
        qualities = [quality for one in structure.ensembles for quality in one.quality.values()]
        gates = [gate for quality in qualities for gate in quality["gates"].values()]
        outcomes = Counter(gate["outcome"] for gate in gates)
        rows.append(
            (
                structure.name,
                len(structure.cleaning["chains"]),
                structure.cleaning["residues_out"],
                structure.setup["atoms"],
                len(qualities),
                *(outcomes[outcome] for outcome in OUTCOMES),
            )
        )
    return table(
        "All structures",
        "structure | chains # | residues # | atoms with water # | runs # | checks passed # | failed # | "
        "warnings # | unknown #",
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
            f"{_balance(cleaning, 'atom')} {_balance(cleaning, 'residue')} The accounting names the reasons.",
            table(
                "Chains",
                "chain | residues seen # | of the experiment # | not seen before them: | "
                "not seen behind them:",
                chains,
                "Residues of the experiment (SEQRES) that were not seen before or behind a chain are not "
                "simulated. Those that were not seen within it are simulated where they were built, which "
                "the tables of gaps and of what was built name.",
            ),
        ],
    )
    section.blocks[:0] = _origins(cleaning)
    section.blocks += _holes(cleaning)
    actions = [_action(action) for action in cleaning["actions"]]
    if actions:
        section.blocks.append(table("What was done", "what | chain | residue | details", actions))
    return section


def _balance(cleaning: Json, noun: str) -> str:
    """Say how many atoms or residues there were, came in beside the file's, and were left."""
    counts = {key: cleaning[f"{noun}s_{key}"] for key in ("in", "copied", "built", "out")}
    aside = sum(cleaning[f"{noun}s_set_aside"].values())
    steps = [f"The file has {plural(counts['in'], noun)}"]
    if counts["copied"]:
        steps.append(f"{number(counts['copied'])} copied by the assembly")
    steps.append(f"{number(aside)} set aside")
    steps.append(f"{number(counts['out'] - counts['built'])} kept")
    if counts["built"]:
        steps.append(f"{number(counts['built'])} built, which makes {number(counts['out'])}")
    return ", ".join(steps) + "."


def _origins(cleaning: Json) -> list[str]:
    """Say of a structure that no experiment has seen what it is."""
    label, plddt = cleaning.get("label"), cleaning.get("plddt_mean")
    lines = [f"This structure is an {label}: it was made from its sequence alone."] if label else []
    if plddt is not None:
        lines.append(
            f"This structure is a prediction, with a mean pLDDT of {number(plddt)} of 100; that of each "
            "residue is in residues.tsv."
        )
    return lines


def _holes(cleaning: Json) -> list[Table]:
    """Show what was missing within chains, and what was built."""
    tables = []
    if gaps := cleaning.get("gaps"):
        rows = [
            (
                gap["chain"] or "(blank)",
                gap["after"],
                gap["before"],
                gap["length"],
                gap["residues"] or "not told",
                gap["c_n_distance_A"],
                gap["built"],
            )
            for gap in gaps
        ]
        headings = "chain | behind | before | residues # | sequence by SEQRES: | from C to N (Å) # | built"
        tables.append(table("Gaps within chains", headings, rows))
    if built := cleaning.get("built"):
        residues = [
            (*_action({"action": "", **one})[1:3], one["whole"], ", ".join(one["atoms"])) for one in built
        ]
        headings = "chain | residue | all of it | heavy atoms"
        note = "No experiment has seen these atoms; where the others are was not changed."
        tables.append(table("What was built", headings, residues, note))
    return tables


def _action(action: Json) -> tuple[str, str, str, str]:
    place = ("action", "chain", "number", "insertion", "name")
    _, chain, number_, insertion, name = (str(action.get(key, "")) for key in place)
    others = {key: value for key, value in action.items() if key not in place}
    details = "; ".join(
        f"{key.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for key, value in others.items()
        if value != []
    )
    return action["action"], chain or "(blank)", f"{name} {number_}{insertion}".strip(), details


def setup_part(structure: Structure) -> Section:
    """Show what was simulated."""
    setup = structure.setup
    system = {
        "force field": setup["force_field"],
        "water model": setup["water"],
        "box": f"{setup['box_shape']}, protein at least {number(setup['box_distance_nm'])} nm from its wall",
        "box vectors a, b, c (nm)": _box_vectors(setup["box_vectors_nm"]),
        "atoms": f"{number(setup['atoms'])}, of which the protein has {number(setup['protein_atoms'])}",
        "waters": setup["waters"],
        "ions": setup["ions"],
        "charge of the protein (e)": setup["charge"],
        "salt (mol/l)": setup["salt_M"],
        "disulfides": [" – ".join(pair) for pair in setup["disulfides"]],
        **_protons(setup),
        "seed of the ions' places": str(setup["seed"]),
        "GROMACS": setup["gmx_version"],
    }
    section = Section(f"structure-{structure.name}-setup", "Set-up", [facts("Simulated system", system)])
    if groups := setup.get("protonation", {}).get("groups"):
        rows = [
            (one["residue"], one["group"], one["pKa"], one["protonated"], one["unusual"]) for one in groups
        ]
        headings = "residue | group | pKa # | protonated | unlike the force field's"
        section.blocks.append(table("Groups that take up protons, by PROPKA", headings, rows))
    return section


def _box_vectors(box: Sequence[float]) -> list[str]:
    """Write the three vectors of a box, whose three or nine numbers come in the order of a .gro file."""
    xx, yy, zz, xy, xz, yx, yz, zx, zy = [*box, *[0.0] * 6][:9]
    vectors = (xx, xy, xz), (yx, yy, yz), (zx, zy, zz)
    return [f"({', '.join(map(number, vector))})" for vector in vectors]


def _protons(setup: Json) -> dict[str, Any]:
    """Say how the protons were placed, as far as the set-up tells."""
    told: dict[str, Any] = {}
    if protonation := setup.get("protonation"):
        at = f" at pH {number(protonation['pH'])}" if "pH" in protonation else ""
        told["protons placed by"] = protonation["method"] + at
    if "histidines" in setup:
        told["histidines"] = [f"{one['residue']}: {one['state']}" for one in setup["histidines"]]
    return told

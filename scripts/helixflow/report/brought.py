"""Section on trajectories that are brought along: what they are, their checks, links and co-analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from helixflow.files import read_json
from helixflow.report.accounting import StageFiles, replica_of
from helixflow.report.blocks import Cell, Json, Section, Table, facts, number, plural, table
from helixflow.report.coanalysis import coanalysis_parts
from helixflow.report.links import links_part
from helixflow.report.notices import CAUTION, SHORT_NS, Notice
from helixflow.report.overview import duration
from helixflow.report.simulations import gates_table

#: Trajectories that get figures, and those that get a part, so that the page stays below 10 MB.
MOST_FIGURED, MOST_SHOWN = 4, 50
#: Frames below which means and contact frequencies say little, however long the run is.
FEWEST_FRAMES = 100


def brought_sections(files: StageFiles) -> list[Section]:
    """Show every trajectory that is brought along; no section where there is none."""
    qualities = [read_json(path) for path in files.brought_quality]
    if not qualities:
        return []
    section = Section("brought", "Trajectories brought along", [_overview(qualities)])
    if len(qualities) > MOST_FIGURED:
        section.blocks.append(
            f"The first {MOST_FIGURED} have figures and the first {MOST_SHOWN} parts; what the others would "
            "show is in results/trajectories, links and coanalysis."
        )
    topologies = {replica_of(path)[0]: path for path in files.brought_topologies}
    shown = zip(
        qualities, files.brought_links, files.brought_link_summaries, files.brought_coanalysis, strict=True
    )
    for rank, (quality, links, summary, coanalysis) in enumerate(list(shown)[:MOST_SHOWN]):
        name = quality["structure"]
        parts = [
            _run_part(quality),
            links_part(name, read_json(summary)["chains"], links),
            *coanalysis_parts(name, coanalysis, rank < MOST_FIGURED, topology=topologies.get(name)),
        ]
        section.parts.append(Section(f"structure-{name}", name, parts=parts))
    return [section]


def brought_notices(files: StageFiles) -> list[Notice]:
    """Warn of runs that are short or have few frames, and of checks that failed where that is no error."""
    qualities = [read_json(path) for path in files.brought_quality]
    return [*_of_short(qualities), *_of_failed(qualities)]


def _of_short(qualities: Sequence[Json]) -> Iterator[Notice]:
    short = [
        f"{quality['structure']} ({plural(quality['frames'], 'frame')} over {duration(_length_ns(quality))})"
        for quality in qualities
        if quality["frames"] < FEWEST_FRAMES or _length_ns(quality) < SHORT_NS
    ]
    if short:
        text = (
            f"Trajectories brought along that are short or have few frames: {', '.join(short[:MOST_SHOWN])}."
        )
        yield Notice(f"{text} {CAUTION}", "brought")


def _length_ns(quality: Json) -> float:
    """Time from the first frame to the last, to the ps that single precision keeps."""
    picoseconds: float = quality["last_ps"] - quality["first_ps"]
    return round(picoseconds, 3) / 1000


def _of_failed(qualities: Sequence[Json]) -> Iterator[Notice]:
    failed = [
        f"{quality['structure']} {name}"
        for quality in qualities
        for name, gate in quality["gates"].items()
        if gate["outcome"] == "fail"
    ]
    if failed:
        text = f"Checks of trajectories brought along that failed: {', '.join(failed[:MOST_SHOWN])}."
        yield Notice(text, "brought")


def _overview(qualities: Sequence[Json]) -> Table:
    rows = [
        (
            quality["structure"],
            len(quality["chains"]),
            sum(chain["residues"] for chain in quality["chains"]),
            quality["atoms"],
            quality["frames"],
            quality["frame_ps"],
            "passed" if quality["passed"] else Cell("✗ failed", "bad"),
        )
        for quality in qualities
    ]
    headings = "trajectory | chains # | residues # | atoms # | frames # | time between (ps) # | checks"
    return table("All trajectories brought along", headings, rows)


def _run_part(quality: Json) -> Section:
    """Show what was read, what was done to it, and the checks."""
    told = {
        "files": [Path(part).name for part in quality["source"].split(",")],
        "atoms": f"{number(quality['atoms'])}, of which the protein has {number(quality['protein_atoms'])}",
        "residues of the chains": {chain["chain"]: chain["residues"] for chain in quality["chains"]},
        "time (ps)": f"{number(quality['first_ps'])} to {number(quality['last_ps'])}",
        "frames with a periodic box": quality["frames_with_box"],
        "frames made whole over the box": quality["frames_made_whole"],
        "bonds known from": quality["bonds_from"],
        "residues renamed": quality["renamed"],
        "left out": quality["left_out"],
    }
    blocks = [facts("Files and frames", told), gates_table({1: quality})]
    return Section(f"structure-{quality['structure']}-brought", "Trajectory", list(blocks))

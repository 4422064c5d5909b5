"""What became of every record: in = out + set aside, for every stage and item, from what the stages wrote."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from helixflow.accessions import DNA_KINDS
from helixflow.errors import MismatchError
from helixflow.files import read_json, read_tsv, write_text
from helixflow.links.status import MISSING

StrPath = str | os.PathLike[str]

#: The folder of one of several temperatures.
_TEMPERATURE = re.compile(r"[0-9.]+K")

HEADER = ("stage", "item", "records_in", "records_out", "set_aside", "reason")


@dataclass(frozen=True)
class StageFiles:
    """What the stages wrote, as far as it is counted or shown.

    Lists are empty where a stage had nothing to do. Lists of the same stage have the same order; files
    of a structure are told apart by the name of their folder, or their own.
    """

    sequences: Sequence[str]
    fasta_indexes: Sequence[str]
    members: Sequence[str]
    buckets: Sequence[str]
    groups: str
    proteins: Sequence[str]
    sample_occurrences: Sequence[str]
    distinct: str
    occurrences: str
    model: str
    index: str
    cleaning: Sequence[str]
    clean: Sequence[str]
    residues: Sequence[str]
    setup: Sequence[str]
    quality: Sequence[str]
    energy: Sequence[str]
    links: Sequence[str]
    link_summaries: Sequence[str]
    coanalysis: Sequence[str]
    #: Empty where near-duplicates are not grouped.
    clusters: str | Sequence[str] = ()
    embedding_jobs: Sequence[str] = ()
    #: Of trajectories that are brought along: checks, residues, links, what was chosen, co-analysis.
    brought_quality: Sequence[str] = ()
    brought_residues: Sequence[str] = ()
    brought_links: Sequence[str] = ()
    brought_link_summaries: Sequence[str] = ()
    brought_coanalysis: Sequence[str] = ()
    #: First frame of the first replica of each ensemble, and of each trajectory that is brought along.
    topologies: Sequence[str] = ()
    brought_topologies: Sequence[str] = ()
    #: Table over all structures, and what is learnt of some and tried on others; empty where not made.
    structures_table: str | Sequence[str] = ()
    across: str | Sequence[str] = ()


@dataclass(frozen=True)
class Entry:
    """The records of one item of a stage: how many came in, went out, and were set aside for which reason."""

    stage: str
    item: str
    records_in: int
    records_out: int
    set_aside: Mapping[str, int] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, str, int, int, int, str]]:
        """Give the rows of the table, in each of which in = out + set aside; they add up to the entry."""
        (reason, count), *others = self.set_aside.items() or [("", 0)]
        first_in = self.records_in - sum(count for _, count in others)
        yield self.stage, self.item, first_in, self.records_out, count, reason
        for reason, count in others:
            yield self.stage, self.item, count, 0, count, reason


def write_accounting(path: StrPath, files: StageFiles) -> None:
    """Count the records of all stages and write the counts.

    Parameters
    ----------
    path : path
        Tab-separated, with the columns of `HEADER`; an item has a row for each reason, see `Entry.rows`.
    files : StageFiles

    Raises
    ------
    MismatchError
        For the first item of which something was lost or came from nowhere.
    """
    entries = list(count_records(files))
    for entry in entries:
        check_entry(entry)
    rows = [HEADER, *(row for entry in entries for row in entry.rows())]
    write_text(path, "".join("\t".join(map(str, row)) + "\n" for row in rows))


def check_entry(entry: Entry) -> None:
    """See that in = out + set aside.

    Raises
    ------
    MismatchError
        Naming stage and item.
    """
    aside = sum(entry.set_aside.values())
    if entry.records_in != entry.records_out + aside:
        raise MismatchError(
            f"accounting of stage {entry.stage}, {entry.item}: {entry.records_in} came in, expected the "
            f"{entry.records_out} that went out and the {aside} set aside; make the stage's files again"
        )


def count_records(files: StageFiles) -> Iterator[Entry]:
    """Count the records of every stage, in the order the data flow."""
    yield from _count_sequences(files)
    yield _count_units(files)
    yield from _count_proteins(files)
    distinct = read_json(files.distinct)["distinct"]
    yield Entry("embeddings", "distinct proteins", distinct, count_rows(files.index))
    yield from _count_structures(files)
    yield from _count_links(files.links, files.residues)
    yield from _count_links(files.brought_links, files.brought_residues)
    yield from _count_frames(files)
    yield from _count_brought(files)


def _count_sequences(files: StageFiles) -> Iterator[Entry]:
    indexes = {Path(path).name.removesuffix(".fasta.gz.fai"): path for path in files.fasta_indexes}
    tables = {Path(path).name.removesuffix(".tsv"): path for path in files.members}
    for source in map(read_json, files.sequences):
        name, aside = source["sample"], _reasons(source["set_aside"])
        records = source["records"] + sum(aside.values())
        if name in indexes:
            yield Entry("sequences", f"{name} records", records, count_lines(indexes[name]), aside)
        elif source["kind"] == "collection":
            yield from _count_members(source, records, aside, tables[name])
        else:
            what = {"reads": "reads", "trajectory": "files"}.get(source["kind"], "atoms of model 1")
            yield Entry("sequences", f"{name} {what}", records, source["records"], aside)


def _count_members(
    source: Mapping[str, Any], records: int, aside: dict[str, int], table: StrPath
) -> Iterator[Entry]:
    """Count the members of a collection, and the records of those that were fetched."""
    name, rows = source["sample"], read_tsv(table)
    fetched = [row for row in rows if row["status"] == "fetched"]
    failed = len(rows) - len(fetched)
    lost = {"could not be fetched": failed} if failed else {}
    yield Entry("sequences", f"{name} members", source["members"], len(fetched), lost)
    yield Entry("sequences", f"{name} records", records, sum(int(row["records"]) for row in fetched), aside)


def _count_units(files: StageFiles) -> Entry:
    """Count the units of all rows; reads are in no group."""
    contents = {source["sample"]: source["contents"] for source in map(read_json, files.sequences)}
    units: Counter[str] = Counter()
    for path in files.buckets:
        with h5py.File(path) as h5:
            units[contents[Path(path).stem]] += len(h5["unit/name"])
    aside = {"reads are in no group": units["reads"]} if units["reads"] else {}
    return Entry("buckets", "units", units.total(), count_rows(files.groups), aside)


def _count_proteins(files: StageFiles) -> Iterator[Entry]:
    """Count genes or records of each sample, and what was taken of all of them."""
    found = 0
    for counts, table in zip(map(read_json, files.proteins), files.sample_occurrences, strict=True):
        aside, rows = _reasons(counts["set_aside"]), count_rows(table)
        # Of DNA, records are the contigs that genes were called on.
        called = counts["kind"] in DNA_KINDS
        records = counts["occurrences"] + sum(aside.values()) if called else counts["records"]
        what = "genes" if called else "records"
        yield Entry("proteins", f"{counts['sample']} {what}", records, rows, aside)
        found += rows
    aside = read_json(files.distinct)["set_aside"]
    yield Entry("proteins", "occurrences", found, count_rows(files.occurrences), aside)
    if isinstance(files.clusters, str):
        yield _count_groups(read_json(files.clusters), read_json(files.distinct)["distinct"])


def _count_groups(counts: Mapping[str, Any], distinct: int) -> Entry:
    """Count the distinct proteins that stand for their near-duplicates."""
    near = counts["proteins"] - counts["representatives"]
    aside = {"near-duplicate, has the embedding of its representative": near} if near else {}
    return Entry("proteins", "representatives", distinct, counts["representatives"], aside)


def _count_structures(files: StageFiles) -> Iterator[Entry]:
    for report, clean, residues in zip(files.cleaning, files.clean, files.residues, strict=True):
        name, counts = Path(report).parent.name, read_json(report)
        atoms, rows = count_lines(clean, "ATOM  "), count_lines(residues) - 1
        for what, out in (("atoms", atoms), ("residues", rows)):
            yield from count_cleaned(f"{name} {what}", what, counts, out)


def count_cleaned(item: str, what: str, counts: Mapping[str, Any], out: int) -> Iterator[Entry]:
    """Count atoms or residues of a structure's file, and in a row of their own those that were built."""
    # Copies that an assembly makes may be set aside like what they are copies of.
    copied, built = counts[f"{what}_copied"], counts[f"{what}_built"]
    told = f"{item}, with {copied} copied by the assembly" if copied else item
    aside = counts[f"{what}_set_aside"]
    yield Entry("structures", told, counts[f"{what}_in"] + copied, out - built, aside)
    if built:
        yield Entry("structures", f"{item} built", built, built)


def _count_frames(files: StageFiles) -> Iterator[Entry]:
    """Count frames asked for and written, replica by replica, and those of the co-analysis."""
    written: Counter[str] = Counter()
    for path in files.quality:
        quality, (name, replica) = read_json(path), replica_of(path)
        lost = quality["frames_expected"] - quality["frames"]
        # A run that was kept although it failed this check says so itself.
        told = lost > 0 and quality["gates"]["frames"]["outcome"] == "fail"
        aside = {"not written, or not readable": lost} if told else {}
        item = f"{name} replica {replica} frames"
        yield Entry("trajectories", item, quality["frames_expected"], quality["frames"], aside)
        written[name] += quality["frames"]
    for path in files.coanalysis:
        name = analysed_in(path)
        with h5py.File(path) as h5:
            frames = len(h5["frame/time_ps"])
        yield Entry("coanalysis", f"{name} frames", written[name], frames)


def _count_brought(files: StageFiles) -> Iterator[Entry]:
    """Count the frames of each trajectory that is brought along, and those of its co-analysis."""
    for path, coanalysis in zip(files.brought_quality, files.brought_coanalysis, strict=True):
        quality, (name, _) = read_json(path), replica_of(path)
        frames, empty = quality["frames"], quality["frames_without_positions"]
        aside = {"no positions": empty} if empty else {}
        yield Entry("trajectories", f"{name} frames", quality["frames_in_file"], frames, aside)
        with h5py.File(coanalysis) as h5:
            yield Entry("coanalysis", f"{name} frames", frames, len(h5["frame/time_ps"]))


def _count_links(links: Sequence[str], tables: Sequence[str]) -> Iterator[Entry]:
    """Count the residues of each structure that face one of their chain's first partner."""
    for path, residues in zip(links, tables, strict=True):
        rows = [row for row in read_tsv(path) if row["rank"] == "1" and row["status"] != MISSING]
        matched = sum(row["row"] != "" for row in rows)
        aside = {"no residue of the partner": len(rows) - matched} if matched < len(rows) else {}
        yield Entry("links", f"{Path(path).stem} residues", count_lines(residues) - 1, matched, aside)


def count_lines(path: StrPath, beginning: str = "") -> int:
    """Count the lines of a text file that begin like this."""
    with Path(path).open(encoding="utf-8") as stream:
        return sum(line.startswith(beginning) for line in stream)


def count_rows(path: StrPath) -> int:
    """Count the rows of a Parquet file without reading them."""
    import pyarrow.parquet as pq

    rows: int = pq.read_metadata(path).num_rows
    return rows


def replica_of(path: StrPath) -> tuple[str, int]:
    """Return what a file in a replica's folder is of: structure, with ``/300K`` if so, and the replica."""
    folder = Path(path).parent
    return _with_temperature(folder.parent, "trajectories"), int(folder.name)


def analysed_in(path: StrPath) -> str:
    """Return what a file of the co-analysis is of: the structure, with ``/300K`` where it is of one."""
    path = Path(path)
    return _with_temperature(path.with_name(path.name.removesuffix(".h5")), "coanalysis")


def _with_temperature(path: Path, stage: str) -> str:
    """Name the last folder, with the one above it where that is not yet the stage's."""
    # A structure may have a name like a temperature, but its folder is in the stage's.
    several = len(path.parts) > 2 and path.parts[-3] == stage and _TEMPERATURE.fullmatch(path.name)
    return f"{path.parent.name}/{path.name}" if several else path.name


def _reasons(set_aside: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count records set aside by their reason; an entry is one, or says how many it is."""
    counts: Counter[str] = Counter()
    for entry in set_aside:
        counts[entry["reason"]] += entry.get("records", 1)
    return dict(counts)

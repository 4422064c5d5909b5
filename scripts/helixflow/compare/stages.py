"""What the stages wrote of which two runs are compared: files by stage, item and part, in data-flow order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from helixflow.compare.arrays import attributes_reader, hdf5_reader
from helixflow.compare.atoms import gro_reader, parameters_reader, pdb_reader, topology_reader
from helixflow.compare.contrast import readable
from helixflow.compare.frames import frames_reader
from helixflow.compare.letters import bytes_reader, fasta_reader, fastq_reader, lines_reader
from helixflow.compare.records import Reader
from helixflow.compare.settings import config_reader, sheet_reader
from helixflow.compare.spectra import spectrum_reader, units_reader
from helixflow.compare.tables import json_reader, parquet_reader, tsv_reader
from helixflow.compare.vectors import maps_reader, vectors_reader
from helixflow.config import Settings
from helixflow.files import read_json

#: The stages, as the data flow; what a run was made with comes first.
STAGES = (
    "settings", "sequences", "buckets", "proteins", "embeddings",
    "structures", "trajectories", "links", "coanalysis",
)  # fmt: skip


class LeftOut(NamedTuple):
    """What is not compared, in words, and the files of it if they are whole ones: patterns below results."""

    words: str
    files: tuple[str, ...] = ()


#: What is not compared, since it is made from what is, or differs between runs of the same content.
LEFT_OUT = (
    LeftOut("the page, logs, benchmarks and work", ("report/**/*",)),
    LeftOut("of records of sequences: dates, addresses, and by whom a checksum was verified"),
    LeftOut("indexes into FASTA files (.fai, .gzi)", ("sequences/**/*.fai", "sequences/**/*.gzi")),
    LeftOut(
        "topology.tpr and energy.edr (bytes that GROMACS does not set; their content is in topologies, "
        "settings, frames and energy.tsv)",
        ("trajectories/**/topology.tpr", "trajectories/**/energy.edr"),
    ),
    LeftOut(
        "of quality.json and segments.json: performance, processors, ranks, processes and how often "
        "a run was continued"
    ),
    LeftOut(
        "the model's own files and folder, and proteins of the store that the run has not; digests of the "
        "model are compared",
        ("embeddings/closed_form_model/*", "embeddings/store/*/*"),
    ),
    LeftOut(
        "folders of files, into which parts the store is cut, which job embedded a protein, how fast and "
        "with which versions (embeddings/000.json, 000.parquet, plan, all.h5)",
        ("embeddings/[0-9]*.json", "embeddings/[0-9]*.parquet", "embeddings/plan/*", "embeddings/all.h5"),
    ),
    LeftOut(
        "in which order records are in a file that names them; titles and end lines of molecules, and "
        "comments of topologies and settings"
    ),
)

# Names with a blank cannot be those of samples.
GROUPS, PARTITIONS, DISTINCT, TABLE = "groups of units", "partitions", "distinct proteins", "all structures"
CONFIG = "keys of the configuration"
COUNTS = "records in, out and set aside"

_SOURCES = r"(^|/)(date|url|source|verified_by|final_url)(/|$)"
#: Of quality.json, what is no result of the simulation or of its gates.
_SPEED = "^(run|processes)(/|$)|^metadata/(program|version|source)$"
_SETTINGS = "^(seeds|settings|limits|metadata)(/|$)"
_MEASURES = ("frame", "contact", "residue", "pair", "embedding", "components", "statistics")


class Content(NamedTuple):
    """A file of a run: its stage, the item it is of, what of it, and how it is read."""

    stage: str
    item: str
    part: str
    path: Path
    reader: Reader


def contents(results: Path, schema: Settings) -> Iterator[Content]:
    """Give all files of a run that are compared, those that are there, in the order the data flow."""
    run = results / "provenance/run.json"
    if run.exists():
        yield Content("settings", "sheet", "rows", run, sheet_reader())
        yield Content("settings", CONFIG, "keys", run, config_reader(schema))
    finders: dict[str, Callable[[Path], Iterator[Content]]] = {
        "sequences": _sequences,
        "buckets": _buckets,
        "proteins": _proteins,
        "embeddings": _embeddings,
        "structures": _structures,
        "trajectories": _trajectories,
        "links": _links,
        "coanalysis": _coanalysis,
    }
    for stage, find in finders.items():
        for content in find(results / stage):
            if content.path.exists():
                yield content
        accounting = results / "provenance/accounting.tsv"
        if accounting.exists():
            reader = tsv_reader("count", ("item", "reason"), ("stage",), (("stage", stage),))
            yield Content(stage, COUNTS, "counts", accounting, reader)


def _whole(paths: Iterable[Path]) -> list[Path]:
    """Put files in order by name, without those that are being written, which begin with a dot."""
    return sorted(path for path in paths if not path.name.startswith("."))


def _sequences(folder: Path) -> Iterator[Content]:
    for record in _whole(folder.glob("*.json")):
        name = record.stem
        for member in [record, *_whole(folder.glob(f"{name}/**/*.json"))]:
            where = member.relative_to(folder).with_suffix("").as_posix()
            for path in _written(member):
                # That of a collection is the table of its members.
                if path.suffix == ".tsv":
                    continue
                part = path.name if where == name else f"{where}: {path.name}"
                yield Content("sequences", name, part, path, _letters(path))
            if member != record:
                about = json_reader(without=_SOURCES)
                yield Content("sequences", name, f"{where}: record", member, about)
        yield Content(
            "sequences", name, "members", record.with_suffix(".tsv"), tsv_reader("member", ["sample"])
        )
        yield Content("sequences", name, "record", record, json_reader(without=_SOURCES))


def _written(record: Path) -> list[Path]:
    """Return the files in normal form that a record names."""
    with readable(record):
        return [record.parent / name for name in read_json(record).get("written", [])]


def _letters(path: Path) -> Reader:
    """Choose the reader of a file in normal form."""
    if path.name.endswith(".fasta.gz"):
        return fasta_reader("contig")
    if path.name.endswith(".fastq.gz"):
        return fastq_reader()
    return lines_reader("line") if path.name.endswith(".structure") else bytes_reader()


def _buckets(folder: Path) -> Iterator[Content]:
    for path in _whole(folder.glob("*.h5")):
        yield Content("buckets", path.stem, "encoding", path, attributes_reader("attribute"))
        yield Content("buckets", path.stem, "spectrum", path, spectrum_reader())
        yield Content("buckets", path.stem, "units", path, units_reader())
    yield Content("buckets", GROUPS, "groups", folder / "groups.parquet", parquet_reader("unit", ["unit"]))
    table = parquet_reader("record", ["record"])
    yield Content("buckets", PARTITIONS, "table", folder / "partitions.parquet", table)
    for path in _whole(folder.glob("partitions/*.fasta.gz")):
        yield Content("buckets", PARTITIONS, path.name, path, fasta_reader("record"))


def _proteins(folder: Path) -> Iterator[Content]:
    places = parquet_reader("place", ["sample", "contig", "start", "end", "strand"])
    shared = {"distinct", "occurrences", "clusters"}
    for path in _whole(folder.glob("*.parquet")):
        if path.stem not in shared or path.with_suffix(".fasta.gz").exists():
            fasta = path.with_suffix(".fasta.gz")
            yield Content("proteins", path.stem, "proteins", fasta, fasta_reader("protein"))
            yield Content("proteins", path.stem, "places", path, places)
            record = path.with_suffix(".json")
            yield Content("proteins", path.stem, "record", record, json_reader())
    yield Content("proteins", DISTINCT, "proteins", folder / "distinct.fasta.gz", fasta_reader("protein"))
    yield Content("proteins", DISTINCT, "places", folder / "occurrences.parquet", places)
    clusters = parquet_reader("protein", ["protein"])
    yield Content("proteins", DISTINCT, "near-duplicates", folder / "clusters.parquet", clusters)
    for name in ("distinct.json", "clusters.json"):
        yield Content("proteins", DISTINCT, name, folder / name, json_reader())


def _embeddings(folder: Path) -> Iterator[Content]:
    model = json_reader("entry", without=r"^(model|folder|weights)$")
    yield Content("embeddings", "model", "model", folder / "model.json", model)
    rows = parquet_reader("protein", ["protein"], without=("uri", "row"))
    yield Content("embeddings", "vectors", "index", folder / "index.parquet", rows)
    yield Content("embeddings", "vectors", "vectors", folder / "index.parquet", vectors_reader())
    for path in _whole(folder.glob("contacts/*.parquet")):
        yield Content("embeddings", "contact maps", f"shard {path.stem}", path, maps_reader())
    neighbours = parquet_reader("neighbour", ["query", "rank"])
    yield Content("embeddings", "neighbours", "neighbours", folder / "neighbours.parquet", neighbours)


def _structures(folder: Path) -> Iterator[Content]:
    for path in _whole(entry for entry in folder.glob("*") if entry.is_dir()):
        readers = {
            "clean.pdb": pdb_reader(),
            "residues.tsv": tsv_reader("residue", ["index"]),
            "cleaning.json": json_reader(),
            "setup.json": json_reader(without="^commands|^gmx_version$"),
            "topol.top": topology_reader(),
            "solvated.gro": gro_reader(),
        }
        for name, reader in readers.items():
            yield Content("structures", path.name, name, path / name, reader)


def _trajectories(folder: Path) -> Iterator[Content]:
    for path in _whole(folder.glob("**/minimised.gro")):
        item = path.parent.relative_to(folder).as_posix()
        yield Content("trajectories", item, path.name, path, gro_reader())
        yield Content("trajectories", item, "minimised.json", path.with_suffix(".json"), json_reader())
    for quality in _whole(folder.glob("**/quality.json")):
        item = quality.parent.relative_to(folder).as_posix()
        readers = {
            "seeds and settings": ("quality.json", json_reader("setting", _SPEED, _SETTINGS)),
            "segments": ("segments.json", json_reader("segment", "^runs(/|$)")),
            "processed.top": ("processed.top", topology_reader()),
            "parameters": ("mdout.mdp", parameters_reader()),
            "protein.pdb": ("protein.pdb", pdb_reader()),
            "protein.xtc": ("protein.xtc", frames_reader()),
            "energies": ("energy.tsv", tsv_reader("energies at ps", ["time_ps"])),
            "trajectory.xtc": ("trajectory.xtc", frames_reader()),
            "final.gro": ("final.gro", gro_reader()),
            "gates": ("quality.json", json_reader("gate", f"{_SPEED}|{_SETTINGS}")),
        }
        for part, (name, reader) in readers.items():
            yield Content("trajectories", item, part, quality.parent / name, reader)


def _links(folder: Path) -> Iterator[Content]:
    for path in _whole(folder.glob("*.tsv")):
        rows = tsv_reader("residue", ["rank", "chain", "number", "insertion", "index"])
        yield Content("links", path.stem, "residues", path, rows)
        yield Content("links", path.stem, "partners", path.with_suffix(".json"), json_reader())


def _coanalysis(folder: Path) -> Iterator[Content]:
    reader = hdf5_reader(_MEASURES, without=("embedding/uri",))
    found = [path.relative_to(folder).with_suffix("").as_posix() for path in _whole(folder.glob("**/*.h5"))]
    # What was measured of the replicas comes before what is worked out from it.
    for item in sorted(found, key=lambda item: (item.split("/")[0], -item.count("/"), item)):
        path = folder / f"{item}.h5"
        yield Content("coanalysis", item, path.name, path, reader)
    table = tsv_reader("structure", ["structure"])
    yield Content("coanalysis", TABLE, "table", folder / "structures.tsv", table)
    yield Content("coanalysis", TABLE, "across", folder / "across.json", json_reader())

"""The page and the accounting, on small outputs of the real stages and against the files themselves."""

import base64
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass, replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from MDAnalysis.lib.formats.libmdaxdr import XTCFile

from analysing import analyse, measure, request_of
from conftest import DEMO, ROOT
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from helixflow.buckets.groups import group_files
from helixflow.config import complete_config, leaves, read_schema
from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import ModelDescription, write_model
from helixflow.embeddings.store import part_name, write_part
from helixflow.errors import MismatchError
from helixflow.fasta import read_fasta
from helixflow.files import read_json, read_tsv, write_json
from helixflow.links import LinkSettings, link_chains
from helixflow.members import read_members
from helixflow.proteins import call_genes, collect_proteins, read_chains, read_protein_file
from helixflow.provenance import git_state, record_run, sheet_rows
from helixflow.report import StageFiles, write_accounting, write_report
from helixflow.report.accounting import Entry, analysed_in, replica_of
from helixflow.report.analysis import MOST_DRAWN
from helixflow.report.blocks import MOST_LETTERS, Drawing, Figure, Section, number, table, words
from helixflow.report.buckets import Spectrum
from helixflow.report.coanalysis import coanalysis_parts
from helixflow.report.embeddings import principal_components, read_means
from helixflow.report.figure_files import place_figures, to_tsv, tsv_pieces, write_figures
from helixflow.report.figures import curves, histogram, matrix, residue_profile, residue_ticks, split_map
from helixflow.report.links import links_part
from helixflow.report.notices import EXPECTED, find_notices
from helixflow.report.page import MOST_FIGURED, render
from helixflow.report.structures import read_structures
from helixflow.samples import Sample, read_sheet
from helixflow.sequences import (
    Fetcher,
    FetchSettings,
    Source,
    fetch_collection,
    fetch_reads,
    fetch_sequence,
    fetch_structure,
)
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.trajectories.quality import ENERGIES, judge
from helixflow.trajectories.quality.gates import unknown

#: Names that would be markup if they were not shown as text.
CONTIG = 'gi|"><script>alert(1)</script>|'
RECORD = "<img/src=x/onerror=alert(2)>"
TAXON = "Virus <b>of</b> <script src='https://evil.example/x.js'></script>"
TITLE = 'A & B </title><script>alert("3")</script>'
CHAIN = "<"
#: The chain of 1A8O, with one residue of another kind.
CAPSID = "MDIRQGPKEPFRDYVDRFYKTLRAEQASQEVKNWMTETLLVQNANPDCKTILKAAGPGATLEEMMTACQG"
FRAMES, REPLICAS, WIDTH = 11, 2, 8
METADATA = {
    "ensemble": "NPT", "temperature_K": 300, "pressure_bar": 1, "thermostat": "V-rescale",
    "barostat": "C-rescale", "electrostatics": "PME", "cutoff_nm": 1.0, "timestep_fs": 2, "frame_ps": 0.4,
}  # fmt: skip
#: Parts of the co-analysis of a structure, and figures of the whole page.
ANALYSED, FIGURES = ["motion", "contacts", "relation", "latent", "statistics"], 23
SECTIONS = [
    "overview",
    "samples",
    "accounting",
    "buckets",
    "proteins",
    "embeddings",
    "structures",
    "provenance",
]


@dataclass
class Run:
    """A finished run: its folder, what its stages wrote, and its configuration."""

    folder: Path
    files: StageFiles
    config: dict

    @property
    def record(self) -> Path:
        return self.folder / "provenance/run.json"

    @property
    def accounting(self) -> Path:
        return self.folder / "provenance/accounting.tsv"

    def account(self) -> list[dict[str, str]]:
        write_accounting(self.accounting, self.files)
        return read_tsv(self.accounting)

    def write(self, page: Path, title: str = TITLE) -> str:
        figures = page.with_name("figures")
        settings = {"title": title, "max_length_trained": 2000, "benchmarks": self.folder / "benchmarks"}
        write_report(self.files, self.record, self.accounting, page, figures, **settings)
        return page.read_text()


def make_run(folder: Path, *kinds: str) -> Run:
    """Run the stages on small data, with stand-ins for the model and for GROMACS alone."""
    sheet = make_sources(folder / "sources", kinds)
    samples = read_sheet(sheet)
    results = folder / "results"
    dna = [name for name, sample in samples.items() if sample.contents in ("genome", "metagenome")]
    reads = [name for name, sample in samples.items() if sample.contents == "reads"]
    structures = [name for name, sample in samples.items() if sample.kind == "structure"]
    for sample in samples.values():
        write_source(sample, results / "sequences")
    for name in dna + reads:
        members, output = read_members(results / f"sequences/{name}.json"), results / f"buckets/{name}.h5"
        hash_members(members, output, BucketSettings(21, 16, "hyperplane", 1, 64))
    group_files([results / f"buckets/{name}.h5" for name in dna], results / "buckets/groups.parquet", 0.5)
    for name in structures:
        place = results / "structures" / name
        outputs = [place / output for output in ("clean.pdb", "cleaning.json", "residues.tsv")]
        source, settings = results / f"sequences/{name}.structure", CleanSettings((), 1, "refuse")
        clean_structure(source, "pdb", settings, *outputs)
        simulate(results, name)
    with_proteins = [name for name in samples if name not in reads]
    for name in with_proteins:
        find_proteins(results, name, samples[name].contents)
    base = results / "proteins"
    tables, fastas = ([base / f"{name}.{kind}" for name in with_proteins] for kind in ("parquet", "fasta.gz"))
    outputs = base / "distinct.fasta.gz", base / "occurrences.parquet"
    write_json(base / "distinct.json", collect_proteins(tables, fastas, [], *outputs))
    embed(results)
    for name in structures:
        join(results, name, structures)
    schema = read_schema(ROOT / "config/schema.yaml")
    config = complete_config({"samples": str(sheet), "trajectories": {"production_ns": 0.004}}, schema)
    run = Run(results, stage_files(results, samples, structures), config)
    write_benchmarks(results / "benchmarks", {"fetch_sequence": [0.3, 0.6], "call_genes": [4.0, 2.0, 3.0]})
    record_run(run.record, config, sheet_rows(samples.values()), run.files.setup, run.files.quality)
    run.account()
    return run


def make_sources(folder: Path, kinds: tuple[str, ...]) -> Path:
    """Write a source of each kind and their sheet."""
    folder.mkdir(parents=True)
    sources = {
        "genome": "virus.fna",
        "metagenome": "some.fna",
        "proteins": "some.faa",
        "structure": "ctd.pdb",
        "reads": "some.fastq",
        "collection": "strains.tsv",
    }
    virus = (DEMO / "NC_001802.fna").read_text().split("\n", 1)[1]
    plasmid = (DEMO / "NC_005816.fna").read_text().split("\n", 1)[1]
    (folder / "virus.fna").write_text(f">{CONTIG} a virus\n{virus}")
    (folder / "some.fna").write_text(f">one\n{plasmid}>two\n{virus}>void\n")
    records = {RECORD: f"MKV{CAPSID}LIP", "long": "ACDEFGHIKL" * 210, "empty": "", "rare": "MAUUZ"}
    fasta = "".join(f">{name}\n{letters}\n" for name, letters in records.items())
    (folder / "some.faa").write_text(fasta)
    (folder / "some.fastq").write_text("@r1\nACGTN\n+\nIIIII\n@r2\n\n+\n\n")
    (folder / "bad.fna").write_text("<!DOCTYPE html>")
    manifest = ["sample\tkind\tsource", "good\tgenome\tvirus.fna", "bad\tgenome\tbad.fna", ""]
    (folder / "strains.tsv").write_text("\n".join(manifest))
    at = {"ATOM": 21, "HETA": 21, "TER ": 21, "SEQR": 11}
    pdb = [
        line[: at[line[:4]]] + CHAIN + line[at[line[:4]] + 1 :] if line[:4] in at else line
        for line in (DEMO / "1A8O.pdb").read_text().splitlines()
    ]
    (folder / "ctd.pdb").write_text("\n".join([*pdb, ""]))
    rows = [f"my_{kind}\t{kind}\t{sources[kind]}\t{TAXON}" for kind in kinds]
    (folder / "samples.tsv").write_text("\n".join(["sample\tkind\tsource\ttaxon", *rows, ""]))
    return folder / "samples.tsv"


def write_source(sample: Sample, folder: Path) -> None:
    settings = FetchSettings(urls={})
    fetcher = Fetcher(settings, results=folder, work=folder.parents[1] / "work")
    row = Source(sample.name, sample.kind, sample.source, sample.origins, sample.checksum)
    record = folder / f"{sample.name}.json"
    if sample.kind == "structure":
        fetch_structure(fetcher, row, folder / f"{sample.name}.structure", record)
    elif sample.kind == "reads":
        fetch_reads(fetcher, row, record)
    elif sample.kind == "collection":
        table = folder / f"{sample.name}.tsv"
        fetch_collection(fetcher, row, table, record, workers=1, max_failed=1)
    else:
        fasta = folder / f"{sample.name}.fasta.gz"
        fetch_sequence(fetcher, row, fasta, f"{fasta}.fai", f"{fasta}.gzi", record)


def find_proteins(results: Path, name: str, kind: str) -> None:
    outputs = results / f"proteins/{name}.fasta.gz", results / f"proteins/{name}.parquet"
    members = read_members(results / f"sequences/{name}.json")
    if kind in ("genome", "metagenome"):
        counts = call_genes(members, *outputs, sample=name, kind=kind, genetic_code=1, meta_below_bp=20000,
                            min_gene_bp=90)  # fmt: skip
    elif kind == "proteins":
        counts = read_protein_file(members, *outputs, sample=name)
    else:
        counts = read_chains(results / f"structures/{name}/residues.tsv", *outputs, sample=name)
    write_json(results / f"proteins/{name}.json", counts)


def simulate(results: Path, name: str) -> None:
    """Write what GROMACS would: a set-up, and replicas that are the structure with noise."""
    place = results / "structures" / name
    setup = {
        "gmx_version": "2022.5", "force_field": "amber99sb-ildn", "water": "tip3p",
        "box_shape": "dodecahedron", "box_distance_nm": 0.8, "salt_M": 0.15, "seed": 1, "charge": -1,
        "protein_atoms": 1107, "disulfides": [["CYS < 198", "CYS < 218"]], "atoms": 10416, "waters": 3096,
        "ions": {"NA": 11, "CL": 10}, "box_vectors_nm": [5.327, 5.327, 3.767], "commands": ["gmx pdb2gmx"],
    }  # fmt: skip
    write_json(place / "setup.json", setup)
    atoms = [line for line in (place / "clean.pdb").read_text().splitlines() if line.startswith("ATOM")]
    positions = (
        np.array([[float(line[at : at + 8]) for at in (30, 38, 46)] for line in atoms], np.float32) / 10
    )
    for replica in range(1, REPLICAS + 1):
        folder = results / "trajectories" / name / str(replica)
        folder.mkdir(parents=True)
        shutil.copy(place / "clean.pdb", folder / "protein.pdb")
        random = np.random.default_rng(replica)
        with XTCFile(str(folder / "protein.xtc"), "w") as xtc:
            for frame in range(FRAMES):
                noise = random.normal(scale=0.02, size=positions.shape).astype(np.float32)
                xtc.write(positions + noise, np.eye(3, dtype=np.float32) * 5, frame, frame * 0.4, 1000.0)
        columns = {"time_ps": np.arange(FRAMES) * 0.4}
        columns |= {name: random.normal(300, 3, FRAMES) for name in ENERGIES}
        np.savetxt(folder / "energy.tsv", np.column_stack(list(columns.values())), "%.6f", "\t",
                   header="\t".join(columns), comments="")  # fmt: skip
        gates = {
            "frames": judge(FRAMES, FRAMES, FRAMES),
            "temperature_K": judge(299.61234, 297, 303, 0.9),
            "drift_kJ_mol_ps_atom": judge(0.0027, -0.005, 0.005, float("nan")),
        }
        machine = {
            "gmx_version": "2022.5", "simd": "SSE4.1", "simd_possible": "AVX2_256",
            "gpu_support": "disabled", "ranks": 1, "threads": 1, "continuations": 0,
            "performance_ns_day": None,
        }  # fmt: skip
        quality = {
            "structure": name, "replica": replica, "passed": True, "gates": gates, "atoms": 10416,
            "protein_atoms": len(atoms), "frames": FRAMES, "frames_expected": FRAMES, "run": machine,
            "seeds": {"gen_seed": 1000 + replica, "ld_seed": 1000 + replica},
            "settings": {"production_ns": 0.004}, "metadata": METADATA,
        }  # fmt: skip
        write_json(folder / "quality.json", quality)


def embed(results: Path) -> None:
    """Write a store of random vectors in two parts, its index and the model's description."""
    model = ModelDescription(
        "<i>model</i>",
        "",
        "random <numbers>",
        "folder",
        "model.safetensors",
        "0" * 64,
        "0" * 64,
        WIDTH,
        4000,
        [],
        {},
    )
    write_model(results / "embeddings/model.json", model)
    proteins = dict(read_fasta(results / "proteins/distinct.fasta.gz"))
    random = np.random.default_rng(1)
    names = list(proteins)
    for some in filter(None, (names[::2], names[1::2])):
        chosen = {name: proteins[name] for name in some}
        vectors = [random.normal(size=(len(letters), WIDTH)) for letters in chosen.values()]
        means = np.array([vector.mean(axis=0) for vector in vectors], np.float32)
        path = results / "embeddings/store" / model.key / f"{part_name(some)}.h5"
        write_part(path, chosen, np.concatenate(vectors).astype(np.float16), means, model)
    store = results / "embeddings/store"
    write_index(results / "proteins/distinct.fasta.gz", results / "embeddings/index.parquet", model, store)


def join(results: Path, name: str, structures: list[str]) -> None:
    residues = results / f"structures/{name}/residues.tsv"
    table, summary = results / f"links/{name}.tsv", results / f"links/{name}.json"
    proteins, seen = results / "proteins/distinct.fasta.gz", results / "proteins/occurrences.parquet"
    index = str(results / "embeddings/index.parquet")
    settings = LinkSettings(structures, "best", 0.9, 0.9)
    link_chains(residues, proteins, seen, index, table, summary, settings)
    measured = [
        measure(
            residues, results / f"trajectories/{name}/{replica}", results / f"coanalysis/{name}/{replica}.h5"
        )
        for replica in range(1, REPLICAS + 1)
    ]
    request = request_of(residues.parent, measured, links=str(table), index=index)
    analyse(request, results / f"coanalysis/{name}.h5")


def write_benchmarks(folder: Path, seconds: dict[str, list[float]]) -> None:
    """Write what Snakemake writes of jobs that load a core to 80 %."""
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for rule, times in seconds.items():
        (folder / rule).mkdir(parents=True)
        for job, s in enumerate(times):
            values = [s, "0:00:00", 100 + 10 * s, 900, 90, 90, 0, 0, 80, s * 0.8 if s > 0.5 else 0]
            (folder / rule / f"{job}.tsv").write_text(header + "\t".join(map(str, values)) + "\n")


def stage_files(results: Path, samples: dict[str, Sample], structures: list[str]) -> StageFiles:
    """The paths as rules/report.smk names them."""

    def of(*kinds: str) -> list[str]:
        return [name for name, sample in samples.items() if sample.kind in kinds]

    collections, fastas = of("collection"), of("genome", "metagenome", "proteins")
    dna = ("genome", "metagenome", "reads")
    hashed = [name for name, sample in samples.items() if sample.contents in dna]
    with_proteins = [name for name, sample in samples.items() if sample.contents != "reads"]

    def paths(pattern: str, **values) -> list[str]:
        (key, names), *more = values.items()
        found = [pattern.replace(f"{{{key}}}", str(name)) for name in names]
        return [
            path for one in found for path in (paths(one, **dict(more)) if more else [str(results / one)])
        ]

    runs = {"structure": structures, "replica": range(1, REPLICAS + 1)}
    return StageFiles(
        sequences=paths("sequences/{sample}.json", sample=samples),
        fasta_indexes=paths("sequences/{sample}.fasta.gz.fai", sample=fastas),
        members=paths("sequences/{sample}.tsv", sample=collections),
        buckets=paths("buckets/{sample}.h5", sample=hashed),
        groups=str(results / "buckets/groups.parquet"),
        proteins=paths("proteins/{sample}.json", sample=with_proteins),
        sample_occurrences=paths("proteins/{sample}.parquet", sample=with_proteins),
        distinct=str(results / "proteins/distinct.json"),
        occurrences=str(results / "proteins/occurrences.parquet"),
        model=str(results / "embeddings/model.json"),
        index=str(results / "embeddings/index.parquet"),
        cleaning=paths("structures/{structure}/cleaning.json", structure=structures),
        clean=paths("structures/{structure}/clean.pdb", structure=structures),
        residues=paths("structures/{structure}/residues.tsv", structure=structures),
        setup=paths("structures/{structure}/setup.json", structure=structures),
        quality=paths("trajectories/{structure}/{replica}/quality.json", **runs),
        energy=paths("trajectories/{structure}/{replica}/energy.tsv", **runs),
        links=paths("links/{structure}.tsv", structure=structures),
        link_summaries=paths("links/{structure}.json", structure=structures),
        coanalysis=paths("coanalysis/{structure}.h5", structure=structures),
    )


class Page(HTMLParser):
    """A page as a browser sees it: its tags, its text, and its tables by their captions."""

    VOID = ("meta", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.tables: dict[str, list[dict[str, str]]] = {}
        self._open: list[str] = []
        self._caption, self._cell = "", None
        self._heads: list[str] = []
        self._row: list[str] = []
        # Where a long name may break is no text.
        self.feed(html.replace("<wbr>", ""))
        assert self._open == [], "every tag is closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag in ("th", "td", "figcaption"):
            self._cell = ""
        if tag == "thead":
            self._heads = []

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "figcaption":
            self._caption = self._cell
        elif tag == "th":
            self._heads.append(self._cell)
        elif tag == "td":
            self._row.append(self._cell)
        elif tag == "tr" and self._row:
            self.tables.setdefault(self._caption, []).append(dict(zip(self._heads, self._row, strict=True)))
            self._row = []

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.text.append(data)
        if self._cell is not None:
            self._cell += data

    def facts(self, caption: str) -> dict[str, str]:
        return {row["what"]: row["value"] for row in self.tables[caption]}


def texts(svg: str) -> list[str]:
    """The texts of a drawing."""
    return [
        "".join(text.itertext()).strip()
        for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def value(cell: str) -> float:
    """The number a cell shows."""
    return float(
        cell.replace("\N{NARROW NO-BREAK SPACE}", "").replace("\N{MINUS SIGN}", "-").removesuffix(" %")
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    kinds = ("genome", "metagenome", "proteins", "structure", "reads", "collection")
    return make_run(tmp_path_factory.mktemp("run"), *kinds)


@pytest.fixture(scope="module")
def html(run) -> str:
    return run.write(run.folder / "report/index.html")


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


@pytest.fixture
def copy(run, tmp_path, monkeypatch) -> Run:
    """A run whose files may be changed, and whose page has no figures of structures, which take long."""
    monkeypatch.setattr("helixflow.report.page.MOST_FIGURED", 0)
    shutil.copytree(run.folder, tmp_path / "results")
    moved = json.loads(json.dumps(asdict(run.files)).replace(str(run.folder), str(tmp_path / "results")))
    return Run(tmp_path / "results", StageFiles(**moved), run.config)


# The page


def test_the_page_is_whole_in_itself(page, html):
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"}
    targets = [
        attributes[key]
        for _, attributes in page.tags
        for key in ("src", "href", "srcset")
        if key in attributes
    ]
    assert len(targets) > 20
    assert all(target.startswith(("#", "data:image/svg+xml;base64,", "figures/")) for target in targets)
    assert "url(" not in html and "@import" not in html
    assert [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"] == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ]
    assert len(html.encode()) < 10_000_000


def test_drawings_hold_nothing_that_runs_or_loads(run, html):
    for svg in (run.folder / "report/figures").rglob("*.svg"):
        elements = list(ElementTree.parse(svg).iter())
        assert {element.tag.rpartition("}")[2] for element in elements} <= {
            "svg", "g", "path", "text", "tspan", "defs", "use", "clipPath", "rect", "style", "image",
            "metadata",
        }  # fmt: skip
        for element in elements:
            targets = [held for name, held in element.attrib.items() if name.endswith("href")]
            assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
            assert not [name for name in element.attrib if name.startswith("on")]


def test_every_section_is_there_and_linked(page):
    anchors = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(anchors)) == len(anchors)
    assert [anchor for anchor in anchors if anchor in SECTIONS] == SECTIONS
    parts = ["cleaning", "setup", "simulation", "links", *ANALYSED]
    assert [f"structure-my_structure-{part}" for part in parts] == [a for a in anchors if a.count("-") == 2]
    linked = {a["href"][1:] for tag, a in page.tags if tag == "a" and a["href"].startswith("#")}
    assert set(SECTIONS) | {"structure-my_structure"} <= linked <= set(anchors)


def test_each_ensemble_has_the_topology_of_its_first_replica(run):
    paths = [str(run.folder / "trajectories/my_structure/1/protein.pdb")]
    (structure,) = read_structures(replace(run.files, topologies=paths))
    assert [one.topology for one in structure.ensembles] == paths


def test_every_figure_says_in_words_what_it_shows(page):
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == FIGURES
    assert all(len(image["alt"]) > 30 for image in images)


def test_every_figure_is_a_file_with_its_data(run, page, html):
    folder = run.folder / "report"
    named = {a["href"] for tag, a in page.tags if tag == "a" and not a["href"].startswith("#")}
    assert named == {str(path.relative_to(folder)) for path in (folder / "figures").rglob("*.*")}
    assert len(named) == 2 * FIGURES
    for svg in (folder / "figures").rglob("*.svg"):
        assert base64.b64encode(svg.read_bytes()).decode() in html
        header, *rows = [line.split("\t") for line in svg.with_suffix(".tsv").read_text().splitlines()]
        assert len(rows) > 1 and {len(row) for row in rows} == {len(header)}


def test_the_data_of_a_figure_are_those_of_the_file_with_all_digits(run, html):
    figures = run.folder / "report/figures/structure-my_structure-motion"
    rows = read_tsv(figures / "rmsd.tsv")
    with h5py.File(run.files.coanalysis[0]) as h5:
        assert [float(row["RMSD of C-alphas (nm)"]) for row in rows] == h5["frame/rmsd_nm"][:].tolist()
        assert [row["curve"] for row in rows] == [f"replica {n}" for n in h5["frame/replica"][:]]
        cosine = h5["pair/embedding_cosine"][:]
    rows = read_tsv(figures.with_name("structure-my_structure-contacts") / "contacts-beside-embeddings.tsv")
    shown = [float(row["below the diagonal: cosine similarity of embeddings"]) for row in rows]
    np.testing.assert_array_equal(shown, cosine[np.triu_indices(len(cosine), 1)])
    assert (rows[0]["first chain"], rows[0]["first residue"], rows[0]["second residue"]) == (
        CHAIN,
        "151",
        "152",
    )


def test_files_of_figures_have_safe_names_of_their_own(tmp_path):
    drawn = Drawing("<svg/>", {"a\tb": ["x\ny", None], "c": np.array([0.1, np.nan], np.float32)})
    titles = ["Same", "same", "../../etc/passwd", "", "é" * 300, "a/b:c*d?<script>"]
    figures = [Figure(title, drawn, "", "") for title in titles]
    sections = [
        Section("../up", "s", [*figures], [Section("..\\up", "p", [*figures])]),
        Section("", "", [*figures]),
    ]
    place_figures(sections)
    write_figures(sections, tmp_path / "figures")
    paths = [path.relative_to(tmp_path / "figures") for path in (tmp_path / "figures").rglob("*.svg")]
    assert len({str(path).lower() for path in paths}) == len(paths) == 18
    assert {len(path.parts) for path in paths} == {2}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,90}", part) for path in paths for part in path.parts)
    assert list(tmp_path.iterdir()) == [tmp_path / "figures"]
    text = (tmp_path / "figures/up/same.tsv").read_text()
    assert text == "a\N{REPLACEMENT CHARACTER}b\tc\nx\N{REPLACEMENT CHARACTER}y\t0.1\n\tnan\n"


def test_columns_of_a_drawing_have_one_length():
    for data in ({}, {"a": [1], "b": [1, 2]}):
        with pytest.raises(ValueError, match="columns of one length"):
            Drawing("<svg/>", data)


def test_drawings_that_do_not_fit_are_files_alone_and_the_page_says_so(copy, monkeypatch):
    whole = copy.write(copy.folder / "whole/index.html")
    monkeypatch.setattr("helixflow.report.page.MOST_BYTES", len(whole) - 1000)
    html = copy.write(copy.folder / "cut/index.html")
    assert len(html.encode()) <= len(whole) - 1000
    missing = [svg for svg in (copy.folder / "cut/figures").rglob("*.svg") if encoded(svg) not in html]
    assert len(missing) == 1
    assert len(encoded(missing[0])) == max(
        len(encoded(svg)) for svg in (copy.folder / "whole").rglob("*.svg")
    )
    assert "1 drawing is not on this page" in html and "The drawing is left out here" in html


def test_figures_stay_as_they_were_where_the_page_cannot_be_written(copy):
    figures = copy.folder / "report/figures"
    before = {path: path.read_bytes() for path in figures.rglob("*.*")}
    assert before
    (copy.folder / "report/taken.html").mkdir()
    change_json(model="another")(copy.files.model)
    with pytest.raises(IsADirectoryError):
        copy.write(copy.folder / "report/taken.html")
    assert {path: path.read_bytes() for path in figures.rglob("*.*")} == before
    assert sorted(path.name for path in figures.parent.iterdir()) == ["figures", "index.html", "taken.html"]


def encoded(path: Path) -> str:
    """A file as it is in the page."""
    return base64.b64encode(path.read_bytes()).decode()


def test_hostile_names_are_shown_as_text(page, html):
    text = "".join(page.text)
    for name in (RECORD, TAXON, TITLE, "<i>model</i>", "random <numbers>"):
        assert name in text
        assert name not in html
    assert CONTIG not in html
    assert {
        attribute for _, attributes in page.tags for attribute in attributes if attribute.startswith("on")
    } == set()
    assert page.tables["Chains"][0]["chain"] == CHAIN


def test_the_same_inputs_give_the_same_bytes(run, html, tmp_path):
    code = (
        "import json, sys; from helixflow.report import StageFiles, write_report\n"
        "files, run, accounting, title, page, figures, benchmarks = json.load(sys.stdin)\n"
        "write_report(StageFiles(**files), run, accounting, page, figures, title=title, "
        "max_length_trained=2000, benchmarks=benchmarks)"
    )
    page, figures = tmp_path / "page.html", tmp_path / "figures"
    paths = run.record, run.accounting, TITLE, page, figures, run.folder / "benchmarks"
    inputs = [asdict(run.files), *map(str, paths)]
    subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(inputs), text=True, check=True, cwd=ROOT / "scripts",
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )  # fmt: skip
    assert page.read_text() == html
    files = {path.relative_to(figures): path.read_bytes() for path in figures.rglob("*.*")}
    kept = run.folder / "report/figures"
    assert files == {path.relative_to(kept): path.read_bytes() for path in kept.rglob("*.*")}


# Numbers are those of the files


def test_samples_and_their_proteins(run, page):
    seen = pq.read_table(run.files.occurrences).to_pylist()
    samples = {row["protein"]: set() for row in seen}
    for row in seen:
        samples[row["protein"]].add(row["sample"])
    by_name = {row["sample"]: row for row in page.tables["Proteins by sample"]}
    for name, row in by_name.items():
        of_sample = [seen_row["protein"] for seen_row in seen if seen_row["sample"] == name]
        assert value(row["places"]) == len(of_sample)
        assert value(row["distinct"]) == len(set(of_sample))
        assert value(row["also in other samples"]) == len({p for p in of_sample if len(samples[p]) > 1})
    pairs = {tuple(row.values()) for row in page.tables["Samples that share proteins, 20 pairs at most"]}
    virus = by_name["my_genome"]["distinct"]
    names = ("my_collection", "my_genome", "my_metagenome")
    assert pairs == {(*pair, virus) for pair in combinations(names, 2)}, "record 'two' is the virus"
    for path, shown in zip(run.files.sequences, page.tables["Rows of the sheet"], strict=True):
        source = read_json(path)
        assert value(shown["residues"]) == source["residues"]
        assert shown["sha256"] == source["files"][0]["sha256"][:8]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/a/very long/way/to/virus.fna", "virus.fna"),
        ("NC_001802.1", "NC_001802.1"),
        ("https://example.org/virus.fna?a=b/c", "https://example.org/virus.fna?a=b/c"),
    ],
)
def test_of_a_path_the_name_is_shown_and_the_whole_is_told(copy, source, shown):
    change_json(source=source)(copy.files.sequences[0])
    page = Page(copy.write(copy.folder / "index.html"))
    assert page.tables["Rows of the sheet"][0]["source"] == shown
    told = [attributes["title"] for tag, attributes in page.tags if tag == "td" and "title" in attributes]
    assert source in (told[0], shown)


def test_letters_that_became_x(page):
    rows = page.tables["Letters the model has no trained vector for, embedded as X"]
    assert [list(row.values()) for row in rows] == [["my_proteins", "U", "2"], ["my_proteins", "Z", "1"]]


def test_spectrum(run, page):
    with h5py.File(run.files.buckets[0]) as h5:
        counts = h5["spectrum/count"][:]
    row = page.tables["Spectra"][0]
    assert value(row["k-mers"]) == counts.sum()
    assert value(row["buckets in use"]) == len(counts)
    assert value(row["of all buckets"]) == pytest.approx(100 * len(counts) / 2**16, rel=5e-3)
    fullest = sorted(counts, reverse=True)[: round(len(counts) / 100)]
    assert value(row["k-mers in the fullest 1 %"]) == pytest.approx(
        100 * sum(fullest) / counts.sum(), rel=5e-3
    )


def test_model_and_long_proteins(run, page):
    model = read_json(run.files.model)
    shown = page.facts("Model")
    assert shown["sha256 of the weights"] == model["weights_sha256"]
    assert value(shown["dimension"]) == WIDTH
    lengths = [row["residues"] for row in page.tables["Proteins of more than 2000 residues, embedded whole"]]
    assert lengths == ["2100"]


def test_nearest_proteins_are_those_of_all_cosines(run, page):
    vectors: dict[str, np.ndarray] = {}
    for path in (run.folder / "embeddings/store").rglob("*.h5"):
        with h5py.File(path) as part:
            vectors |= dict(zip(part["protein"].asstr()[:], part["mean"][:].astype(float), strict=True))
    linked = read_tsv(run.files.links[0])[0]["protein"]
    query = vectors.pop(linked)
    cosines = {name: query @ v / np.linalg.norm(query) / np.linalg.norm(v) for name, v in vectors.items()}
    nearest = sorted(cosines, key=lambda name: -cosines[name])[:5]
    rows = page.tables["Nearest proteins of those that structures are linked to"]
    assert [row["neighbour"] for row in rows] == nearest
    assert [row["cosine"] for row in rows] == [f"{cosines[name]:.4f}" for name in nearest]
    places = pq.read_table(run.files.occurrences).to_pylist()
    for row in rows:
        assert row["chain"] == f"my_structure {CHAIN}"
        of_protein = [place for place in places if place["protein"] == row["neighbour"]]
        assert value(row["places"]) == len(of_protein)
        assert (row["sample"], row["label"]) == (of_protein[0]["sample"], of_protein[0]["label"])


def test_checks_of_the_simulation(run, page):
    rows = {(row["check"], row["replica"]): row for row in page.tables["Checks of the production"]}
    assert len(rows) == 3 * REPLICAS
    assert rows["temperature_K", "1"]["value"] == "299.6 ± 0.9"
    assert [rows[name, "2"]["outcome"] for name in ("frames", "drift_kJ_mol_ps_atom")] == [
        "✓ pass",
        "? unknown",
    ]
    runs = page.tables["Runs"]
    assert [row["seed"] for row in runs] == ["1001", "1002"]
    assert {row["ns a day"] for row in runs} == {"not available"}


def test_details_and_limits_of_checks_are_shown(copy):
    gates = {
        "image_distance_nm": judge(
            0.912345, 1, math.inf, unit="nm", details=["least at 3 ps", "in 1 of 9 frames"]
        ),
        "rmsd_jump_sigmas": unknown(judge(2.5, -math.inf, 9), "20 moves, expected more than 82"),
        "layout": judge(1, 0, 0, details=["2 threads, asked for 4"]) | {"outcome": "warn"},
    }
    change_json(gates=gates)(copy.files.quality[0])
    shown = Page(copy.write(copy.folder / "index.html"))
    rows = {row["check"]: row for row in shown.tables["Checks of the production"] if row["replica"] == "1"}
    assert list(rows["image_distance_nm"].values())[2:] == [
        "0.9123 nm", "at least 1", "✗ fail", "least at 3 ps; in 1 of 9 frames",
    ]  # fmt: skip
    assert list(rows["rmsd_jump_sigmas"].values())[2:] == [
        "2.5", "at most 9", "? unknown", "20 moves, expected more than 82",
    ]  # fmt: skip
    assert rows["layout"]["outcome"] == "! warning"
    assert rows["layout"]["details"] == "2 threads, asked for 4"
    (row,) = shown.tables["All structures"]
    assert [row[name] for name in ("checks passed", "failed", "warnings", "unknown")] == ["2", "1", "1", "2"]
    text = "".join(shown.text)
    assert "failed: my_structure replica 1 image_distance_nm." in text
    assert "warn: my_structure replica 1 layout." in text
    assert shown.facts("Protocol")["thermostat, barostat"] == "V-rescale, C-rescale"


def test_temperatures_have_parts_of_their_own(copy):
    """The replicas of a second temperature are as many again, and are not pooled with the first's."""
    runs, analysis = copy.folder / "trajectories/my_structure", copy.folder / "coanalysis"
    (runs / "300K").mkdir()
    for replica in range(1, REPLICAS + 1):
        (runs / str(replica)).rename(runs / "300K" / str(replica))
    shutil.copytree(runs / "300K", runs / "320.5K")
    (analysis / "my_structure").mkdir(exist_ok=True)
    for name in ("300K", "320.5K"):
        shutil.copy(analysis / "my_structure.h5", analysis / f"my_structure/{name}.h5")
    shutil.rmtree(runs / "320.5K/2")
    with h5py.File(analysis / "my_structure/320.5K.h5", "a") as h5:
        projections = [f"components/{space}/projection" for space in ("motion", "embedding", "contact")]
        for name in (*(f"frame/{name}" for name in h5["frame"]), *projections):
            kept = h5[name][:FRAMES]
            del h5[name]
            h5[name] = kept
    replicas = [(name, replica) for name in ("300K", "320.5K") for replica in (1, 2)][:3]
    files = {
        kind: [str(runs / name / str(replica) / file) for name, replica in replicas]
        for kind, file in (("quality", "quality.json"), ("energy", "energy.tsv"))
    }
    files["coanalysis"] = [str(analysis / f"my_structure/{name}.h5") for name in ("300K", "320.5K")]
    copy.files = replace(copy.files, **files)
    items = [row["item"] for row in copy.account() if row["stage"] in ("trajectories", "coanalysis")]
    assert items == [
        "my_structure/300K replica 1 frames", "my_structure/300K replica 2 frames",
        "my_structure/320.5K replica 1 frames", "my_structure/300K frames", "my_structure/320.5K frames",
    ]  # fmt: skip
    html = copy.write(copy.folder / "index.html")
    shown = Page(html)
    anchors = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    parts = [anchor.removeprefix("structure-my_structure-") for anchor in anchors if anchor.count("-") > 1]
    assert parts == [
        "cleaning", "setup", "300K-simulation", "320.5K-simulation", "links",
        *(f"300K-{part}" for part in ANALYSED), *(f"320.5K-{part}" for part in ANALYSED),
    ]  # fmt: skip
    assert "Simulation at 320.5 K" in html and "Contacts and embeddings at 300 K" in html
    assert [row["runs"] for row in shown.tables["All structures"]] == ["3"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("results/trajectories/x/1/quality.json", ("x", 1)),
        ("results/trajectories/x/300K/12/quality.json", ("x/300K", 12)),
        ("results/trajectories/300K/1/energy.tsv", ("300K", 1)),
        ("results/trajectories/300K/310.15K/2/energy.tsv", ("300K/310.15K", 2)),
    ],
)
def test_replica_and_temperature_are_told_by_the_path(path, expected):
    assert replica_of(path) == expected
    name, _ = expected
    assert analysed_in(f"results/coanalysis/{name}.h5") == name


def test_frames_that_a_run_kept_all_the_same_did_not_write_are_set_aside(copy):
    path = copy.files.quality[0]
    gates = read_json(path)["gates"] | {"frames": judge(FRAMES, FRAMES + 3, FRAMES + 3)}
    change_json(frames_expected=FRAMES + 3, gates=gates)(path)
    (row,) = [row for row in copy.account() if row["item"] == "my_structure replica 1 frames"]
    assert (row["set_aside"], row["reason"]) == ("3", "not written, or not readable")


def test_what_no_experiment_has_seen_is_said(copy):
    gap = {
        "chain": "B", "after": "GLY B 7", "before": "ALA B 10", "length": 2, "residues": "SV",
        "by_numbers": 2, "c_n_distance_A": 6.1, "built": True,
    }  # fmt: skip
    place = {"chain": "B", "insertion": ""}
    built = [
        {**place, "number": 8, "name": "SER", "whole": True, "atoms": ["N", "CA"]},
        {**place, "number": 30, "name": "LYS", "whole": False, "atoms": ["NZ"]},
    ]
    change_json(gaps=[gap], built=built, plddt_mean=62.5, label="idealised start, not a fold")(
        copy.files.cleaning[0]
    )
    groups = [{"residue": "ASP B 4", "group": "ASP", "pKa": 7.9, "protonated": True, "unusual": True}]
    protonation = {"method": "propka", "pH": 7.0, "version": "3.5", "groups": groups}
    change_json(histidines=[{"residue": "HIS B 5", "state": "HIE"}], protonation=protonation)(
        copy.files.setup[0]
    )
    shown = Page(copy.write(copy.folder / "index.html"))
    text = "".join(shown.text)
    assert "my_structure is an idealised start, not a fold: no experiment" in text
    assert "mean pLDDT of 62.5; below 70" in text
    assert list(shown.tables["Gaps within chains"][0].values()) == [
        "B", "GLY B 7", "ALA B 10", "2", "SV", "6.1", "yes",
    ]  # fmt: skip
    assert [list(row.values()) for row in shown.tables["What was built"]] == [
        ["B", "SER 8", "yes", "N, CA"], ["B", "LYS 30", "no", "NZ"],
    ]  # fmt: skip
    told = shown.facts("Simulated system")
    assert (told["histidines"], told["protons placed by"]) == ("HIS B 5: HIE", "propka at pH 7")
    (row,) = shown.tables["Groups that take up protons, by PROPKA"]
    assert list(row.values()) == ["ASP B 4", "ASP", "7.9", "yes", "yes"]


def test_links(run, page):
    links = read_tsv(run.files.links[0])
    (row,) = page.tables["Partners of the chains"]
    assert value(row["identity"]) == pytest.approx(100 * float(links[0]["identity"]), rel=5e-3)
    assert RECORD in row["where it was seen"]
    (substituted,) = [link for link in links if link["status"] == "substituted"]
    (shown,) = page.tables["Substitutions, letter and number"]
    assert list(shown.values()) == [
        CHAIN, "1", substituted["protein"], f"L{substituted['number']}", f"A{substituted['row']}",
    ]  # fmt: skip


def test_where_no_protein_is_alike_enough_the_nearest_is_told(run):
    (chain,) = read_json(run.files.link_summaries[0])["chains"]
    alone = chain | {"partner": "self"}
    lonely = alone | {"considered": []}
    (shown, *_) = links_part("x", [alone, lonely], run.files.links[0]).blocks
    near, nothing = (row[4].text for row in shown.rows)
    assert chain["considered"][0]["protein"] in near
    assert value(re.search(r"(\S+ %) identity", near)[1]) == pytest.approx(100 * 69 / 70, rel=5e-3)
    assert near.endswith(" 100 % coverage")
    assert nothing == "the chain itself"
    assert "count from 1" in shown.note


def test_residues_of_figures_have_the_numbers_of_the_structure(page):
    numbers = set(map(str, range(151, 221)))
    for alt in ("Root-mean-square fluctuation of each", "Matrix over residues"):
        (source,) = [a["src"] for tag, a in page.tags if tag == "img" and a["alt"].startswith(alt)]
        shown = texts(base64.b64decode(source.partition(",")[2]).decode())
        assert "151" in shown and len(numbers & set(shown)) > 4
        assert not {text for text in shown if text.isdigit() and len(text) > 1} - numbers


def test_coanalysis(run, page):
    with h5py.File(run.files.coanalysis[0]) as h5:
        replica = h5["frame/replica"][:]
        for row in page.tables["Means over the frames of each replica"]:
            frames = replica == int(row["replica"])
            assert value(row["frames"]) == frames.sum() == FRAMES
            for name, column in (
                ("rmsd_nm", "RMSD (nm)"),
                ("rg_nm", "radius of gyration (nm)"),
                ("contacts", "contacts"),
            ):
                assert value(row[column]) == pytest.approx(h5[f"frame/{name}"][:][frames].mean(), rel=1e-3)
        expected = h5["statistics/contact_cosine/spearman"][:]
        counts = h5["statistics/contact_cosine/number"][:]
    rows = page.tables["Do residues in contact have similar embeddings?"]
    for row, coefficient, count in zip(rows, expected, counts, strict=True):
        assert value(row["n"].removesuffix(" (few)")) == count
        if np.isnan(coefficient):
            assert row["Spearman's ρ"] == "not available"
        else:
            assert value(row["Spearman's ρ"]) == pytest.approx(coefficient, abs=6e-4)


def test_the_whole_configuration_is_shown(run, page):
    assert page.facts("Configuration when the provenance was recorded") == {
        key: str(held) for key, held in leaves(run.config)
    }
    assert page.facts("Seeds")["trajectories/seed"] == "1"


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (0, "0"),
        (9181, "9181"),
        (154478, "154\u202f478"),
        (123456.7, "123\u202f457"),
        (-12.5, "\u221212.5"),
        (1.00004, "1"),
        (0.05751, "0.05751"),
        (2.7e-7, "2.7 × 10^\u22127"),
        (float("nan"), "not available"),
        (None, "not available"),
    ],
)
def test_numbers_in_words(held, shown):
    assert number(held) == shown


# Runs that lack a kind


@pytest.mark.parametrize(
    ("kind", "idle"),
    [("structure", {"buckets"}), ("metagenome", {"structures"}), ("proteins", {"buckets", "structures"})],
)
def test_a_run_of_one_kind_says_what_there_was_nothing_to_do_for(tmp_path, kind, idle):
    run = make_run(tmp_path, kind)
    html = run.write(tmp_path / "index.html")
    Page(html)
    said = re.findall(r'<section id="(\w+)"[^>]*>\s*<h2>[^<]*</h2>\s*<p>Nothing to do: [^<]*</p>', html)
    assert set(said) == idle
    assert [section for section in SECTIONS if f'<section id="{section}"' in html] == SECTIONS


# Warnings


@pytest.fixture
def calm(run) -> dict:
    """The arguments of a run there is nothing to say of."""
    record = read_json(run.record)
    record["config"]["trajectories"].update(production_ns=10, replicas=2)
    (structure,) = read_structures(run.files)
    for quality in structure.ensembles[0].quality.values():
        quality["run"]["simd"] = quality["run"]["simd_possible"]
        quality["gates"]["drift_kJ_mol_ps_atom"]["outcome"] = "pass"
    nothing = np.zeros(1)
    return {
        "run": record,
        "model": read_json(run.files.model) | {"note": ""},
        "spectra": [Spectrum("my_genome", 1, "hash", 21, 16, "hash", 0, 16, 1, 1, 1, (nothing, nothing))],
        "genes": [{"sample": "my_genome", "kind": "genome", "genetic_codes": {"11": 9}}],
        "long": [],
        "trained": 2000,
        "structures": [structure],
        "accounting": [{"stage": "s", "item": "i", "set_aside": "0", "reason": "r"}],
    }


def test_nothing_is_warned_of_without_a_reason(calm):
    assert find_notices(**calm) == []


def in_gate(replica: int, name: str, outcome: str):
    """A change of the outcome of a quality check."""
    return lambda run: (
        run["structures"][0].ensembles[0].quality[replica]["gates"][name].update(outcome=outcome)
    )


def in_settings(**settings):
    """A change of the configuration of the trajectories."""
    return lambda run: run["run"]["config"]["trajectories"].update(settings)


def fill_buckets(run: dict) -> None:
    run["spectra"] = [replace(run["spectra"][0], saturated=2)]


@pytest.mark.parametrize(
    ("change", "said", "anchor"),
    [
        (lambda run: run["model"].update(note="not ProtBERT"), "not ProtBERT", "embeddings"),
        (lambda run: run.update(long=[("SQ.x", 2294)]), "1 protein with more than the 2000", "embeddings"),
        (in_settings(production_ns=9.99), "Each simulated trajectory is 9.99 ns long", "structures"),
        (in_settings(production_ns=0.004), "4 ps long. Picoseconds are a smoke test, not", "structures"),
        (in_settings(replicas=1), "one replica", "structures"),
        (in_gate(2, "temperature_K", "fail"), "failed: my_structure replica 2 temperature_K.", "structures"),
        (in_gate(1, "frames", "unknown"), "too short: frames (1 of 2 replicas).", "structures"),
        (
            lambda run: run["structures"][0].cleaning["chains"][0].update(in_seqres=False),
            "The residues of my_structure chain",
            "structures",
        ),
        (fill_buckets, "my_genome (2 units)", "buckets"),
        (lambda run: run["genes"][0].update(genetic_codes={"4": 8}), "my_genome (4, not 11)", "proteins"),
        (lambda run: run["accounting"][0].update(set_aside="3"), "s: 3 of i (r)", "accounting"),
        (
            lambda run: run["structures"][0].ensembles[0].quality[1]["run"].update(simd="SSE2"),
            "SSE2 instructions on a machine that has AVX2_256",
            "structures",
        ),
    ],
)
def test_each_warning_has_one_reason(calm, change, said, anchor):
    change(calm)
    (notice,) = find_notices(**calm)
    assert said in notice.text
    assert notice.anchor == anchor


def test_checks_that_cannot_be_judged_are_counted_by_name(calm):
    for quality in calm["structures"][0].ensembles[0].quality.values():
        for name in ("temperature_K", "drift_kJ_mol_ps_atom"):
            quality["gates"][name]["outcome"] = "unknown"
    calm["structures"] *= 6
    (notice,) = find_notices(**calm)
    assert "temperature_K (12 of 12 replicas), drift_kJ_mol_ps_atom (12 of 12 replicas)." in notice.text


def test_what_any_clean_up_sets_aside_is_not_warned_of(calm, tmp_path):
    atoms = [
        line for line in (DEMO / "1A8O.pdb").read_text().splitlines() if line.startswith(("ATOM  ", "HETATM"))
    ]
    hydrogen = f"{atoms[0][:12]} H1 {atoms[0][16:76]} H"
    other = f"{atoms[0][:21]}B{atoms[0][22:]}"
    ligand = f"{atoms[-1][:17]}GOL{atoms[-1][20:22]} 999{atoms[-1][26:]}"
    model = ["MODEL        1", *atoms, hydrogen, other, ligand, "ENDMDL"]
    (tmp_path / "x.pdb").write_text("\n".join([*model, "MODEL        2", *atoms, "ENDMDL", "END", ""]))
    outputs = [tmp_path / name for name in ("clean.pdb", "cleaning.json", "residues.tsv")]
    clean_structure(tmp_path / "x.pdb", "pdb", CleanSettings(("A",), 1, "drop"), *outputs)
    reasons = read_json(outputs[1])["atoms_set_aside"]
    assert set(reasons) > set(EXPECTED)
    calm["accounting"] = [
        {"stage": "structures", "item": "x atoms", "set_aside": str(count), "reason": reason}
        for reason, count in reasons.items()
    ]
    (notice,) = find_notices(**calm)
    assert "structures: 1 of x atoms (ligand or other molecule)" in notice.text
    assert not [reason for reason in EXPECTED if f"({reason})" in notice.text]


def test_a_run_without_structures_is_not_warned_of_simulations(calm):
    calm["run"]["config"]["trajectories"].update(production_ns=0.004, replicas=1)
    assert find_notices(**calm | {"structures": []}) == []


def test_warnings_are_at_the_top_and_many_are_cut_short(run, page, calm):
    assert "".join(page.text).index("Before you read on") < "".join(page.text).index("Rows of the sheet")
    calm["accounting"] = [{"stage": "s", "item": f"i{n}", "set_aside": "1", "reason": "r"} for n in range(25)]
    assert find_notices(**calm)[0].text.endswith("s: 1 of i9 (r); and 15 more.")


# Accounting


def test_what_came_in_is_what_went_out_and_what_was_set_aside(run):
    with run.accounting.open() as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert all(int(row["records_in"]) == int(row["records_out"]) + int(row["set_aside"]) for row in rows)
    found = {
        (row["stage"], row["item"]): (int(row["records_in"]), int(row["set_aside"]), row["reason"])
        for row in rows
    }
    assert found["sequences", "my_proteins records"] == (4, 1, "no sequence")
    atoms = Counter(line[:6] for line in (DEMO / "1A8O.pdb").read_text().splitlines())
    total, aside, reason = found["structures", "my_structure atoms"]
    assert (total, reason) == (atoms["ATOM  "] + atoms["HETATM"], "water")
    assert total - aside == Path(run.files.clean[0]).read_text().count("\nATOM  ")
    assert found["coanalysis", "my_structure frames"][0] == FRAMES * REPLICAS
    stages = "sequences buckets proteins embeddings structures links trajectories coanalysis"
    assert list(dict.fromkeys(row["stage"] for row in rows)) == stages.split()


def test_an_item_with_several_reasons_has_a_row_for_each():
    rows = list(Entry("structures", "x atoms", 10, 4, {"water": 1, "hydrogen": 5}).rows())
    assert [row[2:] for row in rows] == [(5, 4, 1, "water"), (5, 0, 5, "hydrogen")]
    assert list(Entry("links", "x residues", 7, 7).rows()) == [("links", "x residues", 7, 7, 0, "")]


def cut_last_line(path: str) -> None:
    Path(path).write_text("".join(Path(path).read_text().splitlines(keepends=True)[:-1]))


def drop_a_row(path: str) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def change_json(**changes):
    def change(path: str) -> None:
        write_json(path, read_json(path) | changes)

    return change


@pytest.mark.parametrize(
    ("field", "tamper", "stage", "item"),
    [
        ("fasta_indexes", cut_last_line, "sequences", "my_genome records"),
        ("groups", drop_a_row, "buckets", "units"),
        ("members", cut_last_line, "sequences", "my_collection members"),
        ("sample_occurrences", drop_a_row, "proteins", "my_collection genes"),
        ("occurrences", drop_a_row, "proteins", "occurrences"),
        ("index", drop_a_row, "embeddings", "distinct proteins"),
        ("cleaning", change_json(atoms_set_aside={"water": 87}), "structures", "my_structure atoms"),
        ("residues", cut_last_line, "structures", "my_structure residues"),
        ("links", cut_last_line, "links", "my_structure residues"),
        ("quality", change_json(frames=FRAMES - 1), "trajectories", "my_structure replica 1 frames"),
        (
            "quality",
            change_json(frames=FRAMES + 1, frames_expected=FRAMES + 1),
            "coanalysis",
            "my_structure frames",
        ),
    ],
)
def test_what_does_not_add_up_is_refused(copy, field, tamper, stage, item):
    changed = getattr(copy.files, field)
    tamper(changed if isinstance(changed, str) else changed[0])
    copy.accounting.unlink()
    with pytest.raises(
        MismatchError, match=rf"^accounting of stage {stage}, {item}: \d+ came in.*\d+ that went out"
    ) as caught:
        copy.account()
    assert "\n" not in str(caught.value)
    assert not copy.accounting.exists()


def test_members_and_reads_are_counted_and_what_is_missing_is_told(run, page):
    rows = {row["item"]: row for row in run.account()}
    members = rows["my_collection members"]
    assert (members["records_in"], members["records_out"], members["set_aside"]) == ("2", "1", "1")
    assert members["reason"] == "could not be fetched"
    assert rows["my_collection records"]["records_out"] == "1"
    reads = rows["my_reads reads"]
    assert (reads["records_in"], reads["records_out"], reads["set_aside"]) == ("2", "1", "1")
    units = rows["units"]
    assert (units["set_aside"], units["reason"]) == ("1", "reads are in no group")
    assert "1 of my_collection members (could not be fetched)" in "".join(page.text)
    shown = {row["sample"]: row for row in page.tables["Rows of the sheet"]}
    assert shown["my_collection"]["kind, format"] == "collection of 2, genome, fasta"


# Provenance


def test_what_the_run_was_made_with_is_recorded(run):
    record = read_json(run.record)
    assert record["config"] == run.config
    assert record["seeds"] == {key: held for key, held in leaves(run.config) if key.endswith("seed")}
    assert record["gmx"] == {"program": "gmx", "versions": ["2022.5"]}
    assert record["python"] == sys.version.split()[0]
    assert record["libraries"]["numpy"] == np.__version__
    assert {sample["taxon"] for sample in record["samples"]} == {TAXON}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git on PATH")
def test_the_commit_is_recorded_and_whether_it_was_changed(tmp_path):
    def git(*command: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert git_state(tmp_path) == {"commit": "unknown", "dirty": "unknown"}
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "first")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path)["dirty"] is True


# Figures


def test_principal_components_are_those_of_the_covariance(run):
    _, vectors = read_means(run.files.index, 1000)
    points, explained = principal_components(vectors)
    variances, directions = np.linalg.eigh(np.cov(vectors.astype(float).T))
    assert explained == pytest.approx(variances[::-1][:2] / variances.sum())
    centred = vectors - vectors.mean(axis=0)
    for axis in (0, 1):
        direction = directions[:, -1 - axis]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        np.testing.assert_allclose(points[:, axis], centred @ direction, atol=1e-5)


def test_the_map_of_proteins_is_a_file_with_their_ids_and_samples(run, html):
    rows = read_tsv(run.folder / "report/figures/embeddings/map-of-the-proteins.tsv")
    proteins, vectors = read_means(run.files.index, 1000)
    points, _ = principal_components(vectors)
    seen: dict[str, set[str]] = {}
    for place in pq.read_table(run.files.occurrences).to_pylist():
        seen.setdefault(place["protein"], set()).add(place["sample"])
    assert sorted(row["protein"] for row in rows) == sorted(proteins)
    for row in rows:
        (sample,) = seen[row["protein"]] if len(seen[row["protein"]]) == 1 else ["several samples"]
        assert row["sample"] == row["group"] == sample
        shown = [float(held) for name, held in row.items() if "component" in name]
        assert shown == points[proteins.index(row["protein"])].tolist()


def test_means_are_read_by_protein_over_several_parts(run):
    proteins, vectors = read_means(run.files.index, 1000)
    parts = list((run.folder / "embeddings/store").rglob("*.h5"))
    assert len(parts) == 2
    for path in parts:
        with h5py.File(path) as part:
            for protein, mean in zip(part["protein"].asstr()[:], part["mean"][:], strict=True):
                assert np.array_equal(vectors[proteins.index(protein)], mean)


def test_figures_of_long_runs_and_large_proteins_stay_small():
    """Of as many structures as are drawn, the worst figures there can be are below 10 MB in base64."""
    time = np.arange(100_000.0)
    drawn = curves(
        {f"replica {n}": (time, np.random.default_rng(n).random(len(time))) for n in range(MOST_DRAWN)},
        "x",
        "y",
    )
    noise = np.random.default_rng(1).random((900, 900))
    places = [("A", number, "") for number in range(900)]
    profile = residue_profile({f"replica {n}": noise[n] for n in range(7)}, places, "y")
    of_structure = 7 * len(drawn.svg) + len(profile.svg) + len(split_map(noise, noise, places, "a", "b").svg)
    assert MOST_FIGURED * of_structure * 4 / 3 < 9_500_000


NOTHING, NAN = np.empty(0, np.int64), np.full((3, 3), np.nan)


@pytest.mark.parametrize(
    "drawing",
    [
        curves({"gap": (NAN[0], NAN[0])}, "x", "y"),
        histogram(NOTHING, NOTHING, "x", "y"),
        histogram(np.array([7]), np.array([1]), "x", "y"),
        residue_profile({"<script>": NAN[0]}, [("<", 1, ""), ("<", 2, ""), ("\x01", 1, "&")], "y"),
        matrix(np.eye(50), ["long &name" * 9] * 50, "c"),
        split_map(NAN, NAN, [("A", number, "") for number in range(3)], "a", "b"),
        split_map(np.zeros((1, 1)), np.ones((1, 1)), [("", -1, "")], "a", "b"),
    ],
)
def test_figures_of_odd_arrays_and_names_are_xml(drawing):
    assert ElementTree.fromstring(drawing.svg).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_long_table_is_written_in_pieces_of_whole_rows(monkeypatch):
    data = {"a": np.arange(10), "b": np.linspace(0, 1, 10, dtype=np.float32), "c": list("abcdefghij")}
    whole = to_tsv(data)
    monkeypatch.setattr("helixflow.report.figure_files._ROWS", 3)
    pieces = list(tsv_pieces(data))
    assert "".join(pieces) == whole and len(pieces) == 5
    assert whole.splitlines()[2] == "1\t0.11111111\tb"


def test_letters_that_steer_what_is_shown_are_shown_and_long_cells_cut():
    assert words("a\u202eb\x07 Å – 日本") == "aU+202EbU+0007 Å – 日本"
    assert words(["x\u200b", 3]) == "xU+200B, 3"
    long = "A" * 2 * MOST_LETTERS + "BC"
    shown = table("t & t", "what", [[long], ["short"]])
    (first,), (second,) = shown.rows
    assert len(first.text) < len(long) and first.text.endswith("BC") and first.whole == long
    assert (second.text, second.whole) == ("short", "")
    html = render("t", "s", [], [Section("one", "One", [shown])])
    assert 'tabindex="0" role="region" aria-label="t &amp; t"' in html and f'title="{long}"' in html


def test_residues_are_named_by_their_numbers_and_stand_by_their_index():
    gap = [("A", number, "") for number in (*range(-7, 14), *range(500, 530))]
    assert residue_ticks(gap) == {0: "-7", 17: "10", 31: "510", 41: "520"}
    heavy = [("H", 52, ""), ("H", 52, "A"), ("H", 52, "B"), ("H", 53, "")]
    two = [*heavy, ("L", 0, "Z"), ("L", 1, ""), ("L", 2, "")]
    assert residue_ticks(two) == {
        0: "H 52", 3: "H 53", 4: "L 0Z", 5: "L 1", 6: "L 2",
    }  # fmt: skip
    assert residue_ticks([]) == {}


@pytest.mark.parametrize("chains", [1, 2, 30])
def test_names_of_residues_do_not_run_into_each_other(chains):
    places = [(chr(65 + chain), number, "") for chain in range(chains) for number in range(100, 131)]
    at = sorted(residue_ticks(places))
    assert 3 <= len(at) <= 8
    assert np.diff(at).min() >= len(places) / 8


def test_of_one_replica_nothing_is_pooled_and_contacts_are_whole_numbers(copy):
    (path,) = copy.files.coanalysis
    for replicas in (2, 1):
        with h5py.File(path, "a") as h5:
            for name, values in h5["statistics/replica"].items():
                kept = values[:replicas]
                del h5[f"statistics/replica/{name}"]
                h5[f"statistics/replica/{name}"] = kept
            for replica in range(1, REPLICAS + 1):
                h5[f"replica/{replica}/frame/contacts"][:] = [30, 31] * 5 + [30]
        figures = {
            block.title: texts(block.drawing.svg)
            for part in coanalysis_parts("x", path, figured=True)
            for block in part.blocks
            if isinstance(block, Figure)
        }
        assert ("pooled" in figures["RMSF"]) is (replicas > 1)
        shown = [text for text in figures["Contacts over time"] if re.match("3[01]", text)]
        assert shown == ["30", "31"]

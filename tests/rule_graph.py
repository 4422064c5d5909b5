"""The graph of the rules as Snakemake draws it, for the report and the README: ``make rules``."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from helixflow.report.flow import reduce_edges
from workflow import DEMO, ROOT

RULES = ROOT / "scripts/helixflow/report/rules.tsv"

#: A row of every kind, and settings that have every rule run that is not in the demo.
SHEET = """sample\tkind\tsource
some_genome\tgenome\tvirus.fna
some_metagenome\tmetagenome\tvirus.fna
some_proteins\tproteins\tsome.faa
some_reads\treads\tsome.fastq
some_structure\tstructure\tsome.pdb
some_run\ttrajectory\tsome.gro,some.xtc
some_collection\tcollection\tstrains.tsv
"""
EVERYTHING = """
samples: samples.tsv
embeddings: {neighbours_query: some.faa, contacts_below: 100}
proteins: {cluster_identity: 0.9}
buckets: {partitions: 2}
trajectories: {temperature_K: [300, 310]}
"""
#: Targets of rules that run on request alone.
ON_REQUEST = ["all", "export_per_accession", "export_skbio"]

Edges = set[tuple[str, str]]


def demo_edges() -> Edges:
    """The edges of the bundled data set."""
    return draw(ROOT, "--configfile", DEMO / "config.yaml")


def all_edges() -> Edges:
    """The edges of the bundled data set and of a run that has rows of all kinds and asks for everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in ("virus.fna", "some.faa", "some.fastq", "some.pdb", "some.gro", "some.xtc"):
            (folder / source).touch()
        (folder / "strains.tsv").write_text("sample\tkind\tsource\none\tgenome\tvirus.fna\n")
        (folder / "samples.tsv").write_text(SHEET)
        (folder / "config.yaml").write_text(EVERYTHING)
        return draw(folder, "--configfile", folder / "config.yaml", targets=ON_REQUEST) | demo_edges()


def draw(folder: Path, *arguments: str | Path, targets: list[str] | None = None) -> Edges:
    """The edges between rules that are recorded in benchmarks, as ``snakemake --rulegraph`` draws them."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    more = [
        "--rulegraph",
        "dot",
        "--workflow-profile",
        ROOT / "profiles/local",
        *arguments,
        "--",
        *(targets or []),
    ]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    names = dict(re.findall(r'(\d+)\[label = "([^"\\]+)', done.stdout))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", done.stdout)}
    return {(a, b) for a, b in edges if a != b and {a, b} <= with_benchmarks()}


def with_benchmarks() -> set[str]:
    """Rules whose jobs leave a benchmark."""
    texts = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    return {name for text in texts for name in re.findall(r'"benchmarks/(\w+)', text)}


def mermaid(edges: Edges) -> str:
    """The graph as the README shows it, without the arrows that others imply."""
    return "".join(f"    {a} --> {b}\n" for a, b in sorted(reduce_edges(edges)))


if __name__ == "__main__":
    RULES.write_text("from\tto\n" + "".join(f"{a}\t{b}\n" for a, b in sorted(all_edges())))
    print("The flow chart of README.md:\n\nflowchart LR\n" + mermaid(demo_edges()))

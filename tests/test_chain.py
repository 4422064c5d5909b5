"""The whole chain on the bundled data, and what runs again after what change."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import DEMO
from helixflow.embeddings import open_embedding, read_index
from workflow import SMALL, command, snakemake

#: A rule that a stage's target must not run.
FURTHER = {
    "sequences": "hash_kmers",
    "buckets": "call_genes",
    "structures": "minimise_system",
    "proteins": "plan_shards",
    "embeddings": "link_chains",
    "trajectories": "call_genes",
    "links": "measure_replica",
    "coanalysis": "write_report",
    "report": "all",
}


def planned(folder: Path, *arguments: str) -> Counter[str]:
    """How many jobs of every rule a dry run shows."""
    text = snakemake(folder, "--dry-run", *arguments).stdout
    table = re.search(r"^job +count\n-+ +-+\n(.*?)\n\n", text, re.M | re.S)
    rows = [line.split() for line in table[1].splitlines()] if table else []
    return Counter({name: int(count) for name, count in rows if name != "total"})


def rows_of(path: Path) -> list[dict[str, str]]:
    header, *lines = path.read_text().rstrip("\n").split("\n")
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


@pytest.fixture
def copy(chain, tmp_path) -> Path:
    """A finished run to change, with the times of its files."""
    return Path(shutil.copytree(chain, tmp_path / "run", symlinks=True))


# The flow


@pytest.mark.parametrize("stage", FURTHER)
def test_the_noun_of_every_stage_is_a_target_that_goes_no_further(tmp_path, chain, stage):
    (tmp_path / "config.yaml").write_text(SMALL.replace("samples.tsv", str(chain / "samples.tsv")))
    jobs = planned(tmp_path, stage)
    assert jobs[stage] == 1
    assert jobs[FURTHER[stage]] == 0


def test_simulations_depend_on_the_structure_alone(tmp_path, chain):
    (tmp_path / "config.yaml").write_text(SMALL.replace("samples.tsv", str(chain / "samples.tsv")))
    assert planned(tmp_path, "trajectories") == {
        "fetch_structure": 1, "clean_structure": 1, "prepare_system": 1, "minimise_system": 1,
        "equilibrate_replica": 2, "simulate_segment": 2, "finish_replica": 2, "trajectories": 1,
    }  # fmt: skip


@pytest.mark.parametrize("look", ["--rulegraph", "--list", "--dag"])
def test_looking_first_works(chain, look):
    text = snakemake(chain, look).stdout
    assert "embed_shard" in text if look != "--dag" else "digraph" in text


def test_a_finished_chain_has_nothing_to_do(chain):
    assert "Nothing to be done" in snakemake(chain).stdout + snakemake(chain).stderr
    assert planned(chain) == {}


def test_neither_order_nor_comments_of_the_sheet_matter(copy):
    header, *rows = (copy / "samples.tsv").read_text().splitlines()
    (copy / "samples.tsv").write_text(
        "\n".join([header, "# the same rows, the other way round", *rows[::-1], ""])
    )
    assert planned(copy) == {}


@pytest.mark.parametrize("lost", ["coanalysis/capsid_ctd.h5", "links/capsid_ctd.tsv", "buckets/hiv1.h5"])
def test_a_result_that_was_deleted_is_made_again(copy, lost):
    (copy / "results" / lost).unlink()
    jobs = planned(copy)
    assert sum(jobs.values()) > 0 and jobs["simulate_segment"] == jobs["embed_shard"] == 0


def test_what_the_user_must_mend_is_said_at_the_end(copy):
    (copy / "bad.faa").write_text(">p\nMKL*V\n")
    with (copy / "samples.tsv").open("a") as sheet:
        sheet.write("bad\tproteins\tbad.faa\t\t\t\t\n")
    done = subprocess.run(command(copy), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    end = done.stderr.strip().splitlines()[-6:]
    said = [line for line in end if line.startswith("SourceError: ")]
    assert len(said) == 1 and "record 'p' has '*' at position 4" in said[0]


@pytest.mark.parametrize(
    "key",
    ["trajectories={threads: 2}", "trajectories={gates: warn}", "trajectories={checkpoint_min: 1}",
     "trajectories={packing: auto}", "trajectories={segment_ns: 0.001}", "trajectories={gpu: 1}",
     "trajectories={ranks: 2}",
     "embeddings={token_budget: 512}", "embeddings={part_seconds: 9}", "coanalysis={ranks: 1}"],
)  # fmt: skip
def test_keys_of_speed_and_judgement_repeat_nothing(chain, key):
    assert planned(chain, "--config", key) == {}


@pytest.mark.parametrize(
    ("key", "repeated", "kept"),
    [
        ("buckets={sketch_k: 25}", "hash_kmers", "call_genes"),
        ("trajectories={temperature_K: 310}", "simulate_segment", "prepare_system"),
        ("trajectories={mdp: {production: {tau-p: 3}}}", "simulate_segment", "minimise_system"),
        ("trajectories={mdp: {minimise: {emstep: 0.02}}}", "minimise_system", "prepare_system"),
        ("structures={salt_M: 0.1}", "prepare_system", "embed_shard"),
        ("structures={protonation: propka}", "prepare_system", "clean_structure"),
        ("links={min_identity: 0.99}", "link_chains", "simulate_segment"),
        ("coanalysis={cutoff_nm: 0.7}", "measure_replica", "link_chains"),
        ("coanalysis={contacts: heavy}", "analyse_structure", "measure_replica"),
        ("coanalysis={permutations: 199}", "analyse_structure", "measure_replica"),
    ],
)
def test_keys_that_decide_bytes_repeat_their_stage(chain, key, repeated, kept):
    jobs = planned(chain, "--config", key)
    assert jobs[repeated] > 0 and jobs[kept] == 0


# What came out


def test_gag_is_found_and_the_crystal_is_linked_to_it_residue_by_residue(chain):
    """1A8O 151-220 is Gag 283-352 but for two substitutions (the crystal's first methionine, and A340G)."""
    rows = rows_of(chain / "results/links/capsid_ctd.tsv")
    assert [int(row["number"]) for row in rows] == list(range(151, 221))
    assert [int(row["row"]) for row in rows] == list(range(283, 353))
    substituted = [row for row in rows if row["status"] == "substituted"]
    changed = {int(row["row"]): row["partner_code"] + row["code"] for row in substituted}
    assert changed == {283: "LM", 340: "AG"}
    assert {row["status"] for row in rows} == {"identical", "substituted"}
    seen = pq.read_table(chain / "results/proteins/occurrences.parquet").to_pylist()
    gag = [row for row in seen if row["protein"] == rows[0]["protein"]]
    assert {row["sample"] for row in gag} == {"hiv1"}
    uri = read_index(chain / "results/embeddings/index.parquet")[rows[0]["protein"]]
    assert open_embedding(uri).shape[0] == 500


def test_one_protein_is_one_embedding_however_often_it_was_seen(chain):
    seen = pq.read_table(chain / "results/proteins/occurrences.parquet").to_pydict()
    index = read_index(chain / "results/embeddings/index.parquet")
    assert set(index) == set(seen["protein"])
    shared = [protein for protein, times in Counter(seen["protein"]).items() if times > 1]
    assert shared, "the chloroplast's called genes and its annotated proteins overlap"
    stored = []
    for part in (chain / "results/embeddings/store").rglob("*.h5"):
        with h5py.File(part) as h5:
            stored += h5["/protein"].asstr()[:].tolist()
            assert "not trained" in h5.attrs["note"]
    assert sorted(stored) == sorted(index)


def test_nothing_half_written_is_left(chain):
    # Snakemake marks folders that are outputs.
    hidden = {path.name for path in (chain / "results").rglob(".*")}
    assert hidden <= {".snakemake_timestamp"}
    assert (chain / "results/report/index.html").stat().st_size < 10_000_000


def test_accounting_adds_up(chain):
    rows = rows_of(chain / "results/provenance/accounting.tsv")
    assert {row["stage"] for row in rows} >= {"sequences", "proteins", "embeddings", "structures", "links"}
    for row in rows:
        assert int(row["records_in"]) == int(row["records_out"]) + int(row["set_aside"]), row


# Adding to a finished run


def test_a_new_genome_costs_what_is_new(copy):
    """No download, no simulation and no embedding of a known protein is repeated."""
    done = {path: path.stat().st_mtime_ns for path in (copy / "results").rglob("*.xtc")}
    parts = set((copy / "results/embeddings/store").rglob("*.h5"))
    known = set(read_index(copy / "results/embeddings/index.parquet"))
    # The same plasmid with another base at one place: all but a gene or two of its proteins are known.
    lines = (DEMO / "NC_005816.fna").read_text().splitlines()
    lines[20] = ("A" if lines[20][0] != "A" else "C") + lines[20][1:]
    (copy / "strain.fna").write_text("\n".join([">strain", *lines[1:], ""]))
    with (copy / "samples.tsv").open("a") as sheet:
        sheet.write("strain\tgenome\tstrain.fna\t\t\t\t\n")
    jobs = planned(copy)
    assert (jobs["fetch_sequence"], jobs["hash_kmers"], jobs["call_genes"]) == (1, 1, 1)
    for rule in ("fetch_structure", "clean_structure", "prepare_system", "minimise_system",
                 "equilibrate_replica", "simulate_segment", "finish_replica",
                 "read_protein_file", "make_closed_form_model", "describe_model"):  # fmt: skip
        assert jobs[rule] == 0, rule
    snakemake(copy)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    new = set(read_index(copy / "results/embeddings/index.parquet")) - known
    added = []
    for part in set((copy / "results/embeddings/store").rglob("*.h5")) - parts:
        with h5py.File(part) as h5:
            added += h5["/protein"].asstr()[:].tolist()
    assert sorted(added) == sorted(new) and len(new) < 5
    seen = pq.read_table(copy / "results/proteins/occurrences.parquet").to_pylist()
    assert len([row for row in seen if row["sample"] == "strain"]) > 5


def test_a_new_replica_runs_alone(copy):
    assert planned(copy, "--config", "trajectories={replicas: 3}", "--", "trajectories") == {
        "equilibrate_replica": 1, "simulate_segment": 1, "finish_replica": 1, "trajectories": 1,
    }  # fmt: skip


# Results do not depend on how the work is split


def test_one_and_two_ranks_give_the_same_coanalysis(copy):
    """The same bytes, of what was measured and of what follows from it."""
    files = sorted((copy / "results/coanalysis").rglob("*.h5"))
    two = {path: path.read_bytes() for path in files}
    snakemake(copy, "--config", "coanalysis={ranks: 1}", "--forcerun", "measure_replica", "--", "coanalysis")
    assert len(files) == 3 and {path: path.read_bytes() for path in files} == two


def test_replicas_that_were_measured_are_not_read_again(copy):
    kept, lost = (copy / f"results/coanalysis/capsid_ctd/{replica}.h5" for replica in (1, 2))
    before = kept.stat().st_mtime_ns
    analysis = copy / "results/coanalysis/capsid_ctd.h5"
    content = analysis.read_bytes()
    lost.unlink()
    analysis.unlink()
    jobs = planned(copy, "coanalysis")
    assert (jobs["measure_replica"], jobs["analyse_structure"], jobs["finish_replica"]) == (1, 1, 0)
    snakemake(copy, "--", str(analysis.relative_to(copy)))
    assert kept.stat().st_mtime_ns == before and analysis.read_bytes() == content


def test_one_and_three_shards_give_the_same_embeddings(copy):
    """Through the workflow, after the cast to float16; before it, test_embeddings.py."""
    before = read_index(copy / "results/embeddings/index.parquet")
    other = "embeddings={shards: 3, store: results/embeddings/other}"
    snakemake(copy, "--config", other, "--forcerun", "plan_shards", "--", "embeddings")
    after = read_index(copy / "results/embeddings/index.parquet")
    assert before.keys() == after.keys()
    assert len({uri.split("#")[0] for uri in after.values()}) >= 3
    for protein, uri in after.items():
        a, b = (open_embedding(which).astype(np.float32) for which in (uri, before[protein]))
        # Half a unit of float16's last place at the size of these values, beside the 2e-5 before the cast.
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)

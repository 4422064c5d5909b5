"""Embeddings against plain transformers, and each way in which vectors get lost or to the wrong protein."""

import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel, BertTokenizer

from conftest import ROOT
from helixflow.embeddings import check_settings, engine, model_files, open_embedding, read_index
from helixflow.embeddings.calibration import Rates
from helixflow.embeddings.encoder import Encoder, embed_packs
from helixflow.embeddings.engine import ADDED_TYPES, embed_fasta, embed_part, list_added
from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import describe_model, load_model, read_model, write_model
from helixflow.embeddings.plan import plan_shards
from helixflow.embeddings.store import open_store, write_part
from helixflow.embeddings.tokens import PROTBERT, encode, read_vocabulary, token_table
from helixflow.errors import ConfigError, EmbeddingError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.proteins.names import normalise, protein_id
from helixflow.tables import write_rows
from models import make_random_model

HUB_MODEL, HUB_REVISION = "Rostlab/prot_bert", "7a894481acdc12202f0a415dd567f6cfdb698908"
TOLERANCE = 2e-5
#: A residue is a second, so that the seconds of a part are its residues.
RATES = Rates(1.0, 0.0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model with random weights in ProtBERT's form."""
    folder = tmp_path_factory.mktemp("model") / "random_model"
    make_random_model(folder, seed=1)
    return folder


@pytest.fixture(scope="session")
def model(folder):
    return describe_model(str(folder), "")


@pytest.fixture(scope="session")
def encoder(model):
    return Encoder(model, threads=1)


@pytest.fixture(scope="session")
def sequences(demo):
    """Real proteins of 29 to 734 residues by ascending id, with one of X and the shortest there can be."""
    real = [sequence for _, sequence in read_fasta(demo / "NC_000932.faa") if len(sequence) < 800][::4]
    named = {protein_id(sequence): sequence for sequence in [*real, "M", "MKXXA"]}
    return dict(sorted(named.items()))


@pytest.fixture(scope="session")
def plain(folder, sequences):
    """What transformers alone gives, one protein at a time, in its reference form of attention."""
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    with torch.no_grad():
        return {
            name: bert(**tokenizer(" ".join(sequence), return_tensors="pt"))
            .last_hidden_state[0, 1:-1]
            .numpy()
            for name, sequence in sequences.items()
        }


@pytest.fixture
def fasta(tmp_path, sequences):
    write_fasta(tmp_path / "distinct.fasta.gz", sequences.items())
    return tmp_path / "distinct.fasta.gz"


def run_shards(fasta, folder, model, n_shard=1, store=None, part_residues=100_000, token_budget=4096):
    """Plan, embed and index as the rules do; return the index."""
    store = store or folder / "store"
    shards = [folder / "plan" / f"{number:03d}.fasta" for number in range(n_shard)]
    plan_shards(fasta, shards, model, store, rates=RATES)
    options = {"token_budget": token_budget, "part_seconds": part_residues, "threads": 1, "rates": RATES}
    for shard in shards:
        embed_fasta(shard, model, store, **options)
        write_rows(folder / f"{shard.stem}.parquet", list_added(shard, model, store, 500), ADDED_TYPES)
    write_index(fasta, folder / "index.parquet", model, store)
    return read_index(folder / "index.parquet")


def parts(store):
    return sorted(path for path in store.glob("*/*.h5") if not path.name.startswith("."))


def check_stored(index, plain):
    """Every protein has its own vectors: those of plain transformers but for the cast."""
    assert index.keys() == plain.keys()
    for name, expected in plain.items():
        found = open_embedding(index[name])
        assert found.dtype == np.float16 and found.shape == expected.shape
        np.testing.assert_allclose(found.astype(np.float32), expected, atol=TOLERANCE, rtol=6e-4)


# Tokens


def test_tokens_are_those_of_the_tokenizer(folder):
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    raw = ["MKVLAWYHCFGIPQSTDENR", "mkUzobjx*", "X", "ACDEFGHIKL"]
    proteins = [normalise(sequence, "") for sequence in raw]
    expected = tokenizer([" ".join(protein) for protein in proteins])["input_ids"]
    tokens = encode(proteins, token_table(read_vocabulary(folder / "vocab.txt")))
    np.testing.assert_array_equal(tokens, np.concatenate(expected))
    assert tokenizer.unk_token_id not in tokens
    # The two traps: blanks forgotten, and lower-casing, which is what a bare vocabulary gets by default.
    assert tokenizer.unk_token_id in tokenizer("MKV")["input_ids"]
    assert tokenizer.unk_token_id in BertTokenizer(str(folder / "vocab.txt"))("M K V")["input_ids"]


@pytest.mark.parametrize("sequence", ["MKv", "MK V", "M*", "MKU", "M-", "Mé"])
def test_what_is_no_residue_gets_no_token(sequence):
    with pytest.raises(ValueError, match="expected letters of"):
        encode(["MKV", sequence], token_table(PROTBERT))


def test_the_vocabulary_is_protberts(data):
    assert tuple(read_vocabulary(data / "model" / "prot_bert_vocab.txt")) == PROTBERT


# The model's vectors


@pytest.mark.parametrize("token_budget", [1, 300, 4096, 10**9])
def test_vectors_equal_plain_transformers(encoder, sequences, plain, token_budget):
    """A small budget leaves proteins longer than a batch in the middle; none is moved, cut or lost."""
    found = dict(embed_packs(encoder, sequences, token_budget))
    assert found.keys() == plain.keys()
    for name, expected in plain.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected, atol=TOLERANCE, rtol=0)


def test_a_protein_beyond_the_trained_length_is_embedded_whole_and_flagged(
    encoder, folder, model, tmp_path, caplog
):
    sequence = "MKVLAWYHCFGIPQSTDENR" * 30
    name = protein_id(sequence)
    write_fasta(tmp_path / "long.fasta", [(name, sequence), (protein_id("MKV"), "MKV")])
    index = run_shards(tmp_path / "long.fasta", tmp_path, model)
    assert open_embedding(index[name]).shape == (600, 64)
    flagged = {row["protein"]: row["flagged"] for row in pq.read_table(tmp_path / "000.parquet").to_pylist()}
    assert flagged == {name: True, protein_id("MKV"): False}
    assert f"{name} has 600 residues" in caplog.text


@pytest.mark.parametrize("step", ["plan", "embed"])
def test_a_protein_beyond_the_models_positions_is_refused(model, tmp_path, step):
    sequence = "M" * (model.max_residues + 1)
    write_fasta(tmp_path / "long.fasta", [(protein_id(sequence), sequence)])
    with pytest.raises(EmbeddingError, match=f"protein {protein_id(sequence)} has 8191 residues"):
        if step == "plan":
            plan_shards(
                tmp_path / "long.fasta", [tmp_path / "000.fasta"], model, tmp_path / "store", rates=RATES
            )
        else:
            embed_fasta(
                tmp_path / "long.fasta", model, tmp_path / "store",
                token_budget=4096, part_seconds=100, threads=1, rates=RATES,
            )  # fmt: skip
    assert not (tmp_path / "store").exists()


def test_the_longest_protein_there_may_be(encoder, model):
    sequence = "M" * model.max_residues
    ((_, vectors),) = embed_packs(encoder, {"longest": sequence}, 4096)
    assert vectors.shape == (8190, 64)


def test_values_that_float16_cannot_hold_are_an_error(folder, tmp_path, sequences):
    broken = altered(
        folder, tmp_path, lambda weights: weights["encoder.layer.1.output.LayerNorm.weight"].mul_(1e6)
    )
    with pytest.raises(EmbeddingError, match=r"protein SQ\.\S+ its embedding has values"):
        embed_part(Encoder(describe_model(str(broken), ""), 1), sequences, 4096)


# The store


def test_a_part_holds_what_the_contract_says(fasta, tmp_path, model, sequences, plain):
    index = run_shards(fasta, tmp_path, model)
    check_stored(index, plain)
    (path,) = parts(tmp_path / "store")
    assert path.parent.name == model.key
    names = list(sequences)
    with h5py.File(path) as part:
        assert [name.decode() for name in part["protein"]] == names == sorted(names)
        ends = np.cumsum([len(sequence) for sequence in sequences.values()])
        np.testing.assert_array_equal(part["offset"], [0, *ends])
        assert part["sequence"][:].tobytes().decode() == "".join(sequences.values())
        assert part["residue"].dtype == np.float16 and part["residue"].chunks is None
        assert part["residue"].shape == (ends[-1], 64)
        means = np.stack([plain[name].mean(0) for name in names])
        np.testing.assert_allclose(part["mean"][:], means, atol=TOLERANCE, rtol=0)
        assert part["mean"].dtype == np.float32
        assert (
            dict(part.attrs).items()
            >= {
                "note": "random weights, not trained, not ProtBERT",
                "weights_sha256": model.weights_sha256,
                "tensors_sha256": model.tensors_sha256,
                "model": model.model,
                "revision": "",
                "layer": "last",
                "compute_dtype": "float32",
                "storage_dtype": "float16",
            }.items()
        )
        assert {"normalisation", "torch", "transformers", "helixflow"} <= set(part.attrs)


def test_the_same_inputs_give_the_same_bytes(fasta, tmp_path, model):
    for run in ("a", "b"):
        run_shards(fasta, tmp_path / run, model, part_residues=1500)
    one, other = parts(tmp_path / "a" / "store"), parts(tmp_path / "b" / "store")
    assert len(one) > 2
    assert [path.name for path in one] == [path.name for path in other]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    assert (tmp_path / "a/index.parquet").read_bytes() == (tmp_path / "b/index.parquet").read_bytes()


@pytest.mark.parametrize(
    ("n_shard", "part_residues", "token_budget"), [(1, 10**6, 4096), (3, 1000, 500), (40, 1, 1)]
)
def test_shards_parts_and_budgets_do_not_matter(
    fasta, tmp_path, model, plain, n_shard, part_residues, token_budget
):
    index = run_shards(
        fasta, tmp_path, model, n_shard, part_residues=part_residues, token_budget=token_budget
    )
    check_stored(index, plain)
    added = [row for path in sorted(tmp_path.glob("*.parquet")) if path.stem != "index"
             for row in pq.read_table(path).to_pylist()]  # fmt: skip
    assert sorted(row["protein"] for row in added) == list(plain)
    for row in added:
        assert row["length"] == len(plain[row["protein"]])
        assert index[row["protein"]].endswith(f"/{model.key}/{row['part']}.h5#{row['protein']}")


def test_only_what_is_missing_is_embedded(fasta, tmp_path, model, sequences, plain):
    some = dict(list(sequences.items())[::2])
    write_fasta(tmp_path / "some.fasta", some.items())
    run_shards(tmp_path / "some.fasta", tmp_path, model)
    before = {path: path.stat().st_mtime_ns for path in parts(tmp_path / "store")}
    index = run_shards(fasta, tmp_path, model)
    planned = [name for name, _ in read_fasta(tmp_path / "plan" / "000.fasta")]
    assert sorted(planned) == sorted(sequences.keys() - some.keys())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    check_stored(index, plain)
    run_shards(fasta, tmp_path, model, n_shard=3)
    assert [path.read_text() for path in (tmp_path / "plan").iterdir()] == ["", "", ""]
    assert len(parts(tmp_path / "store")) == 2


def test_what_came_into_the_store_since_the_plan_is_not_repeated(
    fasta, tmp_path, model, sequences, plain, monkeypatch
):
    """By another run that shares the store, before the job began or while it ran."""
    items = list(sequences.items())
    options = {"token_budget": 4096, "part_seconds": 1000, "threads": 1, "rates": RATES}
    write_fasta(tmp_path / "others.fasta", items[1::3])
    embed_fasta(tmp_path / "others.fasta", model, tmp_path / "store", **options)
    shutil.copytree(tmp_path / "store", tmp_path / "faster")
    embed_fasta(fasta, model, tmp_path / "faster", **options)
    before = parts(tmp_path / "faster")
    assert len(before) > 3

    written = []

    def write_while_others_do(path, *arguments):
        written.append(path.name)
        write_part(path, *arguments)
        shutil.copytree(tmp_path / "faster", tmp_path / "store", dirs_exist_ok=True)

    monkeypatch.setattr(engine, "write_part", write_while_others_do)
    embed_fasta(fasta, model, tmp_path / "store", **options)
    assert len(written) == 1
    assert [path.name for path in parts(tmp_path / "store")] == [path.name for path in before]
    held = [name for path in before for name in h5py.File(path)["protein"].asstr()]
    assert sorted(held) == list(sequences)


def test_nothing_to_do_loads_no_model(tmp_path, model):
    write_fasta(tmp_path / "distinct.fasta.gz", [])
    shutil.copytree(model.folder, tmp_path / "gone")
    gone = describe_model(str(tmp_path / "gone"), "")
    shutil.rmtree(tmp_path / "gone")
    assert run_shards(tmp_path / "distinct.fasta.gz", tmp_path, gone, n_shard=2) == {}
    assert pq.read_table(tmp_path / "000.parquet").num_rows == 0
    schema = pq.read_schema(tmp_path / "index.parquet")
    assert {name: str(schema.field(name).type) for name in schema.names} == {
        "protein": "string", "length": "int32", "uri": "string", "row": "int64", "embedded": "string",
    }  # fmt: skip


def test_vectors_go_to_the_protein_they_belong_to(tmp_path, model):
    """A name that is not its sequence's digest would put wrong vectors into a store that others share."""
    write_fasta(tmp_path / "plan.fasta", [(protein_id("MKV"), "MKVL")])
    with pytest.raises(EmbeddingError, match=f"expected {protein_id('MKVL')}"):
        embed_fasta(
            tmp_path / "plan.fasta", model, tmp_path / "store",
            token_budget=9, part_seconds=9, threads=1, rates=RATES,
        )  # fmt: skip


WORKER = """
import sys
for absent in ("pyarrow", "dnaio", "pyrodigal", "pandas", "snakemake", "isal"):
    sys.modules[absent] = None
from helixflow.embeddings.calibration import Rates
from helixflow.embeddings.engine import embed_fasta
from helixflow.embeddings.model import read_model
fasta, model, store, part_residues = sys.argv[1:]
options = {"part_seconds": int(part_residues), "rates": Rates(1.0, 0.0)}
embed_fasta(fasta, read_model(model), store, token_budget=600, threads=1, **options)
"""
WORKER_OPTIONS = {"token_budget": 600, "threads": 1, "rates": RATES}


def worker(fasta, model_json, store, part_residues):
    """Embed in another process, with the libraries of a bare GPU machine alone."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, fasta, model_json, store, str(part_residues)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
    )


def test_a_killed_job_repeats_its_open_part_alone(tmp_path, model, demo):
    sequences = {protein_id(s): s for _, s in read_fasta(demo / "NC_000932.faa")}
    write_fasta(tmp_path / "distinct.fasta", sorted(sequences.items()))
    write_model(tmp_path / "model.json", model)
    plan_shards(tmp_path / "distinct.fasta", [tmp_path / "000.fasta"], model, tmp_path / "none", rates=RATES)
    arguments = (tmp_path / "000.fasta", tmp_path / "model.json")
    embed_fasta(tmp_path / "000.fasta", model, tmp_path / "whole", **WORKER_OPTIONS, part_seconds=1000)

    job = worker(*arguments, tmp_path / "store", 1000)
    while not parts(tmp_path / "store"):
        assert job.poll() is None
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait()
    before = {path.name: path.stat().st_mtime_ns for path in parts(tmp_path / "store")}
    assert 0 < len(before) < len(parts(tmp_path / "whole"))
    # What a kill in the middle of writing leaves.
    (tmp_path / "store" / model.key / ".1.x.h5").write_bytes(b"half")

    assert worker(*arguments, tmp_path / "store", 1000).wait() == 0
    after = {path.name: path for path in parts(tmp_path / "store")}
    assert {name: after[name].stat().st_mtime_ns for name in before} == before
    whole = {path.name: path.read_bytes() for path in parts(tmp_path / "whole")}
    assert {name: path.read_bytes() for name, path in after.items()} == whole


def test_two_runs_share_a_store(fasta, tmp_path, model, sequences, plain):
    """Both embed at once: one all, one with the proteins dealt out otherwise; both are right."""
    write_model(tmp_path / "model.json", model)
    items = list(sequences.items())
    write_fasta(tmp_path / "one.fasta", items)
    write_fasta(tmp_path / "other.fasta", items[::-1])
    jobs = [worker(tmp_path / f"{name}.fasta", tmp_path / "model.json", tmp_path / "store", 900)
            for name in ("one", "other")]  # fmt: skip
    assert [job.wait() for job in jobs] == [0, 0]
    write_index(fasta, tmp_path / "index.parquet", model, tmp_path / "store")
    check_stored(read_index(tmp_path / "index.parquet"), plain)
    holders = {}
    for path in parts(tmp_path / "store"):
        with h5py.File(path) as part:
            for name in part["protein"].asstr():
                holders.setdefault(name, []).append(path.stem)
    for row in pq.read_table(tmp_path / "index.parquet").to_pylist():
        assert Path(row["uri"].split("#")[0]).stem == min(holders[row["protein"]])


# Reading


def test_only_the_bytes_of_the_protein_are_read(fasta, tmp_path, model, sequences, monkeypatch):
    index = run_shards(fasta, tmp_path, model)
    read = []
    getitem = h5py.Dataset.__getitem__

    def spy(dataset, key, **options):
        value = getitem(dataset, key, **options)
        read.append((dataset.name, len(value)))
        return value

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    for name, sequence in sequences.items():
        vectors = open_embedding(index[name])
        assert vectors.shape == (len(sequence), 64)
        # A view of the file's pages: what is not looked at is not read.
        assert not vectors.flags.owndata and not vectors.flags.writeable
    assert read == [("/protein", len(sequences)), ("/offset", len(sequences) + 1)]


def test_results_can_be_moved(fasta, tmp_path, model, plain, monkeypatch):
    run_shards(fasta, tmp_path / "here" / "embeddings", model)
    (tmp_path / "here").rename(tmp_path / "there")
    check_stored(read_index(tmp_path / "there/embeddings/index.parquet"), plain)
    uri = pq.read_table(tmp_path / "there/embeddings/index.parquet")["uri"][0].as_py()
    assert uri.startswith(f"store/{model.key}/")
    name = uri.split("#")[1]
    assert open_embedding(uri, tmp_path / "there" / "embeddings").shape == plain[name].shape
    monkeypatch.chdir(tmp_path / "there" / "embeddings")
    assert open_embedding(uri).shape == plain[name].shape
    assert read_index("index.parquet")[name] == f"{tmp_path}/there/embeddings/{uri}"


def test_a_store_elsewhere(fasta, tmp_path, model, plain):
    check_stored(run_shards(fasta, tmp_path / "run#1", model, store=tmp_path / "a#b" / "store"), plain)


def test_rows_of_the_index_are_those_of_the_part(fasta, tmp_path, model):
    run_shards(fasta, tmp_path, model, part_residues=1000)
    for row in pq.read_table(tmp_path / "index.parquet").to_pylist():
        path, _, name = row["uri"].rpartition("#")
        with h5py.File(tmp_path / path) as part:
            first, last = row["row"], row["row"] + row["length"]
            assert protein_id(part["sequence"][first:last].tobytes().decode()) == name == row["protein"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "is not the URI of an embedding"),
        ("part.h5", "is not the URI of an embedding"),
        ("part.h5#", "is not the URI of an embedding"),
        ("part.h5#protein", "is not the URI of an embedding"),
        ("part.h5#SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2x", "is not the URI of an embedding"),
        ("#SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2", "is not the URI of an embedding"),
        ("no.h5#SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2", "no.h5: no such part"),
        ("https://x.org/no.h5#SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2", "expected a file"),
    ],
)
def test_a_uri_that_names_nothing(tmp_path, uri, message):
    with pytest.raises(EmbeddingError, match=message) as error:
        open_embedding(uri, tmp_path)
    assert "\n" not in str(error.value)


def test_a_protein_that_is_not_in_the_part(fasta, tmp_path, model, sequences):
    path = run_shards(fasta, tmp_path, model)[next(iter(sequences))].split("#")[0]
    for name in (protein_id("NOT"), "SQ." + "-" * 32, "SQ." + "z" * 32):
        with pytest.raises(EmbeddingError, match=f"no protein {name} among the {len(sequences)}"):
            open_embedding(f"{path}#{name}")


def test_a_protein_the_store_lacks_is_named(fasta, tmp_path, model):
    run_shards(fasta, tmp_path, model)
    write_fasta(tmp_path / "more.fasta", [*read_fasta(fasta), (protein_id("NEW"), "NEW")])
    with pytest.raises(
        EmbeddingError, match=f"no part holds protein {protein_id('NEW')}.*forcerun plan_shards"
    ):
        write_index(tmp_path / "more.fasta", tmp_path / "more.parquet", model, tmp_path / "store")
    assert not (tmp_path / "more.parquet").exists()


def test_a_broken_part_is_named(fasta, tmp_path, model):
    index = run_shards(fasta, tmp_path, model)
    (path,) = parts(tmp_path / "store")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(EmbeddingError, match=f"{path}: is not a whole part.*delete it"):
        open_embedding(next(iter(index.values())))
    with (
        pytest.raises(EmbeddingError, match="is not a whole part"),
        open_store(tmp_path / "store", model.key),
    ):
        pass


def test_importing_for_the_snakefile_takes_python_alone():
    code = (
        "import sys, helixflow.embeddings\n"
        "print(*{'numpy', 'h5py', 'torch', 'transformers', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, check=True)
    assert done.stdout.split() == []


# The model's files


def altered(folder, tmp_path, change):
    """A copy of a model folder with changed weights."""
    copy = Path(shutil.copytree(folder, tmp_path / "altered"))
    weights = load_file(copy / "model.safetensors")
    change(weights)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def test_the_note_of_a_model_is_said(folder, caplog):
    assert describe_model(str(folder), "").note == "random weights, not trained, not ProtBERT"
    assert "random weights, not trained, not ProtBERT" in caplog.text


def test_a_description_survives_its_file(model, tmp_path):
    write_model(tmp_path / "model.json", model)
    assert read_model(tmp_path / "model.json") == model
    assert json.loads((tmp_path / "model.json").read_text())["key"] == model.key


def test_the_key_follows_what_decides_the_vectors_and_nothing_else(folder, model, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "config.json").write_text((copy / "config.json").read_text().replace("not trained", "still not"))
    assert describe_model(str(copy), "").key == model.key
    (copy / "config.json").write_text((folder / "config.json").read_text().replace("1e-12", "1e-5"))
    other_config = describe_model(str(copy), "").key
    shutil.copy(folder / "config.json", copy)
    tokens = (folder / "vocab.txt").read_text().replace("L\nA\n", "A\nL\n")
    (copy / "vocab.txt").write_text(tokens)
    other_tokens = describe_model(str(copy), "").key
    changed = altered(folder, tmp_path, lambda weights: next(iter(weights.values())).add_(1e-3))
    keys = {model.key, other_config, other_tokens, describe_model(str(changed), "").key}
    assert len(keys) == 4


def test_weights_as_the_hub_has_them(folder, model, tmp_path, sequences, plain):
    """A pickle of a masked-language model, whose keys have a prefix, and heads that are not needed."""
    weights = load_file(folder / "model.safetensors")
    state = {f"bert.{name}": tensor for name, tensor in weights.items()}
    state |= {"cls.predictions.bias": torch.zeros(30), "bert.pooler.dense.bias": torch.zeros(64)}
    shutil.copytree(folder, tmp_path / "hub", ignore=lambda *_: ["model.safetensors"])
    torch.save(state, tmp_path / "hub" / "pytorch_model.bin")
    pickled = describe_model(str(tmp_path / "hub"), "")
    assert pickled.weights == "pytorch_model.bin"
    found = dict(embed_packs(Encoder(pickled, 1), sequences, 4096))
    for name, expected in plain.items():
        np.testing.assert_allclose(found[name], expected, atol=TOLERANCE, rtol=0)


class Malice:
    def __reduce__(self):
        return Path.touch, (Path("owned"),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_runs_no_code(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "hub", ignore=lambda *_: ["model.safetensors"])
    for write in (pickle.dump, torch.save):
        with Path("hub/pytorch_model.bin").open("wb") as stream:
            write({"embeddings.word_embeddings.weight": Malice()}, stream)
        with pytest.raises(EmbeddingError, match="cannot be loaded as a BERT's weights"):
            describe_model("./hub", "")
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("encoder.layer.1.output.dense.weight"), "1 weights of the model .* are missing"),
        (lambda w: w.update({"embeddings.word_embeddings.weight": torch.zeros(30, 32)}), "cannot be loaded"),
        (
            lambda w: w.update({"encoder.layer.2.output.dense.bias": torch.zeros(64)}),
            r"1 weights are of layers .*expected 2 layers",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, tmp_path, change, message):
    """transformers fills a missing weight with random numbers and goes on."""
    with pytest.raises(EmbeddingError, match=message) as error:
        describe_model(str(altered(folder, tmp_path, change)), "")
    assert "\n" not in str(error.value)


def test_broken_weights_are_refused(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(EmbeddingError, match=r"model.safetensors: cannot be loaded"):
        describe_model(str(copy), "")


def test_weights_that_changed_since_are_refused(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    description = describe_model(str(copy), "")
    make_random_model(copy, seed=2)
    with pytest.raises(EmbeddingError, match=r"expected the weights with sha256 .* --forcerun describe_m"):
        load_model(description)
    shutil.rmtree(copy)
    with pytest.raises(EmbeddingError, match=r"model\.safetensors: expected .*, found no file"):
        load_model(description)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("vocab.txt", "L\n", "l\n", "vocab.txt: no token L "),
        ("vocab.txt", "[CLS]\n", "", r"vocab.txt: no token \[CLS\]"),
        ("vocab.txt", "U\n", "A\n", "token 'A' is there twice"),
        ("vocab.txt", "O\n", "O\nJ\n", "31 tokens, expected at most the 30"),
        ("config.json", "{", "", "is not JSON"),
        ("config.json", '"bert"', '"t5"', "expected a model of type bert"),
        ("config.json", '"hidden_size": 64,', "", "'hidden_size' is None"),
        ("config.json", '"hidden_size": 64', '"hidden_size": 0', "'hidden_size' is 0"),
        ("config.json", '"model_type"', '"is_decoder": true, "model_type"', "'is_decoder' is set"),
        (
            "config.json",
            '"model_type"',
            '"position_embedding_type": "relative_key", "model_type"',
            "relative_key",
        ),
    ],
)
def test_files_that_are_not_a_protein_model_are_refused(folder, tmp_path, name, old, new, message):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / name).write_text((copy / name).read_text().replace(old, new, 1))
    with pytest.raises(EmbeddingError, match=message) as error:
        describe_model(str(copy), "")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("config.json", b"[]", "found list"), ("vocab.txt", b"\xff\xfe", "is not a list of tokens")],
)
def test_files_that_are_something_else_are_refused(folder, tmp_path, name, content, message):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / name).write_bytes(content)
    with pytest.raises(EmbeddingError, match=message):
        describe_model(str(copy), "")


# The settings


def settings(**changes):
    defaults = {"model": HUB_MODEL, "revision": HUB_REVISION, "store": "results/embeddings/store"}
    return defaults | {"neighbours_query": ""} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "/no/such/model"}, "folder '/no/such/model' must hold .* found no such folder"),
        ({"model": "./model"}, "found no such folder"),
        ({"model": "my/own/model"}, "found no such folder"),
        ({"model": "prot_bert"}, "expected a model of the hub as owner/name or an existing folder"),
        ({"model": "Rostlab/../secret"}, "found no such folder"),
        ({"model": "Rostlab/prot bert"}, "expected a model of the hub"),
        ({"model": "empty"}, "found none of them"),
        ({"model": "half"}, "found config.json"),
        ({"revision": "main"}, "expected the commit of Rostlab/prot_bert"),
        ({"store": "s3://bucket/prefix"}, "expected a folder"),
        ({"store": "half/config.json"}, "which is a file; expected a folder"),
        ({"neighbours_query": "no.faa"}, "'no.faa', expected a FASTA file"),
    ],
)
def test_settings_are_checked_before_any_job(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("half").mkdir()
    Path("half/config.json").write_text("{}")
    with pytest.raises(ConfigError, match=message) as error:
        check_settings(settings(**changes))
    assert "\n" not in str(error.value)


def test_settings_that_are_right(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for model in (
        HUB_MODEL,
        str(folder),
        f"./{folder.name}/",
        folder.name,
        "results/embeddings/closed_form_model",
    ):
        check_settings(settings(model=model))
    assert model_files(HUB_MODEL) == []
    assert model_files(f"{folder.name}/") == [
        f"{folder.name}/{name}" for name in ("config.json", "vocab.txt", "model.safetensors")
    ]


# The hub


def describe_offline(hub: Path):
    """Describe the hub's model with a cache of one's own and no connection."""
    code = (
        "from helixflow.embeddings.model import describe_model\n"
        f"print(describe_model('{HUB_MODEL}', '{HUB_REVISION}').revision)"
    )
    environment = os.environ | {"HF_HOME": str(hub), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", env=environment, capture_output=True, text=True
    )


def test_the_hub_without_a_connection(tmp_path):
    done = describe_offline(tmp_path)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("helixflow.errors.EmbeddingError: embeddings/model: 'Rostlab/prot_bert'")
    assert f"hf download {HUB_MODEL} --revision {HUB_REVISION} --local-dir" in line
    assert "set embeddings/model to that folder" in line


def test_a_model_in_the_hubs_cache_needs_no_connection(tmp_path, folder):
    snapshot = tmp_path / "hub" / "models--Rostlab--prot_bert" / "snapshots" / HUB_REVISION
    shutil.copytree(folder, snapshot)
    done = describe_offline(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == HUB_REVISION
    (snapshot / "model.safetensors").unlink()
    assert describe_offline(tmp_path).returncode == 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def show_log(caplog):
    caplog.set_level(logging.INFO)

"""The closed-form model against what it is said to be, and a model's weights from the hub to the encoder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel, BertTokenizer

import bench_model
from conftest import ROOT
from helixflow.embeddings.closed_form import AMINO_ACIDS, OFFSETS, make_closed_form_model
from helixflow.embeddings.model import describe_model, load_model, read_model, write_model
from helixflow.errors import EmbeddingError
from hubs import Hub
from models import make_random_model

MODEL, REVISION = "owner/small_bert", "0123456789abcdef0123456789abcdef01234567"

#: Values of residue 1 of "A E T C X A X", first and last, from the notebooks of the models' authors.
PUBLISHED = {
    ("Rostlab/prot_bert", "7a894481acdc12202f0a415dd567f6cfdb698908"): (
        [0.09233951, 0.13914399, -0.05241546],
        [-0.13947977, -0.0428006, 0.07431364],
    ),
    ("Rostlab/prot_bert_bfd", "6c5c8a55a52ff08a664dfd584aa1773f125a0487"): (
        [0.05551133, -0.10461304, -0.03253962],
        [0.05091606, 0.04318975, 0.10181108],
    ),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def closed_form(tmp_path_factory):
    folder = tmp_path_factory.mktemp("closed_form")
    make_closed_form_model(folder)
    return folder


@pytest.fixture(scope="session")
def bert(closed_form):
    return bench_model.load(closed_form)


@pytest.fixture
def pickled(tmp_path):
    """A model as the hub has ProtBERT: a pickle of a masked-language model, its heads included."""
    folder = tmp_path / "pickled"
    make_random_model(folder, seed=1)
    weights = load_file(folder / "model.safetensors")
    state = {f"bert.{name}": tensor for name, tensor in weights.items()}
    # Tied to the words, as a masked-language model's decoder is; safetensors refuses shared storage.
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    shutil.move(folder / "model.safetensors", tmp_path / "model.safetensors")
    return folder


def random_protein(length, seed=1):
    return "".join(np.random.default_rng(seed).choice(list(AMINO_ACIDS), length))


# The closed-form model


def test_plain_transformers_loads_it_whole(closed_form):
    model, info = BertModel.from_pretrained(closed_form, add_pooling_layer=False, output_loading_info=True)
    assert {name: list(found) for name, found in info.items() if found} == {}
    assert sum(weights.numel() for weights in model.parameters()) <= 6_000_000
    tokenizer = BertTokenizer(str(closed_form / "vocab.txt"), do_lower_case=False)
    assert tokenizer("M K X").input_ids == [2, 21, 12, 25, 3]


def test_it_has_protberts_form(data, closed_form):
    ours = json.loads((closed_form / "config.json").read_text())
    theirs = json.loads((data / "model" / "prot_bert_config.json").read_text())
    smaller = {"architectures", "hidden_size", "intermediate_size", "max_position_embeddings"}
    same = theirs.keys() - smaller - {"num_hidden_layers"}
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    vocabulary = (data / "model" / "prot_bert_vocab.txt").read_text()
    assert (closed_form / "vocab.txt").read_text() == vocabulary


def test_its_bytes_are_the_same_in_another_process(closed_form, tmp_path):
    code = (
        "import sys\nfrom helixflow.embeddings import closed_form as c\nc.make_closed_form_model(sys.argv[1])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code, tmp_path / "again"]
    subprocess.run(command, cwd=ROOT / "scripts", env=environment, check=True)
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (closed_form / name).read_bytes()


def test_it_says_what_it_is(closed_form, caplog):
    description = describe_model(str(closed_form), "")
    assert description.note == "closed-form weights, not trained, not ProtBERT"
    assert description.note in caplog.text


@pytest.mark.parametrize("length", [1, 16, 300, 2300])
def test_each_head_attends_to_its_offset(closed_form, length):
    model = BertModel.from_pretrained(
        closed_form, add_pooling_layer=False, attn_implementation="eager"
    ).eval()
    target, beyond = bench_model.least_attention(model, random_protein(length))
    assert target > 0.999 and beyond > 0.999


def test_its_vectors_are_what_they_are_said_to_be(bert):
    """Residues, windows and pairs, each computed from BLOSUM62 without the model."""
    from Bio.Align import substitution_matrices

    protein = random_protein(400)
    found = bench_model.vectors(bert)(protein)
    blosum = substitution_matrices.load("BLOSUM62")
    values, axes = np.linalg.eigh([[blosum[one][other] for other in AMINO_ACIDS] for one in AMINO_ACIDS])
    words = axes[[AMINO_ACIDS.index(letter) for letter in protein]][:, np.argsort(-values)]

    def likeness(one, other):
        return np.abs(np.corrcoef(one, other)[0, 1])

    for coordinate in range(19):
        assert likeness(found[:, coordinate], words[:, coordinate]) > 0.99
    # Of the last, the mean is large against the differences between words, and shows what a norm varies by.
    assert likeness(found[:, 19], words[:, 19]) > 0.9
    window, pairs = found[20:-20, 69:285], found[20:-20, 285:]
    for offset in OFFSETS:
        moved = np.roll(words, -offset, axis=0)[20:-20, : 19 if abs(offset) <= 4 else 8]
        moved = moved - moved.mean(axis=0)
        centred = window - window.mean(axis=0)
        left = moved - centred @ np.linalg.lstsq(centred, moved, rcond=None)[0]
        assert (left**2).sum() < 0.02 * (moved**2).sum()
    best = []
    for separation in range(1, 9):
        behind = np.roll(words, -separation, axis=0)[:, :8]
        products = (words[:, :8, None] * behind[:, None])[20:-20].reshape(-1, 64)
        best.append(np.abs(np.corrcoef(products.T, pairs.T)[:64, 64:]).max(axis=0))
    # Each of the 483 is one product, and so is like it.
    assert np.max(best, axis=0).min() > 0.97


def test_an_unknown_residue_is_nothing_to_its_neighbours(bert):
    protein = random_protein(60)
    found = bench_model.vectors(bert)(protein[:30] + "X" + protein[31:])[:, :285]
    known = bench_model.vectors(bert)(protein)[:, :285]
    far = np.abs(found - known).max(axis=1) < 0.02
    assert far[:22].all() and far[39:].all() and not far[22:39].any()


def test_it_tells_secondary_structure_better_than_composition(data, bert):
    """On a part of the chains; docs/models.md has the whole."""
    train = bench_model.read_chains(data, "ss3_train400").first(80)
    test = bench_model.read_chains(data, "ss3_val100").first(40)
    accuracy = {}
    for name, of in {
        "composition": bench_model.composition_of,
        "one residue": bench_model.one_hot(1),
        "closed form": bench_model.vectors(bert),
    }.items():
        accuracy[name] = bench_model.probe(bench_model.label(train, of), bench_model.label(test, of)).mean()
    assert accuracy["closed form"] > accuracy["composition"] + 0.05
    assert accuracy["closed form"] > accuracy["one residue"] + 0.05


def test_it_finds_families_better_than_composition(data, bert):
    """Genes of one name in two Mycoplasmas, on a part of them."""
    genes = [
        bench_model.genbank_proteins(data / "genomes" / name, "gene")
        for name in ("NC_004829_Mgallisepticum_Rlow.gbk", "GCF_000023685.1_Mmycoides_capri_GM12.gbff")
    ]
    some = [[(name, protein) for name, protein in side if name and len(protein) < 300] for side in genes]
    task = bench_model.name_task("", *some)
    found = {
        name: (bench_model.ranks(task, summary) < 1).mean()
        for name, summary in {
            "composition": bench_model.composition,
            "closed form": bench_model.mean_of(bench_model.vectors(bert)),
        }.items()
    }
    assert len(task.queries) > 50
    assert found["closed form"] > found["composition"] + 0.1


# The benchmark's own parts


def test_the_probe_is_ridge_regression():
    rng = np.random.default_rng(1)
    features, states = rng.normal(2, 3, (200, 5)), rng.integers(0, 3, 200)
    features[:, 4] = 7
    ridge = bench_model.Ridge(bench_model.moments(features, states))
    for penalty in (0.01, 1.0):
        # The same by least squares, the penalty being rows of their own.
        scaled = (features - features.mean(0))[:, :4] / features.std(0)[:4]
        rows = np.vstack([scaled, np.sqrt(200 * penalty) * np.eye(4)])
        wanted = np.vstack([np.eye(3)[states] - np.eye(3)[states].mean(0), np.zeros((4, 3))])
        weights = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        expected = (scaled @ weights + np.eye(3)[states].mean(0)).argmax(1)
        np.testing.assert_array_equal(ridge.classify(features, penalty), expected)


def test_the_window_is_what_lies_around():
    found = bench_model.one_hot(3)("LAX").reshape(3, 3, 20)
    expected = np.zeros((3, 3, 20))
    expected[0, 1, 0] = expected[0, 2, 1] = expected[1, 0, 0] = expected[1, 1, 1] = expected[2, 0, 1] = 1
    np.testing.assert_array_equal(found, expected)


def test_unresolved_residues_are_left_out(data):
    chains = bench_model.read_chains(data, "ss3_val100")
    text = (data / "proteins" / "ss3_val100.mask.fasta").read_text()
    resolved = sum(line.count("1") for line in text.splitlines() if not line.startswith(">"))
    assert len(bench_model.label(chains, bench_model.one_hot(1)).states) == resolved == 15_705


def test_ranks_leave_the_query_out():
    def summary(proteins):
        return np.array([[len(protein), protein.count("A")] for protein in proteins], np.float32)

    database = ["A" * 9, "A" * 8 + "L", "L" * 9, "L" * 8 + "A"]
    task = bench_model.Task("", [database[0], database[2]], database, [{1}, {1}], [0, 2])
    assert bench_model.ranks(task, summary).tolist() == [0, 1]


def test_pairs_by_name_are_those_that_occur_once():
    queries = [("rpsA", "M"), ("dnaK", "MK"), ("dnaK", "MKK"), ("", "MM"), ("lon", "ML")]
    database = [("", "A"), ("Lon", "AA"), ("dnak", "AAA"), ("rpsA", "AL"), ("rpsa", "ALL")]
    task = bench_model.name_task("", queries, database)
    assert task.queries == ["ML"] and task.right == [{1}] and len(task.database) == 5


# Weights


def test_a_pickle_and_a_safe_file_of_one_model_have_one_key(pickled, tmp_path):
    from_pickle = describe_model(str(pickled), "")
    shutil.copy(tmp_path / "model.safetensors", pickled)
    from_safe = describe_model(str(pickled), "")
    assert (from_pickle.weights, from_safe.weights) == ("pytorch_model.bin", "model.safetensors")
    assert from_pickle.weights_sha256 != from_safe.weights_sha256
    assert from_pickle.key == from_safe.key


def test_half_precision_weights_of_the_same_values_have_the_same_key(tmp_path):
    make_random_model(tmp_path / "m", seed=1)
    weights = load_file(tmp_path / "m/model.safetensors")
    halves = {name: tensor.half() for name, tensor in weights.items()}
    keys = []
    for state in (halves, {name: tensor.float() for name, tensor in halves.items()}, weights):
        save_file(state, tmp_path / "m/model.safetensors", {"format": "pt"})
        keys.append(describe_model(str(tmp_path / "m"), "").key)
    assert keys[0] == keys[1] != keys[2]


def test_a_pickle_is_read_once(pickled, tmp_path, monkeypatch):
    description = describe_model(str(pickled), "")
    write_model(tmp_path / "model.json", description)
    copy = tmp_path / "cache/helixflow/models" / description.weights_sha256 / "model.safetensors"
    assert load_file(copy).keys() == load_file(tmp_path / "model.safetensors").keys()
    assert describe_model(str(pickled), "") == description
    (pickled / "pytorch_model.bin").unlink()
    monkeypatch.setattr(torch, "load", None)
    found = load_model(read_model(tmp_path / "model.json")).state_dict()
    expected = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    # Where the copy is lost too, the line says what is missing.
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(EmbeddingError, match=r"pytorch_model.bin: expected the weights .* found no file"):
        load_model(description)


def test_another_pickle_does_not_take_the_place_of_the_described_one(pickled, tmp_path):
    description = describe_model(str(pickled), "")
    shutil.rmtree(tmp_path / "cache")
    state = torch.load(pickled / "pytorch_model.bin")
    next(iter(state.values())).add_(1)
    torch.save(state, pickled / "pytorch_model.bin")
    with pytest.raises(
        EmbeddingError, match=f"expected the weights with sha256 {description.weights_sha256}"
    ):
        load_model(description)
    assert not (tmp_path / "cache").exists()


def test_an_edited_copy_is_refused(pickled, tmp_path):
    description = describe_model(str(pickled), "")
    (copy,) = (tmp_path / "cache").rglob("model.safetensors")
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    for use in (lambda: describe_model(str(pickled), ""), lambda: load_model(description)):
        with pytest.raises(
            EmbeddingError, match=r"model.safetensors: expected weights with digest .* delete it"
        ):
            use()
    copy.write_bytes(content[:1000])
    with pytest.raises(EmbeddingError, match=r"model.safetensors: cannot be read"):
        describe_model(str(pickled), "")


def test_a_cache_that_cannot_be_written_is_named(pickled, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        EmbeddingError, match=r"the copy of the weights cannot be written .* set XDG_CACHE_HOME"
    ):
        describe_model(str(pickled), "")


def test_weights_of_another_digest_are_refused(pickled):
    digest = describe_model(str(pickled), "").weights_sha256
    assert describe_model(str(pickled), "", weights_sha256=digest).weights_sha256 == digest
    with pytest.raises(EmbeddingError, match=f"expected the weights with sha256 {'0' * 64}, found {digest}"):
        describe_model(str(pickled), "", weights_sha256="0" * 64)


# The hub

CHILD = """
import json, sys
from helixflow.errors import one_line
from helixflow.embeddings.model import describe_model, load_model
with one_line():
    description = describe_model(*sys.argv[1:3])
    load_model(description)
    print(json.dumps([description.key, description.weights, description.weights_sha256]))
"""


def start(tmp_path, url, offline=False):
    """Describe and load the hub's model in a process with caches of its own."""
    environment = os.environ | {
        "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": str(int(offline)),
        "XDG_CACHE_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, MODEL, REVISION],
        cwd=ROOT / "scripts", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(tmp_path, url):
    """What the process printed, or its last line of error."""
    process = start(tmp_path, url)
    out, err = process.communicate(timeout=300)
    return json.loads(out) if process.returncode == 0 else err.strip().splitlines()[-1]


def test_a_model_is_fetched_once_and_needs_no_hub_afterwards(pickled, tmp_path):
    expected = describe_model(str(pickled), "")
    with Hub(MODEL, REVISION, pickled) as hub:
        found = run(tmp_path, hub.url)
        assert found == [expected.key, "pytorch_model.bin", expected.weights_sha256]
        assert [path for method, path, _ in hub.asked if method == "GET"] == [
            f"/{MODEL}/resolve/{REVISION}/config.json",
            f"/{MODEL}/resolve/{REVISION}/vocab.txt",
            "/large/pytorch_model.bin",
        ]
        before = len(hub.asked)
        assert run(tmp_path, hub.url) == found
        assert len(hub.asked) == before
    # The server is gone.
    assert run(tmp_path, hub.url) == found


@pytest.mark.parametrize("name", ["pytorch_model.bin", "vocab.txt"])
def test_bytes_that_are_not_those_of_the_record_are_refused(pickled, tmp_path, name):
    content = bytearray((pickled / name).read_bytes())
    content[-2] ^= 1
    with Hub(MODEL, REVISION, pickled, altered={name: bytes(content)}) as hub:
        line = run(tmp_path, hub.url)
    assert line.startswith("EmbeddingError: ")
    assert f"{name}: expected the file that the hub records as " in line and "delete " in line
    # Nothing of it was unpickled and kept.
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    # The line says what to do.
    Path(line.split("; delete ")[1].removesuffix(" and run again")).unlink()
    with Hub(MODEL, REVISION, pickled) as hub:
        assert run(tmp_path, hub.url)[0] == describe_model(str(pickled), "").key


def test_a_broken_connection_goes_on_where_it_stopped(pickled, tmp_path):
    """In steps of 10 MB, in which the hub's client writes."""
    state = torch.load(pickled / "pytorch_model.bin")
    torch.save(state | {"cls.unused": torch.zeros(8_000_000)}, pickled / "pytorch_model.bin")
    with Hub(MODEL, REVISION, pickled, cuts=[25_000_000]) as hub:
        found = run(tmp_path, hub.url)
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and path.startswith("/large/")]
    assert len(ranges) == 2 and ranges[0] == "" and ranges[1].startswith("bytes=")
    assert found[0] == describe_model(str(pickled), "").key


def test_a_download_that_never_ends_well_is_one_line(pickled, tmp_path):
    with Hub(MODEL, REVISION, pickled, cuts=[0] * 99) as hub:
        line = run(tmp_path, hub.url)
    assert line.startswith(
        f"EmbeddingError: embeddings/model: '{MODEL}' at {REVISION} is not in the hub's cache"
    )
    with Hub(MODEL, REVISION, pickled) as hub:
        assert run(tmp_path, hub.url)[0] == describe_model(str(pickled), "").key


def test_a_file_the_hub_does_not_have_is_one_line(pickled, tmp_path):
    (pickled / "vocab.txt").unlink()
    with Hub(MODEL, REVISION, pickled) as hub:
        line = run(tmp_path, hub.url)
    assert line.startswith(f"EmbeddingError: embeddings/model: '{MODEL}' at {REVISION}")


# The real models


@pytest.mark.parametrize(("model", "revision"), PUBLISHED)
def test_published_values(model, revision):
    """Runs wherever the weights are found: in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin")
    found = [try_to_load_from_cache(model, name, revision=revision) for name in names]
    if not any(isinstance(path, str) for path in found):
        pytest.skip(f"{model} is not in the hub's cache (1.7 GB, hf download {model} --revision {revision})")
    bert = load_model(describe_model(model, revision))
    vectors = bench_model.vectors(bert)("AETCXAX")
    assert vectors.shape == (7, 1024)
    first, last = PUBLISHED[model, revision]
    np.testing.assert_allclose(vectors[0, :3], first, atol=2e-5)
    np.testing.assert_allclose(vectors[0, -3:], last, atol=2e-5)

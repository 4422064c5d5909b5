"""The packed engine against plain transformers, memory that runs out, the plan, and contact maps."""

import itertools
import json
import logging
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from conftest import ROOT
from helixflow.embeddings import calibration, compute, engine, open_contacts, packed
from helixflow.embeddings.calibration import Rates, find_rates
from helixflow.embeddings.contact_store import CONTACT_TYPES, add_contacts, share_of_parts
from helixflow.embeddings.contacts import map_contacts, read_heads
from helixflow.embeddings.encoder import Encoder, embed_packs, make_packs
from helixflow.embeddings.engine import cut_parts, embed_fasta, embed_part
from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import describe_model
from helixflow.embeddings.packed import PackedBert
from helixflow.embeddings.plan import plan_shards
from helixflow.embeddings.settings import check_settings
from helixflow.embeddings.summary import write_summary
from helixflow.embeddings.tokens import PROTBERT, RESIDUES
from helixflow.embeddings.verify import verify_store
from helixflow.errors import ConfigError, EmbeddingError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.proteins.names import protein_id
from helixflow.report.embeddings import _jobs_table
from helixflow.tables import write_rows
from models import make_random_model

TOLERANCE = 2e-5
#: A residue is a second, so that the seconds of a part are its residues.
RATES = Rates(1.0, 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with random weights in ProtBERT's form."""
    folder = tmp_path_factory.mktemp("model") / "random_model"
    make_random_model(folder, seed=1)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return describe_model(str(folder), "", "float32")


@pytest.fixture(scope="module")
def small(model):
    return Encoder(model, threads=1)


@pytest.fixture(scope="module")
def bert(folder):
    return BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def proteins(demo):
    """Real proteins of 29 to 300 residues by name."""
    real = sorted({sequence for _, sequence in read_fasta(demo / "NC_000932.faa") if len(sequence) <= 300})
    return {protein_id(sequence): sequence for sequence in real[::3]}


@pytest.fixture(autouse=True)
def surroundings(caplog, monkeypatch, tmp_path):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def alone(bert, sequence):
    """What transformers gives for one protein."""
    tokens = [PROTBERT.index(token) for token in ("[CLS]", *sequence, "[SEP]")]
    with torch.no_grad():
        return bert(input_ids=torch.tensor([tokens])).last_hidden_state[0, 1:-1].numpy()


def random_protein(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list(RESIDUES), length))


# The packed layers


@pytest.mark.parametrize("length", [1, 2, 1999, 2001, 5000])
def test_any_length_equals_plain_transformers(small, bert, length):
    """Alone, behind others, and longer than the budget in the middle of the list."""
    sequence = random_protein(length)
    expected = alone(bert, sequence)
    found = dict(embed_packs(small, {"b": "MKV", "a": sequence, "c": "MKVLA"}, 2100))
    assert found["a"].shape == (length, 64) and found["a"].dtype == np.float32
    np.testing.assert_allclose(found["a"], expected, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(found["c"], alone(bert, "MKVLA"), atol=TOLERANCE, rtol=0)


def wide_model(n_layer, dtype):
    """ProtBERT's width with a few layers, packed, and the same as plain transformers."""
    shape = BertConfig(
        vocab_size=30, hidden_size=1024, num_hidden_layers=n_layer, num_attention_heads=16,
        intermediate_size=4096, max_position_embeddings=1024, layer_norm_eps=1e-12,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(BertModel(shape, add_pooling_layer=False).eval())
    return models[0], PackedBert(models[1], "cpu", dtype)


@pytest.mark.parametrize(("dtype", "least_cosine"), [(torch.float32, None), (torch.bfloat16, 0.9995)])
def test_protberts_width_equals_plain_transformers(dtype, least_cosine):
    plain, ours = wide_model(3, dtype)
    lengths = [300, 2 + 1, 120, 77]
    tokens = torch.from_numpy(np.random.default_rng(1).integers(5, 25, sum(lengths)))
    with torch.no_grad():
        expected = torch.cat(
            [plain(input_ids=part[None]).last_hidden_state[0] for part in tokens.split(lengths)]
        )
    found = ours(tokens, lengths)
    assert found.dtype == torch.float32
    if least_cosine is None:
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
    else:
        assert torch.cosine_similarity(found, expected).min() > least_cosine
        assert (found - expected).abs().max() > TOLERANCE, "bfloat16 was not used"


def test_bfloat16_of_the_small_model_is_within_its_tolerance(folder, bert, proteins):
    description = describe_model(str(folder), "", "bfloat16")
    found = dict(embed_packs(Encoder(description, 1), proteins, 2048))
    for name, sequence in proteins.items():
        expected = alone(bert, sequence)
        cosine = (found[name] * expected).sum(1) / (
            np.linalg.norm(found[name], axis=1) * np.linalg.norm(expected, axis=1)
        )
        assert found[name].dtype == np.float32 and cosine.min() > 0.9995


def test_ways_to_attend_agree():
    """Nested attention is what a GPU without flash attention does; on a CPU it is tested as a formula."""
    lengths = [5, 1, 40, 7]
    qkv = torch.randn(sum(lengths), 3, 4, 16, generator=torch.Generator().manual_seed(1))
    offsets = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32)
    one = packed.attend_each(qkv, lengths, None)
    for block in (1, 3, 100):
        torch.testing.assert_close(packed.attend_each(qkv, lengths, block), one, atol=1e-6, rtol=0)
    nested = packed.attend_nested(qkv, offsets, max(lengths))
    torch.testing.assert_close(nested, one, atol=1e-6, rtol=0)
    for first, last in itertools.pairwise(offsets.tolist()):
        query, key, value = qkv[first:last].permute(1, 2, 0, 3)
        plain = torch.softmax(query @ key.mT / 4.0, -1) @ value
        torch.testing.assert_close(one[first:last], plain.transpose(0, 1), atol=1e-5, rtol=0)


# Packs, parts and what must not matter

LENGTHS = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 400), max_size=40)


@given(lengths=LENGTHS, budget=st.integers(1, 600), seed=st.randoms())
def test_packs_hold_every_protein_once_within_the_budget(lengths, budget, seed):
    packs = list(make_packs(lengths, budget))
    assert sorted(itertools.chain(*packs)) == sorted(lengths)
    for pack in packs:
        assert pack and (len(pack) == 1 or sum(lengths[name] + 2 for name in pack) <= budget)
        assert [lengths[name] for name in pack] == sorted((lengths[name] for name in pack), reverse=True)
    shuffled = list(lengths.items())
    seed.shuffle(shuffled)
    assert list(make_packs(dict(shuffled), budget)) == packs
    # None is left half empty: with the next one's first protein it would be too full.
    for pack, after in itertools.pairwise(packs):
        assert sum(lengths[name] + 2 for name in [*pack, after[0]]) > budget


@given(lengths=LENGTHS, seconds=st.floats(0.1, 2000), most=st.integers(1, 1000))
def test_parts_keep_to_their_work_and_their_memory(lengths, seconds, most):
    rates = Rates(1.0, 0.01)
    records = [(name, "M" * length) for name, length in lengths.items()]
    parts = list(cut_parts(records, rates, seconds, most))
    assert sorted(itertools.chain(*(part.items() for part in parts))) == sorted(records)
    for part in parts:
        work = sum(rates.cost(len(sequence)) for sequence in part.values())
        assert list(part) == sorted(part)
        assert len(part) == 1 or (work <= seconds and sum(map(len, part.values())) <= most)
    # A repeated job finds the first parts done: the rest is cut where it was.
    rest = [record for record in records if not parts or record[0] not in parts[0]]
    assert list(cut_parts(rest, rates, seconds, most)) == parts[1:]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("budget", [1, 300, 10**9])
def test_neither_packs_nor_threads_matter(model, bert, proteins, threads, budget):
    found = dict(embed_packs(Encoder(model, threads), proteins, budget))
    torch.set_num_threads(1)
    assert found.keys() == proteins.keys()
    for name, sequence in proteins.items():
        np.testing.assert_allclose(found[name], alone(bert, sequence), atol=TOLERANCE, rtol=0)


def test_equal_packs_give_equal_numbers(model, small, proteins):
    """Whatever the order they were given in, and for another encoder."""
    one = dict(embed_packs(small, proteins, 700))
    other = dict(embed_packs(Encoder(model, 1), dict(reversed(proteins.items())), 700))
    for name in proteins:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_protein_without_vectors_is_an_error(small, proteins, monkeypatch):
    monkeypatch.setattr(engine, "embed_packs", lambda *given: itertools.islice(embed_packs(*given), 3))
    with pytest.raises(
        EmbeddingError, match=f"{len(proteins) - 3} of {len(proteins)} proteins got no vectors"
    ):
        embed_part(small, proteins, 700)


def test_a_failure_to_write_ends_the_job_with_its_error(model, proteins, tmp_path, monkeypatch):
    write_fasta(tmp_path / "plan.fasta", proteins.items())
    main, writers = threading.current_thread(), []

    def fail(*_):
        writers.append(threading.current_thread())
        raise OSError("No space left on device")

    monkeypatch.setattr(engine, "write_part", fail)
    with pytest.raises(OSError, match="No space left"):
        embed_fasta(
            tmp_path / "plan.fasta", model, tmp_path / "store",
            token_budget=700, part_seconds=500, threads=1, rates=RATES,
        )  # fmt: skip
    assert len(writers) == 1 and writers[0] is not main


@pytest.mark.parametrize("position", [0, 7, -1])
def test_a_bad_record_ends_the_job_with_its_error(model, proteins, tmp_path, position):
    """The reader works in a thread of its own; what it finds ends the job."""
    records = list(proteins.items())
    records[position] = (records[position][0], "MKV")
    write_fasta(tmp_path / "plan.fasta", records)
    with pytest.raises(EmbeddingError, match=f"record '{records[position][0]}' is not a normalised protein"):
        embed_fasta(
            tmp_path / "plan.fasta", model, tmp_path / "store",
            token_budget=700, part_seconds=500, threads=1, rates=RATES,
        )  # fmt: skip


# Memory that runs out


def refuse(monkeypatch, encoder, most, error):
    """Let no step take more than `most` tokens at once: queries of attention, rows of the feed-forward."""
    attend, seen = torch.nn.functional.scaled_dot_product_attention, []

    def few_queries(query, key, value):
        if query.shape[-2] > most:
            raise error
        seen.append(query.shape[-2])
        return attend(query, key, value)

    def few_rows(product, rows):
        if len(rows) > most:
            raise error
        seen.append(len(rows))
        return product(rows)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", few_queries)
    for layer in encoder.model.layers:
        wide = layer.intermediate.dense
        monkeypatch.setattr(wide, "forward", partial(few_rows, wide.forward))
    return seen


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you "
                 "tried to allocate 8589934592 bytes. Error code 12 (Cannot allocate memory)"),
    MemoryError(),
]  # fmt: skip


@pytest.mark.parametrize("most", [1, 2, 3, 17, 31, 64, 100, 151, 302, 303, 699, 700, 2000])
def test_memory_that_runs_out_at_any_size_loses_nothing(small, bert, proteins, monkeypatch, caplog, most):
    given = dict(list(proteins.items())[:8]) | {"one": "M", "long": random_protein(300)}
    expected = {name: alone(bert, sequence) for name, sequence in given.items()}
    seen = refuse(monkeypatch, small, most, ERRORS[most % len(ERRORS)])
    found = dict(embed_packs(small, given, 700))
    assert found.keys() == given.keys()
    assert 0 < max(seen) <= most
    for name in given:
        np.testing.assert_allclose(found[name], expected[name], atol=TOLERANCE, rtol=0)
    lengths = {name: len(sequence) for name, sequence in given.items()}
    fullest = max(sum(lengths[name] + 2 for name in pack) for pack in make_packs(lengths, 700))
    assert ("trying its halves" in caplog.text) == (most < fullest)
    assert ("in blocks of" in caplog.text) == (most < 302)


def test_memory_that_is_never_enough_ends_in_one_line(small, monkeypatch):
    refuse(monkeypatch, small, 0, ERRORS[1])
    with pytest.raises(EmbeddingError, match="a protein of 9 residues does not fit into the memory") as error:
        list(embed_packs(small, {"a": "MKVLAMKVL"}, 700))
    assert "\n" not in str(error.value)


def test_another_error_is_not_taken_for_memory(small, monkeypatch):
    refuse(monkeypatch, small, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        small(["MKV", "MKVL"])


# What it computes in


@pytest.mark.parametrize(
    ("flags", "unit", "chosen"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_bf16", "AMX", "bfloat16"),
        ("flags\t\t: fpu avx512f avx512_bf16", "AVX512-BF16", "bfloat16"),
        ("Features\t: fp asimd bf16 sve", "Arm's BF16", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f", "no unit for bfloat16", "float32"),
        (None, "no unit for bfloat16", "float32"),
    ],
)
def test_auto_is_what_the_machine_is_fast_in(folder, tmp_path, monkeypatch, caplog, flags, unit, chosen):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{flags}\n\nprocessor\t: 1\n")
    monkeypatch.setattr(compute, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    description = describe_model(str(folder), "", "auto")
    assert description.compute_dtype == chosen
    (line,) = [line for line in caplog.messages if "auto is" in line]
    assert f"auto is {chosen}" in line and unit in line


def test_what_it_computes_in_is_part_of_the_key(folder, tmp_path, monkeypatch, caplog):
    one, other = (describe_model(str(folder), "", name) for name in ("float32", "bfloat16"))
    assert one.key != other.key
    monkeypatch.setattr(compute, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Encoder(other, 1)(["MKV"])[0].shape == (3, 64)
    assert len([line for line in caplog.messages if "no unit for bfloat16" in line]) == 1


# The plan


@pytest.mark.parametrize("n_shard", [2, 5, 16])
def test_shards_of_a_genome_take_the_same_time(tmp_path, model, data, n_shard, caplog):
    proteins = proteome(data)
    assert max(map(len, proteins.values())) > 5 * np.median(list(map(len, proteins.values())))
    write_fasta(tmp_path / "distinct.fasta", sorted(proteins.items()))
    shards = [tmp_path / f"{number:03d}.fasta" for number in range(n_shard)]
    rates = Rates(8e-4, 1.3e-7)
    plan_shards(tmp_path / "distinct.fasta", shards, model, tmp_path / "store", rates=rates)
    planned = [dict(read_fasta(shard)) for shard in shards]
    assert sorted(item for shard in planned for item in shard.items()) == sorted(proteins.items())
    work = [sum(8e-4 * len(s) + 1.3e-7 * len(s) ** 2 for s in shard.values()) for shard in planned]
    assert max(work) <= 1.05 * np.mean(work)
    assert f"the longest {max(work) / np.mean(work):.3f} of the mean" in caplog.text
    for shard in planned:
        lengths = [len(sequence) for sequence in shard.values()]
        assert lengths == sorted(lengths, reverse=True)
    first = [shard.read_bytes() for shard in shards]
    plan_shards(tmp_path / "distinct.fasta", shards, model, tmp_path / "store", rates=rates)
    assert [shard.read_bytes() for shard in shards] == first


def proteome(data):
    """The annotated proteins of a bacterial genome."""
    from Bio import SeqIO

    record = SeqIO.read(data / "genomes" / "NC_004829_Mgallisepticum_Rlow.gbk", "genbank")
    found = [f.qualifiers["translation"][0] for f in record.features if "translation" in f.qualifiers]
    return {protein_id(sequence): sequence for sequence in found}


def test_a_protein_longer_than_a_shards_share_is_said(tmp_path, model, caplog):
    sequences = [random_protein(2000), "MKV", "MKVL"]
    write_fasta(tmp_path / "distinct.fasta", sorted((protein_id(s), s) for s in sequences))
    shards = [tmp_path / "000.fasta", tmp_path / "001.fasta"]
    plan_shards(tmp_path / "distinct.fasta", shards, model, tmp_path / "store", rates=RATES)
    assert [len(list(read_fasta(shard))) for shard in shards] == [1, 2]
    assert "the longest protein alone takes 1.99 of it" in caplog.text


def test_rates_are_measured_once_for_a_machine(model, folder, tmp_path, monkeypatch, caplog):
    first = find_rates(model, 1)
    assert 1e-8 < first.linear < 1e-2 and first.quadratic >= 0
    monkeypatch.setattr(calibration, "measure_rates", lambda *_: Rates(7.0, 7.0))
    assert find_rates(model, 1) == first
    assert find_rates(model, 2) == Rates(7.0, 7.0)
    assert find_rates(describe_model(str(folder), "", "bfloat16"), 1) == Rates(7.0, 7.0)
    kept = sorted((tmp_path / "cache" / "helixflow" / "rates").iterdir())
    assert len(kept) == 3 and "device" in json.loads(kept[0].read_text())
    for content in ("{}", '{"linear": 0, "quadratic": 0}', '{"linear": NaN, "quadratic": 1}'):
        for path in kept:
            path.write_text(content)
        assert find_rates(model, 1) == Rates(7.0, 7.0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert find_rates(model, 1) == Rates(7.0, 7.0)
    assert "cannot be written" in caplog.text


def test_rates_are_those_of_the_measured_times():
    """Solved for two lengths, and never negative however noisy the times are."""
    true = Rates(2e-3, 5e-7)
    found = calibration._solve(true.cost(128), 128, true.cost(2048), 2048)
    assert found.linear == pytest.approx(2e-3, rel=0.06) and found.quadratic == pytest.approx(5e-7, rel=0.06)
    for short, long in ((1.0, 0.1), (0.1, 100.0)):
        found = calibration._solve(short, 128, long, 2048)
        assert found.linear > 0 and found.quadratic >= 0


def test_nothing_is_measured_for_nothing(model, proteins, tmp_path, monkeypatch):
    write_fasta(tmp_path / "plan.fasta", proteins.items())
    options = {"token_budget": 700, "part_seconds": 1e9, "threads": 1}
    embed_fasta(tmp_path / "plan.fasta", model, tmp_path / "store", **options)
    for name in ("measure_rates", "find_rates"):
        monkeypatch.setattr(calibration, name, None)
    monkeypatch.setattr(engine, "find_rates", None)
    monkeypatch.setattr(engine, "Encoder", None)
    plan_shards(tmp_path / "plan.fasta", [tmp_path / "000.fasta"], model, tmp_path / "store")
    done = embed_fasta(tmp_path / "plan.fasta", model, tmp_path / "store", **options)
    assert (done.given, done.proteins, done.residues) == (len(proteins), 0, 0)


# What is said


def test_the_summary_counts_what_was_computed(model, proteins, tmp_path, caplog):
    write_fasta(tmp_path / "plan.fasta", proteins.items())
    summary = embed_fasta(
        tmp_path / "plan.fasta", model, tmp_path / "store",
        token_budget=700, part_seconds=1e9, threads=1, rates=RATES,
    )  # fmt: skip
    write_summary(tmp_path / "000.json", summary)
    told = json.loads((tmp_path / "000.json").read_text())
    residues = sum(map(len, proteins.values()))
    assert f"embedding: 100 %, {residues} residues of {residues}" in caplog.text
    packs = list(make_packs({name: len(sequence) for name, sequence in proteins.items()}, 700))
    assert (told["given"], told["proteins"], told["residues"]) == (len(proteins), len(proteins), residues)
    assert told["packing"] == pytest.approx((residues + 2 * len(proteins)) / (700 * len(packs)), abs=1e-4)
    assert 0.8 < told["packing"] <= 1
    assert told["residues_per_s"] == pytest.approx(residues / told["seconds"], rel=0.1)
    assert told["memory_MB"] > 100 and told["compute_dtype"] == "float32" and told["device"]
    assert f"{len(proteins)} proteins, {residues} residues in" in caplog.text
    assert not [name for name in told if name.startswith("_")]
    shown = _jobs_table([tmp_path / "000.json"])
    named = {name: cell.text for (name, _), cell in zip(shown.columns, shown.rows[0], strict=True)}
    assert named["job"] == "000" and named["embedded"] == str(len(proteins)) and "MB" in " ".join(named)


# Contact maps


@pytest.fixture(scope="module")
def attention(folder):
    """Attention of plain transformers: (layers, heads, L, L) among residues."""
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()

    def of(sequence):
        tokens = [PROTBERT.index(token) for token in ("[CLS]", *sequence, "[SEP]")]
        with torch.no_grad():
            maps = bert(input_ids=torch.tensor([tokens]), output_attentions=True).attentions
        return np.stack([layer[0].numpy() for layer in maps]).astype(np.float64)[:, :, 1:-1, 1:-1]

    return of


def corrected(attention):
    """Rao et al. 2020, entry by entry."""
    n = len(attention)
    both = [[attention[i][j] + attention[j][i] for j in range(n)] for i in range(n)]
    rows = [sum(both[i]) for i in range(n)]
    return np.array([[both[i][j] - rows[i] * rows[j] / sum(rows) for j in range(n)] for i in range(n)])


def write_heads(path, rows, **more):
    names = ("layer", "head", "weight")
    path.write_text(json.dumps({"heads": [dict(zip(names, row, strict=True)) for row in rows]} | more))
    return str(path)


def test_contacts_follow_the_published_formula(small, attention, tmp_path):
    sequence = random_protein(40)
    maps = attention(sequence)
    every = [[corrected(head) for head in layer] for layer in maps]
    found = map_contacts(small, sequence, read_heads("all", 2, 4))
    np.testing.assert_allclose(found, np.mean(every, axis=(0, 1)), atol=1e-6)
    rows = [(1, 3, 2.0), (0, 0, -0.5), (1, 0, 40.0)]
    total = sum(weight * every[layer][head] for layer, head, weight in rows)
    mean = map_contacts(small, sequence, read_heads(write_heads(tmp_path / "mean.json", rows), 2, 4))
    np.testing.assert_allclose(mean, total / 41.5, atol=1e-6)
    path = write_heads(tmp_path / "regression.json", rows, intercept=-1.25)
    probability = map_contacts(small, sequence, read_heads(path, 2, 4))
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(1.25 - total)), atol=1e-5)
    assert np.ptp(probability) > 0.01, "the test can tell nothing"
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("sequence", ["M", "MK"])
def test_contacts_of_the_shortest_proteins(small, sequence):
    assert np.isfinite(map_contacts(small, sequence, read_heads("all", 2, 4))).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a list of attention heads"),
        ('{"heads": [{"layer": 0, "head": 0, "weight": 1}], "intercpt": -3}', "unknown key 'intercpt'"),
        ('{"heads": [{"layer": 0, "head": 0, "weight": "1"}]}', "'1' is not a number"),
        ('{"heads": [{"layer": 0, "head": 0.0, "weight": 1}]}', "head 0.0 is not a whole number"),
        ('{"heads": [{"layer": 0, "head": 0, "weight": 1%s}]}' % ("0" * 400), "OverflowError"),
        ("[]", "is not a list of attention heads"),
        ('{"heads": [[0, 0, 1]]}', "is not a list of attention heads"),
        ('{"heads": [{"layer": 0, "head": 0, "weight": NaN}]}', "nan is not a number"),
        ('{"heads": []}', "names no head"),
        ('{"heads": [{"layer": 2, "head": 0, "weight": 1}]}', "layer 2, head 0: expected layers 0 to 1"),
        ('{"heads": [{"layer": 0, "head": -1, "weight": 1}]}', "layer 0, head -1: expected"),
        ('{"heads": [{"layer": 0, "head": 0, "weight": 1}, {"layer": 0, "head": 0, "weight": 2}]}', "twice"),
        ('{"heads": [{"layer": 0, "head": 0, "weight": 0}]}', "sum to 0"),
    ],
)
def test_files_that_name_no_heads_are_refused(tmp_path, content, message):
    (tmp_path / "heads.json").write_text(content)
    with pytest.raises(EmbeddingError, match=message) as error:
        read_heads(str(tmp_path / "heads.json"), 2, 4)
    assert "\n" not in str(error.value)


def test_heads_are_looked_for_before_any_job(tmp_path):
    given = {"model": "Rostlab/prot_bert", "revision": "0" * 40, "store": str(tmp_path)}
    check_settings(given | {"neighbours_query": "", "contact_heads": "all"})
    with pytest.raises(ConfigError, match=r"'embeddings/contact_heads' is 'no\.json'"):
        check_settings(given | {"neighbours_query": "", "contact_heads": "no.json"})


def test_contacts_lie_beside_the_parts(model, small, proteins, tmp_path):
    """Made once for a part, for proteins below the limit alone, without touching the embeddings."""
    write_fasta(tmp_path / "distinct.fasta", sorted(proteins.items()))
    store, index = tmp_path / "store", tmp_path / "index.parquet"
    embed_fasta(
        tmp_path / "distinct.fasta", model, store, token_budget=700, part_seconds=800, threads=1, rates=RATES
    )
    write_index(tmp_path / "distinct.fasta", index, model, store)
    parts = {path: path.stat().st_mtime_ns for path in store.glob("*/*.h5")}
    assert len(parts) > 2
    (tmp_path / "contacts").mkdir()
    maps = {}
    for shard in (0, 1):
        table = tmp_path / "contacts" / f"{shard:03d}.parquet"
        rows = add_contacts(share_of_parts(index, shard, 2, 120), table, model, "all", 120, 1)
        write_rows(table, rows, CONTACT_TYPES)
        for row in pq.read_table(table).to_pylist():
            maps[row["protein"]] = open_contacts(row["uri"], table.parent)
            assert row["length"] == len(maps[row["protein"]])
    short = {name: sequence for name, sequence in proteins.items() if len(sequence) < 120}
    assert maps.keys() == short.keys() and 3 < len(short) < len(proteins)
    heads = read_heads("all", 2, 4)
    for name, sequence in short.items():
        expected = map_contacts(small, sequence, heads)
        assert maps[name].dtype == np.float16
        np.testing.assert_allclose(maps[name].astype(np.float32), expected, rtol=1e-3, atol=1e-7)
    assert {path: path.stat().st_mtime_ns for path in store.glob("*/*.h5")} == parts
    files = {path: path.stat().st_mtime_ns for path in store.glob("*/contacts/*/*.h5")}
    assert {path.name for path in files} == {path.name for path in parts}
    with h5py.File(next(iter(files))) as h5:
        assert h5.attrs["heads_sha256"] == heads.digest and json.loads(h5.attrs["heads"])[5] == [1, 1, 1.0]
        assert h5.attrs["weights_sha256"] == model.weights_sha256 and h5.attrs["below"] == 120
        assert h5["contact"].chunks is None
    # Again: nothing is made twice. Other heads: their own files.
    again = list(add_contacts(share_of_parts(index, 0, 1, 120), tmp_path / "x", model, "all", 120, 1))
    assert len(again) == len(short)
    assert {path: path.stat().st_mtime_ns for path in store.glob("*/contacts/*/*.h5")} == files
    other = write_heads(tmp_path / "heads.json", [(0, 0, 1.0)])
    list(add_contacts(share_of_parts(index, 0, 1, 120), tmp_path / "x", model, other, 120, 1))
    assert len(list(store.glob("*/contacts/*/*.h5"))) == 2 * len(files)
    with pytest.raises(EmbeddingError, match=r"no contact map of protein 'SQ\.no'.*fewer than 120 residues"):
        open_contacts(f"{next(iter(files))}#SQ.no")
    with pytest.raises(EmbeddingError, match="is not a file of contact maps"):
        open_contacts(f"{tmp_path}/no.h5#SQ.no")
    # Damage and loss are found.
    tables = sorted((tmp_path / "contacts").iterdir())
    assert verify_store(store, model.key, index, tables) == []
    damaged, lost = sorted(files)[:2]
    with h5py.File(damaged) as h5:
        place = h5["contact"].id.get_offset()
    content = bytearray(damaged.read_bytes())
    content[place] ^= 1
    damaged.write_bytes(content)
    lost.unlink()
    found = {
        (finding.problem, Path(finding.file)) for finding in verify_store(store, model.key, index, tables)
    }
    assert found == {("digest", damaged), ("contacts missing", lost)}
    damaged.write_bytes(content[:3000])
    with pytest.raises(EmbeddingError, match=rf"{damaged.name}: is not a whole part .* delete it"):
        list(add_contacts(share_of_parts(index, 0, 1, 120), tmp_path / "x", model, "all", 120, 1))


# The libraries of a bare GPU machine


def test_the_gpu_bench_runs_from_a_checkout():
    """With torch, transformers, numpy and h5py alone, here on a CPU and a tiny shape."""
    absent = ("pyarrow", "dnaio", "pyrodigal", "pandas", "snakemake", "isal", "Bio", "scipy")
    code = (
        f"import runpy, sys\nfor name in {absent}: sys.modules[name] = None\n"
        "sys.argv = ['bench_gpu.py', '--tiny']\nrunpy.run_path('tests/bench_gpu.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": "scripts"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) >= 4 and "packed" in done.stdout and "GEMM peak" in done.stdout

"""Neighbours against brute force in float64, and the partners of chains that only neighbours propose."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helixflow.embeddings import neighbours, read_index
from helixflow.embeddings.index import write_index
from helixflow.embeddings.nearest import nearest
from helixflow.embeddings.neighbours import find_neighbours, pooled_blocks, write_neighbours
from helixflow.embeddings.store import open_store
from helixflow.errors import EmbeddingError, LimitError, MismatchError, SourceError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.links.near import find_near, read_with_embedding
from helixflow.links.partners import propose
from helixflow.proteins import normalise, protein_id
from stores import MODEL, fill_store, random_vectors, write_run
from test_links import link

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def brute_force(queries, ids, vectors, k, own=None):
    """Cosines in float64, all of them, sorted by cosine descending and then by id."""

    def unit(rows):
        rows = rows.astype(np.float64)
        length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
        return rows / np.where(length == 0, 1, length)

    cosine = unit(queries) @ unit(vectors).T
    found = []
    for number, row in enumerate(cosine):
        names = [(-round(value, 9), name) for value, name in zip(row, ids, strict=True)]
        names = sorted(pair for pair in names if own is None or pair[1] != own[number])[:k]
        found += [(number, rank, name, -value) for rank, (value, name) in enumerate(names, 1)]
    return found


def in_blocks(ids, vectors, size):
    return [(ids[at : at + size], vectors[at : at + size]) for at in range(0, len(ids), size)]


def check(found, wanted):
    query, rank, ids, cosine = found
    assert list(zip(query.tolist(), rank.tolist(), ids.tolist(), strict=True)) == [row[:3] for row in wanted]
    np.testing.assert_allclose(cosine, [row[3] for row in wanted], atol=1e-8, rtol=0)


def named(count, rng):
    """Ids in an order that is not that of the vectors."""
    return np.array([f"SQ.{number:032d}" for number in rng.permutation(count)], "S35")


FAISS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif("not __import__('importlib').util.find_spec('faiss')")),
]


@pytest.mark.parametrize("faiss", FAISS)
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("k", [1, 10, 400])
def test_neighbours_are_those_of_brute_force(size, k, faiss):
    rng = np.random.default_rng(1)
    # As pooled vectors of language models are: all near one direction.
    vectors = (rng.normal(size=300 * 33).reshape(300, 33) + 4).astype(np.float32)
    ids = named(300, rng)
    check(
        nearest(vectors[:40], in_blocks(ids, vectors, size), k, faiss=faiss),
        brute_force(vectors[:40], ids, vectors, k),
    )
    check(
        nearest(vectors[:40], in_blocks(ids, vectors, size), k, own=ids[:40], faiss=faiss),
        brute_force(vectors[:40], ids, vectors, k, own=ids[:40]),
    )


@pytest.mark.parametrize("faiss", FAISS)
@pytest.mark.parametrize("size", [3, 50, 1000])
def test_a_crowd_of_equals_comes_by_id(size, faiss):
    """Vectors of few small numbers, many of them the same or of the same direction, and some zero."""
    rng = np.random.default_rng(2)
    vectors = rng.integers(-1, 2, size=(500, 3)).astype(np.float32) * rng.integers(1, 9, size=(500, 1))
    vectors = vectors.astype(np.float32)
    ids = named(500, rng)
    wanted = brute_force(vectors[:30], ids, vectors, 7)
    check(nearest(vectors[:30], in_blocks(ids, vectors, size), 7, faiss=faiss), wanted)
    assert any(one[3] == other[3] for one, other in pairwise(wanted))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 12), st.integers(1, 20), st.integers(1, 25))
def test_any_blocks_give_the_neighbours_of_brute_force(seed, count, width, k, size):
    rng = np.random.default_rng(seed)
    vectors = np.round(rng.normal(size=(count, width)), rng.integers(0, 3)).astype(np.float32)
    ids = named(count, rng)
    check(nearest(vectors, in_blocks(ids, vectors, size), k, ids), brute_force(vectors, ids, vectors, k, ids))


# The table


@pytest.fixture(scope="session")
def proteins(demo):
    sequences = [sequence for _, sequence in read_fasta(demo / "NC_000932.faa")][:50]
    return {protein_id(sequence): sequence for sequence in sequences}


def no_embedding(_):
    raise AssertionError("nothing should be embedded")


def find(folder, queries="", k=5, limit=1000, embed=no_embedding):
    """Find neighbours as the rule does; return the rows of the table."""
    place = {"store": folder / "store", "key": MODEL.key, "limit": limit}
    write_neighbours(
        folder / "n.parquet", find_neighbours(folder / "index.parquet", k, queries, embed, **place)
    )
    return pq.read_table(folder / "n.parquet")


def means(proteins):
    return np.array(
        [random_vectors(sequence).mean(axis=0, dtype=np.float64) for sequence in proteins.values()]
    )


@pytest.mark.parametrize("size", [4, 4096])
def test_all_against_all(tmp_path, proteins, monkeypatch, size):
    for name in ("BLOCK", "QUERIES"):
        monkeypatch.setattr(neighbours, name, size)
    write_run(tmp_path, proteins)
    table = find(tmp_path)
    assert {field.name: str(field.type) for field in table.schema} == {
        "query": "string", "protein": "string", "rank": "int32", "cosine": "float",
    }  # fmt: skip
    ids = np.array(list(proteins), "S35")
    order = np.argsort(ids)
    vectors = means(proteins).astype(np.float32)[order]
    wanted = brute_force(vectors, ids[order], vectors, 5, own=ids[order])
    found = [(row["query"], row["rank"], row["protein"]) for row in table.to_pylist()]
    assert found == [(ids[order][at].decode(), rank, name.decode()) for at, rank, name, _ in wanted]
    np.testing.assert_allclose(table["cosine"], [row[3] for row in wanted], atol=1e-6)


def test_too_many_proteins_for_all_against_all(tmp_path, proteins):
    write_run(tmp_path, proteins)
    with pytest.raises(LimitError, match=rf"{len(proteins)} proteins, expected at most 9 .*neighbours_limit"):
        find(tmp_path, limit=9)
    assert not (tmp_path / "n.parquet").exists()
    assert find(tmp_path, limit=len(proteins)).num_rows == 5 * len(proteins)


def test_queries_need_not_be_of_the_run(tmp_path, proteins):
    """Names are the user's, letters are made normal, and what the store lacks is embedded, once."""
    write_run(tmp_path, proteins)
    known, new = next(iter(proteins.values())), "MKVLAWYHCFGIPQSTDENRX"
    queries = {"sp|P1/x.1": known.lower(), "new": new, "same": new[:-1] + "U*", "twin": known}
    write_fasta(tmp_path / "q.faa", queries.items())
    embedded = []

    def embed(fasta):
        embedded.extend(read_fasta(fasta))
        fill_store(tmp_path / "store", dict(read_fasta(fasta)))

    before = (tmp_path / "index.parquet").read_bytes()
    rows = find(tmp_path, tmp_path / "q.faa", k=3, embed=embed).to_pylist()
    assert embedded == [(protein_id(new), new)]
    assert [(row["query"], row["rank"]) for row in rows] == [(name, n) for name in queries for n in (1, 2, 3)]
    by_query = {name: [(r["protein"], r["cosine"]) for r in rows if r["query"] == name] for name in queries}
    assert by_query["sp|P1/x.1"] == by_query["twin"] and by_query["new"] == by_query["same"]
    assert by_query["twin"][0] == (protein_id(known), 1.0)
    ids = np.array(list(proteins), "S35")
    vector = random_vectors(new).mean(axis=0, dtype=np.float64).astype(np.float32)[None]
    wanted = brute_force(vector, ids, means(proteins).astype(np.float32), 3)
    assert [name for name, _ in by_query["new"]] == [row[2].decode() for row in wanted]
    assert (tmp_path / "index.parquet").read_bytes() == before
    find(tmp_path, tmp_path / "q.faa")  # Embeds nothing again.


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (">a\nMK-V\n", SourceError, r"q.faa: record 'a' has '-' at position 3"),
        (">a\nMKV\n>a\nMKL\n", EmbeddingError, "two records are named 'a'"),
        (">a\n*\n", EmbeddingError, "record 'a' has no residues"),
    ],
)
def test_queries_that_are_no_proteins(tmp_path, proteins, text, error, message):
    write_run(tmp_path, proteins)
    (tmp_path / "q.faa").write_text(text)
    with pytest.raises(error, match=message):
        find(tmp_path, tmp_path / "q.faa")


def test_nothing_to_find(tmp_path, proteins):
    write_run(tmp_path, proteins)
    (tmp_path / "q.faa").write_text("")
    with pytest.raises(EmbeddingError, match=r"q\.faa: holds no record"):
        find(tmp_path, tmp_path / "q.faa")
    write_run(tmp_path / "none", {})
    assert find(tmp_path / "none").num_rows == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MKL\n", "begins with 'MKL', expected FASTA"),
        (b">\nMKL\n", "a header has no name"),
        (b">a\n\xff\xfe\n", "is no text"),
    ],
)
def test_queries_that_are_no_fasta_are_refused(tmp_path, proteins, content, message):
    write_run(tmp_path, proteins)
    (tmp_path / "q.faa").write_bytes(content)
    with pytest.raises(SourceError, match=rf"q\.faa: {message}"):
        find(tmp_path, tmp_path / "q.faa")


def test_a_part_that_lost_a_protein_is_named(tmp_path, proteins):
    index = write_run(tmp_path, proteins)
    stranger = "SQ." + "z" * 32
    part = next(iter(read_index(index).values())).split("#")[0]
    with pytest.raises(EmbeddingError, match=f"no protein {stranger} among the 5"):
        list(pooled_blocks([(stranger, f"{part}#{stranger}")], tmp_path))


def test_of_near_duplicates_the_representative_is_a_neighbour(tmp_path, proteins):
    names = sorted(proteins)
    write_fasta(tmp_path / "d.fasta", [(name, proteins[name]) for name in names])
    fill_store(tmp_path / "store", {name: proteins[name] for name in names[1:]})
    rows = [{"protein": names[0], "representative": names[1]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "clusters.parquet")
    index = tmp_path / "index.parquet"
    write_index(tmp_path / "d.fasta", index, MODEL, tmp_path / "store", tmp_path / "clusters.parquet")
    table = find(tmp_path)
    assert names[0] not in table["query"].to_pylist() + table["protein"].to_pylist()
    # Neither is it a partner to be joined residue by residue.
    assert [name for name, _ in read_with_embedding(tmp_path / "d.fasta", index)] == names[1:]
    near = find_near([proteins[names[0]]], index, set(), most=3)[proteins[names[0]]]
    assert names[1] in near and names[0] not in near


# Links


@pytest.fixture(scope="module")
def family(data):
    """Two glutaredoxin-like domains of CATH that share no word of four letters, and other proteins."""
    records = [
        record for name in ("cath_200", "cath_db50") for record in read_cath(data / f"proteins/{name}.fasta")
    ]
    domains = {name.split("|")[0]: normalise(sequence, name) for name, sequence in records}
    return domains.pop("2wlxA01"), domains.pop("3tp9A02"), sorted(set(domains.values()))


def read_cath(path):
    return [(name, sequence) for name, sequence in read_fasta(path) if len(sequence) > 30]


def composition(sequence):
    """A stand-in for a language model: the residues as one-hot vectors, whose mean is the composition."""
    return np.eye(len(LETTERS) + 1, dtype=np.float32)[[LETTERS.find(letter) for letter in sequence]]


def link_family(folder, family, pooled, **thresholds):
    """Link the first domain to the second among the others, with embeddings whose means are as given."""
    chain, homolog, others = family
    proteins = {homolog: ["genome"]} | {other: ["genome"] for other in others}
    return link(folder, {"A": chain}, proteins, vectors=pooled, **thresholds)


def near_family(family):
    """Vectors with which the two domains are near each other, and nothing else is."""
    chain, homolog, _ = family

    def vectors(sequence):
        rows = composition(sequence)
        return rows * 0.01 + np.eye(rows.shape[1])[0] if sequence in (chain, homolog) else rows

    return vectors


LOW = {"min_identity": 0.25, "min_coverage": 0.7}


def test_neighbours_propose_what_shares_no_word(tmp_path, family):
    chain, homolog, others = family
    pairs = [(protein_id(sequence), sequence) for sequence in (homolog, *others)]
    assert homolog not in dict(propose([chain], pairs, most=10**6)[chain]).values()
    rows, (summary,) = link_family(tmp_path, family, near_family(family), **LOW)
    assert summary["partner"] == "best" and summary["protein"] == protein_id(homolog)
    assert (summary["identical"], round(summary["coverage"], 2)) == (23, 0.71)
    assert {row["protein"] for row in rows if row["row"]} == {protein_id(homolog)}


def test_without_them_it_is_not_found(tmp_path, family):
    """Vectors that put the homolog last: it must be the neighbours that found it above."""
    _, homolog, _ = family

    def far(sequence):
        return composition(sequence) * (-1 if sequence == homolog else 1)

    _, (summary,) = link_family(tmp_path, family, far, **LOW)
    assert summary["protein"] != protein_id(homolog)


def test_the_thresholds_decide_on_neighbours_too(tmp_path, family):
    _, homolog, _ = family
    for thresholds in (
        {"min_identity": 0.3},
        {"min_coverage": 0.72},
        {"min_identity": 0.9, "min_coverage": 0.9},
    ):
        _, (summary,) = link_family(tmp_path, family, near_family(family), **LOW | thresholds)
        assert summary["protein"] != protein_id(homolog)


def test_a_chain_the_index_lacks_is_told(tmp_path, proteins):
    index = write_run(tmp_path, proteins)
    with pytest.raises(MismatchError, match=f"no protein {protein_id('MKV')}.*forcerun index_embeddings"):
        find_near(["MKV"], index, set())


def test_an_index_of_other_proteins_is_told(tmp_path, proteins):
    index = write_run(tmp_path, proteins)
    write_fasta(tmp_path / "other.fasta", [*sorted(proteins.items()), ("SQ.z", "MKV")])
    with pytest.raises(MismatchError, match=r"no protein SQ\.z, .*other.fasta.*forcerun index_embeddings"):
        list(read_with_embedding(tmp_path / "other.fasta", index))
    write_fasta(tmp_path / "some.fasta", sorted(proteins.items())[3::2])
    assert list(read_with_embedding(tmp_path / "some.fasta", index)) == sorted(proteins.items())[3::2]


def test_excluded_proteins_are_no_neighbours(tmp_path, proteins):
    index, chain = write_run(tmp_path, proteins), next(iter(proteins.values()))
    every = find_near([chain], index, set(), most=4)[chain]
    assert len(every) == 4 and protein_id(chain) in every
    other = find_near([chain], index, every, most=4)[chain]
    assert len(other) == 4 and not other & every
    with open_store(tmp_path / "store", MODEL.key) as stored:
        assert all(stored.find(protein) for protein in other)

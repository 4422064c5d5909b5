"""The store as a thing that lasts: reading, damage and its discovery, moving, exports, and what is reused."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ROOT
from helixflow.coanalysis.embedding import find_embeddings
from helixflow.coanalysis.links import Link
from helixflow.embeddings import engine, open_embedding, open_embeddings, open_pooled, read_index, reading
from helixflow.embeddings.calibration import Rates
from helixflow.embeddings.engine import embed_fasta
from helixflow.embeddings.exports import export_per_accession, export_skbio
from helixflow.embeddings.index import read_embedded, write_index
from helixflow.embeddings.model import describe_model, write_model
from helixflow.embeddings.plan import plan_shards
from helixflow.embeddings.reading import open_letters
from helixflow.embeddings.store import content_digest, open_store, part_name, remove_temporary, write_part
from helixflow.embeddings.tokens import PROTBERT
from helixflow.embeddings.verify import HEADER, report_findings, verify_store
from helixflow.embeddings.virtual import write_virtual
from helixflow.errors import EmbeddingError, MismatchError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.proteins import collect_proteins, protein_id, read_chains
from stores import MODEL, WIDTH, fill_store, random_vectors, write_run
from workflow import SMALL, command, snakemake

#: What decides no bytes, of a job that embeds.
OPTIONS = {"token_budget": 600, "part_seconds": 4000, "threads": 1, "rates": Rates(1.0, 0.0)}


@pytest.fixture(scope="session")
def proteins(demo):
    """Real proteins by id, and the shortest there can be."""
    real = [sequence for _, sequence in read_fasta(demo / "NC_000932.faa") if len(sequence) < 400][:23]
    return {protein_id(sequence): sequence for sequence in ["M", *real]}


@pytest.fixture
def index(tmp_path, proteins):
    return write_run(tmp_path, proteins)


def parts(folder):
    return sorted(path for path in (folder / "store" / MODEL.key).glob("*.h5") if path.name[0] != ".")


def expected(sequence):
    return random_vectors(sequence).astype(np.float16)


# Reading


def test_embeddings_come_in_the_order_asked_and_parts_are_opened_once(tmp_path, index, proteins, monkeypatch):
    opened = Counter()
    open_part = reading.open_part

    def spy(path):
        opened[path.name] += 1
        return open_part(path)

    monkeypatch.setattr(reading, "open_part", spy)
    uris = read_index(index)
    names = [*proteins, *reversed(proteins), *list(proteins)[::5]]
    found = list(open_embeddings(uris[name] for name in names))
    for name, vectors in zip(names, found, strict=True):
        np.testing.assert_array_equal(vectors, expected(proteins[name]))
    assert opened == {path.name: 1 for path in parts(tmp_path)} and len(opened) == 5


def test_relative_uris_letters_and_pooled_vectors(tmp_path, index, proteins):
    rows = pq.read_table(index).to_pylist()
    uris = [row["uri"] for row in rows]
    assert all(uri.startswith(f"store/{MODEL.key}/") for uri in uris)
    for row, vectors in zip(rows, open_embeddings(uris, tmp_path), strict=True):
        sequence = proteins[row["protein"]]
        np.testing.assert_array_equal(vectors, expected(sequence))
        assert open_letters(row["uri"], tmp_path).tobytes().decode() == sequence
    means = [random_vectors(proteins[row["protein"]]).mean(axis=0, dtype=np.float64) for row in rows]
    np.testing.assert_array_equal(open_pooled(uris, tmp_path), np.array(means, np.float32))
    assert open_pooled([]).shape == (0, 0)


def test_a_part_that_lies_in_pieces_is_read_too(tmp_path, index, proteins):
    """Not as this workflow writes it, but as h5repack may."""
    for path in parts(tmp_path):
        with h5py.File(path, "a") as part:
            vectors = part["residue"][:]
            del part["residue"]
            part.create_dataset("residue", data=vectors, chunks=(7, WIDTH), compression="gzip")
    for name, uri in read_index(index).items():
        np.testing.assert_array_equal(open_embedding(uri), expected(proteins[name]))


def test_another_file_under_the_same_name_is_another_part(tmp_path):
    """The parts that stay open are known by their files, not by their names."""
    sequence, path = "MKV", tmp_path / "part.h5"
    for number in range(2):
        vectors = np.full((3, WIDTH), number, np.float16)
        write_part(path, {protein_id(sequence): sequence}, vectors, vectors[:1].astype(np.float32), MODEL)
        assert (open_embedding(f"{path}#{protein_id(sequence)}") == number).all()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_files_stay_open(tmp_path, proteins, monkeypatch):
    index = write_run(tmp_path, proteins, per_part=1)
    few = reading.lru_cache(3)(reading._map_file.__wrapped__)
    monkeypatch.setattr(reading, "_map_file", few)
    before = open_files()
    for name, uri in read_index(index).items():
        np.testing.assert_array_equal(open_embedding(uri), expected(proteins[name]))
        assert open_files() <= before + 3


# The digest and what is wrong with a store


def test_the_digest_is_as_documented(tmp_path, index):
    path = parts(tmp_path)[0]
    with h5py.File(path) as part:
        attributes = {name: str(value) for name, value in part.attrs.items() if name != "digest"}
        content = json.dumps(attributes, sort_keys=True).encode()
        for name in ("protein", "offset", "residue", "sequence", "mean"):
            shape = part[name].shape
            content += f"\n{name} {part[name].dtype.str} {shape}\n".encode() + part[name][:].tobytes()
        assert part.attrs["digest"] == hashlib.sha256(content).hexdigest()
        assert {"model", "weights_sha256", "compute_dtype", "torch"} <= set(attributes)
    assert index.is_file()


def test_the_digest_does_not_follow_the_blocks(monkeypatch, tmp_path, index):
    with h5py.File(parts(tmp_path)[0]) as part:
        monkeypatch.setattr("helixflow.embeddings.store._BLOCK_BYTES", 100)
        assert content_digest(part, part.attrs) == part.attrs["digest"]


def test_a_good_store_has_no_findings(tmp_path, index):
    findings = verify_store(tmp_path / "store", MODEL.key, index)
    assert findings == []
    report_findings(findings, tmp_path / "verified.tsv")
    assert (tmp_path / "verified.tsv").read_text() == "\t".join(HEADER) + "\n"
    assert verify_store(tmp_path / "none", MODEL.key) == []


def rewrite(path, change, digest=True):
    """Change a part with h5py, with or without the digest that then belongs to it."""
    with h5py.File(path, "a") as part:
        change(part)
        if digest:
            part.attrs["digest"] = content_digest(part, part.attrs)


def put(name, rows, value):
    return lambda part: part[name].__setitem__(rows, value)


def flip_a_byte_of_the_vectors(folder, path):
    with h5py.File(path) as part:
        at = part["residue"].id.get_offset() + 5
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def rename(folder, path):
    path.rename(path.with_name("x" * 32 + ".h5"))


def drop_last_protein(part):
    for name, last in (("protein", -1), ("mean", -1), ("offset", -1)):
        values = part[name][:last]
        del part[name]
        part[name] = values
    rows = part["offset"][-1]
    for name in ("residue", "sequence"):
        values = part[name][:rows]
        del part[name]
        part[name] = values


def lose_a_protein(folder, path):
    """A part under the right name of fewer proteins: what another index would name."""
    rewrite(path, drop_last_protein)
    with h5py.File(path) as part:
        name = part_name(part["protein"].asstr()[:])
    rows = pq.read_table(folder / "index.parquet").to_pylist()
    for row in rows:
        row["uri"] = row["uri"].replace(path.stem, name)
    pq.write_table(pa.Table.from_pylist(rows), folder / "index.parquet")
    path.rename(path.with_name(f"{name}.h5"))


def move_a_row(folder, path):
    rows = pq.read_table(folder / "index.parquet").to_pylist()
    rows[3]["row"] += 1
    pq.write_table(pa.Table.from_pylist(rows), folder / "index.parquet")


DAMAGE = {
    "a byte": (flip_a_byte_of_the_vectors, {"digest": 1}),
    "a note": (
        lambda _, p: rewrite(p, lambda part: part.attrs.update(note="best model"), False),
        {"digest": 1},
    ),
    "a mean": (lambda _, p: rewrite(p, put("mean", (0, 0), 0.5), False), {"digest": 1}),
    "no digest": (lambda _, p: rewrite(p, lambda part: part.attrs.pop("digest"), False), {"digest": 1}),
    "half a file": (lambda _, p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), {"unreadable": 1}),
    "no file": (lambda _, p: p.write_bytes(b""), {"unreadable": 1}),
    "no dataset": (lambda _, p: rewrite(p, lambda part: part.pop("mean"), False), {"unreadable": 1}),
    "a name": (rename, {"name": 1, "part missing": 1}),
    "a letter": (lambda _, p: rewrite(p, put("sequence", 0, 87)), {"protein": 1}),
    "an offset": (lambda _, p: rewrite(p, put("offset", 1, 0)), {"offset": 1}),
    "rows": (lambda _, p: rewrite(p, put("offset", -1, 9999)), {"offset": 1}),
    "not a number": (lambda _, p: rewrite(p, put("residue", (2, 3), np.nan)), {"value": 1}),
    "infinity": (lambda _, p: rewrite(p, put("mean", (0, 3), np.inf)), {"value": 1}),
    "another model": (lambda _, p: rewrite(p, lambda part: part.attrs.update(layer="first")), {"model": 4}),
    "no part": (lambda _, p: p.unlink(), {"part missing": 1}),
    "no protein": (lose_a_protein, {"protein missing": 1}),
    "a row": (move_a_row, {"place": 1}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(tmp_path, index, damage):
    change, problems = DAMAGE[damage]
    change(tmp_path, parts(tmp_path)[0])
    findings = verify_store(tmp_path / "store", MODEL.key, index)
    assert Counter(finding.problem for finding in findings if finding.level == "error") == problems
    with pytest.raises(EmbeddingError, match=f"{sum(problems.values())} errors in all") as error:
        report_findings(findings, tmp_path / "verified.tsv")
    assert "\n" not in str(error.value) and str(findings[0].file) in str(error.value)
    lines = (tmp_path / "verified.tsv").read_text().splitlines()
    assert lines == ["\t".join(row) for row in (HEADER, *findings)]


def test_what_does_no_harm_is_noted(tmp_path, index, proteins):
    folder = tmp_path / "store" / MODEL.key
    for name in (".0123456789ab.part.h5", "README", "part.txt"):
        (folder / name).write_bytes(b"")
    fill_store(tmp_path / "store", {protein_id("OTHERRUN"): "OTHERRUN"})
    findings = verify_store(tmp_path / "store", MODEL.key, index)
    assert [(f.level, f.problem, Path(f.file).name) for f in findings] == [
        ("note", "temporary", ".0123456789ab.part.h5"),
        ("note", "stranger", "README"),
        ("note", "stranger", "part.txt"),
        ("note", "unused", MODEL.key),
    ]
    assert findings[-1].detail == f"1 parts are not in {index}"
    report_findings(findings, tmp_path / "verified.tsv")
    assert len((tmp_path / "verified.tsv").read_text().splitlines()) == 5


def test_an_index_of_another_store_is_not_taken_for_this_one(tmp_path, proteins):
    """The same parts are there under the same names, but not where the index says."""
    index = write_run(tmp_path / "run", proteins)
    shutil.copytree(tmp_path / "run" / "store", tmp_path / "copy")
    shutil.rmtree(tmp_path / "run" / "store")
    findings = verify_store(tmp_path / "copy", MODEL.key, index)
    assert Counter(finding.problem for finding in findings) == {"part missing": 5}


KILLED = """
import sys, time
import numpy as np
sys.path[:0] = sys.argv[2:]
from helixflow.embeddings import store
from helixflow.proteins import protein_id
from stores import MODEL
# All is written when the digest is waited for, and nothing has its name yet.
store.content_digest = lambda *_: (time.sleep(60), "")[1]
vectors = np.ones((3, 8), np.float16)
store.write_part(sys.argv[1], {protein_id("MKV"): "MKV"}, vectors, vectors[:1].astype(np.float32), MODEL)
"""


def test_a_part_whose_writer_is_killed_is_not_there(tmp_path):
    name, folder = part_name([protein_id("MKV")]), tmp_path / "store" / MODEL.key
    path = folder / f"{name}.h5"
    job = subprocess.Popen([sys.executable, "-c", KILLED, path, ROOT / "scripts", ROOT / "tests"])
    try:
        while not list(folder.glob(".*.h5")):
            assert job.poll() is None
            time.sleep(0.01)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    (left,) = folder.iterdir()
    assert left.name.startswith(".") and left.name.endswith(f".{name}.h5")
    with open_store(tmp_path / "store", MODEL.key) as stored:
        assert stored.find(protein_id("MKV")) is None
    assert [f.problem for f in verify_store(tmp_path / "store", MODEL.key)] == ["temporary"]

    # It may be another run's that is at it, so it goes only when it is old.
    assert remove_temporary(tmp_path / "store", MODEL.key) == [] and left.exists()
    fill_store(tmp_path / "store", {protein_id("MKV"): "MKV"})
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    os.utime(path, (time.time() - 2 * 86_400,) * 2)
    (folder / ".hidden.h5").touch()
    os.utime(folder / ".hidden.h5", (0, 0))
    assert remove_temporary(tmp_path / "store", MODEL.key) == [left]
    assert sorted(path.name for path in folder.iterdir()) == [".hidden.h5", path.name]


# Near-duplicates


def clustered(folder, proteins):
    """A run in which every third protein stands for itself and the two after it."""
    names = sorted(proteins)
    rows = [{"protein": name, "representative": names[at - at % 3]} for at, name in enumerate(names)]
    # Not listed is not grouped.
    pq.write_table(pa.Table.from_pylist(rows[:-3]), folder / "clusters.parquet")
    representative = {row["protein"]: row["representative"] for row in rows[:-3]}
    embedded = {name: proteins[name] for name in names if representative.get(name, name) == name}
    write_fasta(folder / "distinct.fasta.gz", [(name, proteins[name]) for name in names])
    fill_store(folder / "store", embedded)
    index = folder / "index.parquet"
    write_index(folder / "distinct.fasta.gz", index, MODEL, folder / "store", folder / "clusters.parquet")
    return index, {name: representative.get(name, name) for name in names}


def test_members_of_a_group_point_at_their_representative(tmp_path, proteins):
    index, representative = clustered(tmp_path, proteins)
    rows = pq.read_table(index).to_pylist()
    assert {row["protein"]: row["embedded"] for row in rows} == representative
    assert len(set(representative.values())) < len(rows) - 10
    for row in rows:
        assert row["uri"].endswith(f"#{row['embedded']}") and row["length"] == len(proteins[row["protein"]])
        vectors = open_embedding(row["uri"], tmp_path)
        np.testing.assert_array_equal(vectors, expected(proteins[row["embedded"]]))
    assert [name for name, _ in read_embedded(index)] == sorted(set(representative.values()))
    assert verify_store(tmp_path / "store", MODEL.key, index) == []


def test_a_near_duplicate_is_not_joined_residue_by_residue(tmp_path, proteins):
    index, representative = clustered(tmp_path, proteins)
    for name, embedded in representative.items():
        links = [Link(name, 1, proteins[name][0], "identical", 2)]
        alone = nullcontext() if name == embedded else pytest.raises(MismatchError, match="near-duplicate")
        with alone:
            find_embeddings(index, links, "links.tsv")


# One file over all parts


def test_one_file_over_all_parts_reads_as_they_do_after_moving_too(tmp_path, proteins):
    index = write_run(tmp_path / "100%1b" / "run", proteins)
    write_virtual(index, index.with_name("all.h5"), WIDTH)
    sizes = [
        index.with_name("all.h5").stat().st_size,
        sum(path.stat().st_size for path in parts(index.parent)),
    ]
    (tmp_path / "100%1b").rename(tmp_path / "moved")
    folder = tmp_path / "moved" / "run"
    uris, seen = read_index(folder / "index.parquet"), []
    with h5py.File(folder / "all.h5") as file:
        assert all(file[name].is_virtual for name in ("residue", "sequence", "mean"))
        pooled = open_pooled(uris[name] for name in file["protein"].asstr()[:])
        np.testing.assert_array_equal(file["mean"][:], pooled)
        for number, name in enumerate(file["protein"].asstr()):
            first, last = file["offset"][number : number + 2]
            np.testing.assert_array_equal(file["residue"][first:last], open_embedding(uris[name]))
            assert file["sequence"][first:last].tobytes().decode() == proteins[name]
            seen.append(name)
    assert sorted(seen) == sorted(proteins)
    assert sizes[0] < 20_000 < sizes[1]


def test_a_part_that_is_gone_reads_as_not_a_number(tmp_path, index):
    write_virtual(index, tmp_path / "all.h5", WIDTH)
    parts(tmp_path)[1].unlink()
    with h5py.File(tmp_path / "all.h5") as file:
        assert np.isnan(file["residue"][:]).any() and np.isnan(file["mean"][:]).any()


def test_no_proteins_at_all(tmp_path):
    index = write_run(tmp_path, {})
    write_virtual(index, tmp_path / "all.h5", WIDTH)
    with h5py.File(tmp_path / "all.h5") as file:
        assert {name: file[name].shape for name in file} == {
            "protein": (0,), "offset": (1,), "residue": (0, WIDTH), "sequence": (0,), "mean": (0, WIDTH),
        }  # fmt: skip
    export_per_accession(index, occurrences(tmp_path, []), tmp_path / "per_accession.h5")
    export_skbio(index, tmp_path / "skbio.h5")
    with h5py.File(tmp_path / "per_accession.h5") as file, h5py.File(tmp_path / "skbio.h5") as embed:
        assert list(file) == [] and embed["embedding"].shape == (0, 0)
    assert verify_store(tmp_path / "store", MODEL.key, index) == []


def test_the_file_over_all_parts_has_the_same_bytes_each_time(tmp_path, index):
    write_virtual(index, tmp_path / "all.h5", WIDTH)
    first = (tmp_path / "all.h5").read_bytes()
    time.sleep(1.1)
    write_virtual(index, tmp_path / "all.h5", WIDTH)
    assert (tmp_path / "all.h5").read_bytes() == first


# Exports


def occurrences(folder, places):
    """Write where proteins were seen: sequence, unit and label of each."""
    columns = {"protein": [protein_id(sequence) for sequence, _, _ in places]}
    columns |= {name: [place[at] for place in places] for at, name in ((1, "unit"), (2, "label"))}
    types = {name: pa.string() for name in columns}
    pq.write_table(pa.table(columns, pa.schema(types)), folder / "occurrences.parquet")
    return folder / "occurrences.parquet"


def export(folder, places):
    sequences = {protein_id(sequence): sequence for sequence, _, _ in places}
    index = write_run(folder, sequences)
    export_per_accession(index, occurrences(folder, places), folder / "per_accession.h5")
    return h5py.File(folder / "per_accession.h5")


def test_every_label_is_found_as_it_is_written(tmp_path):
    """The traps: ids with / and ., two ids of one sequence, one id twice, letters beyond ASCII."""
    labels = ["sp|P12497|POL_HV1N5", "a/b", "a.b", "a_b", "a/c.1", "..", "x:y z", "β-lactamase", "1.5", "%2F"]
    proteins = ["MKV" + letter for letter in "ACDEFGHIKL"]
    places = [(sequence, "one", label) for sequence, label in zip(proteins, labels, strict=True)]
    places += [("MKVA", "one", "twin"), ("MKVA", "two", "sp|P12497|POL_HV1N5"), ("MKVA", "two", "a/twin")]
    places += [("MKVC", "two", "")]
    with export(tmp_path, places) as file:
        for sequence, _, label in places:
            found = file[label or protein_id(sequence)]
            assert found[:].dtype == np.float16
            np.testing.assert_array_equal(found[:], expected(sequence))
            assert found.attrs["protein"] == protein_id(sequence)
        assert file["twin"] == file["a/twin"] == file["sp|P12497|POL_HV1N5"] != file["a/b"]
        assert file.attrs["note"] == "random vectors"
        named = []
        file.visititems(lambda name, item: named.append(name) if isinstance(item, h5py.Dataset) else None)
    # h5py visits an object with several names once.
    assert len(named) == len(proteins)


def test_one_label_of_several_sequences_names_none_of_them_alone(tmp_path):
    places = [("MKV", "one", "A"), ("MKL", "two", "A"), ("MKV", "three/x", "A"), ("MKL", "two", "B")]
    with export(tmp_path, places) as file:
        assert "A" not in file
        for name, sequence in {"one/A": "MKV", "two/A": "MKL", "three/x/A": "MKV", "B": "MKL"}.items():
            np.testing.assert_array_equal(file[name][:], expected(sequence))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ([("MKV", "one", "A"), ("MKL", "one", "A")], "'one/A' stands for the two proteins"),
        ([("MKV", "one", "a/b"), ("MKL", "two", "a//b")], "stands for the two proteins"),
        ([("MKV", "one", "a/b"), ("MKL", "two", "/a/./b/")], "stands for the two proteins"),
        ([("MKV", "one", "a"), ("MKL", "two", "a/b")], "labels 'a' and 'a/b' cannot both be"),
        ([("MKV", "one", "x"), ("MKL", "two", "x"), ("MK", "z", "two/x/y")], "cannot both be"),
        ([("MKV", "one", ".")], "label '.' of one is no name in HDF5"),
        ([("MKV", "one", "/")], "is no name in HDF5"),
    ],
)
def test_labels_that_collide_are_an_error_and_not_lost(tmp_path, places, message):
    with pytest.raises(EmbeddingError, match=message) as error:
        export(tmp_path, places)
    assert "\n" not in str(error.value) and not (tmp_path / "per_accession.h5").exists()


def test_a_place_that_the_index_lacks_is_an_error(tmp_path, index):
    with pytest.raises(EmbeddingError, match=f"no protein {protein_id('NEW')}"):
        export_per_accession(index, occurrences(tmp_path, [("NEW", "u", "l")]), tmp_path / "x.h5")


def test_labels_of_near_duplicates_are_left_out_and_counted(tmp_path, proteins, caplog):
    """Whoever reads a label must not get the vectors of another protein, whose length may differ."""
    index, representative = clustered(tmp_path, proteins)
    places = [(sequence, "unit", f"label {name}") for name, sequence in proteins.items()]
    export_per_accession(index, occurrences(tmp_path, places), tmp_path / "x.h5")
    own = {name for name in proteins if representative[name] == name}
    assert 0 < len(own) < len(proteins)
    with h5py.File(tmp_path / "x.h5") as file:
        assert set(file) == {f"label {name}" for name in own}
        assert file.attrs["left_out"] == len(proteins) - len(own)
        for name in own:
            np.testing.assert_array_equal(file[f"label {name}"][:], expected(proteins[name]))
    assert f"{len(proteins) - len(own)} labels of proteins whose near-duplicates" in caplog.text


def test_the_layout_of_scikit_bio(tmp_path, index, proteins):
    export_skbio(index, tmp_path / "skbio.h5")
    with h5py.File(tmp_path / "skbio.h5") as file:
        assert (file.attrs["format"], file.attrs["dtype"], file.attrs["dim"]) == (
            "embedding",
            "float32",
            WIDTH,
        )
        assert [name.decode() for name in file["protein"]] == sorted(proteins)
        ends = np.cumsum([len(proteins[name]) for name in sorted(proteins)])
        np.testing.assert_array_equal(file["idptr"], ends)
        assert file["id"][:].tobytes().decode() == "".join(proteins[name] for name in sorted(proteins))


@pytest.mark.parametrize("groups", [False, True])
def test_scikit_bio_reads_what_is_written_for_it(tmp_path, proteins, groups):
    pytest.importorskip("skbio")
    from skbio import read
    from skbio.embedding import ProteinEmbedding

    index, embedded = write_run(tmp_path, proteins), set(proteins)
    if groups:
        shutil.rmtree(tmp_path / "store")
        index, representative = clustered(tmp_path, proteins)
        embedded = set(representative.values())
    export_skbio(index, tmp_path / "skbio.h5")
    found = list(read(str(tmp_path / "skbio.h5"), format="embed", constructor=ProteinEmbedding))
    assert [protein_id(str(each.sequence)) for each in found] == sorted(embedded)
    for each in found:
        wanted = expected(str(each.sequence))
        assert each.embedding.dtype == np.float32
        np.testing.assert_array_equal(each.embedding, wanted.astype(np.float32))


# Reuse


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A BERT of one layer with random weights, as transformers itself writes it."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("bert")
    shape = BertConfig(
        vocab_size=len(PROTBERT), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=2048,
    )  # fmt: skip
    BertModel(shape, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in PROTBERT))
    return describe_model(str(folder), "")


@pytest.fixture
def calls(monkeypatch):
    """How often each protein went through the model."""
    counted = Counter()
    embed_part = engine.embed_part

    def spy(encoder, sequences, *arguments, **options):
        counted.update(sequences.values())
        return embed_part(encoder, sequences, *arguments, **options)

    monkeypatch.setattr(engine, "embed_part", spy)
    return counted


def run(folder, tables, model, store):
    """From the proteins of all rows to the index, as the rules do."""
    fastas = [table.with_suffix(".fasta.gz") for table in tables]
    outputs = folder / "distinct.fasta.gz", folder / "occurrences.parquet"
    collect_proteins(tables, fastas, [], *outputs)
    shards = [folder / "plan" / f"{number:03d}.fasta" for number in range(2)]
    plan_shards(outputs[0], shards, model, store)
    for shard in shards:
        embed_fasta(shard, model, store, **OPTIONS)
    write_index(outputs[0], folder / "index.parquet", model, store)
    return read_index(folder / "index.parquet")


def write_structure(folder, name, chains):
    """The residues of a structure's chains, as proteins of a row."""
    lines = ["index\tchain\tnumber\tinsertion\tname\tcode"]
    for chain, sequence in chains.items():
        lines += [
            f"{len(lines) - 1 + at}\t{chain}\t{at + 1}\t\tXXX\t{code}" for at, code in enumerate(sequence)
        ]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    table = folder / f"{name}.parquet"
    read_chains(folder / f"{name}.tsv", table.with_suffix(".fasta.gz"), table, sample=name)
    return table


def test_one_model_call_per_distinct_sequence(tmp_path, model, calls, proteins):
    """Over chains that are the same within and between structures, whatever the number of frames."""
    one, two, three, four = list(proteins.values())[1:5]
    tables = [
        write_structure(tmp_path, "dimer", {"A": one, "B": one}),
        write_structure(tmp_path, "complex", {"A": one, "H": two, "L": three, "M": three}),
        write_structure(tmp_path, "frame_1", {"A": two}),
        write_structure(tmp_path, "frame_2", {"A": two}),
    ]
    index = run(tmp_path / "first", tables, model, tmp_path / "store")
    assert calls == {one: 1, two: 1, three: 1}
    assert set(index) == {protein_id(sequence) for sequence in (one, two, three)}

    # A new row of the sheet, and then another run with the same store: what is new, and nothing.
    tables.append(write_structure(tmp_path, "new", {"A": four, "B": one}))
    run(tmp_path / "first", tables, model, tmp_path / "store")
    assert calls == {one: 1, two: 1, three: 1, four: 1}
    index = run(tmp_path / "second", tables[2:], model, tmp_path / "store")
    assert calls == {one: 1, two: 1, three: 1, four: 1}
    assert open_embedding(index[protein_id(four)]).shape == (len(four), 16)


def test_another_model_computes_its_own(tmp_path, model, calls, proteins):
    import torch
    from safetensors.torch import load_file, save_file

    one = list(proteins.values())[1]
    tables = [write_structure(tmp_path, "monomer", {"A": one})]
    run(tmp_path / "first", tables, model, tmp_path / "store")
    other = Path(shutil.copytree(model.folder, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] += torch.tensor(1e-3)
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    run(tmp_path / "second", tables, describe_model(str(other), ""), tmp_path / "store")
    assert calls == {one: 2}
    assert len(list((tmp_path / "store").iterdir())) == 2


WORKER = """
import sys
sys.path.insert(0, sys.argv[1])
from helixflow.embeddings.calibration import Rates
from helixflow.embeddings.engine import embed_fasta
from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import read_model
from helixflow.embeddings.store import remove_temporary
fasta, model, store, index = sys.argv[2:6]
model = read_model(model)
embed_fasta(fasta, model, store, **eval(sys.argv[6]))
write_index(fasta, index, model, store)
remove_temporary(store, model.key)
"""


def test_runs_that_share_a_store_at_the_same_time_do_no_harm(tmp_path, model, demo):
    """Three processes embed overlapping sets; each finds all of its own, and all parts are whole."""
    sequences = [sequence for _, sequence in read_fasta(demo / "NC_000932.faa") if len(sequence) < 500]
    named = sorted({protein_id(sequence): sequence for sequence in sequences}.items())
    write_model(tmp_path / "model.json", model)
    shares = {"all": named, "first": named[:50], "second": named[25:]}
    jobs = []
    for name, share in shares.items():
        write_fasta(tmp_path / f"{name}.fasta", share)
        arguments = [
            f"{name}.fasta",
            "model.json",
            "store",
            f"{name}.parquet",
            str(OPTIONS | {"part_seconds": 999}),
        ]
        command = [sys.executable, "-c", WORKER, str(ROOT / "scripts"), *arguments]
        jobs.append(subprocess.Popen(command, cwd=tmp_path))
    assert [job.wait() for job in jobs] == [0, 0, 0]
    for name, share in shares.items():
        errors = verify_store(tmp_path / "store", model.key, tmp_path / f"{name}.parquet")
        assert [finding for finding in errors if finding.problem != "unused"] == []
        index = read_index(tmp_path / f"{name}.parquet")
        assert index.keys() == dict(share).keys()
    embed_fasta(tmp_path / "all.fasta", model, tmp_path / "alone", **OPTIONS)
    write_index(tmp_path / "all.fasta", tmp_path / "alone.parquet", model, tmp_path / "alone")
    alone, shared = (read_index(tmp_path / f"{name}.parquet") for name in ("alone", "all"))
    for name, uri in alone.items():
        np.testing.assert_allclose(open_embedding(uri), open_embedding(shared[name]), atol=1e-3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda h5: h5.pop("protein") and h5.create_group("protein"),
        lambda h5: h5.pop("protein") and h5.create_dataset("protein", data=[1, 2, 3]),
        lambda h5: h5.pop("protein") and h5.create_dataset("protein", data=np.array([b"\xff"] * 5, "S35")),
        lambda h5: h5.pop("offset") and h5.create_dataset("offset", data=[0, 1]),
        lambda h5: h5.pop("mean") and h5.__setitem__("mean", np.dtype("f8")),
    ],
)
def test_a_part_of_another_form_is_named_and_the_others_are_looked_at(tmp_path, index, proteins, damage):
    damaged, other = parts(tmp_path)[:2]
    with h5py.File(damaged, "r+") as h5:
        damage(h5)
    flip_a_byte_of_the_vectors(tmp_path, other)
    findings = verify_store(tmp_path / "store", MODEL.key, index)
    files = {finding.file for finding in findings if finding.level == "error"}
    assert {str(damaged), str(other)} <= files
    if "mean" not in damage.__code__.co_consts:
        with (
            pytest.raises(EmbeddingError, match=rf"{damaged.name}: is not a whole part"),
            open_store(tmp_path / "store", MODEL.key),
        ):
            pass


# The targets


def test_other_shards_and_a_lost_plan_are_planned_anew(tmp_path):
    """What a killed job leaves, Snakemake removes: a plan that is gone beside older results of its shards."""
    records = [(f"p{number}", "MKVLAWYHC" * number) for number in range(1, 9)]
    write_fasta(tmp_path / "some.faa", records[:6])
    write_fasta(tmp_path / "more.faa", records[6:])
    sheet = "sample\tkind\tsource\nsome\tproteins\tsome.faa\n"
    (tmp_path / "samples.tsv").write_text(sheet)
    (tmp_path / "config.yaml").write_text(SMALL.replace("shards: 2", "shards: 3"))
    snakemake(tmp_path, "embeddings", "--until", "plan_shards")
    (tmp_path / "config.yaml").write_text(SMALL.replace("shards: 2", "shards: 1"))
    snakemake(tmp_path, "embeddings")
    results = tmp_path / "results/embeddings"
    assert len(read_index(results / "index.parquet")) == 6
    assert [path.name for path in sorted(results.glob("[0-9]*"))] == ["000.json", "000.parquet"]
    (tmp_path / "samples.tsv").write_text(f"{sheet}more\tproteins\tmore.faa\n")
    snakemake(tmp_path, "proteins")
    for path in (results / "plan").iterdir():
        path.unlink()
    snakemake(tmp_path, "embeddings")
    assert len(read_index(results / "index.parquet")) == 8


def test_what_is_made_on_request(tmp_path):
    """As a user asks for it; then a part is damaged, which verify_store says in one line, and in a table."""
    records = {"sp|P1/x.1": "MKVLAWYHC", "P1_x_1": "MKVLAWYHC", "P1.x": "MKVLAWYHCFG", "P2": "MSTNPKPQRKTKRN"}
    write_fasta(tmp_path / "some.faa", records.items())
    write_fasta(tmp_path / "query.faa", [("mine", "MKVLAWYHCFGI")])
    (tmp_path / "samples.tsv").write_text("sample\tkind\tsource\nsome\tproteins\tsome.faa\n")
    (tmp_path / "config.yaml").write_text(SMALL.replace("part_seconds: 0.5", "neighbours_query: query.faa"))
    snakemake(tmp_path, "embeddings", "export_per_accession", "export_skbio", "verify_store")
    results = tmp_path / "results/embeddings"
    uris = read_index(results / "index.parquet")
    header, *notes = (results / "verified.tsv").read_text().splitlines()
    # The part of the query, where it was there already.
    assert header == "\t".join(HEADER) and [line.split("\t")[1] for line in notes] in ([], ["unused"])
    rows = pq.read_table(results / "neighbours.parquet").to_pylist()
    assert {row["query"] for row in rows} == {"mine"} and {row["protein"] for row in rows} == uris.keys()
    with h5py.File(results / "per_accession.h5") as file, h5py.File(results / "all.h5") as virtual:
        for name, sequence in records.items():
            np.testing.assert_array_equal(file[name], open_embedding(uris[protein_id(sequence)]))
        assert sorted(virtual["protein"].asstr()) == sorted(uris)
    with h5py.File(results / "skbio.h5") as file:
        assert len(file["idptr"]) == 3

    part = Path(next(iter(uris.values())).split("#")[0])
    flip_a_byte_of_the_vectors(tmp_path, part)
    done = subprocess.run(command(tmp_path, "verify_store"), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines()[-6:] if line.startswith("EmbeddingError: ")]
    assert len(said) == 1 and part.name in said[0] and "results/embeddings/verified.tsv" in said[0]
    assert "\nerror\t" in (results / "verified.tsv").read_text()

"""Embeddings by their URIs in S3: a stand-in for the service on 127.0.0.1."""

import os

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from helixflow.embeddings import open_embedding, open_embeddings, open_pooled, read_index
from helixflow.embeddings.reading import map_part, open_letters, open_stored, split_uri
from helixflow.embeddings.remote import _Object, open_remote_part
from helixflow.errors import EmbeddingError
from helixflow.proteins.names import protein_id
from servers import s3_service
from stores import fill_store, write_run

ACCESS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
PROTEINS = {protein_id(sequence): sequence for sequence in ("MKVLA", "MSTNPKPQRKTK", "GG")}


@pytest.fixture(scope="module")
def s3():
    with s3_service() as service:
        yield service


@pytest.fixture
def anonymous(s3, monkeypatch, tmp_path):
    """The environment of someone without credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3[0])
    open_remote_part.cache_clear()


@pytest.fixture
def part(s3, tmp_path):
    """A part in the bucket that all may read; its file, and its URL."""
    (path,) = fill_store(tmp_path / "store", PROTEINS)
    s3[1].put_object(Bucket="bucket", Key="run/part.h5", Body=path.read_bytes(), ACL="public-read")
    return path, "s3://bucket/run/part.h5"


def test_what_is_read_from_s3_is_what_the_file_has(anonymous, part):
    path, url = part
    for protein, sequence in PROTEINS.items():
        here, there = open_stored(f"{path}#{protein}"), open_stored(f"{url}#{protein}")
        np.testing.assert_array_equal(here.vectors, there.vectors)
        np.testing.assert_array_equal(open_embedding(f"{url}#{protein}"), here.vectors)
        assert there.sequence == sequence == open_letters(f"{url}#{protein}").tobytes().decode()
        assert (there.row, there.model["model"], len(there.vectors)) == (here.row, "random", len(sequence))
    uris = [f"{place}#{protein}" for place in (path, url) for protein in PROTEINS]
    means = open_pooled(uris)
    np.testing.assert_array_equal(means[:3], means[3:])
    lengths = [len(vectors) for vectors in open_embeddings(uris)]
    assert lengths == [*map(len, PROTEINS.values())] * 2


def test_vectors_that_nobody_looks_at_are_not_fetched(anonymous, s3, tmp_path, monkeypatch):
    """Of 20 MB, what describes the file, ids and offsets come, and a few rows."""
    rows, path = 10_000, tmp_path / "big.h5"
    with h5py.File(path, "w") as h5:
        h5["protein"], h5["offset"] = np.array([protein_id("MK").encode()]), np.array([0, rows])
        h5["residue"] = (np.arange(rows * 1024) % 1000).astype(np.float16).reshape(rows, 1024)
        h5["sequence"], h5["mean"] = np.full(rows, 65, np.uint8), np.ones((1, 1024), np.float32)
    s3[1].put_object(Bucket="bucket", Key="big.h5", Body=path.read_bytes(), ACL="public-read")
    fetched, read = [], _Object.readinto
    monkeypatch.setattr(_Object, "readinto", lambda self, into: fetched.append(n := read(self, into)) or n)
    found = map_part("s3://bucket/big.h5").residue[9000:9004]
    np.testing.assert_array_equal(found, map_part(str(path)).residue[9000:9004])
    assert 4 * 2048 <= sum(fetched) < 3_000_000 and len(fetched) < 12
    opened = len(fetched)
    map_part("s3://bucket/big.h5")
    assert len(fetched) == opened, "a part is opened once"


def test_a_relative_uri_starts_at_its_index_and_another_one_does_not(anonymous, part, s3, tmp_path):
    path, url = part
    protein = min(PROTEINS)
    key = f"run/store/deeper/{path.name}"
    s3[1].put_object(Bucket="bucket", Key=key, Body=path.read_bytes(), ACL="public-read")
    found = open_embedding(f"../store/deeper/{path.name}#{protein}", "s3://bucket/run/embeddings")
    np.testing.assert_array_equal(found, open_embedding(f"{url}#{protein}", tmp_path))

    index = write_run(tmp_path / "run", PROTEINS)
    assert open_embedding(read_index(index)[protein]).shape == found.shape
    table = pq.read_table(index)
    uris = [f"{url}#{name}" for name in table["protein"].to_pylist()]
    pq.write_table(table.set_column(table.schema.get_field_index("uri"), "uri", [uris]), index)
    assert read_index(index)[protein] == f"{url}#{protein}"
    np.testing.assert_array_equal(open_embedding(read_index(index)[protein]), found)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("missing.h5", r"^s3://bucket/missing\.h5: no such object; .*\(HTTP status 404\)$"),
        ("private.h5", r"^s3://bucket/private\.h5: may not be read, asked anonymously; .*403"),
        ("text.h5", r"^s3://bucket/text\.h5: is not a whole part of the store"),
        ("other.h5", r"^s3://bucket/other\.h5: is not a whole part .*residue"),
        ("short.h5", r"^s3://bucket/short\.h5: is not a whole part"),
        ("empty.h5", r"^s3://bucket/empty\.h5: is not a whole part"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(anonymous, part, s3, tmp_path, key, message):
    content = part[0].read_bytes()
    with h5py.File(tmp_path / "other.h5", "w") as h5:
        h5["protein"] = [b"x"]
    bodies = {
        "private.h5": content,
        "text.h5": b"no HDF5" * 99,
        "other.h5": (tmp_path / "other.h5").read_bytes(),
        "short.h5": content[: len(content) // 2],
        "empty.h5": b"",
    }
    if key in bodies:
        access = "private" if key == "private.h5" else "public-read"
        s3[1].put_object(Bucket="bucket", Key=key, Body=bodies[key], ACL=access)
    with pytest.raises(EmbeddingError, match=message) as told:
        open_embedding(f"s3://bucket/{key}#{min(PROTEINS)}")
    assert "\n" not in str(told.value)


def test_who_has_credentials_may_read_what_is_private(anonymous, part, s3, monkeypatch):
    s3[1].put_object(Bucket="bucket", Key="mine.h5", Body=part[0].read_bytes())
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    assert len(open_embedding(f"s3://bucket/mine.h5#{protein_id('GG')}")) == 2


def test_a_part_that_changes_while_it_is_read_is_refused(anonymous, s3, tmp_path):
    sequence = "MKVLA" * 9000
    (path,) = fill_store(tmp_path / "long", {protein_id(sequence): sequence})
    s3[1].put_object(Bucket="bucket", Key="long.h5", Body=path.read_bytes(), ACL="public-read")
    uri = f"s3://bucket/long.h5#{protein_id(sequence)}"
    map_part("s3://bucket/long.h5")
    s3[1].put_object(Bucket="bucket", Key="long.h5", Body=path.read_bytes() + b"!", ACL="public-read")
    with pytest.raises(EmbeddingError, match="changed while it was read"):
        open_embedding(uri)


def test_a_service_that_does_not_answer(anonymous, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setattr("helixflow.embeddings.remote._ATTEMPTS", 1)
    with pytest.raises(EmbeddingError, match=r"s3://bucket/x\.h5: cannot be asked for .*127\.0\.0\.1:1"):
        open_embedding(f"s3://bucket/x.h5#{min(PROTEINS)}")


def test_addresses_of_other_kinds_are_refused():
    protein = min(PROTEINS)
    for uri in (f"https://x.org/part.h5#{protein}", f"s3://part.h5#{protein}", f"s3:///part.h5#{protein}"):
        with pytest.raises(EmbeddingError, match="expected a file or an object of S3"):
            open_embedding(uri)
    assert split_uri(f"s3://bucket/a/part.h5#{protein}") == ("s3://bucket/a/part.h5", protein)

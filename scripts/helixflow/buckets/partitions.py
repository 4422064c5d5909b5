"""Records of reads and metagenomes in partitions of equal cost, those that look alike together."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.families import Encoding, make_encoding
from helixflow.buckets.settings import BucketSettings
from helixflow.errors import ConfigError
from helixflow.files import remove_leftovers, whole_file
from helixflow.members import Member, read_members
from helixflow.sequences.formats.bgzf import BgzfWriter
from helixflow.tables import write_rows

log = logging.getLogger(__name__)

#: Bases of the k-mers that link records. Of the pairs of reads that overlap by 500 bases, at 10 % error and
#: depth 5, 87 % meet in 64 partitions with 25, 66 % with 21, of which more are shared by chance.
_K = 25
#: Hashes kept of a record, 8 bytes each.
_SIZE = 400
#: Records that share a hash are not linked by it when they are more than this,
_POPULAR = 40
#: and more than so many times what nine of ten hashes are shared by that are shared: it is of a repeat or an
#: adapter, and not of a genome that was sequenced many times.
_TIMES = 4
#: A record of more than this share of a partition is placed by its size: those that are placed by likeness
#: add half of theirs at most to each end of a partition, so that none is 5 % above the mean.
_LARGE = 0.04
#: Hashes are sorted by so many slices, which takes less memory than sorting all of them at a time.
_SLICES = 16
#: Bases of a record that are hashed together, which takes 40 bytes each.
_STRETCH = 1 << 20
#: Files that are open beside those of the partitions.
_OPEN = 64
#: Codes of letters as `parsing` has them; other letters stay, which are above all codes.
_CODES = bytes.maketrans(b"ACGTUacgtu", b"\0\1\2\3\3\0\1\2\3\3")

#: Columns of the table of records and their Arrow types.
_TABLE_TYPES = {"record": "string", "partition": "int16", "residues": "int64"}

StrPath = str | os.PathLike[str]


def partition_records(rows: Iterable[StrPath], outputs: Sequence[StrPath], table: StrPath) -> None:
    """Write the records of rows of reads and metagenomes into partitions of equal numbers of letters.

    The records are read twice, one at a time; of each, a sketch of at most 3.2 kB stays in memory.

    Parameters
    ----------
    rows : iterable of path
        ``results/sequences/{sample}.json``, in any order.
    outputs : sequence of path
        A FASTA file for each partition, bgzip; records are called ``sample/record``, mates
        ``sample/record/1`` and ``sample/record/2``.
    table : path
        Parquet: record, partition, residues; in the order of rows and their files. What a run with
        more partitions left in the folder of its name is removed.

    Raises
    ------
    SourceError
        When a file is not there that a row names.
    """
    _remove_others(Path(table).with_suffix(""), outputs)
    remove_leftovers(table)
    if not outputs:
        write_rows(table, [], _TABLE_TYPES)
        return
    members = sorted((member for row in rows for member in read_members(row)), key=lambda each: each.name)
    letters, hashes, bounds = _sketch_records(members)
    order = order_records(hashes, bounds)
    partitions = share_out(letters, order, len(outputs))
    loads = np.bincount(partitions, letters, len(outputs))
    log.info("%d records, %d letters, the largest partition has %d", len(letters), letters.sum(), loads.max())
    write_rows(table, _write(members, partitions, outputs), _TABLE_TYPES)


def _remove_others(folder: Path, outputs: Sequence[StrPath]) -> None:
    """Remove partitions that are not written now, lest they be read with those that are."""
    names = {Path(output).name for output in outputs}
    for path in folder.glob("[0-9][0-9][0-9].fasta.gz"):
        if path.name not in names:
            path.unlink()


def _records(members: Iterable[Member]) -> Iterator[tuple[str, bytes]]:
    """Give the records of members under names that tell mates apart."""
    for member in members:
        for number, path in enumerate(member.paths, 1):
            mate = f"/{number}" if len(member.paths) > 1 else ""
            for name, sequence in replace(member, paths=(path,)).records():
                yield f"{member.name}/{name.removesuffix(mate)}{mate}", sequence.encode()


def _write(
    members: Iterable[Member], partitions: NDArray[np.int32], outputs: Sequence[StrPath]
) -> Iterator[tuple[str, int, int]]:
    """Write records to their partitions; give name, partition and letters of each."""
    _allow_open(len(outputs))
    with ExitStack() as files:
        writers = []
        for output in outputs:
            remove_leftovers(output)
            stream = files.enter_context(files.enter_context(whole_file(output)).open("wb"))
            writers.append(files.enter_context(BgzfWriter(stream)))
        for (name, sequence), partition in zip(_records(members), partitions, strict=True):
            writers[partition].write(b">%b\n%b\n" % (name.encode(), sequence))
            yield name, partition, len(sequence)


def _allow_open(n: int) -> None:
    """Let this process open so many files at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n + _OPEN:
        raise ConfigError(
            f"buckets/partitions: {n} files are written at a time, expected at most {hard - _OPEN} where "
            f"`ulimit -Hn` is {hard}"
        )
    if soft != resource.RLIM_INFINITY and soft < n + _OPEN:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n + _OPEN, hard))


def _sketch_records(
    members: Iterable[Member],
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return letters (n,) of records, the smallest hashes of all, and where (n + 1,) those of each begin."""
    encodings = [make_encoding(BucketSettings(_K, 32, "hash", seed, _SIZE)) for seed in (1, 2)]
    letters: list[int] = []
    bounds = [0]
    hashes = bytearray()
    for _, sequence in _records(members):
        letters.append(len(sequence))
        hashes += sketch_record(sequence, encodings).tobytes()
        bounds.append(len(hashes) // 8)
    return np.array(letters, np.int64), np.frombuffer(hashes, np.uint64), np.array(bounds, np.int64)


def sketch_record(sequence: bytes, encodings: Sequence[Encoding]) -> NDArray[np.uint64]:
    """Return the smallest distinct hashes of the k-mers of a record, ascending, 400 at most.

    Two hashes of 32 bits make one, since two of 10^8 k-mers often have one of 32 bits in common. A long
    record is hashed by stretches, each with the k - 1 bases before it.
    """
    smallest = np.zeros(0, np.uint64)
    for begin in range(0, len(sequence), _STRETCH):
        stretch = sequence[max(0, begin - _K + 1) : begin + _STRETCH]
        smallest = np.unique(np.concatenate([smallest, _hash(stretch, encodings)]))[:_SIZE]
    return smallest


def _hash(sequence: bytes, encodings: Sequence[Encoding]) -> NDArray[np.uint64]:
    """Return a hash of each k-mer."""
    from helixflow.buckets.parsing import BREAK, PAD

    codes = np.full(PAD + len(sequence), BREAK, np.uint8)
    codes[PAD:] = np.minimum(np.frombuffer(sequence.translate(_CODES), np.uint8), BREAK)
    none, parts = np.zeros(0, np.int64), []
    for encoding in encodings:
        ids = np.empty(len(codes), np.uint32)
        parts.append(ids[: encoding.hash(codes, PAD, none, none, ids)].astype(np.uint64))
    hashes: NDArray[np.uint64] = parts[0] << np.uint64(32) | parts[1]
    return hashes


def order_records(hashes: NDArray[np.uint64], bounds: NDArray[np.int64]) -> NDArray[np.int32]:
    """Order records so that those that share k-mers are near each other.

    Parameters
    ----------
    hashes : (h,) uint64
        Of all records, one after the other.
    bounds : (n + 1,) int64
        Where in `hashes` those of each record begin, and where they end.

    Returns
    -------
    (n,) int32
        Numbers of records.
    """
    from helixflow.buckets.matching import walk

    n = len(bounds) - 1
    links = [np.zeros(0, np.int64)]
    for slice_ in range(_SLICES):
        chosen = np.flatnonzero(hashes % np.uint64(_SLICES) == slice_)
        one, other = _link(hashes[chosen], np.searchsorted(bounds, chosen, "right") - 1)
        links.append(np.unique(np.concatenate([one * n + other, other * n + one])))
    pairs = np.unique(np.concatenate(links))
    nodes, neighbours = pairs // max(n, 1), pairs % max(n, 1)
    degrees = np.bincount(nodes, minlength=n)
    nearest = np.lexsort((neighbours, degrees[neighbours], nodes))
    order = np.empty(n, np.int32)
    walk(np.append(0, np.cumsum(degrees)), neighbours[nearest].astype(np.int32), order)
    return order


def _link(
    hashes: NDArray[np.uint64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of records that share a hash, of all that do only those that follow one another."""
    by_hash = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[by_hash], owners[by_hash]
    begins = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
    sharing = np.diff(np.append(begins, len(hashes)))
    shared = sharing[sharing > 1]
    usual = int(np.percentile(shared, 90, method="lower")) if len(shared) else 0
    few = np.repeat(sharing <= max(_POPULAR, _TIMES * usual), sharing)
    linked = (hashes[1:] == hashes[:-1]) & few[1:]
    return owners[:-1][linked], owners[1:][linked]


def share_out(letters: NDArray[np.int64], order: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Share out records, those that are near each other in an order together, by numbers of letters.

    Large ones are placed first, each where least is (longest processing time first; Graham 1969); the
    others, in their order, fill what is left of one partition after the other.

    Parameters
    ----------
    letters : (m,) int64
    order : (m,) int32
    n : int
        Partitions.

    Returns
    -------
    (m,) int32
        The partition of each record.
    """
    large = letters > _LARGE * letters.sum() / n
    partitions = np.zeros(len(letters), np.int32)
    largest_first = np.flatnonzero(large)[np.argsort(-letters[large], kind="stable")]
    partitions[largest_first], loads = _place_large(letters[largest_first], n)
    small = order[~large[order]]
    cuts = np.cumsum(_room(loads, letters[small].sum()))
    middles = np.cumsum(letters[small]) - letters[small] / 2
    partitions[small] = np.minimum(np.searchsorted(cuts, middles, "right"), n - 1)
    return partitions


def _place_large(letters: NDArray[np.int64], n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Place records, longest first, each where least is; return the partitions, and the letters of each."""
    places, loads = np.zeros(len(letters), np.int32), np.zeros(n, np.int64)
    for record, letter in enumerate(letters):
        places[record] = loads.argmin()
        loads[places[record]] += letter
    return places, loads


def _room(loads: NDArray[np.int64], letters: int) -> NDArray[np.float64]:
    """Return how many of so many letters go to each partition, so that the least loaded become level."""
    ascending = np.sort(loads)
    levels = (letters + np.cumsum(ascending)) / np.arange(1, len(loads) + 1)
    level = levels[np.flatnonzero(levels >= ascending)[-1]]
    room: NDArray[np.float64] = np.maximum(level - loads, 0.0)
    return room

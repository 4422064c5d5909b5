"""Benchmarks of the stage buckets beside programs that sketch the same file, which is less."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conftest import DATA
from helixflow.buckets import BucketSettings
from helixflow.buckets.families import make_encoding
from helixflow.buckets.files import hash_members
from helixflow.buckets.planes import sample_planes
from helixflow.fasta import read_fasta
from helixflow.members import Member
from measuring import cost, program_cost, show

# Buckets: real genomes, mutated copies of them, and reads with 12 % errors, in one file.

K, BITS, SKETCH = 31, 20, 1024
BASES = 200_000_000


def write_dna(path: Path, bases: int) -> int:
    """Write half of the bases as genomes, half as reads, in lines of 60; return how many there are."""
    rng = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGT", np.uint8)
    files = sorted((DATA / "genomes").glob("*.fna.gz"))
    real = "".join(record for file in files for _, record in read_fasta(file)).encode()
    whole = np.frombuffer(real, np.uint8) if real else letters[rng.integers(0, 4, 10_000_000)]

    def mutate(sequence: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
        changed, places = sequence.copy(), rng.random(len(sequence), np.float32) < share * 4 / 3
        changed[places] = letters[rng.integers(0, 4, places.sum())]
        return changed

    written = 0
    with path.open("wb") as stream:
        while written < bases:
            genome = written < bases / 2
            begin = 0 if genome else int(rng.integers(0, len(whole) - 20_000))
            end = len(whole) if genome else begin + int(rng.integers(1_000, 20_000))
            sequence = mutate(whole[begin:end], (0.02 if written else 0) if genome else 0.12)
            lines = np.full((len(sequence) // 60, 61), ord("\n"), np.uint8)
            lines[:, :60] = sequence[: lines.shape[0] * 60].reshape(-1, 60)
            stream.write(b">%d\n" % written + lines.tobytes())
            written += lines.shape[0] * 60
    return written


def bucket_settings(family: str = "hyperplane", **more: object) -> BucketSettings:
    return BucketSettings(K, BITS, family, 1, SKETCH, **more)


def hash_kmers(path: Path, output: Path, settings: BucketSettings, threads: int = 1) -> Callable[[], None]:
    """All but the file: planes are made, kernels compiled or loaded."""
    small = path.with_name("small.fasta")
    small.write_text(">x\nACGT\n")
    hash_members([Member("x", "genome", (small,), small)], output, settings, threads)
    return partial(hash_members, [Member("x", "genome", (path,), path)], output, settings, threads)


def hash_codes(settings: BucketSettings, bases: int) -> Callable[[], None]:
    """The kernel alone, on bases in memory."""
    encoding, none = make_encoding(settings), np.zeros(0, np.int64)
    codes = np.full(4 + 100_000, 4, np.uint8)
    codes[4:] = np.random.default_rng(1).integers(0, 4, 100_000)
    ids = np.zeros(len(codes), np.uint32)
    encoding.hash(codes, 4, none, none, ids)

    def run() -> None:
        for _ in range(bases // 100_000):
            encoding.hash(codes, 4, none, none, ids)

    return run


def hash_like_lshvec(path: Path, bases: int) -> Callable[[], None]:
    """One k-mer at a time through a complex matrix product, as LSHVec's Python does it."""
    value = {"A": -1, "T": 1, "C": -1j, "G": 1j}
    normals, offsets = sample_planes(K, BITS, 1)
    powers = 2 ** np.arange(BITS)

    def run() -> None:
        with path.open() as stream:
            letters = "".join(line.strip() for line in islice(stream, 1, bases // 60))
        counts: dict[int, int] = {}
        for start in range(len(letters) - K + 1):
            kmer = np.array([value.get(base, 0) for base in letters[start : start + K]])
            sides = [(normals.conj() @ strand).real > offsets.real for strand in (kmer, -kmer[::-1])]
            bucket = min(int(side @ powers) for side in sides)
            counts[bucket] = counts.get(bucket, 0) + 1

    return run


def sketching_peers(path: Path, folder: Path) -> dict[str, tuple[object, ...]]:
    """Programs that sketch the same file, with their commands."""
    return {
        "mash": ("mash", "sketch", "-p", 1, "-k", 21, "-s", SKETCH, "-o", folder / "x", path),
        "sourmash": (
            "sourmash", "sketch", "dna", "-p", f"k={K},scaled=1000", "-o", folder / "x.sig", path,
        ),
    }  # fmt: skip


def bench_buckets(folder: Path) -> None:
    fasta, output = folder / "large.fasta", folder / "x.h5"
    bases, few = write_dna(fasta, BASES) / 1e6, 20_000
    ways = {
        "both strands": bucket_settings(),
        "both strands, sketch of the same buckets": bucket_settings(
            sketch_family="hyperplane", sketch_k=K, sketch_bits=BITS
        ),
        "symmetric planes": bucket_settings(symmetric=True),
        "canonical 10-mers": bucket_settings("spaced"),
        "hash": bucket_settings("hash"),
        "lshvec": bucket_settings("lshvec"),
    }
    rows = [
        (f"{name}, kernel alone", bases, cost(hash_codes, ways[name], int(bases * 1e6)))
        for name in ("both strands", "symmetric planes")
    ]
    rows += [
        (f"{name}, spectrum and sketch", bases, cost(hash_kmers, fasta, output, settings))
        for name, settings in ways.items()
    ]
    rows.append(("one k-mer at a time, as LSHVec's Python", few / 1e6, cost(hash_like_lshvec, fasta, few)))
    for name, command in sketching_peers(fasta, folder).items():
        if shutil.which(name):
            rows.append(
                (
                    f"{name} sketch, k={command[5] if name == 'mash' else K}, a sketch alone",
                    bases,
                    program_cost(*map(str, command)),
                )
            )
        else:
            print(f"\nbuckets: {name} is left out, it is not on PATH")
    rows.sort(key=lambda row: row[0].startswith("mash"))
    show(
        f"buckets: {bases:.0f} Mbases of FASTA, k={K}, {BITS} bits, one thread; sketches of {SKETCH}",
        "Mbases/CPU s",
        rows,
    )
    show_threads(fasta, output)


def show_threads(fasta: Path, output: Path) -> None:
    """Print what two threads gain by the clock, the fastest of three runs each."""
    work = {threads: hash_kmers(fasta, output, bucket_settings(), threads) for threads in (1, 2)}
    walls = {threads: min(map(wall_time, [run] * 3)) for threads, run in work.items()}
    print(
        f"  two threads take {walls[2]:.2f} s, one {walls[1]:.2f} s: {walls[1] / walls[2]:.2f} times as fast"
    )


def wall_time(run: Callable[[], None]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin

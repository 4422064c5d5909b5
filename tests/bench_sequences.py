"""Benchmarks of the stage sequences beside seqkit, and what samtools faidx does."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from measuring import cost, program_cost, show

# Sequences: a compressed source to FASTA of one form, compressed in blocks and indexed.


def write_source(path: Path, columns: int, soft: bool, records: int) -> float:
    """Write 100 million random bases as FASTA.gz; return their number in millions."""
    from isal import igzip

    bases = 100_000_000 // records // columns * columns
    with igzip.open(path, "wb") as out:
        dice = np.random.default_rng(1)
        letters = np.frombuffer(b"ACGT", np.uint8)[dice.integers(0, 4, 10_000_000)]
        if soft:
            # As RepeatMasker leaves a chromosome: half of it lower case, and runs of N.
            for start in range(0, len(letters), 2000):
                letters[start : start + 1000] |= 32
            letters[:400_000] = ord("N")
        lines = np.full((len(letters) // columns, columns + 1), ord("\n"), np.uint8)
        lines[:, :columns] = letters[: len(lines) * columns].reshape(-1, columns)
        rows, each = lines.tobytes(), bases // columns * (columns + 1)
        for number in range(records):
            start = number * each % (len(rows) - min(each, len(rows)) + 1) // (columns + 1) * (columns + 1)
            out.write(f">record{number} random\n".encode())
            for left in range(each, 0, -len(rows)):
                out.write(rows[start : start + min(left, len(rows))])
    return bases * records / 1e6


def normalise(source: Path, folder: Path) -> Callable[[], None]:
    import isal.igzip_lib  # noqa: F401

    from helixflow.sequences.formats.normalise import Reading, write_sequences

    out = folder / "helixflow.fasta.gz"
    reading = Reading("bench", 10**12, 1e6, lambda _: None)
    return partial(
        write_sequences,
        source,
        "genome",
        reading,
        out,
        Path(f"{out}.fai"),
        Path(f"{out}.gzi"),
        lambda _: None,
    )


def normalise_with_pysam(source: Path, folder: Path) -> Callable[[], None]:
    import pysam
    from isal import igzip

    def run() -> None:
        out = str(folder / "pysam.fasta.gz")
        with igzip.open(source, "rb") as stream, pysam.BGZFile(out, "wb") as blocks:
            while text := stream.read(1 << 20):
                blocks.write(text.upper())
        pysam.faidx(out)

    return run


def write_fastq(path: Path, reads: int) -> float:
    """Write reads of 150 random bases as FASTQ.gz; return their bases in millions."""
    from isal import igzip

    dice = np.random.default_rng(2)
    with igzip.open(path, "wb") as out:
        for start in range(0, reads, 10_000):
            letters = np.frombuffer(b"ACGT", np.uint8)[dice.integers(0, 4, (10_000, 150))]
            qualities = np.minimum(33 + dice.exponential(30, (10_000, 150)), 73).astype(np.uint8)
            for number, (read, quality) in enumerate(zip(letters, qualities, strict=True), start):
                out.write(b"@read.%d length=150\n%b\n+\n%b\n" % (number, read.tobytes(), quality.tobytes()))
    return reads * 150 / 1e6


def normalise_reads(source: Path, folder: Path) -> Callable[[], None]:
    import isal.igzip_lib  # noqa: F401

    from helixflow.sequences.formats.normalise import Reading
    from helixflow.sequences.formats.reads import write_reads

    reading = Reading("bench", 10**12, 1e6, lambda _: None)
    return partial(write_reads, [source], [reading], [folder / "x.fastq.gz"], "", lambda _: None)


def with_seqkit(source: Path, out: Path, millions: float) -> list[tuple[str, float, tuple[float, float]]]:
    """Return the row of seqkit, none where it is not installed; it writes gzip without indexes."""
    if not shutil.which("seqkit"):
        print("\nseqkit: left out, it is not installed")
        return []
    used = program_cost("seqkit", "seq", "-u", "-w", "60", "-j", "1", str(source), "-o", str(out))
    return [("seqkit seq -u -w 60 -j 1, gzip", millions, used)]


def bench_sequences(folder: Path) -> None:
    source = folder / "source.fa.gz"
    for what, shape in (
        ("one record, 60 columns", (60, False, 1)),
        ("one record, 80 columns", (80, False, 1)),
        ("one record, 70 columns, half lower case, runs of N", (70, True, 1)),
        ("100,000 records of 1,000 bases", (100, False, 100_000)),
        ("1,000,000 records of 100 bases", (100, False, 1_000_000)),
    ):
        millions = write_source(source, *shape)
        rows = [
            ("helixflow, bgzip, .fai and .gzi", millions, cost(normalise, source, folder)),
            (
                "igzip, upper case (names too), pysam BGZFile, faidx",
                millions,
                cost(normalise_with_pysam, source, folder),
            ),
            *with_seqkit(source, folder / "seqkit.fa.gz", millions),
        ]
        show(f"sequences: {millions:.0f} million bases of FASTA.gz, {what}", "Mbases/CPU s", rows)
    millions = write_fastq(folder / "source.fq.gz", 600_000)
    rows = [
        ("helixflow, bgzip", millions, cost(normalise_reads, folder / "source.fq.gz", folder)),
        *with_seqkit(folder / "source.fq.gz", folder / "seqkit.fq.gz", millions),
    ]
    show(f"sequences: {millions:.0f} million bases of FASTQ.gz, reads of 150 bases", "Mbases/CPU s", rows)

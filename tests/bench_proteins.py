"""Benchmark of the stage proteins: distinct proteins of many rows, time and peak memory by their number."""

import math
import sys
from pathlib import Path

import numpy as np

from conftest import ROOT
from helixflow.fasta import write_fasta
from helixflow.proteins import OCCURRENCE_TYPES, Occurrence, protein_id
from helixflow.tables import write_rows
from measuring import program_cost, show

ROWS = 250
#: Share of a row's proteins that other rows have too.
SHARED = 0.1

COLLECT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from helixflow.proteins import collect_proteins
folder = Path(sys.argv[1])
tables, fastas = (sorted(folder.glob(f"s*.{end}")) for end in ("parquet", "fasta.gz"))
collect_proteins(tables, fastas, [], folder / "distinct.fasta.gz", folder / "places.parquet")
"""
#: What a script of a few lines does: the places in Arrow, the sequences in a dictionary.
IN_MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import pyarrow as pa, pyarrow.parquet as pq
from helixflow.fasta import read_fasta, write_fasta
folder = Path(sys.argv[1])
tables = [pq.read_table(path) for path in sorted(folder.glob("s*.parquet"))]
pq.write_table(pa.concat_tables(tables), folder / "places.parquet")
proteins = {}
for path in sorted(folder.glob("s*.fasta.gz")):
    proteins.update(read_fasta(path))
write_fasta(folder / "distinct.fasta.gz", sorted(proteins.items()))
"""


def write_proteins(folder: Path, proteins: int, rows: int = ROWS) -> float:
    """Write the files of rows of proteins, lengths log-normal of median 300; return millions of residues."""
    folder.mkdir(parents=True)
    dice, residues = np.random.default_rng(1), 0
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    text = letters[dice.integers(0, 20, 5_000_000)].tobytes().decode()
    for row in range(rows):
        number = proteins // rows
        lengths = np.clip(np.exp(dice.normal(math.log(300), 0.6, number)), 30, 5_000).astype(int)
        starts = dice.integers(0, len(text) - 5_000, number)
        shared = int(SHARED * number)
        lengths[:shared], starts[:shared] = 300, np.arange(shared) * 400
        residues += int(lengths.sum())
        write_row(
            folder,
            f"s{row:04d}",
            [text[at : at + length] for at, length in zip(starts, lengths, strict=True)],
        )
    return residues / 1e6


def write_row(folder: Path, name: str, sequences: list[str]) -> None:
    """Write the files of one row, as the jobs of rows do."""
    named = [(protein_id(sequence), sequence) for sequence in sequences]
    places = [
        Occurrence(protein, name, name, "c", 1000 * at + 1, 1000 * at + 900, 1, False, 11, f"c_{at + 1}")
        for at, (protein, _) in enumerate(named)
    ]
    write_rows(folder / f"{name}.parquet", places, OCCURRENCE_TYPES)
    write_fasta(folder / f"{name}.fasta.gz", sorted(set(named)))


def bench_proteins(folder: Path) -> None:
    few, many = 100_000, 1_000_000
    table, peaks = [], {}
    for number in (few, many):
        write_proteins(folder / str(number), number)
        used = program_cost(sys.executable, "-c", COLLECT, str(folder / str(number)), str(ROOT / "scripts"))
        table.append((f"helixflow, {number:,} proteins", number, used))
        peaks[number] = used[1]
    peer = program_cost(sys.executable, "-c", IN_MEMORY, str(folder / str(many)), str(ROOT / "scripts"))
    table.append((f"a dictionary and Arrow tables in memory, {many:,} proteins", many, peer))
    show(f"proteins: every distinct one of {ROWS} rows once, and all their places", "proteins/CPU s", table)
    seconds = table[1][2][0]
    grown = peaks[many] + (peaks[many] - peaks[few]) / (many - few) * (10**7 - many)
    print(
        f"  at 10,000,000: {10 * seconds:.0f} CPU s, and {grown:.0f} MB if memory went on growing as from "
        f"{few:,} to {many:,}; its caches are full at about a million"
    )

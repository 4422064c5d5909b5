"""What groups leave of a strain collection, and which reads partitions bring together, in printed tables."""

import gzip
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from Bio import SeqIO

from conftest import DATA
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from helixflow.buckets.groups import group_units
from helixflow.buckets.partitions import partition_records
from helixflow.fasta import read_fasta
from helixflow.files import write_json
from helixflow.members import Member
from strains import make_strain, overlapping_pairs, simulate_reads

#: Genomes of the collection, their genetic codes, and how much their copies are mutated.
GENOMES = {
    "NC_000913_Ecoli_K12_MG1655.gbk.gz": 11,
    "GCF_000006945.1_Salmonella_LT2.fna.gz": 11,
    "GCF_000011745.1_Blochmannia_pennsylvanicus.fna.gz": 11,
    "GCF_000043285.1_Blochmannia_floridanus.fna.gz": 11,
    "NC_004829_Mgallisepticum_Rlow.gbk": 4,
    "NC_018407_Mgallisepticum_NC95.gbk": 4,
    "GCF_000023685.1_Mmycoides_capri_GM12.gbff": 4,
}
SHARES = (0.001, 0.005, 0.01, 0.02)
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.7, 0.9)

#: Identity from which on two proteins are of one family, and the share of 5-mers that one must have of
#: another to be looked at: at 90 % identity .59 are expected of differences at random places.
IDENTITY, SHARED, WORD = 0.9, 0.35, 5


def read_genome(path: Path) -> bytes:
    """All records of a FASTA or GenBank file in upper case."""
    opener = gzip.open if path.name.endswith(".gz") else open
    kind = "fasta" if ".fna" in path.name else "genbank"
    with opener(path, "rt") as stream:
        return "".join(str(record.seq) for record in SeqIO.parse(stream, kind)).upper().encode()


def make_collection(
    files: dict[str, int], shares: Iterable[float], seed: int = 5
) -> dict[str, tuple[bytes, int]]:
    """Genomes and their mutated copies by name, each with its genetic code."""
    rng = np.random.default_rng(seed)
    collection = {}
    for name, code in files.items():
        genome = read_genome(DATA / "genomes" / name)
        acgt = bytes(letter if letter in b"ACGT" else ord("A") for letter in genome)
        collection[name] = genome, code
        for share in shares:
            collection[f"{name} {100 * share:g} %"] = make_strain(acgt, share, rng), code
    return collection


def sketch_collection(collection: dict[str, tuple[bytes, int]], folder: Path) -> list[np.ndarray]:
    """The sketches of all genomes, made by the stage at its defaults."""
    import h5py

    sketches, fasta = [], folder / "x.fasta"
    for genome, _ in collection.values():
        fasta.write_bytes(b">x\n" + genome + b"\n")
        settings = BucketSettings(10, 1, "spaced", 1, 1024)
        hash_members([Member("x", "genome", (fasta,), fasta)], folder / "x.h5", settings)
        with h5py.File(folder / "x.h5") as h5:
            sketches.append(h5["/unit/sketch"][0])
    return sketches


def proteins_of(genome: bytes, code: int) -> set[str]:
    import pyrodigal

    finder = pyrodigal.GeneFinder()
    finder.train(genome, translation_table=code)
    return {gene.translate(include_stop=False) for gene in finder.find_genes(genome)}


def words(protein: str) -> set[str]:
    return {protein[at : at + WORD] for at in range(len(protein) - WORD + 1)}


def find_families(proteins: Iterable[str]) -> dict[str, str]:
    """Give each protein the first of its family, longest first, as CD-HIT does (Li & Godzik 2006).

    A protein joins the longer one with which it shares most 5-mers if at least 90 % of its residues are
    those of the other, in a global alignment whose gaps at the ends are free.
    """
    holders: dict[str, list[str]] = {}
    family = {}
    for protein in sorted(set(proteins), key=lambda text: (-len(text), text)):
        mine = words(protein)
        shared = Counter(holder for word in mine for holder in holders.get(word, ()))
        near = [holder for holder, count in shared.most_common(3) if count >= SHARED * len(mine)]
        family[protein] = next((holder for holder in near if identity(protein, holder) >= IDENTITY), protein)
        if family[protein] == protein:
            for word in mine:
                holders.setdefault(word, []).append(protein)
    return family


def identity(short: str, long: str) -> float:
    """Share of the residues of a protein that an alignment finds in a longer one."""
    from Bio.Align import PairwiseAligner

    aligner = PairwiseAligner(match_score=1, mismatch_score=-1, open_gap_score=-3, extend_gap_score=-0.5)
    aligner.end_gap_score = 0
    return aligner.align(short, long)[0].counts().identities / len(short)


def what_is_left(
    collection: dict[str, tuple[bytes, int]], folder: Path, thresholds: Iterable[float]
) -> dict[float, tuple[int, float, float]]:
    """For each threshold, representatives, the share of distinct proteins left, and of families lost."""
    names, genomes = list(collection), list(collection.values())
    sketches = sketch_collection(collection, folder)
    proteins = {name: proteins_of(*collection[name]) for name in names}
    distinct = set().union(*proteins.values())
    family = find_families(distinct)
    families = set(family.values())
    table = {}
    for threshold in thresholds:
        chosen = set(group_units(names, [len(genome) for genome, _ in genomes], sketches, threshold))
        kept = set().union(*(proteins[name] for name in chosen))
        lost = families - {family[protein] for protein in kept}
        table[threshold] = len(chosen), len(kept) / len(distinct), len(lost) / len(families)
    return table


def bench_strains(folder: Path) -> None:
    collection = make_collection(GENOMES, SHARES)
    print(f"\ngroups: {len(GENOMES)} genomes and {len(SHARES)} copies of each (0.1 to 2 % mutated)")
    print(f"  {'min_jaccard':>11} {'representatives':>16} {'proteins left':>14} {'families lost':>14}")
    for threshold, (n, left, lost) in what_is_left(collection, folder, THRESHOLDS).items():
        print(f"  {threshold:11g} {n:16d} {left:14.1%} {lost:14.1%}")


def share_that_meets(folder: Path, n: int, partitions: int) -> tuple[float, float, float]:
    """Share of overlapping pairs of simulated reads that meet, the same at random, cost max/mean."""
    files = sorted((DATA / "genomes").glob("GCF*.fna.gz"))
    genomes = ["".join(sequence for _, sequence in read_fasta(file)).upper().encode() for file in files]
    clean = [bytes(letter if letter in b"ACGT" else ord("A") for letter in genome) for genome in genomes]
    reads, places = simulate_reads(clean, n, 0.1, np.random.default_rng(1))
    fasta, outputs = folder / "reads.fasta", [folder / f"{i:03d}.fasta.gz" for i in range(partitions)]
    fasta.write_bytes(b"".join(b">%d\n%b\n" % (i, read) for i, read in enumerate(reads)))
    write_json(folder / "reads.json", {"sample": "reads", "kind": "reads", "written": [fasta.name]})
    partition_records([folder / "reads.json"], outputs, folder / "partitions.parquet")
    found, loads = np.zeros(n, int), np.zeros(partitions)
    for partition, output in enumerate(outputs):
        for name, read in read_fasta(output):
            found[int(name.removeprefix("reads/"))] = partition
            loads[partition] += len(read)
    one, other = overlapping_pairs(places, 500).T
    shuffled = np.random.default_rng(2).permutation(found)
    meets, at_random = ((where[one] == where[other]).mean() for where in (found, shuffled))
    return float(meets), float(at_random), loads.max() / loads.mean()


def bench_reads(folder: Path) -> None:
    print("\npartitions: 64 of 10,000 reads with 10 % errors; pairs that overlap by 500 bases and meet")
    meets, at_random, skew = share_that_meets(folder, 10_000, 64)
    print(f"  {meets:.1%} meet, {at_random:.1%} at random; the largest is {skew:.3f} of the mean")


def bench_groups(folder: Path) -> None:
    bench_reads(folder)
    bench_strains(folder)

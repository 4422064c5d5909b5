"""Linking made structures to made proteins, with random embeddings."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq

from helixflow.embeddings.index import write_index
from helixflow.links import LinkSettings, link_chains
from helixflow.proteins import protein_id
from stores import MODEL, fill_store, random_vectors

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def write_inputs(folder, chains, proteins, numbers=None, vectors=random_vectors, built=()):
    """Write a structure's residues and the distinct proteins, each with the samples it was seen in.

    `numbers` has the first residue number of a chain, or all of them; `built` the numbers of those that
    were not in the structure's file; `vectors` gives the embedding of a sequence.
    """
    lines = ["index\tchain\tnumber\tinsertion\tname\tcode\tdeposited\torigin\tplddt"]
    for chain, sequence in chains.items():
        first = (numbers or {}).get(chain, 1)
        given = first if isinstance(first, list) else range(first, first + len(sequence))
        for number, code in zip(given, sequence, strict=True):
            origin = "built" if number in built else "observed"
            lines.append(f"{len(lines) - 1}\t{chain}\t{number}\t\tXXX\t{code}\t\t{origin}\t")
    (folder / "residues.tsv").write_text("\n".join(lines) + "\n")
    seen = [(sequence, sample) for sequence, samples in proteins.items() for sample in samples]
    seen += [(sequence, "structure") for sequence in chains.values()]
    named = sorted({(protein_id(sequence), sequence) for sequence, _ in seen})
    with gzip.open(folder / "distinct.fasta.gz", "wt") as stream:
        stream.writelines(f">{name}\n{sequence}\n" for name, sequence in named)
    rows = [
        {"protein": protein_id(sequence), "sample": sample, "unit": sample, "contig": "c", "start": 1}
        | {"end": len(sequence), "strand": 0, "partial": False, "genetic_code": 0, "label": f"gene_{number}"}
        for number, (sequence, sample) in enumerate(seen)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "occurrences.parquet")
    fill_store(folder / "store", dict(named), vectors=vectors)
    write_index(folder / "distinct.fasta.gz", folder / "index.parquet", MODEL, folder / "store")


def link_all(folder, chains, proteins, numbers=None, vectors=random_vectors, built=(), **settings):
    """Run the stage; return the lines of its table as dictionaries, and what it tells of each chain."""
    write_inputs(folder, chains, proteins, numbers, vectors, built)
    defaults = {"structures": ["structure"], "partner": "best", "min_identity": 0.9, "min_coverage": 0.9}
    outputs = folder / "links.tsv", folder / "links.json"
    names = ("residues.tsv", "distinct.fasta.gz", "occurrences.parquet", "index.parquet")
    link_chains(*(folder / name for name in names), *outputs, LinkSettings(**defaults | settings))
    with outputs[0].open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return rows, json.loads(outputs[1].read_text())["chains"]


def link(*inputs, **settings):
    """Run the stage; return its lines of residues, and what it tells of each chain and its best partner."""
    rows, chains = link_all(*inputs, **settings)
    residues = [row for row in rows if row["status"] != "missing" and row["rank"] == "1"]
    return residues, [chain | chain["partners"][0] for chain in chains]

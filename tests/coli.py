"""The genome of E. coli K-12 and its annotation, read without a parser of ours."""

import gzip
import re
from pathlib import Path


def read_genbank(data: Path) -> tuple[dict[str, tuple[int, str]], str]:
    """Start (from 1) and protein of every annotated gene by its name, and the genome's sequence."""
    with gzip.open(data / "genomes" / "NC_000913_Ecoli_K12_MG1655.gbk.gz", "rt") as stream:
        features, sequence = stream.read().split("\nORIGIN")
    genes = {}
    for feature in re.split(r"^     CDS  ", features, flags=re.MULTILINE)[1:]:
        gene, protein = (re.search(rf'/{what}="([^"]*)"', feature) for what in ("gene", "translation"))
        if gene and protein:
            genes[gene[1]] = int(re.search(r"\d+", feature)[0]), re.sub(r"\s", "", protein[1])
    return genes, re.sub("[^acgt]", "", sequence)

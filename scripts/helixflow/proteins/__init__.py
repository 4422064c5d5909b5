"""Proteins: genes called on DNA, protein files and structure chains, every distinct sequence once."""

from helixflow.proteins.clusters import check_clustering, cluster_proteins
from helixflow.proteins.collect import collect_proteins
from helixflow.proteins.genes import call_genes
from helixflow.proteins.names import normalise, protein_id
from helixflow.proteins.occurrences import OCCURRENCE_TYPES, Occurrence
from helixflow.proteins.sources import read_chains, read_protein_file

__all__ = [
    "OCCURRENCE_TYPES",
    "Occurrence",
    "call_genes",
    "check_clustering",
    "cluster_proteins",
    "collect_proteins",
    "normalise",
    "protein_id",
    "read_chains",
    "read_protein_file",
]

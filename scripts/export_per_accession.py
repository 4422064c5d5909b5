"""Rule export_per_accession: the index and all labels in, an HDF5 file with a dataset for each label out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.exports import export_per_accession

export_per_accession(snakemake.input.index, snakemake.input.occurrences, snakemake.output.export)

"""Rule export_skbio: the index in, all embeddings in the layout of scikit-bio out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.exports import export_skbio

export_skbio(snakemake.input.index, snakemake.output.export)

"""Rule describe_model: the configured model in, where it lies and what it is exactly out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.model import describe_model, write_model

description = describe_model(
    *snakemake.params.model, snakemake.params.compute, weights_sha256=snakemake.params.weights_sha256
)
write_model(snakemake.output.model, description)

"""Rule index_embeddings: all distinct proteins in, the URI of each one's embedding out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import read_model

model = read_model(snakemake.input.model)
write_index(snakemake.input.proteins, snakemake.output.index, model, snakemake.params.store)

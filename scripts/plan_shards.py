"""Rule plan_shards: all distinct proteins in, those the store lacks out, shared out to shards."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.model import read_model
from helixflow.embeddings.plan import plan_shards

model = read_model(snakemake.input.model)
store, threads = snakemake.params.store, snakemake.config["embeddings"]["threads"]
plan_shards(snakemake.input.proteins, snakemake.output.shards, model, store, threads)

"""Rule embed_shard: a FASTA file of proteins in, parts of the store and the list of what they hold out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.engine import ADDED_TYPES, embed_fasta, list_added
from helixflow.embeddings.model import read_model
from helixflow.embeddings.summary import write_summary
from helixflow.tables import write_rows

proteins, model = snakemake.input.proteins, read_model(snakemake.input.model)
settings = snakemake.config["embeddings"]
speed = {name: settings[name] for name in ("token_budget", "part_seconds")}
summary = embed_fasta(proteins, model, settings["store"], threads=snakemake.threads, **speed)
added = list_added(proteins, model, settings["store"], snakemake.params.max_length_trained)
write_rows(snakemake.output.added, added, ADDED_TYPES)
write_summary(snakemake.output.summary, summary)

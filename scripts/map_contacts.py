"""Rule map_contacts: the index of embeddings in, contact maps of every n-th part into the store."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.contact_store import CONTACT_TYPES, add_contacts, share_of_parts
from helixflow.embeddings.model import read_model
from helixflow.tables import write_rows

settings, model = snakemake.config["embeddings"], read_model(snakemake.input.model)
heads, below, shard = snakemake.params.heads, snakemake.params.below, int(snakemake.wildcards.shard)
uris = share_of_parts(snakemake.input.index, shard, settings["shards"], below)
rows = add_contacts(uris, snakemake.output.maps, model, heads, below, snakemake.threads)
write_rows(snakemake.output.maps, rows, CONTACT_TYPES)

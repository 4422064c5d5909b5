"""Rule find_neighbours: the index and perhaps queries in, the nearest proteins of each out."""

from functools import partial

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.embeddings.engine import embed_fasta
from helixflow.embeddings.model import read_model
from helixflow.embeddings.neighbours import find_neighbours, write_neighbours

model, settings = read_model(snakemake.input.model), snakemake.config["embeddings"]
speed = {name: settings[name] for name in ("token_budget", "part_seconds")}
embed = partial(embed_fasta, model=model, store=settings["store"], threads=snakemake.threads, **speed)
place = {"store": settings["store"], "key": model.key, "limit": settings["neighbours_limit"]}
found = find_neighbours(snakemake.input.index, snakemake.params.k, snakemake.input.query, embed, **place)
write_neighbours(snakemake.output.neighbours, found)

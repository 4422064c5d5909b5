"""Rule fetch_collection: a manifest in, the files of its members, their table and the record out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import Source, fetch_collection, open_fetcher

row = dict(snakemake.params.items())
limits = {"max_failed": row.pop("max_failed"), "workers": snakemake.config["sequences"]["workers"]}
source = Source(snakemake.wildcards.sample, **row)
fetch_collection(open_fetcher(snakemake.config, snakemake.scriptdir), source, **snakemake.output, **limits)

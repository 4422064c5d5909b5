"""Rule fetch_collection: a manifest in, the files of its members, their table and the record out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import Source, fetch_collection, open_fetcher

source = Source(snakemake.wildcards.sample, **snakemake.params)
limits = {name: snakemake.config["sequences"][name] for name in ("workers", "max_failed")}
fetch_collection(open_fetcher(snakemake.config, snakemake.scriptdir), source, **snakemake.output, **limits)

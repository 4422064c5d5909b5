"""Rule fetch_structure: a structure file, URL or accession in, its plain text and its record out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import Source, fetch_structure, open_fetcher

source = Source(snakemake.wildcards.sample, **snakemake.params)
fetch_structure(open_fetcher(snakemake.config, snakemake.scriptdir), source, **snakemake.output)

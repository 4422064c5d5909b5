"""Rule fetch_sequence: a source of DNA or proteins in, indexed FASTA and its record out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import Source, fetch_sequence, open_fetcher

source = Source(snakemake.wildcards.sample, **snakemake.params)
fetch_sequence(open_fetcher(snakemake.config, snakemake.scriptdir), source, **snakemake.output)

"""Rule fetch_reads: a source of reads in, FASTQ and its record out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import Source, fetch_reads, open_fetcher

source = Source(snakemake.wildcards.sample, **snakemake.params)
fetch_reads(open_fetcher(snakemake.config, snakemake.scriptdir), source, **snakemake.output)

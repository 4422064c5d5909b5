"""Rule fetch_trajectory: a topology and a trajectory in, both in the results and their record out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import Source, fetch_trajectory, open_fetcher

source = Source(snakemake.wildcards.sample, **snakemake.params)
fetch_trajectory(open_fetcher(snakemake.config, snakemake.scriptdir), source, **snakemake.output)

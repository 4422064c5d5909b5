"""Rule fetch_structure: a structure file or URL in, its plain text and its provenance out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.sequences import FetchSettings, fetch, write_structure

sample = snakemake.wildcards.sample
settings = FetchSettings(
    snakemake.config["sequences"]["attempts"], snakemake.config["sequences"]["timeout_s"]
)
source, origin, checksum = snakemake.params.source, snakemake.params.origin, snakemake.params.checksum
with fetch(source, origin, Path("work/sequences", sample), checksum, settings) as fetched:
    write_structure(fetched, sample, **snakemake.output)

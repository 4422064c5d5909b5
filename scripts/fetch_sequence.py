"""Rule fetch_sequence: a source of DNA or proteins in, indexed FASTA and its provenance out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.sequences import FetchSettings, fetch, write_sequences

sample, kind = snakemake.wildcards.sample, snakemake.params.kind
settings = FetchSettings(
    snakemake.config["sequences"]["attempts"], snakemake.config["sequences"]["timeout_s"]
)
source, origin, checksum = snakemake.params.source, snakemake.params.origin, snakemake.params.checksum
with fetch(source, origin, Path("work/sequences", sample), checksum, settings) as fetched:
    write_sequences(fetched, sample, kind, **snakemake.output)

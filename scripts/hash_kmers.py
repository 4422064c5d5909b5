"""Rule hash_kmers: normalised DNA or reads in, its bucket spectrum and the sketch of every unit out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from helixflow.members import read_members

settings = BucketSettings.of(snakemake.config["buckets"])
hash_members(read_members(snakemake.input[0]), snakemake.output.buckets, settings, snakemake.threads)

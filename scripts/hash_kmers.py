"""Rule hash_kmers: normalised DNA in, its bucket spectrum and the sketch of every unit out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.buckets import BucketSettings, hash_file

names = ("k", "bits", "family", "seed", "sketch_size")
settings = BucketSettings(*(snakemake.params[name] for name in names))
hash_file(
    snakemake.input.fasta,
    snakemake.wildcards.sample,
    snakemake.params.kind,
    snakemake.output.buckets,
    settings,
)

"""Rule cluster_proteins: every distinct protein in, the representatives of near-duplicates out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.files import write_json
from helixflow.proteins import cluster_proteins

counts = cluster_proteins(
    snakemake.input.proteins,
    snakemake.input.occurrences,
    snakemake.output.representatives,
    snakemake.output.clusters,
    threads=snakemake.threads,
    memory_MB=snakemake.resources.mem_mb,
    **snakemake.params,
)
write_json(snakemake.output.counts, counts)

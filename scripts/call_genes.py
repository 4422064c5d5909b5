"""Rule call_genes: the DNA of one row in, the proteins its genes code for and where they lie out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.files import write_json
from helixflow.members import read_members
from helixflow.proteins import call_genes

counts = call_genes(
    read_members(snakemake.input[0]),
    snakemake.output.proteins,
    snakemake.output.occurrences,
    sample=snakemake.wildcards.sample,
    threads=snakemake.threads,
    **snakemake.params,
)
write_json(snakemake.output.counts, counts)

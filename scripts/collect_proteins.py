"""Rule collect_proteins: the proteins of all rows in, every distinct one and every place it was seen out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.files import write_json
from helixflow.proteins import collect_proteins

counts = collect_proteins(
    snakemake.input.tables,
    snakemake.input.fastas,
    snakemake.input.groups,
    snakemake.output.proteins,
    snakemake.output.occurrences,
)
write_json(snakemake.output.counts, counts)

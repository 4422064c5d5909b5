"""Rule read_protein_file: one row's protein FASTA in, its distinct proteins and their places out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.files import write_json
from helixflow.members import read_members
from helixflow.proteins import read_protein_file

counts = read_protein_file(
    read_members(snakemake.input[0]),
    snakemake.output.proteins,
    snakemake.output.occurrences,
    sample=snakemake.wildcards.sample,
)
write_json(snakemake.output.counts, counts)

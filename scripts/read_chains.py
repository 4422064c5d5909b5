"""Rule read_chains: the residues of a cleaned structure in, one protein per chain out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.files import write_json
from helixflow.proteins import read_chains

counts = read_chains(
    snakemake.input.residues,
    snakemake.output.proteins,
    snakemake.output.occurrences,
    sample=snakemake.wildcards.structure,
)
write_json(snakemake.output.counts, counts)

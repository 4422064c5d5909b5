"""Rule link_chains: the residues of a structure and all proteins in, the partner of each residue out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.links import LinkSettings, link_chains

link_chains(
    snakemake.input.residues,
    snakemake.input.proteins,
    snakemake.input.occurrences,
    snakemake.input.index,
    snakemake.output.table,
    snakemake.output.summary,
    LinkSettings(**snakemake.params),
)

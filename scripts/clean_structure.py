"""Rule clean_structure: a structure file in, its protein, residues and what was changed out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.files import read_json
from helixflow.structures.clean import CleanSettings, clean_structure

record = read_json(snakemake.input.provenance)
settings = CleanSettings(**snakemake.params)
clean_structure(
    snakemake.input.structure, record["format"], settings, **snakemake.output, origin=record["source"]
)

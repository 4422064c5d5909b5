"""Rule group_units: the sketches of all units in, groups of similar units and their representatives out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.buckets.groups import group_files

group_files(snakemake.input.buckets, snakemake.output.groups, snakemake.params.min_jaccard)

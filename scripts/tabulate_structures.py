"""Rule tabulate_structures: all analyses in, one table of them and what is learnt across relatives out."""

from pathlib import Path

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.coanalysis.across import Relations, find_relatives, learn_across, open_analyses, write_table
from helixflow.files import write_json

analyses = open_analyses(snakemake.input.analyses, Path(snakemake.output.table).parent)
clusters = snakemake.input.clusters or None
relations = Relations(snakemake.input.occurrences, snakemake.input.groups, clusters)
groups = find_relatives(analyses, relations)
write_table(snakemake.output.table, analyses, groups)
write_json(snakemake.output.across, learn_across(analyses, groups, snakemake.input.index))

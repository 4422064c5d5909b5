"""Rule write_report: what all stages wrote in, one page out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.report import StageFiles, write_report

inputs = dict(snakemake.input)
records = {name: inputs.pop(name) for name in ("run", "accounting", "comparison")}
write_report(StageFiles(**inputs), **records, **snakemake.output, **snakemake.params)

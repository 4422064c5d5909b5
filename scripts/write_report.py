"""Rule write_report: what all stages wrote in, one page out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.report import StageFiles, write_report

inputs = dict(snakemake.input)
run, accounting = inputs.pop("run"), inputs.pop("accounting")
write_report(StageFiles(**inputs), run, accounting, **snakemake.output, **snakemake.params)

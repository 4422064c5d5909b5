"""Rule record_run: what all stages wrote in, provenance and accounting out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.provenance import record_run
from helixflow.report import StageFiles, write_accounting

record_run(
    snakemake.output.run,
    snakemake.config,
    snakemake.params.sheet,
    snakemake.input.setup,
    snakemake.input.quality,
)
write_accounting(snakemake.output.accounting, StageFiles(**snakemake.input))

"""Rule lock_sources: the records of all rows in, the lock file beside the sheet out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.sequences import find_lock, write_lock

write_lock(find_lock(snakemake.config, snakemake.scriptdir), snakemake.input.records)

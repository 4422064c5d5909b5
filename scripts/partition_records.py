"""Rule partition_records: reads and metagenomes in, their records in partitions of equal cost out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.buckets.partitions import partition_records

partition_records(snakemake.input.rows, snakemake.output.partitions, snakemake.output.table)

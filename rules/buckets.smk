"""Hash the k-mers of every row of DNA or reads into buckets, and group units of DNA that share most of them.

Reads   results/sequences/{sample}.json       the record of a row, and the DNA or reads it names
Writes  results/buckets/{sample}.h5           bucket spectrum, sketch of every unit
        results/buckets/groups.parquet        groups of similar units, their representatives
        results/buckets/partitions/{shard}.fasta.gz   if asked for, records of reads and metagenomes, similar ones together
        results/buckets/partitions.parquet    which partition each of these records is in
"""

from helixflow.buckets import BucketSettings
from helixflow.samples import PARTITIONED_KINDS

bucket_settings = BucketSettings.of(config["buckets"])
partitions = [f"{number:03d}" for number in range(config["buckets"]["partitions"])]
in_partitions = holding(*PARTITIONED_KINDS) if partitions else []


rule hash_kmers:
    """Hash the k-mers of one row into buckets."""
    input:
        sequence_files,
        planes=bucket_settings.planes_files(),
    output:
        buckets="results/buckets/{sample}.h5",
    log:
        "logs/hash_kmers/{sample}.log",
    benchmark:
        "benchmarks/hash_kmers/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(dna + reads),
    conda:
        "../envs/buckets.yaml"
    threads: lookup("buckets/threads", within=config)
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        **bucket_settings.deciding(),
    script:
        "../scripts/hash_kmers.py"


rule group_units:
    """Put units of DNA with similar buckets into groups; reads are of no organism, and represent none."""
    input:
        buckets=collect("results/buckets/{sample}.h5", sample=dna),
    output:
        groups="results/buckets/groups.parquet",
    log:
        "logs/group_units.log",
    benchmark:
        "benchmarks/group_units.tsv"
    conda:
        "../envs/buckets.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        min_jaccard=lookup("buckets/min_jaccard", within=config),
    script:
        "../scripts/group_units.py"


rule partition_records:
    """Share out the records of all reads and metagenomes to files of one size."""
    input:
        rows=collect("results/sequences/{sample}.json", sample=in_partitions),
    output:
        partitions=collect("results/buckets/partitions/{shard}.fasta.gz", shard=partitions),
        table="results/buckets/partitions.parquet",
    log:
        "logs/partition_records.log",
    benchmark:
        "benchmarks/partition_records.tsv"
    conda:
        "../envs/buckets.yaml"
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        partitions=lookup("buckets/partitions", within=config),
    script:
        "../scripts/partition_records.py"


rule buckets:
    """Every row has its buckets, every unit of DNA its group, every record its partition if there are any."""
    input:
        rules.sequences.input,
        collect(rules.hash_kmers.output, sample=dna + reads),
        rules.group_units.output,
        rules.partition_records.output,
    localrule: True

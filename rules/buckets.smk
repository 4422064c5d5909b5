"""Hash the k-mers of every row of DNA into buckets, and group units that share most of them.

Reads   results/sequences/{sample}.fasta.gz   normalised DNA
Writes  results/buckets/{sample}.h5           bucket spectrum, sketch of every unit
        results/buckets/groups.parquet        groups of similar units, their representatives
"""


rule hash_kmers:
    """Hash the k-mers of one row into buckets."""
    input:
        fasta="results/sequences/{sample}.fasta.gz",
    output:
        buckets="results/buckets/{sample}.h5",
    log:
        "logs/hash_kmers/{sample}.log",
    benchmark:
        "benchmarks/hash_kmers/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(dna),
    conda:
        "../envs/buckets.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        kind=of_sample("kind"),
        k=lookup("buckets/k", within=config),
        bits=lookup("buckets/bits", within=config),
        family=lookup("buckets/family", within=config),
        seed=lookup("buckets/seed", within=config),
        sketch_size=lookup("buckets/sketch_size", within=config),
    script:
        "../scripts/hash_kmers.py"


rule group_units:
    """Put units with similar buckets into groups."""
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
        mem_mb=4000,
        runtime=60,
    params:
        min_jaccard=lookup("buckets/min_jaccard", within=config),
    script:
        "../scripts/group_units.py"


rule buckets:
    """Every unit has its buckets and its group."""
    input:
        collect(rules.hash_kmers.output, sample=dna),
        rules.group_units.output,
    localrule: True

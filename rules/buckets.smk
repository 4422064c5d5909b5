"""Hash the k-mers of every row of DNA or reads into buckets, and group units of DNA that share most of them.

Reads   results/sequences/{sample}.json       the record of a row, and the DNA or reads it names
Writes  results/buckets/{sample}.h5           bucket spectrum, sketch of every unit
        results/buckets/groups.parquet        groups of similar units, their representatives
"""


rule hash_kmers:
    """Hash the k-mers of one row into buckets."""
    input:
        sequence_files,
        planes=branch(lookup("buckets/planes", within=config), then=lookup("buckets/planes", within=config)),
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
        family=lookup("buckets/family", within=config),
        k=lookup("buckets/k", within=config),
        bits=lookup("buckets/bits", within=config),
        symmetric=lookup("buckets/symmetric", within=config),
        seed=lookup("buckets/seed", within=config),
        planes=lookup("buckets/planes", within=config),
        modulus=lookup("buckets/modulus", within=config),
        patterns=lookup("buckets/patterns", within=config),
        sketch_family=lookup("buckets/sketch_family", within=config),
        sketch_k=lookup("buckets/sketch_k", within=config),
        sketch_bits=lookup("buckets/sketch_bits", within=config),
        sketch_size=lookup("buckets/sketch_size", within=config),
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
        mem_mb=4000,
        runtime=60,
    params:
        min_jaccard=lookup("buckets/min_jaccard", within=config),
    script:
        "../scripts/group_units.py"


rule buckets:
    """Every row has its buckets, every unit of DNA its group."""
    input:
        rules.sequences.input,
        collect(rules.hash_kmers.output, sample=dna + reads),
        rules.group_units.output,
    localrule: True

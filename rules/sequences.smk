"""Fetch every source of the sheet, verify it, and write it in one normal form.

Reads   the paths, URLs and accessions of the sheet
Writes  results/sequences/{sample}.fasta.gz    DNA or proteins, bgzip, with .fai and .gzi
        results/sequences/{sample}.structure   a structure as plain text, PDB or mmCIF
        results/sequences/{sample}.topology, .trajectory   brought along: TPR, GRO or PDB, and XTC or TRR
        results/sequences/{sample}.json        the record: where it came from, what was changed, its files
        results/sequences/{sample}.tsv         what became of every member of a collection
Beside  results/sequences/{sample}.fastq.gz    reads, or {sample}_1 and {sample}_2: the record names them
        results/sequences/{sample}/            the files of a collection's members, kept from run to run
"""


rule fetch_sequence:
    """Fetch one row's DNA or proteins and write it as indexed FASTA."""
    input:
        source=source_files,
    output:
        # What a fetch that fails leaves there; without its record it is fetched again.
        fasta=update("results/sequences/{sample}.fasta.gz"),
        fai=update("results/sequences/{sample}.fasta.gz.fai"),
        gzi=update("results/sequences/{sample}.fasta.gz.gzi"),
        provenance="results/sequences/{sample}.json",
    log:
        "logs/fetch_sequence/{sample}.log",
    benchmark:
        "benchmarks/fetch_sequence/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(fastas),
    conda:
        "../envs/sequences.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        **source_of_row,
    script:
        "../scripts/fetch_sequence.py"


rule fetch_reads:
    """Fetch one row's reads and write them as FASTQ; how many files they are, the database may have to say."""
    input:
        source=source_files,
    output:
        provenance="results/sequences/{sample}.json",
    log:
        "logs/fetch_reads/{sample}.log",
    benchmark:
        "benchmarks/fetch_reads/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(named("reads")),
    conda:
        "../envs/sequences.yaml"
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        **source_of_row,
    script:
        "../scripts/fetch_reads.py"


rule fetch_structure:
    """Fetch one row's structure and write it as plain text."""
    input:
        source=source_files,
    output:
        structure=update("results/sequences/{sample}.structure"),
        provenance="results/sequences/{sample}.json",
    log:
        "logs/fetch_structure/{sample}.log",
    benchmark:
        "benchmarks/fetch_structure/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(structures),
    conda:
        "../envs/sequences.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **source_of_row,
    script:
        "../scripts/fetch_structure.py"


rule fetch_trajectory:
    """Fetch one row's topology and trajectory; files of this machine are linked, not copied."""
    input:
        source=source_files,
    output:
        topology=update("results/sequences/{sample}.topology"),
        trajectory=update("results/sequences/{sample}.trajectory"),
        provenance="results/sequences/{sample}.json",
    log:
        "logs/fetch_trajectory/{sample}.log",
    benchmark:
        "benchmarks/fetch_trajectory/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(brought),
    conda:
        "../envs/sequences.yaml"
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        **source_of_row,
    script:
        "../scripts/fetch_trajectory.py"


rule fetch_collection:
    """Fetch every member of one collection that is not there yet."""
    input:
        source=source_files,
    output:
        members=update("results/sequences/{sample}.tsv"),
        provenance="results/sequences/{sample}.json",
    log:
        "logs/fetch_collection/{sample}.log",
    benchmark:
        "benchmarks/fetch_collection/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(named("collection")),
    conda:
        "../envs/sequences.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=2880,
    params:
        **source_of_row,
        max_failed=lookup("sequences/max_failed", within=config),
    script:
        "../scripts/fetch_collection.py"


rule lock_sources:
    """Pin the sha256 of every file that was fetched, in a lock file beside the sheet; only on request."""
    input:
        records=collect("results/sequences/{sample}.json", sample=samples),
    log:
        "logs/lock_sources.log",
    localrule: True
    conda:
        "../envs/sequences.yaml"
    script:
        "../scripts/lock_sources.py"


rule sequences:
    """Every source is there, verified and normalised."""
    input:
        collect(rules.fetch_sequence.output, sample=fastas),
        collect(rules.fetch_reads.output, sample=named("reads")),
        collect(rules.fetch_structure.output, sample=structures),
        collect(rules.fetch_trajectory.output, sample=brought),
        collect(rules.fetch_collection.output, sample=named("collection")),
    localrule: True

"""Call genes, and collect every distinct protein of DNA, protein files and structures.

Reads   results/sequences/{sample}.json                     the record of a row, and the DNA or proteins it names
        results/structures/{structure}/residues.tsv         residues of the cleaned structure
        results/buckets/groups.parquet                      where genes of representatives are taken alone
Writes  results/proteins/{sample}.fasta.gz, .parquet, .json proteins of one row, where they are, counts
        results/proteins/distinct.fasta.gz, .json           every distinct protein once, counts
        results/proteins/occurrences.parquet                every place a protein was seen
        results/proteins/representatives.fasta.gz           where asked for: without near-duplicates
        results/proteins/clusters.parquet, .json            and the representative of every protein, counts
"""

protein_sources = dna + protein_files + molecules


rule call_genes:
    """Call the genes of one row of DNA."""
    input:
        sequence_files,
    output:
        proteins="results/proteins/{sample}.fasta.gz",
        occurrences="results/proteins/{sample}.parquet",
        counts="results/proteins/{sample}.json",
    log:
        "logs/call_genes/{sample}.log",
    benchmark:
        "benchmarks/call_genes/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(dna),
    conda:
        "../envs/proteins.yaml"
    threads: lookup("proteins/threads", within=config)
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        kind=of_sample("contents"),
        genetic_code=of_sample("genetic_code"),
        circular=of_sample("circular"),
        meta_below_bp=lookup("proteins/meta_below_bp", within=config),
        min_gene_bp=lookup("proteins/min_gene_bp", within=config),
    script:
        "../scripts/call_genes.py"


rule read_protein_file:
    """Take the proteins of one row that is a file of them."""
    input:
        sequence_files,
    output:
        proteins="results/proteins/{sample}.fasta.gz",
        occurrences="results/proteins/{sample}.parquet",
        counts="results/proteins/{sample}.json",
    log:
        "logs/read_protein_file/{sample}.log",
    benchmark:
        "benchmarks/read_protein_file/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(protein_files),
    conda:
        "../envs/proteins.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    script:
        "../scripts/read_protein_file.py"


rule read_chains:
    """Take the chains of one structure as proteins."""
    input:
        residues="results/structures/{structure}/residues.tsv",
    output:
        proteins="results/proteins/{structure}.fasta.gz",
        occurrences="results/proteins/{structure}.parquet",
        counts="results/proteins/{structure}.json",
    log:
        "logs/read_chains/{structure}.log",
    benchmark:
        "benchmarks/read_chains/{structure}.tsv"
    conda:
        "../envs/proteins.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../scripts/read_chains.py"


rule collect_proteins:
    """Put the proteins of all rows together, every distinct one once."""
    input:
        fastas=collect("results/proteins/{sample}.fasta.gz", sample=protein_sources),
        tables=collect("results/proteins/{sample}.parquet", sample=protein_sources),
        groups=branch(
            lookup("proteins/units", within=config),
            cases={"all": [], "representatives": "results/buckets/groups.parquet"},
        ),
    output:
        proteins="results/proteins/distinct.fasta.gz",
        occurrences="results/proteins/occurrences.parquet",
        counts="results/proteins/distinct.json",
    log:
        "logs/collect_proteins.log",
    benchmark:
        "benchmarks/collect_proteins.tsv"
    conda:
        "../envs/proteins.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        units=lookup("proteins/units", within=config),
    script:
        "../scripts/collect_proteins.py"


rule cluster_proteins:
    """Group proteins that are nearly the same, only where that is asked for."""
    input:
        proteins="results/proteins/distinct.fasta.gz",
        occurrences="results/proteins/occurrences.parquet",
    output:
        representatives="results/proteins/representatives.fasta.gz",
        clusters="results/proteins/clusters.parquet",
        counts="results/proteins/clusters.json",
    log:
        "logs/cluster_proteins.log",
    benchmark:
        "benchmarks/cluster_proteins.tsv"
    conda:
        "../envs/proteins.yaml"
    threads: lookup("proteins/threads", within=config)
    resources:
        mem_mb=8000,
        runtime=720,
    params:
        structures=molecules,
        identity=lookup("proteins/cluster_identity", within=config),
        coverage=lookup("proteins/cluster_coverage", within=config),
    script:
        "../scripts/cluster_proteins.py"


rule proteins:
    """Every distinct protein is known."""
    input:
        rules.sequences.input,
        collect(rules.clean_structure.output, structure=structures),
        collect(rules.call_genes.output, sample=dna),
        collect(rules.read_protein_file.output, sample=protein_files),
        collect("results/structures/{structure}/residues.tsv", structure=brought),
        collect(rules.read_chains.output, structure=molecules),
        rules.collect_proteins.output,
        branch(
            lookup("proteins/cluster_identity", within=config),
            then=rules.cluster_proteins.output,
            otherwise=[],
        ),
    localrule: True

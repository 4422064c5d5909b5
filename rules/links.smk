"""Find out which protein each chain of a structure is, residue by residue.

Reads   results/structures/{structure}/residues.tsv   the residues of the topology
        results/proteins/distinct.fasta.gz            every distinct protein
        results/proteins/occurrences.parquet          where each was seen
        results/embeddings/index.parquet              the embedding of each, which proposes partners
Writes  results/links/{structure}.tsv                 one line per residue and partner: protein, row in it, status
        results/links/{structure}.json                what was considered and chosen for each chain
"""


rule link_chains:
    """Link the chains of one structure to their partners."""
    input:
        residues="results/structures/{structure}/residues.tsv",
        proteins="results/proteins/distinct.fasta.gz",
        occurrences="results/proteins/occurrences.parquet",
        index="results/embeddings/index.parquet",
    output:
        table="results/links/{structure}.tsv",
        summary="results/links/{structure}.json",
    log:
        "logs/link_chains/{structure}.log",
    benchmark:
        "benchmarks/link_chains/{structure}.tsv"
    conda:
        "../envs/links.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        structures=molecules,
        partner=lookup("links/partner", within=config),
        max_partners=lookup("links/max_partners", within=config),
        min_identity=lookup("links/min_identity", within=config),
        min_coverage=lookup("links/min_coverage", within=config),
    script:
        "../scripts/link_chains.py"


rule links:
    """The partners of all chains are known."""
    input:
        rules.embeddings.input,
        collect(rules.link_chains.output, structure=molecules),
    localrule: True

"""Fetch every source of the sheet, verify it, and write it in one normal form.

Reads   the paths, URLs and accessions of the sheet
Writes  results/sequences/{sample}.fasta.gz    DNA or proteins, bgzip, with .fai and .gzi
        results/sequences/{sample}.structure   a structure as plain text, PDB or mmCIF
        results/sequences/{sample}.json        where it came from and what was changed
"""


rule fetch_sequence:
    """Fetch one row's DNA or proteins and write it as indexed FASTA."""
    input:
        source=source_file,
    output:
        fasta="results/sequences/{sample}.fasta.gz",
        fai="results/sequences/{sample}.fasta.gz.fai",
        gzi="results/sequences/{sample}.fasta.gz.gzi",
        provenance="results/sequences/{sample}.json",
    log:
        "logs/fetch_sequence/{sample}.log",
    benchmark:
        "benchmarks/fetch_sequence/{sample}.tsv"
    wildcard_constraints:
        sample=any_of(dna + protein_files),
    conda:
        "../envs/sequences.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        source=of_sample("source"),
        origin=origin,
        kind=of_sample("kind"),
        checksum=of_sample("checksum"),
    script:
        "../scripts/fetch_sequence.py"


rule fetch_structure:
    """Fetch one row's structure and write it as plain text."""
    input:
        source=source_file,
    output:
        structure="results/sequences/{sample}.structure",
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
        runtime=30,
    params:
        source=of_sample("source"),
        origin=origin,
        checksum=of_sample("checksum"),
    script:
        "../scripts/fetch_structure.py"


rule sequences:
    """Every source is there, verified and normalised."""
    input:
        collect(rules.fetch_sequence.output, sample=dna + protein_files),
        collect(rules.fetch_structure.output, sample=structures),
    localrule: True

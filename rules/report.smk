"""Count what became of every record, record what the run was made with, and show all of it on one page.

Reads   what every stage wrote                    see stage_files
Writes  results/provenance/run.json               versions, sheet, configuration, seeds, git commit
        results/provenance/accounting.tsv         in = out + set aside, for every stage and item
        results/report/index.html                 one page that needs nothing else
        results/report/figures/{section}/         each of its figures as .svg, and what it shows as .tsv
        results/report/compare.{json,txt}         where the run differs from another one, where asked for
"""

from helixflow.provenance import sheet_rows

# By the names of helixflow.report.StageFiles.
stage_files = {
    "sequences": collect("results/sequences/{sample}.json", sample=samples),
    "fasta_indexes": collect("results/sequences/{sample}.fasta.gz.fai", sample=fastas),
    "members": collect("results/sequences/{sample}.tsv", sample=named("collection")),
    "buckets": collect("results/buckets/{sample}.h5", sample=dna + reads),
    "groups": "results/buckets/groups.parquet",
    "proteins": collect("results/proteins/{sample}.json", sample=protein_sources),
    "sample_occurrences": collect("results/proteins/{sample}.parquet", sample=protein_sources),
    "distinct": "results/proteins/distinct.json",
    "occurrences": "results/proteins/occurrences.parquet",
    "clusters": branch(
        lookup("proteins/cluster_identity", within=config),
        then="results/proteins/clusters.json",
        otherwise=[],
    ),
    "model": "results/embeddings/model.json",
    "index": "results/embeddings/index.parquet",
    "embedding_jobs": collect("results/embeddings/{shard}.json", shard=shards),
    "cleaning": collect("results/structures/{structure}/cleaning.json", structure=structures),
    "clean": collect("results/structures/{structure}/clean.pdb", structure=structures),
    "residues": collect("results/structures/{structure}/residues.tsv", structure=structures),
    "setup": collect("results/structures/{structure}/setup.json", structure=structures),
    "quality": collect(
        "results/trajectories/{structure}{temperature}/{replica}/quality.json",
        structure=structures,
        temperature=temperatures,
        replica=replicas,
    ),
    "energy": collect(
        "results/trajectories/{structure}{temperature}/{replica}/energy.tsv",
        structure=structures,
        temperature=temperatures,
        replica=replicas,
    ),
    "links": collect("results/links/{structure}.tsv", structure=structures),
    "link_summaries": collect("results/links/{structure}.json", structure=structures),
    "coanalysis": collect(
        "results/coanalysis/{structure}{temperature}.h5", structure=structures, temperature=temperatures
    ),
    "brought_quality": collect("results/trajectories/{structure}/1/quality.json", structure=brought),
    "brought_residues": collect("results/structures/{structure}/residues.tsv", structure=brought),
    "brought_links": collect("results/links/{structure}.tsv", structure=brought),
    "brought_link_summaries": collect("results/links/{structure}.json", structure=brought),
    "brought_coanalysis": collect("results/coanalysis/{structure}.h5", structure=brought),
    "topologies": collect(
        "results/trajectories/{structure}{temperature}/1/protein.pdb",
        structure=structures,
        temperature=temperatures,
    ),
    "brought_topologies": collect("results/trajectories/{structure}/1/protein.pdb", structure=brought),
    "structures_table": "results/coanalysis/structures.tsv",
    "across": "results/coanalysis/across.json",
}


rule record_run:
    """Record what the run was made with, and see that no record was lost in silence."""
    input:
        **stage_files,
    output:
        run=report(
            "results/provenance/run.json",
            caption="../scripts/helixflow/report/captions/provenance.rst",
            category="Run",
            labels={"what": "versions, sheet and configuration"},
        ),
        accounting=report(
            "results/provenance/accounting.tsv",
            caption="../scripts/helixflow/report/captions/accounting.rst",
            category="Run",
            labels={"what": "accounting"},
        ),
    log:
        "logs/record_run.log",
    benchmark:
        "benchmarks/record_run.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        sheet=sheet_rows(samples.values()),
    script:
        "../scripts/record_run.py"


rule write_report:
    """Show the run on one page."""
    input:
        **stage_files,
        run="results/provenance/run.json",
        accounting="results/provenance/accounting.tsv",
        comparison=branch(
            lookup("report/compare_with", within=config),
            then="results/report/compare.json",
            otherwise=[],
        ),
    output:
        page=report(
            "results/report/index.html",
            caption="../scripts/helixflow/report/captions/page.rst",
            category="Run",
            labels={"what": "the page"},
        ),
        figures=report(
            directory("results/report/figures"),
            patterns=["{section}/{figure}.svg"],
            caption="../scripts/helixflow/report/captions/figure.rst",
            category="Figures",
            subcategory="{section}",
            labels={"section": "{section}", "figure": "{figure}"},
        ),
    log:
        "logs/write_report.log",
    benchmark:
        "benchmarks/write_report.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        title=lookup("report/title", within=config),
        max_length_trained=lookup("embeddings/max_length_trained", within=config),
        benchmarks="benchmarks",
    script:
        "../scripts/write_report.py"


rule compare_runs:
    """Name the first stage, item and record in which the run differs from the one that the config names."""
    input:
        rules.record_run.input,
        rules.record_run.output,
        other=compared_run,
    output:
        json="results/report/compare.json",
        text="results/report/compare.txt",
    log:
        "logs/compare_runs.log",
    benchmark:
        "benchmarks/compare_runs.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        program=f"{workflow.basedir}/scripts/compare_runs.py",
        mem_mb=2000,
        runtime=240,
    params:
        other=lookup("report/compare_with", within=config),
        state=compared_state,
    shell:
        "python {resources.program:q} . {params.other:q} --exit-zero --json {output.json:q} --text {output.text:q}"
        " 2>&1 | tee {log:q}"


rule compare:
    """It is told where the run differs from the one that the config names."""
    input:
        rules.compare_runs.output,
    localrule: True


rule report:
    """The page is there, and what it was made from."""
    input:
        rules.buckets.input,
        rules.coanalysis.input,
        rules.record_run.output,
        rules.write_report.output,
    localrule: True

"""Bring motion, contacts and embeddings of each structure together, all replicas at once, with MPI.

Replicas at different temperatures are of different ensembles, so each temperature has an analysis of its own.

Reads   results/structures/{structure}/residues.tsv                   the residues of the topology
        results/trajectories/{structure}{temperature}/{replica}/protein.{pdb,xtc}  the molecule and its frames
        results/links/{structure}.tsv                                 the protein and row of each residue
        results/embeddings/index.parquet                              the URI of each protein's embedding
Writes  results/coanalysis/{structure}{temperature}.h5                             per frame, residue, pair and replica
"""


rule analyse_structure:
    """Analyse the replicas of one structure; the ranks share the frames."""
    input:
        program=f"{workflow.basedir}/scripts/analyse_structure.py",
        residues="results/structures/{structure}/residues.tsv",
        links="results/links/{structure}.tsv",
        index="results/embeddings/index.parquet",
        topologies=collect(
            "results/trajectories/{{structure}}{{temperature}}/{replica}/protein.pdb", replica=replicas_of
        ),
        trajectories=collect(
            "results/trajectories/{{structure}}{{temperature}}/{replica}/protein.xtc", replica=replicas_of
        ),
    output:
        "results/coanalysis/{structure}{temperature}.h5",
    log:
        "logs/analyse_structure/{structure}{temperature}.log",
    benchmark:
        "benchmarks/analyse_structure/{structure}{temperature}.tsv"
    conda:
        "../envs/coanalysis.yaml"
    threads: lookup("coanalysis/ranks", within=config)
    resources:
        # A workstation's; profiles of clusters name the launcher of theirs.
        mpi="mpirun --quiet --oversubscribe --allow-run-as-root --bind-to none",
        tasks=lookup("coanalysis/ranks", within=config),
        mem_mb=1000 + 500 * config["coanalysis"]["ranks"],
        runtime=240,
    params:
        replicas=replicas_of,
        cutoff_nm=lookup("coanalysis/cutoff_nm", within=config),
        min_separation=lookup("coanalysis/min_separation", within=config),
    shell:
        "{resources.mpi} -n {resources.tasks} python -m mpi4py {input.program:q}"
        " --residues {input.residues:q} --links {input.links:q} --index {input.index:q}"
        " --topologies {input.topologies:q} --trajectories {input.trajectories:q} --replicas {params.replicas}"
        " --cutoff-nm {params.cutoff_nm} --min-separation {params.min_separation}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule coanalysis:
    """Every structure has its co-analysis."""
    input:
        rules.embeddings.input,
        rules.trajectories.input,
        rules.links.input,
        collect(rules.analyse_structure.output, structure=structures, temperature=temperatures),
        collect(rules.analyse_structure.output, structure=brought, temperature=""),
    localrule: True

"""Measure the motion and contacts of each structure's replicas with MPI, and bring them together with its embeddings.

Frames are read once: what a replica's measures hold is enough for all that follows, so that another model,
another replica or more permutations read no trajectory again. Replicas at different temperatures are of
different ensembles, so each temperature has an analysis of its own.

Reads   results/structures/{structure}/residues.tsv                   the residues of the topology
        results/trajectories/{structure}{temperature}/{replica}/protein.{pdb,xtc}  the molecule and its frames
        results/links/{structure}.tsv                                 the protein and row of each residue
        results/embeddings/index.parquet                              the URI of each protein's embedding
        results/embeddings/contacts/{shard}.parquet                   contacts that the model predicts, where asked for
        results/proteins/occurrences.parquet, results/buckets/groups.parquet  which structures are relatives
Writes  results/coanalysis/{structure}{temperature}/{replica}.h5      what was measured in each frame
        results/coanalysis/{structure}{temperature}.h5                per frame, residue, pair and replica
        results/coanalysis/structures.tsv                             one table over all structures
        results/coanalysis/across.json                                what is learnt of one group of relatives and tried on others
"""


rule measure_replica:
    """Measure motion and contacts in every frame of one replica; the ranks share the frames."""
    input:
        residues="results/structures/{structure}/residues.tsv",
        topology="results/trajectories/{structure}{temperature}/{replica}/protein.pdb",
        trajectory="results/trajectories/{structure}{temperature}/{replica}/protein.xtc",
    output:
        "results/coanalysis/{structure}{temperature}/{replica}.h5",
    log:
        "logs/measure_replica/{structure}{temperature}/{replica}.log",
    benchmark:
        "benchmarks/measure_replica/{structure}{temperature}/{replica}.tsv"
    conda:
        "../envs/coanalysis.yaml"
    threads: lookup("coanalysis/ranks", within=config)
    resources:
        # No input: what was made by another checkout stands.
        program=f"{workflow.basedir}/scripts/measure_replica.py",
        # A workstation's; profiles of clusters name the launcher of theirs.
        mpi="mpirun --quiet --oversubscribe --allow-run-as-root --bind-to none",
        tasks=lookup("coanalysis/ranks", within=config),
        mem_mb=1000 + 500 * config["coanalysis"]["ranks"],
        runtime=240,
    params:
        cutoff_nm=lookup("coanalysis/cutoff_nm", within=config),
        heavy_cutoff_nm=lookup("coanalysis/heavy_cutoff_nm", within=config),
        min_separation=lookup("coanalysis/min_separation", within=config),
        neighbour_radius_nm=lookup("coanalysis/neighbour_radius_nm", within=config),
    shell:
        "{resources.mpi} -n {resources.tasks} python -m mpi4py {resources.program:q}"
        " --residues {input.residues:q} --topology {input.topology:q} --trajectory {input.trajectory:q}"
        " --cutoff-nm {params.cutoff_nm} --heavy-cutoff-nm {params.heavy_cutoff_nm}"
        " --min-separation {params.min_separation} --neighbour-radius-nm {params.neighbour_radius_nm}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule analyse_structure:
    """Bring the replicas of one structure and its embeddings together; the ranks share frames and permutations."""
    input:
        residues="results/structures/{structure}/residues.tsv",
        links="results/links/{structure}.tsv",
        index="results/embeddings/index.parquet",
        contacts=branch(
            lookup("embeddings/contacts_below", within=config),
            then=collect("results/embeddings/contacts/{shard}.parquet", shard=shards),
            otherwise=[],
        ),
        measures=collect("results/coanalysis/{{structure}}{{temperature}}/{replica}.h5", replica=replicas_of),
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
        # No input: what was made by another checkout stands.
        program=f"{workflow.basedir}/scripts/analyse_structure.py",
        mpi="mpirun --quiet --oversubscribe --allow-run-as-root --bind-to none",
        tasks=lookup("coanalysis/ranks", within=config),
        mem_mb=1000 + 500 * config["coanalysis"]["ranks"],
        runtime=240,
    params:
        replicas=replicas_of,
        criterion=lookup("coanalysis/contacts", within=config),
        components=lookup("coanalysis/components", within=config),
        permutations=lookup("coanalysis/permutations", within=config),
        seed=lookup("coanalysis/permutation_seed", within=config),
    shell:
        "{resources.mpi} -n {resources.tasks} python -m mpi4py {resources.program:q}"
        " --residues {input.residues:q} --links {input.links:q} --index {input.index:q}"
        " --contacts {input.contacts:q} --measures {input.measures:q} --replicas {params.replicas}"
        " --criterion {params.criterion} --components {params.components}"
        " --permutations {params.permutations} --seed {params.seed}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule tabulate_structures:
    """Put all structures into one table, and try on one group of relatives what was learnt of the others."""
    input:
        analyses=collect(rules.analyse_structure.output, structure=structures, temperature=temperatures)
        + collect(rules.analyse_structure.output, structure=brought, temperature=""),
        index="results/embeddings/index.parquet",
        occurrences="results/proteins/occurrences.parquet",
        groups="results/buckets/groups.parquet",
        clusters=branch(
            lookup("proteins/cluster_identity", within=config),
            then="results/proteins/clusters.parquet",
            otherwise=[],
        ),
    output:
        table=report(
            "results/coanalysis/structures.tsv",
            caption="../scripts/helixflow/report/captions/structures.rst",
            category="Co-analysis",
            labels={"what": "all structures"},
        ),
        across="results/coanalysis/across.json",
    log:
        "logs/tabulate_structures.log",
    benchmark:
        "benchmarks/tabulate_structures.tsv"
    conda:
        "../envs/coanalysis.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    script:
        "../scripts/tabulate_structures.py"


rule coanalysis:
    """Every structure has its co-analysis, and all of them a table."""
    input:
        rules.embeddings.input,
        rules.trajectories.input,
        rules.links.input,
        rules.tabulate_structures.input.analyses,
        rules.tabulate_structures.output,
    localrule: True

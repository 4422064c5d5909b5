"""Minimise every system, then equilibrate, simulate and check its replicas.

A replica is a chain of jobs, each of which can run on another node: equilibration, segments, and the end.
`{temperature}` is empty for one temperature, and such as `/300K` for each of a list. A `{pack}` is the
replicas that are simulated in one job, and a `{segment}` is called by its end in ps.

Reads   results/structures/{structure}/topol.top, solvated.gro, residues.tsv, setup.json
        results/sequences/{structure}.json                    where it came from
        results/sequences/{structure}.topology, .trajectory   brought along
Writes  results/trajectories/{structure}/minimised.gro, minimised.json
        results/trajectories/{structure}{temperature}/segments/{pack}/{segment}/   removed when joined
        results/trajectories/{structure}{temperature}/{replica}/…
            topology.tpr, mdout.mdp, processed.top   run input of the production
            protein.xtc, protein.pdb                 whole and centred, protein alone
            trajectory.xtc, final.gro                all atoms, as simulated
            energy.edr, energy.tsv                   energies of every frame
            quality.json                             checks, seeds, program, speed
            segments.json                            how the work was split, and what every mdrun ran
"""

#: What starts a GROMACS that is built with MPI on a workstation; nothing for another one.
launcher = "mpirun --quiet --oversubscribe --allow-run-as-root --bind-to none" * config["trajectories"]["mpi"]


#: What decides the bytes of a replica, as params of the jobs that make and judge it.
protocol = {**protocol_of(SimulationSettings, config), "temperature_K": temperature_K}


rule minimise_system:
    """Relax a solvated system, once for all its replicas, and see that GROMACS takes their protocol."""
    input:
        topology="results/structures/{structure}/topol.top",
        solvated="results/structures/{structure}/solvated.gro",
    output:
        minimised="results/trajectories/{structure}/minimised.gro",
        report="results/trajectories/{structure}/minimised.json",
    log:
        "logs/minimise_system/{structure}.log",
    benchmark:
        "benchmarks/minimise_system/{structure}.tsv"
    conda:
        "../envs/trajectories.yaml"
    threads: config["trajectories"]["threads"]
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        **protocol_of(MinimiseSettings, config),
    script:
        "../scripts/minimise_system.py"


rule equilibrate_replica:
    """Bring one replica to temperature and pressure in a folder of work/, where a stopped run continues."""
    input:
        topology="results/structures/{structure}/topol.top",
        minimised="results/trajectories/{structure}/minimised.gro",
    output:
        topology="results/trajectories/{structure}{temperature}/{replica}/topology.tpr",
        parameters="results/trajectories/{structure}{temperature}/{replica}/mdout.mdp",
        processed="results/trajectories/{structure}{temperature}/{replica}/processed.top",
    log:
        "logs/equilibrate_replica/{structure}{temperature}/{replica}.log",
    benchmark:
        "benchmarks/equilibrate_replica/{structure}{temperature}/{replica}.tsv"
    wildcard_constraints:
        structure=any_of(structures),
    conda:
        "../envs/trajectories.yaml"
    threads: pack_cores
    resources:
        # A workstation's; profiles of clusters name the launcher of theirs.
        mpi=launcher,
        tasks=pack_tasks,
        gpu=config["trajectories"]["gpu"],
        mem_mb=4000,
        runtime=1440,
    params:
        **protocol,
    script:
        "../scripts/equilibrate_replica.py"


rule simulate_segment:
    """Simulate one segment of the replicas of a pack, from the checkpoint that the one before ended with."""
    input:
        run_inputs=run_inputs,
        previous=segment_before,
    output:
        temp(directory("results/trajectories/{structure}{temperature}/segments/{pack}/{segment}")),
    log:
        "logs/simulate_segment/{structure}{temperature}/{pack}/{segment}.log",
    benchmark:
        "benchmarks/simulate_segment/{structure}{temperature}/{pack}/{segment}.tsv"
    wildcard_constraints:
        structure=any_of(structures),
    conda:
        "../envs/trajectories.yaml"
    threads: pack_cores
    resources:
        mpi=launcher,
        tasks=pack_tasks,
        gpu=config["trajectories"]["gpu"],
        mem_mb=4000,
        runtime=1440,
    script:
        "../scripts/simulate_segment.py"


rule finish_replica:
    """Join the segments of a replica, take the protein out, and check the run."""
    input:
        topology="results/structures/{structure}/topol.top",
        residues="results/structures/{structure}/residues.tsv",
        setup="results/structures/{structure}/setup.json",
        source="results/sequences/{structure}.json",
        minimised="results/trajectories/{structure}/minimised.gro",
        run_input="results/trajectories/{structure}{temperature}/{replica}/topology.tpr",
        segments=segments_of_replica,
    output:
        protein="results/trajectories/{structure}{temperature}/{replica}/protein.xtc",
        protein_topology="results/trajectories/{structure}{temperature}/{replica}/protein.pdb",
        trajectory="results/trajectories/{structure}{temperature}/{replica}/trajectory.xtc",
        final="results/trajectories/{structure}{temperature}/{replica}/final.gro",
        energies="results/trajectories/{structure}{temperature}/{replica}/energy.edr",
        energy_table="results/trajectories/{structure}{temperature}/{replica}/energy.tsv",
        quality=report(
            "results/trajectories/{structure}{temperature}/{replica}/quality.json",
            caption="../scripts/helixflow/report/captions/quality.rst",
            category="Trajectories",
            labels={"structure": "{structure}{temperature}", "replica": "{replica}"},
        ),
        segments="results/trajectories/{structure}{temperature}/{replica}/segments.json",
    log:
        "logs/finish_replica/{structure}{temperature}/{replica}.log",
    benchmark:
        "benchmarks/finish_replica/{structure}{temperature}/{replica}.tsv"
    wildcard_constraints:
        structure=any_of(structures),
    conda:
        "../envs/trajectories.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        **protocol,
    script:
        "../scripts/finish_replica.py"


rule bring_trajectory:
    """Take the protein out of a trajectory that was brought along, and make it whole."""
    input:
        topology="results/sequences/{structure}.topology",
        trajectory="results/sequences/{structure}.trajectory",
        provenance="results/sequences/{structure}.json",
    output:
        residues="results/structures/{structure}/residues.tsv",
        protein="results/trajectories/{structure}/1/protein.xtc",
        protein_topology="results/trajectories/{structure}/1/protein.pdb",
        quality=report(
            "results/trajectories/{structure}/1/quality.json",
            caption="../scripts/helixflow/report/captions/quality.rst",
            category="Trajectories",
            labels={"structure": "{structure}", "replica": "1"},
        ),
    log:
        "logs/bring_trajectory/{structure}.log",
    benchmark:
        "benchmarks/bring_trajectory/{structure}.tsv"
    wildcard_constraints:
        structure=any_of(brought),
    conda:
        "../envs/trajectories.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    script:
        "../scripts/bring_trajectory.py"


rule trajectories:
    """Every replica of every structure is simulated and checked, and what is brought along is checked."""
    input:
        rules.structures.input,
        collect(rules.minimise_system.output, structure=structures),
        collect(
            rules.equilibrate_replica.output,
            structure=structures,
            temperature=temperatures,
            replica=replicas,
        ),
        collect(rules.finish_replica.output, structure=structures, temperature=temperatures, replica=replicas),
        collect(rules.bring_trajectory.output, structure=brought),
    localrule: True

"""Minimise every system, then equilibrate and simulate its replicas and check each run.

Reads   results/structures/{structure}/topol.top, solvated.gro, residues.tsv
        results/sequences/{structure}.topology, .trajectory                   brought along
Reads   results/structures/{structure}/topol.top, solvated.gro, residues.tsv, setup.json
        results/sequences/{structure}.json                                    where it came from
Writes  results/trajectories/{structure}/minimised.gro, minimised.json
        results/trajectories/{structure}/{replica}/protein.xtc, protein.pdb   whole and centred, protein alone
        results/trajectories/{structure}/{replica}/trajectory.xtc             all atoms, as simulated
        results/trajectories/{structure}/{replica}/topology.tpr, final.gro    to look into it and to go on
        results/trajectories/{structure}/{replica}/mdout.mdp, processed.top   parameters and topology in whole
        results/trajectories/{structure}/{replica}/energy.edr, energy.tsv     energies of every frame
        results/trajectories/{structure}/{replica}/quality.json               checks, seeds, program, speed
"""


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


rule simulate_replica:
    """Equilibrate and simulate one replica in a folder of work/, where a stopped run continues."""
    input:
        topology="results/structures/{structure}/topol.top",
        minimised="results/trajectories/{structure}/minimised.gro",
        residues="results/structures/{structure}/residues.tsv",
        setup="results/structures/{structure}/setup.json",
        source="results/sequences/{structure}.json",
    output:
        protein="results/trajectories/{structure}/{replica}/protein.xtc",
        protein_topology="results/trajectories/{structure}/{replica}/protein.pdb",
        trajectory="results/trajectories/{structure}/{replica}/trajectory.xtc",
        topology="results/trajectories/{structure}/{replica}/topology.tpr",
        final="results/trajectories/{structure}/{replica}/final.gro",
        energies="results/trajectories/{structure}/{replica}/energy.edr",
        energy_table="results/trajectories/{structure}/{replica}/energy.tsv",
        quality="results/trajectories/{structure}/{replica}/quality.json",
        parameters="results/trajectories/{structure}/{replica}/mdout.mdp",
        processed="results/trajectories/{structure}/{replica}/processed.top",
    log:
        "logs/simulate_replica/{structure}/{replica}.log",
    benchmark:
        "benchmarks/simulate_replica/{structure}/{replica}.tsv"
    wildcard_constraints:
        structure=any_of(structures),
    conda:
        "../envs/trajectories.yaml"
    threads: config["trajectories"]["threads"]
    resources:
        mem_mb=4000,
        runtime=1440,
    params:
        **protocol_of(SimulationSettings, config),
        temperature_K=lookup("trajectories/temperature_K", within=config),
    script:
        "../scripts/simulate_replica.py"


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
        quality="results/trajectories/{structure}/1/quality.json",
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
        collect(rules.simulate_replica.output, structure=structures, replica=replicas),
        collect(rules.bring_trajectory.output, structure=brought),
    localrule: True

"""Clean every structure, and put it into a box of water for GROMACS.

Reads   results/sequences/{structure}.structure       PDB or mmCIF
        results/sequences/{structure}.json            which of the two, and its source
Writes  results/structures/{structure}/clean.pdb      protein alone, one model, one location per atom
        results/structures/{structure}/cleaning.json  what was set aside, changed or built, and why
        results/structures/{structure}/residues.tsv   the residues in the order of the topology
        results/structures/{structure}/topol.top      self-contained but for a force field of GROMACS
        results/structures/{structure}/solvated.gro   protein, water and ions
        results/structures/{structure}/setup.json     charge, protons, ions, disulfides, box, commands
"""


rule clean_structure:
    """Take the protein out of a structure, or say why it cannot be simulated."""
    input:
        structure="results/sequences/{structure}.structure",
        provenance="results/sequences/{structure}.json",
    output:
        pdb="results/structures/{structure}/clean.pdb",
        report="results/structures/{structure}/cleaning.json",
        table="results/structures/{structure}/residues.tsv",
    log:
        "logs/clean_structure/{structure}.log",
    benchmark:
        "benchmarks/clean_structure/{structure}.tsv"
    wildcard_constraints:
        structure=any_of(structures),
    conda:
        "../envs/structures.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        chains=of_sample("chains"),
        model=lookup("structures/model", within=config),
        assembly=lookup("structures/assembly", within=config),
        altloc=lookup("structures/altloc", within=config),
        ligands=lookup("structures/ligands", within=config),
        metals=lookup("structures/metals", within=config),
        nucleic_acids=lookup("structures/nucleic_acids", within=config),
        glycans=lookup("structures/glycans", within=config),
        modified=lookup("structures/modified", within=config),
        repair=lookup("structures/repair", within=config),
        max_gap=lookup("structures/max_gap", within=config),
    script:
        "../scripts/clean_structure.py"


rule prepare_system:
    """Make topology, box, water and ions."""
    input:
        pdb="results/structures/{structure}/clean.pdb",
        report="results/structures/{structure}/cleaning.json",
        table="results/structures/{structure}/residues.tsv",
        force_field=force_field_files(config["structures"]["force_field"]),
    output:
        topology="results/structures/{structure}/topol.top",
        solvated="results/structures/{structure}/solvated.gro",
        setup="results/structures/{structure}/setup.json",
    log:
        "logs/prepare_system/{structure}.log",
    benchmark:
        "benchmarks/prepare_system/{structure}.tsv"
    conda:
        "../envs/structures.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        protonation=lookup("structures/protonation", within=config),
        pH=lookup("structures/pH", within=config),
        force_field=lookup("structures/force_field", within=config),
        water=lookup("structures/water", within=config),
        box_shape=lookup("structures/box_shape", within=config),
        box_distance_nm=lookup("structures/box_distance_nm", within=config),
        salt_M=lookup("structures/salt_M", within=config),
        cation=lookup("structures/cation", within=config),
        anion=lookup("structures/anion", within=config),
        seed=lookup("structures/seed", within=config),
    script:
        "../scripts/prepare_system.py"


rule structures:
    """Every structure is ready to be simulated."""
    input:
        collect(rules.fetch_structure.output, sample=structures),
        collect(rules.clean_structure.output, structure=structures),
        collect(rules.prepare_system.output, structure=structures),
    localrule: True

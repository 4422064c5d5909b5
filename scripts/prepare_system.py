"""Rule prepare_system: a clean structure in; topology, solvated box and what is in it out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.structures.prepare import SetupSettings, prepare_system

results = Path(snakemake.output.setup).parent
scratch = Path("work/structures", snakemake.wildcards.structure)
prepare_system(results, scratch, SetupSettings(**snakemake.params), snakemake.config["gmx"])

"""Rule minimise_system: topology and solvated box in, minimised coordinates out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.minimise import MinimiseSettings, minimise_system

scratch = Path("work/trajectories", snakemake.wildcards.structure, "minimise")
settings = MinimiseSettings(**snakemake.params)
program = snakemake.config["gmx"]
minimise_system(**snakemake.input, **snakemake.output, scratch=scratch, settings=settings, program=program,
                threads=snakemake.threads)  # fmt: skip

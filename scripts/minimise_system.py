"""Rule minimise_system: topology and solvated box in, minimised coordinates out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.minimise import MinimiseSettings, minimise_system
from helixflow.trajectories.protocol import simulation_settings, temperatures_of

scratch = Path("work/trajectories", snakemake.wildcards.structure, "minimise")
settings = MinimiseSettings(**snakemake.params)
program, keys = snakemake.config["gmx"], snakemake.config["trajectories"]
# The hottest, whose atoms need the widest margins.
protocol = simulation_settings(snakemake.config, max(temperatures_of(keys["temperature_K"])))
minimise_system(**snakemake.input, **snakemake.output, scratch=scratch, settings=settings, program=program,
                threads=snakemake.threads, protocol=protocol)  # fmt: skip

"""Rule equilibrate_replica: a minimised system in, the run input of one replica's production out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.equilibrate import SimulationSettings, equilibrate_replica
from helixflow.trajectories.layout import job_of

wildcards, resources = snakemake.wildcards, snakemake.resources
job = job_of(snakemake.config["trajectories"], snakemake.config["gmx"], snakemake.threads, resources.mpi,
             resources.runtime)  # fmt: skip
scratch = Path(f"work/trajectories/{wildcards.structure}{wildcards.temperature}/{wildcards.replica}")
files = Path(snakemake.input.topology), Path(snakemake.input.minimised)
settings, results = SimulationSettings(**snakemake.params), Path(snakemake.output.topology).parent
replica = int(wildcards.replica)
equilibrate_replica(wildcards.structure, replica, *files, settings, job, scratch, results)

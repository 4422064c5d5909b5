"""Rule equilibrate_replica: a minimised system in, the run input of one replica's production out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.equilibrate import SimulationSettings, System, equilibrate_replica
from helixflow.trajectories.layout import job_of

wildcards, resources = snakemake.wildcards, snakemake.resources
job = job_of(snakemake.config["trajectories"], snakemake.config["gmx"], snakemake.threads, resources.mpi,
             resources.runtime)  # fmt: skip
scratch = Path(f"work/trajectories/{wildcards.structure}{wildcards.temperature}/{wildcards.replica}")
system = System(wildcards.structure, **{name: Path(path) for name, path in snakemake.input.items()})
settings, results = SimulationSettings(**snakemake.params), Path(snakemake.output.topology).parent
equilibrate_replica(system, int(wildcards.replica), settings, job, scratch, results)

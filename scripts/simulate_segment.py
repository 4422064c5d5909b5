"""Rule simulate_segment: run inputs and the segment before in, a segment of the replicas of a pack out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.layout import job_of
from helixflow.trajectories.plan import plan_pack, record_begin
from helixflow.trajectories.runs import segment_of
from helixflow.trajectories.segments import simulate_segment

wildcards, keys, resources = snakemake.wildcards, snakemake.config["trajectories"], snakemake.resources
name = wildcards.structure + wildcards.temperature
job = job_of(keys, snakemake.config["gmx"], snakemake.threads, resources.mpi, resources.runtime)
record_begin(name, wildcards.pack, plan_pack(name, wildcards.pack, keys))
segment = segment_of(name, wildcards.pack, wildcards.segment, snakemake.input.run_inputs,
                     snakemake.input.previous, keys["timestep_fs"])  # fmt: skip
scratch = Path(f"work/trajectories/{name}/segments/{wildcards.pack}/{wildcards.segment}")
simulate_segment(segment, job, keys["packing"], scratch, Path(snakemake.output[0]))

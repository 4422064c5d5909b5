"""Rule simulate_segment: run inputs and the segment before in, a segment of the replicas of a pack out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.layout import job_of
from helixflow.trajectories.plan import plan_pack, record_begin
from helixflow.trajectories.runs import segment_of
from helixflow.trajectories.segments import simulate_segment

keys, wildcards, resources = snakemake.config["trajectories"], snakemake.wildcards, snakemake.resources
name, pack, end = wildcards.structure + wildcards.temperature, wildcards.pack, wildcards.segment
job = job_of(keys, snakemake.config["gmx"], snakemake.threads, resources.mpi, resources.runtime)
record_begin(name, pack, ends := plan_pack(name, pack, keys))
segment = segment_of(name, pack, end, ends, **snakemake.input, timestep_fs=keys["timestep_fs"])
scratch = Path("work/trajectories", name, "segments", pack, end)
simulate_segment(segment, job, keys["packing"], scratch, Path(snakemake.output[0]))

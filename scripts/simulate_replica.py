"""Rule simulate_replica: a minimised system in, one replica's trajectory and quality out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.simulate import RunSettings, SimulationSettings, System, simulate_replica

structure, replica = snakemake.wildcards.structure, snakemake.wildcards.replica
keys = snakemake.config["trajectories"]
run = RunSettings(snakemake.config["gmx"], snakemake.threads, keys["checkpoint_min"])
judgement = Judgement(keys["gates"], **keys["quality"])
scratch, results = Path("work/trajectories", structure, replica), Path(snakemake.output.quality).parent
system = System(structure, **{name: Path(path) for name, path in snakemake.input.items()})
simulate_replica(
    system, int(replica), SimulationSettings(**snakemake.params), run, judgement, scratch, results
)

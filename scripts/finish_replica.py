"""Rule finish_replica: the segments of one replica in, its trajectory and quality out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.joining import join_and_finish
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.settings import SimulationSettings
from helixflow.trajectories.system import System

wildcards, keys = snakemake.wildcards, snakemake.config["trajectories"]
scratch = Path(f"work/trajectories/{wildcards.structure}{wildcards.temperature}/{wildcards.replica}")
files = (snakemake.input[name] for name in ("topology", "minimised", "residues", "setup", "source"))
system, settings = System(wildcards.structure, *map(Path, files)), SimulationSettings(**snakemake.params)
join_and_finish([Path(path) for path in snakemake.input.segments], Path(snakemake.input.run_input), scratch,
                system, int(wildcards.replica), settings, Judgement(keys["gates"], **keys["quality"]),
                snakemake.config["gmx"], Path(snakemake.output.quality).parent)  # fmt: skip

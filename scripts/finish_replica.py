"""Rule finish_replica: the segments of one replica in, its trajectory and quality out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from pathlib import Path

from helixflow.trajectories.finish import Judgement, SimulationSettings, System
from helixflow.trajectories.joining import join_and_finish

wildcards, given = snakemake.wildcards, {name: Path(str(path)) for name, path in snakemake.input.items()}
scratch = Path(f"work/trajectories/{wildcards.structure}{wildcards.temperature}/{wildcards.replica}")
system = System(wildcards.structure, given["topology"], given["minimised"], given["residues"])
join_and_finish([Path(path) for path in snakemake.input.segments], given["run_input"], scratch, system,
                int(wildcards.replica), SimulationSettings(**snakemake.params),
                Judgement(snakemake.config["trajectories"]["gates"]), snakemake.config["gmx"],
                Path(snakemake.output.quality).parent)  # fmt: skip

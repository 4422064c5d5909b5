"""Rule bring_trajectory: a topology and a trajectory that were brought along in, the protein's frames out."""

from helixflow.joblog import log_to

log_to(snakemake.log[0])

from helixflow.trajectories.brought import BroughtFiles, Outputs, bring_trajectory
from helixflow.trajectories.quality import Judgement

keys = snakemake.config["trajectories"]
judgement = Judgement(keys["gates"], **keys["quality"])
bring_trajectory(BroughtFiles(**snakemake.input), Outputs(**snakemake.output), judgement)

"""Whether a finished run can be trusted: each check a function, its limits in the configuration.

`gates` compares a value with its limits, `judgement` holds the limits. `run` checks that mdrun did what it
was to do, `energies` what the .edr file tells, `geometry` measures frames of the protein, `images` its
distance from its periodic images, `frames` collects what one pass over them finds, `molecule` judges that.
`logs` reads md.log and `tpr` the run input; `assess` puts all of it together.
"""

from helixflow.trajectories.quality.energies import ENERGIES
from helixflow.trajectories.quality.gates import Gate, judge
from helixflow.trajectories.quality.judgement import Judgement
from helixflow.trajectories.quality.logs import read_log

__all__ = ["ENERGIES", "Gate", "Judgement", "judge", "read_log"]

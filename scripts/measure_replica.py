"""Rule measure_replica: the frames of one replica in, its motion, contacts and secondary structure out.

Started by MPI: mpirun -n RANKS python -m mpi4py measure_replica.py --residues … --output …
"""

import argparse
import os

# The ranks are the parallelism; numpy's threads would only contend with them.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from mpi4py import MPI

from helixflow.coanalysis.parallel import one_line
from helixflow.coanalysis.replica import Settings, measure_replica
from helixflow.joblog import log_to_stderr

parser = argparse.ArgumentParser()
for name in ("residues", "topology", "trajectory", "output"):
    parser.add_argument(f"--{name}", required=True)
for name in ("cutoff-nm", "heavy-cutoff-nm", "neighbour-radius-nm"):
    parser.add_argument(f"--{name}", type=float, required=True)
parser.add_argument("--min-separation", type=int, required=True)
arguments = vars(parser.parse_args())
files = {name: arguments.pop(name) for name in ("residues", "topology", "trajectory", "output")}

log_to_stderr()
with one_line(MPI.COMM_WORLD):
    measure_replica(MPI.COMM_WORLD, **files, settings=Settings(**arguments))

"""Rule analyse_structure: trajectories, links and embeddings of a structure in, their co-analysis out.

Started by MPI: mpirun -n RANKS python -m mpi4py analyse_structure.py --residues … --output …
"""

import argparse
import logging
import os

# The ranks are the parallelism; numpy's threads would only contend with them.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from mpi4py import MPI

from helixflow.coanalysis.analysis import Request, analyse_structure
from helixflow.coanalysis.parallel import one_line
from helixflow.joblog import log_to_stderr

parser = argparse.ArgumentParser()
for name in ("residues", "links", "index", "output"):
    parser.add_argument(f"--{name}", required=True)
for name in ("topologies", "trajectories"):
    parser.add_argument(f"--{name}", nargs="+", required=True)
parser.add_argument("--replicas", nargs="+", type=int, required=True)
parser.add_argument("--cutoff-nm", type=float, required=True)
parser.add_argument("--min-separation", type=int, required=True)
arguments = vars(parser.parse_args())
output = arguments.pop("output")

log_to_stderr()
# It warns of formats that are not read here.
logging.getLogger("MDAnalysis").setLevel(logging.ERROR)
with one_line(MPI.COMM_WORLD):
    analyse_structure(MPI.COMM_WORLD, Request(**arguments), output)

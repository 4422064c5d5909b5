"""Rule analyse_structure: measures of a structure's replicas, links and embeddings in, their co-analysis out.

Started by MPI: mpirun -n RANKS python -m mpi4py analyse_structure.py --residues … --output …
"""

import argparse
import os

# The ranks are the parallelism; numpy's threads would only contend with them.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from mpi4py import MPI

from helixflow.coanalysis.analysis import analyse_structure
from helixflow.coanalysis.inputs import Request
from helixflow.coanalysis.parallel import one_line
from helixflow.joblog import log_to_stderr

parser = argparse.ArgumentParser()
for name in ("residues", "links", "index", "criterion", "output"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--contacts", nargs="*", default=[])
parser.add_argument("--measures", nargs="+", required=True)
for name, count in (("replicas", "+"), ("components", None), ("permutations", None), ("seed", None)):
    parser.add_argument(f"--{name}", nargs=count, type=int, required=True)
arguments = vars(parser.parse_args())
output = arguments.pop("output")

log_to_stderr()
with one_line(MPI.COMM_WORLD):
    analyse_structure(MPI.COMM_WORLD, Request(**arguments), output)

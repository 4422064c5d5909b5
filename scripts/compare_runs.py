"""Program and rule compare_runs: two runs in, the first difference and all others out.

compare_runs.py A B [--json FILE] [--text FILE]; exit status 0 the same, 1 different, 2 cannot be compared.
"""

import argparse
import sys

from helixflow.compare.program import compare_program

parser = argparse.ArgumentParser(description="Name the first record in which two runs differ.")
parser.add_argument("a", metavar="A", help="working directory of a run, or its folder results")
parser.add_argument("b", metavar="B", help="that of the other")
parser.add_argument("--json", default="", help="file for all differences as JSON")
parser.add_argument("--text", default="", help="file for what is printed")
parser.add_argument("--exit-zero", action="store_true", help="end with 0 also where they differ")
sys.exit(compare_program(**vars(parser.parse_args())))

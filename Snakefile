"""From accessions to molecular dynamics joined with protein language-model embeddings."""

import os
import sys
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/scripts")
# Shell rules find the Python, and the tools beside it, that run Snakemake; a conda environment comes before them.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))


# What is named on the command line stands alone; without it, the config that is there to be edited.
if "samples" not in config:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "rules/common.smk"
include: "rules/sequences.smk"
include: "rules/buckets.smk"
include: "rules/structures.smk"
include: "rules/proteins.smk"
include: "rules/embeddings.smk"
include: "rules/trajectories.smk"
include: "rules/links.smk"
include: "rules/coanalysis.smk"
include: "rules/report.smk"


rule all:
    """The report, and everything it shows."""
    default_target: True
    input:
        rules.report.input,


onstart:
    # Snakemake holds the lock of this folder; the store of embeddings may be shared by other runs.
    remove_all_leftovers("results", config["embeddings"]["store"])


onerror:
    # Snakemake's own account of a failed job is long; what the user has to mend comes last.
    print(*mendable(log), sep="\n", file=sys.stderr)

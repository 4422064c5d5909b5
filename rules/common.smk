"""The configuration, the sample sheet, and what is derived from them."""

import re
import sys

from helixflow.config import complete_config, read_schema
from helixflow.embeddings import check_settings
from helixflow.errors import mendable, one_line
from helixflow.samples import ACCESSIONS, DNA_KINDS, find_sheet, read_sheet, resolve
from helixflow.trajectories.settings import check_lengths

with one_line():
    config.update(complete_config(config, read_schema(f"{workflow.basedir}/config/schema.yaml")))
    check_settings(config["embeddings"])
    check_lengths(config["trajectories"])
    sheet = find_sheet(config["samples"], ["", workflow.basedir])
    samples = read_sheet(sheet)

if workflow.is_main_process:
    print(f"Sample sheet: {sheet.absolute()}, {len(samples)} rows", file=sys.stderr)


def named(*kinds):
    """Names of the samples of some kinds, ascending."""
    return [name for name, sample in samples.items() if sample.kind in kinds]


def any_of(names):
    """A regular expression that matches these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_sample(field):
    """A params function: this field of the sheet's row that the job's first wildcard names."""

    def value(wildcards):
        return getattr(samples[wildcards[0]], field)

    return value


def source_file(wildcards):
    """The local file of a row, so that a change of it is seen; none where the source is fetched."""
    path = samples[wildcards.sample].path
    return [str(path)] if path else []


def origin(wildcards):
    """Where the bytes of a row come from: a local path or a URL."""
    sample = samples[wildcards.sample]
    bases = {database: config["sequences"][f"{database}_url"] for database in ACCESSIONS}
    return str(sample.path or resolve(sample.source, bases))


dna = named(*DNA_KINDS)
protein_files = named("proteins")
structures = named("structure")
replicas = [str(number) for number in range(1, config["trajectories"]["replicas"] + 1)]
shards = [f"{number:03d}" for number in range(config["embeddings"]["shards"])]


wildcard_constraints:
    sample=any_of(samples),
    structure=any_of(structures),
    replica="[1-9][0-9]*",
    shard="[0-9]{3}",

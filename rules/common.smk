"""The configuration, the sample sheet, and what is derived from them.

The target of a stage asks for what it rests on too: Snakemake makes a missing file again only where
it is asked for, so that a result would stand although the fetch of its changed source has failed.
"""

import re
import sys
from functools import cache
from pathlib import Path

from helixflow import buckets, embeddings
from helixflow.compare.asked import run_to_compare, unfinished_state
from helixflow.config import complete_config, read_schema
from helixflow.errors import mendable, one_line
from helixflow.files import remove_all_leftovers
from helixflow.proteins.clusters import check_clustering
from helixflow.samples import DNA_KINDS, check_partitions, find_sheet, read_manifest, read_sheet
from helixflow.sequences.lock import check_lock
from helixflow.structures.force_fields import force_field_files
from helixflow.trajectories.plan import check_running, pack_replicas, plan_pack, plan_replicas
from helixflow.trajectories.protocol import check_protocol, protocol_of, temperature_of
from helixflow.trajectories.settings import MinimiseSettings, SimulationSettings, temperature_folders

# The members of a collection; a manifest is read once.
members_of = cache(read_manifest)

with one_line():
    config.update(complete_config(config, read_schema(f"{workflow.basedir}/config/schema.yaml")))
    buckets.check_settings(config["buckets"])
    embeddings.check_settings(config["embeddings"])
    check_protocol(config)
    check_running(config["trajectories"])
    sheet = find_sheet(config["samples"], ["", workflow.basedir])
    samples = read_sheet(sheet)
    check_partitions(config["buckets"]["partitions"], samples.values())
    # What is deployed for a job, by conda or as a container, brings its own programs.
    if workflow.is_main_process and not workflow.deployment_settings.deployment_method:
        check_clustering(config["proteins"])
    if workflow.is_main_process:
        print(f"Sample sheet: {sheet.absolute()}, {len(samples)} rows", file=sys.stderr)
        records = [Path("results/sequences", f"{name}.json") for name in samples]
        check_lock(sheet.with_suffix(".lock.tsv"), records)
        for sample in samples.values():
            if sample.kind == "collection":
                print(
                    f"Collection {sample.name}: {len(members_of(sample.origins[0]))} members",
                    file=sys.stderr,
                )


def named(*kinds):
    """Names of the samples of some kinds, ascending."""
    return [name for name, sample in samples.items() if sample.kind in kinds]


def holding(*kinds):
    """Names of the samples of some kinds, and of the collections of such, ascending."""
    return [name for name, sample in samples.items() if sample.contents in kinds]


def any_of(names):
    """A regular expression that matches these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_sample(field):
    """A params function: this field of the sheet's row that the job's first wildcard names."""

    def value(wildcards):
        return getattr(samples[wildcards[0]], field)

    return value


#: Params of the rules that fetch: what the row of the job names.
source_of_row = {
    "kind": of_sample("kind"),
    "text": of_sample("source"),
    "origins": of_sample("origins"),
    "checksum": of_sample("checksum"),
}


def source_files(wildcards):
    """The local files of a row, so that a change of them is seen; none where the source is fetched."""
    sample = samples[wildcards.sample]
    members = members_of(sample.origins[0]).values() if sample.kind == "collection" else []
    return sample.paths + [path for member in members for path in member.paths]


def sequence_files(wildcards):
    """The record of a row, and its FASTA file where it has one and not a member's each."""
    files = ["results/sequences/{sample}.json"]
    return files + (["results/sequences/{sample}.fasta.gz"] if wildcards.sample in fastas else [])


def replicas_of(wildcards):
    """The numbers of the runs of a molecule; a trajectory that is brought along is one."""
    return ["1"] if wildcards.structure in brought else replicas


def temperature_K(wildcards):
    """The temperature of a job, which its path names where there are several."""
    return temperature_of(wildcards.temperature, config["trajectories"]["temperature_K"])


def pack_cores(wildcards):
    """Cores of a job: of one mdrun, for every replica of its pack."""
    keys = config["trajectories"]
    return keys["threads"] * keys["ranks"] * len(pack_replicas(wildcards.get("pack", "1")))


def pack_tasks(wildcards):
    """Tasks of a job: the ranks of its pack where GROMACS is built with MPI."""
    keys = config["trajectories"]
    return keys["ranks"] * len(pack_replicas(wildcards.get("pack", "1"))) if keys["mpi"] else 1


def run_inputs(wildcards):
    """Run inputs of the replicas of a pack."""
    folder = f"results/trajectories/{wildcards.structure}{wildcards.temperature}"
    return [f"{folder}/{replica}/topology.tpr" for replica in pack_replicas(wildcards.pack)]


def segment_before(wildcards):
    """The folder of the segment before; none for the first."""
    name = wildcards.structure + wildcards.temperature
    ends = plan_pack(name, wildcards.pack, config["trajectories"])
    before = ends[: ends.index(wildcards.segment)][-1:]
    return [f"results/trajectories/{name}/segments/{wildcards.pack}/{end}" for end in before]


def segments_of_replica(wildcards):
    """The folders of all segments of a replica, in the pack that it was or is simulated in."""
    name = wildcards.structure + wildcards.temperature
    wanted = sorted({*map(int, replicas), int(wildcards.replica)})
    plan = plan_replicas(name, wanted, config["trajectories"])[int(wildcards.replica)]
    return [f"results/trajectories/{name}/segments/{plan.pack}/{end}" for end in plan.ends]


def compared_run(wildcards):
    """The provenance of the run to compare with, so that a change of it is seen; none where it is unfinished."""
    with one_line():
        return run_to_compare(config["report"]["compare_with"])


def compared_state(wildcards):
    """What an unfinished run to compare with has, so that more of it is seen; nothing of a finished one."""
    with one_line():
        return unfinished_state(config["report"]["compare_with"])


fastas = named(*DNA_KINDS, "proteins")
dna = holding(*DNA_KINDS)
reads = holding("reads")
protein_files = holding("proteins")
# Those that are simulated, those whose trajectory is brought along, and both.
structures = named("structure")
brought = named("trajectory")
molecules = sorted(structures + brought)
replicas = [str(number) for number in range(1, config["trajectories"]["replicas"] + 1)]
temperatures = temperature_folders(config["trajectories"]["temperature_K"])
shards = [f"{number:03d}" for number in range(config["embeddings"]["shards"])]


wildcard_constraints:
    sample=any_of(samples),
    structure=any_of(molecules),
    temperature="(/[0-9.]+K)?",
    replica="[1-9][0-9]*",
    pack="[1-9][0-9]*([-_][1-9][0-9]*)*",
    segment="[0-9.]+",
    shard="[0-9]{3}",

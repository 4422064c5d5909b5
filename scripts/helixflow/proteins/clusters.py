"""Near-duplicate proteins, found with MMseqs2: of each group one is embedded, its representative.

Linclust brings proteins together that share k-mers, and joins groups of groups, so that the last
representative of a protein may be further from it than was asked for. Each protein is therefore aligned
with its representative once more, and one that does not pass is its own.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from helixflow.errors import ConfigError, MismatchError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.tables import private_database, read_rows, write_rows

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

PROGRAM = "mmseqs"
#: Columns of the table of groups and their Arrow types.
CLUSTER_TYPES = {"protein": "string", "representative": "string"}
#: Share of a job's memory that MMseqs2 may plan with.
_MEMORY_SHARE = 0.7


def check_clustering(settings: Mapping[str, Any]) -> None:
    """See that MMseqs2 is there where near-duplicates are to be found.

    Parameters
    ----------
    settings : dict
        The section ``proteins`` of the configuration.

    Raises
    ------
    ConfigError
    """
    if settings["cluster_identity"] and not shutil.which(PROGRAM):
        raise ConfigError(
            f"config: 'proteins/cluster_identity' is {settings['cluster_identity']}, but MMseqs2 is not here "
            f"(expected '{PROGRAM}' on PATH: apt-get install mmseqs2, or conda install -c bioconda mmseqs2, "
            "or Snakemake with --sdm conda; 0 leaves near-duplicates alone)"
        )


def cluster_proteins(
    proteins: StrPath,
    occurrences: StrPath,
    representatives: StrPath,
    clusters: StrPath,
    *,
    structures: Sequence[str],
    identity: float,
    coverage: float,
    threads: int,
    memory_MB: int,
) -> dict[str, Any]:
    """Group proteins that are nearly the same.

    Parameters
    ----------
    proteins, occurrences : path
        Distinct proteins by ascending id, and all places.
    representatives : path
        Written: the proteins that stand for a group, or for themselves, by ascending id.
    clusters : path
        Written: every protein and its representative (`CLUSTER_TYPES`), by ascending id of the protein.
    structures : sequence of str
        Samples that are structures: a chain of one stands for itself, whatever it is near to, since its
        own residues are what a simulation is joined with.
    identity : float
        Least share of identical residues of the aligned ones, 0 to 1.
    coverage : float
        Least share of the residues of either protein that is aligned, 0 to 1.
    threads : int
        Nothing that is written depends on it.
    memory_MB : int
        What the job may take.

    Returns
    -------
    dict
        What was counted.
    """
    with private_database() as database:
        database.execute("CREATE TABLE near (protein, representative)")
        with TemporaryDirectory(prefix="helixflow-") as folder:
            found = _search(proteins, Path(folder), identity, coverage, threads, memory_MB)
            database.executemany("INSERT INTO near VALUES (?, ?)", found)
        _set_apart(database, _chains(occurrences, structures))
        write_rows(clusters, _grouped(database, proteins), CLUSTER_TYPES)
    write_fasta(representatives, _standing(proteins, clusters))
    total = chosen = 0
    for protein, representative in read_rows(clusters, list(CLUSTER_TYPES)):
        total += 1
        chosen += protein == representative
    return {
        "proteins": total,
        "representatives": chosen,
        "identity": identity,
        "coverage": coverage,
        "mmseqs": _version() if total else None,
    }


def _search(
    proteins: StrPath, folder: Path, identity: float, coverage: float, threads: int, memory_MB: int
) -> Iterator[tuple[str, str]]:
    """Give each protein that is near the representative of its group, and that representative."""
    if next(read_fasta(proteins), None) is None:
        return
    database, groups, checked, table = (str(folder / name) for name in ("db", "groups", "checked", "tsv"))
    alike = ["--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "0", "--alignment-mode", "3"]
    memory = ["--split-memory-limit", f"{int(_MEMORY_SHARE * memory_MB)}M"]
    parallel = ["--threads", str(threads)]
    _mmseqs("createdb", os.fspath(proteins), database, "--shuffle", "0", "--dbtype", "1")
    _mmseqs("linclust", database, groups, str(folder / "work"), *alike, *memory, *parallel)
    _mmseqs("align", database, database, groups, checked, *alike, *parallel)
    _mmseqs("createtsv", database, database, checked, table, "--threads", "1")
    with Path(table).open(encoding="ascii") as lines:
        for line in lines:
            representative, protein, _ = line.split("\t", 2)
            yield protein, representative


def _mmseqs(*arguments: str) -> None:
    """Run a command of MMseqs2, whose warnings go where ours go."""
    log.info("%s %s", PROGRAM, " ".join(arguments))
    code = subprocess.run([PROGRAM, *arguments, "-v", "2"], check=False).returncode
    if code:
        raise MismatchError(
            f"{PROGRAM} {arguments[0]} ended with {code}, expected 0 (what it said is in the job's log); set "
            "proteins/cluster_identity to 0 to do without"
        )


def _version() -> str:
    return subprocess.run([PROGRAM, "version"], check=True, capture_output=True, text=True).stdout.strip()


def _chains(occurrences: StrPath, structures: Sequence[str]) -> list[tuple[str]]:
    """Return the proteins that are chains of structures."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    condition = ds.field("sample").isin(pa.array(structures, pa.string()))
    table = ds.dataset(occurrences).to_table(columns=["protein"], filter=condition)
    return [(protein,) for protein in table["protein"].to_pylist()]


def _set_apart(database: sqlite3.Connection, chains: Sequence[tuple[str]]) -> None:
    """Make proteins stand for themselves, whatever they are near to."""
    database.execute("CREATE TABLE apart (protein PRIMARY KEY) WITHOUT ROWID")
    database.executemany("INSERT OR IGNORE INTO apart VALUES (?)", chains)
    database.execute("DELETE FROM near WHERE protein IN (SELECT protein FROM apart)")


def _grouped(database: sqlite3.Connection, proteins: StrPath) -> Iterator[tuple[str, str]]:
    """Give every protein and its representative, itself where it is near no other."""
    near = iter(database.execute("SELECT protein, representative FROM near ORDER BY protein"))
    protein, representative = next(near, ("", ""))
    for name, _ in read_fasta(proteins):
        if name == protein:
            yield name, representative
            protein, representative = next(near, ("", ""))
        else:
            yield name, name
    if protein:
        raise MismatchError(f"{proteins}: {protein} is in two groups of MMseqs2, or not among the proteins")


def _standing(proteins: StrPath, clusters: StrPath) -> Iterator[tuple[str, str]]:
    """Give the proteins that are their own representatives."""
    groups = read_rows(clusters, list(CLUSTER_TYPES))
    for (name, sequence), (_, representative) in zip(read_fasta(proteins), groups, strict=True):
        if name == representative:
            yield name, sequence

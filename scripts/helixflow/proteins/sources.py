"""Proteins that are given as such: FASTA files and the chains of structures."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from helixflow.members import Member
from helixflow.proteins.names import RARE_LETTERS, normalise, protein_id
from helixflow.proteins.occurrences import Occurrence, write_sample
from helixflow.structures.residues import read_residues, sequence_of, split_chains

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


def read_protein_file(
    members: Iterable[Member], proteins: StrPath, occurrences: StrPath, *, sample: str
) -> dict[str, Any]:
    """Take the proteins of the FASTA files of a row; members, outputs and result as of `call_genes`.

    Raises
    ------
    SourceError
        For a letter that is none, with record and position.
    """
    records = (
        (member.name, name, f"{member.paths[0]}: record '{name}'", sequence)
        for member in members
        for name, sequence in member.records()
    )
    return _take_proteins(records, proteins, occurrences, sample=sample, kind="proteins")


def read_chains(residues: StrPath, proteins: StrPath, occurrences: StrPath, *, sample: str) -> dict[str, Any]:
    """Take the chains of a cleaned structure, one protein each; outputs and result as of `call_genes`.

    Parameters
    ----------
    residues : path
        ``residues.tsv`` of the structure.
    """
    chains = split_chains(read_residues(residues))
    records = (
        (sample, chain, f"{residues}: chain '{chain}'", sequence_of(members))
        for chain, members in chains.items()
    )
    return _take_proteins(records, proteins, occurrences, sample=sample, kind="structure")


def _take_proteins(
    records: Iterable[tuple[str, str, str, str]],
    proteins: StrPath,
    occurrences: StrPath,
    *,
    sample: str,
    kind: str,
) -> dict[str, Any]:
    """Write records of unit, name, place (for messages) and sequence that are proteins already."""
    mapped: Counter[str] = Counter()
    set_aside: list[dict[str, str]] = []

    def found() -> Iterator[tuple[Occurrence, str]]:
        for unit, name, where, sequence in records:
            protein = normalise(sequence, where)
            mapped.update(letter for letter in sequence.upper() if letter in RARE_LETTERS)
            if protein:
                digest, end = protein_id(protein), len(protein)
                yield Occurrence(digest, sample, unit, name, 1, end, 0, False, 0, name), protein
            else:
                set_aside.append({"record": name, "reason": "no residues"})
                log.warning("%s set aside: no residues", where)

    counts = write_sample(found(), proteins, occurrences)
    return {
        "sample": sample,
        "kind": kind,
        "records": counts["occurrences"] + len(set_aside),
        "mapped_to_X": dict(sorted(mapped.items())),
        "set_aside": set_aside,
        **counts,
    }

"""Looking through a store: is every part as it was written, and is all there that an index names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helixflow.embeddings.contact_store import CONTACT_DATASETS
from helixflow.embeddings.index import INDEX_TYPES
from helixflow.embeddings.reading import split_uri
from helixflow.embeddings.store import (
    CONTACTS,
    DATASETS,
    DIGEST,
    SAME_IN_A_MODEL,
    blocks,
    content_digest,
    list_parts,
    list_temporary,
    open_part,
    part_name,
)
from helixflow.errors import EmbeddingError
from helixflow.files import write_text
from helixflow.proteins.names import protein_id
from helixflow.tables import private_database, read_rows

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

HEADER = ("level", "problem", "file", "protein", "detail")


class Finding(NamedTuple):
    """Something about a store that should be known.

    level: ``error``, or ``note`` for what does no harm; problem: one word; detail: what was expected
    and what was found.
    """

    level: str
    problem: str
    file: str
    protein: str
    detail: str


def verify_store(
    store: StrPath, key: str, index: StrPath | None = None, contacts: Iterable[StrPath] = ()
) -> list[Finding]:
    """Look through what one model has in a store; memory does not follow its size.

    Parameters
    ----------
    store : path
    key : str
        Model key, the name of the model's folder in the store.
    index : path, optional
        Parquet of a run, as `helixflow.embeddings.index.write_index` writes it.
    contacts : iterable of path
        Parquets of the run's contact maps.

    Returns
    -------
    list of Finding
        Errors: a part or file of contact maps that cannot be read (``unreadable``), whose content is not
        that of its digest (``digest``) or of its name (``name``), a sequence that is not that of its protein
        (``protein``), rows that do not add up (``offset``), numbers that are not finite (``value``),
        a part of another model (``model``); a row of the index whose part (``part missing``), protein
        (``protein missing``) or place (``place``) is not there; a file of contact maps that is not
        (``contacts missing``).
        Notes: what killed jobs left or others are writing (``temporary``), files that are no parts
        (``stranger``), and how many parts the index does not name (``unused``).
    """
    folder = Path(store, key)
    with private_database() as database:
        database.execute(
            "CREATE TABLE held (part, protein, row, length, PRIMARY KEY (part, protein)) WITHOUT ROWID"
        )
        findings = list(_check_files(folder))
        findings += [finding for path in list_parts(folder) for finding in _check_part(path, database)]
        findings += _check_models(list_parts(folder))
        findings += _check_contacts(folder, contacts)
        if index is not None:
            findings += _check_index(folder, Path(index), database)
        parts, proteins, residues = database.execute(
            "SELECT count(DISTINCT part), count(*), total(length) FROM held"
        ).fetchone()
    log.info("%s: %d parts, %d proteins, %d residues looked at", folder, parts, proteins, residues)
    for finding in findings:
        log.log(logging.ERROR if finding.level == "error" else logging.INFO, "%s", "\t".join(finding))
    return findings


def report_findings(findings: Iterable[Finding], path: StrPath) -> None:
    """Write findings as a table, one a line.

    Raises
    ------
    EmbeddingError
        When one of them is an error; the table is there then too.
    """
    findings = list(findings)
    write_text(path, "".join("\t".join(row) + "\n" for row in (HEADER, *findings)))
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise EmbeddingError(
            f"{errors[0].file}: {errors[0].problem}: {errors[0].detail}; {len(errors)} errors in all, listed "
            f"in {path}; delete the parts that are wrong and run again with --forcerun plan_shards"
        )


def _check_files(folder: Path) -> Iterator[Finding]:
    """Find what is no part."""
    temporary = list_temporary(folder)
    for path in temporary:
        yield Finding("note", "temporary", str(path), "", "left by a killed job, or being written now")
    known = {*temporary, *list_parts(folder), folder / CONTACTS}
    for path in sorted(folder.glob("*")):
        if path not in known:
            yield Finding("note", "stranger", str(path), "", "expected parts alone, found this")


def _check_part(path: Path, database: sqlite3.Connection) -> list[Finding]:
    """Check all that a part says of itself, and take note of the proteins it holds."""

    def error(problem: str, detail: str, protein: str = "") -> Finding:
        return Finding("error", problem, str(path), protein, detail)

    try:
        with open_part(path) as part:
            problem = _find_misfit(part)
            if problem:
                return [error("offset", problem)]
            found = [*_check_digest(part), *_check_names(part, path.stem, database), *_check_values(part)]
    except EmbeddingError as fault:
        return [error("unreadable", str(fault).removeprefix(f"{path}: "))]
    return [error(problem, detail, protein) for problem, detail, protein in found]


def _find_misfit(part: Any) -> str:
    """Tell what about the sizes of a part's datasets does not add up; nothing where all does."""
    import numpy as np

    for name, (dtype, axes) in DATASETS.items():
        if (part[name].dtype.str, part[name].ndim) != (dtype, axes):
            found = f"{part[name].dtype.str} with {part[name].ndim}"
            return f"/{name} is {found} axes, expected {dtype} with {axes}"
    protein, offset, residue, sequence, mean = (part[name] for name in DATASETS)
    rows = offset[:]
    if len(rows) != len(protein) + 1 or len(mean) != len(protein):
        return f"{len(protein)} proteins, {len(rows)} offsets and {len(mean)} means, expected N, N + 1 and N"
    if rows[0] != 0 or (np.diff(rows) < 1).any():
        return "offsets do not ascend from 0"
    if not rows[-1] == len(residue) == len(sequence):
        return f"offsets end at {rows[-1]}, of {len(residue)} vectors and {len(sequence)} letters"
    return ""


def _check_digest(part: Any, names: Iterable[str] = tuple(DATASETS)) -> Iterator[tuple[str, str, str]]:
    expected, found = part.attrs.get(DIGEST, "none"), content_digest(part, part.attrs, names)
    if found != expected:
        yield "digest", f"expected {expected}, found {found}", ""


def _check_names(part: Any, name: str, database: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Check that the part is named by its ids and each id by its sequence."""
    proteins = [protein.decode("ascii", "backslashreplace") for protein in part["protein"][:]]
    rows = part["offset"][:].tolist()
    if any(one >= other for one, other in pairwise(proteins)):
        yield "name", "ids do not ascend", ""
    if part_name(proteins) != name:
        yield "name", f"expected {part_name(proteins)}, the digest of its ids, found {name}", ""
    for protein, (first, last) in zip(proteins, pairwise(rows), strict=True):
        sequence = part["sequence"][first:last].tobytes().decode("ascii", "backslashreplace")
        if protein_id(sequence) != protein:
            yield "protein", f"its sequence is that of {protein_id(sequence)}", protein
        database.execute(
            "INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?)", (name, protein, first, last - first)
        )


def _check_values(part: Any) -> Iterator[tuple[str, str, str]]:
    import numpy as np

    for name in ("residue", "mean"):
        wrong = sum(int((~np.isfinite(block)).sum()) for block in blocks(part[name]))
        if wrong:
            yield "value", f"{wrong} numbers of /{name} are not finite", ""


def _check_models(paths: list[Path]) -> Iterator[Finding]:
    """Check that all parts of a folder were made with the same model, used in the same way."""
    first: tuple[Path, dict[str, Any]] | None = None
    for path in paths:
        try:
            with open_part(path) as part:
                found = {name: part.attrs.get(name, "none") for name in SAME_IN_A_MODEL}
        except EmbeddingError:
            continue  # Is told as unreadable.
        first = first or (path, found)
        for name in SAME_IN_A_MODEL:
            if found[name] != first[1][name]:
                detail = f"{name} is {found[name]}, expected {first[1][name]} as in {first[0].name}"
                yield Finding("error", "model", str(path), "", detail)


def _check_contacts(folder: Path, tables: Iterable[StrPath]) -> Iterator[Finding]:
    """Check every file of contact maps, and that those are there that tables name."""
    for path in sorted(folder.glob(f"{CONTACTS}/*/[!.]*.h5")):
        try:
            with open_part(path) as maps:
                found = list(_check_digest(maps, CONTACT_DATASETS))
        except EmbeddingError as fault:
            found = [("unreadable", str(fault).removeprefix(f"{path}: "), "")]
        for problem, detail, protein in found:
            yield Finding("error", problem, str(path), protein, detail)
    for table in tables:
        for name in sorted({split_uri(uri)[0] for (uri,) in read_rows(table, ["uri"])}):
            wanted = os.path.normpath(Path(table).parent / name)
            if not Path(wanted).is_file():
                yield Finding("error", "contacts missing", wanted, "", f"{table} names it")


def _check_index(folder: Path, index: Path, database: sqlite3.Connection) -> Iterator[Finding]:
    """Check that all is there that an index names, and count the parts that it does not."""
    parts = {path.stem for path in list_parts(folder)}
    readable = {part for (part,) in database.execute("SELECT DISTINCT part FROM held")}
    used: set[str] = set()
    for protein, length, uri, row, embedded in read_rows(index, list(INDEX_TYPES)):
        name, named = split_uri(uri)
        part, path = Path(name).stem, os.path.normpath(index.parent / name)
        if part not in used and not (part in parts and Path(path).is_file()):
            yield Finding("error", "part missing", path, "", f"{index} names it for {protein} and others")
        used.add(part)
        if part in readable:
            own_length = length if embedded == protein else None
            yield from _check_place(database, path, named, (row, own_length), str(index))
    if parts - used:
        yield Finding("note", "unused", str(folder), "", f"{len(parts - used)} parts are not in {index}")


def _check_place(
    database: sqlite3.Connection, path: str, protein: str, expected: tuple[int, int | None], index: str
) -> Iterator[Finding]:
    """Check that a part holds a protein at the row, and with the length, that an index has."""
    select = "SELECT row, length FROM held WHERE part = ? AND protein = ?"
    found = database.execute(select, (Path(path).stem, protein)).fetchone()
    row, length = expected
    if found is None:
        yield Finding("error", "protein missing", path, protein, f"{index} names it")
    elif found != (row, length or found[1]):
        detail = f"{index} has row {row} and length {length}, found row {found[0]} and length {found[1]}"
        yield Finding("error", "place", path, protein, detail)

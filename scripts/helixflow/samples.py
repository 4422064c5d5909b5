"""The sample sheet: its rows, checked before any job starts, and where each source is found."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from helixflow.errors import SheetError

COLUMNS = ("sample", "kind", "source", "checksum", "taxon", "genetic_code", "chain")
REQUIRED = COLUMNS[:3]
DNA_KINDS = ("genome", "metagenome")
KINDS = (*DNA_KINDS, "proteins", "structure")
#: Names that would collide with files over all samples, such as ``proteins/distinct.fasta.gz``.
RESERVED = ("distinct", "occurrences", "groups")
#: Translation tables of NCBI that Pyrodigal knows.
GENETIC_CODES = (*range(1, 7), *range(9, 17), *range(21, 27), 29, 30, 32, 33)

_SAMPLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
_CHAINS = re.compile(r"[A-Za-z0-9]+(,[A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Accession:
    """How the accessions of one database look and where one is fetched.

    `url` has two fields: ``{base}``, the configured address of the database, and ``{accession}``.
    """

    name: str
    pattern: str
    example: str
    kinds: tuple[str, ...]
    url: str


ACCESSIONS = {
    "ncbi": Accession(
        "NCBI nucleotide accession",
        r"[A-Z]{1,2}_?[0-9]{5,9}(\.[0-9]+)?|[A-Z]{2}_[A-Z]{0,4}[0-9]{6,}(\.[0-9]+)?",
        "ncbi:NC_001802.1",
        DNA_KINDS,
        "{base}/efetch.fcgi?db=nuccore&id={accession}&rettype=fasta&retmode=text",
    ),
    "uniprot": Accession(
        "UniProt accession",
        r"[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2}",
        "uniprot:P12497",
        ("proteins",),
        "{base}/uniprotkb/{accession}.fasta",
    ),
    "pdb": Accession(
        "PDB id",
        r"[0-9][A-Za-z0-9]{3}",
        "pdb:1A8O",
        ("structure",),
        "{base}/download/{accession}.cif",
    ),
}


@dataclass(frozen=True)
class Sample:
    """One row of the sheet, with everything in it known to be well formed."""

    name: str
    kind: str
    source: str
    checksum: str
    taxon: str
    genetic_code: int
    chains: tuple[str, ...]
    #: The local file the source names, relative where the sheet's path is; None where it is fetched.
    path: Path | None


def read_sheet(path: str | os.PathLike[str]) -> dict[str, Sample]:
    """Read a sample sheet.

    Parameters
    ----------
    path : path
        Tab-separated, with a header line; blank lines and lines that begin with ``#`` are left out.

    Returns
    -------
    dict of str to Sample
        Rows by name, ascending, so that nothing downstream depends on the order of the sheet.

    Raises
    ------
    SheetError
        For the first row that is wrong, with its line.
    """
    path = Path(path)
    samples: dict[str, Sample] = {}
    lines: dict[str, int] = {}
    for number, row in _rows(path):
        try:
            sample = _parse(row, path.parent)
        except SheetError as error:
            raise SheetError(f"{path} line {number}: {error}") from None
        # Names that differ in case alone would share files on some file systems.
        other = lines.setdefault(sample.name.lower(), number)
        if other != number:
            raise SheetError(
                f"{path} line {number}: sample '{sample.name}' is already on line {other} "
                "(expected unique names, upper and lower case taken as the same)"
            )
        samples[sample.name] = sample
    if not samples:
        raise SheetError(f"{path}: no rows found, expected at least one sample")
    return dict(sorted(samples.items()))


def find_sheet(name: str, folders: Iterable[str | os.PathLike[str]]) -> Path:
    """Find the sheet a config names in the first of several folders that has it."""
    tried = [Path(folder, name) for folder in folders]
    for path in tried:
        if path.is_file():
            return path
    looked = ", ".join(str(path.absolute()) for path in tried)
    raise SheetError(f"config: samples names no file '{name}' (looked for {looked})")


def resolve(source: str, bases: dict[str, str]) -> str:
    """Give the URL of a source that is not a local path.

    Parameters
    ----------
    source : str
        ``http(s)://…`` or ``database:accession``.
    bases : dict of str to str
        Address of each database of `ACCESSIONS`.
    """
    scheme, _, accession = source.partition(":")
    if scheme in ("http", "https"):
        return source
    return ACCESSIONS[scheme].url.format(base=bases[scheme].rstrip("/"), accession=accession)


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Give the rows of the sheet as dictionaries, with the number of their line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SheetError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    # Lines end with LF, CRLF or CR; str.splitlines would end them at form feeds and the like too.
    lines = io.StringIO(text, newline=None)
    table = [
        (number, [cell.strip() for cell in line.rstrip("\n").split("\t")])
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    if not table:
        raise SheetError(f"{path}: empty, expected the columns {', '.join(COLUMNS)}")
    number, header = table[0]
    _check_header(f"{path} line {number}", header)
    for number, cells in table[1:]:
        if len(cells) > len(header):
            raise SheetError(
                f"{path} line {number}: {len(cells)} columns (expected at most {len(header)}, as the header)"
            )
        yield number, dict.fromkeys(COLUMNS, "") | dict(zip(header, cells, strict=False))


def _check_header(where: str, header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise SheetError(
            f"{where}: unknown column '{unknown[0]}' (expected tab-separated, out of {', '.join(COLUMNS)})"
        )
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise SheetError(
            f"{where}: column '{missing[0]}' is missing (expected at least {', '.join(REQUIRED)})"
        )
    if len(set(header)) < len(header):
        raise SheetError(f"{where}: a column is named twice (found {', '.join(header)})")


def _parse(row: dict[str, str], folder: Path) -> Sample:
    """Check one row; messages are without the place, which the caller adds."""
    name, kind = row["sample"], row["kind"]
    for column, cell in row.items():
        _demand(cell.isprintable(), f"{column} {cell!r} has characters that cannot be printed")
        _demand(len(cell) <= 1000, f"{column} has {len(cell)} characters, expected at most 1000")
    _demand(
        _SAMPLE.fullmatch(name),
        f"sample '{name}' is not a safe name (expected a letter or digit, then up to 99 of A-Za-z0-9._-)",
    )
    _demand(name not in RESERVED, f"sample '{name}' is the name of a file of the workflow (expected another)")
    _demand(kind in KINDS, f"kind '{kind}' is unknown (expected one of {', '.join(KINDS)})")
    checksum = row["checksum"].lower()
    _demand(
        not checksum or _CHECKSUM.fullmatch(checksum),
        f"checksum '{row['checksum']}' is malformed (expected sha256: and 64 hex digits, or md5: and 32)",
    )
    return Sample(
        name=name,
        kind=kind,
        source=row["source"],
        checksum=checksum,
        taxon=row["taxon"],
        genetic_code=_genetic_code(row["genetic_code"], kind),
        chains=_chains(row["chain"], kind),
        path=_local_path(row["source"], kind, folder),
    )


def _demand(condition: object, message: str) -> None:
    if not condition:
        raise SheetError(message)


def _genetic_code(text: str, kind: str) -> int:
    """Return the translation table, 11 (bacteria, archaea, plastids) where none is given."""
    _demand(
        not text or kind in DNA_KINDS, f"genetic_code '{text}' has no meaning for kind {kind} (expected none)"
    )
    code = int(text) if re.fullmatch("[0-9]{1,2}", text) else 0
    _demand(
        not text or code in GENETIC_CODES,
        f"genetic_code '{text}' is unknown (expected a table of NCBI, {', '.join(map(str, GENETIC_CODES))})",
    )
    return code or 11


def _chains(text: str, kind: str) -> tuple[str, ...]:
    _demand(not text or kind == "structure", f"chain '{text}' has no meaning for kind {kind} (expected none)")
    _demand(
        not text or _CHAINS.fullmatch(text),
        f"chain '{text}' is malformed (expected chain ids such as A or A,B)",
    )
    return tuple(text.split(",")) if text else ()


def _local_path(source: str, kind: str, folder: Path) -> Path | None:
    """Check a source; return the file it names, or None where it is fetched."""
    _demand(source, "source is empty (expected a path, an http(s) URL or an accession such as pdb:1A8O)")
    scheme, colon, rest = source.partition(":")
    check = _SCHEMES.get(scheme) if colon else None
    if check is not None:
        check(source, scheme, rest, kind)
        return None
    _demand(
        not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", source),
        f"source '{source}' has an unknown scheme (expected a path, {', '.join(s + ':' for s in _SCHEMES)})",
    )
    path = folder / source
    # Snakemake takes braces in the path of an input for a wildcard.
    _demand(
        "{" not in str(path) and "}" not in str(path),
        f"source '{source}' has braces (expected a path without)",
    )
    _demand(_is_file(path), f"source '{source}' is not a file (expected {path.absolute()})")
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _check_url(source: str, scheme: str, rest: str, kind: str) -> None:
    try:
        address = urlsplit(source)
        valid = address.hostname and " " not in source and address.port != 0
    except ValueError:
        valid = False
    _demand(valid, f"source '{source}' is not a URL (expected {scheme}://host/path)")


def _check_accession(source: str, scheme: str, rest: str, kind: str) -> None:
    accession = ACCESSIONS[scheme]
    _demand(
        re.fullmatch(accession.pattern, rest),
        f"source '{source}' is not a {accession.name} (expected e.g. {accession.example}, found '{rest}')",
    )
    _demand(
        kind in accession.kinds,
        f"source '{source}' does not give kind {kind} (expected kind {' or '.join(accession.kinds)})",
    )


_SCHEMES: dict[str, Callable[[str, str, str, str], None]] = {
    "http": _check_url,
    "https": _check_url,
    **dict.fromkeys(ACCESSIONS, _check_accession),
}

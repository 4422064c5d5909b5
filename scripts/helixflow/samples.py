"""The sample sheet and the manifests of collections: their rows, checked before any job starts."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from helixflow.accessions import (
    DNA_KINDS,
    SCHEMES,
    URL_SCHEMES,
    find_database,
    is_accession,
    is_peptide,
    is_remote,
)
from helixflow.errors import ConfigError, SheetError, SourceError

COLUMNS = ("sample", "kind", "source", "checksum", "taxon", "genetic_code", "chain", "circular")
MANIFEST_COLUMNS = ("sample", "kind", "source", "checksum", "taxon")
REQUIRED = COLUMNS[:3]
#: What the members of a collection may be: what is not simulated, which takes a job of its own.
MEMBER_KINDS = (*DNA_KINDS, "reads", "proteins")
KINDS = (*MEMBER_KINDS, "structure", "trajectory", "collection")
#: What is shared out record by record, see `check_partitions`.
PARTITIONED_KINDS = ("reads", "metagenome")
#: Names that would collide with files over all samples, such as ``proteins/distinct.fasta.gz``.
RESERVED = ("distinct", "occurrences", "groups")
#: Ends of names that would collide with files of other samples, beside the folder of a collection.
ENDINGS = (
    ".fasta.gz",
    ".fastq.gz",
    ".fai",
    ".gzi",
    ".json",
    ".tsv",
    ".structure",
    ".topology",
    ".trajectory",
    ".h5",
    ".parquet",
)
#: How the topology and the trajectory that are brought along end.
BROUGHT_ENDINGS = (("tpr", "gro", "pdb"), ("xtc", "trr"))
#: Translation tables of NCBI that Pyrodigal knows.
GENETIC_CODES = (*range(1, 7), *range(9, 17), *range(21, 27), 29, 30, 32, 33)

#: The field `Sample.circular` where every record is.
ALL_CIRCULAR = ("yes",)

_SAMPLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
_CHAINS = re.compile(r"[A-Za-z0-9]+(,[A-Za-z0-9]+)*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Sample:
    """One row of the sheet or of a manifest, with everything in it known to be well formed."""

    name: str
    kind: str
    source: str
    checksum: str
    taxon: str
    genetic_code: int
    chains: tuple[str, ...]
    #: Names of its records that are circles, `ALL_CIRCULAR` where all are.
    circular: tuple[str, ...]
    #: Where its files come from: paths, relative where the sheet's is, URLs, or one accession.
    origins: tuple[str, ...]
    #: What is in its files: its kind, or that of the members of a collection.
    contents: str

    @property
    def paths(self) -> list[str]:
        """The origins that are files on this machine."""
        return [origin for origin in self.origins if not is_remote(origin)]


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
    return _read(Path(path), COLUMNS, KINDS)


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Sample]:
    """Read the manifest of a collection, the rows of which are all of one kind.

    Parameters, result and errors are those of `read_sheet`, with the columns `MANIFEST_COLUMNS`.
    """
    members = _read(Path(path), MANIFEST_COLUMNS, MEMBER_KINDS)
    kinds = sorted({member.kind for member in members.values()})
    if len(kinds) > 1:
        raise SheetError(f"{path}: has rows of kinds {', '.join(kinds)} (expected one kind)")
    return members


def check_partitions(partitions: int, samples: Iterable[Sample]) -> None:
    """Refuse partitions of records where no row has any to share out.

    Raises
    ------
    ConfigError
    """
    if partitions and not any(sample.contents in PARTITIONED_KINDS for sample in samples):
        raise ConfigError(
            f"config: 'buckets/partitions' is {partitions}, but the sheet has neither reads nor metagenomes "
            "(expected 0)"
        )


def find_sheet(name: str, folders: Iterable[str | os.PathLike[str]]) -> Path:
    """Find the sheet a config names in the first of several folders that has it."""
    tried = [Path(folder, name) for folder in folders]
    for path in tried:
        if path.is_file():
            return path
    looked = ", ".join(str(path.absolute()) for path in tried)
    raise SheetError(f"config: samples names no file '{name}' (looked for {looked})")


def _read(path: Path, columns: tuple[str, ...], kinds: tuple[str, ...]) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    lines: dict[str, int] = {}
    for number, row in _rows(path, columns):
        try:
            sample = _parse(row, path.parent, kinds)
        except (SheetError, SourceError) as error:
            raise SheetError(f"{path} line {number}: {error}") from None
        for name in _names(sample):
            # Names that differ in case alone would share files on some file systems.
            other = lines.setdefault(name.lower(), number)
            if other != number:
                raise SheetError(
                    f"{path} line {number}: sample '{name}' is already on line {other} "
                    "(expected unique names, upper and lower case taken as the same)"
                )
        samples[sample.name] = sample
    if not samples:
        raise SheetError(f"{path}: no rows found, expected at least one sample")
    return dict(sorted(samples.items()))


def _names(sample: Sample) -> list[str]:
    """Return the names a row takes: its own, and of reads those that its mates' files have."""
    stems = [sample.name, f"{sample.name}_1", f"{sample.name}_2"] if sample.kind == "reads" else []
    return [sample.name, *(f"{stem}.fastq" for stem in stems)]


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
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
        raise SheetError(f"{path}: empty, expected the columns {', '.join(columns)}")
    number, header = table[0]
    _check_header(f"{path} line {number}", header, columns)
    for number, cells in table[1:]:
        if len(cells) == 1:
            raise SheetError(
                f"{path} line {number}: '{cells[0][:80]}' is one column "
                f"(expected {len(header)}, separated by tabs)"
            )
        if len(cells) > len(header):
            raise SheetError(
                f"{path} line {number}: {len(cells)} columns (expected at most {len(header)}, as the header)"
            )
        yield number, dict.fromkeys(COLUMNS, "") | dict(zip(header, cells, strict=False))


def _check_header(where: str, header: list[str], columns: tuple[str, ...]) -> None:
    unknown = [name for name in header if name not in columns]
    if unknown:
        raise SheetError(
            f"{where}: unknown column '{unknown[0]}' (expected tab-separated, out of {', '.join(columns)})"
        )
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise SheetError(
            f"{where}: column '{missing[0]}' is missing (expected at least {', '.join(REQUIRED)})"
        )
    if len(set(header)) < len(header):
        raise SheetError(f"{where}: a column is named twice (found {', '.join(header)})")


def _parse(row: dict[str, str], folder: Path, kinds: tuple[str, ...]) -> Sample:
    """Check one row; messages are without the place, which the caller adds."""
    name, kind = row["sample"], row["kind"]
    for column, cell in row.items():
        _demand(cell.isprintable(), f"{column} {cell!r} has characters that cannot be printed")
        _demand(len(cell) <= 1000, f"{column} has {len(cell)} characters, expected at most 1000")
    _demand(
        _SAMPLE.fullmatch(name),
        f"sample '{name}' is not a safe name (expected a letter or digit, then up to 99 of A-Za-z0-9._-)",
    )
    _demand(
        not name.lower().endswith(ENDINGS),
        f"sample '{name}' ends as files of the workflow do (expected a name without {', '.join(ENDINGS)})",
    )
    _demand(name not in RESERVED, f"sample '{name}' is the name of a file of the workflow (expected another)")
    _demand(kind in kinds, f"kind '{kind}' is unknown here (expected one of {', '.join(kinds)})")
    origins = _origins(row["source"], kind, folder)
    contents = _manifest_kind(origins[0]) if kind == "collection" else kind
    return Sample(
        name=name,
        kind=kind,
        source=row["source"],
        checksum=_checksum(row["checksum"].lower(), origins),
        taxon=row["taxon"],
        genetic_code=_genetic_code(row["genetic_code"], contents),
        chains=_chains(row["chain"], kind),
        circular=_circular(row["circular"], contents),
        origins=origins,
        contents=contents,
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


def _circular(text: str, kind: str) -> tuple[str, ...]:
    """Return the names of circular records in order, so that the order they are given in repeats nothing."""
    if text in ("", "no"):
        return ()
    _demand(kind in DNA_KINDS, f"circular '{text}' has no meaning for kind {kind} (expected none)")
    names = sorted(name.strip() for name in text.split(","))
    _demand(
        all(names)
        and len(set(names)) == len(names)
        and not any(re.search(r"\s", name) for name in names)
        and (names == ["yes"] or not {"yes", "no"} & {name.lower() for name in names}),
        f"circular '{text}' is malformed (expected yes, no, or names of records, e.g. NC_005816.1,p2)",
    )
    return tuple(names)


def _checksum(text: str, origins: tuple[str, ...]) -> str:
    """Check the digests of a row's files, one for each, separated by commas."""
    parts = text.split(",") if text else []
    for part in parts:
        _demand(
            _CHECKSUM.fullmatch(part),
            f"checksum '{part}' is malformed (expected sha256: and 64 hex digits, or md5: and 32)",
        )
    _demand(
        not parts or not is_peptide(origins[0]),
        f"checksum '{text}' has no meaning for {origins[0]}, which is built and not fetched (expected none)",
    )
    # How many files an accession stands for is known when its database was asked.
    _demand(
        not parts or len(parts) == len(origins) or is_accession(origins[0]),
        f"checksum has {len(parts)} digests (expected {len(origins)}, one for each file of the source)",
    )
    return text


def _origins(source: str, kind: str, folder: Path) -> tuple[str, ...]:
    """Check a source, and give the path, URL or accession of each of its files."""
    _demand(source, "source is empty (expected a path, a URL or an accession such as pdb:1A8O)")
    several = kind in ("reads", "trajectory")
    parts = [part.strip() for part in source.split(",")] if several else [source]
    if kind == "trajectory":
        _demand_brought(source, parts)
    _demand(
        len(parts) <= 2 and len({os.path.normpath(part) for part in parts}) == len(parts) and all(parts),
        f"source '{source}' is not one file of reads or two mates (expected e.g. x_1.fastq.gz,x_2.fastq.gz)",
    )
    origins = tuple(_origin(part, kind, folder) for part in parts)
    _demand(
        len(origins) == 1 or not any(map(is_accession, origins)),
        f"source '{source}' has an accession in a pair (expected it alone: it stands for both mates)",
    )
    return origins


def _demand_brought(source: str, parts: Sequence[str]) -> None:
    """See that a topology and a trajectory are named, in this order."""
    endings = [ending_of(part) for part in parts]
    _demand(
        len(parts) == 2 and all(end in known for end, known in zip(endings, BROUGHT_ENDINGS, strict=True)),
        f"source '{source}' is not a topology and a trajectory "
        f"(expected {' or '.join(BROUGHT_ENDINGS[0])}, a comma, then {' or '.join(BROUGHT_ENDINGS[1])}, e.g. "
        "md.tpr,md.xtc)",
    )


def ending_of(origin: str) -> str:
    """Return how the name of a file ends, in lower case and without the point; a URL's path has the name."""
    path = re.split("[?#]", origin)[0] if is_remote(origin) else origin
    return PurePosixPath(path).suffix.removeprefix(".").lower()


def _origin(source: str, kind: str, folder: Path) -> str:
    if is_accession(source):
        _check_accession(source, kind)
    elif is_remote(source):
        _check_url(source)
    else:
        return _local_path(source, folder)
    _demand(kind != "collection", f"source '{source}' is not a manifest (expected a file on this machine)")
    return source


def _local_path(source: str, folder: Path) -> str:
    _demand(
        not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", source),
        f"source '{source}' has an unknown scheme "
        f"(expected a path, {', '.join(f'{scheme}:' for scheme in (*URL_SCHEMES, *SCHEMES))})",
    )
    path = folder / source
    # Snakemake takes braces in the path of an input for a wildcard.
    _demand(
        "{" not in str(path) and "}" not in str(path),
        f"source '{source}' has braces (expected a path without)",
    )
    _demand(_is_file(path), f"source '{source}' is not a file (expected {path.absolute()})")
    return str(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _check_url(source: str) -> None:
    scheme = source.partition(":")[0]
    try:
        address = urlsplit(source)
        (address.hostname or "").encode("idna")
        valid: object = address.hostname and not re.search(r"\s", source) and address.port != 0
        if scheme == "s3":
            valid = _BUCKET.fullmatch(address.netloc) and address.path.strip("/")
    except ValueError:
        valid = False
    form = "s3://bucket/key" if scheme == "s3" else f"{scheme}://host/path"
    _demand(valid, f"source '{source}' is not a URL (expected {form})")
    _demand("@" not in address.netloc, f"the URL at {address.hostname} has a password (it would be recorded)")


def _check_accession(source: str, kind: str) -> None:
    kinds = find_database(source).kinds
    _demand(
        kind in kinds, f"source '{source}' does not give kind {kind} (expected kind {' or '.join(kinds)})"
    )


def _manifest_kind(path: str) -> str:
    """Return what a manifest's first row holds; all of it is read where it is checked and fetched."""
    _, row = next(_rows(Path(path), MANIFEST_COLUMNS), (0, {"kind": ""}))
    _demand(
        row["kind"] in MEMBER_KINDS,
        f"{path}: kind '{row['kind']}' of the first row is unknown "
        f"(expected one of {', '.join(MEMBER_KINDS)})",
    )
    return row["kind"]

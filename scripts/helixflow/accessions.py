"""Accessions: how those of each database look, and at which URLs their files lie.

Where an accession alone does not tell, the database must be asked first. A resolution is therefore a
generator that knows nothing of the network: it yields the URL of each document it needs, is sent that
document's text, and returns the files (`resolve` drives it with any function that gets a document).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from helixflow.errors import SourceError

Resolution = Generator[str, str, "Files"]
DNA_KINDS = ("genome", "metagenome")

#: Requests a second NCBI allows without and with a key (NBK25497, "Frequency, Timing and Registration").
NCBI_PER_SECOND = 3.0
NCBI_PER_SECOND_WITH_KEY = 10.0

#: An accession of UniProt, by which AlphaFold DB names its models too.
_UNIPROT = r"[OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2}"

#: The scheme of a peptide that is built from its sequence, and what it may have.
PEPTIDE = "peptide"
PEPTIDE_LETTERS = "ACDEFGHIKLMNPQRSTVWY"
#: Fewest and most residues; few force fields describe one that is both ends of a chain.
PEPTIDE_LENGTHS = 2, 30


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source, and what is told about it before it is fetched."""

    url: str
    #: ``md5:…`` where the database publishes one.
    checksum: str = ""
    #: Bytes, where the database tells.
    size: int | None = None
    #: What the name of its first record must look like, a regular expression.
    record: str = ""
    #: Letters of all its records, where the database tells.
    residues: int | None = None


@dataclass(frozen=True)
class Files:
    """The files an accession stands for, and those the database has beside them that are not taken."""

    taken: tuple[RemoteFile, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Database:
    """One kind of accession.

    `resolve` takes the accession, the kind of its row, and the addresses by name, see `ADDRESSES`.
    """

    scheme: str
    name: str
    pattern: str
    example: str
    kinds: tuple[str, ...]
    resolve: Callable[[str, str, Mapping[str, str]], Resolution]


URL_SCHEMES = ("http", "https", "s3")
#: The config keys of the addresses, each ending in ``_url``.
ADDRESSES = ("ncbi", "ncbi_genomes", "ena", "ena_files", "uniprot", "pdb", "alphafold")


def is_remote(origin: str) -> bool:
    """Tell a URL or an accession from a path."""
    return origin.partition(":")[0] in (*URL_SCHEMES, *SCHEMES) and ":" in origin


def is_accession(origin: str) -> bool:
    """Tell an accession from a URL and a path."""
    return is_remote(origin) and origin.partition(":")[0] in SCHEMES


def is_peptide(source: str) -> bool:
    """Tell the sequence of a peptide, such as ``peptide:GYDPETGTWG``, which is built and not fetched."""
    return source.startswith(f"{PEPTIDE}:")


def find_database(source: str) -> Database:
    """Return the database of an accession such as ``pdb:1A8O``.

    Raises
    ------
    SourceError
        When the accession is of none; the message is without the place of the source.
    """
    scheme, _, accession = source.partition(":")
    candidates = [database for database in DATABASES if database.scheme == scheme]
    for database in candidates:
        if re.fullmatch(database.pattern, accession):
            return database
    if is_peptide(source):
        raise SourceError(f"source '{source}' {_peptide_fault(accession)}")
    expected = " or ".join(f"{database.name}, e.g. {database.example}" for database in candidates)
    raise SourceError(f"source '{source}' is not an accession of {scheme} (expected {expected})")


def resolve(source: str, kind: str, urls: Mapping[str, str], read: Callable[[str], str]) -> Files:
    """Find the files of an accession.

    Parameters
    ----------
    source : str
        Such as ``ena:SRR7885321``.
    kind : str
        The kind of the row: an assembly gives its genome or its proteins.
    urls : mapping of str to str
        The address of every database, by the names of `ADDRESSES`.
    read : callable
        Gets the text of a URL.

    Raises
    ------
    SourceError
        When the database has no such entry, or no file of this kind for it.
    """
    accession = source.partition(":")[2]
    bases = {name: url.rstrip("/") for name, url in urls.items()}
    steps = find_database(source).resolve(accession, kind, bases)
    wanted = ""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(read(wanted))
    except StopIteration as end:
        files: Files = end.value
    except SourceError as error:
        raise SourceError(f"{source}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{source}: {wanted} answered in a form not known here ({error!r})") from None
    return files


def _nucleotide(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Ask for the entry's version and length first, since a text that stops too early looks whole."""
    query = f"db=nuccore&id={accession}"
    reply = _json((yield f"{urls['ncbi']}/esummary.fcgi?{query}&retmode=json"))
    result = reply.get("result", {})
    entries = [result.get(uid, {}) for uid in result.get("uids", ())]
    found = [entry for entry in entries if "accessionversion" in entry and "slen" in entry]
    if len(found) != 1:
        raise SourceError("NCBI has no such nucleotide entry (is the accession right?)")
    version, length = str(found[0]["accessionversion"]), int(found[0]["slen"])
    if version.partition(".")[0] != accession.partition(".")[0]:
        raise SourceError(f"NCBI gives {version} in its place (name that one if it is meant)")
    exact = accession if "." in accession else version
    url = f"{urls['ncbi']}/efetch.fcgi?db=nuccore&id={exact}&rettype=fasta&retmode=text"
    residues = length if exact == version else None
    # Older headers have the accession behind a gi number: gi|9629357|ref|NC_001802.1|.
    record = rf"(gi\|[0-9]+\|[a-z]+\|)?{re.escape(exact)}\|?"
    return Files((RemoteFile(url, record=record, residues=residues),))


def _assembly(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Find the assembly's folder, whose name holds the assembly's name too, and its published md5 sums."""
    prefix, digits = accession[:3], accession[4:13]
    parent = f"{urls['ncbi_genomes']}/{prefix}/{digits[:3]}/{digits[3:6]}/{digits[6:]}/"
    listing = yield parent
    wanted = re.escape(accession if "." in accession else f"{accession}.")
    pattern = rf'href="(?:[^"]*/)?({wanted}(?:_|[0-9]+_)[^"/]*)/?"'
    folders = sorted(set(re.findall(pattern, listing)), key=_version)
    if not folders:
        raise SourceError(f"no such assembly in {parent} (is accession and version right?)")
    folder = folders[-1]
    name = f"{folder}_{'protein.faa' if kind == 'proteins' else 'genomic.fna'}.gz"
    sums = yield f"{parent}{folder}/md5checksums.txt"
    digests = re.findall(rf"^([0-9a-f]{{32}}) [ *](?:\./)?{re.escape(name)}$", sums, re.MULTILINE)
    if not digests:
        raise SourceError(f"{parent}{folder}/md5checksums.txt does not list {name} (expected a file of it)")
    return Files((RemoteFile(f"{parent}{folder}/{name}", f"md5:{digests[0]}"),))


def _version(folder: str) -> int:
    """Return the version of an assembly from the name of its folder, ``GCF_000005845.2_ASM584v2``."""
    return int(folder.split(".")[1].split("_")[0])


def _run(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Take the one FASTQ file of a run, or its two mates; reads that lost their mate are in a third."""
    fields = "run_accession,fastq_ftp,fastq_bytes,fastq_md5"
    query = f"accession={accession}&result=read_run&fields={fields}&format=tsv"
    reply = yield f"{urls['ena']}/filereport?{query}"
    header, *rows = [line.split("\t") for line in reply.splitlines() if line] or [[]]
    if not set(fields.split(",")) <= set(header):
        raise SourceError(f"ENA answered {reply[:80]!r} (expected a table of {fields})")
    found = (dict(zip(header, cells, strict=False)) for cells in rows)
    row = next((row for row in found if row["run_accession"] == accession), None)
    if row is None:
        raise SourceError("ENA has no such run (is the accession right?)")
    files = _fastq_files(row, urls["ena_files"])
    mates = [f"{accession}_{mate}.fastq.gz" for mate in (1, 2)]
    names = mates if set(mates) <= set(files) else list(files)
    if len(names) > 1 and names != mates:
        raise SourceError(f"ENA lists {', '.join(files)} (expected one FASTQ file, or mates _1 and _2)")
    return Files(tuple(files[name] for name in names), tuple(name for name in files if name not in names))


def _fastq_files(row: Mapping[str, str], base: str) -> dict[str, RemoteFile]:
    """Read the files of a run, by name, from its row of the file report."""
    places, sizes, sums = (row.get(f"fastq_{what}", "").split(";") for what in ("ftp", "bytes", "md5"))
    if not places[0]:
        raise SourceError("ENA has no FASTQ files of this run (expected one, or two mates)")
    files = {}
    for place, size, digest in zip(places, sizes, sums, strict=False):
        # A place is host and path without a scheme, and becomes part of a URL.
        path = re.fullmatch(r"[A-Za-z0-9.-]+((?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)", place)
        if not (path and size.isdecimal() and re.fullmatch("[0-9a-f]{32}", digest)):
            raise SourceError(f"ENA lists {place!r}, {size!r}, {digest!r} (expected place, bytes and md5)")
        files[place.rpartition("/")[2]] = RemoteFile(f"{base}{path[1]}", f"md5:{digest}", int(size))
    if not len(files) == len(places) == len(sizes) == len(sums):
        raise SourceError("ENA's lists of places, bytes and md5 sums differ in length (expected one of each)")
    return files


def _uniprot_entry(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Fetch one entry; the record must be it, since a merged entry answers with another."""
    yield from ()
    url = f"{urls['uniprot']}/uniprotkb/{accession}.fasta"
    return Files((RemoteFile(url, record=rf"(sp|tr)\|{accession}\|.*"),))


def _proteome(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Fetch a proteome's entries as gzip, whose end shows that it is whole."""
    yield from ()
    query = f"query=proteome:{accession}&format=fasta&compressed=true"
    return Files((RemoteFile(f"{urls['uniprot']}/uniprotkb/stream?{query}"),))


def _pdb(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Fetch the mmCIF as gzip, whose end shows that it is whole."""
    yield from ()
    url = f"{urls['pdb']}/download/{accession.upper()}.cif.gz"
    return Files((RemoteFile(url, record=accession.upper()),))


def _alphafold(accession: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Ask for the model's current file; isoforms and fragments have entries of their own."""
    reply = _json((yield f"{urls['alphafold']}/prediction/{accession}"))
    entries = [entry for entry in reply if isinstance(entry, dict)] if isinstance(reply, list) else []
    name = f"AF-{accession}-F1"
    url = next((str(entry.get("cifUrl")) for entry in entries if entry.get("entryId") == name), "")
    if not url.startswith(("http://", "https://")):
        found = ", ".join(str(entry.get("entryId")) for entry in entries) or "none"
        raise SourceError(f"AlphaFold DB has no mmCIF of {name} (found {found})")
    return Files((RemoteFile(url, record=re.escape(name)),))


def _peptide(sequence: str, kind: str, urls: Mapping[str, str]) -> Resolution:
    """Nothing is fetched: the sequence is all that is needed."""
    yield from ()
    return Files(())


def _peptide_fault(sequence: str) -> str:
    """Say what is wrong with the sequence of a peptide."""
    wrong = re.search(f"[^{PEPTIDE_LETTERS}]", sequence)
    if wrong:
        return (
            f"has '{wrong[0]}' at position {wrong.start() + 1} (expected the 20 natural residues, "
            f"{PEPTIDE_LETTERS}, in upper case, e.g. peptide:GYDPETGTWG)"
        )
    least, most = PEPTIDE_LENGTHS
    return (
        f"has {len(sequence)} residues (expected {least} to {most}: few force fields describe one alone, and "
        "a longer chain has a fold, which it does not find from a stretched start)"
    )


def _json(text: str) -> Any:
    """Read a database's answer."""
    try:
        return json.loads(text)
    except ValueError:
        raise SourceError("the database answered something else than JSON (is its address right?)") from None


DATABASES = (
    Database(
        "ncbi",
        "an NCBI nucleotide accession",
        r"[A-Z]{1,2}_?[0-9]{5,9}(\.[0-9]+)?|[A-Z]{2}_[A-Z]{0,4}[0-9]{6,}(\.[0-9]+)?",
        "ncbi:NC_001802.1",
        DNA_KINDS,
        _nucleotide,
    ),
    Database(
        "ncbi",
        "an NCBI assembly",
        r"GC[AF]_[0-9]{9}(\.[0-9]+)?",
        "ncbi:GCF_000005845.2",
        (*DNA_KINDS, "proteins"),
        _assembly,
    ),
    Database("ena", "a run", r"[DES]RR[0-9]{6,12}", "ena:SRR7885321", ("reads",), _run),
    Database(
        "uniprot",
        "a UniProt accession",
        _UNIPROT,
        "uniprot:P12497",
        ("proteins",),
        _uniprot_entry,
    ),
    Database(
        "uniprot", "a UniProt proteome", r"UP[0-9]{9,11}", "uniprot:UP000000625", ("proteins",), _proteome
    ),
    Database("pdb", "a PDB id", r"[0-9][A-Za-z0-9]{3}", "pdb:1A8O", ("structure",), _pdb),
    Database(
        "alphafold",
        "a UniProt accession",
        _UNIPROT,
        "alphafold:P12497",
        ("structure",),
        _alphafold,
    ),
    Database(
        PEPTIDE,
        "the sequence of a peptide",
        f"[{PEPTIDE_LETTERS}]{{{PEPTIDE_LENGTHS[0]},{PEPTIDE_LENGTHS[1]}}}",
        "peptide:GYDPETGTWG",
        ("structure",),
        _peptide,
    ),
)
SCHEMES = tuple(dict.fromkeys(database.scheme for database in DATABASES))

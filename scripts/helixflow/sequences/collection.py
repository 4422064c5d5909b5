"""Collections: the files of a manifest fetched by one job, many at once, each kept when it is whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helixflow.errors import DigestError, HelixflowError, SourceError
from helixflow.files import read_json, write_text
from helixflow.joblog import tell
from helixflow.progress import progress
from helixflow.samples import Sample, read_manifest
from helixflow.sequences.fetch import Fetcher, Source, date_of
from helixflow.sequences.formats.normalise import SetAside, Tally
from helixflow.sequences.record import StrPath, write_record
from helixflow.sequences.rows import fetch_reads, fetch_sequence

log = logging.getLogger(__name__)

COLUMNS = ("sample", "kind", "source", "status", "records", "residues", "bytes", "sha256", "reason")


@dataclass(frozen=True)
class Outcome:
    """What became of a member: its record, or the reason why there is none."""

    member: Sample
    record: Mapping[str, Any] | None
    reason: str = ""
    #: Whether there was a file, and it was not the one that is pinned.
    changed: bool = False

    def row(self) -> tuple[str, ...]:
        """Return the member's row of the table, see `COLUMNS`."""
        found = self.record or {"records": 0, "residues": 0, "files": []}
        return (
            self.member.name,
            self.member.kind,
            self.member.source,
            "fetched" if self.record else "failed",
            str(found["records"]),
            str(found["residues"]),
            str(sum(file["bytes"] for file in found["files"])),
            ",".join(file["sha256"] for file in found["files"]),
            self.reason,
        )


def fetch_collection(
    fetcher: Fetcher, source: Source, members: StrPath, provenance: StrPath, *, workers: int, max_failed: int
) -> None:
    """Fetch every member of a collection that is not there yet.

    Parameters
    ----------
    fetcher : Fetcher
    source : Source
        Of kind collection: a manifest.
    members : path
        Written: tab-separated, one row a member, with the columns `COLUMNS`. The files of a member lie
        in the folder of the collection beside it.
    provenance : path
        Written: the record of the collection, sums over its members.
    workers : int
        Members at a time.
    max_failed : int
        How many members may be missing for the collection to be used all the same.

    Raises
    ------
    SourceError
        When more are missing, or all. What was fetched stays, and the list of what was not is in
        ``failed.tsv`` in the collection's folder of work.
    DigestError
        When one is not the one that is pinned, however many may be missing.
    """
    manifest, folder = source.origins[0], Path(provenance).parent / source.name
    rows = read_manifest(manifest)
    with fetcher.fetch(source) as (files, _):
        outcomes = _fetch_all(fetcher, source.name, folder, rows, workers)
        failed = [outcome for outcome in outcomes if not outcome.record]
        _check(failed, len(rows), max_failed, manifest, fetcher.work / source.name / "failed.tsv")
        _write_table(Path(members), outcomes)
        contents = next(iter(rows.values())).kind
        counts = {"members": len(rows), "failed": len(failed)}
        write_record(provenance, source, files, (), _sum(outcomes), [members], contents, counts)
    _forget(folder, rows)


def _check(failed: Sequence[Outcome], members: int, max_failed: int, manifest: str, listed: Path) -> None:
    """List the members that are missing, and end the job where they are too many."""
    listed.unlink(missing_ok=True)
    if not failed:
        return
    _write_table(listed, failed)
    first = next((outcome for outcome in failed if outcome.changed), failed[0])
    found = f"{manifest}: {len(failed)} of {members} members could not be had"
    if first.changed:
        raise DigestError(f"{found}; {first.reason}; all are in {listed}")
    if len(failed) > max_failed or len(failed) == members:
        raise SourceError(
            f"{found}, expected at most {min(max_failed, members - 1)} (sequences/max_failed); the first, "
            f"{first.reason}; all are in {listed}; run again to fetch them, the others are kept"
        )
    tell(f"{found}, and the run goes on without them (sequences/max_failed); they are in {listed}")


def _fetch_all(
    fetcher: Fetcher, collection: str, folder: Path, rows: Mapping[str, Sample], workers: int
) -> list[Outcome]:
    """Fetch members side by side; one that fails leaves the others alone."""
    done = 0
    with (
        progress(f"collection {collection}", len(rows), "file") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        jobs = [pool.submit(_fetch_member, fetcher, collection, folder, row) for row in rows.values()]
        try:
            for job in as_completed(jobs):
                job.result()
                done += 1
                bar(done)
        except BaseException:
            # A fault of the program, or Ctrl-C: members under way stop, and none is begun.
            fetcher.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [job.result() for job in jobs]


def _fetch_member(fetcher: Fetcher, collection: str, folder: Path, member: Sample) -> Outcome:
    source = Source(
        f"{collection}/{member.name}", member.kind, member.source, member.origins, member.checksum
    )
    record = folder / f"{member.name}.json"
    try:
        if not _is_there(fetcher, source, record):
            if member.kind == "reads":
                fetch_reads(fetcher, source, record, show=False)
            else:
                fasta = folder / f"{member.name}.fasta.gz"
                fetch_sequence(fetcher, source, fasta, f"{fasta}.fai", f"{fasta}.gzi", record, show=False)
        return Outcome(member, read_json(record))
    except HelixflowError as error:
        log.warning("%s", error)
        return Outcome(member, None, " ".join(str(error).split()), isinstance(error, DigestError))


def _is_there(fetcher: Fetcher, source: Source, record: Path) -> bool:
    """Tell whether a member was fetched before, from this source, and is as it is wanted now."""
    try:
        told = read_json(record)
        same = (told["kind"], told["source"], told["checksum"]) == (source.kind, source.text, source.checksum)
        pinned = all(
            fetcher.pins.get((source.name, source.text, number), file["sha256"]) == file["sha256"]
            for number, file in enumerate(told["files"], 1)
        )
        files = [path for name in told["written"] for path in _files(record.parent / name)]
        written = all(path.stat().st_size for path in files)
        unchanged = all(_unchanged(*each) for each in zip(source.origins, told["files"], strict=False))
    except (OSError, ValueError, KeyError):
        # A file is missing, or the record is not one.
        return False
    return same and pinned and written and unchanged


def _files(path: Path) -> list[Path]:
    """Return a file in normal form and its indexes, which FASTA has."""
    return [path] + ([Path(f"{path}{end}") for end in (".fai", ".gzi")] if ".fasta" in path.suffixes else [])


def _unchanged(origin: str, file: Mapping[str, Any]) -> bool:
    """Tell whether a local file is the one that was read; what was downloaded counts as unchanged."""
    if file["url"]:
        return True
    stat = Path(origin).stat()
    return bool((file["bytes"], file["date"]) == (stat.st_size, date_of(stat)))


def _write_table(path: Path, outcomes: Iterable[Outcome]) -> None:
    rows = (COLUMNS, *(outcome.row() for outcome in outcomes))
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def _forget(folder: Path, rows: Mapping[str, Sample]) -> None:
    """Remove the files of members that left the manifest."""
    for record in folder.glob("*.json"):
        if record.stem not in rows:
            written = read_json(record)["written"]
            record.unlink()
            for path in (path for name in written for path in _files(folder / name)):
                path.unlink(missing_ok=True)


def _sum(outcomes: Iterable[Outcome]) -> Tally:
    """Add up what was found and done in the members that were fetched."""
    total, formats = Tally(), set()
    for record in (outcome.record for outcome in outcomes if outcome.record):
        formats.add(record["format"])
        total.records += record["records"]
        total.residues += record["residues"]
        total.normalised.update(record["normalised"])
        for aside in record["set_aside"]:
            total.set_aside.setdefault(aside["reason"], SetAside()).add(aside["records"], aside["first"])
    total.format = ", ".join(sorted(formats))
    return total

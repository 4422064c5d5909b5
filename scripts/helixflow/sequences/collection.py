"""Collections: the files of a manifest fetched by one job, many at once, each kept when it is whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helixflow.errors import SourceError
from helixflow.files import read_json, write_text
from helixflow.samples import Sample, read_manifest
from helixflow.sequences.fetch import Fetcher, Source, date_of
from helixflow.sequences.formats.normalise import SetAside, Tally
from helixflow.sequences.progress import progress
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
        When more are missing. What was fetched stays, and the list of what was not is in ``failed.tsv``
        in the collection's folder of work.
    """
    manifest, failed_list = source.origins[0], fetcher.work / source.name / "failed.tsv"
    rows = read_manifest(manifest)
    with fetcher.fetch(source) as (files, _):
        outcomes = _fetch_all(fetcher, source.name, Path(provenance).parent / source.name, rows, workers)
    table = [outcomes[name].row() for name in rows]
    failed = [row for row in table if row[3] == "failed"]
    failed_list.unlink(missing_ok=True)
    if failed:
        _write_table(failed_list, failed)
    if len(failed) > max_failed:
        raise SourceError(
            f"{manifest}: {len(failed)} of {len(rows)} members could not be had, expected at most "
            f"{max_failed} (sequences/max_failed); the first, {failed[0][0]}: {failed[0][-1]}; all are in "
            f"{failed_list}; run again to fetch them, the others are kept"
        )
    _write_table(Path(members), table)
    contents = next(iter(rows.values())).kind
    tally = _sum(outcomes[name] for name in rows)
    write_record(provenance, source, files, (), tally, [members], contents, {"members": len(rows)})


def _fetch_all(
    fetcher: Fetcher, collection: str, folder: Path, rows: Mapping[str, Sample], workers: int
) -> dict[str, Outcome]:
    """Fetch members side by side; one that fails leaves the others alone."""
    outcomes: dict[str, Outcome] = {}
    with (
        progress(f"collection {collection}", len(rows), "file") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        jobs = [pool.submit(_fetch_member, fetcher, collection, folder, row) for row in rows.values()]
        try:
            for job in as_completed(jobs):
                outcome = job.result()
                outcomes[outcome.member.name] = outcome
                bar(len(outcomes))
        except BaseException:
            # A fault of the program, or Ctrl-C: members under way stop, and none is begun.
            fetcher.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


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
    except SourceError as error:
        log.warning("%s could not be had: %s", source.name, error)
        return Outcome(member, None, " ".join(str(error).split()))


def _is_there(fetcher: Fetcher, source: Source, record: Path) -> bool:
    """Tell whether a member was fetched before, from this source, and is as it is wanted now."""
    if not record.exists():
        return False
    told = read_json(record)
    same = (told["kind"], told["source"], told["checksum"]) == (source.kind, source.text, source.checksum)
    pinned = all(
        fetcher.pins.get((source.name, source.text, number), file["sha256"]) == file["sha256"]
        for number, file in enumerate(told["files"], 1)
    )
    written = all((record.parent / name).exists() for name in told["written"])
    unchanged = all(_unchanged(*each) for each in zip(source.origins, told["files"], strict=False))
    return same and pinned and written and unchanged


def _unchanged(origin: str, file: Mapping[str, Any]) -> bool:
    """Tell whether a local file is the one that was read; what was downloaded counts as unchanged."""
    if file["url"]:
        return True
    stat = Path(origin).stat()
    return bool((file["bytes"], file["date"]) == (stat.st_size, date_of(stat)))


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows)))


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

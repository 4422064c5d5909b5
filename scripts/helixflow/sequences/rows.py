"""One row of the sheet: its source fetched, written in normal form, and recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helixflow.accessions import is_peptide, is_remote
from helixflow.errors import SourceError
from helixflow.files import remove_leftovers, write_text
from helixflow.samples import ending_of
from helixflow.sequences.fetch import Fetched, Fetcher, Source
from helixflow.sequences.formats.normalise import Reading, Tally, write_sequences
from helixflow.sequences.formats.reads import write_reads
from helixflow.sequences.formats.simulation import check_form, place_file
from helixflow.sequences.formats.structure import entry_of, mean_plddt, write_structure
from helixflow.sequences.record import StrPath, write_record
from helixflow.structures.peptide import LABEL, write_peptide


def fetch_sequence(
    fetcher: Fetcher,
    source: Source,
    fasta: StrPath,
    fai: StrPath,
    gzi: StrPath,
    provenance: StrPath,
    show: bool = True,
) -> None:
    """Write a row of DNA or proteins as bgzip FASTA with the indexes of samtools faidx.

    Parameters
    ----------
    fetcher : Fetcher
    source : Source
        Of kind genome, metagenome or proteins.
    fasta, fai, gzi, provenance : path
        The files to write, see `write_record` for the last; none is left half written.
    show : bool
        Whether to show how far it is.

    Raises
    ------
    SourceError
        When the source cannot be had, or is not what the row says it is.
    """
    with fetcher.fetch(source, show) as (files, left_out), _readings(fetcher, files, show) as readings:
        (file,), (reading,) = _single(source, files), readings
        _sweep(fasta, fai, gzi, provenance)
        tally = write_sequences(
            file.path, source.kind, reading, Path(fasta), Path(fai), Path(gzi), _acceptance(file, provenance)
        )
        write_record(provenance, source, files, left_out, tally, [fasta])


def fetch_reads(fetcher: Fetcher, source: Source, provenance: StrPath, show: bool = True) -> None:
    """Write a row of reads as ``{name}.fastq.gz``, or ``{name}_1.fastq.gz`` and ``{name}_2.fastq.gz``.

    Which of the two it is may be known only when the database was asked; the record, beside which
    they are written, names them. Parameters and errors are those of `fetch_sequence`.
    """
    folder, name = Path(provenance).parent, Path(provenance).stem
    single, *mates = (folder / f"{name}{end}.fastq.gz" for end in ("", "_1", "_2"))
    with fetcher.fetch(source, show) as (files, left_out), _readings(fetcher, files, show) as readings:
        outputs = mates if len(files) == 2 else [single]
        _sweep(*outputs, provenance)
        tally = write_reads(
            [file.path for file in files],
            readings,
            outputs,
            fetcher.settings.cram_reference,
            _acceptance(files[0], provenance),
        )
        write_record(provenance, source, files, left_out, tally, outputs)
    for stale in {single, *mates} - set(outputs):
        stale.unlink(missing_ok=True)


def fetch_structure(fetcher: Fetcher, source: Source, structure: StrPath, provenance: StrPath) -> None:
    """Write a row of kind structure as plain text, PDB or mmCIF, with the B factors it has.

    Those of an AlphaFold model are its confidence, the mean of which goes into the record. A peptide that
    the row names by its sequence is built, and labelled as that.
    Parameters and errors are those of `fetch_sequence`.
    """
    if is_peptide(source.text):
        _build_peptide(source, structure, provenance)
        return
    with fetcher.fetch(source) as (files, left_out), _readings(fetcher, files, True) as readings:
        (file,) = _single(source, files)
        _sweep(structure, provenance)
        tally = write_structure(file.path, readings[0], Path(structure), _acceptance(file, provenance))
        predicted = source.text.startswith("alphafold:")
        more: dict[str, Any] = {"entry": entry_of(Path(structure), tally.format)}
        if predicted:
            more["mean_plddt"] = mean_plddt(Path(structure), tally.format)
        write_record(provenance, source, files, left_out, tally, [structure], more=more)


def fetch_trajectory(
    fetcher: Fetcher, source: Source, topology: StrPath, trajectory: StrPath, provenance: StrPath
) -> None:
    """Have a topology and a trajectory in the results, as they are; what is in them is looked at later.

    Files of this machine are linked and not copied. Parameters and errors are those of `fetch_sequence`.
    """
    with fetcher.fetch(source) as (files, left_out):
        forms = [ending_of(origin) for origin in source.origins]
        _sweep(topology, trajectory, provenance)
        for file, form, final in zip(files, forms, (topology, trajectory), strict=True):
            check_form(file.path, form, file.origin)
            place_file(file.path, final, is_remote(file.origin))
        tally = Tally(format="+".join(forms), records=len(files))
        write_record(provenance, source, files, left_out, tally, [topology, trajectory])


def _build_peptide(source: Source, structure: StrPath, provenance: StrPath) -> None:
    """Write a peptide by its sequence; its record names no file that was fetched."""
    sequence = source.text.partition(":")[2]
    text = write_peptide(sequence)
    _sweep(structure, provenance)
    Path(provenance).unlink(missing_ok=True)
    write_text(structure, text)
    atoms = sum(line.startswith("ATOM  ") for line in text.splitlines())
    tally = Tally(format="pdb", records=atoms, residues=len(sequence))
    write_record(provenance, source, [], [], tally, [structure], more={"label": LABEL})


def _sweep(*outputs: StrPath) -> None:
    for output in outputs:
        remove_leftovers(output)


def _single(source: Source, files: Sequence[Fetched]) -> Sequence[Fetched]:
    if len(files) != 1:
        raise SourceError(
            f"{source.text}: stands for {len(files)} files, expected one for kind {source.kind}"
        )
    return files


@contextmanager
def _readings(fetcher: Fetcher, files: Sequence[Fetched], show: bool) -> Iterator[list[Reading]]:
    """Say how each file is to be read; together they show one progress."""
    settings, done = fetcher.settings, [0] * len(files)
    total = sum(file.size for file in files)
    # What is written is compressed, as what is read is or more so.
    fetcher.quota.room(total, files[0].origin)
    with fetcher.showing(f"reading {' and '.join(file.origin for file in files)}", show) as told:

        def advance(number: int) -> Callable[[int], None]:
            def tell(read: int) -> None:
                done[number] = read
                told(sum(done), total)

            return tell

        yield [
            Reading(
                origin=file.origin,
                max_bytes=settings.download.max_bytes,
                expansion=settings.expansion,
                advance=advance(number),
            )
            for number, file in enumerate(files)
        ]


def _acceptance(file: Fetched, provenance: StrPath) -> Callable[[Tally], None]:
    """Return the check that a file holds what its database said: the right record, and all of it.

    The record of an earlier file goes before the new one takes its name: it would not be its record.
    """

    def accept(tally: Tally) -> None:
        wanted = file.expected
        if wanted.record and not re.fullmatch(wanted.record, tally.first):
            raise SourceError(
                f"{file.origin}: the first record is '{tally.first}', expected {wanted.record} (the entry "
                "was replaced, or the server answered for another)"
            )
        if wanted.residues is not None and tally.residues != wanted.residues:
            raise SourceError(
                f"{file.origin}: has {tally.residues} letters, expected {wanted.residues} as the database "
                "says (it stopped too early: fetch it again)"
            )
        if file.path.stat().st_mtime_ns != file.changed_ns:
            raise SourceError(f"{file.origin}: changed while it was read (run again when it is written)")
        Path(provenance).unlink(missing_ok=True)

    return accept

"""The page: sections made from what the stages wrote, in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helixflow.files import read_json, read_tsv, whole_folder, write_text
from helixflow.report.accounting import StageFiles
from helixflow.report.across import across_sections
from helixflow.report.analysis import MOST_DRAWN
from helixflow.report.blocks import Figure, Section, Table, View, plural
from helixflow.report.brought import brought_notices, brought_sections
from helixflow.report.buckets import buckets_section, read_spectrum
from helixflow.report.coanalysis import coanalysis_parts
from helixflow.report.comparison import comparison_section
from helixflow.report.embeddings import embeddings_section, find_long
from helixflow.report.figure_files import change_figures, figures_of, place_figures, write_figures
from helixflow.report.figures import MOST_POINTS
from helixflow.report.links import links_part
from helixflow.report.neighbours import linked_proteins, neighbours_table
from helixflow.report.notices import Notice, find_notices
from helixflow.report.overview import (
    accounting_section,
    overview_section,
    provenance_section,
    samples_section,
    summarise,
)
from helixflow.report.proteins import count_lengths, proteins_section, seen_proteins
from helixflow.report.simulations import simulation_part
from helixflow.report.structures import (
    Structure,
    cleaning_part,
    read_structures,
    setup_part,
    structures_table,
    temperatures_K,
)
from helixflow.report.view import page_programs

if TYPE_CHECKING:
    from markupsafe import Markup

#: Structures that get figures, and those that get a section, so that the page stays below 10 MB.
MOST_FIGURED, MOST_SHOWN = 8, 100
#: Bytes of the page; drawings that do not fit are files alone.
MOST_BYTES = 9_900_000
_TEMPLATE = "page.html.jinja"


def write_report(
    files: StageFiles,
    run: str | os.PathLike[str],
    accounting: str | os.PathLike[str],
    page: str | os.PathLike[str],
    figures: str | os.PathLike[str],
    *,
    title: str,
    max_length_trained: int,
    benchmarks: str | os.PathLike[str] = "benchmarks",
    comparison: str | os.PathLike[str] | Sequence[str] = (),
) -> None:
    """Write the report of a run: a page, and its figures once more as files.

    Parameters
    ----------
    files : StageFiles
        What is shown.
    run, accounting : path
        Provenance of the run, and what became of every record.
    page : path
        HTML, whole in itself.
    figures : path
        Folder that each figure is put into, ``{section}/{title}.svg`` with ``.tsv``, what it shows.
    title : str
        Headline.
    max_length_trained : int
        Residues up to which the model was trained.
    benchmarks : path
        Folder of Snakemake's benchmarks; where it is missing, the page says so.
    comparison : path or empty
        Where the run differs from another one, as JSON.
    """
    record, counts, model = read_json(run), read_tsv(accounting), read_json(files.model)
    spectra = [read_spectrum(path) for path in files.buckets]
    genes, distinct = [read_json(path) for path in files.proteins], read_json(files.distinct)
    structures, long = read_structures(files), find_long(files.index, max_length_trained)
    brought = {sample["sample"] for sample in record["samples"] if sample["kind"] == "trajectory"}
    linked = linked_proteins([*files.link_summaries, *files.brought_link_summaries])
    near = neighbours_table(linked, files.index, files.occurrences)
    with seen_proteins(files.occurrences) as seen:
        sections = [
            overview_section(record, counts, benchmarks, files.embedding_jobs),
            samples_section([read_json(path) for path in files.sequences], record),
            accounting_section(counts),
            buckets_section(spectra, files.buckets, files.groups),
            proteins_section(genes, distinct, count_lengths(files.index), seen, brought),
            embeddings_section(
                model, files.index, long, max_length_trained, seen, files.embedding_jobs, near
            ),
            structures_section(structures),
            *brought_sections(files),
            *across_sections(files.structures_table, files.across, temperatures_K(structures)),
            *([comparison_section(comparison)] if isinstance(comparison, str | os.PathLike) else []),
            provenance_section(record),
        ]
    notices = find_notices(record, model, spectra, genes, long, max_length_trained, structures, counts)
    notices += brought_notices(files)
    summary = summarise(record, distinct["distinct"], len(structures))
    place_figures(sections)
    folder = os.path.relpath(figures, Path(page).parent)
    html = fit(partial(render, title, summary, notices, sections, folder), sections, MOST_BYTES)
    with whole_folder(figures) as temporary:
        write_figures(sections, temporary)
        write_text(page, html)


def fit(make: Callable[[], str], sections: Sequence[Section], most: int) -> str:
    """Make the page, without the drawings that would make it too large, the largest first.

    Parameters
    ----------
    make : function
        Gives the page of the sections as they are.
    sections : sequence of Section
        Their figures that are left out are marked so.
    most : int
        Bytes of the page.
    """
    html = make()
    excess = len(html.encode()) - most
    left_out = set()
    for figure in sorted(figures_of(sections), key=lambda figure: -len(figure.drawing.svg)):
        if excess > 0:
            left_out.add(figure.file)
            excess -= len(_data_uri(figure.drawing.svg))
    if left_out:
        change_figures(sections, lambda figure: replace(figure, shown=figure.file not in left_out))
        html = make()
    if len(html.encode()) > most:
        print(f"The page has {len(html.encode())} bytes without any drawing, expected at most {most}.")
    return html


def structures_section(structures: Sequence[Structure]) -> Section:
    """Show every structure, the first ones with figures."""
    section = Section("structures", "Structures")
    if not structures:
        section.blocks.append("Nothing to do: the sheet has no structure.")
        return section
    section.blocks += [
        f"Curves show {MOST_POINTS} values at most, evenly spaced, of {MOST_DRAWN} replicas at most.",
        structures_table(structures),
    ]
    if len(structures) > MOST_FIGURED:
        section.blocks.append(
            f"The first {MOST_FIGURED} structures have figures and the first {MOST_SHOWN} sections; what the "
            "others would show is in results/structures, trajectories, links and coanalysis."
        )
    figures = MOST_FIGURED
    for structure in structures[:MOST_SHOWN]:
        # Several temperatures have figures each.
        figures -= len(structure.ensembles)
        section.parts.append(structure_part(structure, figured=figures >= 0))
    return section


def structure_part(structure: Structure, figured: bool) -> Section:
    """Show one structure: cleaning, set-up, links, and for each temperature simulation and co-analysis."""
    links = links_part(structure.name, structure.link_summary["chains"], structure.links)
    parts = [
        cleaning_part(structure),
        setup_part(structure),
        *(simulation_part(ensemble, figured) for ensemble in structure.ensembles),
        links,
    ]
    for one in structure.ensembles:
        parts += coanalysis_parts(one.anchor, one.coanalysis, figured, one.where, one.topology)
    return Section(f"structure-{structure.name}", structure.name, parts=parts)


def render(
    title: str, summary: str, notices: Sequence[Notice], sections: Sequence[Section], folder: str = "figures"
) -> str:
    """Put a page together; whatever is not part of the template is shown as text.

    `folder` is where the files of the figures are, from the page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": _breakable,
        "data_uri": _data_uri,
        "runs_of_figures": _runs_of_figures,
    }
    environment.tests |= {"table": _is(Table), "view": _is(View)}
    return environment.get_template(_TEMPLATE).render(
        title=title,
        summary=summary,
        notices=notices,
        sections=sections,
        programs=page_programs(sections),
        folder=folder,
        left_out=_left_out(sections),
        titles={section.anchor: section.title for section in sections},
    )


def _left_out(sections: Sequence[Section]) -> str:
    """Say how many drawings are not on the page; nothing where all are."""
    count = sum(not figure.shown for figure in figures_of(sections))
    return f"{plural(count, 'drawing')} {'is' if count == 1 else 'are'} not on this page" if count else ""


def _is(kind: type) -> Any:
    return lambda value: isinstance(value, kind)


def _runs_of_figures(blocks: Sequence[object]) -> list[tuple[bool, list[object]]]:
    """Take figures that follow each other together, since they stand side by side, and so all else."""
    return [(figures, list(run)) for figures, run in groupby(blocks, key=_is(Figure))]


def _breakable(text: str) -> Markup:
    """Let a long name break where its parts end, and not within a word."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([_|/])(?=\w)", r"\1<wbr>", str(escape(text))))


def _data_uri(svg: str) -> str:
    """Put a drawing into an image's address: as an image it can neither run a program nor load anything."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")

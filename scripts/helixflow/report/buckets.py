"""Section on buckets: how evenly k-mers fill them, and which units share them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.sketches import EMPTY, SATURATED, fullness, jaccard
from helixflow.report.blocks import Figure, Section, Table, number, percent, table
from helixflow.report.figures import NARROW, curves, matrix
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]

#: Units up to which the similarity of all pairs is drawn.
MOST_UNITS = 50
#: Samples whose spectrum is drawn.
MOST_CURVES = 7
_CURVE_POINTS = 200
_NAMED_MEMBERS = 10


@dataclass(frozen=True)
class Spectrum:
    """How the k-mers of a sample fill the buckets in use, `used` of all `buckets`.

    `most` is the number of k-mers in the fullest bucket, `fullest` that in the fullest 1 % of those in
    use; `curve` has the share of buckets, fullest first, and the share of k-mers in them, in per cent.
    Of `sketched` buckets, which are compared, `saturated` units have so many that unrelated ones look alike.
    """

    sample: str
    units: int
    family: str
    k: int
    buckets: int
    sketched: str
    saturated: int
    used: int
    kmers: int
    most: int
    fullest: int
    curve: tuple[NDArray[np.float64], NDArray[np.float64]]


def read_spectrum(path: StrPath) -> Spectrum:
    """Read the spectrum of a sample."""
    with h5py.File(path) as h5:
        about, units, largest = dict(h5.attrs), len(h5["unit/name"]), h5["unit/sketch"][:, -1]
        size = h5["unit/sketch"].shape[1]
        # A last bucket without k-mers makes what follows true of a spectrum without buckets too.
        held = np.cumsum(np.append(np.sort(h5["spectrum/count"][:])[::-1], np.uint64(0)))
    used, kmers = len(held) - 1, int(held[-1])
    places = np.unique(np.linspace(0, used, _CURVE_POINTS).astype(int))
    return Spectrum(
        sample=Path(path).stem,
        units=units,
        family=about["family"],
        k=int(about["k"]),
        buckets=int(about["buckets"]),
        sketched=f"{about['sketch_family']} of {about['sketch_k']}-mers",
        saturated=int((fullness(largest[largest != EMPTY], size, about["sketch_buckets"]) > SATURATED).sum()),
        used=used,
        kmers=kmers,
        most=int(held[0]),
        fullest=int(held[max(1, round(used / 100)) - 1]),
        curve=(100 * (places + 1) / max(1, used), 100 * held[places] / max(1, kmers)),
    )


def buckets_section(spectra: Sequence[Spectrum], paths: Sequence[StrPath], groups: StrPath) -> Section:
    """Show the spectra and groups of all DNA.

    Parameters
    ----------
    spectra : sequence of Spectrum
        Those of `paths`.
    paths : sequence of path
        HDF5, a file per sample.
    groups : path
        Parquet, a row per unit.
    """
    section = Section("buckets", "Buckets and groups")
    if not spectra:
        section.blocks.append("Nothing to do: the sheet has no DNA.")
        return section
    section.blocks += [_spectra_table(spectra), _skew_figure(spectra), _groups_table(groups)]
    if 1 < sum(spectrum.units for spectrum in spectra) <= MOST_UNITS:
        section.blocks.append(_similarity_figure(paths))
    return section


def _spectra_table(spectra: Sequence[Spectrum]) -> Table:
    first = spectra[0]
    rows = [
        (
            spectrum.sample,
            spectrum.units,
            spectrum.kmers,
            spectrum.used,
            percent(spectrum.used, spectrum.buckets),
            spectrum.most,
            percent(spectrum.fullest, spectrum.kmers),
        )
        for spectrum in spectra
    ]
    return table(
        "Spectra",
        "sample | units # | k-mers # | buckets in use # | of all buckets # | most k-mers in one # | "
        "k-mers in the fullest 1 % #",
        rows,
        f"Each {first.k}-mer, whichever strand it is read from, is in one of {number(first.buckets)} buckets "
        f"(buckets/family: {first.family}). If k-mers were spread evenly, the fullest 1 % of the buckets in "
        "use would hold 1 % of them.",
    )


def _skew_figure(spectra: Sequence[Spectrum]) -> Figure:
    largest = sorted(spectra, key=lambda spectrum: (-spectrum.kmers, spectrum.sample))[:MOST_CURVES]
    only = (
        f" Only the {MOST_CURVES} samples with most k-mers are drawn." if len(spectra) > MOST_CURVES else ""
    )
    return Figure(
        "Skew of the spectra",
        curves(
            {spectrum.sample: spectrum.curve for spectrum in largest},
            "buckets in use, fullest first (%)",
            "k-mers they hold (%)",
        ),
        "Share of k-mers against share of buckets, fullest first, a curve per sample.",
        "A curve near the diagonal means that k-mers are spread evenly; one that rises steeply, that few "
        f"buckets hold most of them.{only}",
    )


def _groups_table(groups: StrPath) -> Table:
    counts: dict[str, int] = {}
    named: dict[str, list[str]] = {}
    for unit, representative in read_rows(groups, ["unit", "representative"]):
        counts[representative] = counts.get(representative, 0) + 1
        if counts[representative] <= _NAMED_MEMBERS:
            named.setdefault(representative, []).append(unit)
    rows: list[tuple[Any, ...]] = [
        (representative, count, ", ".join(named[representative]) + (" …" if count > _NAMED_MEMBERS else ""))
        for representative, count in sorted(counts.items(), key=lambda group: (-group[1], group[0]))
    ]
    return table(
        "Groups of similar units, largest first",
        "representative | units # | members",
        rows,
        "A unit joins the group of a longer one when the estimated Jaccard index of their sets of sketched "
        "buckets (buckets/sketch_family) is at least buckets/min_jaccard.",
    )


def _similarity_figure(paths: Sequence[StrPath]) -> Figure:
    names: list[str] = []
    sketches: list[NDArray[np.uint32]] = []
    for path in paths:
        with h5py.File(path) as h5:
            names += h5["unit/name"].asstr()[:].tolist()
            sketches += list(h5["unit/sketch"][:])
    values = np.array([[jaccard(a, b) for b in sketches] for a in sketches])
    return Figure(
        "Similarity of the units",
        matrix(values, names, "estimated Jaccard index"),
        f"Matrix of the estimated Jaccard indices of {len(names)} units.",
        "A square is the share of sketched buckets that two units have in common among those either of them "
        "has; columns are in the order of the rows. Its standard error is about "
        f"{0.5 / np.sqrt(len(sketches[0])):.3f} at most.",
        wide=len(names) > NARROW,
    )

"""What a reader must know before any number: the warnings at the top of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from helixflow.buckets.sketches import SATURATED
from helixflow.report.blocks import Json, number, percent, plural
from helixflow.report.buckets import Spectrum
from helixflow.report.overview import duration
from helixflow.report.structures import Structure, ensembles_of

#: Nanoseconds of production below which a trajectory is no sampling of what a protein does.
SHORT_NS = 10
CAUTION = (
    f"Picoseconds are a smoke test, not sampling, and below {SHORT_NS} ns even fast motion is hardly "
    "sampled: take what follows on motion and contacts as a sign that the workflow runs, not of what the "
    "protein does."
)
#: Reasons to set atoms aside that are part of any clean-up, which the accounting alone names.
EXPECTED = ("water", "hydrogen, pdb2gmx adds them", "other model", "other chain")
#: Mean pLDDT of an AlphaFold model below which it is of low confidence, as its database has it.
LOW_PLDDT = 70
_MOST_NAMED = 10


@dataclass(frozen=True)
class Notice:
    """A warning, and the section it is about."""

    text: str
    anchor: str


def find_notices(
    run: Json,
    model: Json,
    spectra: Iterable[Spectrum],
    genes: Sequence[Json],
    long: Sequence[tuple[str, int]],
    trained: int,
    structures: Sequence[Structure],
    accounting: Iterable[Mapping[str, str]],
) -> list[Notice]:
    """Collect all warnings, the gravest first.

    Parameters
    ----------
    run, model : dict
        Provenance of the run, description of the model.
    spectra : iterable of Spectrum
    genes : sequence of dict
        What each sample's job counted of its proteins.
    long : sequence of (str, int)
        Id and length of the proteins longer than the `trained` residues.
    trained : int
    structures : sequence of Structure
    accounting : iterable of dict
        Rows of the table.
    """
    return [
        *_of_model(model, long, trained),
        *(_of_sampling(run["config"]["trajectories"]) if structures else ()),
        *_of_gates(structures),
        *_of_models(structures),
        *_of_built(structures),
        *_of_seqres(structures),
        *_of_saturation(spectra),
        *_of_genetic_codes(run["samples"], genes),
        *_of_doubtful_codes(genes),
        *_of_set_aside(accounting),
        *_of_simd(structures),
    ]


def _of_model(model: Json, long: Sequence[tuple[str, int]], trained: int) -> Iterator[Notice]:
    if model["note"]:
        yield Notice(
            f"The embeddings are of the model {model['model']}: {model['note']}. What rests on them shows "
            "that the workflow runs, and nothing about proteins.",
            "embeddings",
        )
    if long:
        yield Notice(
            f"{plural(len(long), 'protein')} with more than the {number(trained)} residues that the model "
            f"was trained on, the longest with {number(long[0][1])}; embedded whole all the same.",
            "embeddings",
        )


def _of_sampling(settings: Json) -> Iterator[Notice]:
    length = settings["production_ns"]
    if length < SHORT_NS:
        yield Notice(
            f"Each simulated trajectory is {duration(length)} long. {CAUTION}",
            "structures",
        )
    if settings["replicas"] < 2:
        yield Notice(
            "There is one replica of each structure, so nothing says how much of what it shows is chance.",
            "structures",
        )


def _of_gates(structures: Sequence[Structure]) -> Iterator[Notice]:
    failed: list[str] = []
    judged: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    differing: list[str] = []
    for ensemble in ensembles_of(structures):
        for replica, quality in ensemble.quality.items():
            for name, gate in quality["gates"].items():
                judged[name] += 1
                if gate["outcome"] == "fail":
                    failed.append(f"{ensemble.name} replica {replica} {name}")
                elif gate["outcome"] == "warn":
                    differing.append(f"{ensemble.name} replica {replica} {name}")
                elif gate["outcome"] == "unknown":
                    unknown[name] += 1
    if failed:
        yield Notice(f"Quality checks that failed: {_listed(failed)}.", "structures")
    if differing:
        yield Notice(f"Quality checks that warn: {_listed(differing)}.", "structures")
    if unknown:
        counts = [f"{name} ({count} of {plural(judged[name], 'replica')})" for name, count in unknown.items()]
        yield Notice(
            "Quality checks that cannot be judged, as a rule because the runs are too short: "
            f"{_listed(counts)}.",
            "structures",
        )


def _of_models(structures: Iterable[Structure]) -> Iterator[Notice]:
    """Tell of structures that no experiment has seen."""
    for structure in structures:
        label, plddt = structure.cleaning.get("label"), structure.cleaning.get("plddt_mean")
        if label:
            yield Notice(f"{structure.name} is an {label}: no experiment has seen it.", "structures")
        if plddt is not None:
            low = f"; below {LOW_PLDDT}, a prediction is of low confidence" if plddt < LOW_PLDDT else ""
            yield Notice(
                f"{structure.name} is a model predicted with a mean pLDDT of {number(plddt)}{low}: no "
                "experiment has seen it.",
                "structures",
            )


def _of_built(structures: Iterable[Structure]) -> Iterator[Notice]:
    """Tell of structures with residues that no experiment has seen."""
    told = []
    for structure in structures:
        built, residues = structure.cleaning["residues_built"], structure.cleaning["residues_out"]
        if built:
            share = percent(built, residues)
            told.append(f"{number(built)} of {plural(residues, 'residue')} ({share}) of {structure.name}")
    if told:
        yield Notice(
            f"Built where the file has none, so seen by no experiment: {_listed(told)}.", "structures"
        )


def _of_seqres(structures: Iterable[Structure]) -> Iterator[Notice]:
    strange = [
        f"{structure.name} chain {chain['chain']}"
        for structure in structures
        for chain in structure.cleaning["chains"]
        if chain["in_seqres"] is False
    ]
    if strange:
        yield Notice(
            f"The residues of {_listed(strange)} are not a stretch of the sequence its file gives (SEQRES): "
            "residues may be missing or changed.",
            "structures",
        )


def _of_saturation(spectra: Iterable[Spectrum]) -> Iterator[Notice]:
    full = [spectrum for spectrum in spectra if spectrum.saturated]
    if full:
        named = _listed([f"{spectrum.sample} ({plural(spectrum.saturated, 'unit')})" for spectrum in full])
        yield Notice(
            f"More than {percent(SATURATED, 1)} of all buckets that are compared ({full[0].sketched}) are "
            f"those of {named}: unrelated units look alike. Raise buckets/sketch_k and buckets/sketch_bits.",
            "buckets",
        )


def _of_genetic_codes(samples: Iterable[Json], genes: Iterable[Json]) -> Iterator[Notice]:
    """Tell of genomes too short to train a gene model, whose genes got another genetic code."""
    asked = {sample["sample"]: str(sample["genetic_code"]) for sample in samples}
    others = []
    for counts in genes:
        wanted = asked[counts["sample"]]
        found = [code for code in counts.get("genetic_codes", ()) if code != wanted]
        if counts["kind"] == "genome" and found:
            others.append(f"{counts['sample']} ({', '.join(found)}, not {wanted})")
    if others:
        yield Notice(
            f"Genes were called with another genetic code than the sheet's: {_listed(others)}. The "
            "metagenomic gene models, which short genomes get, bring their own.",
            "proteins",
        )


def _of_doubtful_codes(genes: Sequence[Json]) -> Iterator[Notice]:
    """Tell of genomes whose genes show that UGA does not mean what the genetic code given says."""
    for meaning, expected in (("amino acid", "an amino acid (4, or 25)"), ("stop", "a stop (11)")):
        doubts = [doubt for counts in genes for doubt in counts.get("doubtful_codes", ())]
        named = [
            f"{doubt['member']} ({doubt['genetic_code']})" for doubt in doubts if doubt["uga"] == meaning
        ]
        if named:
            yield Notice(
                f"The genetic code given looks wrong: UGA seems to be {expected} in {_listed(named)}. Most "
                "genes there are broken or run on; give the right code in the sheet and run again.",
                "proteins",
            )


def _of_set_aside(accounting: Iterable[Mapping[str, str]]) -> Iterator[Notice]:
    aside = [
        f"{row['stage']}: {row['set_aside']} of {row['item']} ({row['reason']})"
        for row in accounting
        if row["set_aside"] != "0" and row["reason"] not in EXPECTED
    ]
    if aside:
        yield Notice(
            f"Set aside beyond waters, hydrogens, other models and chains: {_listed(aside, '; ')}.",
            "accounting",
        )


def _of_simd(structures: Sequence[Structure]) -> Iterator[Notice]:
    runs = [quality["run"] for one in ensembles_of(structures) for quality in one.quality.values()]
    pairs = {(run["simd"], run["simd_possible"]) for run in runs if run["simd"] and run["simd_possible"]}
    for built, possible in sorted(pairs):
        if built != possible:
            yield Notice(
                f"GROMACS ran with {built} instructions on a machine that has {possible}; one built for it "
                "(gmx in the config) is usually faster.",
                "structures",
            )


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = f"{separator}and {number(len(names) - _MOST_NAMED)} more" if len(names) > _MOST_NAMED else ""
    return separator.join(names[:_MOST_NAMED]) + more

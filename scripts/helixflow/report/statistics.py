"""Part on the statistics of a structure: what its numbers can and cannot bear."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py

from helixflow.report.analysis import columns_of, labels_of, rows_of
from helixflow.report.blocks import MISSING, Cell, Figure, Section, Table, View, number, plural, table
from helixflow.report.plots import null_panels

#: Below so many pairs, a rank correlation says little.
FEW_PAIRS = 100
#: Below so many independent frames, a mean and its error say little.
FEW_FRAMES = 10
#: From here on a result is said to be by chance.
LIKELY_CHANCE = 0.05

#: Names of series, in words with their units.
SERIES = {
    "rmsd_nm": "RMSD to the first frame (nm)",
    "rmsd_to_mean_nm": "RMSD to the mean structure (nm)",
    "rg_nm": "radius of gyration (nm)",
    "contacts": "contacts of C-alphas (pairs)",
    "heavy_contacts": "contacts of heavy atoms (pairs)",
    "coherence": "coherence (mean cosine)",
    "motion_1": "motion, component 1 (nm)",
    "embedding_1": "embeddings, component 1",
    "contact_1": "contact map, component 1",
}
_AGAINST = {"start": "contacts of the starting structure", "persistent": "contacts of most frames"}

Blocks = list[str | Table | Figure | View]


def statistics_part(name: str, h5: h5py.File, where: str) -> Section:
    """Show the statistics of a structure, with words on what they say."""
    statistics = h5["statistics"]
    section = Section(f"structure-{name}-statistics", f"Statistics{where}")
    section.blocks += _series_blocks(statistics["series"])
    section.blocks += _fluctuation_blocks(statistics["rmsf"])
    section.blocks += _attention_blocks(h5)
    return section


def relation_part(name: str, h5: h5py.File, figured: bool, where: str) -> Section:
    """Show whether residues that meet have similar embeddings, and what chance would give."""
    title = f"Do contacts and embeddings go together{where}?"
    return Section(f"structure-{name}-relation", title, _cosine_blocks(h5, figured))


def p_words(p: float, permutations: int) -> str:
    """Write a p value of permutations, which is never 0 and no less than they can tell.

    Of n permutations, the least that a two-sided test can give is 2 / (n + 1).

    Examples
    --------
    >>> p_words(0.002, 999), p_words(0.24, 999)
    ('≤ 0.002', '0.24')
    """
    if not math.isfinite(p):
        return MISSING
    least = 2 / (permutations + 1)
    return f"≤ {number(least, 2)}" if p <= least * (1 + 1e-9) else number(p, 2)


def _cosine_blocks(h5: h5py.File, figured: bool) -> Blocks:
    group = h5["statistics/contact_cosine"]
    blocks: Blocks = [_correlation_table(h5, group), *_verdict(group)]
    nulls = dict(zip(columns_of(group, "pairs")[0], group["null"][:], strict=True))
    if figured and nulls:
        observed = dict(rows_of(group, "pairs", "spearman"))
        drawing = null_panels(nulls, observed, "Spearman's ρ of contact frequency and embedding cosine")
        reading = (
            "Bars are what is found when the cosines of pairs equally far apart in sequence are shuffled, "
            "the line is what was found. A line outside the bars is more than the distance in sequence "
            "explains."
        )
        alt = "Histogram of the rank correlations of permutations for each kind of pairs, with the one found."
        blocks.append(Figure("What chance would give", drawing, alt, reading, wide=True))
    return blocks


def _correlation_table(h5: h5py.File, group: h5py.Group) -> Table:
    permutations = int(group.attrs["permutations"])
    names = ("pairs", "number", "spearman", "null_mean", "null_sd", "effect", "p", "shift_p", "shifts")
    rows = [
        (
            pairs,
            Cell(f"{number(count)} (few)", "unsure") if 0 < count < FEW_PAIRS else count,
            _rounded(spearman),
            _plus_minus(mean, sd),
            _rounded(effect, 2),
            p_words(p, permutations),
            p_words(shift_p, shifts),
            shifts,
        )
        for pairs, count, spearman, mean, sd, effect, p, shift_p, shifts in rows_of(group, *names)
    ]
    return table(
        "Do residues in contact have similar embeddings?",
        "pairs of residues | n # | Spearman's ρ # | by chance (mean ± sd) # | effect (sd) # | p, same "
        "distance # | p, shifted # | shifts #",
        rows,
        "Rank correlation of contact frequency and cosine similarity over n pairs of residues, from −1 to 1. "
        f"Residues of one chain count from {plural(int(h5.attrs['min_separation']), 'residue')} apart; fewer "
        f"than {FEW_PAIRS} pairs say little. “By chance” and “p, same distance” are of "
        f"{plural(permutations, 'permutation')} (seed {group.attrs['seed']}) of the cosines among pairs "
        "equally far apart in sequence; effect is the distance from their mean in their standard deviations. "
        "Pairs that share a residue are not independent, which these ignore; “p, shifted” slides the "
        "embeddings along the chain, which keeps that and the likeness of neighbours, so it is the one to "
        "trust. Both p are two-sided and cannot be less than 2/(n + 1) of n permutations or shifts. The p of "
        "several rows are not corrected for being several.",
    )


def _rounded(value: float, digits: int = 3) -> float:
    return round(value, digits) if math.isfinite(value) else value


def _plus_minus(mean: float, sd: float, digits: int = 2) -> str:
    if not math.isfinite(sd):
        return number(mean, digits)
    return f"{number(mean, digits)} ± {number(sd, 2)}"


def _verdict(group: h5py.Group) -> Iterator[str]:
    """Say in plain words what the correlation over all pairs does and does not say."""
    found = {row[0]: row[1:] for row in rows_of(group, "pairs", "number", "spearman", "p", "shift_p")}
    count, rho, p, shift_p = found.get("all", (0, math.nan, math.nan, math.nan))
    if not math.isfinite(rho):
        yield "Over all pairs there is nothing to tell: too few have an embedding, or all meet alike."
        return
    alike = f"pairs that meet more often have {'more' if rho > 0 else 'less'} similar embeddings"
    if not math.isfinite(shift_p):
        said = f"{alike}. Whether chance gives as much cannot be told: there are too few ways to shift them."
    elif shift_p < LIKELY_CHANCE:
        said = f"{alike}, rarely so by chance, be it by shifted embeddings. That says nothing of causes."
    elif p < LIKELY_CHANCE:
        said = (
            f"{alike}. Shuffled pairs rarely give as much, but embeddings shifted along the chain do: that "
            "neighbours in sequence are alike is enough to explain it."
        )
    else:
        said = "which chance gives as well. That is no proof of no relation: there may be too few pairs."
    yield f"Over all {number(count)} pairs, ρ = {number(round(rho, 3), 3)}: {said}"


def _series_blocks(group: h5py.Group) -> Blocks:
    names = "mean", "error", "block_error", "autocorrelation_ps", "effective", "replica_sd", "replica_error"
    found = rows_of(group, "name", *names)
    several = any(math.isfinite(row[-1]) for row in found)
    rows = [
        (
            SERIES.get(name, name),
            _plus_minus(_centred(mean, error), error, 4),
            number(block_error, 2),
            number(autocorrelation, 3),
            _effective(effective),
            *((number(replica_sd, 2), number(replica_error, 2)) if several else ()),
        )
        for name, mean, error, block_error, autocorrelation, effective, replica_sd, replica_error in found
    ]
    of_replicas = " | sd of replicas # | error by replicas #" if several else ""
    shown = table(
        "How sure the means over time are",
        "series | mean ± standard error # | error by blocks # | autocorrelation (ps) # | independent frames #"
        + of_replicas,
        rows,
        "Frames that follow each other are alike, so there are fewer independent ones than frames: as many "
        "as fit into the run at twice the autocorrelation time. The standard error goes by their number, "
        "that by blocks by the means of longer and longer blocks (Flyvbjerg and Petersen 1989), and is not "
        "available where it does not level off. "
        + (
            "Replicas are independent: where their spread is greater than the standard error lets expect, "
            "each run saw but a part of what there is."
            if several
            else "There is one replica, so nothing tells what another would have shown."
        ),
    )
    few = [SERIES.get(row[0], row[0]) for row in found if row[5] < FEW_FRAMES]
    return [shown, *_few_words(["all series"] if len(few) == len(found) else few)]


def _centred(mean: float, error: float) -> float:
    """Write what is 0 but for rounding, as the mean of a projection, as 0."""
    return 0.0 if abs(mean) < 1e-9 * error else mean


def _effective(value: float) -> Cell:
    return Cell(number(value, 3), "unsure" if value < FEW_FRAMES else "")


def _few_words(few: list[str]) -> Iterator[str]:
    if few:
        yield (
            f"Fewer than {FEW_FRAMES} independent frames: {', '.join(few)}. Means of these, and their errors "
            "themselves, are uncertain, however many frames there are; longer or more runs would help."
        )


def _fluctuation_blocks(group: h5py.Group) -> Blocks:
    told = group.attrs
    rows = [(predictor, _rounded(r2)) for predictor, r2 in rows_of(group, "predictor", "r2")]
    shown = table(
        "Do embeddings tell which residues are flexible?",
        "RMSF told by | R² #",
        rows,
        f"Ridge regression over {plural(int(told['residues']), 'residue')} in "
        f"{plural(int(told['segments']), 'segment')} of the chains; each is told by what was learnt of the "
        "others. 1 is all of the variance, 0 is no better than the mean, below 0 is worse. Kind of amino "
        "acid and number of neighbours are what embeddings must surpass. It is one protein: whether it holds "
        "for others is told across structures alone.",
    )
    warning = str(told["warning"])
    return [shown, *([f"Warning: {warning}"] if warning else [])]


def _attention_blocks(h5: h5py.File) -> Blocks:
    if "attention" not in h5["statistics"]:
        return []
    group = h5["statistics/attention"]
    return [
        _precision_table(group),
        *_pairs_table(h5, group["never_formed"], "Predicted, never formed",
                      "Pairs among the L strongest that are in contact in no frame, the strongest first: "
                      "errors of the model, contacts with another copy of the protein, or of a state that "
                      "was not seen."),
        *_pairs_table(h5, group["not_predicted"], "Formed, not predicted",
                      "Contacts of most frames that are not among the L strongest: the model's family of "
                      "proteins may lack them."),
    ]  # fmt: skip


def _precision_table(group: h5py.Group) -> Table:
    told = group.attrs
    rows = [
        (_AGAINST.get(against, against), top, count, _rounded(precision), _rounded(expected))
        for against, top, count, precision, expected in rows_of(
            group, "against", "top", "number", "precision", "expected"
        )
    ]
    return table(
        "Are the contacts that the model's attention predicts made?",
        "against | strongest | pairs # | precision # | of random pairs #",
        rows,
        f"Share of the strongest predicted pairs that are contacts; L is {number(int(told['length']))}, the "
        f"residues with a prediction. Pairs count from {plural(int(told['min_separation']), 'residue')} "
        "apart. Contacts of most frames are those in at least "
        f"{number(100 * float(told['persistent_from']), 3)} % of them. Random pairs have the same distances "
        "in sequence.",
    )


def _pairs_table(h5: h5py.File, group: h5py.Group, caption: str, note: str) -> Blocks:
    found = rows_of(group, "first", "second", "predicted", "frequency")
    if not found:
        return [f"{caption}: no pair."]
    labels = labels_of(h5)
    rows: list[tuple[Any, ...]] = [
        (labels[first], labels[second], _rounded(predicted), _rounded(frequency))
        for first, second, predicted, frequency in found
    ]
    total = int(group.attrs["total"])
    if total > len(found):
        note += f" The first {number(len(found))} of {number(total)}."
    return [
        table(
            caption,
            "residue | residue | predicted (0 to 1) # | contact frequency (share of frames) #",
            rows,
            note,
        )
    ]

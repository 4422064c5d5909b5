"""Partners of chains against annotation and relatives made by hand, residue by residue."""

import random

import pytest
from Bio.Align import PairwiseAligner, substitution_matrices
from Bio.PDB import PDBParser
from Bio.SeqUtils import seq1

from coli import read_genbank
from helixflow.coanalysis.links import read_links
from helixflow.errors import MismatchError
from helixflow.links.gaps import extend_ends, settle_gaps
from helixflow.links.partners import align
from helixflow.proteins import protein_id
from helixflow.report.links import links_part
from helixflow.structures.residues import read_residues
from linking import UBIQUITIN, link, link_all
from stores import random_vectors

#: A start that no other protein here has, of the length of a signal peptide.
SIGNAL = "MKSLLILVLCFLPLAALG"


@pytest.fixture(scope="module")
def lysozyme(data):
    """The sequence of 1AKI, 129 residues numbered from 1."""
    chain = PDBParser(QUIET=True).get_structure("x", data / "structures" / "1AKI.pdb")[0]["A"]
    residues = [residue for residue in chain if residue.id[0] == " "]
    assert [residue.id[1] for residue in residues] == list(range(1, 130))
    return "".join(seq1(residue.resname) for residue in residues)


@pytest.fixture(scope="module")
def coli(data):
    """The proteins of the annotation of E. coli, by gene."""
    genes, _ = read_genbank(data)
    return {gene: protein for gene, (_, protein) in genes.items()}


def statuses(rows):
    """Runs of one status: (status, how many)."""
    runs = []
    for row in rows:
        if runs and runs[-1][0] == row["status"]:
            runs[-1][1] += 1
        else:
            runs.append([row["status"], 1])
    return [tuple(run) for run in runs]


def oracle():
    aligner = PairwiseAligner(mode="local", open_gap_score=-11, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    return aligner


# Which protein it is


def test_adenylate_kinase_is_found_among_the_genes_of_its_genome(tmp_path, coli):
    """By digest, without a look at any other protein; and by words, where one residue is another."""
    adk = coli["adk"]
    assert len(adk) == 214
    others = {coli[gene]: ["ecoli"] for gene in sorted(coli)[::20] if gene != "adk"}
    rows, (summary,) = link(tmp_path, {"A": adk}, others | {adk: ["ecoli"]})
    assert statuses(rows) == [("identical", 214)]
    assert [candidate["found_by"][0] for candidate in summary["considered"]] == ["digest"]
    assert [place["sample"] for place in summary["first_places"]] == ["ecoli", "structure"]
    folder = tmp_path / "mutant"
    folder.mkdir()
    mutant = adk[:99] + ("A" if adk[99] != "A" else "G") + adk[100:]
    rows, (summary,) = link(folder, {"A": mutant}, others | {adk: ["ecoli"]})
    assert statuses(rows) == [("identical", 99), ("substituted", 1), ("identical", 114)]
    best = summary["considered"][0]
    assert (best["protein"], best["passes"]) == (protein_id(adk), True)
    assert "k-mers" in best["found_by"] and best["shared_words"] == len(
        {mutant[at : at + 4] for at in range(211)} & {adk[at : at + 4] for at in range(211)}
    )


def test_every_candidate_is_told_with_both_shares(tmp_path, coli):
    adk = coli["adk"]
    proteins = {coli[gene]: ["ecoli"] for gene in sorted(coli)[::40]}
    _, (summary,) = link(tmp_path, {"A": adk[3:200]}, proteins, partner="all")
    assert len(summary["considered"]) > 20
    sequences = {protein_id(sequence): sequence for sequence in proteins}
    for told in summary["considered"][:30]:
        best = oracle().align(adk[3:200], sequences[told["protein"]])[0]
        counts = best.counts()
        aligned = counts.identities + counts.mismatches
        # A single residue that local alignment leaves over at an end is laid on its neighbour.
        assert aligned <= told["aligned"] <= aligned + 2
        assert counts.identities == told["identical"]
        assert told["identity"] == pytest.approx(told["identical"] / told["aligned"], abs=1e-6)
        assert told["coverage"] == pytest.approx(told["aligned"] / 197, abs=1e-6)
        assert told["passes"] == (told["identity"] >= 0.9 and told["coverage"] >= 0.9)


def test_a_relative_without_a_word_in_common_is_found_by_its_embedding(tmp_path):
    """Every fourth residue is another one: no four in a row are the same."""
    relative = "".join(
        ("A" if letter != "A" else "G") if at % 4 == 3 else letter for at, letter in enumerate(UBIQUITIN)
    )

    def vectors(sequence):
        same = sequence in (UBIQUITIN, relative)
        return random_vectors(UBIQUITIN[:1] * len(sequence)) if same else random_vectors(sequence)

    rng = random.Random(3)
    crowd = {"".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=90)): ["g"] for _ in range(60)}
    rows, (summary,) = link(
        tmp_path, {"A": UBIQUITIN}, crowd | {relative: ["g"]}, vectors=vectors, min_identity=0.7
    )
    assert rows[0]["protein"] == protein_id(relative)
    assert summary["considered"][0]["found_by"] == ["embedding"]
    assert {row["status"] for row in rows} == {"identical", "substituted"}


def test_a_chain_below_four_residues_is_found_by_its_digest_alone(tmp_path):
    rows, (summary,) = link(tmp_path, {"A": "IFV"}, {UBIQUITIN: ["g"]})
    assert (summary["partner"], summary["considered"]) == ("self", [])
    assert {row["protein"] for row in rows} == {protein_id("IFV")}
    folder = tmp_path / "exact"
    folder.mkdir()
    _, (summary,) = link(folder, {"A": "IFV"}, {UBIQUITIN: ["g"], "IFV": ["peptides"]})
    assert (summary["partner"], summary["considered"][0]["found_by"]) == ("best", ["digest"])


def test_all_partners_that_pass_are_kept_in_order_up_to_the_limit(tmp_path):
    swaps = [UBIQUITIN[:at] + "W" + UBIQUITIN[at + 1 :] for at in (10, 20, 30)]
    far = "".join("A" if at % 3 else letter for at, letter in enumerate(UBIQUITIN))
    double = swaps[0][:40] + "W" + swaps[0][41:]
    proteins = {sequence: ["g"] for sequence in [*swaps, far, double, UBIQUITIN]}
    settings = {"partner": "all", "min_identity": 0.9}
    rows, (summary,) = link_all(tmp_path, {"A": UBIQUITIN}, proteins, **settings)
    expected = [UBIQUITIN, *sorted(swaps, key=protein_id), double]
    assert [partner["protein"] for partner in summary["partners"]] == [*map(protein_id, expected)]
    assert [partner["rank"] for partner in summary["partners"]] == [1, 2, 3, 4, 5]
    assert [int(row["rank"]) for row in rows] == [rank for rank in range(1, 6) for _ in UBIQUITIN]
    assert [int(row["index"]) for row in rows] == [*range(76)] * 5
    assert {row["protein"] for row in rows if row["rank"] == "5"} == {protein_id(double)}
    # The co-analysis takes the first.
    residues = read_residues(tmp_path / "residues.tsv")
    links = read_links(tmp_path / "links.tsv", residues, "residues.tsv")
    assert {entry.protein for entry in links} == {protein_id(UBIQUITIN)}

    folder = tmp_path / "two"
    folder.mkdir()
    rows, (summary,) = link_all(folder, {"A": UBIQUITIN}, proteins, max_partners=2, **settings)
    assert (len(summary["partners"]), summary["passing"], len(rows)) == (2, 5, 2 * 76)
    shown, kept, *_ = links_part("x", [summary], folder / "links.tsv").blocks
    assert [(row[2].text, row[3].text) for row in shown.rows] == [
        (str(rank), protein_id(sequence)) for rank, sequence in enumerate(expected[:2], 1)
    ]
    assert kept.startswith("Chain A: 5 proteins passed the thresholds, of which 2 were kept")


def test_where_none_passes_all_is_the_chain_itself(tmp_path):
    rows, (summary,) = link_all(tmp_path, {"A": UBIQUITIN}, {"MA" * 30: ["g"]}, partner="all")
    assert (summary["partner"], summary["passing"]) == ("self", 0)
    assert [partner["protein"] for partner in summary["partners"]] == [protein_id(UBIQUITIN)]
    assert len(rows) == 76


def test_two_chains_have_their_own_partners_and_equal_ones_the_same(tmp_path, lysozyme):
    chains = {"A": lysozyme, "B": UBIQUITIN, "C": lysozyme}
    proteins = {SIGNAL + lysozyme: ["hen"], UBIQUITIN + "K": ["yeast"]}
    _, summary = link_all(tmp_path, chains, proteins)
    found = [chain["partners"][0] for chain in summary]
    assert [one["protein"] for one in found] == [
        protein_id(SIGNAL + lysozyme), protein_id(UBIQUITIN + "K"), protein_id(SIGNAL + lysozyme)
    ]  # fmt: skip
    assert [one["missing"] for one in found] == [
        {"before": 18, "within": 0, "after": 0},
        {"before": 0, "within": 0, "after": 1},
        {"before": 18, "within": 0, "after": 0},
    ]


def test_of_a_repeat_the_first_copy_is_taken_and_the_number_told(tmp_path):
    rows, (summary,) = link(tmp_path, {"A": UBIQUITIN}, {UBIQUITIN * 3 + "N": ["g"]})
    assert [int(row["row"]) for row in rows] == list(range(1, 77))
    assert summary["copies"] == 3


# What each residue is


def test_a_relative_with_changes_of_known_place(tmp_path, lysozyme):
    """Residues 30 and 100 are others, the partner has three more behind 60 and lacks 80 and 81."""
    partner = list(lysozyme)
    partner[29], partner[99] = "W", "W"
    changed = "".join(partner)
    partner = SIGNAL + changed[:60] + "DED" + changed[60:79] + changed[81:] + "KKK"
    rows, (summary,) = link_all(tmp_path, {"A": "GSHM" + lysozyme}, {partner: ["hen"]}, {"A": -3})
    assert statuses(rows) == [
        ("tag", 4), ("identical", 29), ("substituted", 1), ("identical", 30), ("missing", 3),
        ("identical", 19), ("unmatched", 2), ("identical", 18), ("substituted", 1), ("identical", 29),
    ]  # fmt: skip
    missing = [row for row in rows if row["status"] == "missing"]
    assert [(row["row"], row["partner_code"]) for row in missing] == [("79", "D"), ("80", "E"), ("81", "D")]
    assert {(row["index"], row["number"], row["code"], row["chain"]) for row in missing} == {
        ("", "", "", "A")
    }
    assert [row["number"] for row in rows if row["status"] == "unmatched"] == ["80", "81"]
    (told,) = summary["partners"]
    assert told["missing"] == {"before": 18, "within": 3, "after": 3}
    assert told["statuses"] == {"identical": 125, "substituted": 2, "built": 0, "tag": 4, "unmatched": 2}
    assert (told["aligned"], told["coverage"]) == (127, round(127 / 133, 6))
    assert told["substitutions"] == [f"W{48}{lysozyme[29]}", f"W{18 + 100 + 3 - 2}{lysozyme[99]}"]
    for row in rows:
        if row["row"]:
            assert row["partner_code"] == partner[int(row["row"]) - 1]


def test_a_hole_of_the_structure_is_missing_and_a_built_one_is_built(tmp_path, lysozyme):
    """1AKI without residues 60 to 66, and with them built: the letters are known, the places are not."""
    partner = SIGNAL + lysozyme
    holed = lysozyme[:59] + lysozyme[66:]
    numbers = {"A": [*range(1, 60), *range(67, 130)]}
    rows, (summary,) = link_all(tmp_path, {"A": holed}, {partner: ["hen"]}, numbers)
    assert statuses(rows) == [("identical", 59), ("missing", 7), ("identical", 63)]
    assert [int(row["row"]) for row in rows if row["status"] == "missing"] == list(range(78, 85))
    assert summary["partners"][0]["coverage"] == 1.0

    folder = tmp_path / "built"
    folder.mkdir()
    rows, (summary,) = link_all(folder, {"A": lysozyme}, {partner: ["hen"]}, built=range(60, 67))
    assert statuses(rows) == [("identical", 59), ("built", 7), ("identical", 63)]
    built = [row for row in rows if row["status"] == "built"]
    assert [(row["partner_code"], row["row"]) for row in built] == [
        (lysozyme[at - 1], str(at + 18)) for at in range(60, 67)
    ]
    links = read_links(folder / "links.tsv", read_residues(folder / "residues.tsv"), "residues.tsv")
    assert [entry.status for entry in links].count("built") == 7


def test_a_gap_lies_where_the_numbers_jump(tmp_path):
    """The letters on both sides of the hole are the same, so letters alone do not tell where it is."""
    partner = UBIQUITIN[:30] + "SGSGSGSG" + UBIQUITIN[30:]
    for lost in (30, 32, 34):
        folder = tmp_path / str(lost)
        folder.mkdir()
        kept = [at for at in range(len(partner)) if not lost <= at < lost + 4]
        chain = "".join(partner[at] for at in kept)
        rows, _ = link_all(folder, {"A": chain}, {partner: ["g"]}, {"A": [at + 1 for at in kept]})
        assert [int(row["row"]) for row in rows if row["index"]] == [at + 1 for at in kept]
        missing = [int(row["row"]) for row in rows if row["status"] == "missing"]
        assert missing == list(range(lost + 1, lost + 5))


def test_one_residue_left_over_at_an_end_is_substituted_and_more_are_a_tag(tmp_path):
    partner = "MA" + UBIQUITIN + "DD"
    for name, chain, expected in (
        ("last", UBIQUITIN[:-1] + "W", [("identical", 75), ("substituted", 1)]),
        ("first", "W" + UBIQUITIN[1:], [("substituted", 1), ("identical", 75)]),
        ("two", UBIQUITIN + "WWW", [("identical", 76), ("tag", 3)]),
        ("both", "W" + UBIQUITIN[1:] + "WW", [("substituted", 1), ("identical", 75), ("tag", 2)]),
    ):
        folder = tmp_path / name
        folder.mkdir()
        rows, _ = link(folder, {"A": chain}, {partner: ["g"]})
        assert statuses(rows) == expected, name


def test_nothing_is_laid_beyond_the_ends_of_the_partner():
    assert extend_ends([0, 1, 2, 3, 0], 3) == [0, 1, 2, 3, 0]
    assert extend_ends([0, 2, 3, 0], 4) == [1, 2, 3, 4]
    assert extend_ends([0, 0, 3, 4], 9) == [0, 0, 3, 4]
    assert extend_ends([0, 0], 9) == [0, 0]


def test_gaps_never_lose_identical_residues():
    """Random chains with holes: each gap moves along equal letters alone, and rows still ascend."""
    rng = random.Random(5)
    for _ in range(200):
        partner = "".join(rng.choices("AG", k=40))
        start = rng.randrange(5, 30)
        kept = [at for at in range(40) if not start <= at < start + rng.randrange(1, 6)]
        chain = "".join(partner[at] for at in kept)
        numbers = [at + 1 for at in kept]
        plain = align(chain, "x", partner)
        rows = settle_gaps(list(plain.rows), chain, partner, numbers)
        same = sum(bool(row) and partner[row - 1] == code for row, code in zip(rows, chain, strict=True))
        assert same >= plain.identical
        aligned = [row for row in rows if row]
        assert aligned == sorted(set(aligned)) and all(1 <= row <= 40 for row in aligned)
        assert [bool(row) for row in rows] == [bool(row) for row in plain.rows]


def test_a_table_that_calls_an_inner_residue_a_tag_is_refused(tmp_path):
    shorter = UBIQUITIN[:40] + UBIQUITIN[43:]
    link_all(tmp_path, {"A": UBIQUITIN}, {shorter: ["g"]})
    path, residues = tmp_path / "links.tsv", read_residues(tmp_path / "residues.tsv")
    path.write_text(path.read_text().replace("unmatched", "tag", 1))
    with pytest.raises(
        MismatchError, match=r"links\.tsv line 42: XXX A 41 is marked tag, expected unmatched"
    ):
        read_links(path, residues, "residues.tsv")

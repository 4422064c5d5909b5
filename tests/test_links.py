"""Links against what is known of HIV-1 Gag and its capsid domain, and against alignment of everything."""

import random

import pytest
from Bio import SeqIO
from Bio.Align import PairwiseAligner, substitution_matrices
from Bio.PDB import PDBParser
from Bio.SeqUtils import seq1

from helixflow.links.partners import align, propose, rank
from helixflow.proteins import protein_id
from linking import UBIQUITIN, link

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
PEPTIDE = "NLYIQWLKDGGPSSGRPPPS"


def mutate(sequence, share, rng):
    """Replace each residue with the given probability by another one."""
    return "".join(
        rng.choice(LETTERS.replace(letter, "")) if rng.random() < share else letter for letter in sequence
    )


@pytest.fixture(scope="module")
def gag(demo):
    """The first long reading frame of HIV-1."""
    genome = SeqIO.read(demo / "NC_001802.fna", "fasta").seq
    start = 0
    while True:
        start = genome.find("ATG", start)
        protein = str(genome[start : start + (len(genome) - start) // 3 * 3].translate(to_stop=True))
        if len(protein) > 400:
            return protein
        start += 1


@pytest.fixture(scope="module")
def capsid(demo):
    """Numbers and letters of the residues of 1A8O."""
    chain = PDBParser(QUIET=True).get_structure("1A8O", demo / "1A8O.pdb")[0]["A"]
    residues = [residue for residue in chain if residue.id[0] in (" ", "H_MSE")]
    return [residue.id[1] for residue in residues], "".join(
        seq1(residue.resname, custom_map={"MSE": "M"}) for residue in residues
    )


def test_capsid_domain_is_residues_283_to_352_of_gag(tmp_path, gag, capsid):
    numbers, sequence = capsid
    assert (len(gag), numbers) == (500, list(range(151, 221)))
    rows, (summary,) = link(tmp_path, {"A": sequence}, {gag: ["hiv"], UBIQUITIN: ["hiv"]}, {"A": 151})
    assert [(int(row["number"]), int(row["row"])) for row in rows] == [(n, n + 132) for n in range(151, 221)]
    assert {row["protein"] for row in rows} == {protein_id(gag)}
    assert all(row["partner_code"] == gag[int(row["row"]) - 1] for row in rows)
    assert "".join(row["code"] for row in rows) == sequence
    changed = {
        row["row"]: row["partner_code"] + row["code"] for row in rows if row["status"] == "substituted"
    }
    assert changed == {"283": "LM", "340": "AG"}
    assert summary["statuses"] == {"identical": 68, "substituted": 2, "built": 0, "tag": 0, "unmatched": 0}
    assert summary["substitutions"] == ["L283M", "A340G"]
    assert (summary["identity"], summary["coverage"]) == (round(68 / 70, 6), 1.0)
    assert [(place["sample"], place["label"]) for place in summary["first_places"]] == [("hiv", "gene_0")]


@pytest.mark.parametrize("settings", [{"min_identity": 0.98}, {"partner": "self"}])
def test_without_a_passing_partner_the_chain_is_its_own(tmp_path, gag, capsid, settings):
    _, sequence = capsid
    rows, (summary,) = link(tmp_path, {"A": sequence}, {gag: ["hiv"]}, **settings)
    assert {row["protein"] for row in rows} == {protein_id(sequence)}
    assert [int(row["row"]) for row in rows] == list(range(1, 71))
    assert {row["status"] for row in rows} == {"identical"}
    assert summary["partner"] == "self"
    found = [candidate["protein"] for candidate in summary["considered"]]
    assert found == [] if "partner" in settings else found[0] == protein_id(gag)


def test_thresholds_are_met_by_equality(tmp_path):
    changed = "A" * 6 + UBIQUITIN[6:60]
    identity = sum(a == b for a, b in zip(changed, UBIQUITIN, strict=False)) / 54
    rows, _ = link(tmp_path, {"A": changed}, {UBIQUITIN: ["g"]}, min_identity=1, min_coverage=54 / 60)
    assert identity == 1
    assert [row["status"] for row in rows] == ["tag"] * 6 + ["identical"] * 54


def test_a_tag_has_no_partner(tmp_path):
    rows, (summary,) = link(tmp_path, {"A": "GSHHHHHH" + UBIQUITIN}, {UBIQUITIN: ["g"]})
    assert [row["status"] for row in rows] == ["tag"] * 8 + ["identical"] * 76
    assert {(row["protein"], row["row"], row["partner_code"]) for row in rows[:8]} == {("", "", "")}
    assert [int(row["row"]) for row in rows[8:]] == list(range(1, 77))
    assert summary["coverage"] == round(76 / 84, 6)


def test_chains_have_partners_of_their_own(tmp_path):
    chains = {"H": UBIQUITIN[5:], "L": PEPTIDE, "M": UBIQUITIN[5:]}
    rows, summary = link(tmp_path, chains, {UBIQUITIN: ["g"], "MA" + PEPTIDE + "KK": ["p"]})
    assert [int(row["index"]) for row in rows] == list(range(71 + 20 + 71))
    assert [(entry["chain"], entry["first_row"], entry["last_row"]) for entry in summary] == [
        ("H", 6, 76),
        ("L", 3, 22),
        ("M", 6, 76),
    ]
    assert rows[71]["protein"] == protein_id("MA" + PEPTIDE + "KK")


def test_what_the_partner_lacks_is_unmatched_and_the_rest_stays_in_step(tmp_path):
    shorter = UBIQUITIN[:40] + UBIQUITIN[43:]
    rows, _ = link(tmp_path, {"A": UBIQUITIN}, {shorter: ["g"]})
    assert [at for at, row in enumerate(rows) if row["status"] == "unmatched"] == [40, 41, 42]
    assert [int(row["row"]) for row in rows if row["row"]] == list(range(1, 74))


def test_what_the_partner_has_more_is_jumped_over(tmp_path):
    longer = UBIQUITIN[:40] + "WWW" + UBIQUITIN[40:]
    rows, (summary,) = link(tmp_path, {"A": UBIQUITIN}, {longer: ["g"]})
    assert [int(row["row"]) for row in rows] == [*range(1, 41), *range(44, 80)]
    assert (summary["identity"], summary["coverage"]) == (1.0, 1.0)


def test_chains_of_structures_are_no_partners_unless_seen_elsewhere(tmp_path):
    rows, (summary,) = link(
        tmp_path, {"A": UBIQUITIN[1:]}, {UBIQUITIN: ["other"]}, structures=["structure", "other"]
    )
    assert rows[0]["protein"] == protein_id(UBIQUITIN[1:])
    assert (summary["partner"], summary["proteins_aligned"]) == ("self", 0)
    proteins = {UBIQUITIN: ["other", "genome"]}
    rows, (summary,) = link(tmp_path, {"A": UBIQUITIN[1:]}, proteins, structures=["structure", "other"])
    assert rows[0]["protein"] == protein_id(UBIQUITIN)
    assert summary["places"] == 2


def test_ties_do_not_depend_on_order(tmp_path):
    proteins = {head + UBIQUITIN + tail: ["g"] for head in ("MA", "MC", "MD", "ME") for tail in ("K", "R")}
    expected = min(map(protein_id, proteins))
    for number, names in enumerate((list(proteins), list(proteins)[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows, _ = link(folder, {"A": UBIQUITIN}, {name: ["g"] for name in names})
        assert {row["protein"] for row in rows} == {expected}
    # The protein that is the chain itself comes before those that contain it.
    rows, _ = link(tmp_path, {"A": UBIQUITIN}, proteins | {UBIQUITIN: ["g"]})
    assert rows[0]["protein"] == protein_id(UBIQUITIN)


def test_a_crowd_of_equals_does_not_push_out_the_chain_itself():
    crowd = [f"M{a}{b}{UBIQUITIN}" for a in LETTERS for b in LETTERS]
    proteins = sorted((protein_id(sequence), sequence) for sequence in [*crowd, UBIQUITIN])
    proposed = propose([UBIQUITIN], proteins)[UBIQUITIN]
    assert len(proposed) == 100
    assert UBIQUITIN in dict(proposed).values()


def test_letters_unknown_to_the_matrix_are_aligned(tmp_path):
    changed = UBIQUITIN[:30] + "U" + UBIQUITIN[31:]
    rows, _ = link(tmp_path, {"A": UBIQUITIN}, {changed: ["g"]})
    assert (rows[30]["partner_code"], rows[30]["status"]) == ("U", "substituted")


def test_proposals_find_the_partner_that_aligning_everything_finds(data):
    proteins = [
        (protein_id(str(record.seq)), str(record.seq))
        for record in SeqIO.parse(data / "proteins" / "mycoplasma_refseq.faa", "fasta")
    ]
    rng = random.Random(20)
    proteins = sorted(rng.sample(proteins, 150))
    chains = []
    for _, sequence in rng.sample(proteins, 12):
        start = rng.randrange(max(1, len(sequence) - 120))
        chains.append(mutate(sequence[start : start + 120], 0.05, rng))
    # A second copy of each, farther away, so that the right one has a rival.
    rivals = [(protein_id(copy), copy) for copy in (mutate(chain, 0.15, rng) for chain in chains)]
    proteins = sorted(proteins + rivals)
    oracle = PairwiseAligner(mode="local", open_gap_score=-11, extend_gap_score=-1)
    oracle.substitution_matrix = substitution_matrices.load("BLOSUM62")

    proposed = propose(chains, proteins, most=5)
    for chain in chains:
        found = rank(align(chain, *protein) for protein in proposed[chain])[0]
        counts = {name: oracle.align(sequence, chain)[0].counts() for name, sequence in proteins}
        best = max(counts, key=lambda name: counts[name].identities)
        assert found.protein == best
        assert (found.identical, found.aligned) == (
            counts[best].identities,
            counts[best].identities + counts[best].mismatches,
        )

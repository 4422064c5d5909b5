"""What the page says of built and idealised structures, of brought-along runs, and of partners."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import DEMO
from fetching import fetcher, source
from helixflow.files import read_json, write_json
from helixflow.report.accounting import count_cleaned
from helixflow.report.brought import brought_notices
from helixflow.report.links import links_part
from helixflow.report.notices import find_notices
from helixflow.report.overview import samples_section, summarise
from helixflow.report.proteins import proteins_section
from helixflow.report.structures import Structure, cleaning_part, setup_part
from helixflow.sequences import fetch_structure
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.trajectories.metadata import describe_run
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.quality.energies import drift_gate


def cleaned(folder, pdb, **settings):
    """What cleaning says of a file, and the lines of the atoms it leaves."""
    outputs = [folder / name for name in ("clean.pdb", "cleaning.json", "residues.tsv")]
    clean_structure(pdb, "pdb", replace(CleanSettings((), 1, "drop"), **settings), *outputs)
    atoms = [line for line in outputs[0].read_text().splitlines() if line.startswith("ATOM")]
    return read_json(outputs[1]), atoms


def texts(block):
    return [[cell.text for cell in row] for row in block.rows]


def structure(cleaning, setup=None):
    return Structure("x", cleaning, setup or {}, [], "", {})


@pytest.fixture(scope="module")
def built(data, tmp_path_factory):
    """1BHL, where 16 residues within the chain were not seen."""
    folder = tmp_path_factory.mktemp("built")
    pdb = data / "structures/1BHL.pdb"
    return pdb, cleaned(folder, pdb, modified="parent", repair="loops", max_gap=16)


# Residues that are built


def test_built_atoms_are_not_counted_as_kept_of_the_file(built):
    pdb, (cleaning, atoms) = built
    in_file = {(line[21:27], line[12:16].strip()) for line in pdb.read_text().splitlines()
               if line.startswith(("ATOM", "HETATM")) and line[17:20] != "HOH"}  # fmt: skip
    kept = sum((line[21:27], line[12:16].strip()) in in_file for line in atoms)
    shown, *_ = cleaning_part(structure(cleaning)).blocks
    assert f"{kept} kept, {len(atoms) - kept} built, which makes {len(atoms)}." in shown
    assert "135 kept, 16 built, which makes 151." in shown
    of_file, of_built = count_cleaned("x atoms", "atoms", cleaning, len(atoms))
    assert (of_file.item, of_file.records_out) == ("x atoms", kept)
    assert (of_built.item, of_built.records_in) == ("x atoms built", len(atoms) - kept)
    assert of_file.records_in == kept + sum(of_file.set_aside.values()) == cleaning["atoms_in"]


def test_copies_of_an_assembly_are_told_apart():
    counts = {"atoms_in": 100, "atoms_copied": 200, "atoms_built": 0, "atoms_out": 270}
    counts["atoms_set_aside"] = {"water": 30}
    (entry,) = count_cleaned("x atoms", "atoms", counts, 270)
    assert (entry.item, entry.records_in) == ("x atoms, with 200 copied by the assembly", 300)


def notices_of(*structures):
    config = {"trajectories": {"production_ns": 10, "replicas": 2}}
    run = {"config": config, "samples": []}
    return [notice.text for notice in find_notices(run, {"note": ""}, [], [], [], 9, structures, [])]


def test_built_and_predicted_and_idealised_structures_are_named_at_the_top(built):
    _, (cleaning, _) = built
    (notice,) = notices_of(structure(cleaning))
    assert "16 of 151 residues (10.6 %) of x." in notice
    plain = cleaning | {"residues_built": 0}
    assert notices_of(structure(plain)) == []
    (sure,) = notices_of(structure(plain | {"plddt_mean": 91.5}))
    assert "predicted" in sure and "91.5" in sure and "low confidence" not in sure
    (idealised,) = notices_of(structure(plain | {"label": "idealised start, not a fold"}))
    assert "idealised start" in idealised


def test_what_is_said_of_missing_residues_holds_for_those_that_were_built(built):
    _, (cleaning, _) = built
    (chains,) = [block for block in cleaning_part(structure(cleaning)).blocks
                 if getattr(block, "caption", "") == "Chains"]  # fmt: skip
    assert "are simulated where they were built" in chains.note
    assert "before or behind a chain are not" in chains.note


def test_what_was_neither_renamed_nor_removed_is_not_told(built):
    _, (cleaning, _) = built
    (done,) = [block for block in cleaning_part(structure(cleaning)).blocks
               if getattr(block, "caption", "") == "What was done"]  # fmt: skip
    (details,) = {row[3] for row in texts(done) if row[0] == "made natural"}
    assert details.startswith("to CYS; removed AS")


def test_vectors_of_the_box_are_in_the_order_of_gro_files():
    setup = {"force_field": "f", "water": "w", "box_shape": "s", "box_distance_nm": 1, "atoms": 1,
             "protein_atoms": 1, "waters": 0, "ions": {}, "charge": 0, "salt_M": 0, "disulfides": [],
             "seed": 1, "gmx_version": "v"}  # fmt: skip

    def shown(box):
        (block,) = setup_part(structure({}, setup | {"box_vectors_nm": box})).blocks
        return dict(texts(block))["box vectors a, b, c (nm)"]

    assert shown([3.6, 3.6, 2.5, 0, 0, 0, 0, 1.8, 1.7]) == "(3.6, 0, 0), (0, 3.6, 0), (1.8, 1.7, 2.5)"
    assert shown([1, 2, 3]) == "(1, 0, 0), (0, 2, 0), (0, 0, 3)"


# The sheet


def run_of(*samples, **settings):
    rows = [{"sample": name, "kind": kind, "taxon": ""} for name, kind in samples]
    return {"samples": rows, "config": {"trajectories": {"temperature_K": 300, **settings}}}


def test_a_peptide_has_a_row_without_a_file(tmp_path):
    record = tmp_path / "results/pep.json"
    row = source("pep", "structure", text="peptide:GYDPETGTWG")
    fetch_structure(fetcher(tmp_path), row, tmp_path / "results/pep.structure", record)
    shown = samples_section([read_json(record)], run_of(("pep", "structure"))).blocks[0]
    assert texts(shown)[0][-2:] == ["", "built from its sequence (idealised start, not a fold)"]


def test_a_run_that_is_brought_along_is_one_of_files(tmp_path):
    file = {"url": "", "sha256": "0" * 64, "bytes": 1, "date": "2026-01-02T00:00:00+00:00"}
    told = {"sample": "md", "kind": "trajectory", "source": "a.tpr,a.xtc", "format": "tpr+xtc", "records": 2,
            "residues": 0, "files": [file] * 2, "normalised": {}, "left_out": []}  # fmt: skip
    shown = samples_section([told], run_of(("md", "trajectory"))).blocks[0]
    assert texts(shown)[0][4:6] == ["2 files", "–"]


def test_chains_of_a_brought_run_are_of_kind_trajectory():
    counts = [{"sample": name, "kind": "structure", "occurrences": 1, "distinct": 1, "partial": 0}
              for name in ("md", "x")]  # fmt: skip
    distinct = dict.fromkeys(("distinct", "occurrences", "min_length", "max_length", "residues"), 1)
    database = SimpleNamespace(execute=lambda *_: Rows())
    _, shown, *_ = proteins_section(counts, distinct, {}, database, {"md"}).blocks
    assert [row[:2] for row in texts(shown)] == [["md", "trajectory"], ["x", "structure"]]


class Rows(list):
    """No rows, as a database gives them."""

    def fetchall(self):
        return self


@pytest.mark.parametrize(("replicas", "said"), [(1, "1 replica of 2 ps."), (2, "2 replicas of 2 ps each.")])
def test_each_replica_has_the_length(replicas, said):
    run = run_of(("x", "structure"), replicas=replicas, production_ns=0.002)
    assert summarise(run, 1, 1).endswith(said)


# Brought-along runs


@pytest.mark.parametrize(
    ("frames", "last_ps", "said"),
    [
        (10, 900.00006, "md (10 frames over 900 ps). Picoseconds"),
        (10, 90_000, "md (10 frames over 90 ns). Picoseconds"),
        (5000, 2, "md (5000 frames over 2 ps). Picoseconds"),
        (5000, 90_000, None),
    ],
)
def test_short_brought_runs_are_cautioned_of(tmp_path, frames, last_ps, said):
    quality = {"structure": "md", "frames": frames, "first_ps": 0, "last_ps": last_ps, "gates": {}}
    write_json(tmp_path / "quality.json", quality)
    found = brought_notices(SimpleNamespace(brought_quality=[tmp_path / "quality.json"]))
    assert [said in notice.text for notice in found] == ([True] if said else [])


# Links


def partner(rank, protein):
    return {"rank": rank, "protein": protein, "first_row": 1, "last_row": 9, "length": 9, "identity": 1.0,
            "coverage": 1.0, "statuses": {}, "missing": {"within": 0}, "places": 1,
            "first_places": [{"unit": "u", "label": "l", "contig": "c", "start": 1, "end": 9, "strand": 0}],
            }  # fmt: skip


def test_every_partner_has_its_rank_and_its_substitutions(tmp_path):
    lines = ["chain\tnumber\tinsertion\tcode\trank\tprotein\trow\tpartner_code\tstatus"]
    lines += ["A\t5\t\tS\t1\tSQ.a\t5\tS\tidentical", "A\t5\t\tS\t2\tSQ.b\t7\tA\tsubstituted", ""]
    (tmp_path / "links.tsv").write_text("\n".join(lines))
    chain = {"chain": "A", "residues": 9, "partner": "all", "passing": 2}
    chain["partners"] = [partner(1, "SQ.a"), partner(2, "SQ.b")]
    shown, passing, substituted = links_part("x", [chain], tmp_path / "links.tsv").blocks
    assert [row[2:4] for row in texts(shown)] == [["1", "SQ.a"], ["2", "SQ.b"]]
    assert "co-analysis uses the partner of rank 1" in shown.note
    assert passing.startswith("Chain A: 2 proteins passed the thresholds, of which 2 were kept")
    assert texts(substituted) == [["A", "2", "SQ.b", "S5", "A7"]]


# quality.json


def test_the_drift_is_per_atom():
    times = np.arange(100.0)
    assert drift_gate(times, times * 0, Judgement())["unit"] == "kJ/mol/ps/atom"


@pytest.mark.parametrize(
    ("origin", "entry", "expected"),
    [("1A8O.pdb", "1A8O", "1A8O"), ("pdb:1a8o", "", "1A8O"), ("my.pdb", "XXXX", None), ("my.pdb", "", None)],
)
def test_the_pdb_id_is_that_of_the_sheet_or_the_file(origin, entry, expected):
    setup = dict.fromkeys(
        ("force_field", "water", "box_shape", "box_vectors_nm", "atoms", "waters", "ions", "salt_M")
    )
    names = "temperature_K pressure_bar timestep_fs frame_ps production_ns frames"
    settings = SimpleNamespace(**dict.fromkeys(names.split()))
    run_input = SimpleNamespace(
        parameters=dict.fromkeys(("tcoupl", "pcoupl", "coulombtype")), ensemble="NVT", cutoff_nm=1
    )
    told = describe_run(setup, {"source": origin, "entry": entry}, [], settings, run_input, None)
    assert told["pdb_id"] == expected


@pytest.mark.parametrize(("header", "entry"), [(True, "1A8O"), (False, "")])
def test_the_record_has_the_entry_that_a_file_names(tmp_path, header, entry):
    lines = (DEMO / "1A8O.pdb").read_text().splitlines(keepends=True)
    (tmp_path / "mine.pdb").write_text("".join(lines if header else lines[1:]))
    record = tmp_path / "results/x.json"
    row = source("x", "structure", tmp_path / "mine.pdb")
    fetch_structure(fetcher(tmp_path), row, tmp_path / "results/x.structure", record)
    assert read_json(record)["entry"] == entry

"""Two runs held against each other: a change put into a copy of a finished run, and what is named for it."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from MDAnalysis.analysis.rms import rmsd
from MDAnalysis.lib.formats.libmdaxdr import XTCFile

from conftest import ROOT
from helixflow.compare.asked import run_to_compare, unfinished_state
from helixflow.compare.atoms import superposed_rmsd
from helixflow.compare.comparing import compare_runs
from helixflow.compare.contrast import contrast
from helixflow.compare.letters import bytes_reader, fasta_reader, measure_letters
from helixflow.compare.program import compare_program
from helixflow.compare.records import Record, merge, sort_records
from helixflow.compare.stages import LEFT_OUT, contents
from helixflow.compare.words import comparison_text
from helixflow.config import read_schema
from helixflow.embeddings import open_embedding, read_index
from helixflow.errors import ConfigError, SourceError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.files import write_json
from helixflow.report.blocks import Table
from helixflow.report.comparison import comparison_section
from workflow import command, snakemake

SCHEMA = read_schema(ROOT / "config/schema.yaml")
MOLECULE = "capsid_ctd"


@pytest.fixture(scope="module")
def whole(chain, tmp_path_factory) -> Path:
    """The results of a finished run, with two files of measures whatever the co-analysis wrote."""
    folder = tmp_path_factory.mktemp("whole") / "results"
    shutil.copytree(chain / "results", folder, symlinks=True)
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """The same results again, by links, so that a file to be changed must be `own`."""
    return Path(shutil.copytree(whole, tmp_path / "results", copy_function=os.link))


def own(path: Path) -> Path:
    """Make a file one of the copy alone."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


def compared(a: Path, b: Path) -> dict:
    """Compare runs; with the other way round as a check, which must swap what is theirs and nothing else."""
    found = compare_runs(a, b, SCHEMA)
    assert json.loads(json.dumps(found)) == found
    assert compare_runs(b, a, SCHEMA) == swapped(found)
    assert comparison_text(found)
    return found


def swapped(content):
    """Change A and B about in a comparison."""
    if isinstance(content, list):
        return [swapped(value) for value in content]
    if not isinstance(content, dict):
        return content
    other = {"a": "b", "b": "a", "only_in_a": "only_in_b", "only_in_b": "only_in_a"}
    return {key: swapped(content[other.get(key, key)]) for key in content}


def only_difference(found: dict, stage: str, item: str, part: str) -> dict:
    """Return the only difference, which must be of this part and a cause."""
    assert found["verdict"] == "differ"
    assert [(one["stage"], one["item"], one["part"]) for one in found["differences"]] == [(stage, item, part)]
    assert found["first"] == found["differences"][0]
    assert found["first"]["cause"] == "own"
    assert [one["stage"] for one in found["stages"] if one["differing"]] == [stage]
    return found["first"]


def amounts(one: dict) -> dict[str, float]:
    return {number["name"]: number["value"] for number in one["numbers"]}


def edit_line(path: Path, begins: str, change) -> str:
    """Change the first line that begins so; give what it was."""
    lines = own(path).read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if line.startswith(begins))
    old, lines[place] = lines[place], change(lines[place])
    assert old != lines[place]
    path.write_text("".join(lines))
    return old


# The same


def test_two_copies_are_the_same(whole, copy):
    found = compared(whole.parent, copy)
    assert (found["verdict"], found["first"], found["differences"]) == ("same", None, [])
    assert {one["stage"] for one in found["stages"] if one["parts"] == 0} == set()
    assert comparison_text(found).startswith("SAME")


def test_what_is_no_content_is_no_difference(whole, copy):
    """Another time, compression, page, machine, and topology.tpr's bytes that nobody sets."""
    fasta = copy / "sequences/hiv1.fasta.gz"
    letters = gzip.decompress(fasta.read_bytes())
    own(fasta).write_bytes(gzip.compress(letters, 1, mtime=1))
    record = copy / "sequences/hiv1.json"
    own(record).write_text(record.read_text().replace('"date": "20', '"date": "19'))
    quality = copy / f"trajectories/{MOLECULE}/1/quality.json"
    content = json.loads(quality.read_text())
    content["run"] |= {"performance_ns_day": 1.5, "continuations": 3, "simd": "AVX2_256"}
    own(quality).write_text(json.dumps(content))
    for name in (f"trajectories/{MOLECULE}/1/topology.tpr", "report/index.html"):
        (copy / name).unlink(missing_ok=True)
    table = copy / "proteins/occurrences.parquet"
    rows = pq.read_table(table)
    table.unlink()
    pq.write_table(rows.take(list(range(len(rows)))[::-1]), table, compression="gzip")
    assert compared(whole, copy)["verdict"] == "same"


def test_every_file_of_a_run_is_compared_or_named_as_left_out(whole):
    read = {
        Path(os.path.normpath(path))
        for content in contents(whole, SCHEMA)
        for path in content.reader.files(content.path)
    }
    left_out = {path for left in LEFT_OUT for pattern in left.files for path in whole.glob(pattern)}
    forgotten = {path for path in whole.rglob("*") if path.is_file()} - read - left_out
    assert not forgotten
    # Parts of the store that the index names are read.
    assert any("store" in path.parts for path in read)


# One change at each stage


def test_a_base(whole, copy):
    path = copy / "sequences/hiv1.fasta.gz"
    ((name, letters),) = read_fasta(path)
    path.unlink()
    new = "T" if letters[1234] != "T" else "G"
    write_fasta(path, [(name, letters[:1234] + new + letters[1235:])])
    one = only_difference(compared(whole, copy), "sequences", "hiv1", "hiv1.fasta.gz")
    assert (one["noun"], one["record"], one["where"]) == ("contig", name, "position 1235")
    assert (one["a"], one["b"], amounts(one)) == (letters[1234], new, {"positions that differ": 1})


def test_an_insertion(whole, copy):
    path = copy / "sequences/hiv1.fasta.gz"
    ((name, letters),) = read_fasta(path)
    path.unlink()
    # Behind two letters that differ, so that the place of what is put in is plain.
    write_fasta(path, [(name, letters[:5000] + "NN" + letters[5000:])])
    one = only_difference(compared(whole, copy), "sequences", "hiv1", "hiv1.fasta.gz")
    assert (one["where"], amounts(one)) == ("position 5001", {"difference of length": 2})


def test_a_record_that_is_dropped(whole, copy):
    path = copy / "sequences/chloroplast_proteins.fasta.gz"
    records = list(read_fasta(path))
    text = gzip.decompress(path.read_bytes()).decode().split(">")
    path.unlink()
    path.write_bytes(gzip.compress(">".join(text[:41] + text[42:]).encode()))
    name = "chloroplast_proteins.fasta.gz"
    one = only_difference(compared(whole, copy), "sequences", "chloroplast_proteins", name)
    assert (one["record"], one["a"], one["b"]) == (records[40][0], "there", "missing")
    assert one["only_in_a"] == {"number": 1, "first": [records[40][0]]}
    assert (one["only_in_b"]["number"], one["differing"], one["compared"]) == (0, 0, len(records) - 1)


def test_a_bucket_count_and_the_jaccard_index(whole, copy):
    with h5py.File(own(copy / "buckets/ppcp1.h5"), "r+") as h5:
        buckets, counts = h5["spectrum/bucket"][:], h5["spectrum/count"][:].astype(int)
        h5["spectrum/count"][100] = counts[100] + 3
        last = int(buckets[-1])
        del h5["spectrum/bucket"]
        h5["spectrum/bucket"] = np.append(buckets[:-1], last + 1).astype(np.uint32)
    one = only_difference(compared(whole, copy), "buckets", "ppcp1", "spectrum")
    assert one["where"] == f"bucket {buckets[100]}"
    assert (one["a"], one["b"]) == (f"count {counts[100]}", f"count {counts[100] + 3}")
    found = amounts(one)
    assert found["buckets of other counts"] == 3
    assert found["difference of counts"] == 3 + 2 * counts[-1]
    n, total = len(buckets), counts.sum()
    assert found["Jaccard index of buckets"] == pytest.approx((n - 1) / (n + 1), rel=1e-5)
    shared = total - counts[-1]
    assert found["Jaccard index of counts"] == pytest.approx(shared / (shared + 3 + 2 * counts[-1]), rel=1e-5)


def test_a_group_of_units(whole, copy):
    path = copy / "buckets/groups.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[1]["representative"] = "nobody"
    path.unlink()
    pq.write_table(pa.Table.from_pylist(rows), path)
    one = only_difference(compared(whole, copy), "buckets", "groups of units", "groups")
    assert (one["record"], one["where"], one["b"]) == (rows[1]["unit"], "representative", "nobody")


def test_a_protein_that_only_one_run_has(whole, copy):
    path = copy / "proteins/distinct.fasta.gz"
    records = list(read_fasta(path))
    path.unlink()
    write_fasta(path, records[:-2])
    one = only_difference(compared(whole, copy), "proteins", "distinct proteins", "proteins")
    assert one["only_in_a"] == {"number": 2, "first": [name for name, _ in records[-2:]]}


def test_a_vector_of_a_protein(whole, copy):
    uris = read_index(copy / "embeddings/index.parquet")
    protein = sorted(uris)[len(uris) // 2]
    part = Path(uris[protein].split("#")[0])
    old = np.array(open_embedding(uris[protein]), np.float64)
    with h5py.File(own(part), "r+") as h5:
        place = h5["protein"][:].tolist().index(protein.encode())
        row = int(h5["offset"][place]) + 6
        h5["residue"][row] = -h5["residue"][row]
    one = only_difference(compared(whole, copy), "embeddings", "vectors", "vectors")
    assert (one["record"], one["differing"]) == (protein, 1)
    assert one["where"] == "residue 7, component 1"
    found = amounts(one)
    assert found["least cosine of a residue"] == pytest.approx(-1)
    assert found["mean cosine of the proteins that differ"] == pytest.approx(1 - 2 / len(old), rel=1e-5)
    assert found["largest difference"] == pytest.approx(2 * np.abs(old[6]).max(), rel=1e-5)
    added = {p.stem: set(pq.read_table(p)["part"].to_pylist()) for p in copy.glob("embeddings/0??.parquet")}
    (shard,) = [name for name, parts in added.items() if part.stem in parts]
    assert one["a"].endswith(f"(part {part.stem} of shard {shard})") and not one["rounding"]


def test_vectors_that_differ_by_rounding_alone(whole, copy):
    uris = read_index(copy / "embeddings/index.parquet")
    protein = min(uris)
    with h5py.File(own(Path(uris[protein].split("#")[0])), "r+") as h5:
        row = int(h5["offset"][h5["protein"][:].tolist().index(protein.encode())])
        h5["residue"][row] = np.nextafter(h5["residue"][row], np.float16(100))
    found = compared(whole, copy)
    assert only_difference_by_rounding(found)["record"] == protein
    assert comparison_text(found).startswith("DIFFER BY ROUNDING")


def only_difference_by_rounding(found: dict) -> dict:
    (one,) = found["differences"]
    assert one["rounding"]
    return one


def test_the_model(whole, copy):
    path = copy / "embeddings/model.json"
    content = json.loads(path.read_text())
    own(path).write_text(json.dumps(content | {"compute_dtype": "bfloat16", "folder": "/elsewhere"}))
    one = only_difference(compared(whole, copy), "embeddings", "model", "model")
    assert (one["record"], one["a"], one["b"]) == ("compute_dtype", content["compute_dtype"], "bfloat16")


def test_an_atom(whole, copy):
    def move(line):
        return f"{line[:30]}{float(line[30:38]) + 1:8.3f}{line[38:]}"

    old = edit_line(copy / f"structures/{MOLECULE}/clean.pdb", "ATOM     20", move)
    found = compared(whole, copy)
    one = only_difference(found, "structures", MOLECULE, "clean.pdb")
    assert one["record"] == f"{old[12:16].strip()} of residue {old[21]} {int(old[22:26])}"
    values = amounts(one)
    assert values["largest distance of an atom"] == pytest.approx(0.1)
    atoms = [
        np.array(
            [
                [float(line[at : at + 8]) for at in (30, 38, 46)]
                for line in (folder / f"structures/{MOLECULE}/clean.pdb").read_text().splitlines()
                if line.startswith("ATOM")
            ]
        )
        for folder in (whole, copy)
    ]
    expected = rmsd(*atoms, center=True, superposition=True) / 10
    assert values["RMSD of all atoms, superposed"] == pytest.approx(expected, rel=1e-4)


def test_a_charge(whole, copy):
    path = copy / f"structures/{MOLECULE}/topol.top"
    lines = own(path).read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if line.startswith("[ atoms ]"))
    place = next(n for n in range(at, len(lines)) if len(lines[n].split()) > 7 and lines[n].split()[0] == "9")
    values = lines[place].partition(";")[0].split()
    values[6] = f"{float(values[6]) + 0.25:.4f}"
    lines[place] = " ".join(values) + "\n"
    path.write_text("".join(lines))
    one = only_difference(compared(whole, copy), "structures", MOLECULE, "topol.top")
    assert "[ atoms ]" in one["record"]
    assert amounts(one)["difference of charges"] == pytest.approx(0.25)


def test_a_key_of_the_set_up(whole, copy):
    path = copy / f"structures/{MOLECULE}/setup.json"
    content = json.loads(path.read_text())
    number = content["ions"]["NA"]
    content["ions"]["NA"] += 1
    own(path).write_text(json.dumps(content))
    one = only_difference(compared(whole, copy), "structures", MOLECULE, "setup.json")
    assert (one["record"], one["a"], one["b"]) == ("ions/NA", str(number), str(number + 1))


def frames_of(path: Path) -> list:
    with XTCFile(str(path)) as xtc:
        return [(frame.x.copy(), frame.box.copy(), frame.step, frame.time, frame.prec) for frame in xtc]


def write_frames(path: Path, frames) -> None:
    path.unlink()
    with XTCFile(str(path), "w") as xtc:
        for frame in frames:
            xtc.write(*frame)


def test_a_frame_and_how_the_difference_grows(whole, copy):
    path = copy / f"trajectories/{MOLECULE}/2/protein.xtc"
    frames = frames_of(path)
    frames[4][0][7] += [0.3, 0, 0.4]
    frames[-1][0][7] += [3, 0, 4]
    write_frames(path, frames)
    one = only_difference(compared(whole, copy), "trajectories", f"{MOLECULE}/2", "protein.xtc")
    assert one["record"] == f"at {frames[4][3]:g} ps"
    assert one["where"] == "frame 5, atom 8 (nm)"
    assert (one["differing"], one["compared"]) == (2, len(frames))
    old, found = frames_of(whole / f"trajectories/{MOLECULE}/2/protein.xtc"), amounts(one)
    expected = [rmsd(old[at][0], frames[at][0], center=True, superposition=True) for at in (4, -1)]
    assert found["RMSD at the first frame that differs"] == pytest.approx(expected[0], rel=1e-3)
    assert found["RMSD at the last frame that differs"] == pytest.approx(expected[1], rel=1e-3)
    assert found["growth of the RMSD"] == pytest.approx(expected[1] / expected[0], rel=2e-3)
    assert found["time of the last frame that differs"] == pytest.approx(frames[-1][3])
    assert found["largest distance of an atom"] == pytest.approx(5, abs=2e-3)


def test_a_frame_that_is_missing(whole, copy):
    path = copy / f"trajectories/{MOLECULE}/1/protein.xtc"
    frames = frames_of(path)
    write_frames(path, frames[:3] + frames[4:])
    one = only_difference(compared(whole, copy), "trajectories", f"{MOLECULE}/1", "protein.xtc")
    assert one["only_in_a"] == {"number": 1, "first": [f"at {frames[3][3]:g} ps"]}
    assert one["differing"] == 0


def test_an_energy(whole, copy):
    path = copy / f"trajectories/{MOLECULE}/1/energy.tsv"
    rows = [line.split("\t") for line in own(path).read_text().splitlines()]
    column = rows[0].index("potential_kJ_mol")
    old, rows[4][column] = rows[4][column], f"{float(rows[4][column]) + 12.5:.6f}"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    one = only_difference(compared(whole, copy), "trajectories", f"{MOLECULE}/1", "energies")
    assert (float(one["record"]), one["where"]) == (float(rows[4][0]), "potential_kJ_mol")
    assert (one["a"], one["b"]) == (old, rows[4][column])
    assert one["numbers"] == [
        {"name": "largest difference of potential_kJ_mol", "value": 12.5, "unit": "kJ/mol"}
    ]


def test_the_outcome_of_a_gate(whole, copy):
    path = copy / f"trajectories/{MOLECULE}/1/quality.json"
    content = json.loads(path.read_text())
    content["gates"]["frames"]["outcome"] = "fail"
    own(path).write_text(json.dumps(content))
    one = only_difference(compared(whole, copy), "trajectories", f"{MOLECULE}/1", "gates")
    assert (one["record"], one["a"], one["b"]) == ("gates/frames/outcome", "pass", "fail")


@pytest.mark.parametrize(
    ("name", "old", "new", "stage", "item", "record"),
    [(f"trajectories/{MOLECULE}/1/quality.json", '"mdrun_status": {\n      "value": 0', '"mdrun_status": '
      '{\n      "value": 1', "trajectories", f"{MOLECULE}/1", "gates/mdrun_status/value"),
     (f"trajectories/{MOLECULE}/1/quality.json", '"passed": true', '"passed": false', "trajectories",
      f"{MOLECULE}/1", "passed"),
     (f"trajectories/{MOLECULE}/1/quality.json", '"barostat": "', '"barostat": "x', "trajectories",
      f"{MOLECULE}/1", "metadata/barostat"),
     (f"trajectories/{MOLECULE}/1/segments.json", '"pack": "', '"pack": "x', "trajectories",
      f"{MOLECULE}/1", "pack"),
     (f"trajectories/{MOLECULE}/1/mdout.mdp", "verlet-buffer", "verlet-bufer", "trajectories",
      f"{MOLECULE}/1", "verletbufertolerance"),
     (f"trajectories/{MOLECULE}/1/processed.top", "12.01", "12.02", "trajectories", f"{MOLECULE}/1",
      "2 [ atomtypes ] line"),
     ("proteins/distinct.json", '"partial": ', '"partial": 1', "proteins", "distinct proteins", "partial")],
)  # fmt: skip
def test_content_of_all_kinds(whole, copy, name, old, new, stage, item, record):
    path = copy / name
    text = own(path).read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = compared(whole, copy)
    assert found["verdict"] == "differ"
    assert (found["first"]["stage"], found["first"]["item"]) == (stage, item)
    assert found["first"]["record"].startswith(record)


def test_the_description_of_a_contig(whole, copy):
    path = copy / "sequences/hiv1.fasta.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    header = text.partition("\n")[0]
    path.unlink()
    path.write_bytes(gzip.compress(text.replace(header, f"{header}, or not", 1).encode()))
    one = only_difference(compared(whole, copy), "sequences", "hiv1", "hiv1.fasta.gz")
    assert (one["where"], one["a"]) == ("description", header.partition(" ")[2])
    assert one["b"] == f"{one['a']}, or not"


def test_letters_and_model_of_the_store(whole, copy):
    protein, uri = min(read_index(copy / "embeddings/index.parquet").items())
    part = own(Path(uri.split("#")[0]))
    with h5py.File(part, "r+") as h5:
        row = int(h5["offset"][h5["protein"][:].tolist().index(protein.encode())])
        h5["sequence"][row] = ord("J")
        h5.attrs["torch"] = "0.1"
    one = only_difference(compared(whole, copy), "embeddings", "vectors", "vectors")
    assert (one["record"], one["where"], one["b"][0]) == (protein, "letters", "J")
    with h5py.File(part, "r+") as h5:
        h5["sequence"][row] = ord(one["a"][0])
        h5.attrs["layer"] = "second"
    one = only_difference(compared(whole, copy), "embeddings", "vectors", "vectors")
    assert (one["where"], one["b"]) == ("layer", "second")


def test_columns_of_the_index_and_its_order(whole, copy):
    path = copy / "embeddings/index.parquet"
    rows = pq.read_table(path)
    path.unlink()
    pq.write_table(rows.take(list(range(len(rows)))[::-1]), path)
    assert compared(whole, copy)["verdict"] == "same"
    changed_rows = rows.to_pylist()
    changed_rows[2]["length"] += 1
    pq.write_table(pa.Table.from_pylist(changed_rows, rows.schema), path)
    one = only_difference(compared(whole, copy), "embeddings", "vectors", "index")
    assert (one["record"], one["where"]) == (changed_rows[2]["protein"], "length")


def test_values_of_vectors_that_are_no_numbers_are_counted(whole, copy):
    protein, uri = min(read_index(copy / "embeddings/index.parquet").items())
    with h5py.File(own(Path(uri.split("#")[0])), "r+") as h5:
        row = int(h5["offset"][h5["protein"][:].tolist().index(protein.encode())])
        h5["residue"][row, 4:6] = np.nan
    one = only_difference(compared(whole, copy), "embeddings", "vectors", "vectors")
    assert (one["where"], one["b"][:3], one["rounding"]) == ("residue 1, component 5", "nan", False)
    assert amounts(one)["values of which one is no number"] == 2
    assert amounts(one)["least cosine of a residue"] == pytest.approx(1)


def test_the_gromacs_that_files_tell_of_is_a_version(whole, copy):
    path = copy / f"structures/{MOLECULE}/setup.json"
    content = json.loads(path.read_text())
    own(path).write_text(json.dumps(content | {"gmx_version": "1", "commands": ["gmx"]}))
    found = compared(whole, copy)
    names = [f"GROMACS of structures/{MOLECULE}", f"commands of structures/{MOLECULE}"]
    assert (found["verdict"], [one["name"] for one in found["versions"]]) == ("same", names)


def test_a_row_of_the_links(whole, copy):
    def change(line):
        return line.replace("\tidentical\t", "\tsubstituted\t")

    old = edit_line(copy / f"links/{MOLECULE}.tsv", "3\t", change).split("\t")
    one = only_difference(compared(whole, copy), "links", MOLECULE, "residues")
    assert f"number {old[2]}" in one["record"] and f"chain {old[1]}" in one["record"]
    assert (one["where"], one["a"], one["b"]) == ("status", "identical", "substituted")


def test_a_number_of_the_coanalysis(whole, copy):
    with h5py.File(own(copy / f"coanalysis/{MOLECULE}.h5"), "r+") as h5:
        old = h5["pair/embedding_cosine"][3, 9]
        h5["pair/embedding_cosine"][3, 9] = old + 0.125
        chain, numbers = h5["residue/chain"].asstr()[0], h5["residue/number"][:]
    found = compared(whole, copy)
    one = only_difference(found, "coanalysis", MOLECULE, f"{MOLECULE}.h5")
    assert one["record"] == "pair/embedding_cosine"
    assert one["where"] == f"pair {chain} {numbers[3]} and {chain} {numbers[9]}"
    values = amounts(one)
    assert values[f"{one['record']}: largest difference"] == pytest.approx(0.125)
    assert values[f"{one['record']}: largest relative difference"] == pytest.approx(
        0.125 / max(abs(old), abs(old + 0.125)), rel=1e-5
    )


def test_a_frame_of_the_coanalysis(whole, copy):
    with h5py.File(own(copy / f"coanalysis/{MOLECULE}.h5"), "r+") as h5:
        h5["frame/rg_nm"][5] += 0.01
        time = h5["frame/time_ps"][5]
    one = compared(whole, copy)["first"]
    assert (one["record"], one["where"]) == ("frame/rg_nm", f"frame 6 (replica 1, {time:g} ps)")
    assert {"name": "frame/rg_nm: largest difference", "value": 0.01, "unit": "nm"} in one["numbers"]


@pytest.fixture
def measured(tmp_path) -> tuple[Path, Path]:
    """Two files of measures, of 5 residues in 3 frames, as rule measure_replica lays them out."""
    folders = tmp_path / "one", tmp_path / "other"
    pairs = [[(0, 3), (1, 4)], [(0, 4)], [(0, 3), (0, 4), (1, 4)]]
    for folder in folders:
        path = folder / f"results/coanalysis/{MOLECULE}/1.h5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as h5:
            h5.attrs["cutoff_nm"] = 0.8
            h5["frame/time_ps"], h5["frame/contacts"] = np.arange(3) * 0.5, np.array([2, 1, 3])
            h5["frame/alphas"] = np.arange(45, dtype=np.float32).reshape(3, 5, 3)
            h5["contact/alphas"] = np.array([i * 5 + j for frame in pairs for i, j in frame], np.uint32)
            h5["residue/chain"], h5["residue/number"] = ["A"] * 3 + ["B"] * 2, [10, 11, 12, 1, 2]
            h5["residue/insertion"] = [""] * 5
            h5["residue/rmsf_nm"] = np.linspace(0.1, 0.5, 5)
    return folders


def changed(folder: Path, name: str, place, value) -> Path:
    path = folder / f"results/coanalysis/{MOLECULE}/1.h5"
    with h5py.File(path, "r+") as h5:
        h5[name][place] = value
    return folder


@pytest.mark.parametrize(
    ("name", "place", "value", "where"),
    [("frame/alphas", (1, 2, 0), 99, "frame 2 (0.5 ps), place 3, 1"),
     ("contact/alphas", 4, 1 * 5 + 3, "frame 3 (1 ps), pair A 10 and B 2"),
     ("residue/rmsf_nm", 3, 0.9, "residue B 1"), ("residue/chain", 2, "C", "residue A 12")],
)  # fmt: skip
def test_a_value_of_the_measures(measured, name, place, value, where):
    changed(measured[1], name, place, value)
    found = compare_runs(*measured, SCHEMA)
    one = only_difference(found, "coanalysis", f"{MOLECULE}/1", "1.h5")
    assert (one["record"], one["where"]) == (name, where)


def test_a_longer_list_of_pairs_and_what_is_no_number(measured):
    with h5py.File(measured[1] / f"results/coanalysis/{MOLECULE}/1.h5", "r+") as h5:
        del h5["contact/alphas"]
        h5["contact/alphas"] = np.array([3, 4, 9, 4, 3, 4, 9], np.uint32)
        h5["frame/contacts"][0] = 3
        h5["residue/rmsf_nm"][0] = np.nan
    found = compare_runs(*measured, SCHEMA)["first"]
    assert (found["record"], found["where"]) == ("frame/contacts", "frame 1 (0 ps)")
    assert (found["a"], found["b"], found["differing"]) == ("2", "3", 3)
    values = amounts(found)
    assert values["contact/alphas: difference of length"] == 1
    assert values["residue/rmsf_nm: values of which one is no number"] == 1


def test_rounding_is_told_from_more(measured):
    changed(measured[1], "residue/rmsf_nm", 2, 0.3 + 4e-13)
    assert compare_runs(*measured, SCHEMA)["first"]["rounding"]
    changed(measured[1], "residue/rmsf_nm", 2, 0.3 + 4e-12)
    assert not compare_runs(*measured, SCHEMA)["first"]["rounding"]


def test_the_counts_of_records(whole, copy):
    path = copy / "provenance/accounting.tsv"
    lines = (
        own(path)
        .read_text()
        .replace(f"links\t{MOLECULE} residues\t70\t70\t0", f"links\t{MOLECULE} residues\t70\t69\t1")
    )
    path.write_text(lines)
    one = only_difference(compared(whole, copy), "links", "records in, out and set aside", "counts")
    assert one["record"] == f"item {MOLECULE} residues"
    assert amounts(one) == {"largest difference of records_out": 1, "largest difference of set_aside": 1}


# What follows from what


def test_another_seed_is_named_and_trajectories_follow(whole, copy):
    record = copy / "provenance/run.json"
    content = json.loads(record.read_text())
    content["config"]["trajectories"]["seed"] = content["seeds"]["trajectories/seed"] = 7
    content["config"]["coanalysis"]["ranks"] = 5
    own(record).write_text(json.dumps(content))
    path = copy / f"trajectories/{MOLECULE}/1/protein.xtc"
    frames = frames_of(path)
    frames[1][0][:] += 0.1 * np.random.default_rng(0).normal(size=frames[1][0].shape).astype(np.float32)
    write_frames(path, frames)
    with h5py.File(own(copy / f"coanalysis/{MOLECULE}.h5"), "r+") as h5:
        h5["frame/rg_nm"][1] += 0.01
    with h5py.File(own(copy / "buckets/ppcp1.h5"), "r+") as h5:
        h5["spectrum/count"][0] += 1
    found = compared(whole, copy)
    assert found["first"]["record"] == "trajectories/seed"
    assert (found["first"]["stage"], found["first"]["a"], found["first"]["b"]) == ("settings", "1", "7")
    causes = {
        one["stage"]: (one["cause"], one["upstream"], one["settings"]) for one in found["differences"][1:]
    }
    assert causes["buckets"] == ("own", [], [])
    assert causes["trajectories"] == ("settings", [], ["key trajectories/seed"])
    assert causes["coanalysis"] == ("follows", [f"trajectories, {MOLECULE}/1"], [])
    assert found["settings"] == [{"key": "trajectories/seed", "a": 1, "b": 7}]
    assert found["idle_settings"] == [{"key": "coanalysis/ranks", "a": 2, "b": 5}]


@pytest.mark.parametrize("linked", [True, False])
def test_a_structure_rests_on_the_vectors_of_its_own_proteins(whole, copy, linked):
    links = (copy / f"links/{MOLECULE}.tsv").read_text().splitlines()
    own_protein = links[1].split("\t")[links[0].split("\t").index("protein")]
    uris = read_index(copy / "embeddings/index.parquet")
    protein = own_protein if linked else min(set(uris) - {own_protein})
    with h5py.File(own(Path(uris[protein].split("#")[0])), "r+") as h5:
        place = h5["protein"][:].tolist().index(protein.encode())
        h5["mean"][place] += 1
    with h5py.File(own(copy / f"coanalysis/{MOLECULE}.h5"), "r+") as h5:
        h5["frame/coherence"][0] += 0.5
    first, second = compared(whole, copy)["differences"]
    assert (first["record"], first["where"]) == (protein, "mean vector, component 1")
    assert second["cause"] == ("follows" if linked else "own")
    assert second["upstream"] == (["embeddings, vectors"] if linked else [])


def test_another_version_is_told_of_what_may_come_from_it(whole, copy):
    record = copy / "provenance/run.json"
    content = json.loads(record.read_text())
    content["gmx"]["versions"] = ["2025.1"]
    own(record).write_text(json.dumps(content))
    assert compared(whole, copy)["verdict"] == "same"
    edit_line(
        copy / f"structures/{MOLECULE}/solvated.gro",
        "  151MET      N",
        lambda line: line[:20] + "   1.111" + line[28:],
    )
    one = only_difference(compared(whole, copy), "structures", MOLECULE, "solvated.gro")
    assert one["versions"] == ["GROMACS"]


def test_a_row_that_only_one_run_has_is_all_that_is_a_cause(whole, copy):
    """As a run without the row: its files, what is made of them, and what is made of all."""
    for path in [*copy.rglob("ppcp1*")]:
        path.unlink()
    record = copy / "provenance/run.json"
    content = json.loads(record.read_text())
    content["samples"] = [row for row in content["samples"] if row["sample"] != "ppcp1"]
    own(record).write_text(json.dumps(content))
    fasta = copy / "proteins/distinct.fasta.gz"
    records = list(read_fasta(fasta))
    fasta.unlink()
    write_fasta(fasta, records[3:])
    found = compared(whole, copy)
    assert (found["first"]["stage"], found["first"]["record"]) == ("settings", "ppcp1")
    causes = {(one["stage"], one["item"]): one["cause"] for one in found["differences"][1:]}
    assert causes == {
        ("sequences", "ppcp1"): "settings",
        ("buckets", "ppcp1"): "follows",
        ("proteins", "ppcp1"): "follows",
        ("proteins", "distinct proteins"): "follows",
    }


# What cannot be compared


def program(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts/compare_runs.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_exit_status_and_the_files(whole, copy, tmp_path):
    assert program(whole.parent, copy).returncode == 0
    (copy / f"links/{MOLECULE}.json").unlink()
    done = program(whole, copy, "--json", tmp_path / "c.json", "--text", tmp_path / "c.txt")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0].startswith(f"DIFFER: first in links, {MOLECULE}, files, file partners")
    assert (tmp_path / "c.txt").read_text() == done.stdout
    assert json.loads((tmp_path / "c.json").read_text())["first"]["item"] == MOLECULE
    assert program(whole, copy, "--exit-zero").returncode == 0


def test_what_cannot_be_written_ends_with_2(whole, tmp_path):
    for option in ("--json", "--text"):
        done = program(whole, whole, option, "/proc/none.json")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "none.json" in done.stderr
    words = [sys.executable, str(ROOT / "scripts/compare_runs.py"), str(whole), str(whole)]
    for end, status, lines in ((">/dev/full", 2, 1), (">&-", 2, 1), ("| true; exit ${PIPESTATUS[0]}", 0, 0)):
        done = subprocess.run(
            ["bash", "-c", f'"$@" {end}', "bash", *words], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (status, lines), done.stderr


def test_what_nobody_thought_of_does_not_say_that_runs_differ(monkeypatch, capsys):
    monkeypatch.setattr("helixflow.compare.program.compare_runs", lambda *_: 1 // 0)
    assert compare_program("a", "b") == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["nowhere", "."])
def test_a_folder_without_results_is_named(whole, tmp_path, other):
    done = program(whole, tmp_path / other)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and str(tmp_path / other) in done.stderr
    assert "no results of a run" in done.stderr


@pytest.mark.parametrize(
    "name",
    ["provenance/run.json", "sequences/hiv1.fasta.gz", "buckets/hiv1.h5", "proteins/occurrences.parquet",
     "embeddings/index.parquet", f"trajectories/{MOLECULE}/1/protein.xtc",
     f"trajectories/{MOLECULE}/1/energy.tsv", f"coanalysis/{MOLECULE}.h5",
     f"structures/{MOLECULE}/clean.pdb"],
)  # fmt: skip
def test_a_file_that_is_cut_short_is_named(whole, copy, name):
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    cut = len(content) * 2 // 3 + 1
    # A number of a table may be whole without its last digits; a row is not without its last columns.
    path.write_bytes(content[: content.rindex(b"\t", 0, cut) if name.endswith(".tsv") else cut])
    if name.endswith(".pdb"):
        path.write_bytes(content.replace(b"ATOM     20", b"ATOM   nope", 1).replace(b" 151 ", b" 1x1 ", 1))
    with pytest.raises(SourceError) as error:
        compare_runs(whole, copy, SCHEMA)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "change"),
    [("sequences/hiv1.json", lambda raw: b"[" + raw),
     ("sequences/hiv1.fasta.gz", lambda raw: raw[:3000] + bytes(255 - byte for byte in raw[3000:])),
     (f"structures/{MOLECULE}/solvated.gro", lambda raw: raw[: raw.rstrip().rindex(b"\n") + 1]),
     (f"links/{MOLECULE}.tsv", lambda raw: raw.replace(b"identical", b"\xff", 1))],
)  # fmt: skip
def test_a_file_that_is_damaged_is_named(whole, copy, name, change):
    path = own(copy / name)
    path.write_bytes(change(path.read_bytes()))
    done = program(whole, copy)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(path) in done.stderr and "cannot be read" in done.stderr


def test_a_run_that_is_not_finished_is_compared_as_far_as_it_goes(whole, copy):
    shutil.rmtree(copy / "provenance")
    shutil.rmtree(copy / "coanalysis")
    shutil.rmtree(copy / f"trajectories/{MOLECULE}/2")
    found = compared(whole, copy)
    assert (found["verdict"], found["differences"]) == ("unknown", [])
    assert (found["a"]["finished"], found["b"]["finished"]) == (True, False)
    assert "coanalysis" not in found["b"]["stages"] and "trajectories" in found["b"]["stages"]
    assert any(one["item"] == f"{MOLECULE}/2" for one in found["not_compared"])
    assert program(whole, copy).returncode == 2
    edit_line(copy / f"links/{MOLECULE}.tsv", "3\t", lambda line: line.replace("identical", "built"))
    assert compared(whole, copy)["first"]["stage"] == "links"


def test_the_page_shows_it(whole, copy, tmp_path):
    edit_line(copy / f"links/{MOLECULE}.tsv", "3\t", lambda line: line.replace("identical", "<b>built</b>"))
    content = compared(whole, copy)
    write_json(tmp_path / "c.json", content)
    section = comparison_section(tmp_path / "c.json")
    assert section.blocks[0].startswith("DIFFER: first in links")
    tables = {block.caption: block for block in section.blocks if isinstance(block, Table)}
    stages = {row[0].text: row[1].mark for row in tables["Stage by stage"].rows}
    assert stages == {one["stage"]: "good" for one in content["stages"]} | {"links": "bad"}
    assert [cell.text for cell in tables["Causes"].rows[0]][2:4] == ["identical", "<b>built</b>"]


def test_the_page_lists_what_was_not_compared(whole, copy, tmp_path):
    shutil.rmtree(copy / "provenance")
    (copy / f"links/{MOLECULE}.json").unlink()
    write_json(tmp_path / "c.json", compared(whole, copy))
    tables = {b.caption: b for b in comparison_section(tmp_path / "c.json").blocks if isinstance(b, Table)}
    rows = [[cell.text for cell in row] for row in tables["Not compared, since a run is not finished"].rows]
    assert ["links", MOLECULE, "partners", "A"] in rows


def test_more_of_an_unfinished_run_is_seen(tmp_path):
    (tmp_path / "results/links").mkdir(parents=True)
    states = [unfinished_state(str(tmp_path))]
    (tmp_path / "results/links/a.tsv").write_text("a")
    states.append(unfinished_state(str(tmp_path)))
    assert states[1] == unfinished_state(str(tmp_path)) != states[0]
    (tmp_path / "results/links/a.tsv").write_text("ab")
    assert unfinished_state(str(tmp_path)) not in states
    (tmp_path / "results/provenance").mkdir()
    (tmp_path / "results/provenance/run.json").write_text("{}")
    assert unfinished_state(str(tmp_path)) == ""


@pytest.mark.parametrize(("other", "told"), [("", "is empty"), ("nowhere", "there is no such folder")])
def test_a_run_to_compare_with_must_be_named_and_there(other, told):
    with pytest.raises(ConfigError, match=rf"'report/compare_with' is .*{told.removeprefix('is ')}"):
        run_to_compare(other)


def test_the_target_compare_writes_it_and_needs_a_run_to_compare_with(chain, copy, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(chain / "results", folder / "results", copy_function=os.link)
    for name in ("config.yaml", "samples.tsv"):
        shutil.copy(chain / name, folder)
    done = subprocess.run(command(folder, "compare"), capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ConfigError")]
    assert done.returncode != 0
    assert len(lines) == 1 and "'report/compare_with' is empty" in lines[0]
    own(copy / f"links/{MOLECULE}.json").write_text("{}")
    snakemake(folder, "--config", f"report={{compare_with: '{copy}'}}", "--", "compare")
    found = json.loads((folder / "results/report/compare.json").read_text())
    assert (found["verdict"], found["first"]["item"], found["a"]["folder"]) == ("differ", MOLECULE, ".")
    assert (folder / "results/report/compare.txt").read_text() == comparison_text(found)
    # More of a run that is not finished is compared again.
    shutil.rmtree(copy / "provenance")
    for content, told in (
        ("{}", "differ"),
        ((folder / f"results/links/{MOLECULE}.json").read_text(), "unknown"),
    ):
        (copy / f"links/{MOLECULE}.json").write_text(content)
        snakemake(folder, "--config", f"report={{compare_with: '{copy}'}}", "--", "compare")
        assert json.loads((folder / "results/report/compare.json").read_text())["verdict"] == told


# The parts it is made of


def test_merging_pairs_all_keys_whatever_the_order_they_came_in():
    random = np.random.default_rng(1)
    sides = [{f"k{n}": bytes([n % 7]) for n in random.permutation(300)[:200]} for _ in range(2)]
    streams = [sort_records(Record((k,), v, "") for k, v in side.items()) for side in sides]
    pairs = list(merge(*streams))
    for left, right in pairs:
        assert left is None or right is None or left.key == right.key
    assert {left.key[0] for left, _ in pairs if left} == set(sides[0])
    assert {right.key[0] for _, right in pairs if right} == set(sides[1])
    assert sum(bool(left and right) for left, right in pairs) == len(set(sides[0]) & set(sides[1]))


def test_superposition_is_that_of_mdanalysis_and_the_same_both_ways():
    random = np.random.default_rng(2)
    for size in (3, 10, 300):
        a, b = random.normal(size=(2, size, 3))
        # A mirror image cannot be turned into what it is the image of.
        for other in (b, a * [1, 1, -1]):
            expected = rmsd(a, other, center=True, superposition=True)
            assert superposed_rmsd(a, other) == pytest.approx(expected, rel=1e-6, abs=1e-6)
            assert superposed_rmsd(other, a) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    turned = a @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]) + 5
    assert superposed_rmsd(a, turned) < 1e-6


def test_letters_that_are_too_many_to_be_held_are_compared_in_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr("helixflow.compare.letters._HELD", 40_000)
    monkeypatch.setattr("helixflow.compare.letters._PIECE", 4096)
    letters = np.random.default_rng(3).choice(list("ACGT"), 50_000)
    paths = [tmp_path / "a.fasta", tmp_path / "b.fasta"]
    other = letters.copy()
    places = [43_210, 49_999]
    other[places] = ["N", "N"]
    for path, content in zip(paths, (letters, other), strict=True):
        text = "".join(content)
        lines = "\n".join(text[at : at + 80] for at in range(0, len(text), 80))
        path.write_text(f">x\nACGT\n>big one\n{lines}\n>z\nGG\n")
    found = contrast(fasta_reader("contig"), *paths)
    assert (found.record, found.where, found.b[0]) == ("big", "position 43211", "N")
    assert (found.compared, found.differing) == (3, 1)
    assert found.numbers == [{"name": "positions that differ", "value": 2.0, "unit": ""}]


def test_bytes_of_any_file(tmp_path, monkeypatch):
    """As of trajectories that are brought along."""
    monkeypatch.setattr("helixflow.compare.letters._PIECE", 1000)
    paths = [tmp_path / "a.trajectory", tmp_path / "b.trajectory"]
    content = np.random.default_rng(4).integers(0, 256, 2500, np.uint8).tobytes()
    for path, byte in zip(paths, (b"\0", b"\xff"), strict=True):
        path.write_bytes(content[:1234] + byte + content[1235:])
    found = contrast(bytes_reader(), *paths)
    assert (found.record, found.where, found.a, found.b) == ("2", "byte 235", "\\x00", "ÿ")
    assert (found.compared, found.differing) == (3, 1)


@pytest.mark.parametrize(
    ("a", "b", "where", "shown"),
    [("ACGT", "ACTT", "position 3", ("G", "T")), ("ACGT", "ACG", "position 4", ("T", "its end")),
     ("", "AC", "position 1", ("its end", "AC")), ("AACC", "ACCC", "position 2", ("A", "C"))],
)  # fmt: skip
def test_the_first_position(a, b, where, shown):
    found = measure_letters(a, b)
    assert (found.where, tuple(found.shown)) == (where, shown)

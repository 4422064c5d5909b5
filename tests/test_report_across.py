"""The section over all structures shows what the table and the learning across structures hold."""

from xml.etree import ElementTree

from helixflow.files import write_json
from helixflow.report.across import across_sections
from helixflow.report.blocks import Figure, Section, Table
from helixflow.report.page import render

COLUMNS = [
    "structure",
    "temperature_K",
    "replicas",
    "frames",
    "residues",
    "linked",
    "group",
    "rmsd_nm",
    "rmsd_nm_error",
    "rmsd_nm_replica_error",
    "rg_nm",
    "rg_nm_error",
    "rg_nm_replica_error",
    "contacts",
    "contacts_error",
    "contacts_replica_error",
    "coherence",
    "coherence_error",
    "coherence_replica_error",
    "spearman",
    "effect",
    "p",
    "shift_effect",
    "shift_p",
    "precision_L",
    "rmsf_r2",
]
VALUES = [
    "x",
    "",
    "2",
    "500",
    "70",
    "68",
    "1",
    "0.2",
    "0.013",
    "0.02",
    "1.4",
    "",
    "",
    "30",
    "2",
    "4.1",
    "0.4",
    "0.01",
    "",
    "0.3",
    "2.5",
    "0.002",
    "1.5",
    "0.3",
    "",
    "-0.12",
]
ROW = dict(zip(COLUMNS, VALUES, strict=True))


def r2(*values):
    return dict(zip(("embedding", "amino acid", "neighbours"), values, strict=True))


LEARNT = {
    "predictors": list(r2(1, 2, 3)),
    "structures": 2,
    "residues": 138,
    "note": "two groups alone",
    "r2": r2(0.123456, -0.5, None),
    "groups": [
        {"group": 1, "structures": ["x"], "residues": 68, "r2": r2(0.2, -3.0, 0.1)},
        {"group": 2, "structures": ["<b>"], "residues": 70, "r2": r2(None, 0.0, 0.1)},
    ],
}


def written(folder, *rows, learnt=LEARNT):
    lines = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
    (folder / "structures.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    write_json(folder / "across.json", learnt)
    return str(folder / "structures.tsv"), str(folder / "across.json")


def texts(block):
    return [[cell.text for cell in row] for row in block.rows]


def test_numbers_are_those_of_the_files(tmp_path):
    rows = ROW, ROW | {"structure": "<b>", "temperature_K": "320.5", "group": "2"}
    (section,) = across_sections(*written(tmp_path, *rows), {"y": 310})
    counts, means, tests, learnt = [block for block in section.blocks if isinstance(block, Table)]
    assert "|".join(texts(counts)[0]) == "x|1|–|2|500|70|68"
    assert texts(counts)[1][:3] == ["<b>", "2", "320.5"]
    assert "|".join(texts(means)[0]) == "x|–|0.2 ± 0.013 / 0.02|1.4|30 ± 2 / 4.1 !|0.4 ± 0.01"
    assert "|".join(texts(tests)[0]) == "x|–|0.3|2.5|0.002|1.5|0.3|not available|−0.12"
    assert texts(learnt) == [
        ["all", "2", "138", "0.123", "−0.5", "not available"],
        ["1", "x", "68", "0.2", "−3", "0.1"],
        ["2", "<b>", "70", "not available", "0", "0.1"],
    ]
    assert section.blocks[0].startswith("2 structures in 2 groups")
    assert "Note: two groups alone." in section.blocks
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    assert list(figure.drawing.data["R² of RMSF by amino acid"]) == [-3, 0]
    ElementTree.fromstring(figure.drawing.svg)
    html = render("t", "s", [], [Section("a", "A", parts=[section])])
    assert "<b>" not in html and "&lt;b&gt;" in html


def test_the_temperature_of_what_was_simulated_at_one_alone_is_told(tmp_path):
    paths = written(tmp_path, ROW, ROW | {"structure": "y", "temperature_K": "320"})
    (section,) = across_sections(*paths, {"x": 300})
    means = next(block for block in section.blocks if isinstance(block, Table))
    assert [row[2] for row in texts(means)] == ["300", "320"]


def test_why_nothing_was_learnt_is_told(tmp_path):
    alone = LEARNT | {"r2": None, "note": "all structures (x, y) are one group of relatives"}
    (section,) = across_sections(*written(tmp_path, ROW, ROW | {"structure": "y"}, learnt=alone))
    assert section.blocks[-1].endswith("across structures: all structures (x, y) are one group of relatives.")


def test_one_structure_is_not_shown_beside_itself(tmp_path):
    assert across_sections(*written(tmp_path, ROW, ROW | {"temperature_K": "310"})) == []
    assert across_sections(*written(tmp_path)) == []
    assert across_sections([], []) == []

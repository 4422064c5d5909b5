"""What the page says of the run as a whole: its rules against Snakemake, its sums against the benchmarks."""

import json
import random
import shutil
from itertools import combinations

import networkx as nx
import pytest

from helixflow.report.blocks import Figure, Table
from helixflow.report.flow import arrange, in_flow_order, layers_of, read_flow, reduce_edges
from helixflow.report.jobs import TOO_SHORT, flow_figure, jobs_table, read_jobs, sum_up, work_blocks
from helixflow.report.overview import stages_table
from rule_graph import RULES, all_edges, with_benchmarks
from workflow import snakemake

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
#: Lines that Snakemake wrote.
EMBEDDED = "6.47\t0:00:06\t651.98\t2487.50\t618.34\t629.27\t150.95\t28.43\t85.34\t5.97\n"
ALSO_EMBEDDED = "7.53\t0:00:07\t642.41\t2477.71\t592.68\t614.22\t192.53\t28.73\t84.69\t6.86\n"
SHORT = "0.22\t0:00:00\t5.64\t10.77\t1.46\t2.97\t0.00\t0.00\t0.00\t0.00\n"
UNKNOWN = "0.1\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\t-\tNA\n"


@pytest.fixture
def benchmarks(tmp_path):
    """Benchmarks of a few jobs, in files as Snakemake names them."""
    files = {
        "embed_shard/000.tsv": EMBEDDED,
        "embed_shard/001.tsv": ALSO_EMBEDDED,
        "fetch_sequence/x.tsv": SHORT,
        "fetch_sequence/y.tsv": UNKNOWN,
        "simulate_segment/x/300K/1-2/0.5.tsv": EMBEDDED,
        "simulate_segment/x/300K/1-2/1.tsv": SHORT,
        "plan_shards.tsv": EMBEDDED,
        "write_report.tsv": EMBEDDED,
        "<script>alert(1)<-script>/x.tsv": EMBEDDED,
        "index_embeddings.tsv": "",
    }
    for name, line in files.items():
        path = tmp_path / "benchmarks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + line)
    return tmp_path / "benchmarks"


# The rules


@pytest.mark.skipif(not shutil.which("mmseqs"), reason="without MMseqs2, clusters cannot be asked for")
def test_the_rules_are_those_that_snakemake_draws():
    """When this fails, run ``make rules``."""
    assert set(read_flow()) == all_edges()
    # A comparison takes another run, which is not there to draw it with.
    assert with_benchmarks() - {name for edge in read_flow() for name in edge} <= {"compare_runs"}
    assert RULES.read_text().splitlines()[1:] == sorted(RULES.read_text().splitlines()[1:])


def some_graph(seed: int) -> list[tuple[str, str]]:
    """A random graph without circles."""
    chance = random.Random(seed)
    names = [f"rule_{number}" for number in range(chance.randint(2, 20))]
    chance.shuffle(names)
    return [pair for pair in combinations(names, 2) if chance.random() < 0.3] or [(names[0], names[1])]


@pytest.mark.parametrize("seed", range(20))
def test_arrows_that_others_imply_are_left_out(seed):
    edges = some_graph(seed)
    assert reduce_edges(edges) == set(nx.transitive_reduction(nx.DiGraph(edges)).edges)


@pytest.mark.parametrize("seed", range(20))
def test_arrows_lead_down_and_past_other_rules(seed):
    edges = reduce_edges(some_graph(seed))
    names = in_flow_order(edges)
    layers = layers_of(names, edges)
    assert min(layers.values()) == 0
    assert all(layers[a] < layers[b] for a, b in edges)
    assert all(names.index(a) < names.index(b) for a, b in edges)
    places, lines = arrange(names, edges)
    assert {(line[0], line[-1]) for line in lines} == edges
    for line in lines:
        assert [places[name][1] for name in line] == list(range(layers[line[0]], layers[line[-1]] + 1))
    for (a, (x, row)), (b, (x_of_b, row_of_b)) in combinations(places.items(), 2):
        if row == row_of_b:
            assert abs(x - x_of_b) >= (0.5 * (a in names) + 0.5 * (b in names)), "nothing runs into a rule"


# What they took


def test_jobs_are_summed_up_by_rule(benchmarks):
    works = {work.rule: work for work in sum_up(read_jobs(benchmarks)[0])}
    embedded = works["embed_shard"]
    assert (embedded.jobs, embedded.measured) == (2, 2)
    assert (embedded.seconds, embedded.longest_s) == pytest.approx((14.0, 7.53))
    assert (embedded.cpu_s, embedded.load) == pytest.approx((12.83, 12.83 / 14.0))
    assert embedded.memory_MB == 651.98
    assert (works["simulate_segment"].jobs, works["simulate_segment"].measured) == (2, 1)
    assert works["simulate_segment"].cpu_s == 5.97
    assert "write_report" not in works and "index_embeddings" not in works
    assert list(works)[:4] == ["fetch_sequence", "plan_shards", "simulate_segment", "embed_shard"]


def test_what_was_too_short_to_measure_is_not_shown_as_nothing(benchmarks):
    shown = {
        row[0].text: [cell.text for cell in row] for row in jobs_table(sum_up(read_jobs(benchmarks)[0])).rows
    }
    assert shown["fetch_sequence"] == [
        "fetch_sequence", "2", "0.32", "0.22", "72.7 %", TOO_SHORT, "–", TOO_SHORT,
    ]  # fmt: skip
    assert shown["embed_shard"] == [
        "embed_shard", "2", "14", "7.53", "93 %", "12.83", "91.6 %", "652",
    ]  # fmt: skip
    assert shown["simulate_segment"][5] == "5.97 (1 of 2 jobs)"


def test_a_benchmark_that_cannot_be_read_is_left_out_and_named(benchmarks):
    (benchmarks / "embed_shard/binary.tsv").write_bytes(b"\xff\xfe\x00")
    (benchmarks / "embed_shard/empty.tsv").write_text("")
    (benchmarks / "embed_shard/page.tsv").write_text("<html>\n<p>\n")
    (benchmarks / "fetch_sequence/endless.tsv").write_text("s\tmax_rss\tcpu_time\ninf\t1e300\t-5\n")
    told, figure, shown = work_blocks(benchmarks)
    assert told == (
        "Left out, since it cannot be read: 2 benchmarks (embed_shard/binary.tsv, embed_shard/page.tsv)."
    )
    rows = {row[0].text: [cell.text for cell in row] for row in shown.rows}
    assert rows["fetch_sequence"][1:4] == ["3", "0.32", "0.22"]
    assert "inf" not in figure.drawing.svg.replace("info", "")


def test_rules_that_ran_are_drawn(benchmarks):
    figure = flow_figure(sum_up(read_jobs(benchmarks)[0]))
    data = {name: list(column) for name, column in figure.drawing.data.items()}
    assert data["rule"][-1] == "<script>alert(1)<-script>"
    rows = {rule: at for at, rule in enumerate(data["rule"])}
    assert data["reads from"][rows["embed_shard"]] == "plan_shards"
    assert data["jobs"][rows["embed_shard"]] == 2
    assert "<script>" not in figure.drawing.svg and "&lt;script&gt;" in figure.drawing.svg
    assert "2 jobs, 12.8 s CPU, 652 MB" in figure.drawing.svg


@pytest.mark.parametrize("made", [False, True])
def test_without_benchmarks_the_page_says_so(tmp_path, made):
    if made:
        (tmp_path / "benchmarks").mkdir()
    (said,) = work_blocks(tmp_path / "benchmarks")
    assert "not known: there is no benchmark" in said


def test_the_flow_comes_with_its_table(benchmarks):
    assert [type(block) for block in work_blocks(benchmarks)] == [Figure, Table]


def test_what_is_counted_twice_is_not_added_up():
    rows = [
        {"stage": "structures", "item": f"{name} {what}", "set_aside": "88", "reason": "water"}
        for name in ("atoms", "x/300K")
        for what in ("atoms", "residues, with 3 copied by the assembly")
    ]
    shown = [[cell.text for cell in row] for row in stages_table(rows).rows]
    assert shown == [["structures", what, "2", "2", "176 water"] for what in ("atoms", "residues")]


# Snakemake's own report


def test_snakemakes_own_report_has_the_results_with_captions_and_categories(chain, tmp_path):
    snakemake(chain, "--report", str(tmp_path / "report.html"))
    html = (tmp_path / "report.html").read_text()
    results = json.JSONDecoder().raw_decode(html, html.index('{"results/'))[0]
    figures = {path for path in results if path.startswith("results/report/figures/")}
    assert figures == {
        str(path.relative_to(chain)) for path in (chain / "results/report/figures").rglob("*.svg")
    }
    others = {"report/index.html", "provenance/run.json", "provenance/accounting.tsv"}
    others |= {f"trajectories/capsid_ctd/{replica}/quality.json" for replica in (1, 2)}
    others |= {"coanalysis/structures.tsv"}
    assert set(results) - figures == {f"results/{path}" for path in others}
    assert all(len(held["caption"]) > 60 and held["labels"] for held in results.values())
    assert "undefined" not in "".join(held["caption"].lower() for held in results.values())
    for path in figures:
        folder, name = path.split("/")[-2:]
        assert results[path]["labels"] == {"section": folder, "figure": name.removesuffix(".svg")}
        assert folder in results[path]["caption"]
    for category in ("Run", "Figures", "Trajectories", "Co-analysis"):
        assert f'"{category}"' in html

"""The 3-D view within the page: what it draws, and that a browser shows it and asks nobody for anything."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from Bio.PDB import PDBParser

from conftest import DEMO, ROOT
from helixflow.report import view as view_module
from helixflow.report.blocks import Section
from helixflow.report.page import render
from helixflow.report.view import LICENCE, PROGRAM, Backbone, by_kind, by_value, scale_colours, view_of

HOSTILE = "</script><script>alert(1)</script>"
CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

needs_program = pytest.mark.skipif(
    not PROGRAM.is_file(), reason="no 3Dmol.js (envs/viewer.sh fetches it with npm and network)"
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")


@pytest.fixture(scope="module")
def topology(tmp_path_factory):
    path = tmp_path_factory.mktemp("topology") / "protein.pdb"
    atoms = [line for line in (DEMO / "1A8O.pdb").read_text().splitlines()
             if line.startswith(("ATOM", "HETATM")) and line[17:20] != "HOH"]  # fmt: skip
    path.write_text("\n".join([*atoms, "ENDMDL", *atoms, ""]))
    return path


@pytest.fixture(scope="module")
def view(topology):
    backbone = Backbone(topology)
    values = np.linspace(0.05, 0.4, 70)
    values[3] = np.nan
    labels = [HOSTILE, *(f"X{at}" for at in range(1, 70))]
    colourings = [
        by_value("RMSF", "RMSF of C-alpha", "nm", values),
        by_kind("Chain", "chain", [HOSTILE] * 35 + ["B"] * 35),
    ]
    return view_of("Structure of " + HOSTILE, backbone, labels, colourings)


def page_of(*blocks):
    return render("t", "s", [], [Section("structures", "Structures", list(blocks))])


# What is drawn


def test_the_backbone_is_that_of_biopython(topology):
    chain = next(PDBParser(QUIET=True).get_structure("x", topology)[0].get_chains())
    backbone = Backbone(topology)
    assert len(backbone.residues) == 70
    expected = np.array([residue["CA"].coord for residue in chain], float)
    assert np.allclose(backbone.alphas(), expected, atol=1e-3)
    for residue, (atoms, xyz) in zip(chain, backbone.residues, strict=True):
        named = [residue[("N", "CA", "C", "O")[at]].coord for at in atoms]
        assert sorted(atoms) == [0, 1, 2, 3] and np.allclose(xyz, named, atol=1e-3)


def test_a_chain_is_broken_where_no_bond_is(topology, tmp_path):
    lines = topology.read_text().split("ENDMDL")[0].splitlines()
    numbers = sorted({line[22:26] for line in lines}, key=int)
    gap = tmp_path / "gap.pdb"
    gap.write_text("\n".join(line for line in lines if line[22:26] not in numbers[30:33]))
    assert set(Backbone(topology).strands()) == {0}
    assert Backbone(gap).strands().tolist() == [0] * 30 + [1] * 37


@needs_program
def test_coordinates_are_in_hundredths_of_an_angstrom_and_breaks_leave_a_number_out(view, topology):
    packed = view.data["residues"]
    alphas = np.array([residue[3 + 3 * residue[2].index(1) :][:3] for residue in packed]) / 100
    found, whole = np.diff(alphas, axis=0), np.diff(Backbone(topology).alphas(), axis=0)
    assert np.allclose(found, whole, atol=0.011)
    assert [residue[1] for residue in packed] == list(range(1, 71))


def test_colours_follow_values_and_say_their_range():
    told, drawn = by_value("b", "name", "nm", np.array([0.1, 0.3, np.nan, 0.2]))
    assert (told.label, told.low, told.high, told.unknown) == ("name (nm)", "0.1 nm", "0.3 nm", True)
    assert drawn["at"] == [0, 63, -1, 32] and drawn["values"] == [0.1, 0.3, None, 0.2]
    signed, drawn = by_value("b", "name", "", np.array([-1.0, 0.5]), "PuOr", middle=True)
    assert (signed.low, signed.high, drawn["at"]) == ("−1", "1", [0, 47])
    told, drawn = by_value("b", "name", "", np.full(3, np.nan))
    assert (told.low, drawn["at"]) == ("not available", [-1, -1, -1])
    json.dumps(drawn, allow_nan=False)


def test_lightness_alone_tells_the_values_of_a_scale():
    """So the scale is read in grey, and by the colour-blind."""
    rgb = np.array(
        [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in scale_colours("viridis")]
    )
    assert (np.diff(rgb @ [0.2126, 0.7152, 0.0722]) > 0).all()


# Within the page


@needs_program
def test_the_program_is_in_the_page_once_with_its_licence_and_only_where_there_is_a_view(view):
    html = page_of(view, view)
    # What only the code itself has.
    assert html.count("* 3dmol v2.5.5") <= 1 and html.count("University of Pittsburgh") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1]
    assert policy.startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-"
    )
    assert policy.count("sha256-") == 2 and "eval" not in policy
    plain = page_of("text")
    assert "<script" not in plain and "script-src" not in plain and "3Dmol" not in plain


@needs_program
def test_hostile_names_end_no_program(view):
    html = page_of(view)
    assert "alert(1)</script>" not in html
    data = re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1]
    assert json.loads(data)["labels"][0].startswith("</script>")


def test_without_the_program_the_page_says_how_to_get_it(monkeypatch, tmp_path, topology):
    monkeypatch.setattr(view_module, "PROGRAM", tmp_path / "3Dmol-min.js")
    said = view_of("x", Backbone(topology), ["r"] * 70, [])
    assert isinstance(said, str) and f"envs/viewer.sh {tmp_path}" in said
    assert "3Dmol-min.js, which draws it, was not there" in said and "--forcerun write_report" in said
    assert "<script" not in page_of(said)


@needs_program
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("3Dmol-min.js", b"console.log(1)", "another file than expected"),
     ("3Dmol-min.js", b"", "another file than expected"), ("3Dmol-min.js", b"\xff\xfe", "another file"),
     (LICENCE, None, f"the licence of 3Dmol-min.js, {LICENCE}, was not beside it"),
     (LICENCE, b" ", "was not beside it"), (LICENCE, b"\xff\xfe", "was not beside it")],
)  # fmt: skip
def test_another_program_than_expected_is_not_put_into_the_page(
    monkeypatch, capsys, tmp_path, topology, name, content, told
):
    folder = shutil.copytree(PROGRAM.parent, tmp_path / "share")
    monkeypatch.setattr(view_module, "PROGRAM", folder / PROGRAM.name)
    assert view_module.program_fault() == ""
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    said = view_of("x", Backbone(topology), ["r"] * 70, [])
    assert isinstance(said, str) and told in said
    assert told in capsys.readouterr().out


def test_giants_and_strangers_have_no_view(topology):
    backbone = Backbone(topology)
    assert "70 residues, the co-analysis 3" in view_of("x", backbone, ["r"] * 3, [])
    backbone.residues *= 80
    assert "more than 5000 residues" in view_of("x", backbone, ["r"] * 5600, [])


# envs/viewer.sh


@needs_program
def test_a_program_that_is_there_is_left_alone_and_another_replaced_or_told(tmp_path):
    bare = {"PATH": str(tmp_path / "bin")}
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "sha256sum", "mkdir", "env"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    script = str(ROOT / "envs/viewer.sh")

    def fetch(folder):
        done = subprocess.run(
            ["bash", script, str(folder)], env=bare, capture_output=True, text=True, check=True
        )
        return done.stdout

    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir(), wrong.mkdir()
    shutil.copy(PROGRAM, right)
    bare_of_licence = shutil.copytree(right, tmp_path / "bare")
    shutil.copy(PROGRAM.parent / LICENCE, right)
    (wrong / PROGRAM.name).write_bytes(PROGRAM.read_bytes() + b" ")
    assert fetch(right) == ""
    assert "needs npm" in fetch(bare_of_licence)
    assert "needs npm" in fetch(wrong) and "no 3-D views" in fetch(tmp_path / "none")


# In a browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        yield running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def opened(browser, path, width=1000, **options):
    """A page, what it asks for and what it complains of."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    return page, asked, said


def ink(page, tmp_path):
    """Shares of the stage's pixels that are not white, and their colours."""
    from PIL import Image

    page.locator(".stage").screenshot(path=tmp_path / "stage.png")
    pixels = np.asarray(Image.open(tmp_path / "stage.png").convert("RGB"), int)[20:-20, 20:-20]
    drawn = pixels[(pixels < 200).any(axis=-1)]
    return len(drawn) / (pixels.shape[0] * pixels.shape[1]), drawn


@needs_program
@needs_chromium
def test_the_view_is_drawn_when_it_is_near_and_asks_nobody(browser, view, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page_of("far above " * 1500, view, "far below " * 400), encoding="utf-8")
    page, asked, said = opened(browser, path)
    page.wait_for_timeout(300)
    assert page.locator("figure.view.live").count() == 0, "not before it is near"
    page.locator("figure.view").scroll_into_view_if_needed()
    page.wait_for_selector("figure.view.live")
    page.wait_for_timeout(300)
    share, first = ink(page, tmp_path)
    assert share > 0.03
    buttons = page.locator(".switch button")
    assert buttons.all_inner_texts() == ["RMSF", "Chain"]
    assert page.locator(".legend:visible").all_inner_texts()[0].startswith("RMSF of C-alpha (nm)")
    buttons.nth(1).focus()
    page.keyboard.press("Enter")
    assert [one.get_attribute("aria-pressed") for one in buttons.all()] == ["false", "true"]
    page.wait_for_timeout(200)
    _, second = ink(page, tmp_path)
    assert np.abs(first.mean(axis=0) - second.mean(axis=0)).max() > 10, "another colour"
    before = page.locator(".stage").screenshot()
    page.locator(".stage").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert page.locator(".stage").screenshot() != before, "arrows turn it"
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()] and said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


@needs_program
@needs_chromium
def test_a_residue_that_is_pointed_at_tells_its_value(browser, view, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page_of(view), encoding="utf-8")
    page, _, said = opened(browser, path, width=390)
    page.wait_for_selector("figure.view.live")
    box = page.locator(".stage").bounding_box()
    for x in np.linspace(0.3, 0.7, 15):
        for y in np.linspace(0.3, 0.7, 5):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.wait_for_timeout(90)
            if text := page.locator(".pointed").inner_text():
                assert re.fullmatch(r".+: RMSF of C-alpha (0\.\d+ nm|not available)", text)
                assert said == []
                assert page.evaluate("document.documentElement.scrollWidth") <= 390
                return
    pytest.fail("no residue was found under the pointer")


@needs_program
@needs_chromium
def test_a_finger_scrolls_the_page_until_the_view_is_tapped(browser, view, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page_of(view, "far below " * 3000), encoding="utf-8")
    page, _, _ = opened(browser, path, width=390, is_mobile=True, has_touch=True)
    page.wait_for_selector("figure.view.live")
    page.evaluate("document.querySelector('figure.view').scrollIntoView()")
    page.wait_for_timeout(200)
    session = page.context.new_cdp_session(page)

    def swipe():
        """Move a finger up over the view; give how far the page went."""
        box, before = page.locator(".stage").bounding_box(), page.evaluate("scrollY")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] - 40
        for kind, points in (
            ("touchStart", [(x, y)]),
            *(("touchMove", [(x, y - way)]) for way in range(15, 160, 15)),
            ("touchEnd", []),
        ):
            touched = [{"x": left, "y": top} for left, top in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})
            page.wait_for_timeout(20)
        page.wait_for_timeout(200)
        return page.evaluate("scrollY") - before

    assert swipe() > 60
    page.locator(".stage").tap()
    page.wait_for_timeout(200)
    assert page.evaluate("document.activeElement.className") == "stage"
    before = page.locator(".stage").screenshot()
    assert swipe() == 0
    assert page.locator(".stage").screenshot() != before, "the finger turns it"
    page.locator("figcaption").tap()
    assert swipe() > 60


@needs_program
@needs_chromium
@pytest.mark.parametrize("how", ["no script", "no WebGL", "print"])
def test_without_script_or_webgl_and_in_print_a_line_stands_for_the_view(browser, view, tmp_path, how):
    path = tmp_path / "index.html"
    path.write_text(page_of(view), encoding="utf-8")
    if how == "no WebGL":
        browser = browser.browser_type.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-3d-apis"]
        )
    page, _, _ = opened(browser, path, java_script_enabled=how != "no script")
    if how == "no WebGL":
        page.wait_for_selector("text=has no WebGL")
    if how == "print":
        page.wait_for_selector("figure.view.live")
        page.emulate_media(media="print")
        assert not page.locator(".stage canvas").is_visible()
    state = page.locator(".state")
    assert state.is_visible() and "3-D view" in state.inner_text()
    assert not page.locator(".switch").is_visible()


@needs_program
@needs_chromium
def test_no_other_program_runs_in_the_page(browser, view, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page_of(view).replace("</body>", "<script>document.title = 'ran'</script></body>"))
    page, _, said = opened(browser, path)
    page.wait_for_selector("figure.view.live")
    assert page.title() == "t"
    assert len(said) == 1 and "Content Security Policy" in said[0]

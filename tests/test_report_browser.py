"""The page in a real browser: what it asks for and complains of, on a phone, on a desk and on paper."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from helixflow.report.canvas import COLOURS, GREY
from test_report import SECTIONS, html, run  # noqa: F401 - fixtures

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright (make setup)")
needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")

#: CSS pixels of A4 between margins of a centimetre.
PAPER = 718
#: What a page of its own must not do.
CONTRARY = "<img src='http://elsewhere.invalid/x.png'><script>console.error('oh'); alert(1)</script>"
#: What a browser with deuteranopia sees of linear RGB, completely so (Machado, Oliveira and Fernandes, 2009).
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)

#: Least contrast of any text with what is behind it, as WCAG 2 defines it, and the text.
CONTRAST = """() => {
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = rgb => 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const held = numbers(getComputedStyle(e).backgroundColor);
      if (held.length === 3 || held[3] === 1) return held;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const e of document.body.querySelectorAll("*")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.offsetWidth) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < least[0]) least = [contrast, e.textContent.slice(0, 80)];
  }
  return least;
}"""
#: Elements that end right of a column of the page.
STICKING_OUT = """width => [...document.querySelectorAll("body *")]
  .filter(e => e.getBoundingClientRect().right > width + 1)
  .map(e => e.tagName + " " + e.className + " " + e.textContent.trim().slice(0, 60))"""


@dataclass
class Visit:
    """What a page did while it was loaded and shown."""

    page: object
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        gl = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        program = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *gl]
        )
        yield program
        program.close()


def visit(browser, path: Path, width: int = 1280) -> Visit:
    """Open a file and scroll through it to its end."""
    done = Visit(browser.new_context(viewport={"width": width, "height": 900}).new_page())
    done.page.on("console", lambda message: done.said.append(message.text))
    done.page.on("pageerror", lambda error: done.said.append(str(error)))
    done.page.on("request", lambda request: done.asked.append(request.url))
    done.page.on("dialog", lambda dialog: (done.dialogs.append(dialog.message), dialog.dismiss()))
    done.page.goto(path.as_uri())
    for _ in range(4):
        done.page.mouse.wheel(0, 5000)
    done.page.wait_for_timeout(200)
    done.asked = [url for url in done.asked if not url.startswith(("data:", path.as_uri()))]
    return done


@pytest.fixture(scope="module")
def report(run, html) -> Path:  # noqa: F811
    return run.folder / "report/index.html"


@needs_chromium
def test_it_loads_nothing_complains_of_nothing_and_shows_every_section(browser, report, tmp_path):
    other = tmp_path / "other.html"
    other.write_text(CONTRARY)
    contrary = visit(browser, other)
    assert contrary.asked == ["http://elsewhere.invalid/x.png"], "a page that does so is found out"
    assert "oh" in contrary.said and contrary.dialogs == ["1"]
    shown = visit(browser, report)
    assert (shown.asked, shown.said, shown.dialogs) == ([], [], [])
    for section in SECTIONS:
        assert shown.page.locator(f"section#{section} > h2").is_visible()
    images = shown.page.locator("img").evaluate_all("all => all.map(i => i.complete && i.naturalWidth)")
    assert len(images) >= 14 and all(width > 200 for width in images)


@needs_chromium
def test_a_drawing_opened_by_itself_runs_nothing(browser, report):
    (drawing,) = report.parent.glob("figures/buckets/skew*.svg")
    shown = visit(browser, drawing)
    assert (shown.asked, shown.said, shown.dialogs) == ([], [], [])


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_on_a_phone_or_a_desk(browser, report, tmp_path, width):
    """Nor is a table cut at the width of a desk, where only wide ones scroll on a phone."""
    page = visit(browser, report, width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    scrolling = ".filter(e => e.scrollWidth > e.clientWidth + 1).length"
    cut = page.evaluate(f"[...document.querySelectorAll('.scroll')]{scrolling}")
    assert cut == 0 or width == 390
    picture = tmp_path / f"{width}.png"
    page.screenshot(path=picture)
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000


@needs_chromium
def test_on_paper_nothing_is_cut(browser, report, tmp_path):
    page = visit(browser, report, PAPER).page
    page.emulate_media(media="print")
    assert page.evaluate(STICKING_OUT, PAPER) == []
    assert not page.locator("nav").is_visible()
    hidden = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60))"
    assert page.locator(".scroll, .paper, td, th").evaluate_all(hidden) == []
    margin = dict.fromkeys(["top", "right", "bottom", "left"], "1cm")
    pdf = page.pdf(path=tmp_path / "page.pdf", format="A4", margin=margin)
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) > 3


@needs_chromium
def test_text_stands_out_from_what_is_behind_it(browser, report, tmp_path):
    pale = tmp_path / "pale.html"
    pale.write_text("<p style='color: #888'>pale</p>")
    assert visit(browser, pale).page.evaluate(CONTRAST) == [pytest.approx(3.54, abs=0.01), "pale"]
    contrast, text = visit(browser, report).page.evaluate(CONTRAST)
    assert contrast >= 4.5, text


# Colours


def linear(colours) -> np.ndarray:
    """Colours by name or number as (n, 3) linear RGB."""
    rgb = np.array([mpl.colors.to_rgb(colour) for colour in colours])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of (n, 3) linear RGB, under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = (rgb.clip(0, 1) @ to_xyz.T / [0.9505, 1.0, 1.0890]).T
    x, y, z = (np.where(v > (6 / 29) ** 3, np.cbrt(v), v / (3 * (6 / 29) ** 2) + 4 / 29) for v in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA], ids=["all colours", "deuteranopia"])
def test_colours_of_curves_can_be_told_apart(seen):
    """By CIE 1976 colour differences; 2.3 is one that is just noticed."""
    different = lab(linear(COLOURS) @ seen.T)
    assert min(np.linalg.norm(a - b) for a, b in combinations(different, 2)) > 10
    red, green = lab(linear(["#c00000", "#507000"]) @ DEUTERANOPIA.T)
    assert np.linalg.norm(red - green) < np.linalg.norm(np.subtract(*lab(linear(["#c00000", "#507000"])))) / 3
    assert GREY not in COLOURS


@pytest.mark.parametrize("name", ["Blues", "Oranges", "viridis", "cividis"])
@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA], ids=["all colours", "deuteranopia"])
def test_scales_of_colours_rise_in_lightness(name, seen):
    lightness = lab(linear(mpl.colormaps[name](np.linspace(0, 1, 32))) @ seen.T)[:, 0]
    steps = np.diff(lightness)
    assert (steps > -0.1).all() or (steps < 0.1).all()
    assert np.ptp(lightness) > 40

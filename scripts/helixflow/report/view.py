"""3-D view of a structure: its backbone, coloured by a value of each residue, drawn by 3Dmol.js in the page.

The program, see ``envs/viewer.sh``, is put into the page once, and only where there is a view. A page may run
it, and what turns it here, by their SHA-256 alone; neither the one nor the other loads anything.

References
----------
Rego N, Koes D. 3Dmol.js: molecular visualization with WebGL. Bioinformatics 2015;31:1322.
doi:10.1093/bioinformatics/btu829
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.report.blocks import Colouring, Json, Section, View, number
from helixflow.report.canvas import COLOURS, shorten
from helixflow.structures.read_pdb import atom_lines

#: Where `make setup` puts 3Dmol.js, beside the Python that makes the page.
PROGRAM = Path(sys.prefix) / "share/helixflow/3Dmol-min.js"
#: What its licence asks for goes with the code.
LICENCE = "3Dmol-LICENSE.txt"
#: Fetches it, and knows its digest.
_FETCHER = Path(__file__).parents[3] / "envs/viewer.sh"
#: Residues of the greatest structure that has a view.
MOST_RESIDUES = 5000
#: Steps of a scale of colours.
STEPS = 64
#: Names of atoms that are shown, and what else the last one is called at the end of a chain.
BACKBONE = {"N": 0, "CA": 1, "C": 2, "O": 3, "OC1": 3, "O1": 3, "OT1": 3}
#: Of a peptide bond from C to N in Å, at most; it is 1.33 long.
_BOND = 2.0


@dataclass(frozen=True)
class Program:
    """A program of the page; `source` is what the page's policy calls it by."""

    text: str

    @property
    def source(self) -> str:
        """Give its digest as Content-Security-Policy writes it."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


class Backbone:
    """The backbone of a structure.

    Parameters
    ----------
    path : path
        PDB file, of which the first model counts.

    Attributes
    ----------
    residues : list of (list of int, (n, 3) float64)
        Per residue the atoms that it has, by the numbers of `BACKBONE`, and where they are in Å.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.residues: list[tuple[list[int], NDArray[np.float64]]] = []
        for _, lines in groupby(atom_lines(path), key=lambda line: line[17:27]):
            atoms = {BACKBONE[name]: line for line in lines if (name := line[12:16].strip()) in BACKBONE}
            places = [[float(line[at : at + 8]) for at in (30, 38, 46)] for line in atoms.values()]
            self.residues.append((list(atoms), np.array(places, np.float64).reshape(-1, 3)))

    def alphas(self) -> NDArray[np.float64]:
        """Return (N, 3): the C-alphas in Å, NaN where a residue has none."""
        found = [xyz[atoms.index(1)] if 1 in atoms else np.full(3, np.nan) for atoms, xyz in self.residues]
        return np.array(found, np.float64).reshape(-1, 3)

    def strands(self) -> NDArray[np.int64]:
        """Return (N,): the number of each residue's unbroken chain, told by the bonds from C to N."""
        broken = [0]
        for (first, before), (second, behind) in zip(self.residues, self.residues[1:], strict=False):
            known = 2 in first and 0 in second
            apart = known and np.linalg.norm(before[first.index(2)] - behind[second.index(0)]) > _BOND
            broken.append(int(not known or apart))
        return np.cumsum(broken[: len(self.residues)])


def view_of(
    title: str, backbone: Backbone, labels: Sequence[str], colourings: Sequence[tuple[Colouring, Json]]
) -> View | str:
    """Make a view, or say why there is none.

    Parameters
    ----------
    title : str
    backbone : Backbone
        Of the starting structure.
    labels : sequence of str
        What each of the N residues is called.
    colourings : sequence of (Colouring, dict)
        Made by `by_value` and `by_kind`.
    """
    if len(backbone.residues) != len(labels):
        return (
            f"There is no 3-D view: the topology has {number(len(backbone.residues))} residues, "
            f"the co-analysis {number(len(labels))}."
        )
    if len(labels) > MOST_RESIDUES:
        return f"There is no 3-D view of structures of more than {number(MOST_RESIDUES)} residues."
    if fault := program_fault():
        print(f"No 3-D view of '{title}': {fault}.")
        return (
            f"There is no 3-D view: {fault} when this page was made. To have it, in the folder of the "
            f"workflow: envs/viewer.sh {shlex.quote(str(PROGRAM.parent))}, then snakemake with "
            "--forcerun write_report."
        )
    data = {
        "labels": [shorten(label) for label in labels],
        "residues": _packed(backbone),
        "colourings": [drawn for _, drawn in colourings],
    }
    reading = (
        "The first frame of the first replica: helices as coils, strands as arrows. Drag to turn it, point "
        "at a residue for its value; with the keyboard, arrows turn it and + and − zoom. The wheel zooms "
        "once the view was clicked, and a finger turns it once it was tapped."
    )
    return View(title, reading, [told for told, _ in colourings], data)


def program_fault() -> str:
    """Say why 3Dmol.js cannot be put into a page; nothing where it can."""
    expected = re.search(r"^sha256=([0-9a-f]{64})$", _FETCHER.read_text(encoding="utf-8"), re.MULTILINE)
    if expected is None:
        raise ValueError(f"{_FETCHER}: no line 'sha256=' with 64 digits")
    try:
        if hashlib.sha256(PROGRAM.read_bytes()).hexdigest() != expected[1]:
            return f"{PROGRAM.name}, which draws it, was another file than expected (sha256)"
    except OSError:
        return f"{PROGRAM.name}, which draws it, was not there"
    try:
        if (PROGRAM.parent / LICENCE).read_text(encoding="utf-8").strip():
            return ""
    except (OSError, ValueError):
        pass
    return f"the licence of {PROGRAM.name}, {LICENCE}, was not beside it"


def _packed(backbone: Backbone) -> list[list[Any]]:
    """Write residues as chain, number, atoms and coordinates in 0.01 Å about the middle of all."""
    strands = backbone.strands()
    middle = np.nan_to_num(np.nanmean(backbone.alphas(), axis=0)) if len(strands) else 0.0
    # Numbers that follow each other are drawn as bound, so a break leaves one out.
    return [
        [
            int(strand),
            (at + int(strand)) % 9999 + 1,
            atoms,
            *np.rint(100 * (xyz - middle)).astype(int).ravel().tolist(),
        ]
        for at, (strand, (atoms, xyz)) in enumerate(zip(strands, backbone.residues, strict=True))
    ]


def by_value(
    button: str,
    name: str,
    unit: str,
    values: NDArray[np.float64],
    scale: str = "viridis",
    middle: bool = False,
) -> tuple[Colouring, Json]:
    """Colour residues by a number, (N,), on a scale that colour-blind readers can read.

    With `middle`, the scale reaches as far below 0 as above it.
    """
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
    if middle:
        high = max(abs(low), abs(high))
        low = -high
    width = high - low if high > low else 1.0
    steps = np.where(np.isfinite(values), np.rint((STEPS - 1) * (values - low) / width), -1)
    label = f"{name} ({unit})" if unit else name
    palette = scale_colours(scale)
    told = Colouring(
        button, label, palette, _end(low, unit), _end(high, unit), unknown=len(known) < len(values)
    )
    rounded = [float(f"{value:.3g}") if np.isfinite(value) else None for value in values]
    drawn = {
        "name": name,
        "unit": unit,
        "palette": palette,
        "at": steps.astype(int).tolist(),
        "values": rounded,
    }
    return told, drawn


def _end(value: float, unit: str) -> str:
    return f"{number(value, 3)} {unit}".strip() if np.isfinite(value) else "not available"


def by_kind(
    button: str, name: str, kinds: Sequence[str], order: Sequence[str] = ()
) -> tuple[Colouring, Json]:
    """Colour residues by what they are of, N names; `order` first; seven have their own colours."""
    names = list(dict.fromkeys([*order, *kinds]))
    palette = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    shown = [shorten(name) for name in names[: len(COLOURS)]]
    told = Colouring(button, name, palette, names=shown)
    drawn = {
        "name": name,
        "unit": "",
        "palette": palette,
        "at": [names.index(kind) for kind in kinds],
        "values": [shorten(kind) for kind in kinds],
    }
    return told, drawn


def scale_colours(name: str) -> list[str]:
    """Give the colours of a scale from its low end to its high one."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in mpl.colormaps[name](np.linspace(0, 1, STEPS))]


def page_programs(sections: Iterable[Section]) -> list[Program]:
    """Give the programs that the views of a page need, none where there is no view."""
    if not any(_has_view(section) for section in sections):
        return []
    licence = (PROGRAM.parent / LICENCE).read_text(encoding="utf-8")
    # Neither the comment that it is in nor the program ends within it.
    licence = licence.replace("*/", "* /").replace("</", "< /")
    code = PROGRAM.read_text(encoding="utf-8")
    own = (Path(__file__).parent / "view.js").read_text(encoding="utf-8")
    return [Program(f"/*\n{licence}\n*/\n{code}"), Program(own)]


def _has_view(section: Section) -> bool:
    return any(isinstance(block, View) for block in section.blocks) or any(map(_has_view, section.parts))

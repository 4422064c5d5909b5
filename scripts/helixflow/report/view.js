// Draws the 3-D views of a report with 3Dmol.js, each when it is scrolled near; loads nothing.
"use strict";
(() => {
  const NAMES = ["N", "CA", "C", "O"];
  const CHAINS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const UNKNOWN = "#b4b9c1";
  const TURNS = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] };
  const ZOOMS = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 };

  // Atoms as lines of a PDB file, which 3Dmol.js finds the secondary structure in. Coordinates come in 0.01 Å.
  function pdbOf(residues) {
    const lines = [];
    residues.forEach(([chain, number, atoms, ...positions]) => {
      atoms.forEach((atom, at) => {
        const xyz = positions.slice(3 * at, 3 * at + 3).map((value) => (value / 100).toFixed(3).padStart(8));
        const serial = String(lines.length + 1).padStart(5);
        const name = NAMES[atom];
        const residue = `ALA ${CHAINS[chain % CHAINS.length]}${String(number).padStart(4)}`;
        lines.push(`ATOM  ${serial}  ${name.padEnd(3)} ${residue}    ${xyz.join("")}  1.00  0.00          ${name[0].padStart(2)}`);
      });
    });
    return lines.join("\n");
  }

  function hasWebGL() {
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl2") || canvas.getContext("webgl");
    // A page may hold few of these at a time.
    if (gl) gl.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(gl);
  }

  function start(figure) {
    const told = JSON.parse(figure.querySelector("script").textContent);
    const stage = figure.querySelector(".stage");
    const pointed = figure.querySelector(".pointed");
    const buttons = [...figure.querySelectorAll(".switch button")];
    const legends = [...figure.querySelectorAll(".legend")];
    const viewer = $3Dmol.createViewer(stage, { backgroundColor: "white", antialias: true });
    viewer.addModel(pdbOf(told.residues), "pdb");
    // Atoms know the residue they are of by their number among all.
    const owner = told.residues.flatMap(([, , atoms], at) => atoms.map(() => at));
    let shown = 0;
    const words = (at) => {
      const { name, unit, values } = told.colourings[shown];
      const value = values[at] === null ? "not available" : `${values[at]}${unit ? " " + unit : ""}`;
      return `${told.labels[at]}: ${name} ${value}`;
    };

    function colour(chosen) {
      shown = chosen;
      const { palette, at } = told.colourings[chosen];
      const colourOf = (atom) => (at[owner[atom.index]] < 0 ? UNKNOWN : palette[at[owner[atom.index]]]);
      viewer.setStyle({}, { cartoon: { colorfunc: colourOf, arrows: true, thickness: 0.4 } });
      buttons.forEach((button, number) => button.setAttribute("aria-pressed", String(number === chosen)));
      legends.forEach((legend, number) => { legend.hidden = number !== chosen; });
      viewer.render();
    }

    buttons.forEach((button, number) => button.addEventListener("click", () => colour(number)));
    stage.addEventListener("keydown", (event) => {
      if (event.key in TURNS) viewer.rotate(...TURNS[event.key]);
      else if (event.key in ZOOMS) viewer.zoom(ZOOMS[event.key]);
      else return;
      event.preventDefault();
      viewer.render();
    });
    // The wheel scrolls the page, unless the view was clicked or chosen by key before.
    stage.addEventListener("wheel", (event) => {
      if (!stage.contains(document.activeElement)) event.stopImmediatePropagation();
    }, { capture: true });
    // So does a finger, unless it tapped the view before.
    const chosen = () => stage.contains(document.activeElement);
    ["touchstart", "touchmove", "touchend", "touchcancel"].forEach((kind) => {
      stage.addEventListener(kind, (event) => { if (!chosen()) event.stopImmediatePropagation(); }, { capture: true });
    });
    stage.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse") stage.focus({ preventScroll: true });
    });
    stage.addEventListener("click", () => stage.focus({ preventScroll: true }));
    document.addEventListener("pointerdown", (event) => {
      if (!stage.contains(event.target)) stage.blur();
    });
    viewer.setHoverable({}, true, (atom) => { pointed.textContent = words(owner[atom.index]); }, () => {});
    viewer.setHoverDuration(60);
    figure.classList.add("live");
    // It fits the height; a stage that is higher than wide shows less of the width.
    viewer.zoomTo();
    viewer.zoom(0.92 * Math.min(1, stage.clientWidth / stage.clientHeight));
    colour(0);
  }

  function startOrTell(figure) {
    try {
      if (!hasWebGL()) throw new Error("this browser has no WebGL");
      start(figure);
    } catch (error) {
      figure.querySelector(".state").textContent = `The 3-D view could not be drawn: ${error.message}. `
        + "The drawing of the same structure beside it needs none.";
    }
  }

  const near = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      near.unobserve(entry.target);
      startOrTell(entry.target);
    });
  }, { rootMargin: "300px" });
  document.querySelectorAll("figure.view").forEach((figure) => near.observe(figure));
})();

"""Whether a finished run can be trusted: each check with its value, its limits and its outcome."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.files import write_text
from helixflow.gmx import GmxTools

#: Columns of energy.tsv after the time: what gmx energy is asked for, and how its answer is headed.
ENERGIES = {
    "temperature_K": ("Temperature", "Temperature"),
    "pressure_bar": ("Pressure", "Pressure"),
    "density_kg_m3": ("Density", "Density"),
    "potential_kJ_mol": ("Potential", "Potential"),
    "conserved_kJ_mol": ("Conserved-En.", "Conserved En."),
}
#: The mean temperature may differ from the thermostat's by this share.
TEMPERATURE_TOLERANCE = 0.01
#: Protein in water, from little protein in hot water to much of it; a bubble or a collapse is outside.
DENSITY_LIMITS = (900.0, 1150.0)
#: Twice what GROMACS accepts from the pair list alone (verlet-buffer-tolerance), in kJ/mol/ps per atom.
DRIFT_LIMIT = 0.01
#: In a shorter run, in ps, temperature and drift tell how the box still relaxes, not how well it is kept.
SHORTEST = 20.0
#: Parts whose means tell how sure a run's mean is, since one frame resembles the next.
BLOCKS = 5
#: No bond of a protein is this long, in nm; one that is torn over the box is longer.
BOND_LIMIT = 0.3

Gate = dict[str, Any]


def write_energies(gmx: GmxTools, source: str, final: str) -> dict[str, NDArray[np.float64]]:
    """Take the energies of every frame out of an .edr file, into a table and as columns.

    Parameters
    ----------
    gmx : GmxTools
        Tools in the folder of both files; ``energy.xvg`` is written there on the way.
    source, final : str
        Names of the .edr file and of the tab-separated table: ``time_ps`` and the columns of `ENERGIES`.
    """
    gmx("energy", f=source, o="energy.xvg", answers=[*(asked for asked, _ in ENERGIES.values()), ""])
    lines = (gmx.folder / "energy.xvg").read_text(encoding="utf-8").splitlines()
    # GROMACS orders the columns as the .edr file does, not as they were asked for.
    legends = [found[1] for line in lines if (found := re.match(r'@ s\d+ legend "(.*)"', line))]
    places = [0, *(1 + legends.index(heading) for _, heading in ENERGIES.values())]
    names = ["time_ps", *ENERGIES]
    rows = [[line.split()[place] for place in places] for line in lines if not line.startswith(("#", "@"))]
    write_text(gmx.folder / final, "".join("\t".join(row) + "\n" for row in [names, *rows]))
    return dict(zip(names, np.array(rows, dtype=np.float64).T, strict=True))


def judge(value: float, low: float, high: float, error: float = 0.0) -> Gate:
    """Compare a value with its limits.

    Parameters
    ----------
    value : float
        What was found.
    low, high : float
        Limits, both allowed.
    error : float
        Standard error of the value. Where two of it reach over a limit, the outcome is ``unknown``.

    Returns
    -------
    dict
        value, error, low, high, and outcome: ``pass``, ``fail`` or ``unknown``.
    """
    margin = 2 * error
    outcome = "unknown"
    if low + margin <= value <= high - margin:
        outcome = "pass"
    elif value < low - margin or value > high + margin:
        outcome = "fail"
    known = {"value": value, "error": error, "low": low, "high": high}
    return {
        **{name: number if math.isfinite(number) else None for name, number in known.items()},
        "outcome": outcome,
    }


def judge_energies(
    energies: dict[str, NDArray[np.float64]], temperature: float, atoms: int
) -> dict[str, Gate]:
    """Judge temperature, density and the drift of the conserved energy of a production run."""
    tolerance = TEMPERATURE_TOLERANCE * temperature
    mean, mean_error = _mean(energies["temperature_K"])
    density, density_error = _mean(energies["density_kg_m3"])
    times = energies["time_ps"]
    drift, drift_error = _slope(times, energies["conserved_kJ_mol"] / atoms)
    if times[-1] - times[0] < SHORTEST:
        mean_error = drift_error = math.inf
    lost = sum(int(np.sum(~np.isfinite(values))) for values in energies.values())
    return {
        "energies_not_finite": judge(lost, 0, 0),
        "temperature_K": judge(mean, temperature - tolerance, temperature + tolerance, mean_error),
        "density_kg_m3": judge(density, *DENSITY_LIMITS, density_error),
        "drift_kJ_mol_ps_atom": judge(drift, -DRIFT_LIMIT, DRIFT_LIMIT, drift_error),
    }


def read_log(log: str) -> dict[str, Any]:
    """Read from md.log what really ran; None for what it does not say.

    Where a run was continued, the last start is told, and how often it was continued.
    """
    patterns = {
        "gmx_version": r"^GROMACS version: +(.*)$",
        "simd": r"^SIMD instructions: +(.*)$",
        "simd_possible": r"^Highest SIMD level supported by all nodes in run: +(.*)$",
        "gpu_support": r"^GPU support: +(.*)$",
        "ranks": r"^Using (\d+) MPI (?:thread|process)",
        "threads": r"^Using (\d+) OpenMP thread",
        "performance_ns_day": r"^Performance: +(\S+)",
    }
    found = {name: re.findall(pattern, log, re.MULTILINE) for name, pattern in patterns.items()}
    told: dict[str, Any] = {name: values[-1] if values else None for name, values in found.items()}
    for name, kind in (("ranks", int), ("threads", int), ("performance_ns_day", float)):
        told[name] = None if told[name] is None else kind(told[name])
    # A stop before the first checkpoint after a continuation takes both, and this line of the log, back.
    told["continuations"] = len(re.findall(r"^Restarting from checkpoint, appending", log, re.MULTILINE))
    return told


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error from blocks; not finite where there are too few values for them."""
    if len(values) < BLOCKS:
        return float(values.mean()), math.inf
    means = [block.mean() for block in np.array_split(values, BLOCKS)]
    return float(values.mean()), float(np.std(means, ddof=1)) / math.sqrt(BLOCKS)


def _slope(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error; not finite for fewer than three values."""
    if len(times) < 3:
        return math.nan, math.inf
    centred = times - times.mean()
    spread = float(centred @ centred)
    slope = float(centred @ values) / spread
    rest = values - values.mean() - slope * centred
    return slope, math.sqrt(float(rest @ rest) / (len(times) - 2) / spread)

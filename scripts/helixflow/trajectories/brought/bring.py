"""One trajectory that was brought along, from its two files to those that later stages read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import SimulationError, SourceError
from helixflow.files import read_json, whole_file, write_json, write_text
from helixflow.structures.residues import pdb_line, write_residues
from helixflow.trajectories.brought.checks import Measured
from helixflow.trajectories.brought.frames import Frame, FrameFile
from helixflow.trajectories.brought.naming import one_letter_each
from helixflow.trajectories.brought.protein import BroughtProtein, find_protein
from helixflow.trajectories.brought.topology import Topology, read_topology
from helixflow.trajectories.brought.whole import Maker, periodic_box

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class BroughtFiles:
    """What was fetched: topology, trajectory, and the record that says what they are."""

    topology: StrPath
    trajectory: StrPath
    provenance: StrPath


@dataclass(frozen=True)
class Outputs:
    """What is written: residues as TSV, the protein as XTC and its first frame as PDB, checks as JSON."""

    residues: StrPath
    protein: StrPath
    protein_topology: StrPath
    quality: StrPath


def bring_trajectory(files: BroughtFiles, outputs: Outputs, gates: str) -> None:
    """Check a trajectory, make its protein whole, and write it as a replica's is.

    Frames are read and written one by one, so memory does not follow their number.

    Parameters
    ----------
    files : BroughtFiles
    outputs : Outputs
    gates : str
        ``fail`` or ``warn``: whether a check that fails is an error.

    Raises
    ------
    SourceError
        If the files do not fit together, cannot be read to the end, or have no protein.
    SimulationError
        If a check fails.
    """
    record = read_json(files.provenance)
    name = record["sample"]
    origins = [f"{name}: {Path(part).name}" for part in record["source"].split(",")]
    forms = record["format"].split("+")
    topology = read_topology(Path(files.topology), forms[0], origins[0])
    frames = FrameFile(Path(files.trajectory), forms[1], origins[1])
    _check_atoms(len(topology.names), frames.count_atoms(), origins)
    protein = _find_protein(topology, next(frames.read()), origins)
    measured = _write_frames(frames, protein, outputs, len(topology.names))
    quality = _describe(record, topology, protein, frames, measured)
    _demand_gates(quality["gates"], gates, name)
    write_residues(outputs.residues, protein.residues)
    write_json(outputs.quality, quality)
    log.info(
        "%s: %d frames, %d residues in %d chains, %d of %d atoms; %d frames made whole",
        name, quality["frames"], len(protein.residues), len(quality["chains"]), len(protein.atoms),
        quality["atoms"], measured.mended,
    )  # fmt: skip


def _check_atoms(topology: int, trajectory: int, origins: Sequence[str]) -> None:
    if topology != trajectory:
        raise SourceError(
            f"{origins[1]}: has {trajectory} atoms, expected the {topology} of "
            f"{origins[0].partition(': ')[2]}; bring the topology of the same atoms (gmx convert-tpr "
            "makes one of a part)"
        )


def _find_protein(topology: Topology, first: Frame, origins: Sequence[str]) -> BroughtProtein:
    """Find the protein, with the first frame to find bonds and chains by."""
    _check_finite(first.positions, first, origins[1])
    box = periodic_box(first.box, len(topology.names))
    return find_protein(topology, first.positions.astype(np.float64), box, origins[0])


def _write_frames(frames: FrameFile, protein: BroughtProtein, outputs: Outputs, atoms: int) -> Measured:
    """Write the protein's trajectory and the PDB of its first frame, and measure every frame."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    measured, make_whole = Measured(), Maker(protein.tree, protein.alphas)
    with whole_file(outputs.protein) as path, XTCFile(str(path), "w") as xtc:
        for frame in frames.read():
            positions = frame.positions[protein.atoms]
            _check_finite(positions, frame, frames.origin)
            box = periodic_box(frame.box, atoms)
            whole = make_whole(positions, box)
            measured.add(frame.time, whole.positions, protein.tree.bonds, box, whole.mended)
            if len(measured.times) == 1:
                write_text(outputs.protein_topology, "".join(_pdb_lines(protein, whole.positions)))
            written = np.zeros((3, 3)) if box is None else box
            xtc.write(
                whole.positions.astype(np.float32), written.astype(np.float32),
                frame.step, frame.time, frame.precision,
            )  # fmt: skip
    return measured


def _check_finite(positions: NDArray[np.float32], frame: Frame, origin: str) -> None:
    broken = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(broken):
        raise SourceError(
            f"{origin}: frame {frame.number} ({frame.time:g} ps) has {len(broken)} atoms without "
            "a finite position, expected none; the simulation failed there: cut it before with gmx trjconv -e"
        )


def _pdb_lines(protein: BroughtProtein, positions: NDArray[np.float64]) -> Iterator[str]:
    """Give the lines of a PDB file; positions (n, 3) are in nm."""
    letters = one_letter_each(protein.residues)
    for number, (name, element, at, xyz) in enumerate(
        zip(protein.names, protein.elements, protein.residue_of, positions * 10, strict=True), 1
    ):
        residue = protein.residues[at]
        # The format has four places for the number of a residue.
        shown = replace(residue, chain=letters[residue.chain], number=residue.number % 10000)
        yield f"{pdb_line(number, name[:4], shown, xyz).rstrip()[:76]:<76}{element:>2}\n"
        if (
            number == len(protein.names)
            or protein.residues[protein.residue_of[number]].chain != residue.chain
        ):
            yield "TER\n"
    yield "END\n"


def _describe(
    record: dict[str, Any],
    topology: Topology,
    protein: BroughtProtein,
    frames: FrameFile,
    measured: Measured,
) -> dict[str, Any]:
    """Return the content of quality.json."""
    gates = measured.gates()
    return {
        "structure": record["sample"],
        "replica": 1,
        "brought": True,
        "source": record["source"],
        "format": record["format"],
        "passed": all(gate["outcome"] != "fail" for gate in gates.values()),
        "gates": gates,
        "atoms": len(topology.names),
        "protein_atoms": len(protein.atoms),
        "frames_in_file": len(measured.times) + frames.empty,
        "frames": len(measured.times),
        "frames_without_positions": frames.empty,
        **measured.told(),
        "bonds_from": protein.bonds_from,
        "chains": [
            {"chain": chain, "residues": len(list(residues))}
            for chain, residues in groupby(protein.residues, key=lambda residue: residue.chain)
        ],
        "renamed": protein.renamed,
        "left_out": protein.left_out,
    }


def _demand_gates(gates: dict[str, Any], policy: str, name: str) -> None:
    """Refuse or mark a trajectory that fails a check."""
    failed = [
        f"{check} is {gate['value']:g}, expected {gate['low']:g} to {gate['high']:g}"
        for check, gate in gates.items()
        if gate["outcome"] == "fail"
    ]
    if failed and policy == "fail":
        raise SimulationError(
            f"{name}: the trajectory does not pass its checks: {'; '.join(failed)} (trajectories/gates: warn "
            "takes it all the same)"
        )
    for reason in failed:
        log.warning("%s: %s", name, reason)

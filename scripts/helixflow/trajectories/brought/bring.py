"""One trajectory that was brought along, from its two files to those that later stages read."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from helixflow.errors import SourceError
from helixflow.files import read_json, whole_file, write_json
from helixflow.structures.residues import write_residues
from helixflow.trajectories.brought.protein import BroughtProtein, find_protein
from helixflow.trajectories.brought.topology import Topology, read_topology
from helixflow.trajectories.frames import FrameReader, Frames
from helixflow.trajectories.protein import Extracted, extract_protein, start_protein, write_first_frame
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.quality.frames import FrameMeasures
from helixflow.trajectories.quality.gates import demand_gates, passed
from helixflow.trajectories.quality.molecule import judge_molecule
from helixflow.trajectories.quality.run import spacing_gate

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

#: Longest distance at which two atoms are a pair, in nm, in most force fields; TRR and XTC files do not tell.
CUTOFF_NM = 1.0


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


def bring_trajectory(files: BroughtFiles, outputs: Outputs, judgement: Judgement) -> None:
    """Check a trajectory, make its protein whole, and write it as a replica's is.

    Frames are read and written in blocks, so memory does not follow their number.

    Parameters
    ----------
    files : BroughtFiles
    outputs : Outputs
    judgement : Judgement
        The limits of the checks, and whether one that fails is an error.

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
    first = _read_first(Path(files.trajectory), forms[1], topology, origins)
    protein = find_protein(topology, first.positions[0], first.boxes[0], origins[0])
    start = start_protein(protein.molecule, first.positions[0][protein.indices], first.boxes[0])
    measures = FrameMeasures(protein.molecule, None, start.positions)
    reader = FrameReader(files.trajectory, protein.indices, forms[1])
    with whole_file(outputs.protein) as path:
        extracted = extract_protein(reader, path, start, measures.update)
        _check_damage(reader, len(measures.times) + reader.empty, origins[1])
        quality = _describe(record, topology, protein, reader, measures, extracted, judgement)
        demand_gates(quality["gates"], judgement.gates, f"{name}: the trajectory")
        write_first_frame(
            path, protein.molecule, protein.residues, outputs.protein_topology, protein.elements
        )
    write_residues(outputs.residues, protein.residues)
    write_json(outputs.quality, quality)
    log.info(
        "%s: %d frames, %d residues in %d chains, %d of %d atoms; %d frames made whole",
        name, quality["frames"], len(protein.residues), len(quality["chains"]), len(protein.indices),
        quality["atoms"], extracted.mended,
    )  # fmt: skip


def _read_first(path: Path, form: str, topology: Topology, origins: Sequence[str]) -> Frames:
    """Read the first frame, to find bonds and chains by; see that the files belong together."""
    if not path.stat().st_size:
        raise SourceError(f"{origins[1]}: is empty, expected a trajectory with frames (bring it again)")
    reader = FrameReader(path, form=form)
    try:
        atoms = reader.count_atoms()
    except OSError as error:
        raise SourceError(
            f"{origins[1]}: cannot be read as {form.upper()} ({error}), expected a trajectory of GROMACS"
        ) from None
    if atoms != len(topology.names):
        raise SourceError(
            f"{origins[1]}: has {atoms} atoms, expected the {len(topology.names)} of "
            f"{origins[0].partition(': ')[2]}; bring the topology of the same atoms (gmx convert-tpr "
            "makes one of a part)"
        )
    first = reader.first()
    if first is None:
        _check_damage(reader, reader.empty, origins[1])
        raise SourceError(
            f"{origins[1]}: has no frame with positions, expected at least one (bring another file)"
        )
    if broken := int((~np.isfinite(first.positions[0]).all(axis=1)).sum()):
        raise SourceError(
            f"{origins[1]}: the first frame has {broken} atoms without a finite position, expected none; "
            "bring what comes before the simulation failed"
        )
    return first


def _check_damage(reader: FrameReader, frames: int, origin: str) -> None:
    """Refuse a file that cannot be read to its end; so many frames could."""
    if reader.damage:
        raise SourceError(
            f"{origin}: frame {frames} cannot be read ({reader.damage}); it is truncated or damaged: bring "
            "it again, or cut it before that frame with gmx trjconv -e"
        )


def _describe(
    record: dict[str, Any],
    topology: Topology,
    protein: BroughtProtein,
    reader: FrameReader,
    measures: FrameMeasures,
    extracted: Extracted,
    judgement: Judgement,
) -> dict[str, Any]:
    """Return the content of quality.json."""
    gates = {
        "uneven_frame_steps": spacing_gate(measures.times),
        **judge_molecule(measures, protein.molecule, protein.residues, CUTOFF_NM, judgement),
    }
    times, without = extracted.times, reader.empty + len(measures.lost)
    return {
        "structure": record["sample"],
        "replica": 1,
        "brought": True,
        "source": record["source"],
        "format": record["format"],
        "passed": passed(gates),
        "gates": gates,
        "atoms": len(topology.names),
        "protein_atoms": len(protein.indices),
        "frames_in_file": len(times) + without,
        "frames": len(times),
        "frames_without_positions": without,
        "first_ps": times[0],
        "last_ps": times[-1],
        "frame_ps": float(np.median(np.diff(times))) if len(times) > 1 else None,
        "frames_with_box": extracted.with_box,
        "frames_made_whole": extracted.mended,
        "bonds_from": protein.bonds_from,
        "chains": [
            {"chain": chain, "residues": len(list(residues))}
            for chain, residues in groupby(protein.residues, key=lambda residue: residue.chain)
        ],
        "renamed": protein.renamed,
        "left_out": protein.left_out,
    }

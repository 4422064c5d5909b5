"""From a clean structure to its topology by pdb2gmx, and the checks that it is the same molecule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from helixflow.errors import StructureError
from helixflow.gmx import GmxTools
from helixflow.structures.chemistry import natural_name
from helixflow.structures.protonation import Titration, hydrogens, is_protonated, name_states
from helixflow.structures.residues import Residue
from helixflow.structures.topology import Protein, inline_includes, read_protein

#: What pdb2gmx is asked residue by residue; of all others it takes the state from the name.
_ASKED = {"ASP": "ASPH", "GLU": "GLUH"}


def describe_protein(
    gmx: GmxTools,
    force_field: str,
    water: str,
    residues: Sequence[Residue],
    disulfides: Sequence[tuple[int, int]],
    groups: Sequence[Titration] = (),
) -> Protein:
    """Describe ``clean.pdb`` in the folder of `gmx` by a force field.

    Parameters
    ----------
    gmx : GmxTools
        Tools in the folder, where ``protein.gro``, ``topol.top`` and what it includes are written.
    force_field, water : str
        Names as pdb2gmx has them.
    residues : sequence of Residue
        Residues of ``clean.pdb``, in its order.
    disulfides : sequence of (int, int)
        Indices of bonded cysteines, ascending.
    groups : sequence of Titration
        States that were decided; what is not among them is left to pdb2gmx.

    Raises
    ------
    StructureError
        If pdb2gmx fails, or its topology is not the molecule that was cleaned.
    """
    tautomers: dict[int, str] = {}
    while True:
        protein = _run_pdb2gmx(gmx, force_field, water, residues, disulfides, name_states(groups, tautomers))
        check_protein(protein, residues, disulfides, gmx.subject, read_numbers(gmx.folder / "clean.pdb"))
        wrong = _wrong_states(protein, groups)
        # pdb2gmx gives a histidine both protons where both make hydrogen bonds, whatever its pKa. The
        # proton on NE2 is the commoner of the two in water.
        unsettled = {
            group.residue: "HISE" for group in wrong if group.group == "HIS" and not group.protonated
        }
        if not wrong or not unsettled or unsettled.keys() <= tautomers.keys():
            break
        tautomers |= unsettled
    for group in wrong:
        raise StructureError(
            f"{gmx.subject}: pdb2gmx gave {residues[group.residue]} the other state than its pKa of "
            f"{group.pKa} asks for; set structures/protonation to pdb2gmx, or take another force field"
        )
    return protein


def _run_pdb2gmx(
    gmx: GmxTools,
    force_field: str,
    water: str,
    residues: Sequence[Residue],
    disulfides: Sequence[tuple[int, int]],
    states: Mapping[int, str],
) -> Protein:
    _write_states(gmx.folder, states)
    joined = any(residues[first].chain != residues[second].chain for first, second in disulfides)
    asked = {kind.lower(): True for kind, other in _ASKED.items() if other in states.values()}
    printed = gmx(
        "pdb2gmx",
        answers=_answers(residues, states, [kind for kind in _ASKED if kind.lower() in asked], joined),
        f="states.pdb",
        o="protein.gro",
        p="topol.top",
        i="posre.itp",
        ff=force_field,
        water=water,
        ignh=True,
        # A disulfide between two chains can be described within one molecule only.
        merge="all" if joined else "no",
        **asked,
    )
    long_bonds = [line.strip() for line in printed.splitlines() if "Long Bond" in line]
    if long_bonds:
        raise StructureError(
            f"{gmx.subject}: pdb2gmx made a bond across a gap: {long_bonds[0]}; build what is missing "
            "(structures/repair: loops)"
        )
    return read_protein(inline_includes(gmx.folder / "topol.top"))


def _write_states(folder: Path, states: Mapping[int, str]) -> None:
    """Write ``clean.pdb`` with the names of states, four letters where GROMACS reads four."""
    lines, index, key = [], -1, ""
    for line in (folder / "clean.pdb").read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("ATOM"):
            index, key = index + (line[17:27] != key), line[17:27]
            if index in states and states[index] not in _ASKED.values():
                line = f"{line[:17]}{states[index]:<4}{line[21:]}"
        lines.append(line)
    (folder / "states.pdb").write_text("".join(lines), encoding="utf-8")


def _answers(
    residues: Sequence[Residue], states: Mapping[int, str], kinds: Sequence[str], joined: bool
) -> list[str]:
    """Give what is typed at pdb2gmx's questions: molecule by molecule, kind by kind, residue by residue."""
    ends = [0, *_chain_starts(residues, joined), len(residues)]
    return [
        "1" if states.get(residue.index) == _ASKED[kind] else "0"
        for first, last in pairwise(ends)
        for kind in kinds
        for residue in residues[first:last]
        if residue.name == kind
    ]


def _chain_starts(residues: Sequence[Residue], joined: bool) -> list[int]:
    if joined:
        return []
    return [after.index for before, after in pairwise(residues) if before.chain != after.chain]


def _wrong_states(protein: Protein, groups: Sequence[Titration]) -> list[Titration]:
    names = hydrogens(protein)
    return [
        group
        for group in groups
        if group.decided and is_protonated(group.group, names[group.residue]) != group.protonated
    ]


def read_numbers(pdb: Path) -> list[tuple[str, str]]:
    """Read number with insertion code, and name, of the residues of a PDB file.

    Numbers above 9999 do not fit into the format; what the topology has of them is what is in the file.
    """
    found, key = [], ""
    with pdb.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("ATOM") and line[17:27] != key:
                key = line[17:27]
                found.append((line[22:27].strip(), line[17:21].strip()))
    return found


def check_protein(
    protein: Protein,
    residues: Sequence[Residue],
    disulfides: Sequence[tuple[int, int]],
    subject: str,
    written: Sequence[tuple[str, str]] | None = None,
) -> None:
    """See that a topology has the residues and disulfides that were expected, and a whole charge.

    Parameters
    ----------
    protein : Protein
        What pdb2gmx made.
    residues, disulfides : sequence
        What was cleaned.
    subject : str
        What errors name.
    written : sequence of (str, str), optional
        Number with insertion code, and name, as the PDB file has them; those of `residues` where left out.

    Raises
    ------
    StructureError
        Naming `subject` and the first residue that differs.
    """
    expected = [(f"{residue.number}{residue.insertion}", residue.name) for residue in residues]
    expected = expected if written is None else list(written)
    _check_sequence([(at.name,) for at in residues], [(name,) for _, name in expected], residues, subject)
    _check_sequence(
        expected,
        [(number, natural_name(name) or name[:3]) for number, name in protein.residues],
        residues,
        subject,
    )
    _check_disulfides(protein, residues, disulfides, subject)
    if abs(protein.charge - round(protein.charge)) > 0.01:
        raise StructureError(
            f"{subject}: the protein's charge is {protein.charge:.3f} e, expected a whole number; mend the "
            "force field, or the residue that it describes wrongly"
        )


def _check_sequence(
    expected: Sequence[tuple[str, ...]],
    found: Sequence[tuple[str, ...]],
    residues: Sequence[Residue],
    subject: str,
) -> None:
    if list(expected) == list(found):
        return
    at = next((i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), None)
    differs = (
        f"{' '.join(found[at])} instead of {residues[at]}" if at is not None else "only the beginning agrees"
    )
    raise StructureError(
        f"{subject}: the topology has {len(found)} residues, expected {len(expected)} ({differs})"
    )


def _check_disulfides(
    protein: Protein, residues: Sequence[Residue], disulfides: Sequence[tuple[int, int]], subject: str
) -> None:
    bonded = {
        (protein.residue_of[first], protein.residue_of[second])
        for first, second in protein.bonds
        if protein.atoms[first] == protein.atoms[second] == "SG"
    }
    for first, second in sorted(bonded ^ set(disulfides)):
        state = "made" if (first, second) in bonded else "left out"
        raise StructureError(
            f"{subject}: pdb2gmx {state} a disulfide between {residues[first]} and {residues[second]}, but "
            "their distance says otherwise (a bond is 1.8 to 2.2 Å); mend their SG atoms"
        )

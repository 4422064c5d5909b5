"""Which residues carry a proton: decided by pKa where PROPKA is asked, and read back from a topology."""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from helixflow.errors import StructureError
from helixflow.structures.residues import Residue
from helixflow.structures.topology import Protein

_log = logging.getLogger(__name__)

#: What pdb2gmx calls a residue that has a proton, or lacks it, against its habit; every force field
#: translates these names to its own.
PROTONATED = {"ASP": "ASPH", "GLU": "GLUH", "HIS": "HISH"}
DEPROTONATED = {"LYS": "LYSN"}
#: Groups whose other state force fields seldom have; they stay as they are and are told.
_FIXED = {"CYS": True, "TYR": True, "ARG": True, "N+": True, "C-": False}
#: Whether a group mostly has the proton.
_USUAL = {**_FIXED, **dict.fromkeys(PROTONATED, False), **dict.fromkeys(DEPROTONATED, True)}


@dataclass(frozen=True)
class Titration:
    """One group that may carry a proton.

    Attributes
    ----------
    residue : int
        Index of its residue.
    group : str
        Residue name, or ``N+`` and ``C-`` for the ends of a chain.
    pKa : float
        As PROPKA estimates it.
    protonated : bool
        Whether the group has the proton at the pH asked for.
    lacking : bool
        Whether the force field has no such state where the residue is, at an end of a chain.
    """

    residue: int
    group: str
    pKa: float
    protonated: bool
    lacking: bool = False

    @property
    def decided(self) -> bool:
        """Whether pdb2gmx is told the state; if not, it stays as it mostly is."""
        return self.group not in _FIXED and not self.lacking

    @property
    def unusual(self) -> bool:
        """Whether a group that stays as it is should have the other state."""
        return not self.decided and self.protonated != _USUAL[self.group]


def titrate(
    pdb: str, residues: Sequence[Residue], pH: float, subject: str, lacking: Collection[str] = ()
) -> list[Titration]:
    """Decide by PROPKA which groups carry a proton.

    Parameters
    ----------
    pdb : str
        Text of ``clean.pdb``.
    residues : sequence of Residue
        Its residues, in their order.
    pH : float
        Acidity of the solution.
    subject : str
        What errors name.
    lacking : collection of str
        pdb2gmx's names of states that the force field does not have at the ends of a chain.

    Returns
    -------
    list of Titration
        In the order of the residues; cysteines of disulfides are not among them.

    Raises
    ------
    StructureError
        If PROPKA is not installed.
    """
    try:
        from propka.run import single
    except ImportError as error:
        raise StructureError(
            f"{subject}: PROPKA is not installed ({error}); install it (pip install propka), or set "
            "structures/protonation to pdb2gmx"
        ) from None
    text, places = _number_by_order(pdb, residues, subject)
    molecule = single("clean.pdb", optargs=["--quiet"], stream=io.StringIO(text), write_pka=False)
    found = [
        Titration(places[_place(group)], _kind(group), round(group.pka_value, 2), group.pka_value > pH)
        for group in molecule.conformations["AVR"].get_titratable_groups()
        if _kind(group) in _USUAL
    ]
    ends = _ends(residues)
    found = [replace(group, lacking=group.residue in ends and _state(group) in lacking) for group in found]
    found.sort(key=lambda group: (group.residue, group.group))
    for group in found:
        if group.unusual:
            _log.warning(
                "%s: %s of %s has pKa %.2f, so that at pH %g it should have the other state; it keeps the "
                "usual one, since few force fields have the other (Amber not at the ends of a chain)",
                subject, group.group, residues[group.residue], group.pKa, pH,
            )  # fmt: skip
    return found


def _ends(residues: Sequence[Residue]) -> set[int]:
    """Give the indices of the first and last residues of chains."""
    starts = [at for at, (a, b) in enumerate(pairwise(residues), 1) if a.chain != b.chain]
    return {0, len(residues) - 1, *starts, *(start - 1 for start in starts)}


def _state(group: Titration) -> str:
    """Return pdb2gmx's name of a state that it has to be told, empty for the usual one."""
    return (PROTONATED if group.protonated else DEPROTONATED).get(group.group, "")


def _kind(group: Any) -> str:
    return str(group.residue_type)


def _place(group: Any) -> tuple[str, int]:
    return group.atom.chain_id, group.atom.res_num


def _number_by_order(
    pdb: str, residues: Sequence[Residue], subject: str
) -> tuple[str, dict[tuple[str, int], int]]:
    """Number the residues of each chain from 1, since PROPKA takes two of one number for one.

    Returns
    -------
    (str, dict)
        The PDB file, and the index of each residue by chain and new number.
    """
    lines, places, key = [], {}, ""
    index, number, chain = -1, 0, ""
    for line in pdb.splitlines(keepends=True):
        if line.startswith("ATOM"):
            if line[17:27] != key:
                index += 1
                number = number + 1 if line[21] == chain else 1
                key, chain = line[17:27], line[21]
                places[chain, number] = index
            line = f"{line[:22]}{number:4d} {line[27:]}"
        lines.append(line)
    if index + 1 != len(residues) or number > 9999:
        raise StructureError(
            f"{subject}: {index + 1} residues, expected {len(residues)} and at most 9999 in a chain for "
            "PROPKA; set structures/protonation to pdb2gmx"
        )
    return "".join(lines), places


def name_states(groups: Sequence[Titration], tautomers: Mapping[int, str]) -> dict[int, str]:
    """Give the residues whose state pdb2gmx is told, with its name of the state.

    `tautomers` are the names for histidines without a second proton that pdb2gmx would give one.
    """
    names = {
        group.residue: PROTONATED[group.group] if group.protonated else tautomers.get(group.residue, "")
        for group in groups
        if group.group in PROTONATED and group.decided
    }
    names |= {
        group.residue: DEPROTONATED[group.group]
        for group in groups
        if group.group in DEPROTONATED and group.decided and not group.protonated
    }
    return {residue: name for residue, name in names.items() if name}


def hydrogens(protein: Protein) -> list[list[str]]:
    """List the names of each residue's hydrogens."""
    found: list[list[str]] = [[] for _ in protein.residues]
    for name, residue in zip(protein.atoms, protein.residue_of, strict=True):
        if name.startswith("H"):
            found[residue].append(name)
    return found


def is_protonated(residue: str, names: Sequence[str]) -> bool:
    """Tell by its hydrogens whether a residue has the proton that it may lose or gain.

    The names of hydrogens differ between force fields, but not their number and the heavy atom they are on.
    """
    if residue == "HIS":
        return {"HD1", "HE2"} <= {*names}
    beginning, count = {"ASP": ("HD", 1), "GLU": ("HE", 1), "LYS": ("HZ", 3)}[residue]
    return sum(name.startswith(beginning) for name in names) >= count


def histidine_states(residues: Sequence[Residue], protein: Protein) -> Iterator[tuple[Residue, str]]:
    """Give every histidine with its state in the topology: HID (proton on ND1), HIE (NE2) or HIP (both)."""
    for residue, names in zip(residues, hydrogens(protein), strict=True):
        if residue.name == "HIS":
            on_delta, on_epsilon = "HD1" in names, "HE2" in names
            yield residue, "HIP" if on_delta and on_epsilon else "HID" if on_delta else "HIE"

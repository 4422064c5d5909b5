"""The residues of a cleaned structure, in the order of its topology: the table that later stages read."""

from __future__ import annotations

import os
import string
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace

from helixflow.errors import StructureError
from helixflow.files import read_tsv, write_text

#: What a residue's atoms come from: all seen in the file, some built, all built, or a peptide made by rule.
ORIGINS = ("observed", "completed", "built", "idealised")
#: Least and greatest number that a PDB file has room for.
LEAST_NUMBER, _MOST = -999, 9999
#: Ids of chains that a PDB file has room for.
SIGNS = [*string.ascii_uppercase, *string.ascii_lowercase, *string.digits]


@dataclass(frozen=True)
class Residue:
    """One residue; `index` counts from 0 over all chains, `chain`, `number` and `insertion` are the file's.

    `deposited` is its name in the file where that is another, `origin` one of `ORIGINS`, and `plddt` the
    confidence of a predicted structure, 0 to 100, or empty.
    """

    index: int
    chain: str
    number: int
    insertion: str
    name: str
    code: str
    deposited: str = ""
    origin: str = "observed"
    plddt: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.chain} {self.number}{self.insertion}"


def write_residues(final: str | os.PathLike[str], residues: Iterable[Residue]) -> None:
    """Write residues as a tab-separated table with a header line."""
    rows = [tuple(field.name for field in fields(Residue)), *map(astuple, residues)]
    write_text(final, "".join("\t".join(map(str, row)) + "\n" for row in rows))


def read_residues(path: str | os.PathLike[str]) -> list[Residue]:
    """Read what `write_residues` wrote."""
    return [
        Residue(**row | {"index": int(row["index"]), "number": int(row["number"])})  # type: ignore[arg-type]
        for row in read_tsv(path)
    ]


def chain_letters(residues: Iterable[Residue], *, share: bool = False) -> dict[str, str]:
    """Give each chain the one letter that a PDB file has room for, its own where that is possible.

    Parameters
    ----------
    residues : iterable of Residue
    share : bool
        Whether chains share letters where there are too many of them.

    Raises
    ------
    StructureError
        If there are more chains than letters and digits, and they may not share them.
    """
    chains = list(dict.fromkeys(residue.chain for residue in residues))
    free = [sign for sign in SIGNS if sign not in chains]
    longer = [chain for chain in chains if chain not in SIGNS]
    if len(longer) > len(free) and not share:
        raise StructureError(
            f"{len(chains)} chains, expected at most {len(SIGNS)}; name some in the sheet's column chain"
        )
    letters = [*free, *SIGNS * (len(longer) // len(SIGNS) + 1)]
    return {chain: chain for chain in chains} | dict(zip(longer, letters, strict=False))


def pdb_residues(residues: Iterable[Residue], *, share: bool = False) -> list[Residue]:
    """Return residues with chains as a PDB file has them, see `chain_letters`."""
    residues = list(residues)
    letters = chain_letters(residues, share=share)
    return [replace(residue, chain=letters[residue.chain]) for residue in residues]


def pdb_number(number: int) -> int:
    """Return a residue's number as a PDB file has it: beyond its four places, modulo 10000."""
    return number if LEAST_NUMBER <= number <= _MOST else number % (_MOST + 1)


def pdb_line(
    serial: int,
    atom: str,
    residue: Residue,
    xyz: Iterable[float],
    b_factor: float = 0.0,
    element: str = "",
) -> str:
    """Write one atom as a line of a PDB file.

    Parameters
    ----------
    serial : int
        From 1; more than the five digits of the format hold begin anew at 0.
    atom : str
        Its name, of which there is room for four letters.
    residue : Residue
        What it belongs to; its chain must be one letter, see `pdb_residues`, and its number is written as
        `pdb_number` gives it.
    xyz : three floats
        Coordinates, in ångström.
    b_factor : float
        In square ångström.
    element : str
        The first letter of the name where left out.
    """
    x, y, z = xyz
    number = f"{pdb_number(residue.number):4d}{residue.insertion or ' '}"
    name = atom[:4] if len(atom) > 3 else f" {atom:<3}"
    return (
        f"ATOM  {serial % 100000:5d} {name} {residue.name} {residue.chain}{number}"
        f"   {x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{b_factor:6.2f}          {element or atom[0]:>2}\n"
    )


def split_chains(residues: Iterable[Residue]) -> dict[str, list[Residue]]:
    """Sort residues into chains, in the order of the topology."""
    chains: dict[str, list[Residue]] = {}
    for residue in residues:
        chains.setdefault(residue.chain, []).append(residue)
    return chains


def sequence_of(residues: Iterable[Residue]) -> str:
    """Return the one-letter sequence of residues."""
    return "".join(residue.code for residue in residues)

"""The residues of a cleaned structure, in the order of its topology: the table that later stages read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from helixflow.files import read_tsv, write_text


@dataclass(frozen=True)
class Residue:
    """One residue; `index` counts from 0 over all chains, `number` and `insertion` are the file's.

    `deposited` is its name in the source where that is another one, `origin` how much of it was seen
    there (observed, completed, built, idealised), `plddt` the confidence of a predicted one.
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
        Residue(
            int(row["index"]),
            row["chain"],
            int(row["number"]),
            row["insertion"],
            row["name"],
            row["code"],
            row["deposited"],
            row["origin"],
            row["plddt"],
        )
        for row in read_tsv(path)
    ]


def pdb_line(serial: int, atom: str, residue: Residue, xyz: Iterable[float], b_factor: float = 0.0) -> str:
    """Write one atom as a line of a PDB file.

    Parameters
    ----------
    serial : int
        From 1; more than the five digits of the format hold begin anew at 0.
    atom : str
        Name of an atom of a protein, whose first letter is its element.
    residue : Residue
        What it belongs to.
    xyz : three floats
        Coordinates, in ångström.
    b_factor : float
        In square ångström.
    """
    x, y, z = xyz
    number = f"{residue.number:4d}{residue.insertion or ' '}"
    name = atom if len(atom) > 3 else f" {atom:<3}"
    return (
        f"ATOM  {serial % 100000:5d} {name} {residue.name} {residue.chain}{number}"
        f"   {x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{b_factor:6.2f}          {atom[0]:>2}\n"
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

"""The periodic box around a protein."""

from __future__ import annotations

from helixflow.gmx import GmxTools


def make_box(gmx: GmxTools, shape: str, distance_nm: float) -> None:
    """Put ``protein.gro`` into the middle of a box, at least `distance_nm` from its wall: ``box.gro``."""
    gmx("editconf", f="protein.gro", o="box.gro", bt=shape, d=distance_nm, c=True)


def read_box(coordinates: str) -> tuple[int, list[float]]:
    """Read from a .gro file the number of its atoms, and its box.

    Returns
    -------
    (int, list of float)
        Numbers of atoms are counted in the head, since those of the lines begin anew at 100,000. The box is
        three lengths, or three vectors as GROMACS orders them, in nm.
    """
    lines = coordinates.splitlines()
    return int(lines[1]), [float(value) for value in lines[-1].split()]

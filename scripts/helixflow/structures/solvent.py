"""Water around a protein."""

from __future__ import annotations

from helixflow.errors import StructureError
from helixflow.gmx import GmxTools
from helixflow.structures.force_fields import ForceField

#: Water molecules in a box, as GROMACS ships them, by water model.
_WATER_BOXES = {"spc": "spc216.gro", "spce": "spc216.gro", "tip3p": "spc216.gro", "tip4p": "tip4p.gro"}


def check_water(force_field: ForceField, water: str) -> None:
    """See that a force field has a water model.

    Raises
    ------
    StructureError
        Naming those that it has.
    """
    if water not in force_field.waters():
        known = [model for model in force_field.waters() if model in _WATER_BOXES]
        raise StructureError(
            f"config: 'structures/water' is {water}, which force field {force_field.name} does not have; it "
            f"has {', '.join(known) or 'none that can be used here'}"
        )


def add_water(gmx: GmxTools, water: str) -> None:
    """Fill ``box.gro`` with water: ``water.gro``, and one more line in ``topol.top``."""
    gmx("solvate", cp="box.gro", cs=_WATER_BOXES[water], o="water.gro", p="topol.top")

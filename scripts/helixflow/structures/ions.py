"""Ions that make a system neutral, and salt."""

from __future__ import annotations

from helixflow.errors import StructureError
from helixflow.gmx import GmxTools
from helixflow.structures.force_fields import ForceField

#: Nothing is computed from this run input; genion wants the coordinates and charges in it.
_IONS_MDP = "integrator = steep\ncutoff-scheme = Verlet\ncoulombtype = PME\n"


def check_ions(force_field: ForceField, cation: str, anion: str) -> None:
    """See that a force field has both ions, and that they are what they should be.

    Raises
    ------
    StructureError
        Naming those that it has.
    """
    charges = force_field.ions()
    for key, ion, sign in (("cation", cation, 1), ("anion", anion, -1)):
        if charges.get(ion) != sign:
            known = [name for name, charge in charges.items() if charge == sign]
            raise StructureError(
                f"config: 'structures/{key}' is {ion}, expected an ion of charge {sign:+d} of force field "
                f"{force_field.name}, which has {', '.join(known) or 'none'}"
            )


def add_ions(gmx: GmxTools, cation: str, anion: str, salt_M: float, seed: int) -> None:
    """Put ions in the place of waters of ``water.gro``: ``solvated.gro``, and their lines in ``topol.top``.

    Parameters
    ----------
    gmx : GmxTools
        Tools in the folder of the files.
    cation, anion : str
        Names of the ions' molecules in the force field, each of one elementary charge.
    salt_M : float
        Concentration beside the ions that neutralise the protein, in mol/l.
    seed : int
        Decides which waters.
    """
    (gmx.folder / "ions.mdp").write_text(_IONS_MDP, encoding="utf-8")
    # The one warning allowed: this run input has the protein's charge, which the ions are to neutralise.
    gmx("grompp", f="ions.mdp", c="water.gro", p="topol.top", o="ions.tpr", po="ions_full.mdp", maxwarn=1)
    gmx(
        "genion",
        answers=["SOL"],
        s="ions.tpr",
        o="solvated.gro",
        p="topol.top",
        pname=cation,
        nname=anion,
        neutral=True,
        conc=salt_M,
        seed=seed,
    )

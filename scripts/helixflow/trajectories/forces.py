"""Cut-offs and corrections by family of force fields: each is right only with those it was made for."""

from __future__ import annotations

from typing import Any

_COMMON: dict[str, Any] = {
    "cutoff-scheme": "Verlet",
    "coulombtype": "PME",
    "vdwtype": "Cut-off",
    "pbc": "xyz",
}

#: Run parameters by family; distances in nm.
FORCES: dict[str, dict[str, Any]] = {
    # Lindorff-Larsen et al., Proteins 2010, 78:1950 (ff99SB-ILDN): PME, Lennard-Jones cut at 1.0 nm.
    "amber": {**_COMMON, "rcoulomb": 1.0, "rvdw": 1.0, "DispCorr": "EnerPres"},
    # Jorgensen et al., J. Am. Chem. Soc. 1996, 118:11225: cut-offs of 0.9 to 1.1 nm with a correction for
    # what is beyond; PME in place of the cut-off of charges, as in all later work.
    "oplsaa": {**_COMMON, "rcoulomb": 1.0, "rvdw": 1.0, "DispCorr": "EnerPres"},
    # GROMACS reference manual, "CHARMM": forces are switched off from 1.0 to 1.2 nm, no correction.
    "charmm": {
        **_COMMON,
        "rcoulomb": 1.2,
        "vdw-modifier": "Force-switch",
        "rvdw-switch": 1.0,
        "rvdw": 1.2,
        "DispCorr": "no",
    },
}

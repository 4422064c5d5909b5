"""What cleaning knows of residues: the twenty amino acids, a few modified ones, and water."""

from __future__ import annotations

_BACKBONE = "N CA C O"
_SIDE_CHAINS = {
    "ALA": "CB",
    "ARG": "CB CG CD NE CZ NH1 NH2",
    "ASN": "CB CG OD1 ND2",
    "ASP": "CB CG OD1 OD2",
    "CYS": "CB SG",
    "GLN": "CB CG CD OE1 NE2",
    "GLU": "CB CG CD OE1 OE2",
    "GLY": "",
    "HIS": "CB CG ND1 CD2 CE1 NE2",
    "ILE": "CB CG1 CG2 CD1",
    "LEU": "CB CG CD1 CD2",
    "LYS": "CB CG CD CE NZ",
    "MET": "CB CG SD CE",
    "PHE": "CB CG CD1 CD2 CE1 CE2 CZ",
    "PRO": "CB CG CD",
    "SER": "CB OG",
    "THR": "CB OG1 CG2",
    "TRP": "CB CG CD1 CD2 NE1 CE2 CE3 CZ2 CZ3 CH2",
    "TYR": "CB CG CD1 CD2 CE1 CE2 CZ OH",
    "VAL": "CB CG1 CG2",
}

#: Heavy atoms of each amino acid within a chain; the last residue may have OXT as well.
HEAVY_ATOMS = {name: (_BACKBONE + " " + side).split() for name, side in _SIDE_CHAINS.items()}

LETTERS = dict(zip(_SIDE_CHAINS, "ARNDCQEGHILKMFPSTWYV", strict=True))

#: Residues that stand for a natural one: the natural residue, and what becomes of the atoms that differ
#: (a new name, or None where the atom goes). The last five are names that other force fields have for
#: states which pdb2gmx chooses itself; states that it would change (HIP, ASH, …) are not among them.
MODIFIED: dict[str, tuple[str, dict[str, str | None]]] = {
    "MSE": ("MET", {"SE": "SD"}),
    "MLY": ("LYS", {"CH1": None, "CH2": None}),
    "CSO": ("CYS", {"OD": None}),
    "CYX": ("CYS", {}),
    "HID": ("HIS", {}),
    "HIE": ("HIS", {}),
    "HSD": ("HIS", {}),
    "HSE": ("HIS", {}),
}

#: Names that GROMACS and CHARMM have for atoms of a residue (any one where it is empty), and those of the
#: PDB. All of a row are renamed or none.
OTHER_NAMES: list[tuple[str, dict[str, str]]] = [
    ("ILE", {"CD": "CD1"}),
    ("", {"O1": "O", "O2": "OXT"}),
    ("", {"OC1": "O", "OC2": "OXT"}),
    ("", {"OT1": "O", "OT2": "OXT"}),
]

WATERS = frozenset({"HOH", "WAT", "H2O", "DOD", "SOL", "TIP3"})

_TOPOLOGY_NAMES = {
    **dict.fromkeys(("HID", "HIE", "HIP", "HSD", "HSE", "HSP"), "HIS"),
    **dict.fromkeys(("CYX", "CYM"), "CYS"),
    **dict.fromkeys(("LYN", "LSN"), "LYS"),
}


def natural_name(name: str) -> str:
    """Return the amino acid behind a force field's name for one of its states (HSE, CYS2, GLUH)."""
    return _TOPOLOGY_NAMES.get(name[:3], name[:3])

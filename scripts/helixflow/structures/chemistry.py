"""What cleaning knows of the twenty amino acids: atoms, bonds, hands, and other names of their states."""

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

_BACKBONE_BONDS = "N-CA CA-C C-O"
_SIDE_CHAIN_BONDS = {
    "ALA": "CA-CB",
    "ARG": "CA-CB CB-CG CG-CD CD-NE NE-CZ CZ-NH1 CZ-NH2",
    "ASN": "CA-CB CB-CG CG-OD1 CG-ND2",
    "ASP": "CA-CB CB-CG CG-OD1 CG-OD2",
    "CYS": "CA-CB CB-SG",
    "GLN": "CA-CB CB-CG CG-CD CD-OE1 CD-NE2",
    "GLU": "CA-CB CB-CG CG-CD CD-OE1 CD-OE2",
    "GLY": "",
    "HIS": "CA-CB CB-CG CG-ND1 CG-CD2 ND1-CE1 CD2-NE2 CE1-NE2",
    "ILE": "CA-CB CB-CG1 CB-CG2 CG1-CD1",
    "LEU": "CA-CB CB-CG CG-CD1 CG-CD2",
    "LYS": "CA-CB CB-CG CG-CD CD-CE CE-NZ",
    "MET": "CA-CB CB-CG CG-SD SD-CE",
    "PHE": "CA-CB CB-CG CG-CD1 CG-CD2 CD1-CE1 CD2-CE2 CE1-CZ CE2-CZ",
    "PRO": "CA-CB CB-CG CG-CD CD-N",
    "SER": "CA-CB CB-OG",
    "THR": "CA-CB CB-OG1 CB-CG2",
    "TRP": "CA-CB CB-CG CG-CD1 CG-CD2 CD1-NE1 NE1-CE2 CD2-CE2 CD2-CE3 CE2-CZ2 CE3-CZ3 CZ2-CH2 CZ3-CH2",
    "TYR": "CA-CB CB-CG CG-CD1 CG-CD2 CD1-CE1 CD2-CE2 CE1-CZ CE2-CZ CZ-OH",
    "VAL": "CA-CB CB-CG1 CB-CG2",
}

#: Pairs of heavy atoms that are bonded within a residue, the last residue's OXT among them.
BONDS: dict[str, list[tuple[str, str]]] = {
    name: [(pair.split("-")[0], pair.split("-")[1]) for pair in f"{_BACKBONE_BONDS} C-OXT {side}".split()]
    for name, side in _SIDE_CHAIN_BONDS.items()
}

#: Rings of side chains.
RINGS: dict[str, list[list[str]]] = {
    "HIS": [["CG", "ND1", "CE1", "NE2", "CD2"]],
    "PHE": [["CG", "CD1", "CE1", "CZ", "CE2", "CD2"]],
    "PRO": [["N", "CA", "CB", "CG", "CD"]],
    "TRP": [["CG", "CD1", "NE1", "CE2", "CD2"], ["CD2", "CE2", "CZ2", "CH2", "CZ3", "CE3"]],
    "TYR": [["CG", "CD1", "CE1", "CZ", "CE2", "CD2"]],
}

#: Centres whose hand is fixed: centre, and three neighbours that are seen clockwise with the hydrogen behind.
CHIRAL_CENTRES: dict[str, list[tuple[str, str, str, str]]] = {
    "": [("CA", "N", "C", "CB")],
    "ILE": [("CB", "CA", "CG1", "CG2")],
    "THR": [("CB", "CA", "OG1", "CG2")],
}

#: D-amino acids, by the names of the Chemical Component Dictionary.
_D_NAMES = "DAL DAR DAS DCY DGL DGN DHI DIL DLE DLY DPN DPR DSG DSN DTH DTR DTY DVA MED"
D_RESIDUES = frozenset(_D_NAMES.split())

#: Names that GROMACS and CHARMM have for atoms of a residue (any one where it is empty), and those of the
#: PDB. All of a row are renamed or none.
OTHER_NAMES: list[tuple[str, dict[str, str]]] = [
    ("ILE", {"CD": "CD1"}),
    ("", {"O1": "O", "O2": "OXT"}),
    ("", {"OC1": "O", "OC2": "OXT"}),
    ("", {"OT1": "O", "OT2": "OXT"}),
]

#: Names that force fields have for the amino acids in one state or another.
_STATES = {
    "ARG": "ARGN",
    "ASN": "ASN1",
    "ASP": "ASH ASPH ASPP",
    "CYS": "CYM CYX CYSH CYS1 CYS2",
    "GLN": "QLN",
    "GLU": "GLH GLUH GLUP PGLU",
    "HIS": "HID HIE HIP HSD HSE HSP HISA HISB HISD HISE HISH HIS1 HIS2",
    "LYS": "LYN LYSH LSN LYP",
}
_NATURAL = {name: name for name in LETTERS} | {
    state: name for name, states in _STATES.items() for state in states.split()
}
#: One-letter codes of the residue names of force fields.
CODES = {name: LETTERS[natural] for name, natural in _NATURAL.items()}

#: Names of states which pdb2gmx chooses itself; those that it would change (HIP, ASH, …) are not among them.
STATES = {name: _NATURAL[name] for name in ("CYX", "HID", "HIE", "HSD", "HSE")}


def natural_name(name: str) -> str:
    """Return the amino acid that a residue of any force field is, such as HIS for NHIE; empty for others."""
    return next((_NATURAL[known] for known in spellings(name) if known in _NATURAL), "")


def spellings(name: str) -> list[str]:
    """Give a name, and that without the letter by which Amber marks the ends of a chain."""
    return [name, name[1:]] if len(name) == 4 and name[0] in "NC" else [name]

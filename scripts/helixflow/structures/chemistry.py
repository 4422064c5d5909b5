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

#: Names that other force fields have for states which pdb2gmx chooses itself; states that it would change
#: (HIP, ASH, …) are not among them.
STATES = {"CYX": "CYS", "HID": "HIS", "HIE": "HIS", "HSD": "HIS", "HSE": "HIS"}

_TOPOLOGY_NAMES = {
    **dict.fromkeys(("HID", "HIE", "HIP", "HSD", "HSE", "HSP"), "HIS"),
    **dict.fromkeys(("CYX", "CYM"), "CYS"),
    **dict.fromkeys(("LYN", "LSN"), "LYS"),
}


def natural_name(name: str) -> str:
    """Return the amino acid behind a force field's name for one of its states (HSE, CYS2, GLUH)."""
    return _TOPOLOGY_NAMES.get(name[:3], name[:3])

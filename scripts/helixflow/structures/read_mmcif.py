"""mmCIF files: the author's chains and numbers, which are those of the literature and of PDB files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from helixflow.errors import StructureError
from helixflow.structures.deposit import Atom, Deposit, Generator, Operator, Place, listed
from helixflow.structures.read_pdb import finite, position

#: Columns by category: ``{"_atom_site": {"Cartn_x": [...]}}``.
_Content = Mapping[str, Mapping[str, list[str]]]

_ATOM_COLUMNS = (
    "group_PDB",
    "type_symbol",
    "label_atom_id",
    "label_comp_id",
    "Cartn_x",
    "Cartn_y",
    "Cartn_z",
)


def read_mmcif(path: Path) -> Deposit:
    """Read an mmCIF file; errors are those of `helixflow.structures.read.read_structure`."""
    # A byte-order mark is no part of the text.
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    content = _read(path, text)
    _check_atoms(path, text, content)
    try:
        return Deposit(
            atoms=list(_atoms(path, content)),
            sequences=_sequences(content),
            assemblies=_assemblies(path, content),
            disulfides=list(_disulfides(content)),
            components=_components(content),
            predicted=any(
                "plddt" in name.lower() for name in content.get("_ma_qa_metric", {}).get("name", [])
            ),
        )
    except (ValueError, KeyError) as error:
        raise StructureError(f"{path}: not a whole mmCIF file ({error!r}); fetch it again") from None


def _read(path: Path, text: str) -> _Content:
    from Bio.PDB.MMCIF2Dict import MMCIF2Dict

    blocks = list(_blocks(text))
    if len(blocks) > 1:
        raise StructureError(
            f"{path}: has {len(blocks)} data blocks ({listed(blocks)}), expected one; keep that with the "
            "structure alone"
        )
    try:
        columns = MMCIF2Dict(io.StringIO(text))
    except ValueError as error:
        raise StructureError(f"{path}: not an mmCIF file or truncated ({error})") from None
    content: dict[str, dict[str, list[str]]] = {}
    for key, values in columns.items():
        category, _, name = key.partition(".")
        content.setdefault(category, {})[name] = values
    return content


def _blocks(text: str) -> Iterator[str]:
    """Give the names of the data blocks; a text between two semicolons may have such lines too."""
    inside = False
    for line in text.splitlines():
        if line.startswith(";"):
            inside = not inside
        elif not inside and line[:5].lower() == "data_":
            yield line.split()[0]


def _check_atoms(path: Path, text: str, content: _Content) -> None:
    """See that the atoms have their columns, and that their last row is whole."""
    columns = content.get("_atom_site", {})
    missing = [name for name in _ATOM_COLUMNS if name not in columns]
    if missing:
        raise StructureError(
            f"{path}: no column _atom_site.{missing[0]}, expected the atoms of an mmCIF file"
        )
    size = len(columns["group_PDB"])
    if any(len(column) != size for column in columns.values()):
        raise StructureError(f"{path}: truncated, the last row of _atom_site is not whole (fetch it again)")
    last = [line for line in text.splitlines() if line.strip()][-1]
    if last.startswith(("ATOM ", "HETATM ")):
        raise StructureError(
            f"{path}: truncated, its last line is row {size} of _atom_site, expected # or another category "
            "after the atoms (fetch it again, or add a line # if it is known to be whole)"
        )


def _rows(content: _Content, category: str) -> Iterator[dict[str, str]]:
    """Give the rows of a category, each with the values that are known."""
    columns = content.get(category, {})
    for values in zip(*columns.values(), strict=True):
        yield {name: value for name, value in zip(columns, values, strict=True) if value not in ("?", ".")}


def _atoms(path: Path, content: _Content) -> Iterator[Atom]:
    models: dict[str, int] = {}
    for number, row in enumerate(_rows(content, "_atom_site"), 1):
        model = models.setdefault(row.get("pdbx_PDB_model_num", "1"), len(models) + 1)
        try:
            yield _atom(row, model)
        except (ValueError, KeyError) as error:
            raise StructureError(
                f"{path}: row {number} of _atom_site is not a whole atom ({error})"
            ) from None


def _atom(row: Mapping[str, str], model: int) -> Atom:
    chain = row.get("auth_asym_id") or row["label_asym_id"]
    return Atom(
        model=model,
        chain=chain,
        number=int(row.get("auth_seq_id") or row["label_seq_id"]),
        insertion=row.get("pdbx_PDB_ins_code", ""),
        residue=row["label_comp_id"],
        hetero=row["group_PDB"] == "HETATM",
        name=row["label_atom_id"],
        altloc=row.get("label_alt_id", ""),
        element=row.get("type_symbol", "").upper(),
        xyz=position(row["Cartn_x"], row["Cartn_y"], row["Cartn_z"]),
        occupancy=finite("occupancy", row.get("occupancy", "1")),
        b_factor=finite("B factor", row.get("B_iso_or_equiv", "0")),
        part=row.get("label_asym_id", chain),
        sequence_number=int(row["label_seq_id"]) if "label_seq_id" in row else None,
    )


def _sequences(content: _Content) -> dict[str, list[str]]:
    sequences: dict[str, list[str]] = {}
    seen = set()
    for row in _rows(content, "_pdbx_poly_seq_scheme"):
        chain, number = row.get("pdb_strand_id", row["asym_id"]), row["seq_id"]
        # Where a position is occupied by two kinds of residue, the first one stands for it.
        if (chain, number) not in seen:
            sequences.setdefault(chain, []).append(row["mon_id"])
        seen.add((chain, number))
    return sequences


def _assemblies(path: Path, content: _Content) -> dict[str, list[Generator]]:
    operators = {row["id"]: _operator(row) for row in _rows(content, "_pdbx_struct_oper_list")}
    assemblies: dict[str, list[Generator]] = {}
    for row in _rows(content, "_pdbx_struct_assembly_gen"):
        expanded = list(_expand(row["oper_expression"]))
        for name in (name for names in expanded for name in names if name not in operators):
            raise StructureError(
                f"{path}: assembly {row['assembly_id']} is made by operator '{name}', expected one of "
                f"_pdbx_struct_oper_list ({listed(operators) or 'which is empty'}); mend one of them"
            )
        wanted = tuple(_compose([operators[name] for name in names]) for names in expanded)
        parts = tuple(part.strip() for part in row["asym_id_list"].split(","))
        assemblies.setdefault(row["assembly_id"], []).append(Generator(parts, wanted))
    return assemblies


def _operator(row: Mapping[str, str]) -> Operator:
    return [
        [
            *(finite("operator", row[f"matrix[{i}][{j}]"]) for j in (1, 2, 3)),
            finite("operator", row[f"vector[{i}]"]),
        ]
        for i in (1, 2, 3)
    ]


def _expand(expression: str) -> Iterator[tuple[str, ...]]:
    """Give the operators that an expression such as ``(1-3,7)(P)`` names, those that follow each other."""
    factors = re.findall(r"\(([^()]*)\)", expression) or [expression]
    yield from product(*(list(_names(factor)) for factor in factors))


def _names(factor: str) -> Iterator[str]:
    for item in (text.strip() for text in factor.split(",")):
        span = re.fullmatch(r"(\d+)-(\d+)", item)
        yield from map(str, range(int(span[1]), int(span[2]) + 1)) if span else [item]


def _compose(operators: list[Operator]) -> Operator:
    """Return the operator that applies several, the last one first."""
    import numpy as np

    whole = np.eye(4)
    for operator in operators:
        whole = whole @ np.vstack([operator, [0, 0, 0, 1]])
    rows: list[list[float]] = whole[:3].tolist()
    return rows


def _disulfides(content: _Content) -> Iterator[tuple[Place, Place]]:
    for row in _rows(content, "_struct_conn"):
        copies = {row.get(f"ptnr{i}_symmetry", "1_555") for i in (1, 2)}
        if row.get("conn_type_id") == "disulf" and copies == {"1_555"}:
            yield _partner(row, 1), _partner(row, 2)


def _partner(row: Mapping[str, str], which: int) -> Place:
    chain, number = row[f"ptnr{which}_auth_asym_id"], int(row[f"ptnr{which}_auth_seq_id"])
    return Place(chain, number, row.get(f"pdbx_ptnr{which}_PDB_ins_code", ""))


def _components(content: _Content) -> dict[str, str]:
    return {row["id"]: row.get("name", "") for row in _rows(content, "_chem_comp")}

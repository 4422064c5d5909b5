"""Which part of a file is taken: model, chains, assembly, and one location of every atom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from helixflow.errors import StructureError
from helixflow.structures.deposit import Atom, Generator, listed, name_of
from helixflow.structures.ledger import Ledger

#: The assembly that is the file as it is.
ASYMMETRIC = "asymmetric"
#: The location that is the likeliest.
BY_OCCUPANCY = "occupancy"


def take_model(atoms: list[Atom], model: int, ledger: Ledger) -> list[Atom]:
    """Keep one model; `model` counts from 1."""
    models = max(atom.model for atom in atoms)
    if model > models:
        raise StructureError(f"no model {model}, the file has {models} (structures/model in the config)")
    return ledger.keep(atoms, lambda atom: atom.model == model, "other model")


def take_chains(atoms: list[Atom], chains: Sequence[str], ledger: Ledger) -> list[Atom]:
    """Keep some chains, all where none is named."""
    known = list(dict.fromkeys(atom.chain for atom in atoms))
    for chain in chains:
        if chain not in known:
            raise StructureError(
                f"no chain '{chain}', found {listed(name or '(blank)' for name in known)} "
                "(column chain of the sample sheet)"
            )
    return ledger.keep(atoms, lambda atom: not chains or atom.chain in chains, "other chain")


def make_assembly(
    atoms: list[Atom], assembly: str | int, assemblies: Mapping[str, Sequence[Generator]], ledger: Ledger
) -> list[Atom]:
    """Make the copies of a biological assembly; the k-th copy of chain A is called A-k, the first one A.

    Parameters
    ----------
    atoms : list of Atom
        Of one model.
    assembly : str or int
        `ASYMMETRIC`, or an id of `assemblies`.
    assemblies : mapping of str to sequence of Generator
    ledger : Ledger

    Raises
    ------
    StructureError
        If the file has no such assembly, it has none of the atoms, or a copy would be called as another
        chain is.
    """
    assembly = str(assembly)  # An id in a config that looks like a number is one.
    if assembly == ASYMMETRIC:
        return atoms
    if assembly not in assemblies:
        found = listed(assemblies) or "none"
        raise StructureError(
            f"no assembly '{assembly}', the file names {found} (structures/assembly in the config, "
            f"{ASYMMETRIC} for the file as it is)"
        )
    generators = assemblies[assembly]
    if not any(generator.operators for generator in generators):
        raise StructureError(
            f"assembly {assembly} has no operators in the file, expected at least one; set "
            f"structures/assembly to {ASYMMETRIC}, or add them"
        )
    parts = {part for generator in generators for part in generator.parts}
    inside = ledger.keep(atoms, lambda atom: atom.part in parts, "not in the assembly")
    if not inside:
        raise StructureError(
            f"assembly {assembly} has none of the chains that were chosen (it has {listed(sorted(parts))}); "
            "name others in the sheet's column chain, or set structures/assembly"
        )
    copied = list(_copies(inside, generators))
    ledger.copy(inside, copied)
    for chain in dict.fromkeys(atom.chain for atom in copied if atom.chain not in {a.chain for a in inside}):
        ledger.actions.append({"action": "copied chain", "chain": chain.rpartition("-")[0], "to": chain})
    return copied


def original_chain(chain: str, known: Mapping[str, object]) -> str:
    """Return the chain of the file that a chain is a copy of, or itself."""
    return chain if chain in known else chain.rpartition("-")[0] or chain


def _copies(atoms: list[Atom], generators: Sequence[Generator]) -> Iterator[Atom]:
    """Give the atoms of each copy; all of a chain's first copy come before its second."""
    times: Counter[str] = Counter()
    by_part: dict[str, list[Atom]] = {}
    for atom in atoms:
        by_part.setdefault(atom.part, []).append(atom)
    copies = []
    for generator in generators:
        for operator in generator.operators:
            for part in (part for part in generator.parts if part in by_part):
                times[part] += 1
                copies.append((times[part], part, operator))
    # The copies of one number together, chains in the order of the file.
    order = {part: number for number, part in enumerate(by_part)}
    known = {atom.chain for atom in atoms}
    for number, part, operator in sorted(copies, key=lambda copy: (copy[0], order[copy[1]])):
        rotation, shift = np.array(operator)[:, :3], np.array(operator)[:, 3]
        for atom in by_part[part]:
            chain = atom.chain if number == 1 else f"{atom.chain}-{number}"
            if number > 1 and chain in known:
                raise StructureError(
                    f"copy {number} of chain {atom.chain} would be called {chain}, as another chain of the "
                    "file is, expected ids that differ; rename that chain in the file"
                )
            x, y, z = (rotation @ atom.xyz + shift).tolist()
            yield replace(atom, xyz=(x, y, z), chain=chain)


def take_locations(atoms: list[Atom], altloc: str, ledger: Ledger) -> list[Atom]:
    """Keep one alternate location of each residue.

    Parameters
    ----------
    atoms : list of Atom
    altloc : str
        `BY_OCCUPANCY` for that of highest mean occupancy, ties by its letter; or a letter, which is
        taken where a residue has it, and the likeliest elsewhere.
    ledger : Ledger
    """
    if altloc != BY_OCCUPANCY and not any(atom.altloc == altloc for atom in atoms):
        found = listed(sorted({atom.altloc for atom in atoms} - {""})) or "none"
        raise StructureError(
            f"no alternate location '{altloc}', found {found} (structures/altloc in the config, "
            f"{BY_OCCUPANCY} for the likeliest)"
        )
    positions: dict[tuple[str, int, str], list[Atom]] = {}
    for atom in atoms:
        positions.setdefault((atom.chain, atom.number, atom.insertion), []).append(atom)
    kept: set[int] = set()
    for position in positions.values():
        best = _best_location(position, altloc)
        # An atom that is not given there is taken from the likeliest location that has it.
        ranked = sorted(position, key=partial(_rank, best))
        chosen: dict[str, Atom] = {}
        for atom in ranked:
            if atom.residue == ranked[0].residue:
                chosen.setdefault(atom.name, atom)
        kept |= set(map(id, chosen.values()))
        others = sorted({atom.altloc for atom in position} - {"", best})
        if others:
            ledger.act("chose location", ranked[0], kept=best, set_aside=others)
    return ledger.keep(atoms, lambda atom: id(atom) in kept, "other alternate location")


def _rank(best: str, atom: Atom) -> tuple[bool, float, str]:
    return atom.altloc not in ("", best), -atom.occupancy, atom.altloc


def _best_location(position: list[Atom], altloc: str) -> str:
    """Choose the alternate location of a residue, and see that nothing is given twice."""
    names = sorted({atom.residue for atom in position} - {position[0].residue})
    if names and not all(atom.altloc for atom in position):
        raise StructureError(
            f"{name_of(position[0])} shares its number with {', '.join(names)}, expected one residue, or "
            "each with a letter of its own as alternate location; renumber them, give their chains different "
            "ids, or add the letters"
        )
    records = Counter((atom.residue, atom.name, atom.altloc) for atom in position)
    (_, name, _), times = records.most_common(1)[0]
    if times > 1:
        raise StructureError(f"{name_of(position[0])} has atom {name} {times} times, expected once")
    occupancies: dict[str, list[float]] = {}
    for atom in position:
        occupancies.setdefault(atom.altloc, []).append(atom.occupancy)
    if altloc in occupancies:
        return altloc
    located = {name: sum(values) / len(values) for name, values in occupancies.items() if name}
    return min(located, key=lambda name: (-located[name], name), default="")

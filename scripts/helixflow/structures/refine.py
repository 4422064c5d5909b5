"""Built atoms brought into a shape that can be: natural hands, trans peptide bonds, no clashes.

The atoms that were built move, all others stay. Bond lengths and angles are held at those of ideal residues
by springs between atoms one and two bonds apart; hands and peptide bonds by torsions; atoms further apart
push each other off. It ends in a start for a force field's minimisation, not in a prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from helixflow.structures.chemistry import BONDS, CHIRAL_CENTRES, RINGS
from helixflow.structures.deposit import Atom, rounded
from helixflow.structures.geometry import bonds_of, torsion

#: Springs in kJ/mol/nm², torsions in kJ/mol, as strong as in force fields or less.
_SPRING_OF_BOND, _SPRING_OF_ANGLE, _HAND, _PEPTIDE = 2e5, 6e4, 1000.0, 200.0
#: Distance in nm below which atoms push each other off.
_CONTACT = 0.32
#: Distances of a peptide bond, in nm: of C, CA and O to the next N, and of C to the next CA.
_PEPTIDE_DISTANCES = {("C", "N"): 0.1329, ("CA", "N"): 0.2425, ("O", "N"): 0.2250, ("C", "CA"): 0.2435}
#: Length of a disulfide bond, in nm.
_DISULFIDE = 0.205
_ROUNDS, _STEPS = 12, 150

Chains = list[list[list[Atom]]]


def refine(chains: Chains, seed: int, disulfides: Sequence[tuple[Atom, Atom]] = ()) -> Chains:
    """Move the atoms that were built until their geometry is right, or as right as it gets.

    Parameters
    ----------
    chains : list of list of list of Atom
        Whole natural residues.
    seed : int
        Of the short dynamics that gets atoms past each other.
    disulfides : sequence of (Atom, Atom)
        Sulfur atoms of `chains` that are to be bonded.

    Returns
    -------
    list of list of list of Atom
        The same, with other coordinates of the atoms that were built.
    """
    import openmm

    atoms = [atom for chain in chains for residue in chain for atom in residue]
    number = {id(atom): at for at, atom in enumerate(atoms)}
    system, moving = openmm.System(), [at for at, atom in enumerate(atoms) if atom.built]
    for atom in atoms:
        system.addParticle(12.0 if atom.built else 0.0)
    springs = _springs(chains, number)
    for first, second in disulfides:
        springs.addBond(number[id(first)], number[id(second)], _DISULFIDE, _SPRING_OF_ANGLE)
    system.addForce(springs)
    system.addForce(_torsions(chains, number))
    bonds = [*(pair for chain in chains for pair in bonds_of(chain)), *disulfides]
    system.addForce(_repulsion([(number[id(a)], number[id(b)]) for a, b in bonds], len(atoms), moving))
    integrator = openmm.LangevinMiddleIntegrator(400.0, 10.0, 0.002)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    # Hands cannot be turned where four atoms lie exactly in a plane.
    noise = np.random.default_rng(seed).normal(0, 0.005, (len(atoms), 3))
    noise[[not atom.built for atom in atoms]] = 0
    context.setPositions(np.array([atom.xyz for atom in atoms]) / 10 + noise)
    places = _anneal(context, integrator)
    moved = {id(atoms[at]): replace(atoms[at], xyz=rounded(places[at] * 10)) for at in moving}
    return [[[moved.get(id(atom), atom) for atom in residue] for residue in chain] for chain in chains]


def _anneal(context: Any, integrator: Any) -> Any:
    """Minimise without contacts, let them grow during short dynamics, and minimise; positions in nm."""
    import openmm

    for part in range(_ROUNDS + 1):
        context.setParameter("push", 20000.0 * (part / _ROUNDS) ** 2)
        openmm.LocalEnergyMinimizer.minimize(context, 10.0, 300)
        if part < _ROUNDS:
            context.setVelocitiesToTemperature(400.0, part + 1)
            integrator.step(_STEPS)
    openmm.LocalEnergyMinimizer.minimize(context, 1.0, 2000)
    return context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(openmm.unit.nanometer)


def _springs(chains: Chains, number: dict[int, int]) -> Any:
    """Hold atoms one and two bonds apart, and across rings, at their distances in ideal residues."""
    import openmm

    force = openmm.HarmonicBondForce()
    for chain in chains:
        for residue in chain:
            for first, second, distance, bonded in _ideal_distances(residue):
                if first.built or second.built:
                    spring = _SPRING_OF_BOND if bonded else _SPRING_OF_ANGLE
                    force.addBond(number[id(first)], number[id(second)], distance, spring)
        for before, after in pairwise(chain):
            one, two = ({atom.name: atom for atom in residue} for residue in (before, after))
            for (name, other), distance in _PEPTIDE_DISTANCES.items():
                if name in one and other in two and (one[name].built or two[other].built):
                    spring = _SPRING_OF_BOND if (name, other) == ("C", "N") else _SPRING_OF_ANGLE
                    force.addBond(number[id(one[name])], number[id(two[other])], distance, spring)
    return force


def _ideal_distances(residue: list[Atom]) -> Iterator[tuple[Atom, Atom, float, bool]]:
    """Give the pairs of a residue one or two bonds apart or in one ring, their ideal distance in nm."""
    name = residue[0].residue
    ideal = ideal_residue(name)
    atoms = {atom.name: atom for atom in residue if atom.name in ideal}
    bonds = {frozenset(pair) for pair in BONDS[name]}
    near = {
        frozenset((first, second))
        for middle in atoms
        for first, second in combinations(
            [next(iter(bond - {middle})) for bond in bonds if middle in bond], 2
        )
    }
    rings = {frozenset(pair) for ring in RINGS.get(name, []) for pair in combinations(ring, 2)}
    for first, second in combinations(atoms, 2):
        pair = frozenset((first, second))
        if pair in bonds or pair in near or pair in rings:
            distance = math.dist(ideal[first], ideal[second]) / 10
            yield atoms[first], atoms[second], distance, pair in bonds


def _torsions(chains: Chains, number: dict[int, int]) -> Any:
    """Hold the hands of centres, and peptide bonds trans."""
    import openmm

    force = openmm.CustomTorsionForce("0.5*k*min(d, 6.283185307179586-d)^2; d=abs(theta-theta0)")
    force.addPerTorsionParameter("theta0")
    force.addPerTorsionParameter("k")
    for chain in chains:
        for residue in chain:
            atoms, name = {atom.name: atom for atom in residue}, residue[0].residue
            for centre in [*CHIRAL_CENTRES[""], *CHIRAL_CENTRES.get(name, [])]:
                if atoms.keys() >= set(centre) and any(atoms[one].built for one in centre):
                    ideal = ideal_residue(name)
                    angle = math.radians(torsion([ideal[one] for one in centre]))
                    force.addTorsion(*(number[id(atoms[one])] for one in centre), [angle, _HAND])
        for before, after in pairwise(chain):
            one, two = ({atom.name: atom for atom in residue} for residue in (before, after))
            members = [one["CA"], one["C"], two["N"], two["CA"]]
            if any(atom.built for atom in members):
                force.addTorsion(*(number[id(atom)] for atom in members), [math.pi, _PEPTIDE])
    return force


def _repulsion(bonds: list[tuple[int, int]], n_atom: int, moving: Sequence[int]) -> Any:
    """Push off atoms more than three bonds apart, one of which moves."""
    import openmm

    force = openmm.CustomNonbondedForce(f"push*step({_CONTACT}-r)*({_CONTACT}-r)^2")
    force.addGlobalParameter("push", 0.0)
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffNonPeriodic)
    force.setCutoffDistance(_CONTACT)
    for _ in range(n_atom):
        force.addParticle([])
    force.createExclusionsFromBonds(bonds, 3)
    force.addInteractionGroup(moving, range(n_atom))
    return force


def ideal_residue(name: str) -> dict[str, tuple[float, float, float]]:
    """Return the heavy atoms of an ideal L-residue, in ångström, by their names."""
    from helixflow.structures.peptide import ideal_chain

    ((_, atoms),) = ideal_chain([name])
    return atoms

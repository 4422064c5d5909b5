"""The limits of the quality checks, as the configuration has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Judgement:
    """What a run must keep to; names and units are those of ``trajectories/quality`` in the configuration.

    `gates` is ``fail`` where a run that does not is an error, and ``warn`` where it is only marked.
    """

    gates: str = "fail"
    shortest_ps: float = 20
    temperature_errors: float = 3
    temperature_tolerance: float = 0.001
    density_low_kg_m3: float = 900
    density_high_kg_m3: float = 1150
    drift_kJ_mol_ps_atom: float = 0.01
    constraint_warnings: int = 0
    image_cutoffs: float = 1
    jump_sigmas: float = 9
    longest_bond_nm: float = 0.3
    bond_stretch: float = 1.3
    disulfide_nm: float = 0.25

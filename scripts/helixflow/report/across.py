"""Section over all structures: one table, and what is learnt of some structures and tried on others."""

from __future__ import annotations

from collections.abc import Sequence

from helixflow.report.blocks import Section


def across_sections(structures: str | Sequence[str], across: str | Sequence[str]) -> list[Section]:
    """Show all structures beside each other; no section where there are fewer than two."""
    return []

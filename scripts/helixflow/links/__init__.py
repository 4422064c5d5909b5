"""Stage links: which protein each chain of a structure is, residue by residue."""

from __future__ import annotations

from helixflow.links.chains import LinkSettings, link_chains

__all__ = ["LinkSettings", "link_chains"]

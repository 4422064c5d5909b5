"""Stage sequences: fetch every source of the sheet and write it in one normal form."""

from __future__ import annotations

from helixflow.sequences.fetch import Fetched, FetchSettings, fetch
from helixflow.sequences.normalise import write_sequences, write_structure

__all__ = ["FetchSettings", "Fetched", "fetch", "write_sequences", "write_structure"]

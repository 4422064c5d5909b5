"""Stage sequences: fetch every source of the sheet and write it in one normal form."""

from __future__ import annotations

from helixflow.sequences.collection import fetch_collection
from helixflow.sequences.fetch import Fetcher, FetchSettings, Source, find_lock, open_fetcher
from helixflow.sequences.lock import write_lock
from helixflow.sequences.rows import fetch_reads, fetch_sequence, fetch_structure, fetch_trajectory

__all__ = [
    "FetchSettings",
    "Fetcher",
    "Source",
    "fetch_collection",
    "fetch_reads",
    "fetch_sequence",
    "fetch_structure",
    "fetch_trajectory",
    "find_lock",
    "open_fetcher",
    "write_lock",
]

"""Stage buckets: k-mer spectra, sketches of units, and groups of similar units."""

from __future__ import annotations

from helixflow.buckets.groups import group_files, group_units
from helixflow.buckets.kmers import BucketSettings, Hyperplanes, hash_members
from helixflow.buckets.sketches import EMPTY, SATURATED, jaccard, sketch

__all__ = [
    "EMPTY",
    "SATURATED",
    "BucketSettings",
    "Hyperplanes",
    "group_files",
    "group_units",
    "hash_members",
    "jaccard",
    "sketch",
]

"""Stage buckets: k-mer spectra, sketches of units, and groups of similar units."""

from __future__ import annotations

from helixflow.buckets.families import Encoding, make_encoding
from helixflow.buckets.files import hash_members, merge_files
from helixflow.buckets.groups import group_files, group_units
from helixflow.buckets.settings import BucketSettings
from helixflow.buckets.sketches import EMPTY, SATURATED, jaccard, sketch
from helixflow.buckets.spectra import Ids, Pass

__all__ = [
    "EMPTY",
    "SATURATED",
    "BucketSettings",
    "Encoding",
    "Ids",
    "Pass",
    "group_files",
    "group_units",
    "hash_members",
    "jaccard",
    "make_encoding",
    "merge_files",
    "sketch",
]

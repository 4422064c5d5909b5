"""Stage buckets: k-mer spectra, sketches of units, groups of similar units, and partitions of records."""

from helixflow.buckets.settings import BucketSettings, check_settings

__all__ = ["BucketSettings", "check_settings"]

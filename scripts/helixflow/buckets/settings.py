"""What decides the bucket of a k-mer, and the sketch of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class BucketSettings:
    """The keys of the config that decide bytes; see its schema for their meaning."""

    k: int
    bits: int
    family: str
    seed: int
    sketch_size: int
    symmetric: bool = False
    planes: str = ""
    modulus: int = 20_000_000
    patterns: Sequence[str] = ("1111111111",)
    sketch_family: str = "hash"
    sketch_k: int = 21
    sketch_bits: int = 32

    def of_sketch(self) -> BucketSettings:
        """Return the settings whose buckets are sketched."""
        return replace(self, family=self.sketch_family, k=self.sketch_k, bits=self.sketch_bits)

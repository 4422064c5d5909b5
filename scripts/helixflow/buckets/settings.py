"""What decides the bucket of a k-mer and the sketch of a unit, checked before any job starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from helixflow.errors import ConfigError

#: Planes there may be, and bits of a pattern: the counters of 2^26 buckets take 256 MiB.
MOST_BITS = 26
#: Patterns there may be, a table of up to 2^26 buckets each.
_MOST_PATTERNS = 8
#: Bases of a pattern: a k-mer of it is a number of 64 bits.
_LONGEST_PATTERN = 32
#: What a family is made of.
_KEYS = {
    "hyperplane": ("k", "bits", "symmetric", "seed"),
    "lshvec": ("k", "bits", "planes", "modulus", "seed"),
    "spaced": ("patterns",),
    "hash": ("k", "bits", "seed"),
}


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

    @classmethod
    def of(cls, section: dict[str, Any]) -> BucketSettings:
        """Return the settings of the section ``buckets`` of the configuration."""
        return cls(**{field.name: section[field.name] for field in fields(cls)})

    def of_sketch(self) -> BucketSettings:
        """Return the settings whose buckets are sketched."""
        return replace(self, family=self.sketch_family, k=self.sketch_k, bits=self.sketch_bits)

    def deciding(self) -> dict[str, Any]:
        """Return the keys that these families use, so that a change of another repeats nothing."""
        of_sketch = {"k": "sketch_k", "bits": "sketch_bits"}
        names = {"family", "sketch_family", "sketch_size", *_KEYS[self.family]}
        names |= {of_sketch.get(key, key) for key in _KEYS[self.sketch_family]}
        return {name: value for name, value in asdict(self).items() if name in names}

    def planes_files(self) -> list[str]:
        """Return the file of planes, where one is used."""
        used = self.planes and "lshvec" in (self.family, self.sketch_family)
        return [self.planes] if used else []


def check_settings(section: dict[str, Any]) -> None:
    """Check what the schema cannot: that both families can be made.

    Parameters
    ----------
    section : dict
        The section ``buckets`` of the configuration.

    Raises
    ------
    ConfigError
        With one line for the first thing that is wrong.
    """
    settings = BucketSettings.of(section)
    for each in (settings, settings.of_sketch()):
        check_family(each)
        if each.family == "lshvec" and each.planes:
            from helixflow.buckets.planes import read_planes

            read_planes(each.planes, each.k)


def check_family(settings: BucketSettings) -> None:
    """Check that a family can be made with these values; planes of a file are not looked at.

    Raises
    ------
    ConfigError
        When it cannot.
    """
    if settings.family == "spaced":
        _check_patterns(settings.patterns)
    elif settings.family == "hyperplane" or (settings.family == "lshvec" and not settings.planes):
        _check_bits(settings)
    if settings.family == "hyperplane" and settings.symmetric and settings.k < 2:
        raise ConfigError("buckets/symmetric: no plane tells one base from its complement (expected k of 2)")


def _check_bits(settings: BucketSettings) -> None:
    if settings.bits > MOST_BITS:
        raise ConfigError(
            f"buckets: {settings.bits} bits of family {settings.family}, expected at most {MOST_BITS} "
            "(buckets/bits, or buckets/sketch_bits where it is buckets/sketch_family)"
        )


def _check_patterns(patterns: Sequence[str]) -> None:
    if not 1 <= len(patterns) <= _MOST_PATTERNS:
        raise ConfigError(f"buckets/patterns: has {len(patterns)}, expected 1 to {_MOST_PATTERNS}")
    for text in patterns:
        if not 1 <= len(text) <= _LONGEST_PATTERN or set(text) - set("10RK") or set(text) == {"0"}:
            raise ConfigError(
                f"buckets/patterns: {text!r} is no pattern (expected 1 to {_LONGEST_PATTERN} of 1, 0, R, K, "
                "not all of them 0)"
            )
        bits = chosen_bits(text).count("1")
        if bits > MOST_BITS:
            raise ConfigError(f"buckets/patterns: '{text}' chooses {bits} bits, expected at most {MOST_BITS}")


def chosen_bits(pattern: str) -> str:
    """Return a pattern as two characters a base, ``1`` where the bit of a k-mer is chosen."""
    return "".join({"1": "11", "0": "00", "K": "10", "R": "01"}[letter] for letter in pattern)

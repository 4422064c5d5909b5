"""Families of hashes from k-mers to buckets: which kernel computes the ids, and from which tables.

Bases are the numbers A = 0, C = 1, G = 2, T = 3, whose complement is 3 - b. Planes take them for the complex
numbers A = -1, C = -i, G = +i, T = +1 of LSHVec (Shi & Chen, ACM BCB 2021), whose complement is -z. Whatever
the family, both strands of a k-mer are in one bucket, and ids are computed from integers alone: they
depend neither on the order of a sum nor on the machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.patterns import Pattern
from helixflow.buckets.planes import (
    aligned,
    fixed_planes,
    plane_table,
    plane_weights,
    read_planes,
    sample_planes,
)
from helixflow.buckets.settings import BucketSettings, check_family

#: Bases of a chunk of a table of lanes of 8 bits, and of 64.
_CHUNK, _WIDE_CHUNK = 5, 3


@dataclass(frozen=True)
class Encoding:
    """A hash from k-mers to buckets.

    Attributes
    ----------
    span : int
        Bases that an id depends on at most.
    shortest : int
        Bases that an id depends on at least.
    n_bucket : int
        Ids are below this.
    per_window : int
        Ids that end at one base at most.
    kernel : str
        What in `kernels` computes ids.
    tables : tuple
        What it is called with, behind the arguments that all kernels have.
    about : dict
        The family and what it was made of, for the attributes of a file.
    """

    span: int
    shortest: int
    n_bucket: int
    kernel: str
    tables: tuple[Any, ...]
    about: dict[str, Any]
    per_window: int = 1

    def hash(
        self,
        codes: NDArray[np.uint8],
        first: int,
        starts: NDArray[np.int64],
        marks: NDArray[np.int64],
        ids: NDArray[np.uint32],
    ) -> int:
        """Write the ids of a block of codes as `kernels` describes it, and return their number."""
        from helixflow.buckets import kernels

        return int(getattr(kernels, self.kernel)(codes, first, starts, marks, ids, *self.tables))


def make_encoding(settings: BucketSettings) -> Encoding:
    """Return the hash that settings describe.

    Raises
    ------
    ConfigError
        When the family cannot be made with these values.
    """
    check_family(settings)
    return _FAMILIES[settings.family](settings)


def _make_hyperplane(settings: BucketSettings) -> Encoding:
    """Random planes through the origin."""
    weights = plane_weights(settings)
    strands = 1 if settings.symmetric else 2
    table = plane_table(weights, np.zeros(settings.bits, np.int64), strands, _CHUNK).astype(np.int8)
    about = _about(settings, "k", "bits", "seed", "symmetric")
    tables = (aligned(table), settings.k, _CHUNK, strands)
    return Encoding(settings.k, settings.k, 1 << settings.bits, "planes", tables, about)


def _make_lshvec(settings: BucketSettings) -> Encoding:
    """LSHVec's affine planes: bit j is Re(x conj(p)) > Re(c), modulo a number; then the smaller strand."""
    if settings.planes:
        normals, offsets = read_planes(settings.planes, settings.k)
        settings = replace(settings, bits=len(normals))
    else:
        normals, offsets = sample_planes(settings.k, settings.bits, settings.seed)
    weights, thresholds = fixed_planes(normals, offsets)
    table = plane_table(weights, thresholds, 2, _WIDE_CHUNK)
    folded = settings.modulus < 1 << settings.bits
    n_bucket = settings.modulus if folded else 1 << settings.bits
    digest = hashlib.sha256(weights.tobytes() + thresholds.tobytes()).hexdigest()
    about = _about(settings, "k", "bits", "modulus") | {"planes": f"sha256:{digest}"}
    return Encoding(
        settings.k,
        settings.k,
        n_bucket,
        "wide_planes",
        (aligned(table), settings.k, _WIDE_CHUNK, 2, settings.modulus if folded else 0),
        about if settings.planes else about | {"seed": settings.seed},
    )


def _make_hash(settings: BucketSettings) -> Encoding:
    """The control: canonical k-mers of which none is near another."""
    kernel = "short_hash" if settings.k <= 32 else "long_hash"
    tables = (settings.k, settings.bits, np.uint64(settings.seed))
    about = _about(settings, "k", "bits", "seed")
    return Encoding(settings.k, settings.k, 1 << settings.bits, kernel, tables, about)


def _make_spaced(settings: BucketSettings) -> Encoding:
    """Chosen bits of chosen positions, by one or several patterns, each with buckets of its own."""
    patterns = [Pattern(text) for text in settings.patterns]
    sizes = [len(pattern.bitmap) for pattern in patterns]
    pieces = [piece for pattern in patterns for piece in pattern.pieces]
    bitmap = np.concatenate([pattern.bitmap for pattern in patterns])
    used = np.array([int(word).bit_count() for word in bitmap], np.uint32)
    tables = (
        np.array([pattern.span for pattern in patterns], np.int64),
        np.cumsum([0, *(len(pattern.pieces) for pattern in patterns)]).astype(np.int64),
        np.array([shift for shift, _ in pieces], np.uint64),
        np.array([(1 << width) - 1 for _, width in pieces], np.uint64),
        bitmap,
        (np.cumsum(used) - used).astype(np.uint32),
        np.cumsum([0, *sizes[:-1]]).astype(np.int64),
    )
    n_bucket, span = int(used.sum()), max(pattern.span for pattern in patterns)
    bits = (n_bucket - 1).bit_length()
    about = {"family": "spaced", "k": span, "bits": bits, "patterns": ",".join(settings.patterns)}
    return Encoding(span, int(tables[0].min()), n_bucket, "spaced", tables, about, len(patterns))


def _about(settings: BucketSettings, *keys: str) -> dict[str, Any]:
    return {"family": settings.family} | {key: getattr(settings, key) for key in keys}


_FAMILIES: dict[str, Callable[[BucketSettings], Encoding]] = {
    "hyperplane": _make_hyperplane,
    "lshvec": _make_lshvec,
    "spaced": _make_spaced,
    "hash": _make_hash,
}

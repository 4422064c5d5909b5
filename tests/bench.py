"""Benchmarks: CPU time and memory beside a named peer that does the same work in the same run.

    make bench

The machine's speed drops out of a ratio; absolute rates hold for this machine alone. Every piece of
work runs in a process of its own, on one thread; its CPU seconds and peak memory are those that the
operating system counted.
"""

import os
import platform
import tempfile
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from bench_buckets import bench_buckets
from bench_coanalysis import bench_coanalysis
from bench_embeddings import bench_embeddings
from bench_groups import bench_groups
from bench_md import bench_md
from bench_packing import bench_packing
from bench_proteins import bench_proteins
from bench_sequences import bench_sequences
from bench_store import bench_store

if __name__ == "__main__":
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, one thread each"
    )
    for bench in (
        bench_sequences,
        bench_buckets,
        bench_groups,
        bench_proteins,
        bench_embeddings,
        bench_store,
        bench_coanalysis,
        bench_md,
        bench_packing,
    ):
        with tempfile.TemporaryDirectory() as scratch:
            bench(Path(scratch))

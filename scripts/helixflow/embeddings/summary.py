"""What a shard's job did and how fast: a line of its log, and a file that the report shows."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from helixflow.embeddings.compute import device_name
from helixflow.embeddings.encoder import make_packs
from helixflow.embeddings.model import ModelDescription
from helixflow.files import write_json

log = logging.getLogger(__name__)


@dataclass
class ShardSummary:
    """Proteins that a job was given and embedded, and what that took.

    given: proteins of its file; proteins, residues: what it computed; packing: share of the token budget
    that its packs used; memory_MB: most that it had; gpu_memory_MB: the same of the GPU, 0 without one.
    """

    device: str
    threads: int
    compute_dtype: str
    given: int
    proteins: int = 0
    residues: int = 0
    seconds: float = 0.0
    residues_per_s: float = 0.0
    packing: float = 0.0
    memory_MB: int = 0
    gpu_memory_MB: int = 0
    _tokens: int = 0
    _room: int = 0

    def count(self, part: Mapping[str, str], token_budget: int) -> None:
        """Count the proteins of a part that was computed."""
        lengths = {name: len(sequence) for name, sequence in part.items()}
        for pack in make_packs(lengths, token_budget):
            tokens = sum(lengths[name] + 2 for name in pack)
            self._tokens, self._room = self._tokens + tokens, self._room + max(tokens, token_budget)
        self.proteins, self.residues = self.proteins + len(part), self.residues + sum(lengths.values())

    def finish(self, seconds: float) -> None:
        """Say what it took in the log."""
        import torch

        self.seconds = round(seconds, 3)
        self.residues_per_s = round(self.residues / seconds, 1)
        self.packing = round(self._tokens / self._room, 4) if self._room else 0.0
        self.memory_MB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if torch.cuda.is_available():
            self.gpu_memory_MB = torch.cuda.max_memory_allocated() // 2**20
        log.info(
            "%d proteins, %d residues in %.1f s, %.0f residues/s, packs %.1f %% full, at most %d MB "
            "and %d MB of the GPU; %s on %s, %d threads",
            self.proteins, self.residues, seconds, self.residues_per_s, 100 * self.packing, self.memory_MB,
            self.gpu_memory_MB, self.compute_dtype, self.device, self.threads,
        )  # fmt: skip


def summarise(model: ModelDescription, threads: int, given: int) -> ShardSummary:
    """Return the summary of a job that has done nothing yet."""
    return ShardSummary(device_name(), threads, model.compute_dtype, given)


def write_summary(path: str | os.PathLike[str], summary: ShardSummary) -> None:
    """Write a summary as JSON."""
    write_json(path, {name: value for name, value in asdict(summary).items() if not name.startswith("_")})

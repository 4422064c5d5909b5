"""A loaded model: proteins in, vectors of their residues out, whatever fits into memory at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.compute import BFLOAT16, bfloat16_unit
from helixflow.embeddings.model import ModelDescription, load_model, warn_of_note
from helixflow.embeddings.packed import PackedBert
from helixflow.embeddings.tokens import encode, token_table
from helixflow.errors import EmbeddingError

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

#: Vectors of the proteins of a pack, (L, D) float32 each.
Vectors = list[NDArray[np.float32]]

# What memory that ran out is called by CPU allocators, oneDNN and cuBLAS; CUDA's allocator has a class.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "could not create a memory object",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


class Encoder:
    """A loaded model with its tokens: normalised proteins in, float32 vectors of their residues out."""

    def __init__(self, description: ModelDescription, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.description = description
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.table = token_table(description.vocabulary)
        self.model = PackedBert(
            load_model(description), self.device, getattr(torch, description.compute_dtype)
        )
        log.info(
            "model %s on %s in %s, %d threads",
            description.model, self.device, description.compute_dtype, threads,
        )  # fmt: skip
        if description.compute_dtype == BFLOAT16 and not bfloat16_unit():
            log.warning("this machine has no unit for bfloat16, which is slow here")
        warn_of_note(description)

    def __call__(self, sequences: list[str]) -> Vectors:
        """Return the last hidden layer of each protein, (L, D) without special tokens."""
        return self.start(sequences)()

    def start(self, sequences: list[str]) -> Callable[[], Vectors]:
        """Start a pack; what is returned gives its vectors.

        A GPU works on while the vectors of the pack before are dealt with. Where memory runs out, the
        halves of the pack are tried, down to a single protein, which is then computed in blocks.
        """
        try:
            return self._forward(sequences)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
        # Behind the except: what the failed try held is free by now.
        self._free()
        tokens = sum(map(len, sequences)) + 2 * len(sequences)
        if len(sequences) == 1:
            return self._in_blocks(sequences, tokens)
        log.warning("no memory for a pack of %d tokens, trying its halves; lower token_budget", tokens)
        half = len(sequences) // 2
        vectors = self(sequences[:half]) + self(sequences[half:])
        return lambda: vectors

    def _in_blocks(self, sequences: list[str], tokens: int) -> Callable[[], Vectors]:
        """Compute a protein for which there is no memory in blocks, halved until they fit."""
        block = tokens
        while block > 1:
            block = (block + 1) // 2
            try:
                finish = self._forward(sequences, block)
                log.warning("a protein of %d tokens was computed in blocks of %d", tokens, block)
                return finish
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
            self._free()
        raise EmbeddingError(
            f"a protein of {tokens - 2} residues does not fit into the memory of this machine "
            f"({self.device}), not even one residue at a time; run on one with more"
        )

    def _forward(self, sequences: list[str], block: int | None = None) -> Callable[[], Vectors]:
        import torch

        tokens = torch.from_numpy(encode(sequences, self.table))  # (N,)
        lengths = [len(sequence) + 2 for sequence in sequences]
        # From a GPU, non_blocking copies into pinned memory and returns at once.
        hidden = self.model(tokens, lengths, block).to("cpu", non_blocking=True)  # (N, D)
        copied = torch.cuda.Event() if self.device == "cuda" else None
        if copied:
            copied.record()

        def finish() -> Vectors:
            if copied:
                copied.synchronize()
            return _apart(hidden, lengths)

        return finish

    def _free(self) -> None:
        """Give back what the allocator of the GPU keeps for later."""
        import torch

        if self.device == "cuda":
            torch.cuda.empty_cache()


def embed_packs(
    encoder: Encoder, sequences: Mapping[str, str], token_budget: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Give each protein's name and (L, D) vectors, longest first."""
    lengths = {name: len(sequence) for name, sequence in sequences.items()}
    before: list[str] = []
    finish: Callable[[], Vectors] = list
    for pack in make_packs(lengths, token_budget):
        started = encoder.start([sequences[name] for name in pack])
        yield from zip(before, finish(), strict=True)
        before, finish = pack, started
        del started
    yield from zip(before, finish(), strict=True)


def make_packs(lengths: Mapping[str, int], token_budget: int) -> Iterator[list[str]]:
    """Group proteins into packs that keep to a budget of tokens, where one protein alone does.

    Parameters
    ----------
    lengths : mapping of str to int
        Residues of each protein.
    token_budget : int
        Most tokens of a pack, two special ones for each protein included.

    Yields
    ------
    list of str
        Longest protein first, ties by name; the same whatever the order of `lengths`.
    """
    pack: list[str] = []
    room = token_budget
    for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
        tokens = lengths[name] + 2
        if pack and tokens > room:
            yield pack
            pack, room = [], token_budget
        pack.append(name)
        room -= tokens
    if pack:
        yield pack


def ran_out(error: BaseException) -> bool:
    """Tell whether an error says that there is no memory left."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in _OUT_OF_MEMORY)


def _apart(hidden: Tensor, lengths: list[int]) -> Vectors:
    """Cut the vectors of a pack (N, D) into those of its proteins, without special tokens."""
    return [rows[1:-1] for rows in np.split(hidden.numpy(), np.cumsum(lengths)[:-1])]

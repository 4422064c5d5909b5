"""Letters to token ids, as ProtBERT's authors do it: ``[CLS]``, one token per residue, ``[SEP]``.

The tokenizers of transformers turn every residue into ``[UNK]`` without an error when the sequence has
no blanks between its letters, or when they are told to lower-case. A table of bytes cannot.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import EmbeddingError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: ProtBERT's vocabulary in the order of its ids.
PROTBERT = (*SPECIAL, *"LAGVESIKRDTPNQFYMHCWXUBZO")
#: The letters a normalised protein is written in.
RESIDUES = "ACDEFGHIKLMNPQRSTVWXY"


@dataclass(frozen=True)
class TokenTable:
    """Token id of every byte, -1 where it is no residue, and of the tokens before and behind a protein."""

    of_byte: NDArray[np.int64]
    start: int
    end: int


def read_vocabulary(path: str | os.PathLike[str]) -> list[str]:
    """Read a vocabulary, a token a line in the order of the ids.

    Raises
    ------
    EmbeddingError
        When a residue or a special token is missing, or a token is there twice.
    """
    try:
        tokens = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise EmbeddingError(f"{path}: is not a list of tokens ({error})") from None
    missing = [token for token in (*SPECIAL, *RESIDUES) if token not in tokens]
    if missing:
        raise EmbeddingError(
            f"{path}: no token {' '.join(missing)} (expected {' '.join(SPECIAL)} and an upper-case letter "
            "per residue); set embeddings/model to a BERT of proteins"
        )
    repeated = [token for token in tokens if tokens.count(token) > 1]
    if repeated:
        raise EmbeddingError(f"{path}: token '{repeated[0]}' is there twice, expected every token once")
    return tokens


def token_table(vocabulary: Sequence[str]) -> TokenTable:
    """Return the table of a vocabulary that `read_vocabulary` accepts."""
    ids = {token: number for number, token in enumerate(vocabulary)}
    of_byte = np.full(256, -1, np.int64)
    for letter in RESIDUES:
        of_byte[ord(letter)] = ids[letter]
    return TokenTable(of_byte, ids["[CLS]"], ids["[SEP]"])


def encode(sequences: Sequence[str], table: TokenTable) -> NDArray[np.int64]:
    """Return the token ids of some proteins, one behind the other.

    Parameters
    ----------
    sequences : sequence of str
        Normalised proteins.
    table : TokenTable

    Returns
    -------
    (N,) int64
        Two more for each protein than its residues: one before them, one behind.

    Raises
    ------
    ValueError
        For a letter that is not among `RESIDUES`.
    """
    tokens = np.empty(sum(map(len, sequences)) + 2 * len(sequences), np.int64)
    start = 0
    for sequence in sequences:
        ids = table.of_byte[np.frombuffer(sequence.encode("latin-1"), np.uint8)]
        if ids.min(initial=0) < 0:
            raise ValueError(f"expected letters of {RESIDUES}, got {sorted(set(sequence) - set(RESIDUES))}")
        end = start + len(ids) + 2
        tokens[start], tokens[start + 1 : end - 1], tokens[end - 1] = table.start, ids, table.end
        start = end
    return tokens

"""Text of FASTA and FASTQ files to codes of bases, compiled by numba.

What holds for `kernels` holds for this file: none calls what another file has, and an array has one type.

A block of codes is what text becomes: a base is 0 to 3 (A, C, G, T), anything that breaks a window is
`BREAK`, also where a record begins. The first `PAD` codes are breaks, so that a kernel may look back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helixflow.jit import kernel

BREAK = 4
#: Breaks before the first code of a block.
PAD = 4

_NEWLINE = 5
_CODES = np.full(256, BREAK, np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu", b"", b"\n\r")):
    _CODES[list(_letters)] = _code

#: What `parse_fasta` and `parse_fastq` go on with: how much of each buffer is filled, and where in a record
#: the text stands.
N_CODE, N_START, N_NAME, MODE = range(4)
#: Modes: at the start of a line, in a name, behind it, in a sequence, before the first record.
LINE, NAME, TITLE, SEQUENCE, NOTHING = range(5)
#: More modes of FASTQ, which begins with `LINE`: the line of the plus, the qualities.
PLUS, QUALITY = 5, 6


@kernel
def parse_fasta(
    text: NDArray[np.uint8],
    at: int,
    state: NDArray[np.int64],
    codes: NDArray[np.uint8],
    starts: NDArray[np.int64],
    letters: NDArray[np.int64],
    names: NDArray[np.uint8],
    split: bool,
) -> int:
    """Turn text into codes until it ends or a buffer is full.

    Parameters
    ----------
    text : (n,) uint8
    at : int
        Where to begin in it.
    state : (4,) int64
        `N_CODE`, `N_START`, `N_NAME`, `MODE`; changed.
    codes : (m,) uint8
        Filled from ``state[N_CODE]``.
    starts : (r,) int64
        Where in `codes` records begin, if they are to be told apart; filled.
    letters : (r + 1,) int64
        Letters of the record that a block goes on with, then of those that begin in it; added to.
    names : (c,) uint8
        A line feed and the name of each record that begins; filled.
    split : bool
        Whether records are told apart.

    Returns
    -------
    int
        Where in the text to go on.
    """
    n, record, name, mode = state[N_CODE], state[N_START], state[N_NAME], state[MODE]
    while at < text.size:
        if mode in (LINE, NOTHING):
            if text[at] != ord(">"):
                mode = SEQUENCE if mode == LINE else PLUS
                continue
            if n == codes.size or name == names.size or (split and record == starts.size):
                break
            codes[n] = BREAK
            n += 1
            mode = TITLE
            if split:
                starts[record] = n
                record += 1
                names[name] = ord("\n")
                name += 1
                mode = NAME
            at += 1
        elif mode == SEQUENCE:
            before = n
            while at < text.size and n < codes.size:
                code = _CODES[text[at]]
                if code == _NEWLINE:
                    break
                codes[n] = code
                n += 1
                at += 1
            letters[record] += n - before
            if at < text.size:
                if _CODES[text[at]] != _NEWLINE:
                    break
                if text[at] == ord("\n"):
                    mode = LINE
                at += 1
        elif mode == NAME:
            if text[at] == ord(" ") or _CODES[text[at]] == _NEWLINE:
                mode = TITLE
            elif name == names.size:
                break
            else:
                names[name] = text[at]
                name += 1
                at += 1
        else:
            while at < text.size and text[at] != ord("\n"):
                at += 1
            if at < text.size:
                mode = LINE if mode == TITLE else NOTHING
                at += 1
    state[N_CODE], state[N_START], state[N_NAME], state[MODE] = n, record, name, mode
    return at


@kernel
def parse_fastq(
    text: NDArray[np.uint8],
    at: int,
    state: NDArray[np.int64],
    codes: NDArray[np.uint8],
    starts: NDArray[np.int64],
    letters: NDArray[np.int64],
    names: NDArray[np.uint8],
    split: bool,
) -> int:
    """Do with FASTQ of four lines a read what `parse_fasta` does; reads are never told apart."""
    n, mode = state[N_CODE], state[MODE]
    while at < text.size:
        if mode == LINE:
            if n == codes.size:
                break
            codes[n] = BREAK
            n += 1
            mode = TITLE
        elif mode == SEQUENCE:
            before = n
            while at < text.size and n < codes.size:
                code = _CODES[text[at]]
                if code == _NEWLINE:
                    break
                codes[n] = code
                n += 1
                at += 1
            letters[0] += n - before
            if at < text.size:
                if _CODES[text[at]] != _NEWLINE:
                    break
                if text[at] == ord("\n"):
                    mode = PLUS
                at += 1
        else:
            while at < text.size and text[at] != ord("\n"):
                at += 1
            if at < text.size:
                mode = SEQUENCE if mode == TITLE else QUALITY if mode == PLUS else LINE
                at += 1
    state[N_CODE], state[MODE] = n, mode
    return at

"""Names of proteins: GA4GH refget digests of the sequences in one normal form.

The normal form is what the language model sees, so one name is one input of it, whatever sample,
run or machine the protein comes from.
"""

from __future__ import annotations

import base64
import hashlib
import re

from helixflow.errors import SourceError

#: Letters ProtBERT has no vector of its own trained for; its authors feed them as X.
RARE_LETTERS = "UZOBJ"
_TO_X = str.maketrans(RARE_LETTERS, "X" * len(RARE_LETTERS))


def sha512t24u(content: bytes) -> str:
    """Return the GA4GH digest: the first 24 bytes of SHA-512 as 32 characters of base64url."""
    return base64.urlsafe_b64encode(hashlib.sha512(content).digest()[:24]).decode("ascii")


def protein_id(sequence: str) -> str:
    """Return the refget identifier of a normalised sequence."""
    return f"SQ.{sha512t24u(sequence.encode('ascii'))}"


def normalise(sequence: str, where: str) -> str:
    """Return a protein as the model sees it: upper case, without the terminal ``*``, U Z O B J as X.

    Raises
    ------
    SourceError
        For anything that is not a letter; it begins with `where`.
    """
    sequence = sequence.removesuffix("*")
    strange = re.search("[^A-Za-z]", sequence)
    if strange:
        raise SourceError(
            f"{where} has {strange.group()!r} at position {strange.start() + 1}, "
            "expected a letter, or * at the end"
        )
    return sequence.upper().translate(_TO_X)

"""How far something got: a bar on the terminal, a line in the log at every tenth."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from helixflow.joblog import terminal

log = logging.getLogger(__name__)

#: After how many of a unit there is a line where nobody knows how many there will be.
_STEPS = {"B": 100 * 10**6}
_STEP = 1000


@contextmanager
def progress(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how far something got.

    Parameters
    ----------
    what : str
        What it is, in a few words.
    total : int or None
        How many there are in all, where that is known.
    unit : str
        What is counted: ``B`` for bytes, else a noun.

    Yields
    ------
    callable
        Is told how many are done in all; where it is told less than before, the work began again.
    """
    from tqdm import tqdm

    stream = terminal()
    lines = _Lines(what, total, unit)
    with tqdm(
        desc=what,
        total=total,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        file=stream,
        disable=not stream.isatty(),
        leave=False,
        mininterval=0.5,
        dynamic_ncols=True,
    ) as bar:

        def tell(done: int) -> None:
            bar.update(done - bar.n)
            lines.tell(done)

        yield tell


class _Lines:
    """The lines of the log, one for every step that was reached."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._step = total / 10 if total else _STEPS.get(unit, _STEP)
        self._reached = 0

    def tell(self, done: int) -> None:
        reached = int(done / self._step)
        if reached > self._reached:
            share = f"{10 * reached} %, " if self._total else ""
            of = f" of {_amount(self._total, self._unit)}" if self._total else ""
            log.info("%s: %s%s%s", self._what, share, _amount(done, self._unit), of)
        self._reached = reached


def _amount(number: int, unit: str) -> str:
    return f"{number / 10**6:.1f} MB" if unit == "B" else f"{number} {unit}s"

"""The measures of one replica: what of its frames is kept, so that they need never be read again.

T frames, N residues, P and Q pairs in contact over all frames. Attributes of ``/`` are what a contact and a
neighbour are, and the name of the trajectory; every dataset has its ``unit`` and ``description``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.errors import MismatchError
from helixflow.structures.residues import Residue

#: Every dataset: its type (of text: empty), unit and meaning.
DATASETS = {
    "frame/time_ps": ("f8", "ps", "(T,) time in the replica"),
    "frame/rmsd_nm": ("f8", "nm", "(T,) RMSD of the C-alphas to the replica's first frame, superposed on it"),
    "frame/rg_nm": ("f8", "nm", "(T,) radius of gyration of all atoms, mass-weighted"),
    "frame/contacts": ("i8", "1", "(T,) pairs of residues in contact by their C-alphas"),
    "frame/heavy_contacts": ("i8", "1", "(T,) pairs of residues in contact by any two heavy atoms"),
    "frame/helix": ("f8", "1", "(T,) share of the residues that are helix (Kabsch and Sander)"),
    "frame/strand": ("f8", "1", "(T,) share of the residues that are strand (Kabsch and Sander)"),
    "frame/alphas": ("f4", "nm", "(T, N, 3) C-alphas as the trajectory has them"),
    "contact/alphas": ("u4", "1", "(P,) pairs in contact i * N + j, i < j, frame after frame, ascending"),
    "contact/heavy": ("u4", "1", "(Q,) the same of contacts by heavy atoms"),
    "residue/chain": ("", "", "(N,) chain id"),
    "residue/number": ("i8", "1", "(N,) residue number in the structure"),
    "residue/insertion": ("", "", "(N,) insertion code"),
    "residue/code": ("", "", "(N,) one-letter code"),
    "residue/rmsf_nm": ("f8", "nm", "(N,) RMSF of the C-alpha about the mean of frames laid on the first"),
    "residue/neighbours": ("f8", "1", "(N,) other residues' C-betas within the radius, mean over frames"),
    "residue/helix": ("f8", "1", "(N,) share of the frames in which it is helix"),
    "residue/strand": ("f8", "1", "(N,) share of the frames in which it is strand"),
    "pair/contact_frequency": ("f8", "1", "(N, N) share of the frames in contact by C-alphas"),
    "pair/heavy_contact_frequency": ("f8", "1", "(N, N) share of the frames in contact by heavy atoms"),
}
#: Attributes of the file that measures of one structure have in common.
SETTINGS = ("cutoff_nm", "heavy_cutoff_nm", "min_separation", "neighbour_radius_nm")


class Criterion(NamedTuple):
    """Datasets of contacts by a criterion: numbers in each frame, pairs, frequency of each pair."""

    counts: str
    pairs: str
    frequency: str


CRITERIA = {
    "alphas": Criterion("frame/contacts", "contact/alphas", "pair/contact_frequency"),
    "heavy": Criterion("frame/heavy_contacts", "contact/heavy", "pair/heavy_contact_frequency"),
}
#: What names a residue.
_PLACE = ("chain", "number", "insertion", "code")


class Measures:
    """The measures of one replica, read a part at a time; also a context, which closes the file.

    Attributes
    ----------
    path : Path
    replica : int
        Its number, as given.
    settings : dict
        Values of `SETTINGS`.
    frames, residues : int
        T and N.

    Raises
    ------
    MismatchError
        If the file is not one of measures.
    """

    def __init__(self, path: str | os.PathLike[str], replica: int) -> None:
        self.path, self.replica = Path(path), replica
        try:
            self._file = h5py.File(self.path)
        except OSError as error:
            raise MismatchError(
                f"{path}: cannot be read ({error}); remove it and run measure_replica again"
            ) from None
        lacking = [name for name in DATASETS if name not in self._file]
        lacking += [name for name in SETTINGS if name not in self._file.attrs]
        if lacking:
            self.close()
            raise MismatchError(
                f"{path}: no {lacking[0]}, expected the measures of a replica; run measure_replica again"
            )
        self.settings = {name: self._file.attrs[name].item() for name in SETTINGS}
        self.frames, self.residues, _ = self._file["frame/alphas"].shape

    def __enter__(self) -> Measures:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Read a dataset of `DATASETS`, or rows `start` to `stop` (exclusive) of it; text as str."""
        dataset = self._file[name]
        values: NDArray[Any] = (dataset if DATASETS[name][0] else dataset.asstr())[start:stop]
        return values

    def alphas(self, start: int, stop: int) -> NDArray[np.float64]:
        """Read the C-alphas of frames `start` to `stop` (exclusive): (F, N, 3) in nm."""
        return self.read("frame/alphas", start, stop).astype(np.float64)

    def contacts(self, criterion: str, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Read the contacts of frames `start` to `stop` (exclusive).

        Parameters
        ----------
        criterion : str
            One of `CRITERIA`.
        start, stop : int

        Returns
        -------
        (F,) int64, (P,) uint32
            Number of contacts of each frame, and the pairs i * N + j of all of them, frame after frame.
        """
        ends = self._ends[criterion]
        pairs = self.read(CRITERIA[criterion].pairs, int(ends[start]), int(ends[stop]))
        return np.diff(ends[start : stop + 1]), pairs

    def check_residues(self, residues: Sequence[Residue], residues_file: str | os.PathLike[str]) -> None:
        """Raise MismatchError if these are not the residues that were measured."""
        if len(residues) != self.residues:
            raise MismatchError(
                f"{self.path}: measures of {self.residues} residues, expected the {len(residues)} of "
                f"{residues_file}; run measure_replica again"
            )
        for residue, *found in zip(residues, *(self.read(f"residue/{name}") for name in _PLACE), strict=True):
            expected = [str(getattr(residue, name)) for name in _PLACE]
            if list(map(str, found)) != expected:
                raise MismatchError(
                    f"{self.path}: residue {residue.index + 1} is '{' '.join(map(str, found))}', expected "
                    f"'{' '.join(expected)}' as in {residues_file}; run measure_replica again"
                )

    def check_settings(self, other: Measures) -> None:
        """Raise MismatchError if a contact or a neighbour is something else in other measures."""
        for name in SETTINGS:
            if self.settings[name] != other.settings[name]:
                raise MismatchError(
                    f"{self.path}: {name} {self.settings[name]:g}, but {other.settings[name]:g} in "
                    f"{other.path}, expected the same; run measure_replica of both again"
                )

    @cached_property
    def _ends(self) -> dict[str, NDArray[np.int64]]:
        """Where the contacts of each frame begin in the list of all, and the last ones end: (T + 1,)."""
        return {
            name: np.concatenate([[0], np.cumsum(self.read(criterion.counts))])
            for name, criterion in CRITERIA.items()
        }

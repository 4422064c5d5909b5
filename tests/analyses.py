"""Analysis files of a co-analysis by their contract, made from arrays; all but /statistics."""

from dataclasses import dataclass, field

import h5py
import numpy as np

from helixflow.coanalysis.geometry import cosine_matrix
from helixflow.links.status import STATUSES


@dataclass
class Made:
    """A structure of N residues, D numbers per embedding; what is left out is drawn at random."""

    codes: str
    seed: int = 1
    chains: str = ""
    replicas: int = 2
    frames: int = 40
    width: int = 16
    vectors: np.ndarray | None = None
    linked: np.ndarray | None = None
    protein: list[str] | None = None
    rows: np.ndarray | None = None
    rmsf: np.ndarray | None = None
    frequency: np.ndarray | None = None
    predicted: np.ndarray | None = None
    series: dict = field(default_factory=dict)
    min_separation: int = 3

    def __post_init__(self):
        n, dice = len(self.codes), np.random.default_rng(self.seed)
        self.chains = self.chains or "A" * n
        if self.vectors is None:
            self.vectors = dice.normal(size=(n, self.width))
        if self.linked is None:
            self.linked = np.ones(n, bool)
        self.vectors = np.where(self.linked[:, None], self.vectors, 0)
        if self.protein is None:
            self.protein = [f"SQ.{'x' * 31}{chain}" for chain in self.chains]
        if self.rows is None:
            self.rows = np.arange(1, n + 1)
        if self.rmsf is None:
            self.rmsf = dice.uniform(0.05, 0.3, n)
        if self.frequency is None:
            self.frequency = contact_frequency(dice, self.chain_numbers, self.min_separation)

    @property
    def chain_numbers(self):
        return np.unique(list(self.chains), return_inverse=True)[1]

    def write(self, path):
        n, total = len(self.codes), self.replicas * self.frames
        dice = np.random.default_rng([self.seed, 2])
        with h5py.File(path, "w") as file:
            file.attrs.update(criterion="alphas", min_separation=self.min_separation, cutoff_nm=0.8)
            file["frame/replica"] = np.repeat(np.arange(1, self.replicas + 1, dtype="i4"), self.frames)
            file["frame/time_ps"] = np.tile(10.0 * np.arange(self.frames), self.replicas)
            for name in ("rmsd_nm", "rmsd_to_mean_nm", "rg_nm", "contacts", "heavy_contacts", "coherence"):
                file[f"frame/{name}"] = self.series.get(name, dice.normal(1, 0.1, total))
            file["frame/embedding"] = dice.normal(size=(total, self.vectors.shape[1])).astype("f4")
            texts = {"chain": list(self.chains), "code": list(self.codes), "insertion": [""] * n}
            texts["protein"] = np.where(self.linked, self.protein, "").tolist()
            texts["status"] = np.where(self.linked, STATUSES[0], STATUSES[3]).tolist()
            for name, values in texts.items():
                file[f"residue/{name}"] = np.char.encode(np.array(values), "utf-8")
            file["residue/number"] = np.arange(n)
            file["residue/row"] = np.where(self.linked, self.rows, 0)
            file["residue/rmsf_nm"] = self.rmsf
            file["residue/neighbours"] = self.frequency.sum(axis=1) + dice.normal(size=n)
            for name in ("contact_frequency", "heavy_contact_frequency"):
                file[f"pair/{name}"] = self.frequency
            file["pair/embedding_cosine"] = cosine_matrix(self.vectors)
            file["pair/start_contact"] = self.frequency > 0.4
            if self.predicted is not None:
                file["pair/predicted_contact"] = self.predicted.astype("f4")
            for space in ("motion", "embedding", "contact"):
                file[f"components/{space}/projection"] = dice.normal(size=(total, 2))
        return path


def walk(dice, n, scale=0.25):
    """A compact chain of n residues in nm, (n, 3)."""
    steps, place = dice.normal(size=(n, 3)) * scale, np.zeros((n, 3))
    for at in range(1, n):
        place[at] = 0.93 * place[at - 1] + steps[at]
    return place


def contact_frequency(dice, chains, min_separation, frames=15):
    """The shares of frames in which residues of walks that jiggle touch, (N, N)."""
    n = len(chains)
    place = np.concatenate([walk(dice, int((chains == each).sum())) for each in np.unique(chains)])
    frames = place + 0.1 * dice.normal(size=(frames, n, 3))
    near = (np.linalg.norm(frames[:, :, None] - frames[:, None], axis=3) < 0.8).mean(axis=0)
    index = np.arange(n)
    close = np.abs(np.subtract.outer(index, index)) < min_separation
    near[close & np.equal.outer(chains, chains)] = 0
    np.fill_diagonal(near, 0)
    return near


def autocorrelated(dice, n, phi, width=8):
    """Values whose neighbours are alike: AR(1) of variance 1, (n, width)."""
    values = np.zeros((n, width))
    values[0] = dice.normal(size=width)
    for at in range(1, n):
        values[at] = phi * values[at - 1] + np.sqrt(1 - phi**2) * dice.normal(size=width)
    return values

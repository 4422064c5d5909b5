"""The result file: pooled over replicas at the top, each replica below ``/replica``.

T frames, N residues, vectors of D numbers, K components. ``/replica/1`` has ``frame``, ``residue`` and
``pair`` of one replica; its frames are rows of those at the top, and stored there alone. As attributes,
``/`` tells what a contact is, ``/embedding`` what the store says of the model, and every dataset its
``unit`` and ``description``.
"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
from h5py import h5d, h5p, h5s
from numpy.typing import ArrayLike, NDArray

from helixflow.coanalysis.blocks import Projection, Spaces, Survey
from helixflow.coanalysis.components import Components
from helixflow.coanalysis.contacts import Features
from helixflow.coanalysis.datasets import describe, write_dataset
from helixflow.coanalysis.embedding import Embedding
from helixflow.coanalysis.inputs import Inputs, Request, pool_frequency
from helixflow.coanalysis.measures import CRITERIA, Measures
from helixflow.links.status import STATUSES

#: Every dataset: its unit and meaning.
DATASETS = {
    "frame/replica": ("1", "(T,) number of the replica"),
    "frame/time_ps": ("ps", "(T,) time in the replica"),
    "frame/rmsd_nm": ("nm", "(T,) RMSD of the C-alphas to the replica's first frame, superposed on it"),
    "frame/rmsd_to_mean_nm": ("nm", "(T,) RMSD of the C-alphas to the mean of all frames, superposed on it"),
    "frame/rg_nm": ("nm", "(T,) radius of gyration of all atoms, mass-weighted"),
    "frame/contacts": ("1", "(T,) number of pairs of residues in contact by C-alphas"),
    "frame/heavy_contacts": ("1", "(T,) number of pairs of residues in contact by heavy atoms"),
    "frame/helix": ("1", "(T,) share of the residues that are helix (Kabsch & Sander)"),
    "frame/strand": ("1", "(T,) share of the residues that are strand (Kabsch & Sander)"),
    "frame/coherence": ("1", "(T,) mean embedding cosine of the pairs in contact; NaN without any"),
    "frame/embedding": ("1", "(T, D) mean residue embedding, weighted with contacts; NaN without any"),
    "residue/chain": ("", "(N,) chain id"),
    "residue/number": ("1", "(N,) residue number in the structure"),
    "residue/insertion": ("", "(N,) insertion code"),
    "residue/code": ("", "(N,) one-letter code"),
    "residue/protein": ("", "(N,) protein the residue is linked to; empty where it has none"),
    "residue/row": ("1", "(N,) residue of that protein, from 1; 0 where it has none"),
    "residue/partner_code": ("", "(N,) one-letter code there, the one that was embedded"),
    "residue/status": ("", f"(N,) {', '.join(STATUSES)}"),
    "residue/rmsf_nm": ("nm", "(N,) RMSF of the C-alpha about the mean structure of its replica"),
    "residue/contacts": ("1", "(N,) number of contacts by C-alphas, mean over frames"),
    "residue/heavy_contacts": ("1", "(N,) number of contacts by heavy atoms, mean over frames"),
    "residue/neighbours": ("1", "(N,) other residues' C-betas within the radius, mean over frames"),
    "residue/helix": ("1", "(N,) share of the frames in which it is helix"),
    "residue/strand": ("1", "(N,) share of the frames in which it is strand"),
    "residue/context": ("1", "(N, D) sum of the embeddings in contact, mean over frames; NaN without own"),
    "pair/contact_frequency": ("1", "(N, N) share of the frames in which the pair is in contact"),
    "pair/heavy_contact_frequency": ("1", "(N, N) the same of contacts by heavy atoms"),
    "pair/embedding_cosine": ("1", "(N, N) cosine of the residues' embeddings; NaN if one has none"),
    "pair/cross_correlation": ("1", "(N, N) dynamic cross-correlation of the C-alphas; NaN if one is still"),
    "pair/start_contact": ("", "(N, N) whether in contact in the first frame of the first replica"),
    "pair/predicted_contact": ("1", "(N, N) contact as predicted from attention; NaN where there is none"),
    "components/motion/variance": ("nm^2", "(K,) variance of the C-alphas along each component"),
    "components/motion/share": ("1", "(K,) share in the variance of all components"),
    "components/motion/projection": ("nm", "(T, K) coordinate of each frame along each component"),
    "components/motion/mean_nm": ("nm", "(N, 3) mean structure of all frames, laid on the first one"),
    "components/motion/mode": ("1", "(K, N, 3) direction of each component, of unit length"),
    "components/embedding/variance": ("1", "(K,) variance of the frame embeddings along each component"),
    "components/embedding/share": ("1", "(K,) share in the variance of all components"),
    "components/embedding/projection": ("1", "(T, K) coordinate of each frame; NaN without a contact"),
    "components/embedding/mode": ("1", "(K, D) direction of each component, of unit length"),
    "components/contact/variance": ("1", "(K,) variance of the contacts along each component"),
    "components/contact/share": ("1", "(K,) share in the variance of the pairs taken"),
    "components/contact/projection": ("1", "(T, K) coordinate of each frame along each component"),
    "components/contact/pair": ("1", "(M, 2) the pairs that are taken, by residue from 0"),
    "components/contact/mode": ("1", "(K, M) direction of each component, of unit length"),
    "components/explained/space": ("", "(S,) whose components the motion is predicted from; see shuffled_r2"),
    "components/explained/r2": ("1", "(S, K) R2 of each component of motion, in segments of time left out"),
    "components/explained/shuffled_r2": (
        "1",
        "(shuffles, K) R2 with vectors shuffled over residues; r2: mean",
    ),
    "embedding/protein": ("", "proteins the residues are linked to"),
    "embedding/uri": ("", "URI of each one's embedding; a relative one starts at the folder of the index"),
}
#: Columns of frames that are as the measures have them.
_MEASURED = ("time_ps", "rmsd_nm", "rg_nm", "contacts", "heavy_contacts", "helix", "strand")
_FRAME_TYPES = {
    "replica": "i4", "time_ps": "f8", "rmsd_nm": "f8", "rmsd_to_mean_nm": "f8", "rg_nm": "f8",
    "contacts": "i8", "heavy_contacts": "i8", "helix": "f8", "strand": "f8", "coherence": "f8",
    "embedding": "f4",
}  # fmt: skip
_RESIDUE_SHARES = ("neighbours", "helix", "strand")
_CONTACT = {
    "alphas": "C-alphas closer than cutoff_nm; of one chain only residues at least min_separation apart",
    "heavy": "any two heavy atoms closer than heavy_cutoff_nm; of one chain only residues at least "
    "min_separation apart",
}


def put(group: h5py.Group, name: str, values: ArrayLike) -> None:
    """Write a dataset of `DATASETS`; maps of pairs are packed."""
    unit, description = DATASETS[name]
    write_dataset(group, name, values, unit, description, packed=name.startswith("pair/"))


def write_inputs(file: h5py.File, request: Request, inputs: Inputs, embedding: Embedding) -> None:
    """Write what a contact is, what the residues are, and where their embeddings are from."""
    file.attrs.update(
        inputs.settings,
        criterion=request.criterion,
        contact=_CONTACT[request.criterion],
        permutations=request.permutations,
        seed=request.seed,
    )
    for name in ("chain", "number", "insertion", "code"):
        put(file, f"residue/{name}", [getattr(residue, name) for residue in inputs.residues])
    for name in ("protein", "row", "partner_code", "status"):
        put(file, f"residue/{name}", [getattr(link, name) for link in inputs.links])
    put(file, "pair/embedding_cosine", embedding.cosine)
    put(file, "pair/start_contact", inputs.start)
    if inputs.predicted is not None:
        put(file, "pair/predicted_contact", inputs.predicted)
    put(file, "embedding/protein", np.array(list(inputs.places), "S"))
    put(file, "embedding/uri", np.array([place.uri.encode() for place in inputs.places.values()], "S"))
    file["embedding"].attrs.update(embedding.model)


def create_frames(file: h5py.File, replicas: Sequence[int], frames: Sequence[int], width: int) -> None:
    """Create the datasets of all frames, and of each replica the view of its rows."""
    total = sum(frames)
    for name, dtype in _FRAME_TYPES.items():
        shape = (total, width) if name == "embedding" else (total,)
        dataset = file.create_dataset(f"frame/{name}", shape, dtype)
        describe(dataset, *DATASETS[f"frame/{name}"])
        first = 0
        for replica, number in zip(replicas, frames, strict=True):
            _view_rows(file, f"replica/{replica}", dataset, first, first + number)
            first += number


def _view_rows(file: h5py.File, group: str, dataset: h5py.Dataset, first: int, last: int) -> None:
    """Show rows of a dataset of frames below a group, without storing them again.

    As h5py's create_virtual_dataset, but without the time of day, which that writes into the file.
    """
    name, shape = f"frame/{dataset.name.rpartition('/')[2]}", (last - first, *dataset.shape[1:])
    here, there = h5s.create_simple(shape), h5s.create_simple(dataset.shape)
    creation = h5p.create(h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    if all(shape):
        there.select_hyperslab((first,) + (0,) * (len(shape) - 1), shape)
        # "." is the file itself, by whatever name it goes.
        creation.set_virtual(here, b".", f"/{name}".encode(), there)
    parent = file.require_group(f"{group}/frame")
    h5d.create(parent.id, name.rpartition("/")[2].encode(), dataset.id.get_type(), here, creation)
    describe(file[f"{group}/{name}"], *DATASETS[name])


def write_survey(file: h5py.File, survey: Survey, measures: Measures, first: int) -> None:
    """Write what belongs to the frames of a block; `first` is the row of its replica's first frame."""
    block = survey.block
    rows = slice(first + block.start, first + block.stop)
    file["frame/replica"][rows] = measures.replica
    for name in _MEASURED:
        file[f"frame/{name}"][rows] = measures.read(f"frame/{name}", block.start, block.stop)
    file["frame/coherence"][rows] = survey.coherence
    file["frame/embedding"][rows] = survey.embedding


def write_means(
    group: h5py.Group, measures: Sequence[Measures], embedding: Embedding, criterion: str,
    correlation: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write means over the frames of one replica or of all, and their cross-correlation."""
    frames = [one.frames for one in measures]
    squares = [one.read("residue/rmsf_nm") ** 2 for one in measures]
    put(group, "residue/rmsf_nm", np.sqrt(np.average(squares, axis=0, weights=frames)))
    for name in _RESIDUE_SHARES:
        values = [one.read(f"residue/{name}") for one in measures]
        put(group, f"residue/{name}", np.average(values, axis=0, weights=frames))
    for name, datasets in CRITERIA.items():
        frequency = pool_frequency(measures, datasets.frequency)
        put(group, datasets.frequency, frequency)
        put(group, datasets.counts.replace("frame/", "residue/"), frequency.sum(axis=1))
        if name == criterion:
            # Vectors of unlinked residues are zero, so their contacts add nothing.
            context = frequency @ embedding.vectors
            context[~embedding.linked] = np.nan
            put(group, "residue/context", context.astype(np.float32))
    put(group, "pair/cross_correlation", correlation)


def write_spaces(file: h5py.File, spaces: Spaces, features: Features) -> None:
    """Write the components, and create the datasets of what frames are along them."""
    n_residue, n_frame = len(spaces.mean), len(file["frame/time_ps"])
    put(file, "components/motion/mean_nm", spaces.mean)
    put(file, "components/contact/pair", np.stack(np.divmod(features.pairs, n_residue), axis=1).astype("i4"))
    for name, space in spaces.by_name().items():
        group = f"components/{name}"
        put(file, f"{group}/variance", space.variance)
        put(file, f"{group}/share", space.share)
        put(file, f"{group}/mode", _shaped(name, space))
        dataset = file.create_dataset(f"{group}/projection", (n_frame, len(space.variance)), "f8")
        describe(dataset, *DATASETS[f"{group}/projection"])
        file[group].attrs["total_variance"] = space.total
    file["components/contact"].attrs.update(
        pairs_varying=features.varying,
        pairs_taken=len(features.pairs),
        share_taken=features.share,
    )


def _shaped(name: str, space: Components) -> NDArray[np.float64]:
    """Return the modes; those of motion with an axis of the coordinates."""
    if name != "motion":
        return space.modes
    return space.modes.reshape(len(space.modes), len(space.mean) // 3, 3)


def write_projection(file: h5py.File, projection: Projection, first: int) -> None:
    """Write what is told of the frames of a block; `first` is the row of its replica's first frame."""
    rows = slice(first + projection.block.start, first + projection.block.stop)
    file["frame/rmsd_to_mean_nm"][rows] = projection.rmsd_nm
    for name, values in projection.along.items():
        file[f"components/{name}/projection"][rows] = values

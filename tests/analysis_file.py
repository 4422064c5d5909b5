"""An analysis file as the contract of coanalysis has it, from seeded arrays: for tests of its readers."""

import h5py
import numpy as np

BINS = ["all", "1 to 5 apart", "6 to 11 apart", "12 to 23 apart", "24 and more apart", "between chains"]
SERIES = ["rmsd_nm", "rmsd_to_mean_nm", "rg_nm", "contacts", "heavy_contacts", "coherence",
          "motion_1", "embedding_1", "contact_1"]  # fmt: skip
PER_FRAME = ["time_ps", "rmsd_nm", "rmsd_to_mean_nm", "rg_nm", "contacts", "heavy_contacts", "helix",
             "strand", "coherence"]  # fmt: skip


def write_analysis(path, *, frames=40, replicas=2, residues=12, components=3, width=4, permutations=99,
                   chain="A", linked=True, attention=True, seed=1):  # fmt: skip
    """Write the file; `frames` of each replica. Without `linked`, all that needs an embedding is NaN."""
    random = np.random.default_rng(seed)
    total, n = frames * replicas, residues
    nan = 1.0 if linked else np.nan
    with h5py.File(path, "w") as h5:
        h5.attrs.update(criterion="alphas", cutoff_nm=0.8, heavy_cutoff_nm=0.45, min_separation=3,
                        neighbour_radius_nm=1.0, contact="two C-alphas closer than 0.8 nm", seed=5,
                        permutations=permutations)  # fmt: skip
        frame = {name: random.random(total) for name in PER_FRAME} | {
            "replica": np.repeat(np.arange(1, replicas + 1, dtype="i4"), frames),
            "time_ps": np.tile(np.arange(frames) * 10.0, replicas),
            "contacts": random.integers(20, 30, total),
            "heavy_contacts": random.integers(30, 40, total),
            "embedding": random.random((total, width)).astype("f4") * nan,
        }
        frame["coherence"] *= nan
        for name, values in frame.items():
            h5[f"frame/{name}"] = values
        residue = {name: random.random(n) for name in
                   ("rmsf_nm", "contacts", "heavy_contacts", "neighbours", "helix", "strand")}  # fmt: skip
        residue["context"] = random.random((n, width)).astype("f4") * nan
        names = "contact_frequency", "heavy_contact_frequency", "embedding_cosine", "cross_correlation"
        matrices = {name: _symmetric(random, n) for name in names}
        matrices["embedding_cosine"] *= nan
        _residues(h5, n, chain, linked)
        for name, values in residue.items():
            h5[f"residue/{name}"] = values
        for name, values in matrices.items():
            h5[f"pair/{name}"] = values
        h5["pair/start_contact"] = matrices["contact_frequency"] > 0.5
        if attention:
            h5["pair/predicted_contact"] = _symmetric(random, n).astype("f4") * nan
        for replica in range(1, replicas + 1):
            of = slice((replica - 1) * frames, replica * frames)
            for name in PER_FRAME:
                h5[f"replica/{replica}/frame/{name}"] = frame[name][of]
            for name, values in residue.items():
                h5[f"replica/{replica}/residue/{name}"] = values + 0.01 * replica
            for name, values in matrices.items():
                h5[f"replica/{replica}/pair/{name}"] = values
        _components(h5, random, total, n, width, min(components, max(1, total - 1)), nan)
        _statistics(h5, random, frames, replicas, n, permutations, nan, attention)


def _symmetric(random, n):
    values = random.random((n, n))
    return (values + values.T) / 2


def _residues(h5, n, chain, linked):
    text = h5py.string_dtype()
    h5["residue/number"] = np.arange(1, n + 1)
    h5["residue/row"] = np.arange(1, n + 1)
    texts = {
        "chain": chain,
        "insertion": "",
        "code": "A",
        "partner_code": "A",
        "protein": "SQ.x" if linked else "",
        "status": "identical" if linked else "unmatched",
    }
    for name, value in texts.items():
        h5.create_dataset(f"residue/{name}", data=[value] * n, dtype=text)


def _components(h5, random, total, n, width, k, nan):
    share = np.sort(random.random(k))[::-1] / k
    modes = {"motion": (k, n, 3), "embedding": (k, width), "contact": (k, 5)}
    for space, shape in modes.items():
        known = nan if space == "embedding" else 1.0
        group = h5.create_group(f"components/{space}")
        group["variance"], group["share"] = share * 2 * known, share * known
        group["projection"] = random.normal(size=(total, k)) * known
        group["mode"] = random.normal(size=shape) * known
        group.attrs["total_variance"] = 2.0
    h5["components/motion/mean_nm"] = random.random((n, 3))
    h5["components/contact/pair"] = np.arange(10, dtype="i4").reshape(5, 2)
    h5.create_dataset(
        "components/explained/space", data=["embedding", "shuffled", "contact"], dtype=h5py.string_dtype()
    )
    h5["components/explained"].attrs["segments"] = 10
    h5["components/explained/r2"] = random.random((3, k)) * nan
    h5["components/explained/shuffled_r2"] = random.random((10, k)) * nan


def _statistics(h5, random, frames, replicas, n, permutations, nan, attention):
    text = h5py.string_dtype()
    statistics = h5.create_group("statistics")
    statistics.attrs.update(frames=frames * replicas, frames_without_embedding=0, contacts_per_frame=25.0,
                            contacts_per_frame_left_out=0.0, identical=n)  # fmt: skip
    group = statistics.create_group("contact_cosine")
    group.create_dataset("pairs", data=BINS, dtype=text)
    group["number"] = np.array([50, 20, 15, 10, 5, 0]) if nan == 1 else np.zeros(6, int)
    for name in ("spearman", "null_mean", "null_sd", "effect", "p", "shift_effect", "shift_p"):
        group[name] = random.random(len(BINS)) * nan
    group["shifts"] = np.full(len(BINS), 20)
    group["shift_null"] = random.normal(size=(len(BINS), 20)) * nan
    group["null"] = random.normal(scale=0.1, size=(len(BINS), permutations)) * nan
    group.attrs.update(permutations=permutations, seed=5)
    group = statistics.create_group("series")
    group.create_dataset("name", data=SERIES, dtype=text)
    for name in ("mean", "error", "block_error", "autocorrelation_ps", "effective", "replica_mean",
                 "replica_sd", "replica_error"):  # fmt: skip
        group[name] = random.random(len(SERIES)) * 100
    group = statistics.create_group("replica")
    group["replica"], group["frames"] = np.arange(1, replicas + 1), np.full(replicas, frames)
    for name in ("rmsd_nm", "rg_nm", "contacts", "coherence"):
        group[name] = random.random(replicas)
        for what in ("autocorrelation_ps", "effective"):
            group[f"{name}_{what}"] = random.random(replicas) * 10
    if attention:
        group = statistics.create_group("attention")
        rows = [(against, top) for against in ("start", "persistent") for top in ("L", "L/2", "L/5")]
        group.create_dataset("against", data=[row[0] for row in rows], dtype=text)
        group.create_dataset("top", data=[row[1] for row in rows], dtype=text)
        group["number"] = np.array([n, n // 2, n // 5] * 2)
        group["precision"], group["expected"] = random.random(6) * nan, random.random(6) * nan
        group.attrs.update(length=n, min_separation=6, persistent_from=0.5)
        for name, count in (("never_formed", 2 if n > 8 else 0), ("not_predicted", 0)):
            listed = group.create_group(name)
            listed["first"], listed["second"] = np.arange(count), np.arange(count) + 7
            listed["predicted"], listed["frequency"] = random.random(count), np.zeros(count)
            listed.attrs["total"] = count
    group = statistics.create_group("rmsf")
    group.create_dataset("predictor", data=["embedding", "amino acid", "neighbours", "chain end"], dtype=text)
    group["r2"] = np.array([0.31, -0.12, 0.25, 0.2]) * nan
    group["predicted"] = random.random(n) * nan
    group.attrs.update(segments=10, residues=n, warning="only 12 residues are linked, fewer than 100")

"""The weights of the closed-form model, under the names that they have in transformers' BertModel."""

from __future__ import annotations

import numpy as np

from helixflow.embeddings.closed_form.parts import (
    AMINO_ACIDS,
    CLS,
    FAR,
    FFN,
    HEAD,
    HEADS,
    N_FREQUENCY,
    N_PAIR,
    N_WORD,
    NEAR,
    OFFSETS,
    PAIR,
    PERCENT,
    POSITION,
    POSITIONS,
    REFERENCE,
    SPECIAL,
    TOKEN_NORM2,
    WINDOW,
    H,
    Matrix,
    Pair,
    carried,
    chosen_pairs,
    cosine_transform,
    largest_wrong,
    offsets_of,
    position_frequencies,
    window_of,
    word_coordinates,
)
from helixflow.embeddings.tokens import PROTBERT

# Logits by which the token at a head's offset leads every other one.
_LEAD = 24.0
# Window and pairs beside words and positions: small, so that they hardly change a token's norm.
_WINDOW_SCALE, _PAIR_SCALE = 0.2, 0.2
# Inputs of the FFN, small enough for gelu to be a parabola.
_SMALL = 0.1
# Standard deviations in the output.
_OUT_SD, _OUT_WINDOW_SD = 1.0, 0.1


def closed_form_weights() -> dict[str, Matrix]:
    """Return every weight under the name that it has in transformers' BertModel."""
    words, eigenvalues = word_coordinates()
    pairs = chosen_pairs(eigenvalues)
    frequencies = position_frequencies()
    return {
        **_embeddings(words, frequencies),
        **_attention(frequencies),
        **_feed_forward(pairs),
        **_layer_norms(words, pairs),
    }


def _embeddings(words: Matrix, frequencies: Matrix) -> dict[str, Matrix]:
    """Words and positions in dimensions of their own, each token with the norm of every other."""
    word = np.zeros((len(PROTBERT), H))
    word[:, SPECIAL] = np.sqrt(N_WORD)
    first = PROTBERT.index(AMINO_ACIDS[0])
    word[first : first + N_WORD] = 0
    word[first : first + N_WORD, :N_WORD] = words
    word[PROTBERT.index("[CLS]")] = np.sqrt(N_WORD) * np.eye(H)[CLS]
    position = np.zeros((POSITIONS, H))
    angles = np.outer(np.arange(POSITIONS), frequencies)
    position[:, POSITION:WINDOW:2], position[:, POSITION + 1 : WINDOW : 2] = (
        np.cos(angles),
        np.sin(angles),
    )
    # [CLS] is reached by a bias alone, wherever it is looked at from.
    position[0] = np.sqrt(N_FREQUENCY) * np.eye(H)[SPECIAL]
    return {
        "embeddings.word_embeddings.weight": word,
        "embeddings.position_embeddings.weight": position,
        "embeddings.token_type_embeddings.weight": np.zeros((2, H)),
    }


def _attention(frequencies: Matrix) -> dict[str, Matrix]:
    """Heads that look one offset away, and at [CLS] beyond the ends of the chain, whose value is zero."""
    worst = largest_wrong(frequencies)
    per_product = _LEAD / (N_FREQUENCY - worst)
    # Halfway between the target's logit and the largest wrong one.
    to_cls = per_product * (N_FREQUENCY + worst) / 2
    gain, cls_gain = np.sqrt(per_product * np.sqrt(HEAD)), np.sqrt(to_cls * np.sqrt(HEAD))
    query, key, value = (np.zeros((HEADS, HEAD, H)) for _ in range(3))
    query_bias = np.zeros((HEADS, HEAD))
    query_bias[:, -1] = cls_gain
    key[:, -1, CLS] = cls_gain / np.sqrt(N_WORD)
    for head, offset in enumerate(OFFSETS):
        for number, angle in enumerate(offset * frequencies):
            rows = slice(2 * number, 2 * number + 2)
            columns = slice(POSITION + rows.start, POSITION + rows.stop)
            turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            query[head, rows, columns] = gain * np.array(turn)
            key[head, rows, columns] = gain * np.eye(2)
        for coordinate in range(carried(offset)):
            value[head, coordinate, coordinate] = 1
    names = {"self.query": query, "self.key": key, "self.value": value}
    layer = "encoder.layer.0.attention."
    return {
        **{f"{layer}{name}.weight": _without_mean(rows.reshape(H, H)) for name, rows in names.items()},
        f"{layer}self.query.bias": query_bias.reshape(H),
        f"{layer}self.key.bias": np.zeros(H),
        f"{layer}self.value.bias": np.zeros(H),
        f"{layer}output.dense.weight": _WINDOW_SCALE * _window_rows(),
        f"{layer}output.dense.bias": np.zeros(H),
    }


def _window_rows() -> Matrix:
    """Write each coordinate's window as a cosine transform over offsets, (H, H) from heads to dimensions.

    All but its constant term nearly cancel in the mean over a protein.
    """
    rows = np.zeros((H, H))
    for coordinate in range(NEAR):
        offsets = offsets_of(coordinate)
        heads = np.array([OFFSETS.index(offset) * HEAD + coordinate for offset in offsets])
        rows[np.ix_(window_of(coordinate), heads)] = cosine_transform(len(offsets))
    return rows


def _feed_forward(pairs: list[Pair]) -> dict[str, Matrix]:
    """Products of two coordinates: gelu(a + b) - gelu(a) - gelu(b) is about 2 a b / sqrt(2 pi)."""
    own = np.eye(H)[:FAR]
    other = np.zeros((FAR, 8, H))
    for coordinate in range(FAR):
        behind = [OFFSETS.index(separation) for separation in range(1, 9)]
        terms = cosine_transform(len(OFFSETS))[:, behind].T / _WINDOW_SCALE
        other[coordinate][:, window_of(coordinate)] = terms
    sums = [own[pair.first] + other[pair.second, pair.separation - 1] for pair in pairs]
    inner = _SMALL * np.concatenate([sums, own, other.reshape(-1, H)])
    outer = np.zeros((H, FFN))
    gain = _PAIR_SCALE * np.sqrt(2 * np.pi) / (2 * _SMALL**2)
    for number, pair in enumerate(pairs):
        second = N_PAIR + FAR + 8 * pair.second + pair.separation - 1
        outer[PAIR + number, number] = gain
        outer[PAIR + number, [N_PAIR + pair.first, second]] = -gain
    layer = "encoder.layer.0."
    return {
        f"{layer}intermediate.dense.weight": _without_mean(inner),
        f"{layer}intermediate.dense.bias": np.zeros(FFN),
        f"{layer}output.dense.weight": outer,
        f"{layer}output.dense.bias": np.zeros(H),
    }


def _without_mean(rows: Matrix) -> Matrix:
    """Have rows read every dimension as it was before LayerNorm subtracted the mean, (…, H)."""
    rows = rows.copy()
    rows[:, REFERENCE] -= rows.sum(axis=1)
    return rows


def _layer_norms(words: Matrix, pairs: list[Pair]) -> dict[str, Matrix]:
    """Scale back what a LayerNorm divides by; the last one sets mean and standard deviation.

    Both are those of residues drawn independently at Swiss-Prot's composition.
    """
    mean, sd = _moments(words, pairs)
    square = mean**2 + sd**2
    norms2 = TOKEN_NORM2 + np.array([0, square[WINDOW:PAIR].sum(), square[WINDOW:].sum()])
    wanted = np.zeros(H)
    wanted[:N_WORD] = wanted[PAIR:] = _OUT_SD
    wanted[WINDOW:PAIR] = _OUT_WINDOW_SD
    gain = np.divide(wanted, sd, out=np.zeros(H), where=wanted > 0)
    once, twice, last = np.sqrt(norms2 / H)
    names = ("embeddings.LayerNorm", "encoder.layer.0.attention.output.LayerNorm")
    return {
        **{f"{name}.weight": np.full(H, scale) for name, scale in zip(names, (once, twice), strict=True)},
        **{f"{name}.bias": np.zeros(H) for name in names},
        "encoder.layer.0.output.LayerNorm.weight": gain * last,
        "encoder.layer.0.output.LayerNorm.bias": -gain * mean,
    }


def _moments(words: Matrix, pairs: list[Pair]) -> tuple[Matrix, Matrix]:
    """Return mean and standard deviation of words, window and pairs before the last LayerNorm, (H,) each."""
    share = np.array(PERCENT) / sum(PERCENT)
    word_mean, word_square = share @ words, share @ words**2
    word_sd = np.sqrt(word_square - word_mean**2)
    mean, sd = np.zeros(H), np.zeros(H)
    mean[:N_WORD], sd[:N_WORD] = word_mean, word_sd
    for coordinate in range(NEAR):
        terms = cosine_transform(len(offsets_of(coordinate))).sum(axis=1)
        mean[window_of(coordinate)] = _WINDOW_SCALE * word_mean[coordinate] * terms
        sd[window_of(coordinate)] = _WINDOW_SCALE * word_sd[coordinate]
    first, second, _ = np.array(pairs).T
    mean[PAIR:] = _PAIR_SCALE * word_mean[first] * word_mean[second]
    square = _PAIR_SCALE**2 * word_square[first] * word_square[second]
    sd[PAIR:] = np.sqrt(square - mean[PAIR:] ** 2)
    return mean, sd

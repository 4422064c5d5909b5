"""A BERT over packs: proteins one behind the other without padding, each attending to itself alone.

The weights are those of an unmodified BertModel of transformers, whose vectors these are to rounding.

Axes: N tokens of a pack, T tokens of a protein, D width, H heads, C = D / H width of a head,
F width of the feed-forward.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import BertModel

    #: Queries, keys and values (N, 3, H, C) to what each token attends to (N, H, C).
    Attention = Callable[[Tensor], Tensor]


class PackedBert:
    """The layers of a BertModel, which is taken apart: it is not to be used afterwards."""

    def __init__(self, bert: BertModel, device: str, dtype: torch.dtype) -> None:
        import torch

        keep_few_products()
        bert = bert.to(device=device, dtype=dtype).requires_grad_(False)
        table = bert.embeddings
        self.device, self.dtype = device, dtype
        self.n_head = bert.config.num_attention_heads
        self.words = table.word_embeddings.weight + table.token_type_embeddings.weight[0]  # (V, D)
        self.positions = table.position_embeddings.weight  # (P, D)
        self.norm = table.LayerNorm
        self.layers = list(bert.encoder.layer)
        for layer in self.layers:
            parts = [layer.attention.self.query, layer.attention.self.key, layer.attention.self.value]
            fused = torch.nn.Linear(1, 1, device="meta")
            fused.weight = torch.nn.Parameter(torch.cat([part.weight for part in parts]), False)  # (3 D, D)
            fused.bias = torch.nn.Parameter(torch.cat([part.bias for part in parts]), False)  # (3 D,)
            layer.attention.self = fused
            if device == "cpu" and dtype == torch.float32:
                others = (layer.attention.output, layer.intermediate, layer.output)
                for linear in (fused, *(part.dense for part in others)):
                    compute_by_onednn(linear)
        width = self.words.shape[1] // self.n_head
        self._flash = device == "cuda" and dtype != torch.float32 and has_flash(width)

    def __call__(
        self,
        tokens: Tensor,
        lengths: Sequence[int],
        block: int | None = None,
        look: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Return the last hidden layer.

        Parameters
        ----------
        tokens : (N,) int64
            Token ids of the proteins, special tokens included.
        lengths : sequence of int
            Tokens of each protein.
        block : int, optional
            Queries, and tokens of the feed-forward, that are computed at once; all of them by default.
        look : callable, optional
            Is shown queries, keys and values (N, 3, H, C) of every layer.

        Returns
        -------
        (N, D) float32
        """
        import torch

        with torch.inference_mode():
            places = torch.cat([torch.arange(length) for length in lengths]).to(self.device)  # (N,)
            attention = self._attention(lengths, block)
            hidden = self.norm(self.words[tokens.to(self.device)] + self.positions[places])  # (N, D)
            for layer in self.layers:
                hidden = self._layer(layer, hidden, attention, block, look)
            return hidden.float()

    def _layer(
        self,
        layer: Any,
        hidden: Tensor,
        attention: Attention,
        block: int | None,
        look: Callable[[Tensor], None] | None,
    ) -> Tensor:
        """Take a pack (N, D) through a layer."""
        qkv = layer.attention.self(hidden).unflatten(1, (3, self.n_head, -1))  # (N, 3, H, C)
        if look:
            look(qkv)
        mixed = attention(qkv).flatten(1)  # (N, D)
        del qkv
        middle = layer.attention.output
        hidden = middle.LayerNorm(middle.dense(mixed) + hidden)  # (N, D)

        def feed_forward(rows: Tensor) -> Tensor:
            wide = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(rows))  # (n, F)
            return layer.output.LayerNorm(layer.output.dense(wide) + rows)

        return in_blocks(feed_forward, hidden, block)

    def _attention(self, lengths: Sequence[int], block: int | None) -> Attention:
        """Choose how the proteins of a pack attend."""
        import torch

        if self.device == "cpu" or block is not None:
            return partial(attend_each, lengths=lengths, block=block)
        offsets = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=self.device)
        way = attend_flash if self._flash else attend_nested
        return partial(way, offsets=offsets, longest=max(lengths))


def keep_few_products() -> None:
    """Have oneDNN forget products it compiled: it keeps 1,024, one for each size of a pack, some 0.6 MB each.

    It reads this before the first product; a user's own value stands.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, "16")


def compute_by_onednn(linear: torch.nn.Linear) -> None:
    """Have oneDNN compute a float32 layer on a CPU: on AMD's processors it is twice as fast as MKL."""
    import torch

    product = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if product is not None and torch.backends.mkldnn.is_available():
        weight, bias = linear.weight.to_mkldnn(), linear.bias
        linear.weight = None  # It would be there twice.
        linear.forward = lambda rows: product(rows, weight, bias, "none", [], "")


def attend_each(qkv: Tensor, lengths: Sequence[int], block: int | None) -> Tensor:
    """Attend in one protein after the other, `block` queries at a time."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    mixed = torch.empty_like(qkv[:, 0])  # (N, H, C)
    for first, last in pairwise([0, *accumulate(lengths)]):
        query, key, value = qkv[first:last].permute(1, 2, 0, 3).unsqueeze(1)  # (1, H, T, C) each
        start = first
        for queries in query.split(block or last - first, dim=2):
            found = scaled_dot_product_attention(queries, key, value)  # (1, H, t, C)
            mixed[start : start + queries.shape[2]] = found[0].transpose(0, 1)
            start += queries.shape[2]
    return mixed


def attend_flash(qkv: Tensor, offsets: Tensor, longest: int) -> Tensor:
    """Attend in all proteins of a pack at once: CUDA, half precision."""
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = qkv.unbind(1)  # (N, H, C) each
    return varlen_attn(query, key, value, offsets, offsets, longest, longest)


def attend_nested(qkv: Tensor, offsets: Tensor, longest: int) -> Tensor:
    """Attend in all proteins of a pack at once, where `attend_flash` cannot."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    ragged = partial(
        torch.nested.nested_tensor_from_jagged, offsets=offsets.long(), min_seqlen=1, max_seqlen=longest
    )
    # The kernels want each of the three in memory of its own.
    query, key, value = (ragged(part.contiguous()).transpose(1, 2) for part in qkv.unbind(1))  # (B, H, *, C)
    return scaled_dot_product_attention(query, key, value).transpose(1, 2).values()


def has_flash(width: int) -> bool:
    """Tell whether this GPU has flash attention for heads of this width."""
    import torch

    try:
        from torch.nn.attention import varlen  # noqa: F401
    except ImportError:
        return False
    return torch.cuda.get_device_capability() >= (8, 0) and width % 8 == 0 and width <= 256


def in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor, block: int | None) -> Tensor:
    """Apply a function of rows to a block of rows at a time."""
    import torch

    if block is None or block >= len(rows):
        return function(rows)
    return torch.cat([function(part) for part in rows.split(block)])

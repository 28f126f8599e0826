"""Attention as a layer."""

from __future__ import annotations

from typing import Any

from graphnn.errors import ShapeError
from graphnn.functions.attention import scaled_dot_product_attention
from graphnn.ir.dtype import as_dtype
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import shape_text
from graphnn.nn import init as initializers
from graphnn.nn.elsewhere import check_options
from graphnn.nn.layers import Linear
from graphnn.nn.module import Module
from graphnn.ops.movement import Reshape, permute_dims
from graphnn.ops.operands import as_node

_OTHERS = {
    "dropout": "Put an nn.Dropout behind it.",
    "batch_first": "The batch is always first: [batch, length, embed_dim].",
    "key_dim": "Each head has embed_dim / num_heads elements.",
    "need_weights": "The layer gives its output only.",
    "attn_mask": "Give the mask at the call: layer(x, mask=mask), where True attends.",
    "is_causal": "Say so at the call: layer(x, causal=True).",
}


class MultiheadAttention(Module):
    """Attention with several heads: each maps queries, keys and values to a part of the size, and attends by itself.

    ``[..., n, embed_dim]``, keys and values ``[..., m, embed_dim]``, to ``[..., n, embed_dim]``; see
    `graphnn.scaled_dot_product_attention`. Called with one input, it attends to itself.

    Parameters
    ----------
    embed_dim : the size of inputs and outputs
    num_heads : of which each has ``embed_dim / num_heads`` elements
    num_kv_heads : fewer heads of keys and values, which queries share; `num_heads` unless told
    bias : whether the four linear maps have one
    init : initializer of their weights; `nn.init.xavier_uniform` unless told
    dtype : float32 unless told
    seed : fixes the first values apart from the model's seed; see `graphnn.nn.module`

    Raises
    ------
    ShapeError
        If the heads do not divide the size, or an input has another one.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Examples
    --------
    >>> from graphnn import nn
    >>> layer = nn.MultiheadAttention(64, 8)
    >>> layer(gn.placeholder("x", ("batch", "length", 64)), causal=True).spec
    float32[batch, length, 64]
    >>> list(layer.named_modules())
    ['', 'q_proj', 'k_proj', 'v_proj', 'out_proj']
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        bias: bool = True,
        init: Any = initializers.xavier_uniform,
        dtype: Any = "float32",
        seed: int | None = None,
        **unknown: Any,
    ) -> None:
        known = ("embed_dim", "num_heads", "num_kv_heads", "bias", "init", "dtype", "seed")
        check_options("nn.MultiheadAttention", unknown, _OTHERS, known)
        shared = num_heads if num_kv_heads is None else num_kv_heads
        for size in (embed_dim, num_heads, shared):
            if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
                raise ShapeError(f"nn.MultiheadAttention: a size is a whole number from 1, not {size!r}")
        if embed_dim % num_heads:
            raise ShapeError(f"nn.MultiheadAttention: {embed_dim} elements cannot be divided into {num_heads} heads")
        if num_heads % shared:
            raise ShapeError(
                f"nn.MultiheadAttention: {num_heads} heads of queries cannot share {shared} heads of keys and values"
            )
        self.embed_dim, self.num_heads, self.num_kv_heads = int(embed_dim), int(num_heads), int(shared)
        self.head_dim = self.embed_dim // self.num_heads
        self.seed, self.dtype = seed, as_dtype(dtype)
        narrow = self.num_kv_heads * self.head_dim
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            Linear(self.embed_dim, size, bias=bias, init=init, dtype=dtype)
            for size in (self.embed_dim, narrow, narrow, self.embed_dim)
        )

    def forward(
        self, query: Any, key: Any = None, value: Any = None, *, mask: Any = None, causal: bool = False
    ) -> Node:
        """Attend.

        Parameters
        ----------
        query, key, value : key is query, and value is key, where they are left out
        mask : bool, True attends, or floating-point, added to the scores; it broadcasts to ``[..., heads, n, m]``
        causal : query i attends to the keys up to number i only
        """
        q = as_node(query)
        k = q if key is None else as_node(key)
        v = k if value is None else as_node(value)
        for node in (q, k, v):
            if node.ndim < 2 or node.shape[-1] != self.embed_dim:
                shape = shape_text(node.shape)
                raise explain(
                    ShapeError(f"{self!r} takes inputs [..., length, {self.embed_dim}], not {shape}"), (node,)
                )
        heads = (
            self._parted(self.q_proj(q), self.num_heads),
            self._parted(self.k_proj(k), self.num_kv_heads),
            self._parted(self.v_proj(v), self.num_kv_heads),
        )
        y = scaled_dot_product_attention(*heads, mask, causal=causal)
        y = permute_dims(y, _exchanged(y.ndim))
        out: Node = self.out_proj(Reshape((*y.shape[:-2], self.embed_dim))(y))
        return out

    def _parted(self, x: Node, heads: int) -> Node:
        """``[..., length, heads * size] -> [..., heads, length, size]``"""
        split = Reshape((*x.shape[:-1], heads, self.head_dim))(x)
        return permute_dims(split, _exchanged(split.ndim))

    def arguments(self) -> list[str]:
        shown = [str(self.embed_dim), str(self.num_heads)]
        shown += [f"num_kv_heads={self.num_kv_heads}"] if self.num_kv_heads != self.num_heads else []
        shown += ["bias=False"] if self.q_proj.bias is None else []
        shown += [f"dtype={self.dtype.name!r}"] if self.dtype != "float32" else []
        return shown + ([f"seed={self.seed}"] if self.seed is not None else [])


def _exchanged(ndim: int) -> tuple[int, ...]:
    """The order in which the third and the second axis from the end change places."""
    return (*range(ndim - 3), ndim - 2, ndim - 3, ndim - 1)

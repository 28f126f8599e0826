"""Attention, and positions told by rotation."""

from __future__ import annotations

import math

from graphnn.errors import DTypeError, ShapeError
from graphnn.functions.activations import masked_softmax, softmax
from graphnn.functions.creation import size_node
from graphnn.ir.dims import Dim, Size, exact_quotient
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops.comparison import logical_and
from graphnn.ops.composite import composite
from graphnn.ops.contraction import matmul
from graphnn.ops.exponential import sqrt
from graphnn.ops.indexing import iota_along
from graphnn.ops.movement import Part, Reshape, Slice, concat, matrix_transpose, stack
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.trigonometric import tanh


@composite(latex=r"\operatorname{{attention}}\left({args}\right)")
def scaled_dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    mask: Operand | None = None,
    /,
    *,
    causal: bool = False,
    scale: float | None = None,
    softcap: float | None = None,
) -> Node:
    """Each query takes a mean of the values, weighted by how well it fits their keys.

    ``softmax(query @ key.T * scale) @ value``: ``query [..., heads, n, d]``, ``key [..., heads, m, d]`` and
    ``value [..., heads, m, e]`` give ``[..., heads, n, e]``. Without an axis of heads, ``[n, d]`` and so on will do.
    Where there are fewer heads of keys and values, by a whole factor, that many heads of queries in a row share one.

    Parameters
    ----------
    mask : bool, True attends; or floating-point, added to what the softmax gets, where ``-inf`` does not attend. It broadcasts
        to ``[..., heads, n, m]``. A query that may attend to nothing gets zeros.
    causal : query i attends to the keys up to number i only
    scale : ``1 / sqrt(d)`` unless told
    softcap : takes ``softcap * tanh(scores / softcap)`` for the scores, before the mask

    Raises
    ------
    ShapeError
        If the shapes do not fit each other.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; shared heads: Ainslie et al., "GQA: training
    generalized multi-query transformer models from multi-head checkpoints", 2023; softcap: Gemma team, "Gemma 2", 2024.

    >>> q = k = gn.constant([[5.0, 0.0], [0.0, 5.0]])
    >>> gn.evaluate(gn.scaled_dot_product_attention(q, k, [[1.0], [2.0]], scale=1.0)).round(3)
    array([[1.],
           [2.]], dtype=float32)
    >>> gn.evaluate(gn.scaled_dot_product_attention(q, k, [[1.0], [2.0]], [[True, False], [True, True]]))[0]
    array([1.], dtype=float32)
    """
    q, k, v = as_node(query), as_node(key), as_node(value)
    scores = attention_scores(q, k, scale)
    if softcap is not None:
        scores = softcap * tanh(scores / softcap)
    allowed = None if mask is None else as_node(mask)
    if allowed is not None and not (allowed.dtype.is_floating or allowed.dtype.name == "bool"):
        raise DTypeError(
            f"scaled_dot_product_attention: the mask is bool or floating-point, not {allowed.dtype}",
            "True attends: mask.astype('bool').",
        )
    added = None
    if allowed is not None and allowed.dtype.is_floating:
        added, allowed = allowed, allowed != -math.inf
    if causal:
        below = causal_mask(scores.shape[-2], scores.shape[-1])
        allowed = below if allowed is None else logical_and(allowed, below)
    return attend(attention_weights(scores, allowed, added), v)


def attention_scores(query: Node, key: Node, scale: float | None = None) -> Node:
    """How well each query fits each key: ``query @ key.T * scale``, ``[..., heads, n, m]``."""
    name = "scaled_dot_product_attention"
    if query.ndim < 2 or key.ndim < 2 or query.shape[-1] != key.shape[-1]:
        raise ShapeError(
            f"{name}: queries {shape_text(query.shape)} and keys {shape_text(key.shape)} have no common last axis",
            "They are [..., heads, length, d] with the same d.",
        )
    width = query.shape[-1]
    if scale is not None:
        factor: Node | float = scale
    elif isinstance(width, Dim):
        factor = 1 / sqrt(size_node(width, query.dtype))
    else:
        factor = 1 / math.sqrt(max(width, 1))
    # Scaling the queries costs less than scaling the scores, and nothing overflows that the scores would not.
    sharing = _sharing(query, key)
    return _part_heads(matmul(_join_heads(query * factor, sharing), matrix_transpose(key)), query, sharing)


def attention_weights(scores: Node, allowed: Node | None = None, added: Node | None = None) -> Node:
    """The softmax of the scores where it is allowed, and zeros elsewhere; `added` is added to the scores before."""
    if added is not None:
        scores = scores + added
    return softmax(scores) if allowed is None else masked_softmax(scores, allowed)


def attend(weights: Node, value: Node) -> Node:
    """``weights @ value``, ``[..., heads, n, e]``, where heads in a row may share the values."""
    if value.ndim < 2 or weights.shape[-1] != value.shape[-2]:
        raise ShapeError(
            f"scaled_dot_product_attention: weights of {weights.shape[-1]} keys for values {shape_text(value.shape)}",
            "Keys and values have the same length: [..., heads, length, e].",
        )
    sharing = _sharing(weights, value)
    return _part_heads(matmul(_join_heads(weights, sharing), value), weights, sharing)


def causal_mask(queries: Size, keys: Size, offset: int | Node = 0) -> Node:
    """bool ``[queries, keys]``: True where the number of the key is at most that of the query plus `offset`."""
    return iota_along(keys, 1, 2) <= iota_along(queries, 0, 2) + offset


def _sharing(query: Node, key: Node) -> int:
    """How many heads of queries in a row share one of keys and values."""
    if query.ndim < 3 or key.ndim < 3:
        return 1
    heads, shared = query.shape[-3], key.shape[-3]
    if heads == shared or heads == 1 or (shared == 1 and isinstance(heads, Dim)):
        return 1  # one head broadcasts
    count = exact_quotient(heads, shared) if isinstance(shared, int) and shared > 0 else None
    if not isinstance(count, int):
        raise ShapeError(
            f"scaled_dot_product_attention: {heads} heads of queries cannot share {shared} heads of keys and values",
            "The number of heads of queries is that of keys and values, or a multiple of it.",
        )
    return count


def _join_heads(x: Node, sharing: int) -> Node:
    """``[..., heads, n, d] -> [..., heads / sharing, sharing * n, d]``: what shares keys becomes one longer matrix."""
    if sharing == 1:
        return x
    *outer, heads, length, width = x.shape
    each = exact_quotient(heads, sharing)
    assert each is not None
    return Reshape((*outer, each, length * sharing, width))(x)


def _part_heads(x: Node, like: Node, sharing: int) -> Node:
    """The way back of `_join_heads`."""
    return x if sharing == 1 else Reshape((*x.shape[:-3], *like.shape[-3:-1], x.shape[-1]))(x)


@composite(latex=r"\operatorname{{rotary}}\left({args}\right)")
def rotary_embedding(x: Operand, cos: Operand, sin: Operand, /, *, interleaved: bool = False) -> Node:
    """Pairs of elements rotated by angles that grow with the position, so that inner products depend on distances only.

    The pair ``(a, b)`` becomes ``(a * cos - b * sin, a * sin + b * cos)``. Of the last axis of x ``[..., length, d]`` the
    first ``2 * r`` elements are rotated for ``cos [..., length, r]``; the rest stays.

    Parameters
    ----------
    cos, sin : of the angles, usually ``position * base**(-i / r)`` with base 10000; they broadcast
    interleaved : a pair is made of neighbours; else of an element of the first and one of the second half

    Raises
    ------
    ShapeError
        If there are more angles than pairs.

    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    >>> angles = gn.arange(3, dtype="float32")[:, None] * 10000.0 ** -(gn.arange(2, dtype="float32") / 2)
    >>> x = gn.ones((3, 4))
    >>> gn.evaluate(gn.rotary_embedding(x, gn.cos(angles), gn.sin(angles))).round(2)
    array([[ 1.  ,  1.  ,  1.  ,  1.  ],
           [-0.3 ,  0.99,  1.38,  1.01],
           [-1.33,  0.98,  0.49,  1.02]], dtype=float32)
    """
    node, c, s = as_node(x), as_node(cos), as_node(sin)
    if c.ndim == 0 or s.ndim == 0 or c.shape[-1] != s.shape[-1] or node.ndim == 0:
        raise ShapeError(
            f"rotary_embedding: cos {shape_text(c.shape)} and sin {shape_text(s.shape)} for x {shape_text(node.shape)}",
            "They are [..., length, r], x is [..., length, d] with d of 2 r or more.",
        )
    pairs, width, last = c.shape[-1], node.shape[-1], node.ndim - 1
    rest = width - 2 * pairs
    if isinstance(rest, int) and rest < 0:
        raise ShapeError(f"rotary_embedding: {pairs} angles for {width} elements, of which they rotate {2 * pairs}")
    turned = Part(last, 0, 2 * pairs)(node) if rest != 0 else node
    if interleaved:
        a, b = (Slice((*((None, None, 1),) * last, (start, None, 2)))(turned) for start in (0, 1))
    else:
        a, b = (Part(last, start, pairs)(turned) for start in (0, pairs))
    first, second = a * c - b * s, a * s + b * c
    if interleaved:
        pair = stack([first, second], axis=first.ndim)
        out = Reshape((*first.shape[:-1], 2 * pairs))(pair)
    else:
        out = concat([first, second], axis=first.ndim - 1)
    return out if rest == 0 else concat([out, Part(last, 2 * pairs, rest)(node)], axis=last)

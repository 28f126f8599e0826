"""Cases of `graphnn.functions.attention`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import attention as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import OpCase
from graphnn.testing.domains import BOOL, irregular, scaled

_NO_AXES = "it has axes of lengths and features"
_NO_EMPTY = "a mean of no values is not a number"


_Q, _K, _V, _ADDED = (irregular(start) for start in (0.0, 1.0, 2.0, 3.0))


def _attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Any = True,
    added: Any = 0.0,
    scale: float | None = None,
    softcap: float | None = None,
) -> Array:
    """Query by query, by the definition."""
    heads, shared = q.shape[-3] if q.ndim > 2 else 1, k.shape[-3] if k.ndim > 2 else 1
    if heads != shared:
        k, v = (np.repeat(array, heads // shared, axis=-3) for array in (k, v))
    factor = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    scores = np.einsum("...nd,...md->...nm", q, k) * factor
    scores = scores if softcap is None else softcap * np.tanh(scores / softcap)
    scores = np.where(mask, scores + added, -np.inf)
    out = np.zeros((*scores.shape[:-1], v.shape[-1]))
    for place in np.ndindex(scores.shape[:-1]):
        row = scores[place]
        if np.isfinite(row).any():
            weights = np.exp(row - row.max())
            out[place] = weights / weights.sum() @ v[place[:-1]]
    return out


def _rotated(x: Array, cos: Array, sin: Array, interleaved: bool = False) -> Array:
    """As a product of complex numbers."""
    pairs = cos.shape[-1]
    out = x.copy()
    first = slice(0, 2 * pairs, 2) if interleaved else slice(0, pairs)
    second = slice(1, 2 * pairs, 2) if interleaved else slice(pairs, 2 * pairs)
    turned = (x[..., first] + 1j * x[..., second]) * (cos + 1j * sin)
    out[..., first], out[..., second] = turned.real, turned.imag
    return out


def _case(variant: str, shapes: Any, options: Any, reference: Any, **more: Any) -> OpCase:
    more.setdefault("domain", (_Q, _K, _V))
    return OpCase(
        lambda *operands: ops.scaled_dot_product_attention(*operands, **options),
        reference,
        shapes,
        name="scaled_dot_product_attention" + variant,
        no_scalar=_NO_AXES,
        no_empty=_NO_EMPTY,
        **more,
    )


_PLAIN = ((2, 2), (3, 2), (3, 1))
_HEADS = ((4, 2, 1), (2, 2, 1), (2, 2, 1))

CASES = (
    _case("", (_PLAIN, ((2, 2, 1), (2, 2, 1), (2, 2, 2))), {}, _attention),
    _case("[heads]", (_HEADS,), {"scale": 0.5}, lambda q, k, v: _attention(q, k, v, scale=0.5), static=(2, 4)),
    _case(
        "[one head]",
        (((2, 3, 2), (1, 2, 2), (1, 2, 1)),),
        {"softcap": 2.0},
        lambda q, k, v: _attention(q, k, v, softcap=2.0),
    ),
    _case(
        "[mask]",
        ((*_PLAIN, (2, 3)), (*_PLAIN, (3,)), ((2, 3, 1), (2, 2, 1), (2, 2, 1), (3, 2))),
        {},
        lambda q, k, v, m: _attention(q, k, v, m),
        domain=(_Q, _K, _V, BOOL),
    ),
    _case(
        "[added]",
        ((*_PLAIN, (2, 3)), (*_HEADS, (4, 1, 2))),
        {},
        lambda q, k, v, m: _attention(q, k, v, added=m),
        domain=(_Q, _K, _V, _ADDED),
        static=(2, 4),
    ),
    _case(
        "[causal]",
        (((3, 2), (3, 2), (3, 4)), _PLAIN),
        {"causal": True},
        lambda q, k, v: _attention(q, k, v, np.tri(q.shape[-2], k.shape[-2], dtype=bool)),
    ),
    _case(
        "[causal mask]",
        (((3, 2), (3, 2), (3, 4), (3, 3)),),
        {"causal": True},
        lambda q, k, v, m: _attention(q, k, v, np.tri(3, dtype=bool) & m),
        domain=(_Q, _K, _V, BOOL),
    ),
    OpCase(
        ops.rotary_embedding,
        _rotated,
        (((3, 4), (3, 2), (3, 2)), ((2, 3, 4), (3, 2), (3, 2)), ((0, 4), (0, 2), (0, 2))),
        scaled(),
        static=(2, 4),
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x, c, s: ops.rotary_embedding(x, c, s, interleaved=True),
        lambda x, c, s: _rotated(x, c, s, True),
        (((3, 5), (3, 2), (3, 2)), ((2, 3, 4), (3, 2), (3, 2))),
        static=(2, 4, 5),
        name="rotary_embedding[interleaved]",
        no_scalar=_NO_AXES,
        no_empty="see rotary_embedding",
    ),
)

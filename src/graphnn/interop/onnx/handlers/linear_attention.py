"""Attention by a state that is carried along the sequence, instead of by all pairs of places."""

from __future__ import annotations

import math

import graphnn as gn
from graphnn.interop.onnx.handlers.convolution import number
from graphnn.interop.onnx.handlers.recurrent import along
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import exact_quotient
from graphnn.ir.dtype import float32
from graphnn.ir.node import Node

_RULES = ("linear", "gated", "delta", "gated_delta")


def _parted(call: Call, x: Node, heads: int) -> Node:
    """``[batch, length, heads * size] -> [length, batch, heads, size]``, in float32 at least"""
    if x.ndim != 3:
        raise call.error(f"inputs have the axes [batch, length, heads * size], not {x.spec}")
    each = exact_quotient(x.shape[2], heads) if heads > 0 else None
    if each is None:
        raise call.error(f"{x.spec} cannot be divided into {heads} heads")
    split = gn.permute_dims(gn.reshape(x, (*x.shape[:2], heads, each)), (1, 0, 2, 3))
    return split.astype(float32) if x.dtype.bits == 16 else split


@onnx_op("LinearAttention", since=27)
def linear_attention(
    call: Call,
    query: Node,
    key: Node,
    value: Node,
    past: Node | None = None,
    decay: Node | None = None,
    beta: Node | None = None,
) -> tuple[Node, Node]:
    """``S = exp(decay) S + beta k (v - exp(decay) Sᵀ k)ᵀ`` and ``y = scale Sᵀ q`` at each place, or a part of this rule."""
    rule = call.text("update_rule", "gated_delta")
    heads, shared = call.integer("q_num_heads"), call.integer("kv_num_heads")
    if rule not in _RULES:
        raise call.error(f"update_rule is {', '.join(_RULES)}, not {rule!r}")
    if heads < 1 or shared < 1 or heads % shared:
        raise call.error(f"{heads} heads of queries cannot share {shared} heads of keys and values")
    if ("gated" in rule) != (decay is not None) or ("delta" in rule) != (beta is not None):
        raise call.error(f"the rule {rule!r} with other inputs than it needs: decay for gated, beta for delta")
    q, k, v = _parted(call, query, heads), _parted(call, key, shared), _parted(call, value, shared)
    steps, batch, width, out_width = q.shape[0], q.shape[1], number(call, k, 3), v.shape[3]
    forget = None if decay is None else gn.exp(_parted(call, decay, shared))  # [length, batch, heads, 1 or width]
    rate = None if beta is None else _parted(call, beta, shared if beta.shape[2] == shared else 1)
    scale = call.number("scale", 0.0) or 1 / math.sqrt(width)
    if past is None:
        state = gn.zeros((batch, shared, width, out_width), dtype=q.dtype)
    else:
        state = past.astype(q.dtype)
    q = gn.reshape(q * scale, (steps, batch, shared, heads // shared, width))
    gates = [gate for gate in (forget, rate) if gate is not None]

    def step(carried: tuple[Node, ...], item: tuple[Node, ...]) -> tuple[tuple[Node, ...], Node]:
        (state,), (q_t, k_t, change, *more) = carried, item
        if forget is not None:
            state = gn.expand_dims(more[0], axis=3) * state
        if rate is not None:
            seen = gn.squeeze(gn.expand_dims(k_t, axis=2) @ state, axis=2)
            change = more[-1] * (change - seen)
        state = state + gn.expand_dims(k_t, axis=3) * gn.expand_dims(change, axis=2)
        return (state,), q_t @ state  # [batch, shared, heads / shared, out_width]

    (state,), out = along(step, (state,), (q, k, v, *gates))
    y = gn.reshape(gn.moveaxis(out, 0, 1), (batch, steps, heads * out_width))
    return y.astype(query.dtype), state.astype(query.dtype if past is None else past.dtype)

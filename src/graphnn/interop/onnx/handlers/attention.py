"""Attention and rotary embedding."""

from __future__ import annotations

import math

import graphnn as gn
from graphnn.functions.attention import attend, attention_scores, attention_weights
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import exact_quotient
from graphnn.ir.dtype import float32, float64
from graphnn.ir.node import Node
from graphnn.ops.indexing import iota_along


def _heads(call: Call, x: Node, count: int) -> Node:
    """``[batch, length, count * size] -> [batch, count, length, size]``"""
    each = exact_quotient(x.shape[2], count) if count > 0 else None
    if each is None:
        raise call.error(f"{x.spec} cannot be divided into {count} heads")
    return gn.permute_dims(gn.reshape(x, (*x.shape[:2], count, each)), (0, 2, 1, 3))


def _joined(x: Node) -> Node:
    """The way back of `_heads`."""
    batch, heads, length, size = x.shape
    return gn.reshape(gn.permute_dims(x, (0, 2, 1, 3)), (batch, length, heads * size))


def _mask(call: Call, mask: Node, scores: tuple[object, ...]) -> Node:
    """The mask, in which keys that it does not reach are not attended."""
    if mask.ndim == 0 or mask.ndim > 4:
        raise call.error(f"the mask {mask.spec} does not broadcast to [batch, heads, queries, keys]")
    keys, reached = scores[-1], mask.shape[-1]
    if keys == reached or reached == 1:
        return mask
    if not (isinstance(keys, int) and isinstance(reached, int)) or reached > keys:
        raise call.error(f"the mask reaches {reached} of {keys} keys")
    widths = [(0, 0)] * (mask.ndim - 1) + [(0, keys - reached)]
    return gn.pad(mask, widths, value=-math.inf) if mask.dtype.is_floating else gn.pad(mask, widths)


def _places(call: Call, q: Node, k: Node, past_key: Node | None, lengths: Node | None) -> tuple[bool, Node | None]:
    """Which keys each query may attend to by its place: whether gn's `causal` tells it; if not, a mask."""
    causal = call.flag("is_causal")
    left, right = call.integer("left_window_size", -1), call.integer("right_window_size", -1)
    if min(left, right) < -1:
        raise call.error(f"windows are numbers from 0, or -1 for none, not {left} and {right}")
    if causal and left == right == -1 and past_key is None and lengths is None:
        return True, None
    key = iota_along(k.shape[2], 3, 4)
    place = iota_along(q.shape[2], 2, 4)
    if past_key is not None:
        place = place + gn.dim_size(past_key, 2)
    elif lengths is not None:
        place = place + (gn.reshape(lengths, (-1, 1, 1, 1)) - gn.dim_size(q, 2))
    conditions = []
    if causal:
        conditions.append(key <= place)
    if left >= 0:
        conditions.append(key >= place - left)
    if right >= 0:
        conditions.append(key <= place + right)
    if lengths is not None:
        conditions.append(key < gn.reshape(lengths, (-1, 1, 1, 1)))
    allowed = None
    for condition in conditions:
        allowed = condition if allowed is None else gn.logical_and(allowed, condition)
    return False, allowed


@onnx_op("Attention", since=23)
def attention(
    call: Call,
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None = None,
    past_key: Node | None = None,
    past_value: Node | None = None,
    lengths: Node | None = None,
) -> tuple[Node | None, ...]:
    """Values weighted by how well queries fit keys; the keys and values with those of before; and the scores."""
    flat = q.ndim == 3
    if not (q.ndim == k.ndim == v.ndim and q.ndim in (3, 4)):
        raise call.error(f"queries {q.spec}, keys {k.spec} and values {v.spec} have 3 axes, or all have 4")
    if flat:
        q = _heads(call, q, call.integer("q_num_heads"))
        k, v = (_heads(call, x, call.integer("kv_num_heads")) for x in (k, v))
    if (past_key is None) != (past_value is None):
        raise call.error("past_key and past_value are given together")
    if past_key is not None and past_value is not None:
        if lengths is not None:
            raise call.error("nonpad_kv_seqlen is not given together with past_key")
        k, v = gn.concat([past_key, k], axis=2), gn.concat([past_value, v], axis=2)
    scale: float | None = call.number("scale", None)
    softcap = call.number("softcap", 0.0)
    if softcap < 0:
        raise call.error(f"softcap is not negative: {softcap}")

    present_key = k
    if q.dtype.bits == 16 and isinstance(q.shape[3], int):
        # As the standard has it, so that no score overflows: the root of the scale on both sides.
        root = math.sqrt(1 / math.sqrt(max(q.shape[3], 1)) if scale is None else scale)
        q, k, scale = q * root, k * root, 1.0

    plain, allowed = _places(call, q, k, past_key, lengths)
    added = None
    if mask is not None:
        mask = _mask(call, mask, (q.shape[2], k.shape[2]))
        if mask.dtype.is_floating:
            added = mask
        else:
            mask = mask.astype("bool")
            allowed = mask if allowed is None else gn.logical_and(allowed, mask)

    precision = call.dtype("softmax_precision", q.dtype)
    if not precision.is_floating:
        raise call.error(f"softmax_precision is a floating-point type, not {precision}")
    if not call.wants(3) and precision is q.dtype:
        both = added if allowed is None else allowed if added is None else gn.where(allowed, added, -math.inf)
        y = gn.scaled_dot_product_attention(q, k, v, both, causal=plain, scale=scale, softcap=softcap or None)
        return _joined(y) if flat else y, present_key, v, None

    if plain:
        below = iota_along(k.shape[2], 3, 4) <= iota_along(q.shape[2], 2, 4)
        allowed = below if allowed is None else gn.logical_and(allowed, below)
    stages = [attention_scores(q, k, scale)]
    stages.append(softcap * gn.tanh(stages[0] / softcap) if softcap else stages[0])
    biased = stages[1] if added is None else stages[1] + added
    stages.append(biased if allowed is None else gn.where(allowed, biased, -math.inf))
    if added is not None:
        finite = added != -math.inf
        allowed = finite if allowed is None else gn.logical_and(allowed, finite)
    stages.append(attention_weights(biased.astype(precision), allowed).astype(q.dtype))
    mode = call.integer("qk_matmul_output_mode", 0)
    if not 0 <= mode <= 3:
        raise call.error(f"qk_matmul_output_mode is from 0 to 3, not {mode}")
    y = attend(stages[3], v)
    return _joined(y) if flat else y, present_key, v, stages[mode]


@onnx_op("FlexAttention", domain="ai.onnx.preview")
def flex_attention(call: Call, q: Node, k: Node, v: Node) -> Node:
    """Attention whose scores and weights the model changes by graphs of its own."""
    if not q.ndim == k.ndim == v.ndim == 4:
        raise call.error(f"queries {q.spec}, keys {k.spec} and values {v.spec} have four axes")
    precision = call.dtype("softmax_precision", float64 if q.dtype is float64 else float32)
    if not precision.is_floating:
        raise call.error(f"softmax_precision is a floating-point type, not {precision}")
    stage = attention_scores(q, k, call.number("scale", None)).astype(precision)
    for name in ("score_mod", "prob_mod"):
        stage = stage if name == "score_mod" else gn.softmax(stage)
        if name in call.attributes:
            shape = stage.shape
            (stage,) = call.run(name, stage)
            if stage.shape != shape:
                raise call.error(f"{name} gives {stage.spec}, not the shape that it gets")
    return attend(stage.astype(q.dtype), v)


@onnx_op("RotaryEmbedding", since=23)
def rotary_embedding(call: Call, x: Node, cos: Node, sin: Node, positions: Node | None = None) -> Node:
    """Pairs of elements rotated by angles of their positions."""
    flat = x.ndim == 3
    if x.ndim not in (3, 4):
        raise call.error(f"an input with 3 or 4 axes is needed, not {x.spec}")
    if flat:
        x = _heads(call, x, call.integer("num_heads"))
    if positions is not None:
        if cos.ndim != 2 or sin.ndim != 2:
            raise call.error(f"the tables {cos.spec} and {sin.spec} have two axes where positions are given")
        cos, sin = gn.take(cos, positions, axis=0), gn.take(sin, positions, axis=0)
    if cos.ndim != 3 or sin.shape != cos.shape:
        raise call.error(f"cos {cos.spec} and sin {sin.spec} are [batch, length, angles]")
    rotated = call.integer("rotary_embedding_dim", 0) or x.shape[3]
    if cos.shape[2] * 2 != rotated:
        raise call.error(f"{cos.shape[2]} angles rotate twice as many elements, not {rotated}")
    cos, sin = gn.expand_dims(cos, axis=1), gn.expand_dims(sin, axis=1)
    y = gn.rotary_embedding(x, cos, sin, interleaved=call.flag("interleaved"))
    return _joined(y) if flat else y

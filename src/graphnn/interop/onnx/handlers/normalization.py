"""Normalisation, and dropout."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import graphnn as gn
from graphnn.functions.creation import size_node
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import Dim, product
from graphnn.ir.dtype import DType, float32, float64
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axes, normalize_axis

_EPSILON = 1e-5


def _precision(call: Call, x: Node) -> DType:
    """The data type in which it is computed (stash_type), which is never narrower than that of x."""
    stash = call.dtype("stash_type", float32)
    if not stash.is_floating:
        raise call.error(f"stash_type is a floating-point type, not {stash}")
    return stash if stash.bits > x.dtype.bits or stash is float64 else x.dtype


def _fits(call: Call, value: Node, x: Node, axes: Sequence[int]) -> bool:
    """Whether a weight has just the shape of the normalised axes; else it must broadcast to x."""
    if value.shape == tuple(x.shape[i] for i in axes):
        return True
    if value.ndim > x.ndim:
        raise call.error(f"{value.spec} does not broadcast to {x.spec}")
    return False


@onnx_op("LayerNormalization", since=17)
def layer_normalization(
    call: Call, x: Node, scale: Node, bias: Node | None = None
) -> tuple[Node, Node | None, Node | None]:
    """Mean 0 and variance 1 over the axes from `axis` on; and the mean, and 1 over the standard deviation."""
    first = normalize_axis("LayerNormalization", call.integer("axis", -1), x.ndim)
    axes, epsilon = tuple(range(first, x.ndim)), call.number("epsilon", _EPSILON)
    wide = x.astype(_precision(call, x))
    weights = [value for value in (scale, bias) if value is not None]
    if wide.dtype is x.dtype and all(_fits(call, value, x, axes) for value in weights):
        y = gn.layer_norm(x, scale, bias, axis=axes, eps=epsilon)
    else:
        y = gn.layer_norm(wide, axis=axes, eps=epsilon).astype(x.dtype) * scale
        y = y if bias is None else y + bias
    if not (call.wants(1) or call.wants(2)):
        return y, None, None
    deviation = gn.sqrt(gn.var(wide, axis=axes, keepdims=True) + epsilon)
    return y, gn.mean(wide, axis=axes, keepdims=True), 1 / deviation


@onnx_op("RMSNormalization", since=23)
def rms_normalization(call: Call, x: Node, scale: Node) -> Node:
    """Divided by the root of the mean square over the axes from `axis` on."""
    first = normalize_axis("RMSNormalization", call.integer("axis", -1), x.ndim)
    axes, epsilon = tuple(range(first, x.ndim)), call.number("epsilon", _EPSILON)
    wide = x.astype(_precision(call, x))
    if wide.dtype is x.dtype and scale.dtype is x.dtype and _fits(call, scale, x, axes):
        return gn.rms_norm(x, scale, axis=axes, eps=epsilon)
    return gn.rms_norm(wide, axis=axes, eps=epsilon).astype(scale.dtype) * scale


def _channels(call: Call, x: Node) -> tuple[int, ...]:
    """All axes but that of the channels."""
    if x.ndim < 2:
        raise call.error(f"an input [batch, channels, ...] is needed, not {x.spec}")
    return (0, *range(2, x.ndim))


@onnx_op("BatchNormalization")
def batch_normalization(
    call: Call, x: Node, scale: Node, bias: Node, mean: Node, var: Node
) -> tuple[Node, Node | None, Node | None]:
    """Each channel by statistics that are given; in training by those of the batch, and the next running ones."""
    axes, epsilon = _channels(call, x), call.number("epsilon", _EPSILON)
    if call.opset < 9 and not call.flag("spatial", True):
        raise call.unsupported("spatial = 0")
    early = call.opset < 14  # training was told by the number of outputs, which are then more than can be told here
    training = call.flag("training_mode") if not early else call.opset < 7 and not call.flag("is_test")
    if training and early:
        raise call.unsupported("training before version 14")
    if not training:
        if call.wants(1):
            raise call.unsupported("statistics as an output without training")
        return gn.batch_norm(x, mean, var, scale, bias, axis=1, eps=epsilon), None, None
    wide = x.astype(mean.dtype) if mean.dtype.bits > x.dtype.bits else x
    batch_mean, batch_var = gn.mean(wide, axis=axes), gn.var(wide, axis=axes)
    y = gn.batch_norm(x, batch_mean, batch_var, scale, bias, axis=1, eps=epsilon)
    keep = call.number("momentum", 0.9)
    running = [old * keep + new.astype(old.dtype) * (1 - keep) for old, new in ((mean, batch_mean), (var, batch_var))]
    return y, running[0], running[1]


@onnx_op("InstanceNormalization")
def instance_normalization(call: Call, x: Node, scale: Node, bias: Node) -> Node:
    """Each channel of each example to mean 0 and variance 1."""
    _channels(call, x)
    return gn.instance_norm(x, scale, bias, eps=call.number("epsilon", _EPSILON), layout="channels_first")


@onnx_op("GroupNormalization", since=18)
def group_normalization(call: Call, x: Node, scale: Node, bias: Node) -> Node:
    """Groups of channels to mean 0 and variance 1; before version 21 with a scale for each group."""
    _channels(call, x)
    groups, epsilon = call.integer("num_groups"), call.number("epsilon", _EPSILON)
    precision = _precision(call, x)
    if call.opset < 21:
        channels = x.shape[1]
        if isinstance(channels, Dim) or groups < 1 or channels % groups:
            raise call.error(f"{channels} channels in {groups} groups")
        scale, bias = gn.repeat(scale, channels // groups), gn.repeat(bias, channels // groups)
    if precision is x.dtype or x.dtype.bits == 16:
        return gn.group_norm(x, scale, bias, groups=groups, eps=epsilon, layout="channels_first")
    wide = gn.group_norm(x.astype(precision), groups=groups, eps=epsilon, layout="channels_first").astype(x.dtype)
    shape = (scale.shape[0], *[1] * (x.ndim - 2))
    return wide * gn.reshape(scale, shape) + gn.reshape(bias, shape)


@onnx_op("LRN")
def lrn(call: Call, x: Node) -> Node:
    """Divided by the neighbours in other channels."""
    _channels(call, x)
    size = call.integer("size")
    if size < 1:
        raise call.error(f"size is a number from 1, not {size}")
    call.afford(size)
    options = {
        "alpha": call.number("alpha", 1e-4),
        "beta": call.number("beta", 0.75),
        "k": call.number("bias", 1.0),
    }
    # Of an even number of neighbours, ONNX has the larger part after the channel, and gn before it.
    turned = gn.flip(x, axis=1) if size % 2 == 0 else x
    y = gn.local_response_norm(turned, size, layout="channels_first", **options)
    return gn.flip(y, axis=1) if size % 2 == 0 else y


@onnx_op("LpNormalization")
def lp_normalization(call: Call, x: Node) -> Node:
    """Divided by the p-norm along an axis; zeros where that is 0."""
    axis, p = call.integer("axis", -1), call.integer("p", 2)
    if p not in (1, 2):
        raise call.error(f"p is 1 or 2, not {p}")
    norm = gn.vector_norm(x, axis=axis, keepdims=True, ord=float(p))
    return gn.where(norm == 0, 0, x / gn.where(norm == 0, 1, norm))


@onnx_op("MeanVarianceNormalization", since=9)
def mean_variance_normalization(call: Call, x: Node) -> Node:
    """Mean 0 and variance 1 over axes; the standard deviation is kept from 0 by 1e-9."""
    axes = normalize_axes("MeanVarianceNormalization", call.integers("axes", (0, 2, 3)), x.ndim)
    centered = x - gn.mean(x, axis=axes, keepdims=True)
    count = size_node(product(x.shape[i] for i in axes), x.dtype)
    return centered / (gn.sqrt(gn.sum(gn.square(centered), axis=axes, keepdims=True) / count) + 1e-9)


@onnx_op("Dropout")
def dropout(call: Call, x: Node, ratio: Node | None = None, training: Node | None = None) -> tuple[Node, Node | None]:
    """In training, elements become 0 at random and the others larger; else nothing happens."""
    if call.opset < 7:
        if not call.flag("is_test"):
            raise call.unsupported("training before version 12")
    elif call.opset >= 12 and training is not None and bool(call.static(2).all()):
        share = 0.5 if ratio is None else float(call.static(1))
        if not 0 <= share < 1:
            raise call.error(f"the ratio is from 0 up to but without 1, not {share}")
        if share > 0:
            # Without a seed, one that differs from node to node.
            seed = call.integer("seed", zlib.crc32(call.name.encode()))
            kept = gn.bernoulli(gn.stream(abs(seed)), 1 - share, x.shape)
            return gn.where(kept, x / (1 - share), 0), kept
    return x, gn.full(x.shape, True) if call.wants(1) else None

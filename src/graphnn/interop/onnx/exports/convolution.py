"""Convolution, pooling, normalisation and interpolation, where ONNX has them under a name of its own.

ONNX has the channels first. Where they are last, axes are exchanged before and after, which runtimes take together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.functions.patches import channels_first, numbers
from graphnn.interop.onnx.exports.composites import options_of
from graphnn.interop.onnx.exports.movement import transpose
from graphnn.interop.onnx.writer import Writer, named
from graphnn.ir.dtype import float32
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axes, normalize_axis
from graphnn.ops.composite import Composite
from graphnn.ops.movement import PermuteDims
from graphnn.ops.windows import per_axis


def _first(out: Writer, x: str, count: int, first: bool) -> str:
    return x if first else transpose(out, x, (0, count + 1, *range(1, count + 1)))


def _last(out: Writer, x: str, count: int, first: bool) -> str:
    return x if first else transpose(out, x, (0, *range(2, count + 2), 1))


def _weight(out: Writer, weight: Node, order: Sequence[int]) -> str:
    """A weight with its axes in another order; what an import has permuted goes straight back."""
    if isinstance(weight.op, PermuteDims):
        axes = weight.op.axes
        return out.permuted(weight.inputs[0], [axes[i] for i in order])
    return out.permuted(weight, order)


def _attributes(options: dict[str, Any], count: int, name: str) -> dict[str, Any] | None:
    """Strides, dilations and padding; None for padding that ONNX does not have."""
    padding = options["padding"]
    found: dict[str, Any] = {"strides": list(per_axis(name, "stride", options["stride"], count))}
    if "dilation" in options:
        found["dilations"] = list(per_axis(name, "dilation", options["dilation"], count))
    if padding == "same":
        return {**found, "auto_pad": "SAME_UPPER"}
    if padding != "valid":
        pairs = numbers(name, padding, count)
        found["pads"] = [before for before, _ in pairs] + [after for _, after in pairs]
    return found


def _conv(op: Composite, node: Node, out: Writer, x: str, weight: str) -> str | None:
    options, count = options_of(op), node.inputs[1].ndim - 2
    if node.dtype is not float32 or node.ndim != count + 2:
        return None
    first = channels_first(op.name, options["layout"], count)
    kernels = _weight(out, node.inputs[1], (count + 1, count, *range(count)))
    attributes = _attributes(options, count, op.name)
    made = out.emit("Conv", _first(out, x, count, first), kernels, group=options["groups"], **attributes or {})
    return _last(out, made, count, first)


def _conv_transpose(op: Composite, node: Node, out: Writer, x: str, weight: str) -> str | None:
    options, count = options_of(op), node.inputs[1].ndim - 2
    if node.dtype is not float32 or node.ndim != count + 2 or options["padding"] == "same":
        return None
    first = channels_first(op.name, options["layout"], count)
    attributes = _attributes(options, count, op.name) or {}
    attributes["output_padding"] = list(per_axis(op.name, "output_padding", options["output_padding"], count))
    if any(extra >= step for extra, step in zip(attributes["output_padding"], attributes["strides"], strict=True)):
        return None
    kernels = _weight(out, node.inputs[1], (count + 1, count, *range(count)))
    made = out.emit("ConvTranspose", _first(out, x, count, first), kernels, group=options["groups"], **attributes)
    return _last(out, made, count, first)


for _count in (1, 2, 3):
    named(f"conv{_count}d")(_conv)
    named(f"conv_transpose{_count}d")(_conv_transpose)


def _pooled(op: Composite, node: Node, out: Writer, x: str, operator: str, **more: Any) -> str | None:
    options, (source,) = options_of(op), node.inputs
    size = options["size"]
    count = len(size) if isinstance(size, tuple) else source.ndim - 2
    if node.dtype is not float32 or node.ndim != count + 2 or options["padding"] == "same":
        return None
    first = channels_first(op.name, options["layout"], count)
    sizes = list(per_axis(op.name, "size", size, count))
    attributes = _attributes({**options, "stride": options["stride"] or tuple(sizes)}, count, op.name) or {}
    extents = [(k - 1) * d + 1 for k, d in zip(sizes, attributes.get("dilations", [1] * count), strict=True)]
    if any(pad >= extent for pad, extent in zip(attributes.get("pads", []), extents * 2, strict=False)):
        return None  # runtimes refuse windows of nothing but padding
    made = out.emit(operator, _first(out, x, count, first), kernel_shape=sizes, **attributes, **more)
    return _last(out, made, count, first)


@named("max_pool")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return _pooled(op, node, out, x, "MaxPool")


@named("avg_pool")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    return _pooled(op, node, out, x, "AveragePool", count_include_pad=int(options_of(op)["count_include_pad"]))


@named("batch_norm")
def _(op: Composite, node: Node, out: Writer, *names: str) -> str | None:
    options, given = options_of(op), dict(zip(op.names, names, strict=True))
    dtypes = {operand.dtype for operand in node.inputs}
    channels = node.shape[normalize_axis(op.name, options["axis"], node.ndim)]
    place = normalize_axis(op.name, options["axis"], node.ndim)
    if place != 1 or node.ndim < 2 or dtypes != {float32} or not isinstance(channels, int):
        return None
    weight = given.get("weight") or out.constant([1.0] * channels, node.dtype)
    bias = given.get("bias") or out.constant([0.0] * channels, node.dtype)
    return out.emit("BatchNormalization", given["x"], weight, bias, given["mean"], given["var"], epsilon=options["eps"])


@named("layer_norm")
def _(op: Composite, node: Node, out: Writer, *names: str) -> str | None:
    options, given = options_of(op), dict(zip(op.names, names, strict=True))
    axes = normalize_axes(op.name, options["axis"], node.ndim)
    if not axes or axes != tuple(range(node.ndim - len(axes), node.ndim)):
        return None
    shape = [size for size in node.shape[axes[0] :] if isinstance(size, int)]
    if len(shape) < len(axes) or {operand.dtype for operand in node.inputs} != {float32}:
        return None
    weight = given.get("weight") or out.emit("Expand", out.constant(1.0, node.dtype), out.ints(*shape))
    others = [given["bias"]] if "bias" in given else []
    return out.emit("LayerNormalization", given["x"], weight, *others, axis=axes[0], epsilon=options["eps"])


@named("resize")
def _(op: Composite, node: Node, out: Writer, x: str) -> str | None:
    options, (source,) = options_of(op), node.inputs
    size = options["size"]
    count = len(size) if isinstance(size, tuple) else source.ndim - 2
    sizes = per_axis(op.name, "size", size, count)
    first = channels_first(op.name, options["layout"], count)
    if options["method"] not in ("nearest", "linear") or node.dtype is not float32 or node.ndim != count + 2:
        return None
    attributes = {"mode": options["method"]}
    if options["method"] == "nearest":
        attributes["nearest_mode"] = "round_prefer_ceil"
    aligned = "align_corners" if options["align_corners"] else "half_pixel"
    moved = _first(out, x, count, first)
    # All sizes, for the attribute that names the axes is lost in some runtimes.
    channels = source.shape[1] if first else source.shape[-1]
    wanted = out.shape((source.shape[0], channels, *sizes))
    made = out.emit("Resize", moved, "", "", wanted, coordinate_transformation_mode=aligned, **attributes)
    return _last(out, made, count, first)

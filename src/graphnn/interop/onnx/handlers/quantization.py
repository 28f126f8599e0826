"""Whole numbers of 8, 16 and 32 bits that stand for real ones: ``(q - zero point) * scale``."""

from __future__ import annotations

import numpy as np

import graphnn as gn
from graphnn.interop.onnx.handlers.convolution import conv
from graphnn.interop.onnx.registry import Call, dtype_of, onnx_op
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis


def _spread(call: Call, value: Node, x: Node) -> Node:
    """A scale or zero point as it broadcasts to x: one for all, one for each place of an axis, or one for each block."""
    if value.spec.size == 1:
        return gn.reshape(value, ())
    axis = normalize_axis(call.op, call.integer("axis", 1), x.ndim)
    if value.ndim == 1:
        if value.shape[0] != x.shape[axis]:
            raise call.error(f"{value.spec} does not fit axis {axis} of {x.spec}")
        return gn.reshape(value, [-1 if i == axis else 1 for i in range(x.ndim)])
    block, size = call.integer("block_size", 0), x.shape[axis]
    if value.ndim != x.ndim or block < 1 or not isinstance(size, int):
        raise call.error(f"blocks of {block} do not fit {value.spec} and {x.spec}")
    call.afford(block, *value.shape)
    repeated = gn.repeat(value, block, axis=axis)
    return repeated[tuple(slice(0, size) if i == axis else slice(None) for i in range(x.ndim))]


def rounded(x: Node, zero: Node, dtype: DType) -> Node:
    """Rounded to even, moved by the zero point, and held within the data type."""
    limits = np.iinfo(dtype.numpy)
    moved = gn.round(x) + zero.astype(x.dtype)
    return gn.clip(moved, float(limits.min), float(limits.max)).astype(dtype)


def _whole(call: Call, dtype: DType) -> DType:
    if not dtype.is_integer or dtype.bits > 16:
        raise call.unsupported(f"quantised numbers of the data type {dtype}")
    return dtype


@onnx_op("QuantizeLinear", since=10)
def quantize(call: Call, x: Node, scale: Node, zero: Node | None = None) -> Node:
    """round(x / scale) + zero point, held within the data type."""
    wanted = dtype_of(call.integer("output_dtype", 0) or 2)
    dtype = zero.dtype if zero is not None else wanted
    if dtype is None:
        raise call.unsupported("a data type of less than 8 bits")
    precision = dtype_of(call.integer("precision", 0) or 1)
    if precision is None or not precision.is_floating:
        raise call.unsupported("this precision")
    wide = precision if x.dtype.bits <= precision.bits else x.dtype
    wide = wide if wide.is_floating else scale.dtype
    offset = gn.full((), 0, dtype=dtype) if zero is None else _spread(call, zero, x)
    return rounded(x.astype(wide) / _spread(call, scale, x).astype(wide), offset, _whole(call, dtype))


@onnx_op("DequantizeLinear", since=10)
def dequantize(call: Call, x: Node, scale: Node, zero: Node | None = None) -> Node:
    """(x - zero point) * scale"""
    dtype = call.dtype("output_dtype", scale.dtype) if call.integer("output_dtype", 0) else scale.dtype
    moved = _moved(x, None if zero is None else _spread(call, zero, x))
    return (moved.astype(scale.dtype) * _spread(call, scale, x)).astype(dtype)


def _moved(x: Node, zero: Node | None) -> Node:
    wide = x.astype("int32")
    return wide if zero is None else wide - zero.astype("int32")


@onnx_op("DynamicQuantizeLinear", since=11)
def dynamic_quantize(call: Call, x: Node) -> tuple[Node, Node, Node]:
    """Quantised to 8 bits by the range of the numbers, which is made to hold 0; with its scale and zero point."""
    low, high = gn.minimum(gn.min(x), 0), gn.maximum(gn.max(x), 0)
    scale = (high - low) / 255
    divisor = gn.where(scale == 0, 1, scale)
    zero = gn.clip(gn.round(-low / divisor), 0.0, 255.0)
    return rounded(x / divisor, zero, gn.uint8), scale, zero.astype("uint8")


def _rows(call: Call, zero: Node, x: Node, axis: int) -> Node:
    """One zero point or scale for all, or one for each row (axis -2) or column (axis -1)."""
    if zero.spec.size == 1:
        return gn.reshape(zero, ())
    if zero.ndim == 1 and x.ndim >= 2:
        return gn.expand_dims(zero, axis=1) if axis == -2 else zero
    return zero


@onnx_op("MatMulInteger", since=10)
def matmul_integer(call: Call, a: Node, b: Node, zero_a: Node | None = None, zero_b: Node | None = None) -> Node:
    """The product of two matrices, in 32 bits."""
    left = _moved(a, None if zero_a is None else _rows(call, zero_a, a, -2))
    return gn.matmul(left, _moved(b, None if zero_b is None else _rows(call, zero_b, b, -1)))


@onnx_op("QLinearMatMul", since=10)
def quantized_matmul(
    call: Call,
    a: Node,
    scale_a: Node,
    zero_a: Node,
    b: Node,
    scale_b: Node,
    zero_b: Node,
    scale: Node,
    zero: Node,
) -> Node:
    """The product of two quantised matrices, quantised again."""
    total = gn.matmul(_moved(a, _rows(call, zero_a, a, -2)), _moved(b, _rows(call, zero_b, b, -1)))
    factor = _rows(call, scale_a, a, -2) * _rows(call, scale_b, b, -1) / _rows(call, scale, a, -2)
    exact = total.astype("float32") * factor.astype("float32")
    return rounded(exact, _rows(call, zero, a, -2), _whole(call, zero.dtype))


def _kernels(value: Node, count: int) -> Node:
    """One for all kernels, or one for each."""
    return gn.reshape(value, (-1, *[1] * (count - 1))) if value.spec.size != 1 else gn.reshape(value, ())


@onnx_op("ConvInteger", since=10)
def conv_integer(call: Call, x: Node, weight: Node, zero_x: Node | None = None, zero_w: Node | None = None) -> Node:
    """The convolution of whole numbers, in 32 bits."""
    inputs = _moved(x, None if zero_x is None else gn.reshape(zero_x, ()))
    return conv(call, inputs, _moved(weight, None if zero_w is None else _kernels(zero_w, weight.ndim)))


@onnx_op("QLinearConv", since=10)
def quantized_conv(
    call: Call,
    x: Node,
    scale_x: Node,
    zero_x: Node,
    weight: Node,
    scale_w: Node,
    zero_w: Node,
    scale: Node,
    zero: Node,
    bias: Node | None = None,
) -> Node:
    """The convolution of quantised numbers, quantised again; a bias counts in units of both scales."""
    inputs, kernels = _moved(x, gn.reshape(zero_x, ())), _moved(weight, _kernels(zero_w, weight.ndim))
    total = conv(call, inputs, kernels, bias)
    each = gn.reshape(scale_w, (-1, *[1] * (x.ndim - 2))) if scale_w.spec.size != 1 else gn.reshape(scale_w, ())
    exact = total.astype("float32") * (gn.reshape(scale_x, ()) * each / gn.reshape(scale, ()))
    return rounded(exact, gn.reshape(zero, ()), _whole(call, zero.dtype))

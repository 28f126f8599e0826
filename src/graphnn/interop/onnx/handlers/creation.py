"""New arrays: constants, ranges, shapes as numbers, and other data types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import graphnn as gn
from graphnn.functions.creation import size_node
from graphnn.interop.onnx.handlers.movement import whole
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import int64
from graphnn.ir.node import Node


def shape_vector(shape: Sequence[Size]) -> Node:
    """A shape as an int64 vector, also with named sizes in it."""
    if not shape or all(isinstance(size, int) for size in shape):
        return gn.constant(np.array(shape, np.int64))
    # No array of the graph has such a size: the scalar behind each name is a leaf of its own.
    return gn.stack([size_as_node(size) for size in shape])


def size_as_node(size: Size) -> Node:
    """A size as an int64 scalar."""
    return size_node(size, int64)


@onnx_op("Shape")
def shape(call: Call, x: Node) -> Node:
    """The shape, or a part of it."""
    start, end = call.integer("start", 0), call.integer("end", x.ndim)
    return shape_vector(x.shape[_bounded(start, x.ndim) : _bounded(end, x.ndim)])


def _bounded(place: int, count: int) -> int:
    return min(max(place + count if place < 0 else place, 0), count)


@onnx_op("Size")
def size(call: Call, x: Node) -> Node:
    """The number of elements."""
    return size_as_node(x.spec.size)


@onnx_op("Range")
def arange(call: Call, start: Node, limit: Node, delta: Node) -> Node:
    """start, start + delta, ... before limit."""
    if limit.dtype.is_integer:
        (first,), (last,), (step,) = call.sizes(0), call.sizes(1), call.sizes(2)
        if isinstance(first, int) and isinstance(step, int) and isinstance(last, Dim) and step == 1:
            return gn.arange(first, last, dtype=start.dtype)
        first, last, step = whole(call, (first, last, step), "a range")
        if step == 0:
            raise call.error("a step of 0")
        count = len(range(first, last, step))
        call.afford(count)
        return (first + step * gn.arange(count)).astype(start.dtype)
    low, high, by = (float(call.static(i).reshape(-1)[0]) for i in range(3))
    if not all(np.isfinite((low, high, by))) or by == 0:
        raise call.error(f"a range from {low} to {high} by {by}")
    count = max(int(np.ceil(min((high - low) / by, 2.0**62))), 0)
    call.afford(count)
    return low + by * gn.arange(count).astype(start.dtype)


@onnx_op("EyeLike")
def eye_like(call: Call, x: Node) -> Node:
    """Ones on a diagonal, in the shape of a matrix."""
    if x.ndim != 2:
        raise call.error(f"{x.spec} is no matrix")
    return gn.eye(*x.shape, k=max(min(call.integer("k", 0), 2**40), -(2**40)), dtype=call.dtype("dtype", x.dtype))


@onnx_op("ConstantOfShape")
def constant_of_shape(call: Call, shape: Node) -> Node:
    """One number in a shape."""
    wanted = call.sizes(0)
    call.afford(wanted)
    value = call.array("value", np.zeros(1, np.float32))
    if value.size != 1:
        raise call.error("the value must be one number")
    return gn.broadcast_to(gn.constant(value.reshape(())), wanted)


@onnx_op("Constant")
def constant(call: Call) -> Node:
    """A fixed array."""
    kinds: dict[str, type] = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64}
    kinds["value_ints"] = np.int64
    if len(call.attributes) != 1:
        raise call.error("there must be exactly one attribute")
    (name,) = call.attributes
    if name == "value":
        return gn.constant(call.array("value"))
    if name not in kinds:
        raise call.unsupported(f"the attribute {name!r}")
    return gn.constant(np.array(call.attribute(name), kinds[name]))


def cast_to(call: Call, x: Node, wanted: object) -> Node:
    """In another data type."""
    return gn.astype(x, wanted)


@onnx_op("Cast")
def cast(call: Call, x: Node) -> Node:
    """In another data type."""
    return cast_to(call, x, call.dtype("to"))


@onnx_op("CastLike")
def cast_like(call: Call, x: Node, like: Node) -> Node:
    """In the data type of another array."""
    return cast_to(call, x, like.dtype)

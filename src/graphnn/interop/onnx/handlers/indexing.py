"""Elements picked and placed by index, and what depends on their order."""

from __future__ import annotations

import numpy as np

import graphnn as gn
from graphnn.interop.onnx.registry import Array, Call, onnx_op
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis


@onnx_op("Gather")
def gather(call: Call, x: Node, indices: Node) -> Node:
    """Slices along an axis."""
    return gn.take(x, indices, axis=call.integer("axis", 0))


@onnx_op("GatherElements")
def gather_elements(call: Call, x: Node, indices: Node) -> Node:
    """For each line along an axis, elements of that line."""
    axis = normalize_axis("GatherElements", call.integer("axis", 0), x.ndim)
    if indices.ndim != x.ndim:
        raise call.error(f"the indices {indices.spec} have other axes than {x.spec}")
    if all(a == b for i, (a, b) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != axis):
        return gn.take_along_axis(x, indices, axis=axis)
    return x[tuple(_places(indices, axis))]


def _places(indices: Node, axis: int) -> list[Node]:
    """The index along each axis of every element: its own place, and `indices` along one axis."""
    out = []
    for i, size in enumerate(indices.shape):
        own = gn.reshape(gn.arange(size), [-1 if j == i else 1 for j in range(indices.ndim)])
        out.append(indices if i == axis else gn.broadcast_to(own, indices.shape))
    return out


@onnx_op("GatherND")
def gather_nd(call: Call, x: Node, indices: Node) -> Node:
    """Elements or slices at index vectors."""
    batch = call.integer("batch_dims", 0)
    if not 0 <= batch < min(x.ndim, indices.ndim):
        raise call.error(f"batch_dims is {batch} for {x.spec} and {indices.spec}")
    return gn.gather_nd(x, indices, batch_dims=batch)


_REDUCTIONS = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}


def _mode(call: Call) -> str:
    reduction = call.text("reduction", "none")
    if reduction not in _REDUCTIONS:
        raise call.error(f"there is no reduction {reduction!r}")
    return _REDUCTIONS[reduction]


@onnx_op("Scatter")
@onnx_op("ScatterElements")
def scatter_elements(call: Call, x: Node, indices: Node, updates: Node) -> Node:
    """Values set, added, multiplied or compared at places along an axis."""
    axis = normalize_axis(call.op, call.integer("axis", 0), x.ndim)
    if indices.shape != updates.shape or indices.ndim != x.ndim:
        raise call.error(f"indices {indices.spec} and updates {updates.spec} do not fit {x.spec}")
    place = x.at[tuple(_places(indices, axis))]
    mode = _mode(call)
    if x.dtype == "bool":
        raise call.unsupported("bool")
    out: Node = getattr(place, mode)(updates)
    return out


@onnx_op("ScatterND")
def scatter_nd(call: Call, x: Node, indices: Node, updates: Node) -> Node:
    """Values set, added, multiplied or compared at index vectors."""
    return gn.scatter_nd(x, indices, updates, mode=_mode(call))


@onnx_op("TensorScatter")
def tensor_scatter(call: Call, cache: Node, update: Node, start: Node | None = None) -> Node:
    """A cache with a part replaced along an axis, from a place on that each batch has for itself."""
    axis = normalize_axis("TensorScatter", call.integer("axis", -2), cache.ndim)
    mode = call.text("mode", "linear")
    if mode not in ("linear", "circular") or axis == 0 or update.ndim != cache.ndim:
        raise call.error(f"mode {mode!r} along axis {axis} with {update.spec} for {cache.spec}")
    first = gn.zeros((cache.shape[0],), dtype="int64") if start is None else start
    along = gn.reshape(gn.arange(update.shape[axis]), [-1 if i == axis else 1 for i in range(cache.ndim)])
    place = gn.reshape(first, (-1, *[1] * (cache.ndim - 1))) + along
    if mode == "circular":
        place = gn.remainder(place, gn.dim_size(cache, axis))
    place = gn.broadcast_to(place, update.shape)
    out: Node = cache.at[tuple(_places(place, axis))].set(update)
    return out


@onnx_op("OneHot")
def one_hot(call: Call, indices: Node, depth: Node, values: Node) -> Node:
    """Rows with one value at an index and another elsewhere."""
    count = int(call.static(1).reshape(-1)[0])
    if count < 0:
        raise call.error(f"a depth of {count}")
    axis = normalize_axis("OneHot", call.integer("axis", -1), indices.ndim + 1)
    call.afford(count, *indices.shape)
    index = gn.expand_dims(indices.astype("int64"), axis=axis)
    wrapped = gn.where(index < 0, index + count, index)
    number = gn.reshape(gn.arange(count), [-1 if i == axis else 1 for i in range(indices.ndim + 1)])
    return gn.where(wrapped == number, values[1], values[0])


@onnx_op("TopK")
def top_k(call: Call, x: Node, k: Node | None = None) -> tuple[Node, ...]:
    """The k largest or smallest elements along an axis, and their indices."""
    if k is not None:
        given = call.integers_at(1)
        if len(given) != 1:
            raise call.error("k must be one number")
        count = given[0]
    else:
        count = call.integer("k")
    axis, largest = call.integer("axis", -1), call.flag("largest", True)
    found = gn.top_k(x, count, axis=axis, largest=largest)
    return found.values, found.indices


@onnx_op("NonZero")
def nonzero(call: Call, x: Node) -> Node:
    """The places of what is not zero; how many there are is part of the graph."""
    value = call.static(0)
    if value.ndim == 0:
        value = value.reshape(1)[:0] if value == 0 else value.reshape(1)
        return gn.constant(np.zeros((0, value.size), np.int64))
    return gn.constant(np.stack(np.nonzero(value)).astype(np.int64))


@onnx_op("Compress")
def compress(call: Call, x: Node, condition: Node) -> Node:
    """The slices for which a condition holds; the condition is part of the graph."""
    chosen = np.flatnonzero(call.static(1))
    axis = call.integer("axis", None)
    if axis is None:
        x, axis = gn.reshape(x, (-1,)), 0
    return gn.take(x, chosen.astype(np.int64), axis=axis)


@onnx_op("Unique")
def unique(call: Call, x: Node) -> tuple[Node | None, ...]:
    """The distinct elements or slices; the order of those of x is part of the graph."""
    value = call.static(0)
    axis = call.integer("axis", None)
    if axis is None:
        value, axis = value.reshape(-1), 0
        x = gn.reshape(x, (-1,))
    axis = normalize_axis("Unique", axis, x.ndim)
    first, inverse, counts = _distinct(value, axis, call.flag("sorted", True))
    vectors = [gn.constant(array.astype(np.int64)) for array in (first, inverse, counts)]
    return (gn.take(x, first.astype(np.int64), axis=axis), *vectors)


def _distinct(value: Array, axis: int, ordered: bool) -> tuple[Array, Array, Array]:
    _, first, inverse, counts = np.unique(value, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not ordered:  # in the order of their first places
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        first, inverse, counts = first[order], rank[inverse], counts[order]
    return first, inverse, counts

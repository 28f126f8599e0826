"""Shapes, places and indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphnn.errors import UnsupportedError
from graphnn.interop.onnx.exports.elementwise import common
from graphnn.interop.onnx.writer import Writer, to_onnx
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import int64
from graphnn.ir.node import Node
from graphnn.ops import indexing as i
from graphnn.ops import movement as m
from graphnn.ops import updates as u
from graphnn.ops import windows as w

_FIRST, _LAST = -(2**63), 2**63 - 1


def numbers(sizes: Sequence[Size], what: str) -> tuple[int, ...]:
    """Sizes that must be known."""
    for size in sizes:
        if isinstance(size, Dim):
            raise UnsupportedError(
                f"{what} along an axis of the named size {size} is not written as ONNX", "Give the size a number."
            )
    return tuple(int(size) for size in sizes)


@to_onnx.register
def _(op: m.Reshape, node: Node, out: Writer, x: str) -> str:
    return reshape(out, x, op.shape)


def reshape(out: Writer, x: str, sizes: Sequence[Size]) -> str:
    """In another shape. A single named size is worked out by the runtime."""
    named = [size for size in sizes if isinstance(size, Dim)]
    if len(named) == 1 and not any(size == 0 for size in sizes):
        return out.emit("Reshape", x, out.ints(*(-1 if isinstance(s, Dim) else s for s in sizes)))
    return out.emit("Reshape", x, out.shape(sizes), allowzero=1)


@to_onnx.register
def _(op: m.PermuteDims, node: Node, out: Writer, x: str) -> str:
    return transpose(out, x, op.axes)


def transpose(out: Writer, x: str, axes: Sequence[int]) -> str:
    """The axes in another order."""
    if list(axes) == list(range(len(axes))):
        return x
    return out.emit("Transpose", x, perm=list(axes))


@to_onnx.register
def _(op: m.BroadcastTo, node: Node, out: Writer, x: str) -> str:
    return expand(out, x, node, op.shape)


def expand(out: Writer, x: str, node: Node, shape: Sequence[Size]) -> str:
    """Repeated to a shape; runtimes are not at one about sizes of 0, so then there is a constant without elements."""
    known = [size for size in shape if isinstance(size, int)]
    if 0 in known and len(known) == len(shape):
        return out.constant(np.zeros(known, node.dtype.numpy))
    return out.emit("Expand", x, out.shape(shape))


@to_onnx.register
def _(op: m.Concat, node: Node, out: Writer, *names: str) -> str:
    return out.emit("Concat", *common(out, node, names, node.dtype), axis=op.axis)


@to_onnx.register
def _(op: m.Part, node: Node, out: Writer, x: str) -> str:
    ends = out.shape((op.start + op.size,))
    return out.emit("Slice", x, out.shape((op.start,)), ends, out.ints(op.axis))


@to_onnx.register
def _(op: m.Slice, node: Node, out: Writer, x: str) -> str:
    cuts = [(axis, cut) for axis, cut in enumerate(op.cuts) if cut != (None, None, 1)]
    if not cuts:
        return out.emit("Identity", x)
    starts = [(0 if step > 0 else _LAST) if start is None else start for _, (start, _, step) in cuts]
    ends = [(_LAST if step > 0 else _FIRST) if stop is None else stop for _, (_, stop, step) in cuts]
    axes, steps = [axis for axis, _ in cuts], [step for _, (_, _, step) in cuts]
    return out.emit("Slice", x, *(out.ints(*part) for part in (starts, ends, axes, steps)))


@to_onnx.register
def _(op: m.Unslice, node: Node, out: Writer, x: str) -> str:
    shape = numbers(op.shape, "a slice put back")
    places = np.arange(math.prod(shape)).reshape(shape)[tuple(slice(*cut) for cut in op.cuts)].reshape(-1)
    zeros = out.emit("Expand", out.constant(0, node.dtype), out.ints(math.prod(shape)))
    flat = out.emit("ScatterElements", zeros, out.constant(places, int64), out.emit("Reshape", x, out.ints(-1)), axis=0)
    return out.emit("Reshape", flat, out.ints(*shape), allowzero=1)


@to_onnx.register
def _(op: m.Pad, node: Node, out: Writer, x: str) -> str:
    if not op.widths:
        return out.emit("Identity", x)
    before, after = zip(*op.widths, strict=True)
    return out.compute_with("Pad", node.dtype, x, out.shape((*before, *after)))


def _to_front(out: Writer, x: str, axes: Sequence[int], ndim: int) -> tuple[str, list[int]]:
    """The axes first; and the order that takes them back."""
    order = [*axes, *(axis for axis in range(ndim) if axis not in axes)]
    return transpose(out, x, order), [order.index(axis) for axis in range(ndim)]


def _vectors(out: Writer, node: Node, indices: Sequence[tuple[str, Node]], front: Sequence[Size]) -> str:
    """Index vectors along a new last axis, from the index along each axis."""
    known = [size for size in front if isinstance(size, int)]
    if 0 in known and len(known) == len(front):
        return out.constant(np.zeros((*known, len(indices)), np.int64))
    parts = []
    for name, index in indices:
        wide = name if index.dtype is int64 else out.cast(name, int64)
        spread = wide if tuple(index.shape) == tuple(front) else out.emit("Expand", wide, out.shape(front))
        parts.append(out.emit("Unsqueeze", spread, out.ints(-1)))
    return parts[0] if len(parts) == 1 else out.emit("Concat", *parts, axis=-1)


@to_onnx.register
def _(op: i.Gather, node: Node, out: Writer, x: str, *indices: str) -> str:
    source, *given = node.inputs
    front = node.shape[: node.ndim - (source.ndim - len(op.axes))]
    if len(op.axes) == 1:
        (axis,) = op.axes
        index = indices[0] if given[0].dtype.name in ("int32", "int64") else out.cast(indices[0], int64)
        made = out.emit("Gather", x, index, axis=axis)
        # ONNX leaves the axes of the index where the axis was; here they come first.
        many = len(front)
        order = [*range(axis, axis + many), *range(axis), *range(axis + many, node.ndim)]
        return transpose(out, made, order)
    moved, _ = _to_front(out, x, op.axes, source.ndim)
    vectors = _vectors(out, node, list(zip(indices, given, strict=True)), front)
    return out.emit("GatherND", moved, vectors)


@to_onnx.register
def _(op: i.ScatterAdd, node: Node, out: Writer, x: str, *indices: str) -> str:
    zeros = expand(out, out.constant(0, node.dtype), node, op.shape)
    return _scatter(op, node, out, zeros, x, indices, "add")


@to_onnx.register
def _(op: i.ScatterSet, node: Node, out: Writer, x: str, values: str, *indices: str) -> str:
    x, values = (
        name if operand.dtype is node.dtype else out.cast(name, node.dtype)
        for name, operand in zip((x, values), node.inputs, strict=False)
    )
    return _scatter(op, node, out, x, values, indices, "none")


def _scatter(
    op: i.ScatterAdd | i.ScatterSet,
    node: Node,
    out: Writer,
    x: str,
    values: str,
    indices: Sequence[str],
    reduction: str,
) -> str:
    given = node.inputs[len(node.inputs) - len(indices) :]
    value = node.inputs[len(node.inputs) - len(indices) - 1]
    front = value.shape[: value.ndim - (node.ndim - len(op.axes))]
    moved, back = _to_front(out, x, op.axes, node.ndim)
    vectors = _vectors(out, node, list(zip(indices, given, strict=True)), front)
    made = out.emit("ScatterND", moved, vectors, values, reduction=reduction)
    return transpose(out, made, back)


@to_onnx.register
def _(op: u.ScatterReduce, node: Node, out: Writer, x: str, values: str, index: str) -> str:
    x, values = (
        name if operand.dtype is node.dtype else out.cast(name, node.dtype)
        for name, operand in zip((x, values), node.inputs, strict=False)
    )
    reduction = {"multiply": "mul"}.get(op.kind, op.kind)
    wide = index if node.inputs[2].dtype is int64 else out.cast(index, int64)
    return out.emit("ScatterElements", x, wide, values, axis=0, reduction=reduction)


@to_onnx.register
def _(op: w.Windows, node: Node, out: Writer, x: str) -> str:
    """Each axis is indexed by a table [window, element]; the elements then go to the end."""
    strides, dilations = w.steps_of(op)
    ndim = node.inputs[0].ndim
    for axis, size, stride, dilation in zip(op.axis, op.size, strides, dilations, strict=True):
        count, elements = numbers((node.shape[axis], size), "a window")
        table = np.arange(count)[:, None] * stride + np.arange(elements) * dilation
        gathered = out.emit("Gather", x, out.constant(table, int64), axis=axis)
        ndim += 1
        order = [*range(axis + 1), *range(axis + 2, ndim), axis + 1]
        x = transpose(out, gathered, order)
    return x


@to_onnx.register
def _(op: w.FoldWindows, node: Node, out: Writer, x: str) -> str:
    """The elements of the windows are added at their places, one axis after the other, the last one first."""
    strides, dilations = w.steps_of(op)
    shape = list(numbers(node.inputs[0].shape, "windows put back"))
    for axis, length, stride, dilation in reversed(list(zip(op.axis, op.length, strides, dilations, strict=True))):
        (places,) = numbers((length,), "windows put back")
        count, elements = shape[axis], shape[-1]
        order = [*range(axis + 1), len(shape) - 1, *range(axis + 1, len(shape) - 1)]
        merged = [*shape[:axis], count * elements, *shape[axis + 1 : -1]]
        flat = reshape(out, transpose(out, x, order), merged)
        table = (np.arange(count)[:, None] * stride + np.arange(elements) * dilation).reshape(-1)
        column = out.constant(table.reshape([-1 if j == axis else 1 for j in range(len(merged))]), int64)
        shape = [*merged[:axis], places, *merged[axis + 1 :]]
        zeros = out.emit("Expand", out.constant(0, node.dtype), out.ints(*shape))
        index = out.emit("Expand", column, out.ints(*merged))
        x = out.emit("ScatterElements", zeros, index, flat, axis=axis, reduction="add")
    return x

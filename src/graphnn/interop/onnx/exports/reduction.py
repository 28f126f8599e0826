"""Reductions, running sums, products and order."""

from __future__ import annotations

import numpy as np

from graphnn.errors import UnsupportedError
from graphnn.interop.onnx.exports.elementwise import choose, common, promoted
from graphnn.interop.onnx.exports.movement import numbers
from graphnn.interop.onnx.writer import Writer, to_onnx, wider
from graphnn.ir.dtype import DType, bool_, int32, int64
from graphnn.ir.node import Node
from graphnn.ops import cumulative as c
from graphnn.ops import linalg, sorting
from graphnn.ops import reduction as r
from graphnn.ops.contraction import Contract


def reduce(out: Writer, operator: str, dtype: DType, x: str, axes: tuple[int, ...], keepdims: bool) -> str:
    """A reduction over axes."""
    if not axes:
        return x
    return out.compute_with(operator, dtype, x, out.ints(*axes), keepdims=int(keepdims))


@to_onnx.register
def _(op: r.Sum, node: Node, out: Writer, x: str) -> str:
    return reduce(out, "ReduceSum", node.dtype, x, op.axes, op.keepdims)


@to_onnx.register
def _(op: r.Prod, node: Node, out: Writer, x: str) -> str:
    return reduce(out, "ReduceProd", node.dtype, x, op.axes, op.keepdims)


@to_onnx.register
def _(op: r.Max, node: Node, out: Writer, x: str) -> str:
    return reduce(out, "ReduceMax", node.dtype, x, op.axes, op.keepdims)


@to_onnx.register
def _(op: r.Min, node: Node, out: Writer, x: str) -> str:
    return reduce(out, "ReduceMin", node.dtype, x, op.axes, op.keepdims)


def _bits(out: Writer, node: Node, x: str) -> str:
    return out.cast(x if node.inputs[0].dtype is bool_ else out.cast(x, bool_), int32)


@to_onnx.register
def _(op: r.All, node: Node, out: Writer, x: str) -> str:
    least = reduce(out, "ReduceMin", int32, _bits(out, node, x), op.axes, op.keepdims)
    return out.emit("Greater", least, out.constant(0, int32))


@to_onnx.register
def _(op: r.Any_, node: Node, out: Writer, x: str) -> str:
    largest = reduce(out, "ReduceMax", int32, _bits(out, node, x), op.axes, op.keepdims)
    return out.emit("Greater", largest, out.constant(0, int32))


@to_onnx.register(r.Argmax)
@to_onnx.register(r.Argmin)
def _position(op: r.Argmax | r.Argmin, node: Node, out: Writer, x: str) -> str:
    (source,) = node.inputs
    operator = "ArgMax" if isinstance(op, r.Argmax) else "ArgMin"
    if len(op.axes) != 1:
        flat = out.emit("Reshape", x, out.ints(-1))
        made = out.compute(operator, source.dtype, flat, result=int64, axis=0, keepdims=0)
        return out.emit("Reshape", made, out.ints(*[1] * node.ndim))
    return out.compute(operator, source.dtype, x, result=int64, axis=op.axes[0], keepdims=int(op.keepdims))


@to_onnx.register
def _(op: c.CumulativeSum, node: Node, out: Writer, x: str) -> str:
    axis = out.constant(op.axis, int64)
    return out.compute_with("CumSum", node.dtype, x, axis, reverse=int(op.reverse), exclusive=int(op.exclusive))


@to_onnx.register
def _(op: c.CumulativeProd, node: Node, out: Writer, x: str) -> str:
    return _running(out, "ReduceProd", node, x, op.axis, 1, op.reverse, op.exclusive)


@to_onnx.register
def _(op: c.CumulativeMax, node: Node, out: Writer, x: str) -> str:
    return _running(out, "ReduceMax", node, x, op.axis, _end(node.dtype, lowest=True))


@to_onnx.register
def _(op: c.CumulativeMin, node: Node, out: Writer, x: str) -> str:
    return _running(out, "ReduceMin", node, x, op.axis, _end(node.dtype, lowest=False))


def _end(dtype: DType, lowest: bool) -> float | int:
    if dtype.is_floating:
        return float("-inf" if lowest else "inf")
    limits = np.iinfo(dtype.numpy)
    return int(limits.min if lowest else limits.max)


def _running(
    out: Writer,
    operator: str,
    node: Node,
    x: str,
    axis: int,
    none: float,
    reverse: bool = False,
    exclusive: bool = False,
) -> str:
    """A running reduction as reductions of the rows of a table: ONNX has the running sum only."""
    (n,) = numbers((node.shape[axis],), "a running reduction")
    i, j = np.arange(n)[:, None], np.arange(n)
    table = (j > i if exclusive else j >= i) if reverse else (j < i if exclusive else j <= i)
    spread = out.emit("Unsqueeze", x, out.ints(axis))  # [..., 1, n, ...]
    shape = [1] * (node.ndim + 1)
    shape[axis : axis + 2] = [n, n]
    counts = out.constant(table.reshape(shape))
    kept = choose(out, node.dtype, counts, spread, out.constant(none, node.dtype))
    return reduce(out, operator, node.dtype, kept, (axis + 1,), False)


@to_onnx.register
def _(op: Contract, node: Node, out: Writer, *names: str) -> str:
    x, y = common(out, node, names, node.dtype)
    if op.is_matmul:
        return out.compute("MatMul", node.dtype, x, y)
    if "..." in op.left:
        raise UnsupportedError("an einsum with further axes is not written as ONNX")
    return out.compute("Einsum", node.dtype, x, y, equation=f"{op.left},{op.right}->{op.result}")


@to_onnx.register
def _(op: sorting.Argsort, node: Node, out: Writer, x: str) -> str:
    (source,) = node.inputs
    count = out.shape((source.shape[op.axis],))
    _, index = out.emit_many(
        "TopK", _sortable(out, source.dtype, x), count, outputs=2, axis=op.axis, largest=int(op.descending), sorted=1
    )
    return index


def _sortable(out: Writer, dtype: DType, x: str) -> str:
    wide = wider("TopK", dtype)
    return x if wide is dtype else out.cast(x, wide)


@to_onnx.register
def _(op: sorting.Searchsorted, node: Node, out: Writer, x: str, values: str) -> str:
    """How many of the sorted elements are less, counted in a table."""
    dtype = promoted(node)
    elements, wanted = common(out, node, (x, values), dtype)
    if dtype is bool_:
        elements, wanted, dtype = out.cast(elements, int32), out.cast(wanted, int32), int32
    column = out.emit("Unsqueeze", wanted, out.ints(node.ndim))
    less = out.compute("Less" if op.side == "left" else "LessOrEqual", dtype, elements, column, result=bool_)
    return out.emit("ReduceSum", out.cast(less, int64), out.ints(node.ndim), keepdims=0)


@to_onnx.register
def _(op: linalg.Det, node: Node, out: Writer, x: str) -> str:
    return out.emit("Det", x)

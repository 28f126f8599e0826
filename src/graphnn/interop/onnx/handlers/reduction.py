"""Reductions, running sums, and sums of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axes
from graphnn.ops.reduction import reduced_shape

Reducer = Callable[..., Node]


def small(function: Callable[..., Node]) -> Reducer:
    """A sum or product that stays in the data type of its operand, as ONNX wants."""
    return lambda x, axis, keepdims: function(x, axis=axis, dtype=x.dtype, keepdims=keepdims)


def _mean(x: Node, axis: Any, keepdims: bool) -> Node:
    if x.dtype.is_floating:
        return gn.mean(x, axis=axis, keepdims=keepdims)
    return gn.mean(x.astype("float64"), axis=axis, keepdims=keepdims).astype(x.dtype)


def _extremum(function: Reducer, largest: bool) -> Reducer:
    """The largest or smallest element; of none the other end of the data type."""

    def reducer(x: Node, axis: Any, keepdims: bool) -> Node:
        axes = normalize_axes("reduce", axis, x.ndim)
        if x.dtype == "bool":
            return reducer(x.astype("uint8"), axis, keepdims).astype("bool")
        if any(x.shape[i] == 0 for i in axes):
            end = _end_of(x.dtype, lowest=largest)
            return gn.full(reduced_shape(x.shape, axes, keepdims), end, dtype=x.dtype)
        return function(x, axis=axes, keepdims=keepdims)

    return reducer


def _end_of(dtype: DType, lowest: bool) -> float | int:
    if dtype.is_floating:
        return float("-inf" if lowest else "inf")
    limits = np.iinfo(dtype.numpy)
    return int(limits.min if lowest else limits.max)


def _logsumexp(x: Node, axis: Any, keepdims: bool) -> Node:
    axes = normalize_axes("ReduceLogSumExp", axis, x.ndim)
    if any(x.shape[i] == 0 for i in axes):
        return gn.full(reduced_shape(x.shape, axes, keepdims), float("-inf"), dtype=x.dtype)
    return gn.logsumexp(x, axis=axes, keepdims=keepdims)


def _floating(function: Reducer) -> Reducer:
    """What is defined for integers too, computed in float64."""

    def reducer(x: Node, axis: Any, keepdims: bool) -> Node:
        if x.dtype.is_floating:
            return function(x, axis, keepdims)
        return function(x.astype("float64"), axis, keepdims).astype(x.dtype)

    return reducer


_sum = small(gn.sum)

_REDUCTIONS: dict[str, Reducer] = {
    "ReduceSum": _sum,
    "ReduceProd": small(gn.prod),
    "ReduceMean": _mean,
    "ReduceMax": _extremum(gn.max, True),
    "ReduceMin": _extremum(gn.min, False),
    "ReduceL1": lambda x, axis, keepdims: _sum(gn.abs(x), axis, keepdims),
    "ReduceL2": _floating(lambda x, axis, keepdims: gn.vector_norm(x, axis=axis, keepdims=keepdims)),
    "ReduceSumSquare": lambda x, axis, keepdims: _sum(gn.square(x), axis, keepdims),
    "ReduceLogSum": _floating(lambda x, axis, keepdims: gn.log(_sum(x, axis, keepdims))),
    "ReduceLogSumExp": _floating(_logsumexp),
}


def reduction(function: Reducer) -> Callable[..., Node]:
    """The handler of a reduction: the axes are an attribute, or an input in later versions."""

    def handler(call: Call, x: Node, axes: Node | None = None) -> Node:
        keepdims = call.flag("keepdims", True)
        chosen = call.integers_at(1) if axes is not None else call.integers("axes", ())
        if not chosen:
            if call.flag("noop_with_empty_axes"):
                return function(gn.expand_dims(x), 0, False)  # element by element: over an axis of size 1
            return function(x, None, keepdims)
        return function(x, normalize_axes(call.op, chosen, x.ndim), keepdims)

    return handler


for _name, _function in _REDUCTIONS.items():
    onnx_op(_name)(reduction(_function))


def position(function: Callable[..., Node]) -> Callable[..., Node]:
    """The handler of argmax and argmin."""

    def handler(call: Call, x: Node) -> Node:
        axis, keepdims = call.integer("axis", 0), call.flag("keepdims", True)
        if not call.flag("select_last_index"):
            return function(x, axis=axis, keepdims=keepdims)
        last = gn.dim_size(x, axis) - 1
        return last - function(gn.flip(x, axis=axis), axis=axis, keepdims=keepdims)

    return handler


onnx_op("ArgMax")(position(gn.argmax))
onnx_op("ArgMin")(position(gn.argmin))


def running(function: Callable[..., Node]) -> Callable[..., Node]:
    """The handler of a running sum or product."""

    def handler(call: Call, x: Node, axis: Node) -> Node:
        places = call.integers_at(1)
        if len(places) != 1:
            raise call.error("the axis is one number")
        return function(
            x, axis=places[0], dtype=x.dtype, reverse=call.flag("reverse"), exclusive=call.flag("exclusive")
        )

    return handler


onnx_op("CumSum")(running(gn.cumulative_sum))
onnx_op("CumProd")(running(gn.cumulative_prod))


@onnx_op("MatMul")
def matmul(call: Call, x: Node, y: Node) -> Node:
    """Products of matrices, with batches."""
    return gn.matmul(x, y)


@onnx_op("Gemm")
def gemm(call: Call, a: Node, b: Node, c: Node | None = None) -> Node:
    """Alpha a b + beta c, with a and b transposed as asked."""
    if a.ndim != 2 or b.ndim != 2:
        raise call.error(f"a and b are matrices, not {a.spec} and {b.spec}")
    a = gn.matrix_transpose(a) if call.flag("transA") else a
    b = gn.matrix_transpose(b) if call.flag("transB") else b
    out = _scaled(gn.matmul(a, b), call.number("alpha", 1.0))
    return out if c is None else out + _scaled(c, call.number("beta", 1.0))


def _scaled(x: Node, factor: float) -> Node:
    if factor == 1.0:
        return x
    return factor * x if x.dtype.is_floating else (factor * x.astype("float64")).astype(x.dtype)


@onnx_op("Einsum")
def einsum(call: Call, *inputs: Node) -> Node:
    """Sums of products in index notation."""
    return gn.einsum(call.text("equation").replace(" ", ""), *inputs)


@onnx_op("Det")
def det(call: Call, x: Node) -> Node:
    """The determinant."""
    return gn.det(x)

"""Reductions of reductions, of repeated values, and of nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

from graphnn.ir.dims import product
from graphnn.ir.dtype import float64
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.ops.movement import BroadcastTo, Reshape, broadcast_to, reshape
from graphnn.ops.operands import as_node
from graphnn.ops.reduction import All, Any_, Max, Min, Prod, Sum, max, reduced_shape, sum
from graphnn.rewrite.rule import group, rewrites

_CUBE = Spec((2, 3, 4), float64)


def _dropped(op: Any, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Which axes of x each axis of the reduced result is."""
    return tuple(i for i in range(len(shape)) if op.keepdims or i not in op.axes)


def _both(node: Node) -> Node | None:
    outer, inner = node.op, node.inputs[0].op
    if type(outer) is not type(inner):
        return None
    assert isinstance(outer, (Sum, Max, Min, All, Any_))
    assert isinstance(inner, (Sum, Max, Min, All, Any_))
    (x,) = node.inputs[0].inputs
    if outer.keepdims and not inner.keepdims:
        return None  # the result has some of the reduced axes, and some not
    kept = _dropped(inner, x.shape)
    axes = tuple(sorted({*inner.axes, *(kept[i] for i in outer.axes)}))
    if inner.keepdims and not outer.keepdims and not set(inner.axes) <= {kept[i] for i in outer.axes}:
        return None
    return dataclasses.replace(outer, axes=axes)(x)


@rewrites(
    Max, Min, All, Any_, reading=(Max, Min, All, Any_),
    example=lambda x=_CUBE: (max(max(x, axis=0), axis=1), max(x, axis=(0, 2))),
)  # fmt: skip
def extremum_of_extremum(node: Node) -> Node | None:
    """max(max(x, a), b) -> max(x, both), and the same for min, all and any"""
    return _both(node)


@rewrites(Sum, reading=Sum, exact=False, example=lambda x=_CUBE: (sum(sum(x, axis=0), axis=1), sum(x, axis=(0, 2))))
def sum_of_sum(node: Node) -> Node | None:
    """sum(sum(x, a), b) -> sum(x, both)"""
    return _both(node)


@rewrites(
    Max, Min, All, Any_, reading=BroadcastTo,
    example=lambda x=Spec((3,), float64): (max(broadcast_to(x, (2, 3)), axis=0), x),
)  # fmt: skip
def extremum_of_repeated(node: Node) -> Node | None:
    """max(broadcast_to(x, s)) over repeated axes -> x, and the same for min, all and any"""
    found = _unrepeated(node)
    if found is None:
        return None
    x, axes, _ = found
    assert isinstance(node.op, (Max, Min, All, Any_))
    out = dataclasses.replace(node.op, axes=axes)(x) if axes else x
    return Reshape(node.shape)(out) if out.shape != node.shape else out


@rewrites(
    Sum, reading=BroadcastTo, exact=False,
    example=lambda x=Spec((3,), float64): (sum(broadcast_to(x, (2, 3)), axis=0), x * as_node(2.0, float64)),
)  # fmt: skip
def sum_of_repeated(node: Node) -> Node | None:
    """sum(broadcast_to(x, s)) over n repetitions -> sum(x) * n"""
    found = _unrepeated(node)
    if found is None:
        return None
    x, axes, count = found
    if node.dtype.bits < 32 and node.dtype.is_floating and count > 256:
        return None  # the number itself would be rounded
    out = Sum(axes, False)(x) if axes else x
    out = Reshape(node.shape)(out) if out.shape != node.shape else out
    return out * as_node(float(count) if node.dtype.is_floating else count, node.dtype)


def _unrepeated(node: Node) -> tuple[Node, tuple[int, ...], int] | None:
    """What is repeated, its own axes that are reduced, and how many repetitions; None where nothing is repeated."""
    wide = node.inputs[0]
    (x,) = wide.inputs
    op: Any = node.op
    added = wide.ndim - x.ndim
    # Only axes that are repeated and reduced go; the others must not be repeated, or they would have to be again.
    repeated = [i for i in range(wide.ndim) if i < added or (x.shape[i - added] == 1 and wide.shape[i] != 1)]
    if not repeated or any(i not in op.axes for i in repeated):
        return None
    count = product(wide.shape[i] for i in repeated)
    if not isinstance(count, int) or count == 0:
        return None
    return x, tuple(i - added for i in op.axes if i >= added and i not in repeated), count


@rewrites(
    Max, Min, All, Any_, Prod,
    example=lambda x=Spec((2, 1, 3), float64): (max(x, axis=1), reshape(x, (2, 3))),
)  # fmt: skip
def extremum_of_one(node: Node) -> Node | None:
    """max(x) over axes of size 1 -> the elements of x, and the same for min, all, any and prod"""
    return _reshaped(node)


@rewrites(Sum, exact=False, example=lambda x=Spec((2, 1, 3), float64): (sum(x, axis=1), reshape(x, (2, 3))))
def sum_of_one(node: Node) -> Node | None:
    """sum(x) over axes of size 1 -> the elements of x (a sum of -0.0 alone is 0.0)"""
    return _reshaped(node)


def _reshaped(node: Node) -> Node | None:
    op: Any = node.op
    (x,) = node.inputs
    if any(x.shape[i] != 1 for i in op.axes) or x.dtype is not node.dtype:
        return None
    return x if x.shape == node.shape else Reshape(node.shape)(x)


@rewrites(
    Reshape, reading=(Sum, Max, Min, All, Any_),
    example=lambda x: (reshape(max(x, axis=1), (2, 1)), max(x, axis=1, keepdims=True)),
)  # fmt: skip
def reduced_axes_put_back(node: Node) -> Node | None:
    """sum(x, axis=1)[:, None] -> sum(x, axis=1, keepdims=True), and the other way round"""
    op: Any = node.inputs[0].op
    (x,) = node.inputs[0].inputs
    if reduced_shape(x.shape, op.axes, not op.keepdims) != node.shape or node.inputs[0].shape == node.shape:
        return None
    return dataclasses.replace(op, keepdims=not op.keepdims)(x)  # type: ignore[no-any-return]


REDUCTIONS = group(
    "reductions",
    extremum_of_extremum,
    sum_of_sum,
    extremum_of_repeated,
    sum_of_repeated,
    extremum_of_one,
    sum_of_one,
    reduced_axes_put_back,
)

"""Gathers: what is chosen is computed, not what it is chosen from. All exact."""

from __future__ import annotations

import math

import numpy as np

from graphnn.ir.dims import Size
from graphnn.ir.dtype import float64, int64
from graphnn.ir.leaves import Constant, Iota, Payload
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise
from graphnn.ir.spec import Spec
from graphnn.ops.comparison import Where
from graphnn.ops.indexing import Gather
from graphnn.ops.movement import Reshape, permute_dims, reshape
from graphnn.ops.random import Advance
from graphnn.rewrite.rule import group, rewrites

_FEWER = 4
"""So many times fewer elements are chosen: computing them again costs little where all of them are needed, too."""

_WIDE = Spec((5, 8), float64)


def _chosen_differences(x: Node = _WIDE, y: Node = Spec((5, 1), float64)) -> tuple[Node, Node]:  # type: ignore[assignment]
    i, j = (Constant(Payload(np.array([number])))() for number in (2, 7))
    return Gather((0, 1))(x - y, i, j), Gather((0, 1))(x, i, j) - Gather((0,))(reshape(y, (5,)), i)


@rewrites(Gather, reading=(Elementwise, Where), example=_chosen_differences)
def gather_of_computed(node: Node) -> Node | None:
    """(x + y)[i, j] -> x[i, j] + y[i, j], where few elements are chosen"""
    inner, *indices = node.inputs
    assert isinstance(node.op, Gather)
    if not isinstance(inner.op, (Elementwise, Where)) or type(inner.op) is Advance:
        return None
    axes = node.op.axes
    if not _fewer(node.shape, inner.shape) or not all(
        # Each index must be checked: by an operand that has the axis in its full length.
        any(_has(x, inner, axis) for x in inner.inputs)
        for axis in axes
    ):
        return None
    return inner.op(*(_chosen(x, inner, axes, indices) for x in inner.inputs))


@rewrites(
    Gather, reading=(Iota, Reshape, Constant),
    example=lambda x=_WIDE: (
        Gather((1,))(x, reshape(Iota(8, int64)(), (8, 1))),
        reshape(permute_dims(x, (1, 0)), (8, 1, 5)),
    ),
)  # fmt: skip
def gather_of_all(node: Node) -> Node | None:
    """x[arange(len(x))] -> x"""
    assert isinstance(node.op, Gather)
    if len(node.op.axes) != 1:
        return None
    x, index = node.inputs
    (axis,) = node.op.axes
    size = x.shape[axis]
    if index.shape.count(1) < index.ndim - 1 or size not in index.shape:
        return None
    numbers = index.inputs[0] if isinstance(index.op, Reshape) else index
    if isinstance(numbers.op, Constant):
        array = numbers.op.payload.array
        if array.size != size or not np.array_equal(array.reshape(-1), np.arange(array.size)):
            return None
    elif not isinstance(numbers.op, Iota) or numbers.op.size != size:
        return None
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    moved = x if axis == 0 else permute_dims(x, order)
    return moved if moved.shape == node.shape else reshape(moved, node.shape)


def _has(x: Node, of: Node, axis: int) -> bool:
    """Whether an operand of an element-wise operation has an axis of the result, and is not repeated along it."""
    own = axis - of.ndim + x.ndim
    return own >= 0 and x.shape[own] == of.shape[axis]


def _chosen(x: Node, of: Node, axes: tuple[int, ...], indices: list[Node]) -> Node:
    """The elements of an operand, which may be repeated, that belong to those that are chosen of the result."""
    missing = of.ndim - x.ndim
    rest = [x.shape[axis - missing] for axis in range(missing, of.ndim) if axis not in axes]
    chosen = [(axis - missing, index) for axis, index in zip(axes, indices, strict=True) if _has(x, of, axis)]
    if not chosen:  # the same for all indices
        return x if x.ndim == len(rest) else reshape(x, tuple(rest))
    full = [axis - missing for axis in range(missing, of.ndim) if axis not in axes or _has(x, of, axis)]
    if len(full) < x.ndim:
        x = reshape(x, tuple(x.shape[axis] for axis in full))
    found = Gather(tuple(full.index(axis) for axis, _ in chosen))(x, *(index for _, index in chosen))
    # Behind the axes of the indices come those that are not indexed, also those that only other operands have.
    ones = of.ndim - len(axes) - len(rest)
    front = found.shape[: found.ndim - len(rest)]
    return reshape(found, (*front, *(1,) * ones, *rest)) if ones else found


def _fewer(few: tuple[Size, ...], many: tuple[Size, ...]) -> bool:
    """Whether one shape holds far fewer elements, whatever the sizes that have names are."""
    rest, number = list(many), _FEWER
    for size in few:
        if size in rest:
            rest.remove(size)
        elif isinstance(size, int):
            number *= size
        else:
            return False
    # A size that has a name is 1 at least, or nothing is computed at all.
    return math.prod(size for size in rest if isinstance(size, int)) >= number


SELECTION = group("selection", gather_of_computed, gather_of_all)

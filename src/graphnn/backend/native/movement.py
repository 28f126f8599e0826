"""Operations that only move elements, as views: other strides on the array of their operand."""

from __future__ import annotations

from typing import Any

from graphnn.backend.native.items import View, broadcast_strides, reshaped
from graphnn.backend.native.lower import view_of
from graphnn.ir.node import Node
from graphnn.ops.arithmetic import Positive
from graphnn.ops.bitwise import Astype, StopGradient
from graphnn.ops.host import Barrier
from graphnn.ops.movement import BroadcastTo, Part, PermuteDims, Reshape, Slice
from graphnn.ops.random import Advance
from graphnn.ops.windows import Windows, steps_of
from graphnn.transform.checkpoint import Checkpoint


@view_of.register
def _(op: Reshape, node: Node, view: View) -> View | None:
    return reshaped(view, node.shape)  # type: ignore[arg-type]  # sizes are numbers by now


@view_of.register
def _(op: PermuteDims, node: Node, view: View) -> View:
    shape, strides = (tuple([values[axis] for axis in op.axes]) for values in (view.shape, view.strides))
    return View(view.item, view.offset, shape, strides)


@view_of.register
def _(op: BroadcastTo, node: Node, view: View) -> View:
    shape: Any = node.shape
    return View(view.item, view.offset, shape, broadcast_strides(view, shape))


@view_of.register
def _(op: Slice, node: Node, view: View) -> View:
    offset, strides = view.offset, []
    for cut, size, stride in zip(op.cuts, view.shape, view.strides, strict=True):
        start, _, step = slice(*cut).indices(size)
        offset += start * stride
        strides.append(step * stride)
    shape: Any = node.shape
    return View(view.item, offset, shape, tuple(strides))


@view_of.register
def _(op: Part, node: Node, view: View) -> View:
    start, shape = op.start, node.shape
    assert isinstance(start, int)
    return View(view.item, view.offset + start * view.strides[op.axis], shape, view.strides)  # type: ignore[arg-type]


@view_of.register
def _(op: Windows, node: Node, view: View) -> View:
    strides, inside = list(view.strides), []
    for axis, step, dilation in zip(op.axis, *steps_of(op), strict=True):
        inside.append(view.strides[axis] * dilation)
        strides[axis] *= step
    return View(view.item, view.offset, node.shape, (*strides, *inside))  # type: ignore[arg-type]


def _same(op: Any, node: Node, view: View) -> View | None:
    return view if node.dtype is node.inputs[0].dtype else None


for _class in (StopGradient, Positive, Barrier, Checkpoint, Advance, Astype):
    view_of.register(_class, _same)

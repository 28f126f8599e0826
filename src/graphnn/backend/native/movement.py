"""Operations that only move elements: views, where other strides on the array of the operand will do; else copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphnn.backend.native.assembly import copy_block, fill_with_zeros
from graphnn.backend.native.chunks import MOST_CHUNKS
from graphnn.backend.native.chunks import rows as chunks_of_rows
from graphnn.backend.native.emit import BYTES, Builder, Module, Value
from graphnn.backend.native.items import Item, Joined, Kernel, Sizes, View, broadcast_strides, contiguous, reshaped
from graphnn.backend.native.lower import lower_whole, view_of
from graphnn.ir.node import Node
from graphnn.ops.arithmetic import Positive
from graphnn.ops.bitwise import Astype, StopGradient
from graphnn.ops.host import Barrier
from graphnn.ops.movement import BroadcastTo, Concat, Pad, Part, PermuteDims, Reshape, Slice, Unslice
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


_CHUNK = 1 << 16  # bytes that one thread puts together at once


class _Piece(NamedTuple):
    """A view that is copied to a place in an array: the element where it begins, and the strides there."""

    view: View
    offset: int
    strides: Sizes


def _assembled(item: Item, pieces: Sequence[_Piece]) -> Callable[[Module], Kernel]:
    """The kernel that copies pieces into an array, and zeros into what they leave."""
    pieces = [piece for piece in pieces if 0 not in piece.view.shape]
    covered = sum(math.prod(piece.view.shape) for piece in pieces) == item.size
    key = (
        "assemble", item.kind, item.size, covered,
        tuple([(piece.view.shape, piece.view.strides, piece.offset, piece.strides) for piece in pieces]),
    )  # fmt: skip
    pointers = ((item, 0), *[(piece.view.item, piece.view.offset) for piece in pieces])

    inside = math.prod(item.shape[1:])
    # Where each row is filled by itself, threads share the rows.
    alone = not item.shape or any(
        piece.view.shape[0] != item.shape[0] or piece.strides[0] != inside or piece.offset >= inside
        for piece in pieces
    )  # fmt: skip
    chunks = min(item.shape[0], MOST_CHUNKS, item.bytes // _CHUNK) if not alone else 1

    def rows(b: Builder, first: Value, last: Value) -> None:
        with b.loop(first, last) as row:
            into = b.gep("%p0", item.kind, b.bin("mul", row, b.const("i64", inside)))
            if not covered:
                fill_with_zeros(b, into, inside * BYTES[item.kind])
            for i, (view, offset, strides) in enumerate(pieces, 1):
                out_of = b.gep(f"%p{i}", item.kind, b.bin("mul", row, b.const("i64", view.strides[0])))
                target = b.gep(into, item.kind, offset), strides[1:]
                copy_block(b, item.kind, view.shape[1:], target, (out_of, view.strides[1:]))

    def text(module: Module, name: str) -> str:
        if chunks > 1:
            return chunks_of_rows(module, name, len(pointers), item.shape[0], -(-item.shape[0] // chunks), rows)
        b = Builder(module)
        if not covered:
            fill_with_zeros(b, "%p0", item.size * BYTES[item.kind])
        for i, piece in enumerate(pieces, 1):
            target = b.gep("%p0", item.kind, piece.offset)
            copy_block(b, item.kind, piece.view.shape, (target, piece.strides), (f"%p{i}", piece.view.strides))
        b.line("ret void")
        parameters = ", ".join(f"ptr %p{i}" for i in range(len(pointers)))
        return b.function(f"define internal void @{name}({parameters})")

    return lambda module: Kernel(module.once(key, lambda name: text(module, name)), pointers)


@lower_whole.register
def _(op: Concat, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    if any(operand.dtype is not node.dtype for operand in node.inputs):
        return None
    strides, place, pieces = contiguous(item.shape), 0, []
    for view in views:
        pieces.append(_Piece(view, place * strides[op.axis], strides))
        place += view.shape[op.axis]
    item.key = Joined(item.kind, tuple([(piece.offset, piece.view.shape, strides) for piece in pieces]))
    return _assembled(item, pieces)


@lower_whole.register
def _(op: Pad, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel]:
    strides = contiguous(item.shape)
    offset: Any = sum(before * stride for (before, _), stride in zip(op.widths, strides, strict=True))
    return _assembled(item, [_Piece(views[0], offset, strides)])


@lower_whole.register
def _(op: Unslice, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel]:
    offset, strides = 0, []
    for cut, size, stride in zip(op.cuts, item.shape, contiguous(item.shape), strict=True):
        start, _, step = slice(*cut).indices(size)
        offset += start * stride
        strides.append(step * stride)
    return _assembled(item, [_Piece(views[0], offset, tuple(strides))])

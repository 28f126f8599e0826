"""Sequences of tensors. Their lengths and the places in them are known while the graph is built."""

from __future__ import annotations

import itertools

import graphnn as gn
from graphnn.interop.onnx.handlers.convolution import number
from graphnn.interop.onnx.registry import Call, Nodes, onnx_op
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis

MOST_PARTS = 10_000
"""Into how many parts an axis may be split."""


def _place(call: Call, i: int, count: int, end: int) -> int:
    """The place that input i names in a sequence of so many elements, up to `end`."""
    places = call.integers_at(i)
    if len(places) != 1 or not -count <= places[0] < end:
        raise call.error(f"there is no place {places} in a sequence of {count}")
    return places[0] + count if places[0] < 0 else places[0]


@onnx_op("SequenceConstruct", since=11)
def construct(call: Call, *inputs: Node) -> tuple[Nodes]:
    """A sequence of tensors."""
    if len({node.dtype for node in inputs}) > 1:
        raise call.error("the tensors of a sequence have one data type")
    return (Nodes(inputs),)


@onnx_op("SequenceEmpty", since=11)
def empty(call: Call) -> tuple[Nodes]:
    """A sequence without elements."""
    return (Nodes(()),)


@onnx_op("SequenceAt", since=11)
def at(call: Call, sequence: Nodes, position: Node) -> Node:
    """The tensor at a place."""
    return sequence.items[_place(call, 1, len(sequence.items), len(sequence.items))]


@onnx_op("SequenceLength", since=11)
def length(call: Call, sequence: Nodes) -> Node:
    """How many tensors there are."""
    return gn.constant(len(sequence.items), "int64")


@onnx_op("SequenceInsert", since=11)
def insert(call: Call, sequence: Nodes, tensor: Node, position: Node | None = None) -> tuple[Nodes]:
    """With a tensor put before a place, or at the end."""
    items = list(sequence.items)
    if items and items[0].dtype is not tensor.dtype:
        raise call.error("the tensors of a sequence have one data type")
    items.insert(len(items) if position is None else _place(call, 2, len(items), len(items) + 1), tensor)
    return (Nodes(items),)


@onnx_op("SequenceErase", since=11)
def erase(call: Call, sequence: Nodes, position: Node | None = None) -> tuple[Nodes]:
    """Without the tensor at a place, or the last one."""
    items = list(sequence.items)
    if not items:
        raise call.error("there is nothing to take away")
    del items[len(items) - 1 if position is None else _place(call, 1, len(items), len(items))]
    return (Nodes(items),)


@onnx_op("SplitToSequence", since=11)
def split(call: Call, x: Node, lengths: Node | None = None) -> tuple[Nodes]:
    """Parts along an axis: of one length, of given ones, or single slices."""
    axis = normalize_axis("SplitToSequence", call.integer("axis", 0), x.ndim)
    size = number(call, x, axis)
    if size > MOST_PARTS:
        raise call.unsupported(f"a sequence of up to {size} parts; there may be {MOST_PARTS}")
    if lengths is None:
        if not call.flag("keepdims", True):
            return (Nodes(gn.unstack(x, axis=axis)),)
        given: tuple[int, ...] = (1,) * size
    else:
        given = call.integers_at(1)
        if lengths.ndim == 0:
            if given[0] < 1:
                raise call.error(f"parts of {given[0]}")
            given = tuple(min(given[0], size - start) for start in range(0, size, given[0]))
    if sum(given) != size or any(n < 0 for n in given):
        raise call.error(f"the lengths {given[:8]} do not add up to {size}")
    ends = list(itertools.accumulate(given))[:-1]
    return (Nodes(gn.split(x, ends, axis=axis)),)


@onnx_op("ConcatFromSequence", since=11)
def concat(call: Call, sequence: Nodes) -> Node:
    """The tensors joined along an axis, or along a new one."""
    if not sequence.items:
        raise call.error("there is nothing to join")
    join = gn.stack if call.flag("new_axis") else gn.concat
    return join(sequence.items, axis=call.integer("axis"))

"""Gathers and scatters: every index is checked, and one out of range ends the call with NumPy's own error."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from graphnn.backend.native.assembly import copy_block, fill_with_zeros, index_of, walk
from graphnn.backend.native.emit import BYTES, Builder, Module
from graphnn.backend.native.items import KINDS, Item, Kernel, Sizes, View, broadcast_strides, contiguous
from graphnn.backend.native.lower import lower_whole
from graphnn.ir.node import Node
from graphnn.ir.spec import broadcast
from graphnn.ops.indexing import Gather, ScatterAdd, ScatterSet


def _indexed(
    node: Node,
    axes: tuple[int, ...],
    indices: list[View],
    table: tuple[Sizes, Sizes],
    outer: Sizes,
    combine: str | None,
) -> tuple[Any, Callable[[Builder], None]]:
    """The loops over all indices: a key, and what writes them.

    `table` are the shape and the strides of the array that is indexed, ``%p0``; `outer` the strides of the other one,
    ``%p1``, along the axes of the indices and then along the rest. Without `combine` rows are read from the table, with
    it they are put into it, by an instruction or, if it is empty, in the place of what is there.
    """
    shape, strides = table
    given: Any = [node.inputs[i].dtype for i in range(len(node.inputs) - len(indices), len(node.inputs))]
    front: Any = broadcast("index", *(view.shape for view in indices))
    rest = [i for i in range(len(shape)) if i not in axes]
    inner = tuple([shape[i] for i in rest])
    inner_strides = tuple([strides[i] for i in rest])
    spread = [broadcast_strides(view, front) for view in indices]
    key = (axes, shape, strides, outer, front, tuple(spread), tuple([d.name for d in given]), combine)
    kind = node.dtype.name

    def write(b: Builder) -> None:
        memory = KINDS.get(kind, "i16")
        pointers = [(f"%p{i + 2}", KINDS[d.name], s) for i, (d, s) in enumerate(zip(given, spread, strict=True))]
        with walk(b, front, ("%p1", memory, outer[: len(front)]), *pointers) as (place, *found):
            row = "%p0"
            for axis, pointer, dtype in zip(axes, found, given, strict=True):
                index = index_of(b, pointer, KINDS[dtype.name], dtype.kind == "int", shape[axis], "failed")
                row = b.gep(row, memory, b.bin("mul", index, b.const("i64", strides[axis])))
            sides = (row, inner_strides), (place, outer[len(front) :])
            if combine is None:
                copy_block(b, memory, inner, sides[1], sides[0])
            else:
                copy_block(b, memory, inner, sides[0], sides[1], combine)

    return key, write


def _kernel(
    what: str, item: Item, key: Any, first: Callable[[Builder], None], write: Callable[[Builder], None], pointers: Any
) -> Callable[[Module], Kernel]:
    def text(module: Module, name: str) -> str:
        b = Builder(module)
        first(b)
        write(b)
        b.line("ret i32 0")
        b.label("failed")
        b.line("ret i32 1")
        parameters = ", ".join(f"ptr %p{i}" for i in range(len(pointers)))
        return b.function(f"define internal i32 @{name}({parameters})")

    full = (what, item.kind, item.shape, key)
    return lambda module: Kernel(module.once(full, lambda name: text(module, name)), pointers, checked=True)


def _checks(node: Node, axes: tuple[int, ...], indices: list[View], shape: Sizes) -> frozenset[Hashable]:
    """That each index is inside of its axis."""
    given = [operand.dtype.name for operand in node.inputs[len(node.inputs) - len(indices) :]]
    return frozenset((*view, dtype, shape[axis]) for view, dtype, axis in zip(indices, given, axes, strict=True))


def _fits(node: Node, indices: list[View]) -> bool:
    # An index of 64 bits without a sign may be larger than any position; NumPy decides what becomes of it.
    return all(operand.dtype.name != "uint64" for operand in node.inputs[len(node.inputs) - len(indices) :])


@lower_whole.register
def _(op: Gather, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    x, *indices = views
    if not _fits(node, indices) or 0 in x.shape:
        return None
    item.checks = _checks(node, op.axes, indices, x.shape)
    key, write = _indexed(node, op.axes, indices, (x.shape, x.strides), contiguous(item.shape), None)
    pointers = ((x.item, x.offset), (item, 0), *[(view.item, view.offset) for view in indices])
    return _kernel("gather", item, key, lambda b: None, write, pointers)


@lower_whole.register
def _(op: ScatterAdd, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    values, *indices = views
    if not _fits(node, indices) or node.dtype.name not in KINDS or node.dtype.kind == "bool" or 0 in values.shape:
        return None
    combine = "fadd" if node.dtype.is_floating else "add"
    item.checks = _checks(node, op.axes, indices, item.shape)
    key, write = _indexed(node, op.axes, indices, (item.shape, contiguous(item.shape)), values.strides, combine)
    pointers = ((item, 0), (values.item, values.offset), *[(view.item, view.offset) for view in indices])
    return _kernel(
        "scatter_add", item, key, lambda b: fill_with_zeros(b, "%p0", item.size * BYTES[item.kind]), write, pointers
    )


@lower_whole.register
def _(op: ScatterSet, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    x, values, *indices = views
    same = all(operand.dtype is node.dtype for operand in node.inputs[:2])
    if not same or not _fits(node, indices) or 0 in values.shape:
        return None
    item.checks = _checks(node, op.axes, indices, item.shape)
    key, write = _indexed(node, op.axes, indices, (item.shape, contiguous(item.shape)), values.strides, "")
    last = f"%p{2 + len(indices)}"
    pointers = (
        (item, 0), (values.item, values.offset), *[(view.item, view.offset) for view in indices], (x.item, x.offset),
    )  # fmt: skip

    def first(b: Builder) -> None:
        copy_block(b, item.kind, item.shape, ("%p0", contiguous(item.shape)), (last, x.strides))

    return _kernel("scatter_set", item, (key, x.strides), first, write, pointers)

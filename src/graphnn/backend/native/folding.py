"""Windows added up where they overlap: for each place inside a window, a strided block is added to the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.backend.native.assembly import copy_block, fill_with_zeros, walk
from graphnn.backend.native.emit import BYTES, Builder, Module
from graphnn.backend.native.items import KINDS, Item, Kernel, View, contiguous
from graphnn.backend.native.lower import lower_whole
from graphnn.ir.node import Node
from graphnn.ops.windows import FoldWindows, steps_of


@lower_whole.register
def _(op: FoldWindows, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    (x,) = views
    kind = KINDS.get(node.dtype.name)
    if kind is None or 0 in x.shape:
        return None
    strides, dilations = steps_of(op)
    count = len(op.axis)
    first = len(x.shape) - count
    to: Any = contiguous(item.shape)
    outer, inside = list(to), []
    for axis, stride, dilation in zip(op.axis, strides, dilations, strict=True):
        outer[axis] = to[axis] * stride
        inside.append(to[axis] * dilation)
    combine = "fadd" if node.dtype.is_floating else "add"

    def text(module: Module, name: str) -> str:
        b = Builder(module)
        fill_with_zeros(b, "%p0", item.size * BYTES[kind])
        with walk(b, x.shape[first:], ("%p0", kind, tuple(inside)), ("%p1", kind, x.strides[first:])) as (into, out_of):
            copy_block(b, kind, x.shape[:first], (into, tuple(outer)), (out_of, x.strides[:first]), combine)
        b.line("ret void")
        return b.function(f"define internal void @{name}(ptr %p0, ptr %p1)")

    key = ("fold_windows", op, node.dtype.name, item.shape, x.shape, x.strides)
    return lambda module: Kernel(module.once(key, lambda name: text(module, name)), ((item, 0), (x.item, x.offset)))

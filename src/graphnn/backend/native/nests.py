"""Groups of loops as kernels: groups that do the same share one."""

from __future__ import annotations

from typing import Any

from graphnn.backend.native.columns import Columns
from graphnn.backend.native.emit import Module
from graphnn.backend.native.items import Item, Kernel
from graphnn.backend.native.layout import is_counted, is_literal
from graphnn.backend.native.regions import Group


def kernel_of(module: Module, group: Group) -> Kernel:
    """The function that computes a group; groups that do the same share one."""
    numbers = {item: i for i, item in enumerate(group.items)}
    pointers: dict[Item, int] = {}
    parts: list[Any] = []
    for item in group.items:
        operands: list[Any] = []
        for access in item.operands:
            other = access.item
            if other in numbers:
                operands.append(numbers[other])
            elif is_literal(other):
                operands.append((other.kind, other.value.tobytes()))
            elif is_counted(other):
                operands.append(("counted", access.offset, access.strides, other.kind))
            else:
                pointers.setdefault(other, len(pointers))
                operands.append((pointers[other], access.offset, access.strides, other.kind))
        parts.append((item.key, item.kind, item.shape, item.stored, item in group.rows, tuple(operands)))
    for item in group.items:
        if item.stored:
            pointers[item] = len(pointers)
    key = ("loops", group.domain, group.reduced, tuple(parts))
    name = module.once(key, lambda name: Columns(module, group, pointers).text(name))
    return Kernel(name, tuple([(item, 0) for item in pointers]))

"""Element-wise work that rides on a matrix product: it is done while the results are in the nearest cache."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.items import Access, Item, Kernel, Sizes, refine, spread
from graphnn.backend.native.layout import is_literal
from graphnn.backend.native.products import Epilogue, Product, Spot, emit_product
from graphnn.backend.native.regions import Group, Regions, plain, same_place

_MOST = 12  # items that ride on a product: more would not fit into registers
_LIGHT = 6  # items, at most, of what is done while the sums are still in registers
_ARRAYS = 4  # that they read and write: a tile walks through a few columns of each, a loop nest through whole rows


_LINE = -1
"""The stride of rows that lie as those of the product do. Its number is no part of the code, which products so share."""


class _Place(NamedTuple):
    """Where an array is read or written: pointer, offset, and strides for rows (or `_LINE`) and columns."""

    pointer: int
    kind: str
    offset: int
    row: int
    column: int


def absorb(regions: Regions) -> None:
    """Let element-wise groups ride on the products that only they read."""
    readers: dict[Item, dict[Group, None]] = {}
    for group in regions.groups:
        for item in group.items:
            for access in item.operands:
                if isinstance(access.item.key, Product):
                    readers.setdefault(access.item, {})[group] = None
    for group in list(regions.groups):
        item = group.items[0]
        reading = list(readers.get(item, ()))
        if isinstance(item.key, Product) and item.output < 0 and len(reading) == 1 and _rides(item, reading[0]):
            regions.join(group, reading[0])


def _rides(item: Item, group: Group) -> bool:
    product: Product = item.key
    if group.closed or group.reduced is not None or len(group.items) > _MOST:
        return False
    if product.batch or product.n < 2 or rows_of(product) < 1:
        return False
    if any(isinstance(other.key, Product) or other.role == "joined" for other in group.items):
        return False  # one product for each group; and a tile has not all that is joined
    for other in group.items:
        for access in other.operands:
            if access.item is item and not same_place(other.shape, access):
                return False
    places = _places(product, group)
    if places is None:
        return False
    read = {each.operands[number].item for (each, number), (row, _) in places.items() if row}
    return len(read) + sum(each.output >= 0 for each in group.items) <= _ARRAYS


def rows_of(product: Product) -> int:
    """How many rows the result has, of all axes of rows together; 0 where they do not lie one behind the other."""
    count = product.m
    if product.c != (product.n, 1):
        return int(count == 1 == product.c[1] and not product.rows)
    for size, _, stride in reversed(product.rows):
        if stride != count * product.n:
            return 0
        count *= size
    return count


def _places(product: Product, group: Group) -> dict[tuple[Item, int], tuple[int, int]] | None:
    """Strides for rows and columns of all that the group reads; None where some have none."""
    count = rows_of(product)
    if math.prod(group.domain) != count * product.n:
        return None
    domain = refine(group.domain, plain((count, product.n)))
    if domain is None:
        return None
    rows = 0
    while math.prod(domain[:rows]) < count:
        rows += 1
    found: dict[tuple[Item, int], tuple[int, int]] = {}
    inside = set(group.items)
    for item in group.items:
        if item.kernel is not None:
            continue
        for number, access in enumerate(item.operands):
            if access.item in inside or is_literal(access.item):
                continue
            strides = spread(item.shape, access.strides, domain)
            row, column = _one(domain[:rows], strides[:rows]), _one(domain[rows:], strides[rows:])
            if row is None or column is None:
                return None
            found[item, number] = row, column
    return found


def _one(shape: Sizes, strides: Sizes) -> int | None:
    """The stride with which all axes are walked through as one."""
    for i in range(len(shape) - 1):
        if strides[i] != strides[i + 1] * shape[i + 1]:
            return None
    return strides[-1] if shape else 0


def settle(groups: list[Group]) -> None:
    """Choose for each product with riders what is stored in its place: a result of theirs, or itself."""
    for group in groups:
        for item in group.items:
            if isinstance(item.key, Product) and len(group.items) > 1:
                item.stored = item.stored or not any(_instead(item, other) for other in group.items)


def _instead(item: Item, other: Item) -> bool:
    return other is not item and other.stored and other.kind == item.kind


def kernel_of_product(module: Module, group: Group) -> Kernel:
    """The product of a group with all that rides on it."""
    own = next(item for item in group.items if isinstance(item.key, Product))
    product: Product = own.key
    riders = _in_order([item for item in group.items if item is not own])
    target = own if own.stored else next(item for item in riders if _instead(own, item))
    strides = _places(product, group)
    assert strides is not None
    numbers = {item: i for i, item in enumerate([own, *riders])}
    pointers: dict[Item, int] = {}
    reads: dict[tuple[Item, int], _Place] = {}
    key: list[Any] = [numbers[target]]
    for item in riders:
        operands: list[Any] = []
        for number, access in enumerate(item.operands):
            other = access.item
            if other in numbers:
                operands.append(numbers[other])
            elif is_literal(other):
                operands.append((other.kind, other.value.tobytes()))
            else:
                pointer = pointers.setdefault(other, len(pointers))
                row, column = strides[item, number]
                place = _Place(pointer, other.kind, access.offset, _LINE if row == product.n else row, column)
                reads[item, number] = place
                operands.append(place)
        key.append((item.key, item.kind, numbers[item], item.stored, tuple(operands)))
    writes = {}
    for item in riders:
        if item.stored and item is not target:
            pointer = pointers[item] = len(pointers)
            writes[item] = _Place(pointer, item.kind, 0, _LINE, 1)

    def emit(b: Builder, value: Value, spot: Spot, given: list[str]) -> Value:
        known = {own: value}

        def operand(item: Item, number: int, access: Access) -> Value:
            other = access.item
            if other in known:
                return known[other]
            if is_literal(other):
                return b.const(other.kind, other.value.reshape(()).item())
            return _load(b, reads[item, number], spot, value.lanes, given)

        for item in riders:
            assert item.emit is not None
            known[item] = item.emit(b, *[operand(item, i, a) for i, a in enumerate(item.operands)])
        # Everything is read before anything is stored: a result may lie where an operand does.
        for item, place in writes.items():
            address = _address(b, place, spot, given)
            b.store(b.splat(known[item], value.lanes), address, spot.active)
        return b.splat(known[target], value.lanes)

    light = len(riders) <= _LIGHT and not any(getattr(item.emit, "dear", False) for item in riders)
    ride = Epilogue(tuple(key), len(pointers), emit, light)
    name = emit_product(module, product._replace(epilogue=ride))
    assert own.kernel is not None
    first = own.operands
    operands = [(access.item, access.offset) for access in first]
    return Kernel(name, (*operands, (target, 0), None, *[(item, 0) for item in pointers]))


def _in_order(riders: list[Item]) -> list[Item]:
    """What rides on a product in an order that follows from what it does, so that equal ones share their code."""
    waiting, found = dict.fromkeys(riders), []
    while waiting:
        ready = [item for item in waiting if all(access.item not in waiting for access in item.operands)]
        found.append(min(ready, key=lambda item: (_name(item), item.index)))
        del waiting[found[-1]]
    return found


def _name(item: Item) -> str:
    op = item.key[0] if isinstance(item.key, tuple) else item.key
    return str(getattr(op, "name", op))


def _address(b: Builder, place: _Place, spot: Spot, given: list[str]) -> str:
    index = b.const("i64", place.offset)
    row = (1, spot.line) if place.row == _LINE else (place.row, spot.row)
    for stride, here in (row, (place.column, spot.column)):
        if stride:
            index = b.bin("add", index, b.bin("mul", here, b.const("i64", stride)))
    return b.gep(given[place.pointer], place.kind, index)


def _load(b: Builder, place: _Place, spot: Spot, lanes: int, given: list[str]) -> Value:
    address = _address(b, place, spot, given)
    if place.column == 0 or lanes == 1:
        return b.load(address, place.kind)
    if place.column == 1:
        return b.load(address, place.kind, lanes, spot.active)
    return b.gather(address, place.kind, lanes, place.column, spot.active)

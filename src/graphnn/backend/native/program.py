"""A graph as native functions of a table of pointers: the order of kernels, where their arrays lie, the calls."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphnn.backend.base import LARGEST, failure
from graphnn.backend.native import interrupts
from graphnn.backend.native.build import Items, needed
from graphnn.backend.native.call import MOST_RESULTS
from graphnn.backend.native.emit import Module
from graphnn.backend.native.epilogue import absorb, kernel_of_product, settle
from graphnn.backend.native.items import KINDS, Item, Kernel
from graphnn.backend.native.layout import is_literal
from graphnn.backend.native.memory import Arena
from graphnn.backend.native.nests import kernel_of
from graphnn.backend.native.products import Product
from graphnn.backend.native.recompute import recompute
from graphnn.backend.native.regions import Group, Regions
from graphnn.ir.arrays import Array

_CALLS = 40
"""Calls of kernels in one function of the module."""
_SMALL = 1 << 16
"""Bytes of a result that costs next to nothing to make anew, beside a call that is long enough to be stopped."""
_FLOPS, _ELEMENTS = 200.0, 4.0
"""What a nanosecond is enough for, in a product and elsewhere, where all goes well."""


class Program:
    """The items of a graph in groups, their memory, and the functions that compute them.

    The functions take a table: slot 0 points to the arena, the next ones to the arguments, the outputs and the constants.

    Attributes
    ----------
    given, ends : the items of arguments and outputs
    in_place : the outputs that may be written into the array of the argument they replace; see `Regions.write_over`
    places : the slots of the table, by item
    arena : the memory between kernels
    steps : the names of the functions in order, and the items that NumPy computes between them
    kernels : the names of all kernels, with their groups
    read : the slots that its functions read
    checked : the items whose kernels may fail, by the number (from 1) that a function then returns
    fixed : the constants that have slots
    """

    def __init__(self, made: Items, updated: Sequence[tuple[Item, Item]] = ()) -> None:
        self.items, self.given, self.ends = made
        regions = _regions(self.items)
        again = recompute(self.items, regions)
        if again is not None:
            regions.undo()
            self.items = needed(again, [*self.given, *self.ends])
            regions = _regions(self.items)
        absorb(regions)
        self.groups, self.in_place = regions.write_over(updated)
        if self.nanoseconds > interrupts.PATIENCE:
            self._keep_stoppable()
        _mark_stored(self.groups)
        settle(self.groups)
        self.arena = Arena(self.groups)
        self._check_sizes()
        self.places: dict[Item, int] = {}
        for item in [*self.given, *self.ends]:
            self.slot(item)
        self.steps: list[str | Item] = []
        self.kernels: list[tuple[str, Group]] = []
        self.read: set[int] = set()
        self.checked: list[Item] = []
        self.fixed: dict[Item, Array] = {}

    def _check_sizes(self) -> None:
        """What is beyond all addresses is an error before there is code for it: sizes are 64-bit words there."""
        for group in self.groups:
            for item in group.items:
                size = max(item.size, math.prod(item.wide)) * item.dtype.bits // 8
                if item.node is not None and max(size, self.arena.size * item.stored) > LARGEST:
                    raise failure(item.node, [], MemoryError())

    @property
    def worth_it(self) -> bool:
        """Whether native kernels compute anything, or NumPy does not; 16-bit floats are only ever moved natively."""
        roles = {item.role for item in self.items if item.key != "copy" and item.dtype.name in KINDS}
        return not roles.isdisjoint(("element", "reduce", "kernel", "part")) or all(
            item.role != "host" for item in self.items
        )

    @property
    def most_slots(self) -> int:
        """Slots that the table may come to have."""
        return 1 + len(self.given) + len(self.ends) + sum(item.role in ("fixed", "host") for item in self.items)

    def slot(self, item: Item) -> int:
        """The slot of an item; a new one if it has none."""
        return self.places.setdefault(item, len(self.places) + 1)

    @property
    def nanoseconds(self) -> float:
        """How long it takes, roughly."""
        return sum(map(_nanoseconds, self.groups))

    def _keep_stoppable(self) -> None:
        """Have new arrays made for small results, the earliest first, so that they do not end what may be stopped."""
        spare = MOST_RESULTS - (len(self.ends) - len(self.in_place))
        for group in self.groups:
            small = [item for item in group.items if item in self.in_place and item.bytes <= _SMALL]
            if small and len(small) <= spare:
                spare -= len(small)
                self.in_place.difference_update(small)

    def emit(self, module: Module, prefix: str = "segment", separate: bool = False) -> None:
        """Emit the functions; with `separate` one for each kernel, to measure them.

        Long ones ask now and then whether to stop, until a variable is written over: it would be left half-way.
        """
        calls: list[str] = []
        since = 0.0
        for group in self.groups:
            if since > interrupts.PATIENCE and module.stoppable:
                calls.append(interrupts.ask(module, str(len(calls))))
                since = 0.0
            if not self.in_place.isdisjoint(group.items):
                module.stoppable = False
            since += _nanoseconds(group)
            if group.items[0].role == "host":
                self._end(module, prefix, calls)
                self.steps.append(group.items[0])
                continue
            kernel = _kernel(module, group)
            calls.append("\n".join(self._call(kernel, group.items[0], len(calls))))
            self.kernels.append((kernel.name, group))
            if separate:
                self._end(module, prefix, calls)
        self._end(module, prefix, calls)

    def _call(self, kernel: Kernel, item: Item, number: int) -> list[str]:
        """The lines that call a kernel with the pointers of its items; a checked one ends the segment if it fails."""
        lines, names = [], []
        for i, pointed in enumerate(kernel.pointers):
            if pointed is None:
                names.append("ptr null")
                continue
            (given, element), name = pointed, f"%a{number}.{i}"
            offset = element * given.dtype.bits // 8
            if given in self.arena.offsets:
                base, offset = "%arena", offset + self.arena.offsets[given]
            else:
                if given.role == "fixed":
                    self.fixed[given] = given.value
                base = name if offset == 0 else f"{name}b"
                self.read.add(self.slot(given))
                lines.append(f"{name}p = getelementptr inbounds ptr, ptr %table, i64 {self.slot(given)}")
                lines.append(f"{base} = load ptr, ptr {name}p")
            if base != name:
                lines.append(f"{name} = getelementptr i8, ptr {base}, i64 {offset}")
            names.append(f"ptr {name}")
        if not kernel.checked:
            return [*lines, f"call void @{kernel.name}({', '.join(names)})"]
        self.checked.append(item)
        result = f"%r{number}"
        return [
            *lines,
            f"{result} = call i32 @{kernel.name}({', '.join(names)})",
            f"{result}b = icmp eq i32 {result}, 0",
            f"br i1 {result}b, label %c{number}, label %e{number}",
            f"e{number}:",
            f"{result}s = icmp slt i32 {result}, 0",
            f"{result}e = select i1 {result}s, i32 {result}, i32 {len(self.checked)}",
            f"ret i32 {result}e",
            f"c{number}:",
        ]

    def _end(self, module: Module, prefix: str, calls: list[str]) -> None:
        if not calls:
            return
        name = f"{prefix}{len(self.steps)}"
        # Long functions compile slowly: a long segment is a chain of shorter ones.
        parts = [calls[i : i + _CALLS] for i in range(0, len(calls), _CALLS)]
        for number, part in enumerate(parts[:-1]):
            following = f"%s = tail call i32 @{name}.{number + 1}(ptr %table)"
            module.add(_segment(f"internal i32 @{name}.{number}" if number else f"i32 @{name}", part, following))
        number = len(parts) - 1
        last = parts[-1]
        module.add(_segment(f"internal i32 @{name}.{number}" if number else f"i32 @{name}", last, "%s = add i32 0, 0"))
        self.steps.append(name)
        calls.clear()


def _regions(items: Sequence[Item]) -> Regions:
    regions = Regions()
    for item in items:
        if item.role in ("element", "reduce", "kernel", "part", "host"):
            regions.add(item)
    return regions


def _nanoseconds(group: Group) -> float:
    total = 0.0
    for item in group.items:
        if isinstance(item.key, Product):
            total += item.key.work / _FLOPS
        else:
            total += max(item.size, math.prod(item.wide)) / _ELEMENTS + item.inside
    return total


def _segment(head: str, calls: list[str], last: str) -> str:
    body = "\n".join(["%arena = load ptr, ptr %table", *calls, last, "ret i32 %s"])
    return f"define {head}(ptr %table) {{\n{body}\n}}"


def _kernel(module: Module, group: Group) -> Kernel:
    own = next((item for item in group.items if item.kernel is not None), None)
    if own is None or own.kernel is None:
        return kernel_of(module, group)
    if isinstance(own.key, Product) and len(group.items) > 1:
        return kernel_of_product(module, group)
    return own.kernel(module)


def _mark_stored(groups: list[Group]) -> None:
    """Mark what is needed outside the group that computes it, or is a result."""
    for group in groups:
        inside = set(group.items)
        for item in group.items:
            rides = isinstance(item.key, Product) and len(group.items) > 1
            if item.output >= 0 or (item.role in ("host", "kernel", "part", "joined") and not rides):
                item.stored = True
            for access in item.operands:
                if access.item not in inside and not is_literal(access.item):
                    access.item.stored = True

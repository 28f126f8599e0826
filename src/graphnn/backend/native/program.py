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
from graphnn.backend.native.rows import ASK, Call, in_code, in_rows
from graphnn.ir.arrays import Array

_AS_CODE = 100
"""Calls that are written as code; more of them are data. The functions of loops have a table of their own, without rows."""
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
    places : the slots of the table, by item, or by the name of a function for its rows
    arena : the memory between kernels
    steps : the names of the functions in order, and the items that NumPy computes between them
    kernels : the names of all kernels, with their groups
    read : the slots that its functions read
    checked : the items whose kernels may fail, by the number (from 1) that a function then returns
    fixed : the constants that have slots
    nanoseconds : how long it takes, roughly
    rows : the calls that are data, by the slots that point to them
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
        self.nanoseconds = sum(map(_nanoseconds, self.groups))
        if self.nanoseconds > interrupts.PATIENCE:
            self._keep_stoppable()
        _mark_stored(self.groups)
        settle(self.groups)
        self.arena = Arena(self.groups)
        self._check_sizes()
        self.places: dict[Item | str, int] = {}
        self.rows: dict[int, Array] = {}
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
        calls: list[Call] = []
        since, long = 0.0, self.nanoseconds > interrupts.PATIENCE
        for group in self.groups:
            if since > interrupts.PATIENCE and module.stoppable:
                module.declare(interrupts.DECLARATION)
                calls.append(ASK)
                since = 0.0
            if not self.in_place.isdisjoint(group.items):
                module.stoppable = False
            since += _nanoseconds(group) if long else 0.0
            if group.items[0].role == "host":
                self._end(module, prefix, calls)
                self.steps.append(group.items[0])
                continue
            kernel = _kernel(module, group)
            calls.append(self._call(kernel, group.items[0]))
            self.kernels.append((kernel.name, group))
            if separate:
                self._end(module, prefix, calls)
        self._end(module, prefix, calls)

    def _call(self, kernel: Kernel, item: Item) -> Call:
        """A call of a kernel with the pointers of its items; a checked one ends the segment if it fails."""
        found: list[tuple[int, int] | None] = []
        for pointed in kernel.pointers:
            if pointed is None:
                found.append(None)
                continue
            given, element = pointed
            offset = element * given.dtype.bits // 8
            if given in self.arena.offsets:
                found.append((0, offset + self.arena.offsets[given]))
                continue
            if given.role == "fixed":
                self.fixed[given] = given.value
            slot = self.slot(given)
            self.read.add(slot)
            found.append((slot, offset))
        if kernel.checked:
            self.checked.append(item)
        return Call(kernel.name, tuple(found), len(self.checked) if kernel.checked else 0)

    def _end(self, module: Module, prefix: str, calls: list[Call]) -> None:
        if not calls:
            return
        name = f"{prefix}{len(self.steps)}"
        if len(calls) > _AS_CODE and prefix == "segment":
            slot = self.places.setdefault(name, len(self.places) + 1)
            self.rows[slot] = in_rows(module, name, calls, slot)
        else:
            in_code(module, name, calls)
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

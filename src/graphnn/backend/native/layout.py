"""How a loop nest lies over its arrays: the strides of each on common axes, which axes are one, and where vectors go."""

from __future__ import annotations

import math
from itertools import chain
from typing import NamedTuple

from graphnn.backend.native.emit import BYTES, Module
from graphnn.backend.native.items import KINDS, Item, Sizes, contiguous, spread
from graphnn.backend.native.regions import Group
from graphnn.ir.dtype import bool_
from graphnn.ir.leaves import Iota

COUNTED = -1
"""The pointer of a stream whose elements are their own places: nothing is read."""

_FLOATS = {"float", "double"}


class Stream(NamedTuple):
    """An array that is read or written: pointer, kind, offset and strides on the axes of the nest."""

    pointer: int
    kind: str
    offset: int
    strides: Sizes


def is_literal(item: Item) -> bool:
    """Whether an item is a number that stands in the code."""
    return item.role == "fixed" and item.size == 1 and item.dtype.name in KINDS


def is_counted(item: Item) -> bool:
    """Whether an item is an array of the numbers 0, 1, 2 ..., which loops count instead of reading them."""
    return (
        item.role == "fixed"
        and item.node is not None
        and isinstance(item.node.op, Iota)
        and item.dtype.name in KINDS
        and item.dtype is not bool_
    )


class Layout:
    """The axes of a group's loops, and its arrays on them.

    Attributes
    ----------
    domain, reduced : the sizes of the axes, and which are reduced
    reads : the arrays that are read, by the reader and the number of its operand
    writes : those that are written, by item
    joins : the parts of larger arrays where values go as well, by item
    vector : the axis of the vectors, or -1
    lanes : of a vector
    """

    def __init__(self, module: Module, group: Group, pointers: dict[Item, int]) -> None:
        self.module, self.group = module, group
        self.items, self.rows = [item for item in group.items if item.role != "joined"], group.rows
        self.inside = set(self.items)
        domain, reduced = group.domain, group.reduced or (False,) * len(group.domain)
        self.domain, self.reduced = domain, reduced
        self.reads: dict[tuple[Item, int], Stream] = {}  # by reader and operand number
        self.writes: dict[Item, Stream] = {}
        for item in self.items:
            shape = item.wide if item.role == "reduce" else item.shape
            for i, access in enumerate(item.operands):
                if access.item not in self.inside and not is_literal(access.item):
                    row = item in self.rows and item.role != "reduce"
                    strides = self._on_domain(shape, access.strides, row)
                    pointer = COUNTED if is_counted(access.item) else pointers[access.item]
                    self.reads[item, i] = Stream(pointer, access.item.kind, access.offset, strides)
            if item.stored:
                row = item in self.rows
                shape = group.kept if row else domain
                strides = self._on_domain(shape, contiguous(shape), row)
                self.writes[item] = Stream(pointers[item], item.kind, 0, strides)
        self.joins: dict[Item, list[Stream]] = {}
        for item in group.items:
            if item.role == "joined":
                for access, (offset, shape, strides) in zip(item.operands, item.key.pieces, strict=True):
                    stream = Stream(pointers[item], item.kind, offset, spread(shape, strides, domain))
                    self.joins.setdefault(access.item, []).append(stream)
        self._collapse()
        self._choose_vector()

    def _on_domain(self, shape: Sizes, strides: Sizes, row: bool) -> Sizes:
        if not row:
            return spread(shape, strides, self.domain)
        kept = iter(spread(shape, strides, self.group.kept))
        return tuple([0 if gone else next(kept) for gone in self.reduced])

    def _collapse(self) -> None:
        # Neighbouring axes that every array walks through as one become one.
        streams = [*self.reads.values(), *self.writes.values(), *chain(*self.joins.values())]
        groups: list[list[int]] = []
        for axis in range(len(self.domain)):
            n = self.domain[axis]
            if groups and self.reduced[groups[-1][-1]] == self.reduced[axis]:
                before = groups[-1][-1]
                if all(s.strides[before] == s.strides[axis] * n for s in streams):
                    groups[-1].append(axis)
                    continue
            groups.append([axis])

        def joined(stream: Stream) -> Stream:
            return stream._replace(strides=tuple([stream.strides[g[-1]] for g in groups]))

        self.reads = {key: joined(stream) for key, stream in self.reads.items()}
        self.writes = {key: joined(stream) for key, stream in self.writes.items()}
        self.joins = {key: [joined(stream) for stream in some] for key, some in self.joins.items()}
        self.reduced = tuple([self.reduced[g[0]] for g in groups])
        self.domain = tuple([math.prod(self.domain[i] for i in g) for g in groups])

    def _choose_vector(self) -> None:
        arrays = [*self.reads.values(), *self.writes.values(), *chain(*self.joins.values())]
        streams = [s for s in dict.fromkeys(arrays) if s.pointer != COUNTED]
        kinds = {item.kind for item in self.items} | {s.kind for s in streams}
        # Whole numbers beside floats are mostly indices, which may take two registers.
        widest = max(BYTES[kind] for kind in kinds & _FLOATS or kinds)
        self.mixed = any(BYTES[kind] > widest for kind in kinds)
        self.native = native = min(32, max(1, self.module.vector_bytes // widest))
        self.vector, best = -1, math.inf
        for axis in reversed(range(len(self.domain))):
            bad = sum(s.strides[axis] not in (0, 1) for s in streams) + (self.domain[axis] < native)
            if bad < best:
                self.vector, best = axis, bad
        self.lanes = 1
        if self.vector < 0 or native == 1:
            self.vector = -1
            return
        dear = best >= 1 or any(getattr(item.emit, "dear", False) for item in self.items)
        self.lanes = self.width(len(self.items) - len(self.rows), dear)
        while self.lanes // 2 >= self.domain[self.vector]:
            self.lanes //= 2
        if self.lanes == 1:
            self.vector = -1

    def width(self, alive: int, dear: bool) -> int:
        """The lanes of a loop: several registers at once where few values are alive, for chains of their own hide latency."""
        several = 1 if dear else 4 if alive <= 4 else 2 if alive <= 10 else 1
        if True not in self.reduced or self.mixed:
            several = min(several, 2)
        while several > 1 and self.native * several > self.domain[self.vector]:
            several //= 2
        return self.native * several

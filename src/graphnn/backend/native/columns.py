"""Sums down the columns: a loop nest in the order of memory, with a row of accumulators in the nearest cache.

The gradient of a bias is the sum of a matrix over its rows. Walked through column by column, each step would lie in
another page; so rows are walked through one after the other, and each is added to a row of accumulators. Several
threads take a part of the rows each, with accumulators of their own, which are then added one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphnn.backend.native.chunks import MOST_CHUNKS
from graphnn.backend.native.emit import BYTES, Module, Value
from graphnn.backend.native.items import Item
from graphnn.backend.native.loops import ALONE, BLOCK, CHUNK, Nest
from graphnn.backend.native.reduction import Reducer, reducer_of
from graphnn.backend.native.regions import Group

_LEAST_BYTES = 1 << 15  # of an array that all loops walk through; a smaller one is in the nearest cache anyway
_LEAST_ROWS = 16  # that one part adds: what it costs beside is then little
_ROW_BYTES = 1 << 14  # of accumulators
_ALL_BYTES = 1 << 16  # of the accumulators of all parts


class Columns(Nest):
    """A nest whose reduced axes are outside; where that does not suit it, it is as any other."""

    def __init__(self, module: Module, group: Group, pointers: dict[Item, int]) -> None:
        super().__init__(module, group, pointers)
        self.sums: dict[Item, Reducer] = {i: reducer_of(i) for i in self.items if i.role == "reduce"}
        self.start: Value | None = None  # the first column of the present tile
        self.adding = False  # whether rows are being added: what follows from their sums is not yet known

    def text(self, name: str) -> str:
        """The functions."""
        if not self._suits():
            return super().text(name)
        self._order()
        self.index, self.active, self.loaded, self.shared = {}, self.lanes, [{}], None
        self.current = 0
        first = self.walk[0]
        if self.outer or self.tile < self.domain[self.vector]:
            axis = self.outer[0] if self.outer else self.vector
            chunks = self._cut(axis, self._share_of(axis))
            self.into = [self._room(item) for item in self.sums]
            self._around(self.outer)
            return self._functions(name, chunks)
        size = self._rows_of_a_part()
        parts = -(-self.domain[first] // size)
        kinds = ["i8" if item.kind == "i1" else item.kind for item in self.sums]
        self._cut(first, size, len(kinds) if parts > 1 else 0)
        if parts == 1:
            self.into = [self._room(item) for item in self.sums]
        else:
            place = self.b.bin("mul", Value("%chunk", "i64"), self.b.const("i64", self.places))
            self.into = [self.b.gep(f"%p{self.count + i}", kind, place) for i, kind in enumerate(kinds)]
        self._add()

        def finish() -> None:
            self.loaded, self.shared = [{}], None
            if parts > 1:
                self.into = [f"%p{self.count + i}" for i in range(len(kinds))]
            self._finish(parts)

        return self._functions(name, parts, [f"[{parts * self.places} x {kind}]" for kind in kinds], finish)

    # What is where

    def _suits(self) -> bool:
        if self.vector < 0 or self.reduced[self.vector] or True not in self.reduced or not self.sums or self.last > 0:
            return False
        depth = math.prod(n for n, gone in zip(self.domain, self.reduced, strict=True) if gone)
        widest = max(BYTES[item.kind] for item in self.items)
        first = self.reduced.index(True)
        return self.vector > first and depth >= _LEAST_ROWS and math.prod(self.domain) * widest >= _LEAST_BYTES

    def _order(self) -> None:
        """Which kept axes are outside, because they come first or for want of room; and in which order the rest is.

        Where a row of accumulators is too long even so, it is cut into tiles.
        """
        first = self.reduced.index(True)
        self.outer = list(range(first))
        self.walk = [*[a for a in range(first, len(self.domain)) if a != self.vector], self.vector]
        most = _ROW_BYTES // sum(BYTES[item.kind] for item in self.sums)
        self.tile = -(-self.domain[self.vector] // self.lanes) * self.lanes
        while (kept := self._kept())[:-1] and self.tile * math.prod(self.domain[a] for a in kept[:-1]) > most:
            self.outer.append(kept[0])
            self.walk.remove(kept[0])
        if self.tile > most:
            self.tile = max(1, most // self.lanes) * self.lanes
        self.places = self.tile * math.prod(self.domain[a] for a in kept[:-1])

    def _kept(self) -> list[int]:
        return [a for a in self.walk if not self.reduced[a]]

    def _share_of(self, axis: int) -> int:
        """How much of an outer axis, or of the tiles, one chunk does."""
        n, step = self.domain[axis], self.tile if axis == self.vector else 1
        total = self._work()
        chunks = 1 if total < ALONE else min(MOST_CHUNKS, int(total / CHUNK))
        return -(-n // (step * chunks)) * step

    def _rows_of_a_part(self) -> int:
        """How much of the first reduced axis one part adds."""
        n, total = self.domain[self.walk[0]], self._work()
        if total < ALONE:
            return n
        rows = math.prod(self.domain[a] for a in self.walk if self.reduced[a])
        room = self.places * sum(BYTES[item.kind] for item in self.sums)
        parts = min(MOST_CHUNKS, int(total / CHUNK), rows // _LEAST_ROWS, _ALL_BYTES // room)
        return -(-n // max(1, parts))

    def _room(self, item: Item) -> str:
        """Memory for a row of accumulators."""
        name = self.b.fresh("sums")
        self.b.entry.append(f"{name} = alloca [{self.places} x {'i8' if item.kind == 'i1' else item.kind}], align 64")
        return name

    # Loops

    def _around(self, axes: Sequence[int]) -> None:
        """The outer loops, and in them the tiles."""
        if axes:
            for _ in self._along(axes[0]):
                self._around(axes[1:])
            return
        n, shared = self.domain[self.vector], self.shared
        if self.tile >= n:
            self._add()
            self._finish(1)
            return
        start, stop = (0, n) if shared is None or shared[0] != self.vector else shared[1:3]
        with self.b.loop(start, stop, self.tile) as first:
            b = self.b
            end = b.intrinsic("smin", b.bin("add", first, b.const("i64", self.tile)), b.const("i64", n))
            self.start = first
            self.shared = self.vector, first, end, b.icmp("eq", end, b.const("i64", n))
            self.loaded.append({})
            self._add()
            self._finish(1)
            self.loaded.pop()
        self.shared = shared

    def _add(self) -> None:
        """Add up the rows."""
        needed = [item for item in self.items if item.role == "reduce" or (item not in self.rows and self._goes(item))]
        _, streams = self._computed_in(0, needed)
        blocks = [reducer.blocks for reducer in self.sums.values()]
        rows = math.prod(self.domain[a] for a in self.walk if self.reduced[a])
        self.adding = True
        self._fill([True] * len(blocks))

        def loops(axes: Sequence[int], block: int) -> None:
            self._preload(streams)
            if not axes:
                self._point(needed)
            elif axes[0] == block:
                self._blocks_of(axes[0], lambda: loops(axes[1:], -1), blocks)
            else:
                for _ in self._along(axes[0]):
                    loops(axes[1:], block)

        loops(self.walk, self._blocked() if any(blocks) and rows > 2 * BLOCK else -1)
        self.adding = False

    def _blocked(self) -> int:
        """The axis along which accumulators start anew for each block, so that errors stay small."""
        leading = self.walk[: next(i for i, a in enumerate(self.walk) if not self.reduced[a])]
        for i, axis in enumerate(leading):
            if self._inside(i + 1) <= BLOCK:
                return axis
        return leading[-1]

    def _inside(self, place: int) -> int:
        """How many rows are added in the loops from a place on."""
        return math.prod(self.domain[a] for a in self.walk[place:] if self.reduced[a])

    def _blocks_of(self, axis: int, body: Callable[[], None], blocks: Sequence[bool]) -> None:
        """The loop of an axis in blocks, each of which has accumulators of its own."""
        b, totals = self.b, self.into
        size = max(1, BLOCK // self._inside(self.walk.index(axis) + 1))
        start: Value | int = 0
        stop: Value | int = self.domain[axis]
        if self.shared is not None and self.shared[0] == axis:
            start, stop = self.shared[1:3]
        self.into = [
            self._room(item) if block else into for item, block, into in zip(self.sums, blocks, totals, strict=True)
        ]
        with b.loop(start, stop, size) as first:
            self.loaded.append({})
            self._fill(blocks)
            last = b.bin("add", first, b.const("i64", size))
            last = b.intrinsic("smin", last, b.const("i64", stop) if isinstance(stop, int) else stop)
            with self._round(axis, first, last, 1, self.active):
                body()
            with b.loop(0, self.places, self.lanes) as place:
                for (item, reducer), own, into in zip(self.sums.items(), self.into, totals, strict=True):
                    if own != into:
                        both = [self._get(item, pointer, place) for pointer in (into, own)]
                        self._put(item, into, place, reducer.combine(b, *both))
            self.loaded.pop()
        self.into = totals

    # Accumulators

    def _position(self) -> Value:
        """The number of the accumulators of this vector of columns."""
        b, step = self.b, self.tile
        place = self.index[self.vector]
        if self.start is not None:
            place = b.bin("sub", place, self.start)
        for axis in reversed(self._kept()[:-1]):
            place = b.bin("add", place, b.bin("mul", self.index[axis], b.const("i64", step)))
            step *= self.domain[axis]
        return place

    def _get(self, item: Item, pointer: str, place: Value) -> Value:
        return self.b.load(self.b.gep(pointer, item.kind, place), item.kind, self.lanes)

    def _put(self, item: Item, pointer: str, place: Value, value: Value) -> None:
        self.b.store(value, self.b.gep(pointer, item.kind, place))

    def _fill(self, fresh: Sequence[bool]) -> None:
        """Give accumulators their first values."""
        with self.b.loop(0, self.places, self.lanes) as place:
            for (item, reducer), pointer, new in zip(self.sums.items(), self.into, fresh, strict=True):
                if new:
                    self._put(item, pointer, place, self.b.const(item.kind, reducer.identity(), self.lanes))

    def _point(self, needed: Sequence[Item]) -> None:
        """One vector of a row."""
        self.memo = {}
        values = [self._operand(i, 0, i.operands[0]) if i in self.sums else self._value(i) for i in needed]
        place = self._position()
        into = dict(zip(self.sums, self.into, strict=True))
        for item, value in zip(needed, values, strict=True):
            if item in into:
                before = self._get(item, into[item], place)
                self._put(
                    item, into[item], place, self.sums[item].combine(self.b, before, self.b.splat(value, self.lanes))
                )
            else:
                self._store(item, value)

    def _value(self, item: Item) -> Value:
        if item not in self.rows or not self.adding:
            return super()._value(item)
        # It does not follow from the sums. It is stored once they are known.
        found = self.memo.get(item)
        if found is None:
            assert item.emit is not None
            operands = [self._operand(item, i, a) for i, a in enumerate(item.operands)]
            found = self.memo[item] = item.emit(self.b, *operands)
        return found

    def _finish(self, parts: int) -> None:
        """The sums of all parts, and what follows from them."""

        def loops(axes: Sequence[int]) -> None:
            if axes:
                for _ in self._along(axes[0]):
                    loops(axes[1:])
                return
            place = self._position()
            self.row = {}
            for (item, reducer), into in zip(self.sums.items(), self.into, strict=True):
                total = self._get(item, into, place)
                for part in range(1, parts):
                    other = self.b.gep(into, item.kind, part * self.places)
                    total = reducer.combine(self.b, total, self._get(item, other, place))
                self.row[item] = total
                self._store(item, total)
            self._rows(1)

        loops(self._kept())

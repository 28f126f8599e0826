"""A group becomes one loop nest: kept axes outside, reduced ones inside, vectors along the axis that suits memory best.

Inside, a group runs in stages: what a stage reduces, the next one may use, as the maximum of a row in its softmax. A
value that a later stage needs again is computed again if that is cheap, else read back from where it was stored, or
from a row that is kept aside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from graphnn.backend.native.chunks import MOST_CHUNKS, bounds, opened, parameters, shared
from graphnn.backend.native.emit import BYTES, Builder, Module, Value
from graphnn.backend.native.items import Access, Item
from graphnn.backend.native.layout import COUNTED, Layout, Stream, is_literal
from graphnn.backend.native.reduction import Reducer, reducer_of
from graphnn.backend.native.regions import Group

_ROW_BYTES = 1 << 14  # how much of a row is kept aside for a later stage; longer rows are computed again
BLOCK = 256  # additions in one accumulator before it is added to the total: rounding errors grow with the square of it

_LENT_BYTES = 1 << 19  # and of one that is kept in the array of a result: so much of both is still in a near cache

# Nanoseconds, roughly: what one thread does alone, and what it takes at once of that which several share.
ALONE = 15_000
CHUNK = 7_500


class Nest(Layout):
    """The loops of a group, and the text of its function."""

    def __init__(self, module: Module, group: Group, pointers: dict[Item, int]) -> None:
        super().__init__(module, group, pointers)
        self.b = Builder(module)
        self._find_stages()
        self.all_reads = list(dict.fromkeys(self.reads.values()))
        self._aside_too: dict[Item, bool] = {}
        self._costs: dict[Item, bool] = {}
        self.lent: dict[Item, Item] = {}  # what is kept aside in the array of a result, and that result
        self.count = len(pointers)
        self.spilled: dict[Item, str] = {}

    # Stages

    def _find_stages(self) -> None:
        self.stage: dict[Item, int] = {}
        for item in self.items:
            before = [a.item for a in item.operands if a.item in self.inside]
            stage = max([self.stage[i] + (i in self.rows and i.role == "reduce") for i in before], default=0)
            # The stage of a reduction is that of its loop; what follows from its result belongs to the next.
            self.stage[item] = stage
        self.last = max([s for i, s in self.stage.items() if i not in self.rows or i.role == "reduce"], default=-1)

    # Text

    def text(self, name: str) -> str:
        """The function."""
        kept = [a for a, gone in enumerate(self.reduced) if not gone and a != self.vector]
        if self.vector >= 0 and not self.reduced[self.vector]:
            kept.append(self.vector)
        self.inner = [a for a, gone in enumerate(self.reduced) if gone and a != self.vector]
        if self.vector >= 0 and self.reduced[self.vector]:
            self.inner.append(self.vector)
        self.index: dict[int, Value] = {}
        self.active = self.lanes
        self.loaded: list[dict[Stream, Value]] = [{}]
        self.shared: tuple[int, Value, Value, Value] | None = None
        chunks = self._share(kept[0]) if kept else 1
        self._outer(kept)
        return self._functions(name, chunks)

    def _functions(
        self, name: str, chunks: int, rooms: Sequence[str] = (), finish: Callable[[], None] = lambda: None
    ) -> str:
        """The function, which ends with what `finish` writes; and that of one chunk, if there are several.

        `rooms` are the types of memory that the chunks share; they get its addresses as further pointers.
        """
        if chunks == 1:
            finish()
            self.b.line("ret void")
            return self.b.function(f"define internal void @{name}({parameters(self.count)})")

        def end(b: Builder) -> None:
            self.b = b
            finish()

        return shared(name, self.b, self.count, chunks, rooms, end)

    def _work(self) -> float:
        """Nanoseconds, roughly."""
        dear = sum(bool(getattr(item.emit, "dear", False)) for item in self.items)
        each = 0.15 * (len(self.all_reads) + len(self.writes)) + 0.05 * len(self.items) + 0.5 * dear
        return each * math.prod(self.domain)

    def _share(self, axis: int) -> int:
        """How many chunks of the outermost axis threads share; each chunk does whole rows, so the sums stay the same."""
        total, n = self._work(), self.domain[axis]
        if total < ALONE:
            return 1
        step = self.lanes if axis == self.vector else 1
        # A power of two, so that threads get equally many of few chunks.
        wanted = min(MOST_CHUNKS, 1 << (int(total / CHUNK).bit_length() - 1))
        return self._cut(axis, -(-n // (step * wanted)) * step)

    def _cut(self, axis: int, size: int, rooms: int = 0) -> int:
        """Cut the loops of an axis into chunks; the function of a chunk reads `rooms` further pointers."""
        n = self.domain[axis]
        chunks = -(-n // size)
        if chunks > 1:
            chunk = opened(self.b, self.count + rooms)
            last = self.b.icmp("eq", chunk, self.b.const("i64", chunks - 1))
            self.shared = axis, *bounds(self.b, chunk, size, n), last
        return chunks

    def _outer(self, axes: list[int]) -> None:
        self._preload(self.all_reads)
        if not axes:
            self._body()
            return
        for _ in self._along(axes[0]):
            self._outer(axes[1:])

    def _along(self, axis: int) -> Iterator[None]:
        """The loop along an axis, and what is left at its end where it goes by vectors."""
        n = self.domain[axis]
        start: Value | int = 0
        stop: Value | int = n
        last = None
        if self.shared is not None and self.shared[0] == axis:
            _, start, stop, last = self.shared
        if axis != self.vector:
            with self._round(axis, start, stop, 1, self.active):
                yield
            return
        main = n - n % self.lanes
        if main:
            end = main if isinstance(stop, int) else self.b.intrinsic("smin", stop, self.b.const("i64", main))
            with self._round(axis, start, end, self.lanes, self.lanes):
                yield
        if n > main:
            with nullcontext() if last is None else self.b.when(last), self._round(axis, main, main + 1, 1, n - main):
                yield
        self.active = self.lanes

    @contextmanager
    def _round(self, axis: int, start: Value | int, stop: Value | int, step: int, active: int) -> Iterator[None]:
        with self.b.loop(start, stop, step) as index:
            self.index[axis] = index
            if axis == self.vector:
                self.active = active
            self.loaded.append({})
            yield
            self.loaded.pop()
            del self.index[axis]

    def _body(self) -> None:
        """All stages, for one point of the kept axes (or a vector of them)."""
        self.row: dict[Item, Value] = {}
        self.spilled = {}
        for stage in range(self.last + 1):
            needed = self._needed(stage)
            if needed:
                self._sweep(stage, needed)
        self._rows(self.last + 1)

    def _needed(self, stage: int) -> list[Item]:
        """What the loop of a stage is there for: its reductions and what it stores."""
        return [
            item
            for item in self.items
            if self.stage[item] == stage
            and (item.role == "reduce" or (item not in self.rows and (self._goes(item) or self._spills(item))))
        ]

    def _goes(self, item: Item) -> bool:
        """Whether a value is stored at all."""
        return item.stored or item in self.joins

    def _spills(self, item: Item) -> bool:
        """Whether a value is kept aside because a later stage needs it and it is dear."""
        known = self._aside_too.get(item)
        if known is None:
            known = self._aside_too[item] = self._kept_aside(item)
        return known

    def _kept_aside(self, item: Item) -> bool:
        if item in self.rows or not self._costly(item):
            return False
        if not any(
            self.stage[reader] > self.stage[item] and any(a.item is item for a in reader.operands)
            for reader in self.items
        ):
            return False
        row = math.prod(n for n, gone in zip(self.domain, self.reduced, strict=True) if gone)
        width = 1 if self.vector >= 0 and self.reduced[self.vector] else self.lanes
        if row * width * BYTES[item.kind] <= _ROW_BYTES:
            return True
        return row * width * BYTES[item.kind] <= _LENT_BYTES and self._lend(item)

    def _lend(self, item: Item) -> bool:
        """Keep a value, until the last stage, in the array to which that stage writes something else."""
        for other, stream in self.writes.items():
            if (
                other not in self.rows
                and other.kind == item.kind
                and self.stage[item] < self.stage[other] == self.last
                and other not in self.lent.values()
                and (self.vector < 0 or stream.strides[self.vector] == 1)
            ):
                self.lent[item] = other
                return True
        return False

    def _costly(self, item: Item) -> bool:
        """Whether computing it in another stage means computing again what is dear."""
        known = self._costs.get(item)
        if known is None:
            known = (
                not item.stored
                and item not in self.rows
                and (
                    getattr(item.emit, "dear", False)
                    or any(
                        self._costly(a.item) and not self._spills(a.item)
                        for a in item.operands
                        if a.item in self.inside
                    )
                )
            )
            self._costs[item] = known
        return known

    def _rows(self, stage: int) -> None:
        """The row items that are known before the loop of a stage."""
        for item in self.items:
            if item in self.rows and item.role != "reduce" and item not in self.row and self.stage[item] <= stage:
                operands = [self._operand(item, i, a) for i, a in enumerate(item.operands)]
                assert item.emit is not None
                self.row[item] = item.emit(self.b, *operands)
                self._store(item, self.row[item])

    def _sweep(self, stage: int, needed: list[Item]) -> None:
        self._rows(stage)
        usual, wanted = self.lanes, self._lanes_of(stage, needed)
        if wanted == usual:
            self._loops_of(stage, needed)
            return
        self.lanes = self.active = wanted
        self._loops_of(stage, needed)
        self.lanes = self.active = usual

    def _lanes_of(self, stage: int, needed: list[Item]) -> int:
        """How many lanes the loops of a stage have: more where it does less than the others."""
        computed, _ = self._computed_in(stage, needed)
        dear = any(getattr(item.emit, "dear", False) for item in computed)
        aside = any(self._spills(item) for item in self.items)  # the same lanes wrote it and read it
        if self.vector < 0 or not self.reduced[self.vector] or dear or aside:
            return self.lanes
        return max(self.lanes, self.width(len(computed), dear=False))

    def _loops_of(self, stage: int, needed: list[Item]) -> None:
        sums = [item for item in needed if item.role == "reduce"]
        lanes = self.lanes if self.vector >= 0 else 1
        reducers: dict[Item, Reducer] = {item: reducer_of(item) for item in sums}
        totals = {item: reducers[item].start(self.b, lanes) for item in sums}
        _, streams = self._computed_in(stage, needed)
        self.current = stage

        def loops(axes: Sequence[int], into: dict[Item, Any]) -> None:
            self._preload(streams)
            if not axes:
                self.memo: dict[Item, Value] = {}
                # Everything is read before anything is stored: a result may lie where an operand does.
                values = [self._operand(i, 0, i.operands[0]) if i in reducers else self._value(i) for i in needed]
                for item, value in zip(needed, values, strict=True):
                    if item in reducers:
                        reducers[item].step(self.b, into[item], value, self._active_in_row(), self._place(item))
                    else:
                        self._store(item, value)
                        if self._spills(item):
                            self._put_aside(item, value)
                return
            axis = axes[0]
            step = self.lanes if axis == self.vector else 1
            if (
                len(axes) == 1
                and any(r.blocks for r in reducers.values())
                and (len(self.inner) > 1 or self.domain[axis] // step > 2 * BLOCK)
            ):
                self._blocks(axis, step, loops, into, reducers)
                return
            for _ in self._along(axis):
                loops(axes[1:], into)

        loops(self.inner, totals)
        across = self.vector >= 0 and self.reduced[self.vector]
        for item in sums:
            self.row[item] = reducers[item].finish(self.b, totals[item], across)
            self._store(item, self.row[item])

    def _blocks(self, axis: int, step: int, loops: Any, into: dict[Item, Any], reducers: dict[Item, Reducer]) -> None:
        # Accumulators start anew for each block and are then added to the totals, so that errors stay small.
        n, size = self.domain[axis], BLOCK * step

        def block(start: Value | int, stop: Value | int, active: int) -> None:
            parts = {i: r.start(self.b, self.lanes) if r.blocks else into[i] for i, r in reducers.items()}
            with self._round(axis, start, stop, step if active == self.lanes or axis != self.vector else 1, active):
                loops((), parts)
            for item, reducer in reducers.items():
                if reducer.blocks:
                    reducer.join(self.b, into[item], parts[item])

        main = n - n % size
        if main:
            with self.b.loop(0, main, size) as first:
                block(first, self.b.bin("add", first, self.b.const("i64", size)), self.lanes)
        rest = n - n % step
        if rest > main:
            block(main, rest, self.lanes)
        if n > rest:
            block(rest, rest + 1, n - rest)
        if axis == self.vector:
            self.active = self.lanes

    def _place(self, item: Item) -> Value:
        """The index of the first lane along the reduced axes, counted through, for positions."""
        place, step = self.b.const("i64", 0), 1
        for axis in reversed([a for a, gone in enumerate(self.reduced) if gone]):
            here = self.b.bin("mul", self.index[axis], self.b.const("i64", step))
            place, step = self.b.bin("add", place, here), step * self.domain[axis]
        return place

    def _active_in_row(self) -> int | None:
        """How many lanes count in a reduction: all where each lane is a row of its own."""
        return self.active if self.vector >= 0 and self.reduced[self.vector] and self.active < self.lanes else None

    def _computed_in(self, stage: int, needed: list[Item]) -> tuple[set[Item], list[Stream]]:
        """The full items and reductions that the loops of a stage compute, and the arrays that they read."""
        found: dict[Stream, None] = {}
        stack, seen = list(needed), set(needed)
        while stack:
            item = stack.pop()
            for i, access in enumerate(item.operands):
                if (item, i) in self.reads:
                    found[self.reads[item, i]] = None
                elif access.item in self.inside and access.item not in self.rows and access.item not in seen:
                    if self.stage[access.item] < stage and (access.item.stored or self._spills(access.item)):
                        continue  # read back
                    seen.add(access.item)
                    stack.append(access.item)
        return seen, list(found)

    def _preload(self, streams: Sequence[Stream]) -> None:
        """Read what the loops inside do not change."""
        for stream in streams:
            if all(axis in self.index for axis, stride in enumerate(stream.strides) if stride):
                self._load(stream)

    # Values

    def _value(self, item: Item) -> Value:
        if item in self.rows:
            return self.row[item]
        found = self.memo.get(item)
        if found is None:
            if self.stage[item] < self.current and item.stored:
                found = self._load(self.writes[item])
            elif self.stage[item] < self.current and self._spills(item):
                found = self._fetch(item)
            else:
                assert item.emit is not None
                operands = [self._operand(item, i, a) for i, a in enumerate(item.operands)]
                found = item.emit(self.b, *operands)
            self.memo[item] = found
        return found

    def _operand(self, item: Item, number: int, access: Access) -> Value:
        other = access.item
        if other in self.inside:
            return self._value(other)
        if is_literal(other):
            return self.b.const(other.kind, other.value.reshape(()).item())
        return self._load(self.reads[item, number])

    def _counted(self, stream: Stream) -> Value:
        """The places of the lanes themselves."""
        b = self.b
        index, offset, stride = self._index(stream)
        place = b.const("i64", offset)
        if index is not None:
            place = b.bin("add", index, place)
        if stride:
            place = b.bin("add", b.splat(place, self.lanes), b.consts("i64", [i * stride for i in range(self.lanes)]))
        if stream.kind == "i64":
            return place
        return b.cast("sitofp" if stream.kind in ("float", "double") else "trunc", place, stream.kind)

    def _address(self, stream: Stream) -> tuple[str, int]:
        """The address of the first lane, and the stride of the lanes."""
        b = self.b
        index, offset, stride = self._index(stream)
        pointer = f"%p{stream.pointer}"
        if index is not None:
            pointer = b.gep(pointer, stream.kind, index)
        return b.gep(pointer, stream.kind, offset), stride

    def _index(self, stream: Stream) -> tuple[Value | None, int, int]:
        """Which element the first lane is, as a value and a number that are to be added; and the stride of the lanes."""
        b, index, offset = self.b, None, stream.offset
        for axis, stride in enumerate(stream.strides):
            if not stride:
                continue
            here = self.index[axis]
            if not here.text.startswith("%"):
                offset += int(here.text) * stride
                continue
            term = here if stride == 1 else b.bin("mul", here, b.const("i64", stride))
            index = term if index is None else b.bin("add", index, term)
        return index, offset, stream.strides[self.vector] if self.vector in self.index else 0

    def _load(self, stream: Stream) -> Value:
        for known in self.loaded:
            if stream in known:
                return known[stream]
        if stream.pointer == COUNTED:
            made = self.loaded[-1][stream] = self._counted(stream)
            return made
        pointer, stride = self._address(stream)
        if stride == 0:
            made = self.b.load(pointer, stream.kind)
        elif stride == 1:
            made = self.b.load(pointer, stream.kind, self.lanes, self.active)
        else:
            made = self.b.gather(pointer, stream.kind, self.lanes, stride, self.active)
        self.loaded[-1][stream] = made
        return made

    def _store(self, item: Item, value: Value) -> None:
        for stream in (self.writes.get(item), *self.joins.get(item, ())):
            if stream is not None:
                self._store_to(stream, value)

    def _store_to(self, stream: Stream, value: Value) -> None:
        pointer, stride = self._address(stream)
        if stride == 0:
            self.b.store(value, pointer)
            return
        value = self.b.splat(value, self.lanes)
        if stride == 1:
            self.b.store(value, pointer, self.active)
        else:
            self.b.scatter(value, pointer, stride, self.active)

    # Rows that are kept aside

    def _aside(self, item: Item) -> str:
        b = self.b
        if item not in self.spilled:
            gone = [a for a, flag in enumerate(self.reduced) if flag]
            row = math.prod(self.domain[a] for a in gone)
            if self.vector in gone:
                row += self.lanes
            else:
                row *= self.lanes
            kind = "i8" if item.kind == "i1" else item.kind
            name = b.fresh("row")
            b.entry.append(f"{name} = alloca [{row} x {kind}], align 64")
            self.spilled[item] = name
        place, step = b.const("i64", 0), 1 if self.vector >= 0 and self.reduced[self.vector] else self.lanes
        for axis in reversed([a for a, flag in enumerate(self.reduced) if flag]):
            here = b.bin("mul", self.index[axis], b.const("i64", step))
            place, step = b.bin("add", place, here), step * self.domain[axis]
        return b.gep(self.spilled[item], item.kind, place)

    def _put_aside(self, item: Item, value: Value) -> None:
        if item in self.lent:
            self._store(self.lent[item], value)
            return
        pointer = self._aside(item)
        self.b.store(self.b.splat(value, self.lanes), pointer)

    def _fetch(self, item: Item) -> Value:
        if item in self.lent:
            pointer, stride = self._address(self.writes[self.lent[item]])
            lanes = (self.lanes, self.active) if stride else ()
            return self.b.load(pointer, item.kind, *lanes)
        return self.b.load(self._aside(item), item.kind, self.lanes)

"""Products of few rows with a large matrix: it is read once, from one end to the other, at the speed of the memory.

A tile would walk down its panel in steps as long as a row of the matrix: a new page at every step, and no neighbours that
the processor could fetch in advance. Here several rows of the matrix are read at once, each from left to right, and
added to sums in the nearest cache. Threads share the depth of the matrix, or its columns where they are many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from graphnn.backend.native import pool
from graphnn.backend.native.cuts import FEW, Product, Spot
from graphnn.backend.native.emit import BYTES, Builder, Module, Value

_LARGE = 3 << 19  # bytes of a matrix that is in no near cache
_PARTS = 8  # of the depth, which threads share
_SUMS_BYTES = 96 * 1024  # of the sums of all parts, which lie on the stack; if they are more, threads share the columns
_RUN_BYTES = 2048  # of a row that a thread reads at least
_NEAR_BYTES = 48 * 1024  # of sums in the nearest caches
_MARK = 64  # elements of which ranges of columns are multiples


def streams(p: Product) -> bool:
    """Whether a product is computed so: from the sizes alone, for the order of summation follows from it."""
    plain = not (p.batch or p.rows or p.depth) and p.b[1] == 1 and p.c[1] == 1
    return plain and p.m <= FEW and p.n >= _MARK and p.k >= _MARK and p.k * p.n * BYTES[p.kind] >= _LARGE


def text_of(module: Module, p: Product, name: str, further: Sequence[str]) -> Builder:
    """What the function of a product does: its builder, before the function ends; pointers are ``%a %b %c`` and `further`."""
    return _Streaming(module, p, name, further).whole()


class _Streaming:
    def __init__(self, module: Module, p: Product, name: str, further: Sequence[str]) -> None:
        self.module, self.p, self.name, self.further = module, p, name, further
        self.size = BYTES[p.kind]
        self.lanes = module.lanes(p.kind)
        self.padded = -(-p.n // _MARK) * _MARK
        self.parts, self.depth, self.columns = 1, p.k, self.padded
        if _PARTS * p.m * self.padded * self.size > _SUMS_BYTES:
            # An element is summed along the whole depth, whatever the range is that it belongs to. The fewer they are the
            # more of them a thread has read before.
            shares = min(pool.num_threads(), max(1, p.n * self.size // _RUN_BYTES))
            most = max(1, _NEAR_BYTES // (p.m * self.size * _MARK))
            self.columns = min(-(-self.padded // (shares * _MARK)), most) * _MARK
            self.chunks = -(-p.n // self.columns)
        else:
            self.depth = -(-p.k // (_MARK * _PARTS)) * _MARK
            self.chunks = self.parts = -(-p.k // self.depth)
        # Sums, elements of the left operand and one vector of the matrix are in registers.
        self.step = 8 if p.m == 1 else 4 if module.registers > 16 or p.m == 2 else 2

    def whole(self) -> Builder:
        p, count = self.p, 4 + len(self.further)
        self._part()
        b = Builder(self.module)
        pool.declare(self.module)
        b.entry.append(f"%data = alloca [{count} x ptr]")
        if self.parts > 1:
            b.entry.append(f"%sums = alloca [{self.parts * p.m * self.padded} x {p.kind}], align 64")
        pointers = ["%a", "%b", "%c", "%sums" if self.parts > 1 else "null", *self.further]
        for place, pointer in enumerate(pointers):
            b.store(Value(pointer, "ptr"), b.gep("%data", "ptr", place))
        b.line(f"call void @graphnn_parallel(ptr @{self.name}.part, ptr %data, i64 {self.chunks})")
        if self.parts > 1:
            self._finish(b, b.const("i64", 0), b.const("i64", p.n), None, "%c", self.further)
        return b

    def _part(self) -> None:
        """The function of a chunk."""
        p, b = self.p, Builder(self.module)
        names = ["%a", "%b", "%c", "%given", *[f"%f{i}" for i in range(len(self.further))]]
        for place, name in enumerate(names):
            b.line(f"{name} = load ptr, ptr {b.gep('%data', 'ptr', place)}")
        chunk = Value("%chunk", "i64")
        if self.parts > 1:
            start = b.bin("mul", chunk, b.const("i64", self.depth))
            stop = b.intrinsic("smin", b.bin("add", start, b.const("i64", self.depth)), b.const("i64", p.k))
            room = b.bin("mul", chunk, b.const("i64", p.m * self.padded))
            sums = b.gep("%given", p.kind, room)
            self._add(b, sums, (start, stop), (b.const("i64", 0), b.const("i64", p.n)), None)
        else:
            b.entry.append(f"%sums = alloca [{p.m * self.columns} x {p.kind}], align 64")
            first = b.bin("mul", chunk, b.const("i64", self.columns))
            end = b.intrinsic("smin", b.bin("add", first, b.const("i64", self.columns)), b.const("i64", p.n))
            last = b.icmp("eq", chunk, b.const("i64", self.chunks - 1))
            self._add(b, "%sums", (b.const("i64", 0), b.const("i64", p.k)), (first, end), last)
            self._finish(b, first, end, last, "%c", names[4:])
        b.line("ret void")
        self.module.add(b.function(f"define internal void @{self.name}.part(ptr %data, i64 %chunk)"))

    def _add(
        self, b: Builder, sums: str, depth: tuple[Value, Value], columns: tuple[Value, Value], last: Value | None
    ) -> None:
        """Add rows of the matrix to sums, from the first to the last."""
        p = self.p
        with b.loop(0, p.m * self.columns, self.lanes) as place:
            b.store(b.const(p.kind, 0.0, self.lanes), b.gep(sums, p.kind, place))
        b.module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        (start, stop), step = depth, b.const("i64", self.step)
        whole = b.bin("sub", stop, b.bin("urem", b.bin("sub", stop, start), step))
        with b.loop(start, whole, self.step) as row:
            self._rows(b, sums, row, self.step, columns, last)
        with b.loop(whole, stop) as row:
            self._rows(b, sums, row, 1, columns, last)

    def _rows(
        self, b: Builder, sums: str, row: Value, count: int, columns: tuple[Value, Value], last: Value | None
    ) -> None:
        """Add some rows of the matrix at once."""
        p, (first, end) = self.p, columns
        rows = [b.bin("add", row, b.const("i64", i)) for i in range(count)]
        lines = [b.gep("%b", p.kind, b.bin("mul", each, b.const("i64", p.b[0]))) for each in rows]
        factors = []
        for i in range(p.m):
            places = [
                b.bin("add", b.bin("mul", each, b.const("i64", p.a[1])), b.const("i64", i * p.a[0])) for each in rows
            ]
            factors.append([b.splat(b.load(b.gep("%a", p.kind, place), p.kind), self.lanes) for place in places])

        def vector(column: Value, active: int) -> None:
            near = b.bin("sub", column, first)
            read = []
            for line in lines:
                here = b.gep(line, p.kind, column)
                read.append(b.load(here, p.kind, self.lanes, active))
                # Each row begins in a page of its own, where the processor's own prefetching starts anew.
                ahead = b.gep(here, p.kind, count * p.b[0])
                b.line(f"call void @llvm.prefetch.p0(ptr {ahead}, i32 0, i32 2, i32 1)")
            for i in range(p.m):
                place = b.gep(b.gep(sums, p.kind, i * self.columns), p.kind, near)
                total = b.load(place, p.kind, self.lanes)
                for factor, value in zip(factors[i], read, strict=True):
                    total = b.fma(factor, value, total)
                b.store(total, place)

        self._along(b, first, end, last, vector)

    def _along(
        self, b: Builder, first: Value, end: Value, last: Value | None, vector: Callable[[Value, int], None]
    ) -> None:
        """Vectors from one column to another one; what is left at the end of a row is in the last chunk."""
        rest = self.p.n % self.lanes
        main = self.p.n - rest
        with b.loop(first, b.intrinsic("smin", end, b.const("i64", main)), self.lanes) as column:
            vector(column, self.lanes)
        if rest:
            with b.when(last) if last is not None else nullcontext():
                vector(b.const("i64", main), rest)

    def _finish(
        self, b: Builder, first: Value, end: Value, last: Value | None, target: str, further: Sequence[str]
    ) -> None:
        """Add up the parts, one after the other, and store the sums after the epilogue."""
        p = self.p
        for i in range(p.m):

            def vector(column: Value, active: int, i: int = i) -> None:
                place = b.gep(b.gep("%sums", p.kind, i * self.columns), p.kind, b.bin("sub", column, first))
                value = b.load(place, p.kind, self.lanes)
                for part in range(1, self.parts):
                    other = b.gep(place, p.kind, part * p.m * self.padded)
                    value = b.bin("fadd", value, b.load(other, p.kind, self.lanes))
                if p.epilogue is not None:
                    spot = Spot(b.const("i64", i), b.const("i64", i * p.n), column, active)
                    value = p.epilogue.emit(b, value, spot, list(further))
                b.store(value, b.gep(b.gep(target, p.kind, i * p.c[0]), p.kind, column), active)

            self._along(b, first, end, last, vector)

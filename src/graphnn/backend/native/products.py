"""Matrix products: which tile suits a shape, how the loops around it run, what is packed, how threads share the work.

A product is cut into items: some rows by one panel, as wide as the tile. An item packs its panel of the right operand where that
pays, block after block of the depth, and runs the tile over its rows; what the epilogue does then finds the sums in the
cache. Threads share items. The sum for one element is made by one item in one order, whatever the number of threads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias

from graphnn.backend.native import pool
from graphnn.backend.native.emit import BYTES, Builder, Module, Value
from graphnn.backend.native.packing import pack_columns, pack_rows
from graphnn.backend.native.tile import Strides, tile

Emit: TypeAlias = Callable[[Builder, Value, list[Value], Value, Value, int, list[str]], Value]
"""``emit(builder, value, batch, row, column, active, pointers)`` gives what is stored."""

_DEPTH = 512  # of a packed panel: it stays in the nearest caches
_STRIP = 64 * 1024  # bytes of sums that wait for the epilogue
_ALONE = 300_000  # multiplications and additions that are not worth a second thread
_CHUNK = 600_000  # what a thread takes at once


class Epilogue(NamedTuple):
    """What happens to the elements of a product before they are stored; see the package's text."""

    key: Hashable
    pointers: int
    emit: Emit


class Product(NamedTuple):
    """``c[i, j] = sum over l of a[i, l] * b[l, j]``, with strides in elements (row, column), for each entry of a batch.

    Parameters
    ----------
    kind : ``"float"`` or ``"double"``
    m, n, k : sizes
    a, b, c : strides of the operands and of the result
    batch : (count, stride of a, of b, of c), the outermost first
    epilogue : None, or what is done before storing
    rows : further axes of rows, (count, stride of a, of c), the outermost first; `m` counts the innermost
    depth : further axes that are summed over, (count, stride of a, of b), the outermost first; `k` is the innermost
    """

    kind: str
    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]
    c: tuple[int, int]
    batch: tuple[tuple[int, int, int, int], ...] = ()
    epilogue: Epilogue | None = None
    rows: tuple[tuple[int, int, int], ...] = ()
    depth: tuple[tuple[int, int, int], ...] = ()

    @property
    def work(self) -> int:
        """Multiplications and additions."""
        outer = math.prod(each[0] for each in (*self.batch, *self.rows, *self.depth))
        return 2 * outer * self.m * self.n * self.k

    @property
    def key(self) -> Hashable:
        """All that changes the code."""
        ride = self.epilogue and (self.epilogue.key, self.epilogue.pointers)
        return ("product", *self._replace(epilogue=None), ride)


class Shape(NamedTuple):
    """The tile of a product: rows and vectors."""

    rows: int
    vectors: int


@functools.cache
def choose(lanes: int, registers: int, m: int, n: int, k: int) -> Shape:
    """The tile that needs the fewest cycles for a product of this shape.

    A step of a tile takes as long as its multiplications, or its loads, or the latency of its chain if it is small, and a
    little for what comes from farther caches; to begin and end a tile takes some time for each vector of it.
    """

    def cycles(rows: int, vectors: int) -> float:
        step = max(rows * vectors, 1.02 * (rows + vectors), 6) + 0.1 * vectors + 0.02 * rows
        return k * step + 2 * rows * vectors + 12

    best, found = math.inf, Shape(1, 1)
    wide = -(-n // lanes)
    for vectors in range(1, min(wide, 8) + 1):
        for rows in range(1, min(m, 14) + 1):
            if rows * vectors + vectors + 1 > registers - (registers > 16):
                break
            total = 0.0
            for wide_part, count in ((vectors, wide // vectors), (wide % vectors, 1)):
                if wide_part:
                    total += count * (m // rows * cycles(rows, wide_part))
                    total += count * cycles(m % rows, wide_part) if m % rows else 0
            # Other sizes at the edges are further functions to compile.
            total *= 1 + 0.02 * (m % rows != 0) + 0.02 * (wide % vectors != 0)
            if total < best * 0.999:
                best, found = total, Shape(rows, vectors)
    return found


def scratch_bytes(module: Module, product: Product) -> int:
    """Bytes of memory that the function of a product needs from its caller."""
    return 0


def emit_product(module: Module, product: Product) -> str:
    """The name of ``void @product(ptr %a, ptr %b, ptr %c, ptr %scratch, ptr %e0, ...)``; see the package's text."""
    turned = _turned(product)
    return module.once(product.key, lambda name: _Emission(module, turned, name, turned is not product).text())


def _turned(product: Product) -> Product:
    """The transposed product, where that has neighbours in its rows and this one has not."""
    p = product
    if p.rows or p.n == p.m == 1:
        return p
    column = p.n == 1 and p.m > 1
    if not (column or (p.c[0] == 1 and p.c[1] != 1 and p.m > 1)) or (p.epilogue is not None and not column):
        return p
    ride = p.epilogue
    if ride is not None:
        ride = Epilogue(("turned", ride.key), ride.pointers, _turned_epilogue(ride.emit))
    return Product(
        p.kind,
        p.n,
        p.m,
        p.k,
        (p.b[1], p.b[0]),
        (p.a[1], p.a[0]),
        (p.c[1], p.c[0]),
        tuple((count, b, a, c) for count, a, b, c in p.batch),
        ride,
        (),
        tuple((count, b, a) for count, a, b in p.depth),
    )


def _turned_epilogue(emit: Emit) -> Emit:
    def one_by_one(
        builder: Builder, value: Value, batch: list[Value], row: Value, column: Value, active: int, pointers: list[str]
    ) -> Value:
        made = value
        for lane in range(active):
            place = builder.bin("add", column, builder.const("i64", lane))
            one = builder.extract(value, lane) if value.lanes > 1 else value
            one = emit(builder, one, batch, place, row, 1, pointers)
            made = builder.insert(made, one, lane) if value.lanes > 1 else one
        return made

    return one_by_one


class _Emission:
    """The functions of one product."""

    def __init__(self, module: Module, product: Product, name: str, turned: bool) -> None:
        self.module, self.p, self.name = module, product, name
        self.operands = "ptr %b, ptr %a" if turned else "ptr %a, ptr %b"
        p = product
        self.size, self.lanes = BYTES[p.kind], module.lanes(p.kind)
        self.empty = 0 in (p.m, p.n) or any(each[0] == 0 for each in (*p.batch, *p.rows))
        self.zero = p.k == 0 or any(each[0] == 0 for each in p.depth)
        self.outer = math.prod(each[0] for each in p.rows)
        everywhere = math.prod(each[0] for each in p.depth) * p.k
        self.shape = choose(self.lanes, module.registers, p.m, p.n, max(1, everywhere))
        self.width = self.shape.vectors * self.lanes
        self.full, self.edge = divmod(p.n, self.width)
        self.panels = self.full + (self.edge > 0)
        self._plan_depth()
        self._plan_rows()
        self.pointers = [f"%e{i}" for i in range(p.epilogue.pointers if p.epilogue else 0)]
        self.batch_names = [f"%batch{i}" for i in range(len(p.batch))]

    # Plans

    def _plan_depth(self) -> None:
        """Blocks of the depth: `loops` run outside, and inside them `blocks` blocks of `block` runs, or steps of the run."""
        p = self.p
        if p.depth and p.k <= _DEPTH:
            count, a, b = p.depth[-1]
            self.loops, self.by_runs = p.depth[:-1], True
            self.total, self.block_a, self.block_b = count, a, b
            most = max(1, _DEPTH // max(1, p.k))
        else:
            self.loops, self.by_runs = p.depth, False
            self.total, self.block_a, self.block_b = p.k, p.a[1], p.b[0]
            most = _DEPTH
        self.blocks = -(-self.total // most) if self.total else 0
        self.block = -(-self.total // self.blocks) if self.blocks else 0
        if self.blocks > 1 and not self.by_runs:
            self.block = -(-self.block // 4) * 4
            self.blocks = -(-self.total // self.block)
        self.last = self.total - (self.blocks - 1) * self.block if self.blocks else 0
        self.deep = self.block * p.k if self.by_runs else self.block  # rows of a panel
        self.once = self.blocks <= 1 and all(count == 1 for count, _, _ in self.loops)

    def _plan_rows(self) -> None:
        """Units of rows: tiles of a matrix; with more axes of rows, some tiles of the innermost axis."""
        p = self.p
        tiles = -(-p.m // self.shape.rows) if p.m else 0
        self.group = 1 if not p.rows else min(tiles, max(1, _STRIP // (self.shape.rows * self.width * self.size)))
        self.unit_rows = self.group * self.shape.rows
        self.per_outer = -(-tiles // self.group) if tiles else 0
        self.units = self.per_outer * self.outer
        most = max(1, _STRIP // (self.unit_rows * self.width * self.size))
        # As few blocks of rows as give every thread something to do: each packs its panels anew.
        wanted = 1
        if p.work > _ALONE:
            items = self.panels * math.prod(each[0] for each in p.batch)
            wanted = max(1, min(-(-16 // max(1, items)), p.work // _CHUNK, self.units * self.unit_rows // 32))
        self.row_blocks = max(-(-self.units // most), wanted, 1)
        self.row_units = -(-self.units // self.row_blocks) if self.units else 0
        self.row_blocks = -(-self.units // self.row_units) if self.units else 0

    # Text

    def text(self) -> str:
        p, builder = self.p, Builder(self.module)
        pointers = "".join(f", ptr {name}" for name in self.pointers)
        head = f"define internal void @{self.name}({self.operands}, ptr %c, ptr %scratch{pointers})"
        count = self.panels * self.row_blocks * math.prod(each[0] for each in p.batch)
        if self.empty or count == 0:
            builder.line("ret void")
            return builder.function(head)
        work = p.work // count
        together = max(1, _CHUNK // max(1, work))
        names = ["%a", "%b", "%c", *self.pointers]
        if p.work <= _ALONE or count <= together:
            with builder.loop(0, count) as item:
                self._item(builder, item)
        else:
            chunk = self._chunk(count, together)
            pool.declare(self.module)
            builder.entry.append(f"%data = alloca [{len(names)} x ptr]")
            for place, each in enumerate(names):
                builder.store(Value(each, "ptr"), builder.gep("%data", "ptr", place))
            builder.line(f"call void @graphnn_parallel(ptr @{chunk}, ptr %data, i64 {-(-count // together)})")
        builder.line("ret void")
        return builder.function(head)

    def _chunk(self, count: int, together: int) -> str:
        name, builder = f"{self.name}.chunk", Builder(self.module)
        for place, each in enumerate(["%a", "%b", "%c", *self.pointers]):
            builder.line(f"{each} = load ptr, ptr {builder.gep('%data', 'ptr', place)}")
        index = Value("%index", "i64")
        if together == 1:
            self._item(builder, index)
        else:
            first = builder.bin("mul", index, builder.const("i64", together))
            after = builder.bin("add", first, builder.const("i64", together))
            with builder.loop(first, builder.intrinsic("smin", after, builder.const("i64", count))) as item:
                self._item(builder, item)
        builder.line("ret void")
        self.module.add(builder.function(f"define internal void @{name}(ptr %data, i64 %index)"))
        return name

    def _item(self, builder: Builder, item: Value) -> None:
        """Find the rows and the panel of an item, and call the function for such a panel."""
        p = self.p
        item, panel = _divided(builder, item, self.panels)
        batch_item, block = _divided(builder, item, self.row_blocks)
        numbers = _split(builder, batch_item, [each[0] for each in p.batch])
        bases = [
            _moved(builder, pointer, [(number, each[place] * self.size) for number, each in zip(numbers, p.batch, strict=True)])
            for pointer, place in (("%a", 1), ("%b", 2), ("%c", 3))
        ]
        first = builder.bin("mul", block, builder.const("i64", self.row_units))
        after = builder.bin("add", first, builder.const("i64", self.row_units))
        if self.units % self.row_units:
            after = builder.intrinsic("smin", after, builder.const("i64", self.units))
        column = builder.bin("mul", panel, builder.const("i64", self.width))
        pointers = [*bases, *self.pointers]
        given = ", ".join([*[f"ptr {each}" for each in pointers], first.typed, after.typed, column.typed, *[n.typed for n in numbers]])
        whole = self._panel(self.shape.vectors, self.width) if self.full else ""
        part = self._panel(-(-self.edge // self.lanes), self.edge) if self.edge else ""
        if whole and part:
            inside = builder.icmp("slt", panel, builder.const("i64", self.full))
            chosen = builder.pure(f"select {inside.typed}, ptr @{whole}, ptr @{part}", "ptr", 1).text
            builder.line(f"call void {chosen}({given})")
        else:
            builder.line(f"call void @{whole or part}({given})")

    def _panel(self, vectors: int, active: int) -> str:
        """The function for a panel of so many vectors, of which `active` columns are inside the matrix."""
        return self.module.once((self.name, "panel", active), lambda name: self._panel_text(name, vectors, active))

    def _panel_text(self, name: str, vectors: int, active: int) -> str:
        p, size, builder = self.p, self.size, Builder(self.module)
        width = vectors * self.lanes
        first, after, column = (Value(each, "i64") for each in ("%first", "%after", "%column"))
        pointers = "".join(f", ptr {each}" for each in self.pointers)
        numbers = "".join(f", i64 {each}" for each in self.batch_names)
        head = f"define internal void @{name}(ptr %a, ptr %b, ptr %c{pointers}, i64 %first, i64 %after, i64 %column{numbers}) noinline"
        direct = p.epilogue is None and p.c[1] == 1 and active == width and not self.zero
        close_b = p.b[1] == 1 or p.n == 1
        tiles = -(-p.m // self.shape.rows)
        packed = not (close_b and active == width and self.row_units * self.group <= 1)
        if packed and not self.zero:
            builder.entry.append(f"%panel = alloca [{max(1, self.deep) * width} x {p.kind}], align 64")
        if not direct and not self.zero:
            builder.entry.append(f"%strip = alloca [{self.row_units * self.unit_rows * width} x {p.kind}], align 64")
        b = _moved(builder, "%b", [(column, p.b[1] * size)])
        c = _moved(builder, "%c", [(column, p.c[1] * size)])
        if not self.zero:
            self._sums(builder, "%a", b, c, vectors, active, packed, direct)
        if not direct:
            self._finish(builder, c, vectors, active)
        builder.line("ret void")
        return builder.function(head)

    def _sums(
        self, builder: Builder, a: str, b: str, c: str, vectors: int, active: int, packed: bool, direct: bool
    ) -> None:
        p, size, width = self.p, self.size, vectors * self.lanes
        a_row, b_row = p.a[1] * size, width * size if packed else p.b[0] * size
        row = p.c[0] * size if direct else width * size
        tables = []
        for length in dict.fromkeys((self.block, self.last)):
            run, runs = (p.k, length) if self.by_runs else (length, 1)
            jump = (self.block_a - p.k * p.a[1]) * size if self.by_runs else 0
            b_jump = (self.block_b - p.k * p.b[0]) * size if self.by_runs and not packed else 0
            tables.append(Strides(p.a[0] * size, a_row, jump, b_row, b_jump, row, run, runs).constant(self.module))
        with _Nest(builder, [count for count, _, _ in self.loops]) as outer, builder.loop(0, self.blocks) as block:
            a = _moved(builder, a, [(i, each[1] * size) for i, each in zip(outer, self.loops, strict=True)])
            b = _moved(builder, b, [(i, each[2] * size) for i, each in zip(outer, self.loops, strict=True)])
            a = _moved(builder, a, [(block, self.block * self.block_a * size)])
            b = _moved(builder, b, [(block, self.block * self.block_b * size)])
            table, length = tables[0], builder.const("i64", self.block)
            if len(tables) > 1:
                whole = builder.icmp("slt", block, builder.const("i64", self.blocks - 1))
                table = builder.pure(f"select {whole.typed}, ptr {tables[0]}, ptr {tables[1]}", "ptr", 1).text
                length = builder.select(whole, length, builder.const("i64", self.last))
            if packed:
                self._pack(builder, b, vectors, active, length)
                b = "%panel"
            more = functools.reduce(lambda x, y: builder.bin("or", x, y), [*outer, block])
            more = builder.icmp("ne", more, builder.const("i64", 0))
            self._tiles(builder, a, b, c, vectors, table, more, direct)

    def _pack(self, builder: Builder, b: str, vectors: int, active: int, length: Value) -> None:
        p, size, width = self.p, self.size, vectors * self.lanes
        step = p.b[0] * size
        if p.b[1] == 1 or p.n == 1:
            pack = pack_rows(self.module, p.kind, vectors, active)
            before, behind = f"i64 {step}", ""
        else:
            pack = pack_columns(self.module, p.kind, vectors, p.b[0] == 1)
            before, behind = f"i64 {step}, i64 {p.b[1] * size}", f", i64 {active}"
        if not self.by_runs:
            builder.line(f"call void @{pack}(ptr {b}, {before}, ptr %panel, {length.typed}{behind})")
            return
        with builder.loop(builder.const("i64", 0), length) as run:
            source = _moved(builder, b, [(run, self.block_b * size)])
            target = _moved(builder, "%panel", [(run, p.k * width * size)])
            builder.line(f"call void @{pack}(ptr {source}, {before}, ptr {target}, i64 {p.k}{behind})")

    def _tiles(
        self, builder: Builder, a: str, b: str, c: str, vectors: int, table: str, more: Value, direct: bool
    ) -> None:
        p, size, rows = self.p, self.size, self.shape.rows
        width = vectors * self.lanes
        close = p.a[0] == 1 or p.m == 1
        main = tile(self.module, p.kind, rows, vectors, close)
        rest = p.m % rows
        edge = tile(self.module, p.kind, rest, vectors, close) if rest else ""
        first, after = Value("%first", "i64"), Value("%after", "i64")

        def one(function: str, at_a: str, at_c: str, strip_row: Value, row: Value) -> None:
            source = _moved(builder, at_a, [(row, p.a[0] * size)])
            if direct:
                target = _moved(builder, at_c, [(row, p.c[0] * size)])
            else:
                target = _moved(builder, "%strip", [(strip_row, width * size)])
            builder.line(f"call void @{function}(ptr {source}, ptr {b}, ptr {target}, ptr {table}, {more.typed})")

        with builder.loop(first, after) as unit:
            at_a, at_c, start, local = self._unit(builder, unit, a, c)
            if self.group == 1:
                if rest:
                    inside = builder.icmp("sle", start, builder.const("i64", p.m - rows))
                    chosen = builder.pure(f"select {inside.typed}, ptr @{main}, ptr @{edge}", "ptr", 1).text
                    source = _moved(builder, at_a, [(start, p.a[0] * size)])
                    target = _moved(builder, at_c, [(start, p.c[0] * size)]) if direct else _moved(builder, "%strip", [(local, width * size)])
                    builder.line(f"call void {chosen}(ptr {source}, ptr {b}, ptr {target}, ptr {table}, {more.typed})")
                else:
                    one(main, at_a, at_c, local, start)
                continue_rest = False
            else:
                end = builder.bin("add", start, builder.const("i64", self.unit_rows - rows + 1))
                end = builder.intrinsic("smin", end, builder.const("i64", p.m - rows + 1))
                with builder.loop(start, end, rows) as row:
                    one(main, at_a, at_c, builder.bin("add", local, builder.bin("sub", row, start)), row)
                continue_rest = rest > 0
            if continue_rest:
                stop = builder.bin("add", start, builder.const("i64", self.unit_rows))
                with builder.when(builder.icmp("sge", stop, builder.const("i64", p.m))):
                    row = builder.const("i64", p.m - rest)
                    one(edge, at_a, at_c, builder.bin("add", local, builder.bin("sub", row, start)), row)

    def _divided(self, builder: Builder, unit: Value) -> tuple[Value, Value]:
        """The index of a unit on the further axes of rows, as one number, and on the innermost."""
        return _divided(builder, unit, self.per_outer) if self.p.rows else (builder.const("i64", 0), unit)

    def _unit(self, builder: Builder, unit: Value, a: str, c: str) -> tuple[str, str, Value, Value]:
        """Where a unit lies in both matrices, its first row on the innermost axis, and its first row in the strip."""
        p = self.p
        outer, block = self._divided(builder, unit)
        numbers = _split(builder, outer, [each[0] for each in p.rows])
        at_a = _moved(builder, a, [(i, each[1] * self.size) for i, each in zip(numbers, p.rows, strict=True)])
        at_c = _moved(builder, c, [(i, each[2] * self.size) for i, each in zip(numbers, p.rows, strict=True)])
        start = builder.bin("mul", block, builder.const("i64", self.unit_rows))
        local = builder.bin("mul", builder.bin("sub", unit, Value("%first", "i64")), builder.const("i64", self.unit_rows))
        return at_a, at_c, start, local

    def _finish(self, builder: Builder, c: str, vectors: int, active: int) -> None:
        """Store the sums of the strip, after the epilogue."""
        p, size, width = self.p, self.size, vectors * self.lanes
        batch = [Value(name, "i64") for name in self.batch_names]
        column = Value("%column", "i64")
        with builder.loop(Value("%first", "i64"), Value("%after", "i64")) as unit:
            _, at_c, start, local = self._unit(builder, unit, "%a", c)
            outer, _ = self._divided(builder, unit)
            stop = builder.intrinsic("smin", builder.bin("add", start, builder.const("i64", self.unit_rows)), builder.const("i64", p.m))
            with builder.loop(start, stop) as row:
                strip_row = builder.bin("add", local, builder.bin("sub", row, start))
                flat = builder.bin("add", builder.bin("mul", outer, builder.const("i64", p.m)), row)
                target = _moved(builder, at_c, [(row, p.c[0] * size)])
                source = "" if self.zero else _moved(builder, "%strip", [(strip_row, width * size)])
                for place in range(vectors):
                    inside = min(self.lanes, active - place * self.lanes)
                    value = builder.const(p.kind, 0, self.lanes)
                    if not self.zero:
                        value = builder.load(builder.gep(source, p.kind, place * self.lanes), p.kind, self.lanes)
                    if p.epilogue is not None:
                        at = builder.bin("add", column, builder.const("i64", place * self.lanes))
                        value = p.epilogue.emit(builder, value, batch, flat, at, inside, self.pointers)
                    aim = builder.gep(target, p.kind, place * self.lanes * p.c[1])
                    if p.c[1] == 1 or inside == 1:
                        builder.store(value, aim, inside) if inside > 1 or self.lanes == 1 else builder.store(builder.extract(value, 0), aim)
                    else:
                        builder.scatter(value, aim, p.c[1], inside)


def _divided(builder: Builder, number: Value, count: int) -> tuple[Value, Value]:
    """Quotient and remainder by a constant."""
    if count == 1:
        return number, builder.const("i64", 0)
    divisor = builder.const("i64", count)
    return builder.bin("udiv", number, divisor), builder.bin("urem", number, divisor)


def _split(builder: Builder, number: Value, counts: Sequence[int]) -> list[Value]:
    """A number as the indices of axes of these sizes, the outermost first."""
    found: list[Value] = []
    for count in reversed(counts[1:]):
        number, index = _divided(builder, number, count)
        found.append(index)
    return [number, *reversed(found)] if counts else []


def _moved(builder: Builder, pointer: str, moves: Sequence[tuple[Value, int]]) -> str:
    """A pointer moved by indices times constant numbers of bytes."""
    for index, stride in moves:
        if stride and index.text != "0":
            pointer = builder.gep(pointer, "i8", builder.bin("mul", index, builder.const("i64", stride)))
    return pointer


class _Nest:
    """Loops in loops, from 0 to each count."""

    def __init__(self, builder: Builder, counts: Sequence[int]) -> None:
        self.loops = [builder.loop(0, count) for count in counts]

    def __enter__(self) -> list[Value]:
        return [loop.__enter__() for loop in self.loops]

    def __exit__(self, *error: object) -> None:
        for loop in reversed(self.loops):
            loop.__exit__(None, None, None)

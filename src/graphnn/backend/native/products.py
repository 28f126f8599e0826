"""Matrix products: which tile suits a shape, how the loops around it run, what is packed, how threads share the work.

A product is cut into items: some rows by one panel, as wide as the tile. An item packs its panel of the right operand where
that pays, block after block of the depth, and runs the tile over its rows; the epilogue then finds the sums in the cache.
Threads share items. The sum for one element is made by one item in one order, whatever the number of threads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeAlias

from graphnn.backend.native import driver, kernels, pool
from graphnn.backend.native.emit import BYTES, Builder, Module, Value
from graphnn.backend.native.tile import Strides

Emit: TypeAlias = Callable[[Builder, Value, list[Value], Value, Value, int, list[str]], Value]
"""``emit(builder, value, batch, row, column, active, pointers)`` gives what is stored."""

_DEPTH = 512  # of a packed panel: it stays in the nearest caches
_DOT_ROWS = 4  # of the left operand for which columns are not packed
_FEW = 4  # tiles that read their right operand where it is
_IN_PLACE = 128 * 1024  # bytes of it for which more do
_ROWS_BYTES = 384 * 1024  # of the left operand in an item
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
def choose(lanes: int, registers: int, fma: bool, m: int, n: int, k: int, times: int = 1) -> Shape:
    """The tile that needs the fewest cycles for a product of this shape, computed so many times.

    A step of a tile takes as long as its multiplications, or its loads, or the latency of its chain if it is small, and a
    little for what comes from farther caches; to begin and end a tile takes some time for each vector of it. A tile has
    eight rows at most, so that its pointers stay in registers, too.
    """

    def cycles(rows: int, vectors: int) -> float:
        step = max(rows * vectors, 1.02 * (rows + vectors), 8 if registers > 16 else 10) + 0.1 * vectors + 0.05 * rows
        return k * step + 2 * rows * vectors + 25

    best, found = math.inf, Shape(1, 1)
    wide = -(-n // lanes)
    for vectors in range(1, min(wide, 8) + 1):
        for rows in range(1, min(m, 8) + 1):
            # One register for an element of a; without fused operations one more for the product.
            if rows * vectors + vectors + 1 + (not fma) > min(registers, 31):
                break
            total = -(-m // rows) * (wide // vectors) * cycles(rows, vectors)
            if wide % vectors:
                total += -(-m // rows) * cycles(rows, wide % vectors)
            # Every other size is a further function to compile: not for little work. Much of it is worth a wider tile,
            # which reads a less often.
            usual, work = rows == (8 if registers > 16 else 6), m * n * k * times
            if vectors > (1 if work < 20_000 else 2 if usual and work < 100_000_000 else 8):
                continue
            total *= 1 + 0.02 * (not usual) + (-0.01 if usual and vectors > 2 else 0.01 * (wide % vectors != 0))
            if total < best * 0.999:
                best, found = total, Shape(rows, vectors)
    return found


def scratch_bytes(module: Module, product: Product) -> int:
    """Bytes of memory that the function of a product needs from its caller."""
    return 0


def emit_product(module: Module, product: Product) -> str:
    """The name of ``void @product(ptr %a, ptr %b, ptr %c, ptr %scratch, ptr %e0, ...)``; see the package's text."""
    turned = _turned(product)
    return module.once(product.key, lambda name: _text(module, _ordered(turned), name, turned is not product))


def _ordered(product: Product) -> Product:
    """The product with the summed axis innermost along which the left operand has the smallest steps.

    The left operand is read anew for every panel; large steps would meet in a few places of the cache. Very short axes
    are not worth a loop of their own inside.
    """
    if not product.depth:
        return product
    axes = [*product.depth, (product.k, product.a[1], product.b[0])]
    inner = min(axes, key=lambda axis: (axis[0] < 8, abs(axis[1])))
    axes.remove(inner)
    axes.sort(key=lambda axis: abs(axis[1]), reverse=True)
    return product._replace(k=inner[0], a=(product.a[0], inner[1]), b=(inner[2], product.b[1]), depth=tuple(axes))


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


class _Plan:
    """How a product is cut into items and blocks; see ``driver.WORDS``."""

    def __init__(self, module: Module, product: Product) -> None:
        p = self.p = product
        self.size, self.lanes = BYTES[p.kind], module.lanes(p.kind)
        self.outer = math.prod(each[0] for each in p.rows)
        depth = math.prod(each[0] for each in p.depth) * p.k
        times = self.outer * math.prod(each[0] for each in p.batch)
        self.shape = choose(self.lanes, module.registers, module.fma, p.m, p.n, depth, times)
        # Few rows do not pay for packing what has its depth in neighbours.
        self.dots = (
            p.m <= _DOT_ROWS and p.a[1] == p.b[0] == 1 != p.b[1] and p.k >= 2 * self.lanes and not (p.rows or p.depth)
        )
        if self.dots:
            self.shape = Shape(p.m, 1)
        self.width = self.shape.vectors * self.lanes
        self.full, self.edge = divmod(p.n, self.width)
        self.panels = self.full + (self.edge > 0)
        self._depth()
        self._rows()
        self._items()

    def _depth(self) -> None:
        """Blocks of the depth: `loops` run outside, and inside them `blocks` blocks of `block` runs, or of steps of the run."""
        p = self.p
        limit = min(_DEPTH, driver.PANEL_BYTES // (self.width * self.size))
        if p.b[1] == 1 and not self.edge and -(-p.m // self.shape.rows) * self.outer <= _FEW:
            limit = 1 << 40  # nothing is packed
        if p.depth and p.k <= limit:
            count, a, b = p.depth[-1]
            self.loops, self.by_runs = p.depth[:-1], True
            self.total, self.block_a, self.block_b = count, a, b
            most = max(1, limit // p.k)
        else:
            self.loops, self.by_runs = p.depth, False
            self.total, self.block_a, self.block_b = p.k, p.a[1], p.b[0]
            most = limit
        self.blocks = -(-self.total // most)
        self.block = -(-self.total // self.blocks)
        if self.blocks > 1 and not self.by_runs:
            self.block = -(-self.block // 4) * 4
            self.blocks = -(-self.total // self.block)
        self.last = self.total - (self.blocks - 1) * self.block
        self.passes = math.prod(each[0] for each in self.loops)
        self.once = self.blocks * self.passes == 1

    def _rows(self) -> None:
        """Units of rows are tiles; an item does some of them, as many as give every thread something to do."""
        p, rows = self.p, self.shape.rows
        self.per_outer = -(-p.m // rows)
        self.units = self.per_outer * self.outer
        self.batches = math.prod(each[0] for each in p.batch)
        most = self.units if self.once else driver.STRIP_BYTES // (rows * self.width * self.size)
        if self.panels > 1:  # the next panel finds these rows of a in the cache; fewer would pack too often
            most = min(most, max(256, _ROWS_BYTES // (p.k * self.size)) // rows)
        wanted = 1
        if p.work > _ALONE:  # every block of rows packs the panels anew: no more than keep the threads busy
            threads = pool.num_threads()
            shares = 2 * threads if threads > 1 else 1
            wanted = min(-(-shares // (self.panels * self.batches)), p.work // _CHUNK, self.units * rows // 32)
        self.row_blocks = max(-(-self.units // most), wanted, 1)
        self.row_units = -(-self.units // self.row_blocks)
        self.row_blocks = -(-self.units // self.row_units)

    def _items(self) -> None:
        self.items = self.panels * self.row_blocks * self.batches
        # The result of a large product is in no near cache; what is asked for now is there when the tile is done.
        outcome = self.p.m * self.p.n * self.outer * self.batches * self.size
        self.touches = outcome > 64 * 1024 and self.p.c[1] == 1 and self.p.k >= 32
        self.together = max(1, _CHUNK * self.items // max(1, self.p.work))
        self.chunks = -(-self.items // self.together) if self.p.work > _ALONE else 1


def _text(module: Module, product: Product, name: str, turned: bool) -> str:
    """The function of a product: it hands the table and the pointers over to the driver."""
    p = product
    count = 4 + (p.epilogue.pointers if p.epilogue else 0)
    operands = ["%b", "%a"] if turned else ["%a", "%b"]
    further = [f"%e{i}" for i in range(count - 4)]
    head = ", ".join([f"ptr {each}" for each in (*operands, "%c", "%scratch", *further)])
    builder = Builder(module)
    if 0 not in (p.m, p.n) and all(each[0] for each in (*p.batch, *p.rows)):
        pointers = ["%a", "%b", "%c", "%scratch", *further]
        if p.k == 0 or not all(each[0] for each in p.depth):
            p = _nothing_summed(p)
            zeros = module.once(("zeros",), lambda name: f"@{name} = internal constant [64 x i8] zeroinitializer")
            pointers[:2] = [f"@{zeros}"] * 2
        table = _table(module, p, name)
        builder.entry.append(f"%pointers = alloca [{count} x ptr]")
        for place, pointer in enumerate(pointers):
            builder.store(Value(pointer, "ptr"), builder.gep("%pointers", "ptr", place))
        builder.line(f"call void {kernels.declare(module, 'run')}(ptr @{table}, ptr %pointers)")
    builder.line("ret void")
    return builder.function(f"define internal void @{name}({head})")


def _nothing_summed(product: Product) -> Product:
    """A product over an empty axis is that of zeros over an axis of one."""
    batch = tuple((count, 0, 0, c) for count, _, _, c in product.batch)
    rows = tuple((count, 0, c) for count, _, c in product.rows)
    return product._replace(k=1, a=(0, 0), b=(0, 0), batch=batch, rows=rows, depth=())


def _table(module: Module, p: Product, name: str) -> str:
    plan = _Plan(module, p)
    size, width = plan.size, plan.width
    by_runs = plan.by_runs
    words: dict[str, int | str] = {
        "items": plan.items,
        "together": plan.together,
        "chunks": plan.chunks,
        "panels": plan.panels,
        "full": plan.full,
        "width": width,
        "b_panel": width * p.b[1] * size,
        "c_panel": width * p.c[1] * size,
        "row_blocks": plan.row_blocks,
        "row_units": plan.row_units,
        "units": plan.units,
        "per_outer": plan.per_outer,
        "rows": plan.shape.rows,
        "m": p.m,
        "last_row": p.m - plan.shape.rows,
        "a_row": p.a[0] * size,
        "c_row": p.c[0] * size,
        "c_column": p.c[1] * size,
        "touch_rows": plan.shape.rows if plan.touches else 0,
        "touch": kernels.declare(module, "touch", p.kind) if plan.touches else "null",
        "b_step": p.b[0] * size,
        "b_column": p.b[1] * size,
        "b_run": plan.block_b * size,
        "loops": plan.passes,
        "blocks": plan.blocks,
        "block_a": plan.block * plan.block_a * size,
        "block_b": plan.block * plan.block_b * size,
        "depth": p.k if by_runs else plan.block,
        "depth_last": p.k if by_runs else plan.last,
        "runs": plan.block if by_runs else 1,
        "runs_last": plan.last if by_runs else 1,
    }
    batch = [(count, a * size, b * size, c * size) for count, a, b, c in p.batch]
    rows = [(count, a * size, 0, c * size) for count, a, c in p.rows]
    loops = [(count, a * size, b * size, 0) for count, a, b in plan.loops]
    for what, levels in (("batch", batch), ("row", rows), ("loop", loops)):
        words[f"{what}_levels"] = len(levels)
        words[what] = _levels(module, levels)
    lanes = plan.lanes
    full = _variant(module, p, plan, plan.shape.vectors, width, name) if plan.full else None
    edge = _variant(module, p, plan, -(-plan.edge // lanes), plan.edge, name) if plan.edge else None
    some = full or edge
    assert some is not None
    return module.once(("table", name), lambda table: driver.table_text(table, words, full or some, edge or some))


def _levels(module: Module, levels: Sequence[tuple[int, int, int, int]]) -> str:
    numbers = [f"i64 {number}" for level in levels for number in level]
    if not numbers:
        return "null"
    text = f"internal constant [{len(numbers)} x i64] [{', '.join(numbers)}]"
    return "@" + module.once(("levels", text), lambda name: f"@{name} = {text}")


def _variant(module: Module, p: Product, plan: _Plan, vectors: int, active: int, name: str) -> dict[str, int | str]:
    """What panels of so many vectors need, of which `active` columns are inside the matrix."""
    size, rows = plan.size, plan.shape.rows
    strip_row = vectors * plan.lanes * size
    near = p.b[1] == 1 or p.n == 1
    whole = active == vectors * plan.lanes
    direct = p.epilogue is None and (p.c[1] == 1 or p.n == 1) and whole and (plan.once or p.m % rows == 0)
    block = plan.block * (p.k if plan.by_runs else 1) * abs(p.b[0]) * size
    few = plan.row_units <= _FEW or (plan.row_units <= 16 and block <= _IN_PLACE)
    packed = not plan.dots and not (near and whole and few)
    b_row = strip_row if packed else p.b[0] * size
    t_row = p.c[0] * size if direct else strip_row
    shape = ("dots", p.kind) if plan.dots else ("tile", p.kind, rows, vectors, 0)
    tile = kernels.declare(module, *shape)
    strides = _strides(module, p, plan, b_row, packed, t_row, active)
    first, first_strides = tile, strides
    by_tile = packed and near and whole
    if by_tile:
        first = kernels.declare(module, "tile", p.kind, rows, vectors, 1)
        first_strides = _strides(module, p, plan, p.b[0] * size, False, t_row, active)
    pack = "pack_rows" if near else "pack_columns"
    further = () if near else (int(p.b[0] == 1),)
    if p.epilogue is None:
        finish = kernels.declare(module, "store", p.kind)
    else:
        finish = "@" + module.once((name, "finish", active), lambda made: _finish_text(module, p, made, active))
    return {
        "strip_row": strip_row,
        "slot": 0 if plan.once else rows * strip_row,
        "active": active,
        "packed": 2 if by_tile else int(packed),
        "direct": int(direct),
        "tile": tile,
        "pack": kernels.declare(module, pack, p.kind, *further) if packed and not by_tile else "null",
        "finish": finish,
        "strides": strides[0],
        "strides_last": strides[1],
        "first": first,
        "first_strides": first_strides[0],
        "first_strides_last": first_strides[1],
    }


def _strides(module: Module, p: Product, plan: _Plan, b_row: int, packed: bool, t_row: int, active: int) -> list[str]:
    """The names of the strides of tiles in a block and in the last block."""
    size, found = plan.size, []
    for length in (plan.block, plan.last):
        run, runs = (p.k, length) if plan.by_runs else (length, 1)
        jump = (plan.block_a - p.k * p.a[1]) * size if plan.by_runs else 0
        b_jump = (plan.block_b - p.k * p.b[0]) * size if plan.by_runs and not packed else 0
        numbers = Strides(p.a[0] * size, p.a[1] * size, jump, b_row, b_jump, t_row, run, runs)
        if plan.dots:
            numbers = numbers._replace(rows=p.m, columns=active, b_column=p.b[1] * size)
        found.append(numbers.constant(module))
    return found


def _finish_text(module: Module, p: Product, name: str, active: int) -> str:
    """Run the epilogue over some rows of the strip, and store what it gives."""
    assert p.epilogue is not None
    builder, lanes = Builder(module), module.lanes(p.kind)
    pointers = []
    for place in range(p.epilogue.pointers):
        pointers.append(builder.load(builder.gep("%pointers", "ptr", 4 + place), "ptr").text)
    batch: list[Value] = []
    rest = Value("%batch", "i64")
    for each in reversed(p.batch[1:]):
        divisor = builder.const("i64", each[0])
        batch.append(builder.bin("urem", rest, divisor))
        rest = builder.bin("udiv", rest, divisor)
    batch = [rest, *reversed(batch)] if p.batch else []
    with builder.loop(builder.const("i64", 0), Value("%rows", "i64")) as step:
        row = builder.bin("add", Value("%row", "i64"), step)
        source = builder.gep("%strip", "i8", builder.bin("mul", step, Value("%strip_row", "i64")))
        target = builder.gep("%c", p.kind, builder.bin("mul", step, builder.const("i64", p.c[0])))
        for first in range(0, active, lanes):
            inside = min(lanes, active - first)
            value = builder.load(builder.gep(source, p.kind, first), p.kind, lanes)
            column = builder.bin("add", Value("%column", "i64"), builder.const("i64", first))
            value = p.epilogue.emit(builder, value, batch, row, column, inside, pointers)
            aim = builder.gep(target, p.kind, first * p.c[1])
            if p.c[1] == 1 and inside > 1:
                builder.store(value, aim, inside)
            else:
                builder.scatter(value, aim, p.c[1], inside)
    builder.line("ret void")
    return builder.function("define internal " + driver.FINISH.format(name))

"""Matrix products: which tile suits a shape, how the loops around it run, what is packed, how threads share the work.

A product is cut into items: some rows by one panel, as wide as the tile. An item packs its panel of the right operand where
that pays, block after block of the depth, and runs the tile over its rows; the epilogue then finds the sums in the cache.
Threads share items. The sum for one element is made by one item in one order, whatever the number of threads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from graphnn.backend.native import driver, kernels, streaming
from graphnn.backend.native.cuts import FEW, Emit, Epilogue, Plan, Product, Spot
from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.tile import Strides, pointers_of, whole_text

__all__ = ["Epilogue", "Product", "Spot", "emit_product", "scratch_bytes"]

_IN_PLACE = 128 * 1024  # bytes of it for which more do
_DEEP = 8_000_000  # multiplications and additions that are worth being summed in parts
_WORTH_CODE, _SHALLOW = 4_000_000, 600
"""Multiplications and additions, and the depth of a block, for which tiles that do the epilogue themselves are compiled: each
saves some hundred cycles, which is nothing beside a deep sum."""
_PARTS_BYTES = 96 * 1024  # of the parts, which lie on the stack


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
    def one_by_one(builder: Builder, value: Value, spot: Spot, pointers: list[str]) -> Value:
        made = value
        for lane in range(spot.active):
            place = builder.bin("add", spot.column, builder.const("i64", lane))
            one = builder.extract(value, lane) if value.lanes > 1 else value
            one = emit(builder, one, Spot(place, place, spot.row, 1, spot.batch), pointers)
            made = builder.insert(made, one, lane) if value.lanes > 1 else one
        return made

    return one_by_one


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
        parts = None if streaming.streams(p) else _in_parts(module, p)
        if streaming.streams(p):
            builder = streaming.text_of(module, p, name, further)
        elif parts is not None:
            part = f"{name}.part"
            module.add(_text(module, parts, part, False))
            room = parts.batch[0][0] * parts.batch[0][3]
            builder.entry.append(f"%parts = alloca [{room} x {p.kind}], align 64")
            builder.line(f"call void @{part}(ptr %a, ptr %b, ptr %parts, ptr null)")
            _add_up(builder, p, parts.batch[0][0], further)
        else:
            table = _table(module, p, name)
            builder.entry.append(f"%pointers = alloca [{count} x ptr]")
            for place, pointer in enumerate(pointers):
                builder.store(Value(pointer, "ptr"), builder.gep("%pointers", "ptr", place))
            builder.line(f"call void {kernels.declare(module, 'run')}(ptr @{table}, ptr %pointers)")
    builder.line("ret void")
    return builder.function(f"define internal void @{name}({head})")


def _in_parts(module: Module, p: Product) -> Product | None:
    """A batch of products over parts of the depth, for a deep product with so small a result that threads could not share it.

    Into how many parts depends on the sizes alone, so that the order of summation does.
    """
    plan = Plan(module, p)
    size, steps_a, steps_b = p.depth[0] if p.depth else (p.k, p.a[1], p.b[0])
    shares = plan.panels * max(1, plan.units // 4)
    if p.batch or p.work < _DEEP or shares >= 4 or p.n > 8 * plan.lanes:
        return None
    rows = plan.outer * p.m
    for count in (8, 7, 6, 5, 4):
        each = size // count
        fits = count * rows * p.n * plan.size <= _PARTS_BYTES
        if size % count == 0 and fits and (p.depth or each >= 256):
            break
    else:
        return None
    outer: list[tuple[int, int, int]] = []
    further = p.m
    for length, a, _ in reversed(p.rows):
        outer.insert(0, (length, a, further * p.n))
        further *= length
    return p._replace(
        k=p.k if p.depth else each,
        c=(p.n, 1),
        batch=((count, each * steps_a, each * steps_b, rows * p.n),),
        epilogue=None,
        rows=tuple(outer),
        depth=((each, steps_a, steps_b), *p.depth[1:]) if p.depth else (),
    )


def _add_up(builder: Builder, p: Product, count: int, further: list[str]) -> None:
    """Add the parts of a product one after the other, and store the sums after the epilogue."""
    lanes = builder.module.lanes(p.kind)
    sizes = [*[each[0] for each in p.rows], p.m]
    strides = [*[each[2] for each in p.rows], p.c[0]]
    room = math.prod(sizes) * p.n
    with _Nest(builder, sizes) as indices:
        flat, target = builder.const("i64", 0), "%c"
        for index, size, stride in zip(indices, sizes, strides, strict=True):
            flat = builder.bin("add", builder.bin("mul", flat, builder.const("i64", size)), index)
            target = builder.gep(target, p.kind, builder.bin("mul", index, builder.const("i64", stride)))
        source = builder.gep("%parts", p.kind, builder.bin("mul", flat, builder.const("i64", p.n)))
        for first in range(0, p.n, lanes):
            inside = min(lanes, p.n - first)
            parts = [
                builder.load(builder.gep(source, p.kind, part * room + first), p.kind, lanes, inside)
                for part in range(count)
            ]
            value = functools.reduce(lambda x, y: builder.bin("fadd", x, y), parts)
            if p.epilogue is not None:
                line = builder.bin("mul", flat, builder.const("i64", p.n))
                spot = Spot(flat, line, builder.const("i64", first), inside)
                value = p.epilogue.emit(builder, value, spot, further)
            _store(builder, value, builder.gep(target, p.kind, first * p.c[1]), p.c[1], inside)


def _store(builder: Builder, value: Value, pointer: str, stride: int, inside: int) -> None:
    if stride == 1 and inside > 1:
        builder.store(value, pointer, inside)
    else:
        builder.scatter(value, pointer, stride, inside)


class _Nest:
    """Loops in loops, from 0 to each count."""

    def __init__(self, builder: Builder, counts: Sequence[int]) -> None:
        self.loops = [builder.loop(0, count) for count in counts]

    def __enter__(self) -> list[Value]:
        return [loop.__enter__() for loop in self.loops]

    def __exit__(self, *error: object) -> None:
        for loop in reversed(self.loops):
            loop.__exit__(None, None, None)


def _nothing_summed(product: Product) -> Product:
    """A product over an empty axis is that of zeros over an axis of one."""
    batch = tuple((count, 0, 0, c) for count, _, _, c in product.batch)
    rows = tuple((count, 0, c) for count, _, c in product.rows)
    return product._replace(k=1, a=(0, 0), b=(0, 0), batch=batch, rows=rows, depth=())


def _table(module: Module, p: Product, name: str) -> str:
    plan = Plan(module, p)
    size, width = plan.size, plan.width
    by_runs = plan.by_runs
    words: dict[str, int | str] = {
        "items": plan.items,
        "together": plan.together,
        "chunks": plan.chunks,
        "groups": plan.groups,
        "together_panels": plan.group,
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
        "n": p.n,
        "last_row": p.m - plan.shape.rows,
        "a_row": p.a[0] * size,
        "a_step": p.a[1] * size,
        "a_unit": plan.a_unit if plan.packs_rows else 0,
        "a_run": plan.block_a * size,
        "size": size,
        "pack_rows": kernels.declare(module, "pack_left", p.kind, plan.shape.rows) if plan.packs_rows else "null",
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


def _variant(module: Module, p: Product, plan: Plan, vectors: int, active: int, name: str) -> dict[str, int | str]:
    """What panels of so many vectors need, of which `active` columns are inside the matrix."""
    size, rows = plan.size, plan.shape.rows
    strip_row = vectors * plan.lanes * size
    near = p.b[1] == 1 or p.n == 1
    whole = active == vectors * plan.lanes
    direct = p.epilogue is None and (p.c[1] == 1 or p.n == 1) and whole and (plan.once or p.m % rows == 0)
    block = plan.block * (p.k if plan.by_runs else 1) * abs(p.b[0]) * size
    few = plan.row_units <= FEW or (plan.row_units <= 16 and block <= _IN_PLACE)
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
        counts = tuple([each[0] for each in p.batch])
        key = ("finish", p.kind, p.epilogue.key, p.epilogue.pointers, counts, p.c[1], active)
        finish = "@" + module.once(key, lambda made: _finish_text(module, p, made, active))
    return {
        "whole": _whole(module, p, plan, vectors) if whole else "null",
        "strip_row": strip_row,
        "slot": 0 if plan.once else rows * strip_row,
        "slots": 0 if plan.once else plan.row_units * rows * plan.width * size,
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


def _strides(module: Module, p: Product, plan: Plan, b_row: int, packed: bool, t_row: int, active: int) -> list[str]:
    """The names of the strides of tiles in a block and in the last block."""
    size, found = plan.size, []
    for length in (plan.block, plan.last):
        run, runs = (p.k, length) if plan.by_runs else (length, 1)
        jump = (plan.block_a - p.k * p.a[1]) * size if plan.by_runs else 0
        b_jump = (plan.block_b - p.k * p.b[0]) * size if plan.by_runs and not packed else 0
        row, step = p.a[0] * size, p.a[1] * size
        if plan.packs_rows:
            row, step, jump = size, plan.shape.rows * size, 0
        numbers = Strides(row, step, jump, b_row, b_jump, t_row, run, runs)
        if plan.dots:
            numbers = numbers._replace(rows=p.m, columns=active, b_column=p.b[1] * size)
        found.append(numbers.constant(module))
    return found


def _whole(module: Module, p: Product, plan: Plan, vectors: int) -> str:
    """The tile of whole panels that does the epilogue by itself, where that is worth the code; else null."""
    ride, rows = p.epilogue, plan.shape.rows
    if ride is None or not ride.light or p.batch or p.c[1] != 1 or plan.dots:
        return "null"
    if p.work < _WORTH_CODE or plan.steps > _SHALLOW:
        return "null"
    key = ("whole", p.kind, ride.key, ride.pointers, rows, vectors)
    return "@" + module.once(
        key, lambda name: whole_text(module, name, p.kind, rows, vectors, ride.pointers, ride.emit)
    )


def _finish_text(module: Module, p: Product, name: str, active: int) -> str:
    """Run the epilogue over some rows of the strip, and store what it gives; all products with the same epilogue share it."""
    assert p.epilogue is not None
    builder, lanes = Builder(module), module.lanes(p.kind)
    pointers = pointers_of(builder, p.epilogue.pointers)
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
        target = builder.gep("%c", "i8", builder.bin("mul", step, Value("%c_row", "i64")))
        line = builder.bin("mul", row, Value("%n", "i64"))
        for first in range(0, active, lanes):
            inside = min(lanes, active - first)
            value = builder.load(builder.gep(source, p.kind, first), p.kind, lanes)
            column = builder.bin("add", Value("%column", "i64"), builder.const("i64", first))
            value = p.epilogue.emit(builder, value, Spot(row, line, column, inside, tuple(batch)), pointers)
            _store(builder, value, builder.gep(target, p.kind, first * p.c[1]), p.c[1], inside)
    builder.line("ret void")
    return builder.function("define internal " + driver.FINISH.format(name))

"""Packing: a block of the right operand of a product is laid out as the tiles read it, one vector after the other.

A panel is as wide as a tile and as deep as the block. Lanes beyond the edge of a matrix hold anything: what they give is
never stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.backend.native.emit import BYTES, Builder, Module, Value, type_text

# Both have the head void @pack(ptr %from, i64 %step, i64 %across, ptr %to, i64 %depth, i64 %active, i64 %row):
# `step` bytes lie between neighbours along the depth, `across` between lanes; `active` columns are inside the matrix; a row of
# the panel takes `row` bytes.
_HEAD = "define void @{}(ptr noalias %from, i64 %step, i64 %across, ptr noalias %to, i64 %depth, i64 %active, i64 %row)"


def rows_text(module: Module, name: str, kind: str) -> str:
    """Pack where the lanes are neighbours in the matrix: vectors are copied."""
    lanes, builder = module.lanes(kind), Builder(module)
    depth, active, step = (Value(text, "i64") for text in ("%depth", "%active", "%step"))
    row = Value("%row", "i64")
    whole = builder.bin("and", active, builder.const("i64", -lanes))
    zero = builder.const("i64", 0)
    with builder.loop(zero, whole, lanes) as first:
        source, target = builder.gep("%from", kind, first), builder.gep("%to", kind, first)
        with builder.loop(zero, depth) as at:
            found = builder.load(builder.gep(source, "i8", builder.bin("mul", at, step)), kind, lanes)
            builder.store(found, builder.gep(target, "i8", builder.bin("mul", at, row)))
    with builder.when(builder.icmp("slt", whole, active)):
        source, target = builder.gep("%from", kind, whole), builder.gep("%to", kind, whole)
        inside = builder.bin("sub", active, whole)
        if module.vector_bytes >= 32:
            mask = builder.icmp("slt", builder.consts("i64", range(lanes)), builder.splat(inside, lanes))
            with builder.loop(zero, depth) as at:
                found = masked_load(builder, builder.gep(source, "i8", builder.bin("mul", at, step)), kind, mask)
                builder.store(found, builder.gep(target, "i8", builder.bin("mul", at, row)))
        else:  # without masked loads, scalar by scalar
            with builder.loop(zero, depth) as at:
                here = builder.gep(source, "i8", builder.bin("mul", at, step))
                there = builder.gep(target, "i8", builder.bin("mul", at, row))
                with builder.loop(zero, inside) as lane:
                    builder.store(builder.load(builder.gep(here, kind, lane), kind), builder.gep(there, kind, lane))
    builder.line("ret void")
    return builder.function(_HEAD.format(name))


LEFT = "ptr noalias %from, i64 %step, ptr noalias %to, i64 %unit, i64 %depth, i64 %units, i64 %last"
"""What `left_text` is given: as for other packing, and `unit` bytes from tile to tile in the target, their number, and the
first row of the last one of the matrix."""
_AHEAD = 12  # steps of the depth, for which packing asks before it reads them


def left_text(module: Module, name: str, kind: str, rows: int) -> str:
    """Pack rows of the left operand that are neighbours in the matrix, for tiles of so many rows.

    All that lies side by side is read at once: steps along the depth are long, and each takes a while to come.
    """
    builder = Builder(module)
    module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    zero, step = builder.const("i64", 0), Value("%step", "i64")
    away = builder.bin("mul", step, builder.const("i64", _AHEAD))
    with builder.loop(zero, Value("%depth", "i64")) as at:
        line = builder.gep("%from", "i8", builder.bin("mul", at, step))
        target = builder.gep("%to", kind, builder.bin("mul", at, builder.const("i64", rows)))
        with builder.loop(zero, Value("%units", "i64")) as unit:
            first = builder.bin("mul", unit, builder.const("i64", rows))
            here = builder.gep(line, kind, builder.intrinsic("smin", first, Value("%last", "i64")))
            builder.line(f"call void @llvm.prefetch.p0(ptr {builder.gep(here, 'i8', away)}, i32 0, i32 3, i32 1)")
            found = builder.load(here, kind, rows)
            builder.store(found, builder.gep(target, "i8", builder.bin("mul", unit, Value("%unit", "i64"))))
    builder.line("ret void")
    return builder.function(f"define void @{name}({LEFT})")


def masked_load(builder: Builder, pointer: str, kind: str, mask: Value) -> Value:
    """The lanes of a vector for which a mask that is known only at run time holds; the others are zero."""
    vector, lanes = type_text(kind, mask.lanes), mask.lanes
    name = f"llvm.masked.load.v{lanes}{'f32' if kind == 'float' else 'f64'}.p0"
    builder.module.declare(f"declare {vector} @{name}(ptr, i32, <{lanes} x i1>, {vector})")
    made = Value(builder.fresh("l"), kind, lanes)
    given = f"ptr {pointer}, i32 {BYTES[kind]}, {mask.typed}, {vector} zeroinitializer"
    builder.line(f"{made.text} = call {vector} @{name}({given})")
    return made


def columns_text(module: Module, name: str, kind: str, close: int) -> str:
    """Pack with any strides; lanes outside repeat the last one inside.

    With `close`, elements along the depth are neighbours in the matrix: then squares are transposed in registers.
    """
    lanes, size = min(module.lanes(kind), 8), BYTES[kind]  # more at once would need too many addresses
    builder = Builder(module)
    depth, active, step = (Value(text, "i64") for text in ("%depth", "%active", "%step"))
    last = builder.bin("sub", active, builder.const("i64", 1))
    unit = min(lanes, 16 // size) if close else 1  # what is transposed fits into 16 bytes, in every part of a vector
    whole = builder.bin("and", depth, builder.const("i64", -unit)) if unit > 1 else builder.const("i64", 0)
    row = Value("%row", "i64")
    with builder.loop(builder.const("i64", 0), active, lanes) as first:
        target = builder.gep("%to", kind, first)
        if unit > 1:
            starts = [
                _start(builder, builder.bin("add", first, builder.const("i64", lane)), last) for lane in range(lanes)
            ]
            with builder.loop(builder.const("i64", 0), whole, unit) as at:
                parts = [builder.load(builder.gep(start, kind, at), kind, unit) for start in starts]
                found = builder.gep(target, "i8", builder.bin("mul", at, row))
                for place, column in enumerate(_columns(builder, parts, unit)):
                    builder.store(
                        column, builder.gep(found, "i8", builder.bin("mul", row, builder.const("i64", place)))
                    )
        with builder.loop(whole, depth) as at:
            offset, found = builder.bin("mul", at, step), builder.gep(target, "i8", builder.bin("mul", at, row))
            with builder.loop(builder.const("i64", 0), builder.const("i64", lanes)) as lane:
                start = _start(builder, builder.bin("add", first, lane), last)
                builder.store(builder.load(builder.gep(start, "i8", offset), kind), builder.gep(found, kind, lane))
    builder.line("ret void")
    return builder.function(_HEAD.format(name))


def _start(builder: Builder, lane: Value, last: Value) -> str:
    place = builder.intrinsic("smin", lane, last)
    return builder.gep("%from", "i8", builder.bin("mul", place, Value("%across", "i64")))


def _columns(builder: Builder, parts: list[Value], unit: int) -> list[Value]:
    """From a short part of each of many rows, the columns as full vectors.

    The parts of rows 0, unit, 2 * unit ... are put side by side in one vector, those of the rows after these in the next; then
    small squares are transposed inside each part, where shuffles are cheap.
    """
    rows = []
    for place in range(unit):
        joined = parts[place::unit]
        while len(joined) > 1:
            joined = [
                shuffled(builder, x, y, range(2 * x.lanes)) for x, y in zip(joined[::2], joined[1::2], strict=True)
            ]
        rows.append(joined[0])
    distance = 1
    while distance < unit:
        following = list(rows)
        for i in range(unit):
            if not i & distance:
                x, y = rows[i], rows[i + distance]
                low, high = [], []
                for lane in range(x.lanes):
                    other = lane & distance
                    low.append(lane + x.lanes - distance if other else lane)
                    high.append(lane + x.lanes if other else lane + distance)
                following[i], following[i + distance] = shuffled(builder, x, y, low), shuffled(builder, x, y, high)
        rows = following
        distance *= 2
    return rows


def shuffled(builder: Builder, x: Value, y: Value, lanes: Sequence[int]) -> Value:
    """A vector of lanes of two others, counted through both."""
    chosen = ", ".join(f"i32 {lane}" for lane in lanes)
    text = f"shufflevector {x.typed}, {y.typed}, <{len(lanes)} x i32> <{chosen}>"
    return builder.pure(text, x.kind, len(lanes))

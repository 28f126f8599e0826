"""Packing: a block of the right operand of a product is laid out as the tiles read it, one vector after the other.

A panel is as wide as a tile and as deep as the block. Lanes beyond the edge of a matrix hold anything: what they give is
never stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.backend.native.emit import BYTES, Builder, Module, Value


def pack_rows(module: Module, kind: str, vectors: int, active: int) -> str:
    """The name of ``void @pack(ptr %from, i64 %step, ptr %to, i64 %depth)`` for rows of neighbours.

    Row after row of `vectors` vectors is copied, of which the first `active` scalars are inside the matrix; `step` bytes
    lie between rows.
    """
    lanes, width = module.lanes(kind), vectors * module.lanes(kind)

    def make(name: str) -> str:
        builder = Builder(module)
        with builder.loop(0, Value("%depth", "i64")) as at:
            source = builder.gep("%from", "i8", builder.bin("mul", at, Value("%step", "i64")))
            target = builder.gep("%to", "i8", builder.bin("mul", at, builder.const("i64", width * BYTES[kind])))
            for place in range(vectors):
                inside = min(lanes, active - place * lanes)
                found = builder.const(kind, 0, lanes)
                if inside > 0:
                    found = builder.load(builder.gep(source, kind, place * lanes), kind, lanes, inside)
                builder.store(found, builder.gep(target, kind, place * lanes))
        builder.line("ret void")
        return builder.function(f"define internal void @{name}(ptr noalias %from, i64 %step, ptr noalias %to, i64 %depth) noinline")

    return module.once(("pack_rows", kind, vectors, active), make)


def pack_columns(module: Module, kind: str, vectors: int, close: bool) -> str:
    """The name of ``void @pack(ptr %from, i64 %step, i64 %across, ptr %to, i64 %depth, i64 %active)`` for any strides.

    `step` bytes lie between neighbours along the depth, `across` between lanes; lanes from `active` on repeat the last one
    inside. With `close`, elements along the depth are neighbours: then squares are transposed in registers.
    """
    return module.once(
        ("pack_columns", kind, vectors, close), lambda name: _columns_text(module, name, kind, vectors, close)
    )


def _columns_text(module: Module, name: str, kind: str, vectors: int, close: bool) -> str:
    lanes, size = module.lanes(kind), BYTES[kind]
    builder = Builder(module)
    depth, active, step = (Value(text, "i64") for text in ("%depth", "%active", "%step"))
    last = builder.bin("sub", active, builder.const("i64", 1))
    unit = min(lanes, 16 // size) if close else 1  # what is transposed fits into 16 bytes, in every part of a vector
    whole = builder.bin("and", depth, builder.const("i64", -unit)) if unit > 1 else builder.const("i64", 0)
    row = builder.const("i64", vectors * lanes * size)
    with builder.loop(builder.const("i64", 0), builder.const("i64", vectors * lanes), lanes) as first:
        target = builder.gep("%to", kind, first)
        if unit > 1:
            starts = [_start(builder, builder.bin("add", first, builder.const("i64", lane)), last) for lane in range(lanes)]
            with builder.loop(builder.const("i64", 0), whole, unit) as at:
                parts = [builder.load(builder.gep(start, kind, at), kind, unit) for start in starts]
                found = builder.gep(target, "i8", builder.bin("mul", at, row))
                for place, column in enumerate(_columns(builder, parts, unit)):
                    builder.store(column, builder.gep(found, kind, place * vectors * lanes))
        with builder.loop(whole, depth) as at:
            offset, found = builder.bin("mul", at, step), builder.gep(target, "i8", builder.bin("mul", at, row))
            with builder.loop(builder.const("i64", 0), builder.const("i64", lanes)) as lane:
                start = _start(builder, builder.bin("add", first, lane), last)
                builder.store(builder.load(builder.gep(start, "i8", offset), kind), builder.gep(found, kind, lane))
    builder.line("ret void")
    return builder.function(
        f"define internal void @{name}(ptr noalias %from, i64 %step, i64 %across, ptr noalias %to, i64 %depth, "
        f"i64 %active) noinline"
    )


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

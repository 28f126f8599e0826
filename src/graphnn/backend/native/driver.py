"""The loops around the tiles, shared by all products: they read what to do from a table of constants.

A table says how a product is cut into items, where its operands lie, and which tile, packing and finishing functions serve full
panels and the one at the edge. So a product costs no compile time but for its table and its epilogue.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.backend.native import rooms
from graphnn.backend.native.emit import Builder, Module, Value

LEVEL = 4
"""Words of a level: its count and the bytes from entry to entry in the three operands."""
PANEL_BYTES = 128 * 1024
"""The largest packed panel."""
STRIP_BYTES = 64 * 1024
"""The largest strip of unfinished sums."""
ROWS_BYTES = 256 * 1024
"""The most that is packed of the left operand."""

WORDS = (
    "items",  # how many, and how many a thread takes at once; chunks: 1 for a product that one thread does alone
    "together",
    "chunks",
    "groups",  # of panels; an item does so many panels one after the other
    "together_panels",
    "panels",  # all of them, and those of full width in columns; column: bytes of a panel in b and in c
    "full",
    "width",
    "b_panel",
    "c_panel",
    "row_blocks",  # an item does the rows of so many units (tiles)
    "row_units",
    "units",
    "per_outer",  # units for each entry of the outer axes of rows
    "rows",  # of a tile; m and the first row of the last tile, on the innermost axis
    "m",
    "last_row",
    "n",  # columns
    "a_row",
    "a_step",
    "a_unit",  # bytes of a tile's rows where they are packed, 0 if they are not
    "a_run",
    "size",
    "c_row",
    "b_step",  # along the depth, across columns, and from run to run
    "b_column",
    "b_run",
    "loops",  # passes over the outer axes of the depth, and blocks of the innermost
    "blocks",
    "block_a",
    "block_b",
    "depth",  # of a run and the number of runs, in a block and in the last
    "depth_last",
    "runs",
    "runs_last",
    "batch_levels",
    "row_levels",
    "loop_levels",
    "c_column",
    "touch_rows",  # of c that are asked for before each tile, 0 for none
    # pointers
    "touch",
    "pack_rows",
    "batch",
    "row",
    "loop",
)
VARIANT = (  # packed: 1 before the tiles, 2 by the first tile; whole: the tile that stores what it makes itself, or null
    "whole",
    "strip_row",
    "slot",
    "slots",  # of the strip, for each panel
    "active",
    "packed",
    "direct",
    "tile",
    "pack",
    "finish",
    "strides",
    "strides_last",
    "first",
    "first_strides",
    "first_strides_last",
)
"""What full panels and the one at the edge have each for themselves."""
_POINTERS = (
    "touch",
    "pack_rows",
    "batch",
    "row",
    "loop",
    "whole",
    "tile",
    "pack",
    "finish",
    "strides",
    "strides_last",
    "first",
    "first_strides",
    "first_strides_last",
)
FINISH = (
    "void @{}(ptr %pointers, ptr %c, ptr %strip, i64 %strip_row, i64 %row, i64 %rows, i64 %column, i64 %batch, i64 %active, "
    "i64 %c_row, i64 %c_column, i64 %n)"
)
"""The head of the functions that store what is in the strip: from `row` on `rows` rows of `active` columns from `column` on."""


def table_text(name: str, words: dict[str, int | str], full: dict[str, int | str], edge: dict[str, int | str]) -> str:
    """A table as a constant; pointers are names with their at signs."""
    every = [(key, words[key]) for key in WORDS]
    every += [(key, variant[key]) for variant in (full, edge) for key in VARIANT]
    types = ["ptr" if key in _POINTERS else "i64" for key, _ in every]
    values = ", ".join([f"{kind} {value}" for kind, (_, value) in zip(types, every, strict=True)])
    return f"@{name} = internal constant {{{', '.join(types)}}} {{{values}}}"


class _Table:
    """The values of a table in a function."""

    def __init__(self, builder: Builder, pointer: str = "%table") -> None:
        self.builder, self.pointer = builder, pointer

    def _slot(self, key: str, place: int) -> Value:
        builder = self.builder
        kind = "ptr" if key in _POINTERS else "i64"
        return builder.load(builder.gep(self.pointer, "i64", place), kind)

    def __getitem__(self, key: str) -> Value:
        return self._slot(key, WORDS.index(key))

    def variant(self, key: str, edge: Value) -> Value:
        """A value of the variant for the panel at the edge if `edge` is 1, for a full one if it is 0."""
        builder = self.builder
        kind = "ptr" if key in _POINTERS else "i64"
        shift = builder.bin("mul", edge, builder.const("i64", len(VARIANT)))
        place = builder.bin("add", shift, builder.const("i64", len(WORDS) + VARIANT.index(key)))
        return builder.load(builder.gep(self.pointer, "i64", place), kind)


def run_text(module: Module, name: str) -> str:
    """``void @run(ptr %table, ptr %pointers)``: a whole product; the first three pointers are those of a, b and c."""
    module.declare("declare void @graphnn_parallel(ptr, ptr, i64)")
    parts = [rooms.text(ROWS_BYTES), _place_text(module), _item_text(module), _chunk_text(module)]
    builder = Builder(module)
    table = _Table(builder)
    chunks = table["chunks"]
    one = builder.icmp("sle", chunks, builder.const("i64", 1))
    builder.entry.append("%data = alloca [2 x ptr]")
    builder.line(f"br {one.typed}, label %alone, label %share")
    builder.label("alone")
    with builder.loop(builder.const("i64", 0), table["items"]) as item:
        builder.line(f"call void @item(ptr %table, ptr %pointers, {item.typed})")
    builder.line("ret void")
    builder.label("share")
    builder.line("store ptr %table, ptr %data")
    builder.line("%second = getelementptr ptr, ptr %data, i64 1\nstore ptr %pointers, ptr %second")
    builder.line(f"call void @graphnn_parallel(ptr @chunk, ptr %data, {chunks.typed})")
    builder.line("ret void")
    return "\n".join([*parts, builder.function(f"define void @{name}(ptr %table, ptr %pointers)")])


def _chunk_text(module: Module) -> str:
    builder = Builder(module)
    builder.line("%table = load ptr, ptr %data\n%second = getelementptr ptr, ptr %data, i64 1")
    builder.line("%pointers = load ptr, ptr %second")
    table = _Table(builder)
    together = table["together"]
    first = builder.bin("mul", Value("%index", "i64"), together)
    after = builder.intrinsic("smin", builder.bin("add", first, together), table["items"])
    with builder.loop(first, after) as item:
        builder.line(f"call void @item(ptr %table, ptr %pointers, {item.typed})")
    builder.line("ret void")
    return builder.function("define internal void @chunk(ptr %data, i64 %index)")


def _place_text(module: Module) -> str:
    """Where entry number `number` of some levels lies in three operands."""
    builder = Builder(module)
    triple = "{i64, i64, i64}"
    zero = builder.const("i64", 0)
    builder.line("%none = icmp sle i64 %levels, 0\nbr i1 %none, label %nothing, label %begin")
    builder.label("nothing")
    builder.line(f"ret {triple} zeroinitializer")
    builder.label("begin")
    builder.line("%top = add i64 %levels, -1\nbr label %look")
    builder.label("look")
    builder.line(
        "%i = phi i64 [%top, %begin], [%down, %divide]\n%left = phi i64 [%number, %begin], [%quotient, %divide]"
    )
    for what in "abc":
        builder.line(f"%{what} = phi i64 [0, %begin], [%{what}1, %divide]")
    at = builder.gep("%table", "i64", builder.bin("mul", Value("%i", "i64"), builder.const("i64", LEVEL)))
    count = builder.load(at, "i64")
    strides = [builder.load(builder.gep(at, "i64", place), "i64") for place in (1, 2, 3)]
    builder.line("%first = icmp eq i64 %i, 0\nbr i1 %first, label %out, label %divide")
    builder.label("divide")
    quotient, rest = _divided(builder, Value("%left", "i64"), count)
    for what, stride in zip("abc", strides, strict=True):
        builder.line(f"%{what}1 = add i64 %{what}, {builder.bin('mul', rest, stride).text}")
    builder.line(f"%quotient = add {quotient.typed}, {zero.text}\n%down = add i64 %i, -1\nbr label %look")
    builder.label("out")
    ends = []
    for what, stride in zip("abc", strides, strict=True):
        moved = builder.bin("mul", Value("%left", "i64"), stride)
        ends.append(builder.bin("add", Value(f"%{what}", "i64"), moved))
    made = f"{triple} undef"
    for place, end in enumerate(ends):
        builder.line(f"%r{place} = insertvalue {made}, {end.typed}, {place}")
        made = f"{triple} %r{place}"
    builder.line(f"ret {made}")
    return builder.function(f"define internal {triple} @place(ptr %table, i64 %levels, i64 %number)")


def _divided(builder: Builder, number: Value, count: Value) -> tuple[Value, Value]:
    """Quotient and remainder; in 32 bits, which many processors divide much faster."""
    short, by = builder.cast("trunc", number, "i32"), builder.cast("trunc", count, "i32")
    quotient = builder.cast("zext", builder.bin("udiv", short, by), "i64")
    return quotient, builder.bin("sub", number, builder.bin("mul", quotient, count))


def _places(builder: Builder, levels: Value, count: Value, number: Value) -> list[Value]:
    name = builder.fresh("place")
    builder.line(f"{name} = call {{i64, i64, i64}} @place({levels.typed}, {count.typed}, {number.typed})")
    found = []
    for place in range(3):
        made = Value(f"{name}.{place}", "i64")
        builder.line(f"{made.text} = extractvalue {{i64, i64, i64}} {name}, {place}")
        found.append(made)
    return found


def _moved(builder: Builder, pointer: str, *offsets: Value) -> str:
    for offset in offsets:
        pointer = builder.gep(pointer, "i8", offset)
    return pointer


def _call(builder: Builder, function: Value, values: Sequence[Value]) -> None:
    builder.line(f"call void {function.text}({', '.join([value.typed for value in values])})")


def _item_text(module: Module) -> str:
    """One item: its rows by some panels."""
    builder = Builder(module)
    table = _Table(builder)
    zero, one = builder.const("i64", 0), builder.const("i64", 1)
    yes, none = builder.const("i1", 1), Value("null", "ptr")
    for name, size in (("panel", PANEL_BYTES), ("strip", STRIP_BYTES)):
        builder.entry.append(f"%{name} = alloca [{size} x i8], align 64")
    a, b, c = (builder.load(builder.gep("%pointers", "ptr", place), "ptr").text for place in range(3))

    # Which item it is.
    rest, group = _divided(builder, Value("%item", "i64"), table["groups"])
    batch, block_of_rows = _divided(builder, rest, table["row_blocks"])
    moves = _places(builder, table["batch"], table["batch_levels"], batch)
    a, b, c = (_moved(builder, pointer, move) for pointer, move in zip((a, b, c), moves, strict=True))
    first_panel = builder.bin("mul", group, table["together_panels"])
    after_panel = builder.intrinsic("smin", builder.bin("add", first_panel, table["together_panels"]), table["panels"])
    first = builder.bin("mul", block_of_rows, table["row_units"])
    after = builder.intrinsic("smin", builder.bin("add", first, table["row_units"]), table["units"])
    loops, blocks, per_outer = table["loops"], table["blocks"], table["per_outer"]
    only_matrix = builder.icmp("eq", table["row_levels"], zero)
    a_unit = table["a_unit"]
    packs_rows = builder.icmp("ne", a_unit, zero)
    builder.entry.append("%rows = alloca ptr\nstore ptr null, ptr %rows")
    with builder.when(packs_rows):
        builder.line("%taken = call ptr @take_room()\nstore ptr %taken, ptr %rows")
    rows_at = "%packed_rows"
    builder.line(f"{rows_at} = load ptr, ptr %rows")
    row_bytes = builder.bin("mul", table["rows"], table["size"])
    first_outer, _ = _divided(builder, first, per_outer)
    last_outer, _ = _divided(builder, builder.bin("sub", after, one), per_outer)
    after_outer = builder.bin("add", last_outer, one)

    def tile_at(unit: Value) -> tuple[Value, Value, list[Value], Value]:
        """The outer entry of a unit, its first row, where they lie, and the first row of its tile."""
        outer, tile = _divided(builder, unit, builder.select(only_matrix, builder.const("i64", 1 << 30), per_outer))
        start = builder.bin("mul", tile, table["rows"])
        # The last tile may begin earlier than its first row, and overlap the one before it.
        base = builder.intrinsic("smin", start, table["last_row"])
        return outer, start, _places(builder, table["row"], table["row_levels"], outer), base

    with builder.loop(zero, loops) as loop, builder.loop(zero, blocks) as block:
        moves = _places(builder, table["loop"], table["loop_levels"], loop)
        here_a = _moved(builder, a, moves[0], builder.bin("mul", block, table["block_a"]))
        block_b = _moved(builder, b, moves[1], builder.bin("mul", block, table["block_b"]))
        last = builder.icmp("eq", block, builder.bin("sub", blocks, one))
        depth = builder.select(last, table["depth_last"], table["depth"])
        runs = builder.select(last, table["runs_last"], table["runs"])
        more = builder.icmp("ne", builder.bin("or", loop, block), zero)
        final = builder.bin("and", last, builder.icmp("eq", loop, builder.bin("sub", loops, one)))
        with builder.when(packs_rows), builder.loop(first_outer, after_outer) as outer:
            # The units of the item in one entry of the outer axes: they lie side by side.
            begin = builder.bin("mul", outer, per_outer)
            end = builder.intrinsic("smin", after, builder.bin("add", begin, per_outer))
            unit = builder.intrinsic("smax", first, begin)
            start = builder.bin("mul", builder.bin("sub", unit, begin), table["rows"])
            moves = _places(builder, table["row"], table["row_levels"], outer)
            left = _moved(builder, here_a, moves[0], builder.bin("mul", start, table["a_row"]))
            room = _moved(builder, rows_at, builder.bin("mul", builder.bin("sub", unit, first), a_unit))
            final_row, count = builder.bin("sub", table["last_row"], start), builder.bin("sub", end, unit)
            with builder.loop(zero, runs) as run:
                source = _moved(builder, left, builder.bin("mul", run, table["a_run"]))
                target = _moved(builder, room, builder.bin("mul", builder.bin("mul", run, depth), row_bytes))
                given = [Value(source, "ptr"), table["a_step"], Value(target, "ptr"), a_unit, depth, count, final_row]
                _call(builder, table["pack_rows"], given)
        with builder.loop(first_panel, after_panel) as panel:
            edge = builder.cast("zext", builder.icmp("sge", panel, table["full"]), "i64")
            variant = {key: table.variant(key, edge) for key in VARIANT}
            packed, direct = (builder.icmp("ne", variant[key], zero) for key in ("packed", "direct"))
            by_tile = builder.icmp("eq", variant["packed"], builder.const("i64", 2))
            here_b = _moved(builder, block_b, builder.bin("mul", panel, table["b_panel"]))
            here_c = _moved(builder, c, builder.bin("mul", panel, table["c_panel"]))
            slots = builder.bin("mul", builder.bin("sub", panel, first_panel), variant["slots"])
            strip = _moved(builder, "%strip", slots)
            strides = builder.select(last, variant["strides_last"], variant["strides"])
            with builder.when(builder.icmp("eq", variant["packed"], one)), builder.loop(zero, runs) as run:
                row = variant["strip_row"]
                source = _moved(builder, here_b, builder.bin("mul", run, table["b_run"]))
                target = _moved(builder, "%panel", builder.bin("mul", builder.bin("mul", run, depth), row))
                given = [Value(source, "ptr"), table["b_step"], table["b_column"], Value(target, "ptr"), depth]
                _call(builder, variant["pack"], [*given, variant["active"], row])
            right = builder.select(packed, Value("%panel", "ptr"), Value(here_b, "ptr"))
            first_strides = builder.select(last, variant["first_strides_last"], variant["first_strides"])
            ends = builder.bin("and", final, builder.icmp("sgt", table["touch_rows"], zero))
            finishes = builder.bin("and", final, builder.bin("xor", direct, yes))
            with builder.loop(first, after) as unit:
                outer, start, moves, base = tile_at(unit)
                left = _moved(builder, here_a, moves[0], builder.bin("mul", base, table["a_row"]))
                room = _moved(builder, rows_at, builder.bin("mul", builder.bin("sub", unit, first), a_unit))
                left = builder.select(packs_rows, Value(room, "ptr"), Value(left, "ptr")).text
                there = _moved(builder, here_c, moves[2])
                slot = _moved(builder, strip, builder.bin("mul", builder.bin("sub", unit, first), variant["slot"]))
                straight = _moved(builder, there, builder.bin("mul", base, table["c_row"]))
                with builder.when(ends):
                    given = [Value(straight, "ptr"), table["c_row"], table["touch_rows"], variant["strip_row"]]
                    _call(builder, table["touch"], given)
                aim = builder.select(direct, Value(straight, "ptr"), Value(slot, "ptr"))
                # The first tile may be one that packs: it reads the matrix itself, and those after it what it has packed.
                packs = builder.bin("and", builder.icmp("eq", unit, first), by_tile)
                function = builder.select(packs, variant["first"], variant["tile"])
                where = builder.select(packs, Value(here_b, "ptr"), right)
                how = builder.select(packs, first_strides, strides)
                flat = builder.bin("add", builder.bin("mul", outer, table["m"]), start)
                column = builder.bin("mul", panel, table["width"])
                # A tile that begins earlier than its first row would do rows twice.
                fits = builder.bin("and", builder.icmp("eq", base, start), builder.bin("xor", packs, yes))
                whole = builder.bin("and", fits, builder.bin("and", final, builder.icmp("ne", variant["whole"], none)))
                with builder.when(whole):
                    given = [
                        Value(left, "ptr"),
                        where,
                        aim,
                        how,
                        more,
                        Value("%pointers", "ptr"),
                        Value(straight, "ptr"),
                    ]
                    _call(builder, variant["whole"], [*given, table["c_row"], flat, column, table["n"]])
                with builder.when(builder.bin("xor", whole, yes)):
                    _call(builder, function, [Value(left, "ptr"), where, aim, how, more, Value("%panel", "ptr")])
                with builder.when(builder.bin("and", finishes, builder.bin("xor", whole, yes))):
                    inside = builder.intrinsic("smin", table["rows"], builder.bin("sub", table["m"], start))
                    shift = builder.bin("mul", builder.bin("sub", start, base), variant["strip_row"])
                    at_c = _moved(builder, there, builder.bin("mul", start, table["c_row"]))
                    given = [Value("%pointers", "ptr"), Value(at_c, "ptr"), Value(_moved(builder, slot, shift), "ptr")]
                    given += [variant["strip_row"], flat, inside, column, batch, variant["active"]]
                    _call(builder, variant["finish"], [*given, table["c_row"], table["c_column"], table["n"]])
    with builder.when(packs_rows):
        builder.line(f"call void @give_room(ptr {rows_at})")
    builder.line("ret void")
    return builder.function("define internal void @item(ptr %table, ptr %pointers, i64 %item)")


def store_text(module: Module, name: str, kind: str) -> str:
    """The finishing function of a product without an epilogue: the strip is copied."""
    builder = Builder(module)
    lanes = module.lanes(kind)
    zero = builder.const("i64", 0)
    rows, active, strip_row = (Value(text, "i64") for text in ("%rows", "%active", "%strip_row"))
    size = builder.gep("null", kind, 1)
    builder.line(f"%size = ptrtoint ptr {size} to i64")
    near = builder.icmp("eq", Value("%c_column", "i64"), Value("%size", "i64"))
    whole = builder.select(near, builder.bin("and", active, builder.const("i64", -lanes)), zero)
    with builder.loop(zero, rows) as row:
        source = builder.gep("%strip", "i8", builder.bin("mul", row, strip_row))
        target = builder.gep("%c", "i8", builder.bin("mul", row, Value("%c_row", "i64")))
        with builder.loop(zero, whole, lanes) as at:
            builder.store(builder.load(builder.gep(source, kind, at), kind, lanes), builder.gep(target, kind, at))
        with builder.loop(whole, active) as at:
            found = builder.load(builder.gep(source, kind, at), kind)
            builder.store(found, builder.gep(target, "i8", builder.bin("mul", at, Value("%c_column", "i64"))))
    builder.line("ret void")
    return builder.function("define " + FINISH.format(name))


def touch_text(module: Module, name: str, kind: str) -> str:
    """``void @touch(ptr %c, i64 %c_row, i64 %rows, i64 %bytes)``: ask for what a tile will write when it is done."""
    builder = Builder(module)
    module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    zero = builder.const("i64", 0)
    with builder.loop(zero, Value("%rows", "i64")) as row:
        at = builder.gep("%c", "i8", builder.bin("mul", row, Value("%c_row", "i64")))
        with builder.loop(zero, Value("%bytes", "i64"), 64) as byte:
            builder.line(f"call void @llvm.prefetch.p0(ptr {builder.gep(at, 'i8', byte)}, i32 1, i32 3, i32 1)")
    builder.line("ret void")
    return builder.function(f"define void @{name}(ptr %c, i64 %c_row, i64 %rows, i64 %bytes)")

"""The register tile: a few rows of a matrix product by a few vectors, the inner loop of every product and convolution.

Strides and depth come at run time, from a constant table, so that all products share a handful of tiles. The
depth is a number of runs: one for a matrix, more where the rows of the left operand are not contiguous, as the patches of
an image.
"""

from __future__ import annotations

from typing import NamedTuple

from graphnn.backend.native.cuts import Emit, Spot
from graphnn.backend.native.emit import BYTES, Builder, Module, Value, type_text

_AHEAD = 24
"""Steps of the depth, for which a tile that packs asks before it reads them."""


_WHOLE = ("c_top", "c_left", "c_columns", "c_row")
WHOLE = (
    "void @{}(ptr %a, ptr %b, ptr %t, ptr noalias %s, i1 %more, ptr %pointers, ptr %c, i64 %c_row, i64 %c_top, "
    "i64 %c_left, i64 %c_columns)"
)
"""The head of a tile with an epilogue of its own."""


class Strides(NamedTuple):
    """What a tile has to know about its operands, all in bytes but the two counts.

    Parameters
    ----------
    row, step, jump : of the left operand: from row to row, along the depth, and what is added after each run
    b_step, b_jump : of the right operand: along the depth, and what is added after each run
    t_row : from row to row of the result
    depth, runs : steps of a run, number of runs; both at least 1
    rows, columns, b_column : for `dots_text` alone: what is inside the matrices, and from column to column of b
    """

    row: int
    step: int
    jump: int
    b_step: int
    b_jump: int
    t_row: int
    depth: int
    runs: int = 1
    rows: int = 0
    columns: int = 0
    b_column: int = 0

    def constant(self, module: Module) -> str:
        """The name of the constant with these numbers, with its at sign."""
        numbers = ", ".join([f"i64 {number}" for number in self])
        return "@" + module.once(
            ("strides", self), lambda name: f"@{name} = internal constant [{len(self)} x i64] [{numbers}]"
        )


def tile_text(module: Module, name: str, kind: str, rows: int, vectors: int, packs: int) -> str:
    """``void @tile(ptr %a, ptr %b, ptr %t, ptr %strides, i1 %more, ptr %to)``: ``t = a @ b``, or ``t += a @ b`` if more.

    t has `rows` rows of `vectors` vectors. The elements of a row of b and of t are neighbours; a has any strides. A tile that
    `packs` also copies what it reads of b, row after row, to where the next tiles read it: so it computes while it waits for
    memory.
    """
    vector = type_text(kind, module.lanes(kind))
    lines = [f"define void @{name}(ptr %a, ptr %b, ptr %t, ptr noalias %s, i1 %more, ptr %to) {{\nentry:"]
    lines += _sums(module, kind, rows, vectors, packs)
    for i in range(rows):
        for j in range(vectors):
            lines.append(f"%w{i}.{j} = getelementptr {vector}, ptr %t{i}, i64 {j}")
            lines.append(f"store {vector} %n{i}.{j}, ptr %w{i}.{j}, align {BYTES[kind]}")
    return "\n".join([*lines, "ret void\n}"])


def whole_text(module: Module, name: str, kind: str, rows: int, vectors: int, pointers: int, emit: Emit) -> str:
    """A tile with the head `WHOLE`, which does the epilogue to the sums while they are in registers, and stores what it gives.

    t holds the sums of earlier blocks, if there are more; the result goes to c, which is in row c_top and column c_left of a
    matrix with rows of c_columns.
    """
    b, lanes, size = Builder(module, 1000), module.lanes(kind), BYTES[kind]
    b.lines += _sums(module, kind, rows, vectors, 0)
    given, (first, column, n, c_row) = pointers_of(b, pointers), (Value(f"%{x}", "i64") for x in _WHOLE)
    for i in range(rows):
        row = b.bin("add", first, b.const("i64", i))
        line, target = b.bin("mul", row, n), b.gep("%c", "i8", b.bin("mul", c_row, b.const("i64", i)))
        for j in range(vectors):
            spot = Spot(row, line, b.bin("add", column, b.const("i64", j * lanes)), lanes)
            b.store(emit(b, Value(f"%n{i}.{j}", kind, lanes), spot, given), b.gep(target, "i8", j * lanes * size))
    b.line("ret void")
    return b.function("define internal " + WHOLE.format(name))


def pointers_of(builder: Builder, count: int) -> list[str]:
    """The pointers of an epilogue, which stand behind those of the product."""
    return [builder.load(builder.gep("%pointers", "ptr", 4 + place), "ptr").text for place in range(count)]


def _sums(module: Module, kind: str, rows: int, vectors: int, packs: int) -> list[str]:
    """The instructions of a tile up to its sums, ``%n0.0``, ``%n0.1`` ..."""
    lanes, size = module.lanes(kind), BYTES[kind]
    vector = type_text(kind, lanes)
    grid = [(i, j) for i in range(rows) for j in range(vectors)]
    lines: list[str] = []
    put = lines.append
    for place, what in enumerate(Strides._fields):
        put(f"%s.{what} = getelementptr i64, ptr %s, i64 {place}\n%{what} = load i64, ptr %s.{what}")
    for i in range(rows):
        put(f"%tr{i} = mul i64 %t_row, {i}\n%t{i} = getelementptr i8, ptr %t, i64 %tr{i}")
    # One pointer serves four rows, by what an address can add: LLVM, left alone, would add up pointers row by row, which
    # takes places of the multiplications. It must not see what these registers have to do with each other.
    groups = range(-(-rows // 4))
    put(f"%row3 = mul i64 %row, 3\n%ahead = mul i64 %b_step, {_AHEAD}")
    for g in groups:
        put(f"%ar{g} = mul i64 %row, {4 * g}\n%a{g} = getelementptr i8, ptr %a, i64 %ar{g}")
    put("br i1 %more, label %old, label %start\nold:")
    for i, j in grid:
        put(f"%tp{i}.{j} = getelementptr {vector}, ptr %t{i}, i64 {j}")
        put(f"%o{i}.{j} = load {vector}, ptr %tp{i}.{j}, align {size}")
    put("br label %start\nstart:")
    for i, j in grid:
        put(f"%z{i}.{j} = phi {vector} [zeroinitializer, %entry], [%o{i}.{j}, %old]")
    put("br label %loop\nloop:")
    for i, j in grid:
        put(f"%c{i}.{j} = phi {vector} [%z{i}.{j}, %start], [%n{i}.{j}, %loop], [%n{i}.{j}, %next]")
    put("%left = phi i64 [%depth, %start], [%less, %loop], [%depth, %next]")
    put("%run = phi i64 [%runs, %start], [%run, %loop], [%fewer, %next]")
    put("%pb = phi ptr [%b, %start], [%pb1, %loop], [%pb2, %next]")
    for g in groups:
        put(f"%pa{g}.0 = phi ptr [%a{g}, %start], [%pa{g}.1, %loop], [%pa{g}.2, %next]")
    if packs:  # where the matrix is far away, what is read later has to be asked for now
        module.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        put("%pt = phi ptr [%to, %start], [%pt1, %loop], [%pt1, %next]")
    for g in groups:
        put(_apart(f"pa{g}", f"%pa{g}.0"))
    for j in range(vectors):
        put(f"%bp{j} = getelementptr {vector}, ptr %pb, i64 {j}\n%b{j} = load {vector}, ptr %bp{j}, align {size}")
        if packs:
            put(f"%q{j} = getelementptr {vector}, ptr %pt, i64 {j}\nstore {vector} %b{j}, ptr %q{j}, align {size}")
            if j * lanes * size % 64 == 0:
                put(f"%far{j} = getelementptr i8, ptr %bp{j}, i64 %ahead")
                put(f"call void @llvm.prefetch.p0(ptr %far{j}, i32 0, i32 3, i32 1)")
    fma = f"@llvm.fma.{'' if lanes == 1 else f'v{lanes}'}{'f32' if kind == 'float' else 'f64'}"
    if module.fma:
        module.declare(f"declare {vector} {fma}({vector}, {vector}, {vector})")
    for i in range(rows):
        away = ("0", "%row", f"%row2.{i}", "%row3")[i % 4]
        if i % 4 == 2:
            put(f"{away} = shl i64 %row, 1")
        put(f"%x{i} = getelementptr i8, ptr %pa{i // 4}, i64 {away}\n%e{i} = load {kind}, ptr %x{i}, align {size}")
        if lanes > 1:
            put(f"%f{i} = insertelement {vector} undef, {kind} %e{i}, i32 0")
            put(f"%r{i} = shufflevector {vector} %f{i}, {vector} undef, <{lanes} x i32> zeroinitializer")
        repeated = f"%r{i}" if lanes > 1 else f"%e{i}"
        for j in range(vectors):
            if module.fma:
                put(f"%n{i}.{j} = call {vector} {fma}({vector} {repeated}, {vector} %b{j}, {vector} %c{i}.{j})")
            else:
                put(f"%p{i}.{j} = fmul {vector} {repeated}, %b{j}\n%n{i}.{j} = fadd {vector} %c{i}.{j}, %p{i}.{j}")
    put("%pb1 = getelementptr i8, ptr %pb, i64 %b_step\n%less = add i64 %left, -1\n%same = icmp ne i64 %less, 0")
    if packs:
        put(f"%pt1 = getelementptr {vector}, ptr %pt, i64 {vectors}")
    for g in groups:
        put(f"%pa{g}.1 = getelementptr i8, ptr %pa{g}, i64 %step")
    put("br i1 %same, label %loop, label %next\nnext:")
    put("%pb2 = getelementptr i8, ptr %pb1, i64 %b_jump\n%fewer = add i64 %run, -1\n%again = icmp ne i64 %fewer, 0")
    for g in groups:
        put(f"%pa{g}.2 = getelementptr i8, ptr %pa{g}.1, i64 %jump")
    put("br i1 %again, label %loop, label %out\nout:")
    return lines


def _apart(name: str, value: str) -> str:
    """A copy of a pointer of which LLVM knows nothing; it costs no instruction."""
    return f'%{name} = call ptr asm "", "=r,0"(ptr {value})'


def dots_text(module: Module, name: str, kind: str) -> str:
    """A tile for few rows where the depth lies in neighbours in both operands: inner products, without packing.

    As `tile_text`, but for any number of rows, and one vector of columns. Each column has a vector that sums over the depth;
    in the end these are added up together.
    """
    lanes, size = module.lanes(kind), BYTES[kind]
    vector, short = type_text(kind, lanes), "f32" if kind == "float" else "f64"
    lines: list[str] = []
    put = lines.append
    multiply = f"@llvm.fma.v{lanes}{short}"
    if module.fma:
        module.declare(f"declare {vector} {multiply}({vector}, {vector}, {vector})")
    masked = f"@llvm.masked.load.v{lanes}{short}.p0"
    module.declare(f"declare {vector} {masked}(ptr, i32, <{lanes} x i1>, {vector})")
    module.declare("declare i64 @llvm.smin.i64(i64, i64)")

    def step(tag: str, load: str, sums: str) -> None:
        put(f"%pa.{tag} = getelementptr i8, ptr %a1, i64 %at.{tag}\n%va.{tag} = {load.format(f'%pa.{tag}')}")
        for j in range(lanes):
            put(
                f"%pb{j}.{tag} = getelementptr i8, ptr %b{j}, i64 %at.{tag}\n%vb{j}.{tag} = {load.format(f'%pb{j}.{tag}')}"
            )
            pair = f"{vector} %va.{tag}, {vector} %vb{j}.{tag}"
            if module.fma:
                put(f"%n{j}.{tag} = call {vector} {multiply}({pair}, {vector} %{sums}{j})")
            else:
                put(
                    f"%m{j}.{tag} = fmul {vector} %va.{tag}, %vb{j}.{tag}\n%n{j}.{tag} = fadd {vector} %{sums}{j}, %m{j}.{tag}"
                )

    put(f"define void @{name}(ptr %a, ptr %b, ptr %t, ptr noalias %s, i1 %more, ptr %to) {{\nentry:")
    for place, what in enumerate(Strides._fields):
        put(f"%s.{what} = getelementptr i64, ptr %s, i64 {place}\n%{what} = load i64, ptr %s.{what}")
    put(f"%bytes = mul i64 %depth, {size}\n%whole = and i64 %bytes, {-lanes * size}\n%last = add i64 %columns, -1")
    put(f"%rest = sub i64 %bytes, %whole\n%count = udiv exact i64 %rest, {size}\n%tail = icmp ne i64 %rest, 0")
    put(f"%first = icmp ne i64 %whole, 0\n%o = insertelement <{lanes} x i64> undef, i64 %count, i32 0")
    put(f"%every = shufflevector <{lanes} x i64> %o, <{lanes} x i64> undef, <{lanes} x i32> zeroinitializer")
    put(f"%mask = icmp slt <{lanes} x i64> <{', '.join(f'i64 {j}' for j in range(lanes))}>, %every")
    for j in range(lanes):
        put(f"%k{j} = call i64 @llvm.smin.i64(i64 {j}, i64 %last)\n%o{j} = mul i64 %k{j}, %b_column")
        put(f"%b{j} = getelementptr i8, ptr %b, i64 %o{j}")
    put("br label %line\nline:\n%i = phi i64 [0, %entry], [%i1, %end]")
    put("%oa = mul i64 %i, %row\n%a1 = getelementptr i8, ptr %a, i64 %oa\n%ot = mul i64 %i, %t_row")
    put("%t1 = getelementptr i8, ptr %t, i64 %ot\nbr i1 %first, label %loop, label %rests\nloop:")
    put("%at.l = phi i64 [0, %line], [%at1, %loop]")
    for j in range(lanes):
        put(f"%c{j} = phi {vector} [zeroinitializer, %line], [%n{j}.l, %loop]")
    step("l", f"load {vector}, ptr {{}}, align {size}", "c")
    put(f"%at1 = add i64 %at.l, {lanes * size}\n%go = icmp slt i64 %at1, %whole")
    put("br i1 %go, label %loop, label %rests\nrests:")
    for j in range(lanes):
        put(f"%d{j} = phi {vector} [zeroinitializer, %line], [%n{j}.l, %loop]")
    put("br i1 %tail, label %part, label %sum\npart:\n%at.p = add i64 %whole, 0")
    step("p", f"call {vector} {masked}(ptr {{}}, i32 {size}, <{lanes} x i1> %mask, {vector} zeroinitializer)", "d")
    put("br label %sum\nsum:")
    for j in range(lanes):
        put(f"%e0.{j} = phi {vector} [%d{j}, %rests], [%n{j}.p, %part]")
    even, odd = (", ".join(f"i32 {2 * j + k}" for j in range(lanes)) for k in (0, 1))
    level, count = 0, lanes
    while count > 1:
        for j in range(count // 2):
            x, y = f"%e{level}.{2 * j}", f"%e{level}.{2 * j + 1}"
            for k, chosen in ((0, even), (1, odd)):
                put(f"%h{level}.{j}.{k} = shufflevector {vector} {x}, {vector} {y}, <{lanes} x i32> <{chosen}>")
            put(f"%e{level + 1}.{j} = fadd {vector} %h{level}.{j}.0, %h{level}.{j}.1")
        level, count = level + 1, count // 2
    put(f"br i1 %more, label %add, label %end\nadd:\n%old = load {vector}, ptr %t1, align {size}")
    put(f"%new = fadd {vector} %old, %e{level}.0\nbr label %end\nend:")
    put(f"%r = phi {vector} [%e{level}.0, %sum], [%new, %add]\nstore {vector} %r, ptr %t1, align {size}")
    put(
        "%i1 = add i64 %i, 1\n%again = icmp slt i64 %i1, %rows\nbr i1 %again, label %line, label %out\nout:\nret void\n}"
    )
    return "\n".join(lines)

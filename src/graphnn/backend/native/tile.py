"""The register tile: a few rows of a matrix product by a few vectors, the inner loop of every product and convolution.

Strides and depth come at run time, from a constant table, so that all products share a handful of tiles. The
depth is a number of runs: one for a matrix, more where the rows of the left operand are not contiguous, as the patches of
an image.
"""

from __future__ import annotations

from typing import NamedTuple

from graphnn.backend.native.emit import BYTES, Module, type_text


class Strides(NamedTuple):
    """What a tile has to know about its operands, all in bytes but the two counts.

    Parameters
    ----------
    row, step, jump : of the left operand: from row to row, along the depth, and what is added after each run
    b_step, b_jump : of the right operand: along the depth, and what is added after each run
    t_row : from row to row of the result
    depth, runs : steps of a run, number of runs; both at least 1
    """

    row: int
    step: int
    jump: int
    b_step: int
    b_jump: int
    t_row: int
    depth: int
    runs: int = 1

    def constant(self, module: Module) -> str:
        """The name of the constant with these numbers, with its at sign."""
        numbers = ", ".join([f"i64 {number}" for number in self])
        return "@" + module.once(
            ("strides", self), lambda name: f"@{name} = internal constant [{len(self)} x i64] [{numbers}]"
        )


def tile_text(module: Module, name: str, kind: str, rows: int, vectors: int, packs: int) -> str:
    """``void @tile(ptr %a, ptr %b, ptr %t, ptr %strides, i1 %more, ptr %to)``: ``t = a @ b``, or ``t += a @ b`` if more.

    t has `rows` rows of `vectors` vectors. The elements of a row of b and of t are neighbours; a has any strides. A tile that
    `packs` also copies what it reads of b, row after row, to where the next tiles read it: to wait for memory and to compute go on
    at the same time.
    """
    lanes, size = module.lanes(kind), BYTES[kind]
    vector = type_text(kind, lanes)
    grid = [(i, j) for i in range(rows) for j in range(vectors)]
    lines: list[str] = []
    put = lines.append
    put(f"define void @{name}(ptr %a, ptr %b, ptr %t, ptr noalias %s, i1 %more, ptr %to) {{\nentry:")
    for place, what in enumerate(Strides._fields):
        put(f"%s.{what} = getelementptr i64, ptr %s, i64 {place}\n%{what} = load i64, ptr %s.{what}")
    for i in range(rows):
        put(f"%tr{i} = mul i64 %t_row, {i}\n%t{i} = getelementptr i8, ptr %t, i64 %tr{i}")
        put(f"%ar{i} = mul i64 %row, {i}\n%a{i} = getelementptr i8, ptr %a, i64 %ar{i}")
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
    put("%at = phi i64 [0, %start], [%at1, %loop], [%at2, %next]")
    if packs:
        put("%pt = phi ptr [%to, %start], [%pt1, %loop], [%pt1, %next]")
    for j in range(vectors):
        put(f"%bp{j} = getelementptr {vector}, ptr %pb, i64 {j}\n%b{j} = load {vector}, ptr %bp{j}, align {size}")
        if packs:
            put(f"%q{j} = getelementptr {vector}, ptr %pt, i64 {j}\nstore {vector} %b{j}, ptr %q{j}, align {size}")
    fma = f"@llvm.fma.{'' if lanes == 1 else f'v{lanes}'}{'f32' if kind == 'float' else 'f64'}"
    if module.fma:
        module.declare(f"declare {vector} {fma}({vector}, {vector}, {vector})")
    for i in range(rows):
        put(f"%x{i} = getelementptr i8, ptr %a{i}, i64 %at\n%e{i} = load {kind}, ptr %x{i}, align {size}")
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
    put("%at1 = add i64 %at, %step\nbr i1 %same, label %loop, label %next\nnext:")
    put("%pb2 = getelementptr i8, ptr %pb1, i64 %b_jump\n%fewer = add i64 %run, -1\n%again = icmp ne i64 %fewer, 0")
    put("%at2 = add i64 %at1, %jump\nbr i1 %again, label %loop, label %out\nout:")
    for i, j in grid:
        put(f"%w{i}.{j} = getelementptr {vector}, ptr %t{i}, i64 {j}")
        put(f"store {vector} %n{i}.{j}, ptr %w{i}.{j}, align {size}")
    put("ret void\n}")
    return "\n".join(lines)

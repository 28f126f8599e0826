"""Kernels that put arrays together: joins, paddings, gathers and scatters, as loops over copies of strided blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from graphnn.backend.native.emit import Builder, Value
from graphnn.backend.native.items import Sizes


def fill_with_zeros(b: Builder, pointer: str, size: int) -> None:
    """Set bytes to zero."""
    b.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    b.line(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {size}, i1 false)")


def joined(shape: Sizes, *strides: Sizes) -> tuple[Sizes, tuple[Sizes, ...]]:
    """The shape and the strides with axes joined that all arrays walk through as one, without axes of size 1."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(part[-1] == each[axis] * n for part, each in zip(steps, strides, strict=True)):
            sizes[-1] *= n
            for part, each in zip(steps, strides, strict=True):
                part[-1] = each[axis]
            continue
        sizes.append(n)
        for part, each in zip(steps, strides, strict=True):
            part.append(each[axis])
    return tuple(sizes), tuple(map(tuple, steps))


def copy_block(
    b: Builder,
    kind: str,
    shape: Sizes,
    target: tuple[str, Sizes],
    source: tuple[str, Sizes],
    combine: str = "",
) -> None:
    """Copy a strided block, or combine it with what is there by an instruction such as ``fadd``.

    `target` and `source` are the address of the first element and the strides.
    """
    memory = "i8" if kind == "i1" else kind  # a bool is a byte that is moved as it is
    sizes, (to, out_of) = joined(shape, target[1], source[1])
    _copy(b, memory, sizes, (target[0], to), (source[0], out_of), combine)


def _copy(
    b: Builder, kind: str, shape: Sizes, target: tuple[str, Sizes], source: tuple[str, Sizes], combine: str
) -> None:
    (into, to), (out_of, step) = target, source
    if len(shape) > 1:
        with b.loop(0, shape[0]) as i:
            inner = [
                b.gep(pointer, kind, b.bin("mul", i, b.const("i64", strides[0])))
                for pointer, strides in ((into, to), (out_of, step))
            ]
            _copy(b, kind, shape[1:], (inner[0], to[1:]), (inner[1], step[1:]), combine)
        return
    n = shape[0] if shape else 1
    lanes = min(b.module.lanes(kind), 32)
    if n > 1 and to[0] == 1 and step[0] in (0, 1) and lanes > 1:
        main = n - n % lanes
        if main:
            with b.loop(0, main, lanes) as i:
                _move(
                    b,
                    kind,
                    b.gep(into, kind, i),
                    b.gep(out_of, kind, i) if step[0] else out_of,
                    lanes,
                    lanes,
                    combine,
                    step[0],
                )
        if n > main:
            rest = n - main
            place = b.gep(out_of, kind, main) if step[0] else out_of
            _move(b, kind, b.gep(into, kind, main), place, lanes, rest, combine, step[0])
        return
    with b.loop(0, n) as i:
        places = [
            b.gep(pointer, kind, b.bin("mul", i, b.const("i64", strides[0] if strides else 0)))
            for pointer, strides in ((into, to), (out_of, step))
        ]
        _move(b, kind, places[0], places[1], 1, 1, combine, 1)


def _move(b: Builder, kind: str, into: str, out_of: str, lanes: int, active: int, combine: str, step: int) -> None:
    value = b.load(out_of, kind, lanes, active) if step else b.splat(b.load(out_of, kind), lanes)
    if combine:
        value = b.bin(combine, b.load(into, kind, lanes, active), value)
    b.store(value, into, active)


def index_of(b: Builder, pointer: str, kind: str, signed: bool, size: int, failed: str) -> Value:
    """An index read from memory, counted from the end if it is negative; out of range, the function ends with 1."""
    raw = b.load(pointer, kind)
    index = raw if kind == "i64" else b.cast("sext" if signed else "zext", raw, "i64")
    if signed:
        wrapped = b.bin("add", index, b.const("i64", size))
        index = b.select(b.icmp("slt", index, b.const("i64", 0)), wrapped, index)
    inside = b.icmp("ult", index, b.const("i64", size))
    following = b.fresh("ok")[1:]
    b.line(f"br {inside.typed}, label %{following}, label %{failed}")
    b.label(following)
    return index


@contextmanager
def walk(b: Builder, shape: Sizes, *pointers: tuple[str, str, Sizes]) -> Iterator[list[str]]:
    """Loops over a shape; gives the addresses at the present place.

    Each pointer is an address, the kind of its elements and its strides.
    """
    places = [pointer for pointer, _, _ in pointers]
    with ExitStack() as loops:
        for axis, n in enumerate(shape):
            if n == 1:
                continue
            index = loops.enter_context(b.loop(0, n))
            places = [
                b.gep(place, kind, b.bin("mul", index, b.const("i64", strides[axis]))) if strides[axis] else place
                for place, (_, kind, strides) in zip(places, pointers, strict=True)
            ]
        yield places

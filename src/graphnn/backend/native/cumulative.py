"""Running sums, products and extremes, and the places of extremes: one walk along an axis, with vectors across it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from graphnn.backend.native.assembly import walk
from graphnn.backend.native.emit import Builder, Module, Value
from graphnn.backend.native.items import KINDS, Item, Kernel, Sizes, View, contiguous
from graphnn.backend.native.lower import lower_whole
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ops.cumulative import CumulativeMax, CumulativeMin, CumulativeProd, CumulativeSum
from graphnn.ops.reduction import Argmax, Argmin


def better(b: Builder, x: Value, y: Value, dtype: DType, largest: bool) -> Value:
    """Where x is better than y: larger, or smaller; NaN is better than any number, and nothing is better than NaN."""
    if dtype.is_floating:
        # Not (x <= y) is true for NaN, too.
        wins = b.fcmp("ugt" if largest else "ult", x, y)
        return b.bin("and", wins, b.fcmp("ord", y, y))
    sign = "s" if dtype.kind == "int" else "u"
    return b.icmp(sign + ("gt" if largest else "lt"), x, y)


@contextmanager
def lines(b: Builder, shape: Sizes, axis: int, kinds: list[tuple[str, str, Sizes]]) -> Iterator[tuple[list[str], int]]:
    """Loops over all lines along an axis: the addresses of their first elements, and how many lines are taken at once.

    Neighbouring lines are taken together, as vectors, where they lie side by side in all arrays. `kinds` are the pointer,
    the kind and the strides of each.
    """
    last = len(shape) - 1
    lanes = min(b.module.lanes(kind) for _, kind, _ in kinds)
    wide = axis != last and lanes > 1 and shape[last] >= lanes and all(strides[last] == 1 for _, _, strides in kinds)
    outer = tuple([1 if i == axis or (wide and i == last) else n for i, n in enumerate(shape)])
    with walk(b, outer, *kinds) as places:
        if not wide:
            yield places, 1
            return
        # The last vectors overlap where the lines are no multiple: what is done twice has the same result.
        end = b.const("i64", shape[last] - lanes)
        with b.loop(0, shape[last], lanes) as at:
            first = b.intrinsic("smin", at, end)
            yield [b.gep(place, kind, first) for place, (_, kind, _) in zip(places, kinds, strict=True)], lanes


def _memory(kind: str) -> str:
    return "i8" if kind == "i1" else kind


def _kernel(key: Any, item: Item, x: View, write: Callable[[Builder], None]) -> Callable[[Module], Kernel]:
    def text(module: Module, name: str) -> str:
        b = Builder(module)
        write(b)
        b.line("ret void")
        return b.function(f"define internal void @{name}(ptr %p0, ptr %p1)")

    full = ("along", *key, x.shape, x.strides, x.item.dtype.name)
    return lambda module: Kernel(module.once(full, lambda name: text(module, name)), ((item, 0), (x.item, x.offset)))


def _running(
    op: Any, node: Node, views: list[View], item: Item, start: float, step: Callable[[Builder, Value, Value], Value]
) -> Callable[[Module], Kernel] | None:
    (x,) = views
    kind = KINDS.get(node.dtype.name)
    if kind is None or 0 in x.shape:
        return None
    axis, n = op.axis, x.shape[op.axis]
    reverse, exclusive = getattr(op, "reverse", False), getattr(op, "exclusive", False)
    to = contiguous(item.shape)

    def write(b: Builder) -> None:
        arrays = [("%p0", kind, to), ("%p1", kind, x.strides)]
        with lines(b, x.shape, axis, arrays) as ((into, out_of), lanes):
            # The first element counts as it is: -0 is what adds nothing to any number, and 1 multiplies none.
            neutral = -0.0 if start == 0 and node.dtype.is_floating else start
            total = b.variable(b.const(kind, neutral, lanes))
            b.set(total, b.const(kind, neutral, lanes))
            with b.loop(b.const("i64", 0), b.const("i64", n)) as i:
                place = b.bin("sub", b.const("i64", n - 1), i) if reverse else i
                value = b.load(b.gep(out_of, kind, b.bin("mul", place, b.const("i64", x.strides[axis]))), kind, lanes)
                before, first = b.get(total), b.icmp("eq", i, b.const("i64", 0))
                made = step(b, before, value)
                if extremum:
                    made = b.select(first, value, made)
                shown = b.select(first, b.const(kind, start, lanes), before) if exclusive else made
                b.store(shown, b.gep(into, kind, b.bin("mul", place, b.const("i64", to[axis]))))
                b.set(total, made)

    extremum = isinstance(op, (CumulativeMax, CumulativeMin))
    return _kernel((op, node.dtype.name), item, x, write)


@lower_whole.register
def _(op: CumulativeSum, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    add = "fadd" if node.dtype.is_floating else "add"
    return _running(op, node, views, item, 0.0, lambda b, x, y: b.bin(add, x, y))


@lower_whole.register
def _(op: CumulativeProd, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    multiply = "fmul" if node.dtype.is_floating else "mul"
    return _running(op, node, views, item, 1.0, lambda b, x, y: b.bin(multiply, x, y))


def _extremum(op: Any, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    largest = isinstance(op, CumulativeMax)

    def step(b: Builder, x: Value, y: Value) -> Value:
        return b.select(better(b, y, x, node.dtype, largest), y, x)

    return _running(op, node, views, item, 0.0, step)


def _place(op: Any, node: Node, views: list[View], item: Item) -> Callable[[Module], Kernel] | None:
    (x,) = views
    dtype = node.inputs[0].dtype
    kind = KINDS.get(dtype.name)
    if kind is None or 0 in x.shape:
        return None
    (axis,) = op.axes
    largest, n = isinstance(op, Argmax), x.shape[axis]
    shape = tuple([1 if i == axis else size for i, size in enumerate(x.shape)])
    to = contiguous(shape)

    def write(b: Builder) -> None:
        arrays = [("%p0", "i64", to), ("%p1", _memory(kind), x.strides)]
        with lines(b, x.shape, axis, arrays) as ((into, out_of), lanes):
            best, where = b.variable(b.const(kind, 0, lanes)), b.variable(b.const("i64", 0, lanes))
            b.set(best, b.load(out_of, kind, lanes))
            b.set(where, b.const("i64", 0, lanes))
            with b.loop(b.const("i64", 1), b.const("i64", n)) as i:
                place = b.gep(out_of, _memory(kind), b.bin("mul", i, b.const("i64", x.strides[axis])))
                value = b.load(place, kind, lanes)
                wins = better(b, value, b.get(best), dtype, largest)
                b.set(best, b.select(wins, value, b.get(best)))
                b.set(where, b.select(wins, b.splat(i, lanes), b.get(where)))
            b.store(b.get(where), into)

    return _kernel((type(op).__name__, axis), item, x, write)


for _class in (CumulativeMax, CumulativeMin):
    lower_whole.register(_class, _extremum)
for _position in (Argmax, Argmin):
    lower_whole.register(_position, _place)

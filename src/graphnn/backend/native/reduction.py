"""The reductions: how accumulators start, take a vector of values, and become one number. The order is fixed."""

from __future__ import annotations

from typing import Any

from graphnn.backend.native.elementwise import larger, smaller
from graphnn.backend.native.emit import Builder, Value
from graphnn.backend.native.items import Item
from graphnn.ir.node import Node
from graphnn.ops import reduction

Variable = tuple[str, str, int]


class Reducer:
    """One reduction in a loop: of an accumulator with as many lanes as the loop has."""

    blocks = False  # whether its accumulators start anew for each block, for smaller errors

    def __init__(self, item: Item) -> None:
        self.dtype, self.kind = item.dtype, item.kind

    def identity(self) -> float:
        """What changes nothing."""
        raise NotImplementedError

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        """Two values as one."""
        raise NotImplementedError

    def start(self, b: Builder, lanes: int) -> Variable:
        """A fresh accumulator."""
        return b.variable(b.const(self.kind, self.identity(), lanes))

    def step(self, b: Builder, into: Variable, value: Value, active: int | None, place: Value) -> None:
        """Take in a vector of values, of which the first `active` count; `place` is the index of the first."""
        value = b.splat(value, into[2])
        if active is not None:
            none = b.const(self.kind, self.identity(), value.lanes)
            value = b.select(b.mask(value.lanes, active), value, none)
        b.set(into, self.combine(b, b.get(into), value))

    def join(self, b: Builder, into: Variable, other: Variable) -> None:
        """Take in another accumulator."""
        b.set(into, self.combine(b, b.get(into), b.get(other)))

    def finish(self, b: Builder, variable: Variable, across: bool) -> Value:
        """The result; of all lanes where they are parts of one row."""
        value = b.get(variable)
        while across and value.lanes > 1:
            half = value.lanes // 2
            low, high = (self._half(b, value, start, half) for start in (0, half))
            value = self.combine(b, low, high)
        return value

    @staticmethod
    def _half(b: Builder, value: Value, start: int, count: int) -> Value:
        if count == 1:
            return b.extract(value, start)
        picked = ", ".join(f"i32 {start + i}" for i in range(count))
        return b.pure(f"shufflevector {value.typed}, {value.type} undef, <{count} x i32> <{picked}>", value.kind, count)


class _Sum(Reducer):
    def __init__(self, item: Item) -> None:
        super().__init__(item)
        self.blocks = self.dtype.is_floating

    def identity(self) -> float:
        return 0

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        return b.bin("fadd" if self.dtype.is_floating else "add", x, y)


class _Prod(Reducer):
    def identity(self) -> float:
        return 1

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        return b.bin("fmul" if self.dtype.is_floating else "mul", x, y)


class _Max(Reducer):
    def identity(self) -> float:
        if self.dtype.is_floating:
            return -float("inf")
        return -(2 ** (self.dtype.bits - 1)) if self.dtype.kind == "int" else 0

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        if self.dtype.is_floating:
            return larger(b, x, y)
        return b.select(b.icmp("sgt" if self.dtype.kind == "int" else "ugt", x, y), x, y)


class _Min(Reducer):
    def identity(self) -> float:
        if self.dtype.is_floating:
            return float("inf")
        return (1 << (self.dtype.bits - (self.dtype.kind == "int"))) - 1

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        if self.dtype.is_floating:
            return smaller(b, x, y)
        return b.select(b.icmp("slt" if self.dtype.kind == "int" else "ult", x, y), x, y)


class _All(Reducer):
    def identity(self) -> float:
        return 1

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        return b.bin("and", x, y)


class _Any(Reducer):
    def identity(self) -> float:
        return 0

    def combine(self, b: Builder, x: Value, y: Value) -> Value:
        return b.bin("or", x, y)


REDUCERS: dict[type[Any], type[Reducer]] = {
    reduction.Sum: _Sum,
    reduction.Prod: _Prod,
    reduction.Max: _Max,
    reduction.Min: _Min,
    reduction.All: _All,
    reduction.Any_: _Any,
}


def reducer_of(item: Item) -> Reducer:
    """The reducer of a reduction."""
    return REDUCERS[type(item.key)](item)


def reduces(node: Node) -> bool:
    """Whether a node is a reduction that can run in a loop nest."""
    return type(node.op) in REDUCERS

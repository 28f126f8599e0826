"""Exponentials, logarithms, powers and the trigonometric functions, by own vector code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.backend.native import hyperbolic as h
from graphnn.backend.native import mathematics as m
from graphnn.backend.native import powers
from graphnn.backend.native.emit import Builder, Value
from graphnn.backend.native.items import Emit
from graphnn.backend.native.lower import casting, has_kind, lower
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ops import arithmetic, trigonometric
from graphnn.ops import exponential as e


def dear(emit: Emit) -> Emit:
    """The emitter, marked as one whose values are rather kept than computed again."""

    def marked(b: Builder, *values: Value) -> Value:
        return emit(b, *values)

    marked.dear = True  # type: ignore[attr-defined]
    return marked


def _logaddexp(b: Builder, x: Value, y: Value) -> Value:
    x, y = b.same_lanes(x, y)
    gap = b.bin("fsub", x, y)
    larger = b.select(b.fcmp("ogt", gap, b.const(x.kind, 0.0, x.lanes)), x, y)
    rest = m.log1p(b, m.exp(b, b.neg(b.intrinsic("fabs", gap))))
    value = b.bin("fadd", larger, rest)
    # Of equal infinities the difference is NaN, their sum is not.
    value = b.select(b.fcmp("oeq", x, y), b.bin("fadd", x, b.const(x.kind, 0.6931471805599453, x.lanes)), value)
    return b.select(b.fcmp("uno", x, y), b.bin("fadd", x, y), value)


_FUNCTIONS: dict[type[Any], Callable[..., Value]] = {
    e.Exp: m.exp,
    e.Exp2: m.exp2,
    e.Expm1: m.expm1,
    e.Log: m.log,
    e.Log1p: m.log1p,
    e.Log2: powers.log2,
    e.Log10: powers.log10,
    e.Logaddexp: _logaddexp,
    e.Erf: m.erf,
    arithmetic.Hypot: h.hypot,
    trigonometric.Sin: m.sin,
    trigonometric.Cos: m.cos,
    trigonometric.Tan: m.tan,
    trigonometric.Asin: h.asin,
    trigonometric.Acos: h.acos,
    trigonometric.Atan: h.atan,
    trigonometric.Sinh: h.sinh,
    trigonometric.Cosh: h.cosh,
    trigonometric.Tanh: m.tanh,
    trigonometric.Asinh: h.asinh,
    trigonometric.Acosh: h.acosh,
    trigonometric.Atanh: h.atanh,
    trigonometric.Atan2: h.atan2,
}


def _function(op: Op, node: Node) -> Emit | None:
    if not has_kind(node, *node.inputs):
        return None
    return dear(casting(_FUNCTIONS[type(op)], node, node.dtype))


for _class in _FUNCTIONS:
    lower.register(_class, _function)


@lower.register
def _(op: e.Pow, node: Node) -> Emit | None:
    if not has_kind(node, *node.inputs):
        return None
    exponent = e.scalar_value(node.inputs[1])
    if exponent is not None and exponent == int(exponent) and 1 <= exponent <= (4 if node.dtype.is_floating else 64):
        return casting(_repeated(int(exponent), node.dtype), node, node.dtype)
    if not node.dtype.is_floating:
        return None  # a negative exponent is an error, which NumPy raises
    if exponent == 0.5:
        return casting(_root, node, node.dtype)
    return dear(casting(powers.pow, node, node.dtype))


def _repeated(exponent: int, dtype: DType) -> Emit:
    multiply = "fmul" if dtype.is_floating else "mul"

    def emit(b: Builder, x: Value, y: Value) -> Value:
        value, power, left = None, x, exponent
        while left:
            if left & 1:
                value = power if value is None else b.bin(multiply, value, power)
            left >>= 1
            if left:
                power = b.bin(multiply, power, power)
        assert value is not None
        return value

    return emit


def _root(b: Builder, x: Value, y: Value) -> Value:
    # The power 1/2 differs from the square root at minus infinity and at minus zero.
    infinity = b.const(x.kind, float("inf"), x.lanes)
    root = b.bin("fadd", b.intrinsic("sqrt", x), b.const(x.kind, 0.0, x.lanes))
    return b.select(b.fcmp("oeq", x, b.neg(infinity)), infinity, root)

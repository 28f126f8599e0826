"""Element-wise operations."""

from __future__ import annotations

import math

import numpy as np

from graphnn.interop.onnx.writer import Writer, to_onnx, wider
from graphnn.ir.dtype import DType, bool_, float32, int32, int64, result_dtype, uint64
from graphnn.ir.leaves import Constant
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ops import arithmetic as a
from graphnn.ops import bitwise as b
from graphnn.ops import comparison as c
from graphnn.ops import exponential as e
from graphnn.ops import special as s
from graphnn.ops import trigonometric as t
from graphnn.ops.host import Barrier
from graphnn.ops.random import Advance

# One ONNX operator each, on one data type.
_DIRECT: dict[type[Op], str] = {
    a.Add: "Add", a.Subtract: "Sub", a.Multiply: "Mul", a.Divide: "Div", a.Negative: "Neg", a.Abs: "Abs", a.Sign: "Sign",
    a.Reciprocal: "Reciprocal", a.Maximum: "Max", a.Minimum: "Min", a.Floor: "Floor", a.Ceil: "Ceil", a.Round: "Round",
    e.Exp: "Exp", e.Log: "Log", e.Sqrt: "Sqrt", e.Pow: "Pow", e.Erf: "Erf",
    t.Sin: "Sin", t.Cos: "Cos", t.Tan: "Tan", t.Asin: "Asin", t.Acos: "Acos", t.Atan: "Atan", t.Sinh: "Sinh",
    t.Cosh: "Cosh", t.Tanh: "Tanh", t.Asinh: "Asinh", t.Acosh: "Acosh", t.Atanh: "Atanh",
}  # fmt: skip

_COMPARE: dict[type[Op], str] = {
    c.Equal: "Equal", c.Less: "Less", c.LessEqual: "LessOrEqual", c.Greater: "Greater", c.GreaterEqual: "GreaterOrEqual",
}  # fmt: skip

_LOGIC: dict[type[Op], str] = {c.LogicalAnd: "And", c.LogicalOr: "Or", c.LogicalXor: "Xor", c.LogicalNot: "Not"}

_BITS: dict[type[Op], tuple[str, str]] = {
    b.BitwiseAnd: ("And", "BitwiseAnd"), b.BitwiseOr: ("Or", "BitwiseOr"), b.BitwiseXor: ("Xor", "BitwiseXor"),
    b.BitwiseInvert: ("Not", "BitwiseNot"),
}  # fmt: skip


def common(out: Writer, node: Node, names: tuple[str, ...], dtype: DType) -> list[str]:
    """The operands in one data type: ONNX does not promote."""
    return [
        name if operand.dtype is dtype else out.cast(name, dtype)
        for name, operand in zip(names, node.inputs, strict=True)
    ]


def promoted(node: Node) -> DType:
    """The data type that the operands have together."""
    return result_dtype(node.op.name, *(operand.dtype for operand in node.inputs))


def _direct(op: Op, node: Node, out: Writer, *names: str) -> str:
    operator = _DIRECT[type(op)]
    if operator in ("Floor", "Ceil", "Round") and not node.dtype.is_floating:
        return out.emit("Identity", *names)
    return out.compute(operator, node.dtype, *common(out, node, names, node.dtype))


for _op in _DIRECT:
    to_onnx.register(_op, _direct)


def _compare(op: Op, node: Node, out: Writer, *names: str) -> str:
    dtype = promoted(node)
    if dtype is uint64 and type(op) is not c.Equal:
        # The same order as signed numbers, when the highest bit is turned over.
        flip = out.constant(np.int64(-(2**63)))
        names = tuple(out.emit("BitwiseXor", out.cast(name, int64), flip) for name in common(out, node, names, dtype))
        return out.emit(_COMPARE[type(op)], *names)
    return out.compute(_COMPARE[type(op)], dtype, *common(out, node, names, dtype), result=bool_)


for _op in _COMPARE:
    to_onnx.register(_op, _compare)


@to_onnx.register
def _(op: c.NotEqual, node: Node, out: Writer, *names: str) -> str:
    dtype = promoted(node)
    same = out.compute("Equal", dtype, *common(out, node, names, dtype), result=bool_)
    return out.emit("Not", same)


def _logic(op: Op, node: Node, out: Writer, *names: str) -> str:
    return out.emit(_LOGIC[type(op)], *names)


for _op in _LOGIC:
    to_onnx.register(_op, _logic)


def _bits(op: Op, node: Node, out: Writer, *names: str) -> str:
    return out.emit(_BITS[type(op)][node.dtype is not bool_], *common(out, node, names, node.dtype))


for _op in _BITS:
    to_onnx.register(_op, _bits)


def _same(op: Op, node: Node, out: Writer, *names: str) -> str:
    return out.emit("Identity", names[0])


for _op in (a.Positive, b.StopGradient, Barrier, Advance):
    to_onnx.register(_op, _same)


@to_onnx.register
def _(op: b.Astype, node: Node, out: Writer, x: str) -> str:
    return out.cast(x, op.dtype)


@to_onnx.register(b.BitwiseLeftShift)
@to_onnx.register(b.BitwiseRightShift)
def _shift(op: Op, node: Node, out: Writer, x: str, y: str) -> str:
    left, dtype = isinstance(op, b.BitwiseLeftShift), node.dtype
    x, y = common(out, node, (x, y), dtype)
    signed = not left and dtype.kind == "int"
    # A negative shift is a huge one, too. What is moved that far is gone, or the sign is all that stays.
    far = 63 if signed else 64
    by = out.cast(y, uint64)
    near = out.emit("Min", by, out.constant(far - 1, uint64))
    gone = out.emit("Not", out.emit("Equal", out.cast(near, int64), out.cast(by, int64)))
    if signed:  # down with the sign: x // 2**y
        power = out.cast(out.emit("BitShift", out.constant(1, uint64), near, direction="LEFT"), int64)
        moved = floor_div(out, int64, out.cast(x, int64), power)
        sign = out.emit("Neg", out.cast(out.emit("Less", out.cast(x, int64), out.constant(0, int64)), int64))
        return out.cast(out.emit("Where", gone, sign, moved), dtype)
    moved = out.emit("BitShift", out.cast(x, uint64), near, direction="LEFT" if left else "RIGHT")
    return out.cast(out.emit("Where", gone, out.constant(0, int64), out.cast(moved, int64)), dtype)


@to_onnx.register
def _(op: c.Where, node: Node, out: Writer, condition: str, x: str, y: str) -> str:
    return choose(out, node.dtype, condition, *common(out, node, (condition, x, y), node.dtype)[1:])


def choose(out: Writer, dtype: DType, condition: str, x: str, y: str) -> str:
    """X where the condition holds, else y, in any data type."""
    wide = wider("Where", dtype)
    if wide is not dtype:
        x, y = out.cast(x, wide), out.cast(y, wide)
    made = out.emit("Where", condition, x, y)
    return made if wide is dtype else out.cast(made, dtype)


@to_onnx.register
def _(op: c.Isnan, node: Node, out: Writer, x: str) -> str:
    return _of_float("IsNaN", node, out, x)


@to_onnx.register
def _(op: c.Isinf, node: Node, out: Writer, x: str) -> str:
    return _of_float("IsInf", node, out, x)


@to_onnx.register
def _(op: c.Isfinite, node: Node, out: Writer, x: str) -> str:
    wrong = out.emit("Or", _of_float("IsNaN", node, out, x), _of_float("IsInf", node, out, x))
    return out.emit("Not", wrong)


def _of_float(operator: str, node: Node, out: Writer, x: str) -> str:
    return out.emit(operator, x if node.inputs[0].dtype.is_floating else out.cast(x, float32))


@to_onnx.register
def _(op: c.Signbit, node: Node, out: Writer, x: str) -> str:
    return negative(out, node.inputs[0].dtype, x)


def negative(out: Writer, dtype: DType, x: str) -> str:
    """Whether the sign is set, also that of a zero."""
    zero = out.constant(0, dtype)
    upside_down = out.emit("Less", out.emit("Reciprocal", x), zero)
    at_zero = out.emit("And", out.emit("Equal", x, zero), upside_down)
    return out.emit("Or", out.emit("Less", x, zero), at_zero)


@to_onnx.register
def _(op: a.Copysign, node: Node, out: Writer, x: str, y: str) -> str:
    x, y = common(out, node, (x, y), node.dtype)
    size = out.emit("Abs", x)
    return out.emit("Where", negative(out, node.dtype, y), out.emit("Neg", size), size)


@to_onnx.register
def _(op: a.Square, node: Node, out: Writer, x: str) -> str:
    return out.compute("Mul", node.dtype, x, x)


@to_onnx.register
def _(op: a.Trunc, node: Node, out: Writer, x: str) -> str:
    if not node.dtype.is_floating:
        return out.emit("Identity", x)
    return out.emit("Mul", out.emit("Sign", x), out.emit("Floor", out.emit("Abs", x)))


@to_onnx.register
def _(op: a.Clip, node: Node, out: Writer, *names: str) -> str:
    x, low, high = common(out, node, names, node.dtype)
    return out.compute("Min", node.dtype, out.compute("Max", node.dtype, x, low), high)


@to_onnx.register
def _(op: a.Hypot, node: Node, out: Writer, *names: str) -> str:
    x, y = (out.emit("Abs", name) for name in common(out, node, names, node.dtype))
    large, small = out.emit("Max", x, y), out.emit("Min", x, y)
    one = out.constant(1, node.dtype)
    is_zero = out.emit("Equal", large, out.constant(0, node.dtype))
    ratio = out.emit("Div", small, out.emit("Where", is_zero, one, large))
    return out.emit("Mul", large, out.emit("Sqrt", out.emit("Add", one, out.emit("Mul", ratio, ratio))))


@to_onnx.register
def _(op: a.FloorDivide, node: Node, out: Writer, *names: str) -> str:
    x, y = common(out, node, names, node.dtype)
    if node.dtype.is_floating:
        return out.emit("Floor", out.emit("Div", x, y))
    divisor, is_zero = _not_zero(out, node, y)
    if node.dtype is int64 or node.dtype is int32:
        made = floor_div(out, node.dtype, x, divisor)
    else:
        made = out.cast(floor_div(out, int64, out.cast(x, int64), out.cast(divisor, int64)), node.dtype)
    return made if not is_zero else choose(out, node.dtype, is_zero, out.constant(0, node.dtype), made)


def _not_zero(out: Writer, node: Node, y: str) -> tuple[str, str]:
    """A divisor with 1 in the place of 0, by which runtimes do not divide integers; and where that is, or nothing."""
    divisor = node.inputs[1]
    if isinstance(divisor.op, Constant) and divisor.op.payload.array.all():
        return y, ""
    is_zero = out.compute("Equal", node.dtype, y, out.constant(0, node.dtype), result=bool_)
    return choose(out, node.dtype, is_zero, out.constant(1, node.dtype), y), is_zero


def floor_div(out: Writer, dtype: DType, x: str, y: str) -> str:
    """Integer division that rounds down; that of ONNX truncates."""
    quotient = out.emit("Div", x, y)
    if dtype.kind == "uint":
        return quotient
    zero = out.constant(0, dtype)
    rest = out.emit("Sub", x, out.emit("Mul", quotient, y))
    apart = out.emit("Xor", out.emit("Less", x, zero), out.emit("Less", y, zero))
    down = out.emit("And", apart, out.emit("Not", out.emit("Equal", rest, zero)))
    return out.emit("Sub", quotient, out.cast(down, dtype))


@to_onnx.register
def _(op: a.Remainder, node: Node, out: Writer, *names: str) -> str:
    x, y = common(out, node, names, node.dtype)
    if not node.dtype.is_floating:
        divisor, is_zero = _not_zero(out, node, y)
        made = out.emit("Mod", x, divisor)
        return made if not is_zero else choose(out, node.dtype, is_zero, out.constant(0, node.dtype), made)
    rest = out.emit("Mod", x, y, fmod=1)  # with the sign of x
    zero = out.constant(0, node.dtype)
    apart = out.emit("Xor", out.emit("Less", rest, zero), out.emit("Less", y, zero))
    wrong = out.emit("And", apart, out.emit("Not", out.emit("Equal", rest, zero)))
    return out.emit("Where", wrong, out.emit("Add", rest, y), rest)


@to_onnx.register
def _(op: e.Exp2, node: Node, out: Writer, x: str) -> str:
    return out.emit("Pow", out.constant(2, node.dtype), x)


@to_onnx.register
def _(op: e.Log2, node: Node, out: Writer, x: str) -> str:
    return out.emit("Div", out.emit("Log", x), out.constant(math.log(2), node.dtype))


@to_onnx.register
def _(op: e.Log10, node: Node, out: Writer, x: str) -> str:
    return out.emit("Div", out.emit("Log", x), out.constant(math.log(10), node.dtype))


@to_onnx.register
def _(op: e.Expm1, node: Node, out: Writer, x: str) -> str:
    wide = wider("Exp", node.dtype)
    return expm1(out, wide, x) if wide is node.dtype else out.cast(expm1(out, wide, out.cast(x, wide)), node.dtype)


def expm1(out: Writer, dtype: DType, x: str) -> str:
    """Near 0 tanh(x / 2) (exp(x) + 1), which has all digits there; else exp(x) - 1."""
    one = out.constant(1, dtype)
    power = out.emit("Exp", x)
    near = out.emit("Mul", out.emit("Tanh", out.emit("Mul", x, out.constant(0.5, dtype))), out.emit("Add", power, one))
    return out.emit("Where", out.emit("Less", out.emit("Abs", x), one), near, out.emit("Sub", power, one))


@to_onnx.register
def _(op: e.Log1p, node: Node, out: Writer, x: str) -> str:
    wide = wider("Log", node.dtype)
    return log1p(out, wide, x) if wide is node.dtype else out.cast(log1p(out, wide, out.cast(x, wide)), node.dtype)


def log1p(out: Writer, dtype: DType, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x as it is rounded, in which the error of the rounding cancels.

    Source: Kahan, as told in Higham, "Accuracy and stability of numerical algorithms", 1.14.1.
    """
    one = out.constant(1, dtype)
    rounded = out.emit("Add", x, one)
    kept = out.emit("Sub", rounded, one)
    plain = out.emit("Or", out.emit("Equal", kept, out.constant(0, dtype)), out.emit("IsInf", rounded))
    quotient = out.emit("Div", x, out.emit("Where", plain, one, kept))
    small = out.emit("Equal", kept, out.constant(0, dtype))
    logarithm = out.emit("Log", rounded)
    exact = out.emit("Where", plain, logarithm, out.emit("Mul", logarithm, quotient))
    return out.emit("Where", small, x, exact)


@to_onnx.register
def _(op: e.Logaddexp, node: Node, out: Writer, *names: str) -> str:
    x, y = common(out, node, names, node.dtype)
    large, small = out.emit("Max", x, y), out.emit("Min", x, y)
    same = out.emit("Equal", large, small)  # also two infinities of one sign
    gap = out.emit("Where", same, out.constant(0, node.dtype), out.emit("Sub", small, large))
    return out.emit("Add", large, log1p(out, node.dtype, out.emit("Exp", gap)))


@to_onnx.register
def _(op: s.Erfc, node: Node, out: Writer, x: str) -> str:
    return out.emit("Sub", out.constant(1, node.dtype), out.emit("Erf", x))


@to_onnx.register
def _(op: t.Atan2, node: Node, out: Writer, *names: str) -> str:
    y, x = common(out, node, names, node.dtype)
    zero, pi = out.constant(0, node.dtype), out.constant(math.pi, node.dtype)
    on_axis = out.emit("Equal", x, zero)
    slope = out.emit("Atan", out.emit("Div", y, out.emit("Where", on_axis, out.constant(1, node.dtype), x)))
    half = out.emit("Mul", out.emit("Sign", y), out.constant(math.pi / 2, node.dtype))
    turn = out.emit("Where", out.emit("Less", y, zero), out.emit("Neg", pi), pi)
    left = out.emit("Where", out.emit("Less", x, zero), out.emit("Add", slope, turn), slope)
    return out.emit("Where", on_axis, half, left)

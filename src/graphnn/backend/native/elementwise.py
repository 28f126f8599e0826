"""Instructions of the element-wise operations; integers behave as NumPy's do, and nothing traps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.backend.native.emit import Builder, Value
from graphnn.backend.native.items import Emit
from graphnn.backend.native.lower import casting, convert, has_kind, lower
from graphnn.ir.dtype import DType, promote
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ops import arithmetic, bitwise, comparison, exponential

Make = Callable[[DType], "Emit | None"]
"""The emitter for operands of one data type, or None where there is none."""


def zero(b: Builder, x: Value) -> Value:
    """Zeros like x."""
    return b.const(x.kind, 0, x.lanes)


def number(b: Builder, x: Value, value: float) -> Value:
    """A number in the kind and the lanes of x."""
    return b.const(x.kind, value, x.lanes)


def larger(b: Builder, x: Value, y: Value) -> Value:
    """The larger of two floats; NaN where one of them is."""
    return b.select(b.fcmp("uno", x, x), x, b.select(b.fcmp("ogt", x, y), x, y))


def smaller(b: Builder, x: Value, y: Value) -> Value:
    """The smaller of two floats; NaN where one of them is."""
    return b.select(b.fcmp("uno", x, x), x, b.select(b.fcmp("olt", x, y), x, y))


def _two(floating: str, integer: str) -> Make:
    # The same instruction for signed and unsigned integers.
    return lambda t: lambda b, x, y: b.bin(floating if t.is_floating else integer, x, y)


def _maximum(t: DType) -> Emit:
    if t.is_floating:
        return larger
    return lambda b, x, y: b.select(b.icmp("sgt" if t.kind == "int" else "ugt", x, y), x, y)


def _minimum(t: DType) -> Emit:
    if t.is_floating:
        return smaller
    return lambda b, x, y: b.select(b.icmp("slt" if t.kind == "int" else "ult", x, y), x, y)


def _clip(t: DType) -> Emit:
    high, low = _maximum(t), _minimum(t)
    return lambda b, x, y, z: low(b, high(b, x, y), z)


def _safe_divisor(b: Builder, y: Value, signed: bool) -> Value:
    # Neither a division by zero nor the smallest number by -1 may reach the machine.
    one = number(b, y, 1)
    bad = b.icmp("eq", y, zero(b, y))
    if signed:
        bad = b.bin("or", bad, b.icmp("eq", y, number(b, y, -1)))
    return b.select(bad, one, y)


def _floor_divide(t: DType) -> Emit:
    if t.is_floating:
        return _floor_divide_floats
    signed = t.kind == "int"

    def emit(b: Builder, x: Value, y: Value) -> Value:
        x, y = b.same_lanes(x, y)
        safe, none = _safe_divisor(b, y, signed), zero(b, y)
        quotient = b.bin("sdiv" if signed else "udiv", x, safe)
        if signed:
            rest = b.bin("sub", x, b.bin("mul", quotient, safe))
            differs = b.icmp("slt", b.bin("xor", rest, safe), none)
            below = b.bin("and", b.icmp("ne", rest, none), differs)
            quotient = b.select(below, b.bin("sub", quotient, number(b, y, 1)), quotient)
            quotient = b.select(b.icmp("eq", y, number(b, y, -1)), b.bin("sub", none, x), quotient)
        return b.select(b.icmp("eq", y, none), none, quotient)

    return emit


def _remainder(t: DType) -> Emit:
    if t.is_floating:
        return _remainder_floats
    signed = t.kind == "int"

    def emit(b: Builder, x: Value, y: Value) -> Value:
        x, y = b.same_lanes(x, y)
        safe, none = _safe_divisor(b, y, signed), zero(b, y)
        rest = b.bin("srem" if signed else "urem", x, safe)
        if signed:
            differs = b.icmp("slt", b.bin("xor", rest, safe), none)
            off = b.bin("and", b.icmp("ne", rest, none), differs)
            rest = b.select(off, b.bin("add", rest, safe), rest)
            rest = b.select(b.icmp("eq", y, number(b, y, -1)), none, rest)
        return b.select(b.icmp("eq", y, none), none, rest)

    return emit


def _modulus(b: Builder, x: Value, y: Value) -> tuple[Value, Value, Value]:
    # C's fmod, brought to the sign of y; and whether that took a step.
    mod, none = b.bin("frem", x, y), zero(b, y)
    there = b.fcmp("une", mod, none)
    off = b.bin("and", there, b.bin("xor", b.fcmp("olt", y, none), b.fcmp("olt", mod, none)))
    return b.select(off, b.bin("fadd", mod, y), mod), off, there


def _floor_divide_floats(b: Builder, x: Value, y: Value) -> Value:
    x, y = b.same_lanes(x, y)
    none, one, quotient = zero(b, y), number(b, y, 1.0), b.bin("fdiv", x, y)
    _, off, _ = _modulus(b, x, y)
    # The remainder before it was brought to the sign of y divides without a rest.
    raw = b.bin("frem", x, y)
    whole = b.bin("fdiv", b.bin("fsub", x, raw), y)
    whole = b.select(off, b.bin("fsub", whole, one), whole)
    floor = b.intrinsic("floor", whole)
    high = b.fcmp("ogt", b.bin("fsub", whole, floor), number(b, y, 0.5))
    floor = b.select(high, b.bin("fadd", floor, one), floor)
    result = b.select(b.fcmp("une", whole, none), floor, b.intrinsic("copysign", none, quotient))
    return b.select(b.fcmp("oeq", y, none), quotient, result)


def _remainder_floats(b: Builder, x: Value, y: Value) -> Value:
    x, y = b.same_lanes(x, y)
    mod, _, there = _modulus(b, x, y)
    result = b.select(there, mod, b.intrinsic("copysign", zero(b, y), y))
    return b.select(b.fcmp("oeq", y, zero(b, y)), b.bin("frem", x, y), result)


def _negative(t: DType) -> Emit:
    return (lambda b, x: b.neg(x)) if t.is_floating else (lambda b, x: b.bin("sub", zero(b, x), x))


def _abs(t: DType) -> Emit:
    if t.is_floating:
        return lambda b, x: b.intrinsic("fabs", x)
    if t.kind == "uint":
        return lambda b, x: x
    return lambda b, x: b.select(b.icmp("slt", x, zero(b, x)), b.bin("sub", zero(b, x), x), x)


def _sign(t: DType) -> Emit:
    if t.is_floating:

        def emit(b: Builder, x: Value) -> Value:
            none = zero(b, x)
            signed = b.select(b.fcmp("ogt", x, none), number(b, x, 1.0), none)
            signed = b.select(b.fcmp("olt", x, none), number(b, x, -1.0), signed)
            return b.select(b.fcmp("uno", x, x), x, signed)

        return emit
    if t.kind == "uint":
        return lambda b, x: b.select(b.icmp("ne", x, zero(b, x)), number(b, x, 1), zero(b, x))
    return lambda b, x: b.select(
        b.icmp("sgt", x, zero(b, x)),
        number(b, x, 1),
        b.select(b.icmp("slt", x, zero(b, x)), number(b, x, -1), zero(b, x)),
    )


def _rounding(name: str) -> Make:
    return lambda t: (lambda b, x: b.intrinsic(name, x)) if t.is_floating else (lambda b, x: x)


def _bits(op: str) -> Make:
    return lambda t: lambda b, x, y: b.bin(op, x, y)


def _left_shift(t: DType) -> Emit:
    def emit(b: Builder, x: Value, y: Value) -> Value:
        x, y = b.same_lanes(x, y)
        inside = b.icmp("ult", y, number(b, y, t.bits))
        return b.select(inside, b.bin("shl", x, b.select(inside, y, zero(b, y))), zero(b, x))

    return emit


def _right_shift(t: DType) -> Emit:
    def emit(b: Builder, x: Value, y: Value) -> Value:
        x, y = b.same_lanes(x, y)
        inside = b.icmp("ult", y, number(b, y, t.bits))
        if t.kind == "int":  # over-long ones leave the sign
            return b.bin("ashr", x, b.select(inside, y, number(b, y, t.bits - 1)))
        return b.select(inside, b.bin("lshr", x, b.select(inside, y, zero(b, y))), zero(b, x))

    return emit


def _compare(floating: str, integer: str) -> Make:
    def make(t: DType) -> Emit:
        if t.is_floating:
            return lambda b, x, y: b.fcmp(floating, x, y)
        sign = "" if integer in ("eq", "ne") else ("s" if t.kind == "int" else "u")
        return lambda b, x, y: b.icmp(sign + integer, x, y)

    return make


def _infinite(t: DType) -> Emit:
    if not t.is_floating:
        return lambda b, x: b.const("i1", 0, x.lanes)
    return lambda b, x: b.fcmp("oeq", b.intrinsic("fabs", x), number(b, x, float("inf")))


def _finite(t: DType) -> Emit:
    if not t.is_floating:
        return lambda b, x: b.const("i1", 1, x.lanes)
    return lambda b, x: b.fcmp("one", b.intrinsic("fabs", x), number(b, x, float("inf")))


def _isnan(t: DType) -> Emit:
    if not t.is_floating:
        return lambda b, x: b.const("i1", 0, x.lanes)
    return lambda b, x: b.fcmp("uno", x, x)


def _signbit(t: DType) -> Emit:
    kind = f"i{t.bits}"

    def emit(b: Builder, x: Value) -> Value:
        whole = b.cast("bitcast", x, kind)
        return b.icmp("slt", whole, b.const(kind, 0, x.lanes))

    return emit


_ARITHMETIC: dict[type[Any], Make] = {
    arithmetic.Add: _two("fadd", "add"),
    arithmetic.Subtract: _two("fsub", "sub"),
    arithmetic.Multiply: _two("fmul", "mul"),
    arithmetic.Divide: _two("fdiv", "udiv"),
    arithmetic.FloorDivide: _floor_divide,
    arithmetic.Remainder: _remainder,
    arithmetic.Negative: _negative,
    arithmetic.Positive: lambda t: lambda b, x: x,
    arithmetic.Abs: _abs,
    arithmetic.Sign: _sign,
    arithmetic.Square: lambda t: lambda b, x: b.bin("fmul" if t.is_floating else "mul", x, x),
    arithmetic.Reciprocal: lambda t: lambda b, x: b.bin("fdiv", number(b, x, 1.0), x),
    arithmetic.Maximum: _maximum,
    arithmetic.Minimum: _minimum,
    arithmetic.Clip: _clip,
    arithmetic.Copysign: lambda t: lambda b, x, y: b.intrinsic("copysign", x, y),
    arithmetic.Floor: _rounding("floor"),
    arithmetic.Ceil: _rounding("ceil"),
    arithmetic.Trunc: _rounding("trunc"),
    arithmetic.Round: _rounding("rint"),
    exponential.Sqrt: lambda t: lambda b, x: b.intrinsic("sqrt", x),
    bitwise.BitwiseAnd: _bits("and"),
    bitwise.BitwiseOr: _bits("or"),
    bitwise.BitwiseXor: _bits("xor"),
    bitwise.BitwiseInvert: lambda t: lambda b, x: b.bin("xor", x, number(b, x, 1 if t.kind == "bool" else -1)),
    bitwise.BitwiseLeftShift: _left_shift,
    bitwise.BitwiseRightShift: _right_shift,
}
"""Operands are brought to the data type of the result first."""

_PREDICATES: dict[type[Any], Make] = {
    comparison.Equal: _compare("oeq", "eq"),
    comparison.NotEqual: _compare("une", "ne"),
    comparison.Less: _compare("olt", "lt"),
    comparison.LessEqual: _compare("ole", "le"),
    comparison.Greater: _compare("ogt", "gt"),
    comparison.GreaterEqual: _compare("oge", "ge"),
    comparison.LogicalAnd: _bits("and"),
    comparison.LogicalOr: _bits("or"),
    comparison.LogicalXor: _bits("xor"),
    comparison.LogicalNot: lambda t: lambda b, x: b.bin("xor", x, number(b, x, 1)),
    comparison.Isnan: _isnan,
    comparison.Isinf: _infinite,
    comparison.Isfinite: _finite,
    comparison.Signbit: _signbit,
}
"""Operands are brought to their common data type; the result is bool."""


def _arithmetic(op: Op, node: Node) -> Emit | None:
    if not has_kind(node, *node.inputs):
        return None
    emit = _ARITHMETIC[type(op)](node.dtype)
    return emit and casting(emit, node, node.dtype)


def _predicate(op: Op, node: Node) -> Emit | None:
    if not has_kind(*node.inputs):
        return None
    common: DType | None = node.inputs[0].dtype
    for operand in node.inputs[1:]:
        common = common and promote(common, operand.dtype)
    if common is None:
        return None
    emit = _PREDICATES[type(op)](common)
    return emit and casting(emit, node, common)


for _class in _ARITHMETIC:
    lower.register(_class, _arithmetic)
for _class in _PREDICATES:
    lower.register(_class, _predicate)


@lower.register
def _(op: comparison.Where, node: Node) -> Emit | None:
    if not has_kind(node, *node.inputs):
        return None
    given, wanted = [operand.dtype for operand in node.inputs[1:]], node.dtype

    def emit(b: Builder, condition: Value, *values: Value) -> Value:
        x, y = (convert(b, v, d, wanted) for v, d in zip(values, given, strict=True))
        return b.select(condition, x, y)

    return emit


@lower.register
def _(op: bitwise.Astype, node: Node) -> Emit | None:
    if not has_kind(node, *node.inputs):
        return None
    given, wanted = node.inputs[0].dtype, node.dtype
    return lambda b, x: convert(b, x, given, wanted)

"""Algebra that is exact in floating point: for every input, infinities, NaN and the sign of zero included.

The one exception is `factors`, which may round differently, and says so. There is no ``x * 0 -> 0`` and no
``x - x -> 0`` (infinities and NaN), no ``x / x -> 1``, no ``x + 0 -> x`` (which is wrong for -0.0, while ``x - 0 -> x`` is
right), no ``-(x - y) -> y - x`` (which is wrong where x = y), and no ``x**0.5 -> sqrt(x)`` but for x that is no -0.0 and no
-inf: there the power is 0.0 and inf, the root -0.0 and NaN.
"""

from __future__ import annotations

import builtins
import math

from graphnn.ir.dtype import bool_, float32, float64, int64
from graphnn.ir.leaves import Constant
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.ops.arithmetic import Abs, Square, abs, negative, square
from graphnn.ops.bitwise import bitwise_invert
from graphnn.ops.comparison import equal, logical_and, logical_not, logical_or, not_equal, where
from graphnn.ops.exponential import Exp, exp, sqrt
from graphnn.ops.movement import broadcast_to
from graphnn.ops.operands import as_node
from graphnn.rewrite.pattern import var
from graphnn.rewrite.rule import group, rule

_x, _y = var("x"), var("y")
_c, _d = var("c", number=True), var("d", number=True)
_p, _q = var("p", dtype=bool_), var("q", dtype=bool_)
_BOOL, _INT = Spec((2, 3), bool_), Spec((2, 3), int64)


def _is_whole(x: Node) -> bool:
    return x.dtype.is_integer


def _number(c: Node) -> float:
    assert isinstance(c.op, Constant)
    return float(c.op.payload.array)


def _is_power_of_two(number: float) -> bool:
    # Then its reciprocal is exact, and both ways round the same quotient.
    return math.frexp(number)[0] in (0.5, -0.5) and _is_tame(number)


def _is_tame(number: float) -> bool:
    # Neither the product of two of them nor the reciprocal of one comes near the limits of float32.
    return 2.0**-60 < builtins.abs(number) < 2.0**60


def _never_negative(x: Node) -> bool:
    return isinstance(x.op, (Abs, Square, Exp))  # and never -0.0


ALGEBRA = group(
    "algebra",
    # --- neutral elements ---
    rule("times_one", _x * 1, _x, example=lambda x: (x * 1.0, x)),
    rule("over_one", _x / 1, _x, example=lambda x: (x / 1.0, x)),
    rule("minus_zero", _x - 0.0, _x, example=lambda x: (x - 0.0, x)),
    rule("plus_minus_zero", _x + (-0.0), _x, example=lambda x: (x + (-0.0), x)),
    rule("plus_zero_whole", _x + 0, _x, where=_is_whole, example=lambda x=_INT: (x + 0, x)),
    rule(
        "over_power_of_two",
        _x / _c,
        lambda x, c: x * as_node(1 / _number(c), c.dtype),
        where=lambda c: _is_power_of_two(_number(c)),
        example=lambda x: (x / 4.0, x * as_node(0.25, x.dtype)),
    ),
    # --- signs ---
    rule("minus_minus", -negative(_x), _x, example=lambda x: (-negative(x), x)),
    rule("times_minus_one", _x * -1, -_x, example=lambda x: (x * -1.0, -x)),
    rule("over_minus_one", _x / -1, -_x, example=lambda x: (x / -1.0, -x)),
    rule("plus_negative", _x + (-_y), _x - _y, example=lambda x, y: (x + (-y), x - y)),
    rule("minus_negative", _x - (-_y), _x + _y, example=lambda x, y: (x - (-y), x + y)),
    rule("negative_times_negative", (-_x) * (-_y), _x * _y, example=lambda x, y: ((-x) * (-y), x * y)),
    rule("negative_over_negative", (-_x) / (-_y), _x / _y, example=lambda x, y: ((-x) / (-y), x / y)),
    rule(
        "negative_times_number",
        (-_x) * _c,
        lambda x, c: x * -c,
        where=lambda x: x.dtype.is_floating,
        example=lambda x: ((-x) * 3.0, x * -as_node(3.0, x.dtype)),
    ),
    rule("abs_negative", abs(-_x), abs(_x), where=lambda x: x.dtype.is_floating, example=lambda x: (abs(-x), abs(x))),
    rule("abs_abs", abs(abs(_x)), abs(_x), example=lambda x: (abs(abs(x)), abs(x))),
    rule("square_negative", square(-_x), square(_x), example=lambda x: (square(-x), square(x))),
    rule("square_abs", square(abs(_x)), square(_x), example=lambda x: (square(abs(x)), square(x))),
    # --- powers ---
    rule("times_itself", _x * _x, square(_x), example=lambda x: (x * x, square(x))),
    rule("to_the_first", _x**1, _x, where=lambda x, out: x.spec == out.spec, example=lambda x: (x**1, x)),
    rule(
        "to_the_second",
        _x**2,
        square(_x),
        where=lambda x, out: x.spec == out.spec,
        example=lambda x: (x**2, square(x)),
    ),
    rule(
        "to_the_zeroth",
        _x**0,
        lambda out: broadcast_to(as_node(1.0 if out.dtype.is_floating else 1, out.dtype), out.shape),
        example=lambda x: (x**0, broadcast_to(as_node(1.0, x.dtype), x.shape)),
    ),
    rule(
        "to_the_half",
        _x**0.5,
        sqrt(_x),
        where=lambda x, out: _never_negative(x) and x.spec == out.spec,
        example=lambda x: (exp(x) ** 0.5, sqrt(exp(x))),
    ),
    # --- whole numbers wrap around, so their sums and products may be done in any order ---
    rule(
        "sum_of_numbers",
        (_x + _c) + _d,
        lambda x, c, d: x + (c + d),
        where=_is_whole,
        example=lambda x=_INT: ((x + 2) + 3, x + (as_node(2, int64) + as_node(3, int64))),
    ),
    rule(
        "product_of_numbers",
        (_x * _c) * _d,
        lambda x, c, d: x * (c * d),
        where=_is_whole,
        example=lambda x=_INT: ((x * 2) * 3, x * (as_node(2, int64) * as_node(3, int64))),
    ),
    rule(
        "factors",
        (_x * _c) * _d,
        lambda x, c, d: x * (c * d),
        where=lambda x, c, d: x.dtype in (float32, float64) and all(_is_tame(n) for n in map(_number, (c, d))),
        exact=False,
        example=lambda x: ((x * 2.5) * 3.0, x * (as_node(2.5, x.dtype) * as_node(3.0, x.dtype))),
    ),
    # --- logic ---
    rule("not_not", logical_not(logical_not(_p)), _p, example=lambda p=_BOOL: (logical_not(logical_not(p)), p)),
    rule(
        "invert_invert",
        bitwise_invert(bitwise_invert(_p)),
        _p,
        example=lambda p=_BOOL: (bitwise_invert(bitwise_invert(p)), p),
    ),
    rule("and_itself", logical_and(_p, _p), _p, example=lambda p=_BOOL: (logical_and(p, p), p)),
    rule("or_itself", logical_or(_p, _p), _p, example=lambda p=_BOOL: (logical_or(p, p), p)),
    rule(
        "not_equal", logical_not(equal(_x, _y)), not_equal(_x, _y),
        example=lambda x, y: (logical_not(equal(x, y)), not_equal(x, y)),
    ),
    rule(
        "not_unequal", logical_not(not_equal(_x, _y)), equal(_x, _y),
        example=lambda x, y: (logical_not(not_equal(x, y)), equal(x, y)),
    ),
    rule(
        "where_not", where(logical_not(_p), _x, _y), where(_p, _y, _x),
        example=lambda x, y, p=_BOOL: (where(logical_not(p), x, y), where(p, y, x)),
    ),
    rule(
        "where_same", where(_p, _x, _x), lambda x, out: broadcast_to(x, out.shape),
        example=lambda x, p=Spec((4, 2, 3), bool_): (where(p, x, x), broadcast_to(x, (4, 2, 3))),
    ),
)  # fmt: skip

SQUARES = tuple(one for one in ALGEBRA if one.name in ("times_itself", "to_the_second"))
"""They also come before formulas are recognised: a variance is written with each of ``x * x``, ``x**2`` and ``square(x)``."""

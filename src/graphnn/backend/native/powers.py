"""Powers, and logarithms to the bases 2 and 10: by logarithms of more digits than the results have.

In float32 all is done in double precision with shorter polynomials. In float64 the logarithm is a sum of two numbers, of
which the second begins where the first one ends: an exponent of 1000 would otherwise cost ten bits of the result.
Polynomials are fitted as in ``mathematics.py``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from graphnn.backend.native.emit import Builder, Value
from graphnn.backend.native.mathematics import exp_minus_one, polynomial, rounded, scaled

# 2 / log(2) * atanh(s) / s in s**2, for |s| <= 0.1716: arguments from sqrt(1/2) to sqrt(2)
_LOG2_SHORT = (
    2.8853900817899931572, 0.96179667344322825542, 0.577083567703489245, 0.41167365840081596267, 0.34071413665191199365,
)  # fmt: skip
# (atanh(s) / s - 1 - s**2 / 3) / s**4 in s**2
_LOG_REST = (
    0.19999999999999999909, 0.14285714285714683117, 0.11111111110827942852, 0.090909091676964008141,
    0.076922974812592157578, 0.066674023469236551521, 0.058531181697456032789, 0.058615893119382586475,
)  # fmt: skip
# 2**r for |r| <= 1/2
_EXP2_SHORT = (
    1.0, 0.69314720673425031318, 0.24022650922560760107, 0.055503271596476052411, 0.009618056620501079705,
    0.0013400454984126324205, 0.00015461467905285987274,
)  # fmt: skip
# Bits of the fraction, bias, integer, sqrt(1/2) as an integer, the smallest normal number, what makes others normal.
_PARTS = {
    "float": (23, 127, "i32", 0x3F3504F3, 2.0**-126, 25),
    "double": (52, 1023, "i64", 0x3FE6A09E667F3BCD, 2.0**-1022, 54),
}
_THIRD = (1 / 3, 1.850371707708594e-17)
_LOG2_E = (2.8853900817779268, 4.0710547481862066e-17)  # 2 / log(2), in two parts
_LOG10_E = (0.8685889638065036, 2.19663930043353e-17)  # 2 / log(10)
_LOG10_2 = (0.30102999566383914, 1.42050232272661e-13)  # the first part times an exponent is exact
_LN2 = (0.6931471805599453, 2.3190468138462996e-17)
_SPLIT = 2.0**27 + 1


class _Sum(NamedTuple):
    """A number in two parts, the second below the last digit of the first."""

    high: Value
    low: Value


def _of(b: Builder, x: Value, number: float) -> Value:
    return b.const(x.kind, number, x.lanes)


def _product(b: Builder, x: Value, y: Value) -> _Sum:
    """``x * y`` without a rounding."""
    high = b.bin("fmul", x, y)
    if b.module.fma:
        return _Sum(high, b.fma(x, y, b.neg(high)))
    halves = []
    for value in (x, y):
        wide = b.bin("fmul", value, _of(b, value, _SPLIT))
        top = b.bin("fsub", wide, b.bin("fsub", wide, value))
        halves.append((top, b.bin("fsub", value, top)))
    (a, c), (d, e) = halves
    low = b.bin("fsub", b.bin("fmul", a, d), high)
    low = b.bin("fadd", b.bin("fadd", low, b.bin("fmul", a, e)), b.bin("fmul", c, d))
    return _Sum(high, b.bin("fadd", low, b.bin("fmul", c, e)))


def _added(b: Builder, x: Value, y: Value, low: Value) -> _Sum:
    """``x + y + low`` where x is not smaller than y, or 0."""
    high = b.bin("fadd", x, y)
    return _Sum(high, b.bin("fadd", b.bin("fadd", b.bin("fsub", x, high), y), low))


def _times(b: Builder, x: _Sum, y: _Sum) -> _Sum:
    product = _product(b, x.high, y.high)
    cross = b.fma(x.low, y.high, b.bin("fmul", x.high, y.low))
    return _Sum(product.high, b.bin("fadd", product.low, cross))


def _apart(b: Builder, x: Value) -> tuple[Value, Value]:
    """k and m - 1 of a positive, finite ``x = 2**k * m`` with m from sqrt(1/2) to sqrt(2), in the kind of x."""
    fraction, bias, integer, root, smallest, shift = _PARTS[x.kind]

    def whole(number: int) -> Value:
        return b.const(integer, number, x.lanes)

    small = b.fcmp("olt", x, _of(b, x, smallest))
    normal = b.select(small, b.bin("fmul", x, _of(b, x, 2.0**shift)), x)
    bits = b.bin("add", b.cast("bitcast", normal, integer), whole((bias << fraction) - root))
    exponent = b.bin("sub", b.bin("ashr", bits, whole(fraction)), b.select(small, whole(bias + shift), whole(bias)))
    low = b.bin("and", bits, whole((1 << fraction) - 1))
    m = b.cast("bitcast", b.bin("add", low, whole(root)), x.kind)
    return b.cast("sitofp", exponent, x.kind), b.bin("fsub", m, _of(b, x, 1.0))


def _half_log(b: Builder, f: Value) -> _Sum:
    """Half the natural logarithm of 1 + f, for f from sqrt(1/2) - 1 to sqrt(2) - 1."""
    one, two = _of(b, f, 1.0), _of(b, f, 2.0)
    g = b.bin("fadd", two, f)
    lost = b.bin("fsub", f, b.bin("fsub", g, two))
    inverse = b.bin("fdiv", one, g)
    s = b.bin("fmul", f, inverse)
    back = _product(b, s, g)
    rest = b.bin("fsub", b.bin("fsub", b.bin("fsub", f, back.high), back.low), b.bin("fmul", s, lost))
    whole = _Sum(s, b.bin("fmul", rest, inverse))
    z = _times(b, whole, whole)
    series = b.bin("fmul", z.high, polynomial(b, z.high, _LOG_REST))
    third = _added(b, _of(b, f, _THIRD[0]), series, _of(b, f, _THIRD[1]))
    beyond = _times(b, whole, _times(b, z, third))
    return _added(b, whole.high, beyond.high, b.bin("fadd", whole.low, beyond.low))


def _scaled_log(b: Builder, x: Value, by: tuple[float, float], two: tuple[float, float]) -> _Sum:
    """The logarithm of a positive, finite double; `by` is 2 / log(base), `two` the logarithm of 2."""
    k, f = _apart(b, x)
    part = _times(b, _half_log(b, f), _Sum(_of(b, x, by[0]), _of(b, x, by[1])))
    low = b.fma(k, _of(b, x, two[1]), part.low) if two[1] else part.low
    return _added(b, b.bin("fmul", k, _of(b, x, two[0])), part.high, low)


def _short_log2(b: Builder, x: Value) -> Value:
    """The logarithm to the base 2 of a positive, finite float, as a double with 35 bits."""
    k, f = _apart(b, x)
    # A short reciprocal made longer takes less time than a division of doubles.
    short = b.cast("fpext", b.bin("fdiv", _of(b, x, 1.0), b.bin("fadd", f, _of(b, x, 2.0))), "double")
    k, f = b.cast("fpext", k, "double"), b.cast("fpext", f, "double")
    two = _of(b, f, 2.0)
    error = b.fma(b.neg(b.bin("fadd", f, two)), short, two)
    s = b.bin("fmul", f, b.bin("fmul", short, error))
    return b.fma(s, polynomial(b, b.bin("fmul", s, s), _LOG2_SHORT), k)


def _logarithm(b: Builder, x: Value, by: tuple[float, float], two: tuple[float, float]) -> Value:
    if x.kind == "float":
        value = _short_log2(b, x)
        if two[0] != 1.0:
            value = b.bin("fmul", value, _of(b, value, math.log10(2)))
        value = b.cast("fptrunc", value, x.kind)
    else:
        both = _scaled_log(b, x, by, two)
        value = b.bin("fadd", both.high, both.low)
    none, infinity = _of(b, x, 0.0), _of(b, x, math.inf)
    value = b.select(b.fcmp("olt", x, infinity), value, x)  # infinity and NaN stay
    value = b.select(b.fcmp("oeq", x, none), b.neg(infinity), value)
    return b.select(b.fcmp("olt", x, none), _of(b, x, math.nan), value)


def log2(b: Builder, x: Value) -> Value:
    """The logarithm to the base 2."""
    return _logarithm(b, x, _LOG2_E, (1.0, 0.0))


def log10(b: Builder, x: Value) -> Value:
    """The logarithm to the base 10."""
    return _logarithm(b, x, _LOG10_E, _LOG10_2)


def pow(b: Builder, x: Value, y: Value) -> Value:
    """X to the power y, with the special values of IEEE 754 and C."""
    x, y = b.same_lanes(x, y)
    none, one, infinity = (_of(b, x, number) for number in (0.0, 1.0, math.inf))
    a = b.intrinsic("fabs", x)
    made = _short_power(b, a, y) if x.kind == "float" else _power(b, a, y)
    # Powers of 0 and of infinity, and of 1 also where the exponent is infinite.
    end = b.bin("or", b.fcmp("oeq", a, none), b.fcmp("oeq", a, infinity))
    grows = b.bin("xor", b.fcmp("ogt", y, none), b.fcmp("oeq", a, none))
    made = b.select(end, b.select(grows, infinity, none), made)
    made = b.select(b.fcmp("oeq", a, one), one, made)
    # Of a negative x only whole powers are numbers, and odd ones are negative; minus infinity and minus zero are as x.
    half = b.bin("fmul", y, _of(b, y, 0.5))
    broken, odd = (b.fcmp("une", each, b.intrinsic("trunc", each)) for each in (y, half))
    integer = _PARTS[x.kind][2]
    below = b.icmp("slt", b.cast("bitcast", x, integer), b.const(integer, 0, x.lanes))
    turned = b.bin("and", below, b.bin("and", odd, b.fcmp("oeq", y, b.intrinsic("trunc", y))))
    made = b.select(turned, b.neg(made), made)
    number = b.bin("and", b.fcmp("olt", x, none), b.fcmp("one", a, infinity))
    made = b.select(b.bin("and", number, broken), _of(b, x, math.nan), made)
    made = b.select(b.fcmp("uno", x, y), b.bin("fadd", x, y), made)
    return b.select(b.bin("or", b.fcmp("oeq", x, one), b.fcmp("oeq", y, none)), one, made)


def _bounded(b: Builder, power: Value, most: float) -> Value:
    low, high = _of(b, power, -most), _of(b, power, most)
    power = b.select(b.fcmp("olt", power, high), power, high)  # NaN, of an exponent that is NaN or infinite, too
    return b.select(b.fcmp("ogt", power, low), power, low)


def _short_power(b: Builder, a: Value, y: Value) -> Value:
    power = _bounded(b, b.bin("fmul", b.cast("fpext", y, "double"), _short_log2(b, a)), 200.0)
    turns = b.intrinsic("rint", power)
    value = polynomial(b, b.bin("fsub", power, turns), _EXP2_SHORT)
    # In double precision these powers of 2 are all normal numbers.
    exponent = b.bin("add", b.cast("fptosi", turns, "i64"), b.const("i64", 1023, a.lanes))
    scale = b.cast("bitcast", b.bin("shl", exponent, b.const("i64", 52, a.lanes)), "double")
    return b.cast("fptrunc", b.bin("fmul", value, scale), "float")


def _power(b: Builder, a: Value, y: Value) -> Value:
    logarithm = _scaled_log(b, a, _LOG2_E, (1.0, 0.0))
    product = _product(b, y, logarithm.high)
    power = _bounded(b, product.high, 1100.0)
    rest = b.fma(y, logarithm.low, product.low)
    # Beyond all bounds nothing is left of it: it may be no number.
    rest = b.select(b.fcmp("oeq", power, product.high), rest, _of(b, a, 0.0))
    turns, bits = rounded(b, power, 1.0)
    r = b.bin("fadd", b.bin("fsub", power, turns), rest)
    r = b.fma(r, _of(b, a, _LN2[0]), b.bin("fmul", r, _of(b, a, _LN2[1])))
    value = b.bin("fadd", exp_minus_one(b, r), _of(b, a, 1.0))
    return scaled(b, value, bits)

"""Inverse trigonometric functions, hyperbolic functions and their inverses, and the length of a vector of two.

Where float32 can be had from double precision in one step, it is; polynomials are fitted as in ``mathematics.py``.
"""

from __future__ import annotations

import math

from graphnn.backend.native.emit import Builder, Value
from graphnn.backend.native.mathematics import half_exp, log, log1p, or_nan, polynomial

# (atan(q) - q) / q**3 in q**2, for |q| <= tan(pi / 8)
_ATAN = {
    "float": (
        -0.33333333279224539505, 0.19999977248233530355, -0.14284150629730288201, 0.11071354571201351456,
        -0.086245982151961266714, 0.050479374320400910251,
    ),
    "double": (
        -0.33333333333333333217, 0.19999999999999804328, -0.14285714285659777756, 0.11111111105150587894,
        -0.090909087532591129423, 0.076922963680422971183, -0.066664247602005201418, 0.058789275544738067649,
        -0.05230443640686947707, 0.045515447340221616522, -0.034569315063326089813, 0.016284375050043394444,
    ),
}  # fmt: skip
# (asin(x) - x) / x**3 in x**2, for |x| <= 1/2
_ASIN = {
    "float": (
        0.16666666337341959685, 0.075000945652457415811, 0.044599393297765191726, 0.031100769188565216608,
        0.017148686397213769245, 0.033691834945105495456,
    ),
    "double": (
        0.16666666666666667827, 0.074999999999984320678, 0.044642857146357221027, 0.030381944138386929553,
        0.022372172948124706964, 0.017352392575609256779, 0.013971215203097547085, 0.011479154971005416387,
        0.010322964581482782649, 0.0054568444632931510038, 0.017402725959689851412, -0.014854837699421992175,
        0.028759909742471618931,
    ),
}  # fmt: skip
# (sinh(x) - x) / x**3 in x**2, for |x| <= 1
_SINH = {
    "float": (0.16666666646834177888, 0.0083333396778280362116, 0.00019838101331418340732, 2.8062853577282155449e-6),
    "double": (
        0.16666666666666666667, 0.0083333333333333333658, 0.00019841269841269773156, 2.7557319224040365878e-6,
        2.5052108364049466919e-8, 1.6059048397722392795e-10, 7.6466252535726265063e-13, 2.844529742637889428e-15,
    ),
}  # fmt: skip
_PI_REST = 1.2246467991473532e-16  # pi without the double that is nearest to it
_EIGHTH = math.tan(math.pi / 8)


def _of(b: Builder, x: Value, number: float) -> Value:
    return b.const(x.kind, number, x.lanes)


def _wide(b: Builder, x: Value) -> Value:
    return b.cast("fpext", x, "double")


def _odd(b: Builder, x: Value, z: Value, coefficients: tuple[float, ...]) -> Value:
    """``x + x**3 * P(x**2)``, the square being z."""
    return b.fma(b.bin("fmul", x, z), polynomial(b, z, coefficients), x)


def _quotient_angle(b: Builder, above: Value, below: Value, kind: str) -> Value:
    """The angle from 0 to pi / 2 whose tangent is ``above / below``, both from 0 on, finite, and not both 0."""
    none, one = _of(b, above, 0.0), _of(b, above, 1.0)
    steep = b.fcmp("ogt", above, b.bin("fmul", below, _of(b, below, 1 / _EIGHTH)))
    middle = b.fcmp("ogt", above, b.bin("fmul", below, _of(b, below, _EIGHTH)))
    # The angle of (below, above) turned back by an eighth or a quarter of pi / 2.
    numerator = b.select(steep, b.neg(below), b.select(middle, b.bin("fsub", above, below), above))
    denominator = b.select(steep, above, b.select(middle, b.bin("fadd", above, below), below))
    turned = b.select(steep, one, b.select(middle, _of(b, one, 0.5), none))
    q = b.bin("fdiv", numerator, denominator)
    angle = _odd(b, q, b.bin("fmul", q, q), _ATAN[kind])
    angle = b.fma(turned, _of(b, one, _PI_REST / 2), angle)
    return b.bin("fadd", b.bin("fmul", turned, _of(b, one, math.pi / 2)), angle)


def atan(b: Builder, x: Value) -> Value:
    """The arc tangent."""
    wide = _wide(b, x)
    a, infinity = b.intrinsic("fabs", wide), _of(b, wide, math.inf)
    endless = b.fcmp("oeq", a, infinity)
    above, below = b.select(endless, _of(b, a, 1.0), a), b.select(endless, _of(b, a, 0.0), _of(b, a, 1.0))
    value = b.intrinsic("copysign", _quotient_angle(b, above, below, x.kind), wide)
    return b.cast("fptrunc", or_nan(b, wide, value), x.kind)


def atan2(b: Builder, y: Value, x: Value) -> Value:
    """The angle of the point (x, y)."""
    y, x = b.same_lanes(y, x)
    kind = x.kind
    y, x = _wide(b, y), _wide(b, x)
    none, one, infinity = (_of(b, x, number) for number in (0.0, 1.0, math.inf))
    above, below = b.intrinsic("fabs", y), b.intrinsic("fabs", x)
    either = b.bin("or", b.fcmp("oeq", above, infinity), b.fcmp("oeq", below, infinity))
    if kind == "double":  # sums of the largest numbers have to be numbers, and the smallest ones have too few digits
        bound, least = _of(b, x, 2.0**1000), _of(b, x, 2.0**-900)
        large = b.bin("or", b.fcmp("ogt", above, bound), b.fcmp("ogt", below, bound))
        small = b.bin("and", b.fcmp("olt", above, least), b.fcmp("olt", below, least))
        scale = b.select(large, _of(b, x, 2.0**-60), b.select(small, _of(b, x, 2.0**200), one))
        above, below = b.bin("fmul", above, scale), b.bin("fmul", below, scale)
    # Beside infinity all else is nothing, and the angle of two infinities is that of two ones.
    above, below = (
        b.select(either, b.select(b.fcmp("oeq", each, infinity), one, none), each) for each in (above, below)
    )
    below = b.select(b.bin("and", b.fcmp("oeq", above, none), b.fcmp("oeq", below, none)), one, below)
    angle = _quotient_angle(b, above, below, kind)
    back = b.bin("fadd", b.bin("fsub", _of(b, x, math.pi), angle), _of(b, x, _PI_REST))
    left = b.icmp("slt", b.cast("bitcast", x, "i64"), b.const("i64", 0, x.lanes))
    value = b.intrinsic("copysign", b.select(left, back, angle), y)
    value = b.select(b.fcmp("uno", x, y), b.bin("fadd", x, y), value)
    return b.cast("fptrunc", value, kind)


def _arc(b: Builder, x: Value, cosine: bool) -> Value:
    wide = _wide(b, x)
    a, half, one = b.intrinsic("fabs", wide), _of(b, wide, 0.5), _of(b, wide, 1.0)
    steep = b.fcmp("ogt", a, half)
    # The arc cosine of a large argument is twice the arc sine of the root of half its distance from 1.
    rest = b.bin("fmul", b.bin("fsub", one, a), half)
    z = b.select(steep, rest, b.bin("fmul", a, a))
    root = b.intrinsic("sqrt", rest)
    s = b.select(steep, root, a)
    beyond = b.bin("fmul", b.bin("fmul", s, z), polynomial(b, z, _ASIN[x.kind]))
    short = _of(b, wide, _PI_REST / 2)
    if b.module.fma:  # what was lost by rounding the root
        lost = b.bin("fdiv", b.fma(b.neg(root), root, rest), b.bin("fadd", root, root))
        beyond = b.bin("fadd", beyond, b.select(b.bin("and", steep, b.fcmp("olt", a, one)), lost, _of(b, wide, 0.0)))
    arc, twice = b.bin("fadd", s, beyond), b.bin("fadd", beyond, beyond)
    if cosine:
        signed = b.intrinsic("copysign", arc, wide)
        flat = b.bin("fsub", _of(b, wide, math.pi / 2), b.bin("fsub", signed, short))
        double = b.bin("fadd", arc, arc)
        back = b.bin("fsub", _of(b, wide, math.pi), b.bin("fsub", double, _of(b, wide, _PI_REST)))
        value = b.select(steep, b.select(b.fcmp("olt", wide, _of(b, wide, 0.0)), back, double), flat)
    else:
        # pi / 2 - 2 (s + beyond) by way of pi / 4, from which 2 s is subtracted without a rounding where it counts.
        eighth = _of(b, wide, math.pi / 4)
        near = b.bin("fsub", b.bin("fsub", eighth, b.bin("fadd", s, s)), b.bin("fsub", twice, short))
        value = b.intrinsic("copysign", b.select(steep, b.bin("fadd", eighth, near), arc), wide)
    value = b.select(b.fcmp("ole", a, one), value, _of(b, wide, math.nan))
    return b.cast("fptrunc", or_nan(b, wide, value), x.kind)


def asin(b: Builder, x: Value) -> Value:
    """The arc sine."""
    return _arc(b, x, cosine=False)


def acos(b: Builder, x: Value) -> Value:
    """The arc cosine."""
    return _arc(b, x, cosine=True)


def sinh(b: Builder, x: Value) -> Value:
    """The hyperbolic sine."""
    a = b.intrinsic("fabs", x)
    small = _odd(b, a, b.bin("fmul", a, a), _SINH[x.kind])
    half = half_exp(b, a)
    large = b.bin("fsub", half, b.bin("fdiv", _of(b, x, 0.25), half))
    value = b.select(b.fcmp("olt", a, _of(b, x, 1.0)), small, large)
    return or_nan(b, x, b.intrinsic("copysign", value, x))


def cosh(b: Builder, x: Value) -> Value:
    """The hyperbolic cosine."""
    half = half_exp(b, b.intrinsic("fabs", x))
    return or_nan(b, x, b.bin("fadd", half, b.bin("fdiv", _of(b, x, 0.25), half)))


def asinh(b: Builder, x: Value) -> Value:
    """The inverse of the hyperbolic sine."""
    wide = _wide(b, x)
    a, one = b.intrinsic("fabs", wide), _of(b, wide, 1.0)
    z = b.bin("fmul", a, a)
    near = b.bin("fdiv", z, b.bin("fadd", one, b.intrinsic("sqrt", b.bin("fadd", z, one))))
    value = log1p(b, b.bin("fadd", a, near))
    huge = b.fcmp("ogt", a, _of(b, a, 2.0**28))
    value = b.select(huge, b.bin("fadd", log(b, a), _of(b, a, math.log(2))), value)
    return b.cast("fptrunc", or_nan(b, wide, b.intrinsic("copysign", value, wide)), x.kind)


def acosh(b: Builder, x: Value) -> Value:
    """The inverse of the hyperbolic cosine from 0 on."""
    wide = _wide(b, x)
    t = b.bin("fsub", wide, _of(b, wide, 1.0))
    root = b.intrinsic("sqrt", b.bin("fadd", b.bin("fadd", t, t), b.bin("fmul", t, t)))
    value = log1p(b, b.bin("fadd", t, root))
    huge = b.fcmp("ogt", wide, _of(b, wide, 2.0**28))
    value = b.select(huge, b.bin("fadd", log(b, wide), _of(b, wide, math.log(2))), value)
    value = b.select(b.fcmp("olt", wide, _of(b, wide, 1.0)), _of(b, wide, math.nan), value)
    return b.cast("fptrunc", or_nan(b, wide, value), x.kind)


def atanh(b: Builder, x: Value) -> Value:
    """The inverse of the hyperbolic tangent."""
    wide = _wide(b, x)
    a, one = b.intrinsic("fabs", wide), _of(b, wide, 1.0)
    ratio = b.bin("fdiv", b.bin("fadd", a, a), b.bin("fsub", one, a))
    value = b.bin("fmul", log1p(b, ratio), _of(b, a, 0.5))
    value = b.select(b.fcmp("ole", a, one), value, _of(b, a, math.nan))
    return b.cast("fptrunc", or_nan(b, wide, b.intrinsic("copysign", value, wide)), x.kind)


def hypot(b: Builder, x: Value, y: Value) -> Value:
    """The root of the sum of two squares, also where a square is no number; infinity even beside NaN."""
    x, y = b.same_lanes(x, y)
    kind = x.kind
    p, q = (b.intrinsic("fabs", _wide(b, each)) for each in (x, y))
    infinity = _of(b, p, math.inf)
    either = b.bin("or", b.fcmp("oeq", p, infinity), b.fcmp("oeq", q, infinity))
    if kind == "double":
        swap = b.fcmp("ogt", q, p)
        p, q = b.select(swap, q, p), b.select(swap, p, q)
        large, small = b.fcmp("ogt", p, _of(b, p, 2.0**500)), b.fcmp("olt", p, _of(b, p, 2.0**-450))
        one = _of(b, p, 1.0)
        down = b.select(large, _of(b, p, 2.0**-600), b.select(small, _of(b, p, 2.0**600), one))
        back = b.select(large, _of(b, p, 2.0**600), b.select(small, _of(b, p, 2.0**-600), one))
        p, q = b.bin("fmul", p, down), b.bin("fmul", q, down)
    value = b.intrinsic("sqrt", b.fma(p, p, b.bin("fmul", q, q)))
    if kind == "double":
        value = b.bin("fmul", value, back)
    return b.cast("fptrunc", b.select(either, infinity, value), kind)

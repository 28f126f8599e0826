"""The functions of analysis on vectors: polynomials after a reduction of the argument, special values as IEEE has them.

All are written for ``float`` and ``double`` alike and have errors of at most 2 units in the last place (erf: 4). The
coefficients are Chebyshev fits, made with ``mpmath.chebyfit`` in 200 bits on the intervals that the comments name.
Where a fast fused multiply-add is missing, products are rounded before they are added; the bounds still hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphnn.backend.native.emit import Builder, Value, type_text

Function = Callable[[Builder, Value], Value]

# (exp(r) - 1 - r) / r**2 for |r| <= log(2) / 2
_EXP = {
    "float": (0.5, 0.16666576845976, 0.04166655443768594, 0.008363202971575855, 0.0013926213466332443),
    "double": (
        0.5, 0.16666666666666671008, 0.041666666666666669767, 0.0083333333333261120526, 0.0013888888888883731828,
        0.00019841269874901259234, 0.000024801587325605322782, 2.7557255297969644392e-6, 2.7557273570102139673e-7,
        2.5105259538448493413e-8, 2.0914717341716375948e-9,
    ),
}  # fmt: skip
# log((1 + s) / (1 - s)) = 2 s + s**3 W(s**2), for arguments from sqrt(1/2) to sqrt(2)
_LOG = {
    "float": (0.66666666554269726182, 0.40000122025712325383, 0.28550799730209068609, 0.23331040834029352717),
    "double": (
        0.66666666666666666464, 0.40000000000000880105, 0.28571428570801700871, 0.22222222392147034197,
        0.18181795593863209294, 0.15386242218879391352, 0.13268705772970070268, 0.13087330476603717432,
    ),
}  # fmt: skip
# (tanh(x) - x) / x**3 as a polynomial in x**2, for |x| <= 0.626
_TANH = (
    -0.33333333169241580056, 0.13333303117990952902, -0.053959155802231902322, 0.021768075495855290976,
    -0.0083411889254291739643, 0.0022896261863116225053,
)  # fmt: skip
# erf(x) / x - 2 / sqrt(pi) in x**2, for |x| <= 1
_ERF = {
    "float": (
        -1.2471616278700713501e-9, -0.37612626666720331023, 0.11283594715160217732, -0.026854212010626412443,
        0.0051890874234339739861, -0.00080168642871658695293, 0.000078758750626854883411,
    ),
    "double": (
        -2.1576869009856055929e-21, -0.37612638903183752379, 0.11283791670955120236, -0.026866170645129840806,
        0.0052239776254232983087, -0.00085483270219348295955, 0.0001205533290288873541, -0.000014925647567519332125,
        1.6462045441468418937e-6, -1.6364642158167615302e-7, 1.4792401209404813002e-8, -1.2164560057283450081e-9,
        8.7090451290531066896e-11, -4.2309458242953378173e-12,
    ),
}  # fmt: skip
# log(erfc(middle + half * t)) for |t| <= 1: the intervals 0.9 to 4.1, and 0.95 to 6.05, from where on erf is 1
_ERFC = {
    "float": (
        -7.8068152812015043547, -8.5642891957802079455, -2.4163675366183813506, -0.044474954983555854487,
        0.014188404908221803359, -0.0044115212854511262699, 0.0013008616850588811394, -0.00034856604410326351457,
        0.000067847602677322637409, -4.2368441300534831677e-6,
    ),
    "double": (
        -14.112437402148173755, -18.528553950331236615, -6.2863117384613518894, -0.086648598599826766767,
        0.036941689722427677616, -0.015881703673882701829, 0.0067048382362796215303, -0.0027269766565013349599,
        0.0010469673924175218077, -0.00036787282150741019408, 0.00011080766403602673935, -0.000022970998329123048837,
        -1.8736791841452261355e-6, 5.9074385635264335875e-6, -4.5161771503335557734e-6, 2.5791820198269261511e-6,
        -1.2513351900809441504e-6, 5.414481932203602041e-7, -1.9637737856039049304e-7, 3.4663973838235044671e-8,
        7.895777110491674926e-9, 2.5819883466611557272e-9, -3.648927936452366543e-10, -9.7477927247308296827e-9,
        6.4303423401034386311e-9, -2.6961197378649796431e-10, -4.7386744529285044878e-10,
    ),
}  # fmt: skip
_ERFC_PLACE = {"float": (2.5, 1.6), "double": (3.5, 2.55)}
# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in r**2, for |r| <= pi / 4
_SIN = (
    -0.16666666666666666665, 0.0083333333333333314699, -0.00019841269841265017028, 2.7557319219301918704e-6,
    -2.5052106219521894233e-8, 1.6058529572267876353e-10, -7.5865765881710724626e-13,
)  # fmt: skip
_COS = (
    0.041666666666666666666, -0.0013888888888888887853, 0.000024801587301584619787, -2.7557319221382115583e-7,
    2.087675578389403842e-9, -1.1470459749675606144e-11, 4.745804889760674174e-14,
)  # fmt: skip
_SIN_SHORT = (-0.16666666663832764478, 0.0083333318659594140425, -0.00019840082012765536548, 2.7249314054698804748e-6)
_COS_SHORT = (0.04166666666430240589, -0.001388888766471361966, 0.000024800596435621996802, -2.7300448619488354885e-7)
# pi / 2 in two parts of 33 bits, whose products with the number of quarter turns are exact, and the rest.
_QUARTER = (1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
_MANY_TURNS = 2.0**20  # from here on the C library reduces the argument

_BITS = {"float": (23, 127, "i32"), "double": (52, 1023, "i64")}  # of the fraction, bias of the exponent, integer
# log(2) in a short part, whose products with exponents are exact, and the rest.
_LN2 = {
    "float": (0.693359375, -2.12194440054690583e-4),
    "double": (0.693147180369123816490, 1.90821492927058770002e-10),
}


def _number(b: Builder, x: Value, value: float) -> Value:
    return b.const(x.kind, value, x.lanes)


def polynomial(b: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with these coefficients, the constant one first, by Horner's rule."""
    value = _number(b, x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = b.fma(value, x, _number(b, x, coefficient))
    return value


def _clamped(b: Builder, x: Value, low: float, high: float) -> Value:
    # NaN becomes the lower bound: no conversion to an integer meets it.
    low_, high_ = _number(b, x, low), _number(b, x, high)
    x = b.select(b.fcmp("olt", x, high_), x, b.select(b.fcmp("uno", x, x), low_, high_))
    return b.select(b.fcmp("ogt", x, low_), x, low_)


def _power_of_two(b: Builder, exponent: Value, kind: str) -> Value:
    """2**exponent of a whole number of the kind that is as wide, for exponents of normal numbers."""
    fraction, bias, integer = _BITS[kind]
    moved = b.bin("add", exponent, b.const(integer, bias, exponent.lanes))
    return b.cast("bitcast", b.bin("shl", moved, b.const(integer, fraction, exponent.lanes)), kind)


def _reduced(b: Builder, x: Value) -> tuple[Value, Value]:
    """X as ``n * log(2) + r`` with a whole number n, and ``|r| <= log(2) / 2``."""
    turns = b.intrinsic("rint", b.bin("fmul", x, _number(b, x, 1 / math.log(2))))
    high, low = _LN2[x.kind]
    r = b.fma(turns, _number(b, x, -high), x)
    return turns, b.fma(turns, _number(b, x, -low), r)


def _exp_minus_one(b: Builder, r: Value) -> Value:
    """exp(r) - 1 for |r| <= log(2) / 2."""
    return b.fma(b.bin("fmul", r, r), polynomial(b, r, _EXP[r.kind]), r)


def _scaled(b: Builder, value: Value, turns: Value) -> Value:
    """value * 2**turns, also where the power alone would be too large or too small."""
    integer = _BITS[value.kind][2]
    n = b.cast("fptosi", turns, integer)
    half = b.bin("ashr", n, b.const(integer, 1, n.lanes))
    first, second = _power_of_two(b, half, value.kind), _power_of_two(b, b.bin("sub", n, half), value.kind)
    return b.bin("fmul", b.bin("fmul", value, first), second)


def _or_nan(b: Builder, x: Value, value: Value) -> Value:
    return b.select(b.fcmp("uno", x, x), x, value)


def _powers(b: Builder, x: Value, low: float, high: float) -> tuple[Value, Value]:
    """Where a power is not 0; and its exponent, cut at the upper bound.

    Below the lower bound the exponent is 0 instead: a processor takes a hundred cycles for a product that is denormal, or
    rounded from there to 0, and whole rows of a masked softmax would be made of them.
    """
    there = b.fcmp("ogt", x, _number(b, x, low))  # false for NaN
    high_ = _number(b, x, high)
    return there, b.select(there, b.select(b.fcmp("olt", x, high_), x, high_), _number(b, x, 0.0))


def exp(b: Builder, x: Value) -> Value:
    """E to the power x."""
    there, clamped = _powers(b, x, *((-104.0, 89.0) if x.kind == "float" else (-746.0, 710.0)))
    turns, r = _reduced(b, clamped)
    value = b.bin("fadd", _exp_minus_one(b, r), _number(b, x, 1.0))
    return _or_nan(b, x, b.select(there, _scaled(b, value, turns), _number(b, x, 0.0)))


def exp2(b: Builder, x: Value) -> Value:
    """2 to the power x."""
    there, clamped = _powers(b, x, *((-151.0, 129.0) if x.kind == "float" else (-1076.0, 1025.0)))
    turns = b.intrinsic("rint", clamped)
    r = b.bin("fmul", b.bin("fsub", clamped, turns), _number(b, x, math.log(2)))
    value = b.bin("fadd", _exp_minus_one(b, r), _number(b, x, 1.0))
    return _or_nan(b, x, b.select(there, _scaled(b, value, turns), _number(b, x, 0.0)))


def expm1(b: Builder, x: Value) -> Value:
    """exp(x) - 1 without cancellation near 0."""
    low, high = (-20.0, 89.0) if x.kind == "float" else (-40.0, 710.0)
    turns, r = _reduced(b, _clamped(b, x, low, high))
    small = _exp_minus_one(b, r)
    # 2**n (e + 1) - 1 as twice 2**(n - 1) e + (2**(n - 1) - 1/2): the largest power would overflow.
    integer = _BITS[x.kind][2]
    n = b.cast("fptosi", turns, integer)
    power = _power_of_two(b, b.bin("sub", n, b.const(integer, 1, n.lanes)), x.kind)
    half = b.fma(power, small, b.bin("fsub", power, _number(b, x, 0.5)))
    # Near 0 nothing is added, and the smallest numbers stay.
    value = b.select(b.fcmp("oeq", turns, _number(b, x, 0.0)), small, b.bin("fadd", half, half))
    unchanged = b.fcmp("ueq", x, _number(b, x, 0.0))  # zeros of both signs, and NaN
    return b.select(unchanged, x, value)


def _logarithm(b: Builder, u: Value, correction: Value | None) -> Value:
    """log(u) + correction for positive normal u; infinity and NaN are up to the caller."""
    fraction, bias, integer = _BITS[u.kind]
    root = _bits_of_root(u.kind)
    bits = b.bin("add", b.cast("bitcast", u, integer), b.const(integer, (bias << fraction) - root, u.lanes))
    exponent = b.bin("ashr", bits, b.const(integer, fraction, u.lanes))
    k = b.cast("sitofp", b.bin("sub", exponent, b.const(integer, bias, u.lanes)), u.kind)
    low = b.bin("and", bits, b.const(integer, (1 << fraction) - 1, u.lanes))
    m = b.cast("bitcast", b.bin("add", low, b.const(integer, root, u.lanes)), u.kind)
    f = b.bin("fsub", m, _number(b, u, 1.0))
    s = b.bin("fdiv", f, b.bin("fadd", f, _number(b, u, 2.0)))
    z = b.bin("fmul", s, s)
    rest = b.bin("fmul", z, polynomial(b, z, _LOG[u.kind]))
    half = b.bin("fmul", b.bin("fmul", f, f), _number(b, u, 0.5))
    high, low_part = _LN2[u.kind]
    tail = b.bin("fmul", k, _number(b, u, low_part))
    if correction is not None:
        tail = b.bin("fadd", tail, correction)
    tail = b.bin("fadd", b.bin("fmul", s, b.bin("fadd", half, rest)), tail)
    value = b.bin("fsub", f, b.bin("fsub", half, tail))
    return b.bin("fadd", b.bin("fmul", k, _number(b, u, high)), value)


def _bits_of_root(kind: str) -> int:
    # sqrt(1/2), rounded, as an integer.
    return 0x3F3504F3 if kind == "float" else 0x3FE6A09E667F3BCD


def log(b: Builder, x: Value) -> Value:
    """The natural logarithm."""
    smallest, shift = (2.0**-126, 25) if x.kind == "float" else (2.0**-1022, 54)
    small = b.fcmp("olt", x, _number(b, x, smallest))
    normal = b.select(small, b.bin("fmul", x, _number(b, x, 2.0**shift)), x)
    # Of a number that is multiplied by 2**shift the logarithm is larger by shift log(2): a part of the correction.
    value = _logarithm(b, normal, None)
    high, low = _LN2[x.kind]
    less = b.bin("fsub", b.bin("fsub", value, _number(b, x, shift * high)), _number(b, x, shift * low))
    return _ends_of_log(b, x, b.select(small, less, value), 0.0)


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x) without cancellation near 0."""
    one = _number(b, x, 1.0)
    u = b.bin("fadd", x, one)
    # What the sum lost; of a large x, 1 - (u - x) is exact, of a small one x - (u - 1).
    large = b.bin("fsub", one, b.bin("fsub", u, x))
    small = b.bin("fsub", x, b.bin("fsub", u, one))
    lost = b.select(b.fcmp("olt", x, one), small, large)
    value = _logarithm(b, u, b.bin("fdiv", lost, u))
    value = _ends_of_log(b, u, value, 0.0)
    return b.select(b.fcmp("ueq", x, _number(b, x, 0.0)), x, value)


def _ends_of_log(b: Builder, x: Value, value: Value, zero: float) -> Value:
    infinity = _number(b, x, math.inf)
    value = b.select(b.fcmp("olt", x, infinity), value, x)  # infinity and NaN stay
    value = b.select(b.fcmp("oeq", x, _number(b, x, zero)), _number(b, x, -math.inf), value)
    return b.select(b.fcmp("olt", x, _number(b, x, zero)), _number(b, x, math.nan), value)


def tanh(b: Builder, x: Value) -> Value:
    """The hyperbolic tangent."""
    a = b.intrinsic("fabs", x)
    z, one = b.bin("fmul", a, a), _number(b, x, 1.0)
    if x.kind == "float":
        small = b.fma(b.bin("fmul", a, z), polynomial(b, z, _TANH), a)
    else:
        above, below = _tanh_fraction()
        g = b.bin("fdiv", polynomial(b, z, below), polynomial(b, z, above))
        small = b.bin("fsub", a, b.bin("fmul", b.bin("fmul", a, z), g))
    power = exp(b, b.bin("fadd", a, a))
    large = b.bin("fsub", one, b.bin("fdiv", _number(b, x, 2.0), b.bin("fadd", power, one)))
    value = b.select(b.fcmp("olt", a, _number(b, x, 0.625)), small, large)
    return b.intrinsic("copysign", value, x)


def _tanh_fraction() -> tuple[list[float], list[float]]:
    # tanh(x) = x - x z / (z + D) with D = 3 + z / (5 + z / (7 + ...)) and z = x**2, Lambert's continued fraction.
    above, below = [17], [1]
    for odd in (15, 13, 11, 9, 7, 5, 3):
        # odd + z / (above / below) = (odd * above + z * below) / above
        shifted = [0, *below]
        size = max(len(above), len(shifted))
        summed = [
            odd * (above[i] if i < len(above) else 0) + (shifted[i] if i < len(shifted) else 0) for i in range(size)
        ]
        above, below = summed, above
    size = max(len(above), len(below) + 1)
    total = [(above[i] if i < len(above) else 0) + (below[i - 1] if 0 < i <= len(below) else 0) for i in range(size)]
    scale = float(below[0])
    return [c / scale for c in total], [c / scale for c in below]


def erf(b: Builder, x: Value) -> Value:
    """The error function."""
    a = b.intrinsic("fabs", x)
    z, one = b.bin("fmul", a, a), _number(b, x, 1.0)
    first, *rest = _ERF[x.kind]
    beyond = b.fma(z, polynomial(b, z, rest), _number(b, x, 2 / math.sqrt(math.pi) - 1 + first))
    small = b.fma(a, beyond, a)
    middle, half = _ERFC_PLACE[x.kind]
    top = _number(b, x, middle + half)
    cut = b.select(b.fcmp("olt", a, top), a, top)
    t = b.bin("fmul", b.bin("fsub", cut, _number(b, x, middle)), _number(b, x, 1 / half))
    large = b.bin("fsub", one, exp(b, polynomial(b, t, _ERFC[x.kind])))
    value = b.select(b.fcmp("olt", a, _number(b, x, 0.95 if x.kind == "float" else 1.0)), small, large)
    return _or_nan(b, x, b.intrinsic("copysign", value, x))


def sin(b: Builder, x: Value) -> Value:
    """The sine."""
    return _apart(b, "sin", x)


def cos(b: Builder, x: Value) -> Value:
    """The cosine."""
    return _apart(b, "cos", x)


def _apart(b: Builder, name: str, x: Value) -> Value:
    # A function of its own, because it branches: many turns are left to the C library.
    kind, lanes = x.kind, x.lanes

    def make(full: str) -> str:
        inner = Builder(b.module)
        value = _turned(inner, Value("%x", kind, lanes), name)
        inner.line(f"ret {value.typed}")
        vector = type_text(kind, lanes)
        return inner.function(f"define internal {vector} @{full}({vector} %x)")

    return b.call(b.module.once((name, kind, lanes), make), kind, lanes, x)


def _turned(b: Builder, x: Value, name: str) -> Value:
    wide = b.cast("fpext", x, "double")
    magnitude = b.intrinsic("fabs", wide)
    few = b.fcmp("olt", magnitude, _number(b, wide, _MANY_TURNS))
    angle = b.select(few, wide, _number(b, wide, 0.0))
    turns = b.intrinsic("rint", b.bin("fmul", angle, _number(b, wide, 2 / math.pi)))
    one, two, three = (b.bin("fmul", turns, _number(b, wide, part)) for part in _QUARTER)
    first = b.bin("fsub", angle, one)
    r = b.bin("fsub", first, two)
    back = b.bin("fsub", r, first)
    lost = b.bin("fsub", b.bin("fsub", first, b.bin("fsub", r, back)), b.bin("fadd", two, back))
    low = b.bin("fsub", lost, three)
    high = b.bin("fadd", r, low)
    low = b.bin("fadd", b.bin("fsub", r, high), low)
    z = b.bin("fmul", high, high)
    short = x.kind == "float"
    half = b.bin("fmul", z, _number(b, wide, 0.5))
    unit = _number(b, wide, 1.0)
    sine = b.bin("fmul", b.bin("fmul", high, z), polynomial(b, z, _SIN_SHORT if short else _SIN))
    sine = b.bin("fadd", high, b.bin("fadd", sine, b.bin("fmul", low, b.bin("fsub", unit, half))))
    rest = b.bin("fsub", unit, half)
    gone = b.bin("fsub", b.bin("fsub", unit, rest), half)
    square = b.bin("fmul", b.bin("fmul", z, z), polynomial(b, z, _COS_SHORT if short else _COS))
    cosine = b.bin("fadd", rest, b.bin("fadd", gone, b.bin("fsub", square, b.bin("fmul", high, low))))
    quarter = b.cast("fptosi", turns, "i64")
    if name == "cos":
        quarter = b.bin("add", quarter, b.const("i64", 1, x.lanes))
    none = b.const("i64", 0, x.lanes)
    odd = b.icmp("ne", b.bin("and", quarter, b.const("i64", 1, x.lanes)), none)
    negative = b.icmp("ne", b.bin("and", quarter, b.const("i64", 2, x.lanes)), none)
    value = b.select(odd, cosine, sine)
    value = b.select(negative, b.neg(value), value)
    if name == "sin":
        value = b.select(b.fcmp("oeq", wide, _number(b, wide, 0.0)), wide, value)
    value = _or_nan(b, wide, value)
    result = b.variable(value)
    many = b.fcmp("oge", magnitude, _number(b, wide, _MANY_TURNS))
    with b.when(any_lane(b, many)):
        b.set(result, library(b, name, wide))
    return b.cast("fptrunc", b.get(result), x.kind)


def any_lane(b: Builder, condition: Value) -> Value:
    """Whether it holds in some lane."""
    if condition.lanes == 1:
        return condition
    bits = f"i{condition.lanes}"
    return b.icmp("ne", b.pure(f"bitcast {condition.typed} to {bits}", bits, 1), b.const(bits, 0))


def library(b: Builder, name: str, *operands: Value) -> Value:
    """A function of the C library on each lane, computed in double precision."""
    operands = b.same_lanes(*operands)
    kind, lanes = operands[0].kind, operands[0].lanes
    b.module.declare(f"declare double @{name}({', '.join(['double'] * len(operands))})")
    wide = [b.cast("fpext", x, "double") for x in operands]
    if lanes == 1:
        return b.cast("fptrunc", b.call(name, "double", 1, *wide), kind)
    made = b.const("double", 0.0, lanes)
    for lane in range(lanes):
        made = b.insert(made, b.call(name, "double", 1, *[b.extract(x, lane) for x in wide]), lane)
    return b.cast("fptrunc", made, kind)

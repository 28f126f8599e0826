"""Arithmetic, element by element, with the derivative of each operation beside its definition.

A rule gives the partial derivative of the result by each operand: ``partials(x, y, out=z)`` is ``(dz/dx, dz/dy)``.
"""

from __future__ import annotations

from graphnn.errors import DTypeError
from graphnn.ir.dtype import DType
from graphnn.ir.node import Node
from graphnn.ir.op import Partial
from graphnn.ops.comparison import where
from graphnn.ops.kinds import ADD, MULTIPLY, POWER, Arithmetic
from graphnn.ops.operands import Operand, as_node, as_nodes


class Add(Arithmetic):
    """x + y"""

    latex, python, precedence, commutative = "{0:10} + {1:10}", "{0:10} + {1:10}", ADD, True

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return 1, 1


def add(x: Operand, y: Operand, /) -> Node:
    """Sum ``x + y``.

    >>> gn.evaluate(gn.add([1.0, 2.0], 3.0))
    array([4., 5.], dtype=float32)
    """
    return Add()(*as_nodes("add", x, y))


class Subtract(Arithmetic):
    """x - y"""

    latex, python, precedence = "{0:10} - {1:11}", "{0:10} - {1:11}", ADD

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return 1, -1


def subtract(x: Operand, y: Operand, /) -> Node:
    """Difference ``x - y``.

    >>> gn.evaluate(gn.subtract([1.0, 2.0], 3.0))
    array([-2., -1.], dtype=float32)
    """
    return Subtract()(*as_nodes("subtract", x, y))


class Multiply(Arithmetic):
    """x * y"""

    latex, python, precedence, commutative = r"{0:20} \odot {1:20}", "{0:20} * {1:20}", MULTIPLY, True

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        return y, x


def multiply(x: Operand, y: Operand, /) -> Node:
    """Product ``x * y``, element by element (Hadamard product).

    >>> gn.evaluate(gn.multiply([1.0, 2.0], 3.0))
    array([3., 6.], dtype=float32)
    """
    return Multiply()(*as_nodes("multiply", x, y))


class Divide(Arithmetic):
    """x / y"""

    latex, python, precedence = r"\frac{{{0}}}{{{1}}}", "{0:20} / {1:21}", MULTIPLY
    kind = "floating-point"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        _, y = operands
        return 1 / y, -out / y

    def infer_dtype(self, *dtypes: DType) -> DType:
        if all(dtype.is_integer for dtype in dtypes):
            raise DTypeError(
                f"divide takes floating-point arrays, not {dtypes[0]}",
                "For whole numbers use x // y; for fractions cast first: x.astype('float32') / y.",
            )
        return super().infer_dtype(*dtypes)


def divide(x: Operand, y: Operand, /) -> Node:
    """Quotient ``x / y`` of floating-point arrays.

    >>> gn.evaluate(gn.divide([1.0, 2.0], 4.0))
    array([0.25, 0.5 ], dtype=float32)
    """
    return Divide()(*as_nodes("divide", x, y))


class FloorDivide(Arithmetic):
    """The largest whole number not above x / y"""

    # Weaker than a product: x * (y // z) and (x * y) // z differ, so parentheses must tell them apart.
    latex, python, precedence = r"\left\lfloor \frac{{{0}}}{{{1}}} \right\rfloor", "{0:20} // {1:21}", MULTIPLY - 1

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return None, None  # constant between the jumps


def floor_divide(x: Operand, y: Operand, /) -> Node:
    """Quotient rounded down, ``floor(x / y)``; integers divided by 0 give 0, as in NumPy.

    >>> gn.evaluate(gn.floor_divide([7, -7], 2))
    array([ 3, -4])
    """
    return FloorDivide()(*as_nodes("floor_divide", x, y))


class Remainder(Arithmetic):
    """x - y floor(x / y)"""

    latex, python, precedence = r"{0:20} \bmod {1:21}", "{0:20} % {1:21}", MULTIPLY - 1

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        return 1, -floor_divide(x, y)


def remainder(x: Operand, y: Operand, /) -> Node:
    """Remainder ``x - y * floor(x / y)``, with the sign of y.

    >>> gn.evaluate(gn.remainder([7, -7], 3))
    array([1, 2])
    """
    return Remainder()(*as_nodes("remainder", x, y))


class Negative(Arithmetic):
    """-x"""

    latex, python, precedence = "-{0:20}", "-{0:30}", ADD

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (-1,)


def negative(x: Operand, /) -> Node:
    """Negation ``-x``.

    >>> gn.evaluate(gn.negative([1.0, -2.0]))
    array([-1.,  2.], dtype=float32)
    """
    return Negative()(as_node(x))


class Positive(Arithmetic):
    """+x"""

    latex, python, precedence = "+{0:20}", "+{0:30}", ADD

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1,)


def positive(x: Operand, /) -> Node:
    """The identity ``+x``.

    >>> gn.evaluate(gn.positive([1.0, -2.0]))
    array([ 1., -2.], dtype=float32)
    """
    return Positive()(as_node(x))


class Abs(Arithmetic):
    """The absolute value"""

    latex = r"\left|{0}\right|"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (sign(operands[0]),)


def abs(x: Operand, /) -> Node:
    """Absolute value ``|x|``. Its derivative is ``sign(x)``, hence 0 at 0.

    >>> gn.evaluate(gn.abs([1.0, -2.0]))
    array([1., 2.], dtype=float32)
    """
    return Abs()(as_node(x))


class Sign(Arithmetic):
    """-1, 0 or 1"""

    latex = r"\operatorname{{sign}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (None,)


def sign(x: Operand, /) -> Node:
    """Sign of x: -1, 0 or 1, and NaN for NaN. Its derivative is 0.

    >>> gn.evaluate(gn.sign([3.0, 0.0, -2.0]))
    array([ 1.,  0., -1.], dtype=float32)
    """
    return Sign()(as_node(x))


class Square(Arithmetic):
    """x * x"""

    latex, python, precedence = "{0:41}^{{2}}", "{0:41} ** 2", POWER

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (2 * operands[0],)


def square(x: Operand, /) -> Node:
    """Square ``x * x``.

    >>> gn.evaluate(gn.square([1.0, -2.0]))
    array([1., 4.], dtype=float32)
    """
    return Square()(as_node(x))


class Reciprocal(Arithmetic):
    """1 / x"""

    latex = r"\frac{{1}}{{{0}}}"
    kind = "floating-point"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (-out * out,)


def reciprocal(x: Operand, /) -> Node:
    """Reciprocal ``1 / x``.

    >>> gn.evaluate(gn.reciprocal([1.0, 4.0]))
    array([1.  , 0.25], dtype=float32)
    """
    return Reciprocal()(as_node(x))


class Maximum(Arithmetic):
    """The larger of x and y"""

    latex, commutative = r"\max\left({0}, {1}\right)", True

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        return _wins(x > y, x == y, out.dtype), _wins(y > x, x == y, out.dtype)


def maximum(x: Operand, y: Operand, /) -> Node:
    """The larger of x and y; NaN where one of them is. Where both are equal, each has the derivative 1/2.

    >>> gn.evaluate(gn.maximum([1.0, -2.0], 0.0))
    array([1., 0.], dtype=float32)
    """
    return Maximum()(*as_nodes("maximum", x, y))


class Minimum(Arithmetic):
    """The smaller of x and y"""

    latex, commutative = r"\min\left({0}, {1}\right)", True

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        return _wins(x < y, x == y, out.dtype), _wins(y < x, x == y, out.dtype)


def minimum(x: Operand, y: Operand, /) -> Node:
    """The smaller of x and y; NaN where one of them is. Where both are equal, each has the derivative 1/2.

    >>> gn.evaluate(gn.minimum([1.0, -2.0], 0.0))
    array([ 0., -2.], dtype=float32)
    """
    return Minimum()(*as_nodes("minimum", x, y))


def _wins(better: Node, tie: Node, dtype: DType) -> Node:
    one, half, zero = (as_node(value, dtype) for value in (1.0, 0.5, 0.0))
    return where(better, one, where(tie, half, zero))


class Clip(Arithmetic):
    """x, but at least low and at most high"""

    latex = r"\operatorname{{clip}}\left({0}, {1}, {2}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, low, high = operands
        inside, below, above = (x >= low) & (x <= high), x < low, x > high
        # Where low > high the result is high, as in NumPy.
        return tuple(part.astype(out.dtype) for part in (inside, below & (low <= high), above | (low > high)))


def clip(x: Operand, low: Operand | None = None, high: Operand | None = None, /) -> Node:
    """``minimum(maximum(x, low), high)``. At the bounds themselves the derivative by x is 1.

    >>> gn.evaluate(gn.clip([-2.0, 0.5, 2.0], 0.0, 1.0))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    if low is None or high is None:
        if low is not None:
            return maximum(x, low)
        return as_node(x) if high is None else minimum(x, high)
    return Clip()(*as_nodes("clip", x, low, high))


class Hypot(Arithmetic):
    """sqrt(x^2 + y^2)"""

    latex = r"\sqrt{{{0:41}^{{2}} + {1:41}^{{2}}}}"
    kind, commutative = "floating-point", True

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        safe = where(out == 0, as_node(1.0, out.dtype), out)  # a norm has the derivative 0 at the zero vector
        return x / safe, y / safe


def hypot(x: Operand, y: Operand, /) -> Node:
    """Length of the vector (x, y), ``sqrt(x**2 + y**2)``, without overflow. Its derivative at (0, 0) is 0.

    >>> gn.evaluate(gn.hypot(3.0, 4.0))
    array(5., dtype=float32)
    """
    return Hypot()(*as_nodes("hypot", x, y))


class Copysign(Arithmetic):
    """|x| with the sign of y"""

    latex = r"\operatorname{{copysign}}\left({0}, {1}\right)"
    kind = "floating-point"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, _ = operands
        return sign(x) * sign(out), None


def copysign(x: Operand, y: Operand, /) -> Node:
    """The magnitude of x with the sign of y.

    >>> gn.evaluate(gn.copysign([1.0, -2.0], [-1.0, 1.0]))
    array([-1.,  2.], dtype=float32)
    """
    return Copysign()(*as_nodes("copysign", x, y))


class Nextafter(Arithmetic):
    """The next number after x towards y"""

    latex = r"\operatorname{{nextafter}}\left({0}, {1}\right)"
    kind = "floating-point"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return 1, None  # one spacing away from x


def nextafter(x: Operand, y: Operand, /) -> Node:
    """The next floating-point number after x in the direction of y.

    >>> gn.evaluate(gn.nextafter(1.0, 2.0) > 1.0)
    array(True)
    """
    return Nextafter()(*as_nodes("nextafter", x, y))


class _Rounding(Arithmetic):
    """A whole number near x; the derivative is 0 between the jumps."""

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (None,)


class Floor(_Rounding):
    """The largest whole number not above x"""

    latex = r"\left\lfloor {0} \right\rfloor"


def floor(x: Operand, /) -> Node:
    """The largest whole number not above x. Its derivative is 0.

    >>> gn.evaluate(gn.floor([1.5, -1.5]))
    array([ 1., -2.], dtype=float32)
    """
    return Floor()(as_node(x))


class Ceil(_Rounding):
    """The smallest whole number not below x"""

    latex = r"\left\lceil {0} \right\rceil"


def ceil(x: Operand, /) -> Node:
    """The smallest whole number not below x. Its derivative is 0.

    >>> gn.evaluate(gn.ceil([1.5, -1.5]))
    array([ 2., -1.], dtype=float32)
    """
    return Ceil()(as_node(x))


class Trunc(_Rounding):
    """x without its fraction"""

    latex = r"\operatorname{{trunc}}\left({0}\right)"


def trunc(x: Operand, /) -> Node:
    """x rounded towards zero. Its derivative is 0.

    >>> gn.evaluate(gn.trunc([1.5, -1.5]))
    array([ 1., -1.], dtype=float32)
    """
    return Trunc()(as_node(x))


class Round(_Rounding):
    """The nearest whole number"""

    latex = r"\operatorname{{round}}\left({0}\right)"


def round(x: Operand, /) -> Node:
    """The nearest whole number; of two equally near ones the even one. Its derivative is 0.

    >>> gn.evaluate(gn.round([0.5, 1.5, 2.4]))
    array([0., 2., 2.], dtype=float32)
    """
    return Round()(as_node(x))

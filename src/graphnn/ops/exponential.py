"""Exponentials, logarithms, roots and powers, element by element."""

from __future__ import annotations

import math
from typing import ClassVar

from graphnn.ir.leaves import Constant
from graphnn.ir.node import Node
from graphnn.ir.op import Partial
from graphnn.ops.comparison import where
from graphnn.ops.kinds import POWER, Arithmetic
from graphnn.ops.operands import Operand, as_node, as_nodes


class Transcendental(Arithmetic):
    """An element-wise function of floating-point arrays."""

    kind: ClassVar[str] = "floating-point"


class Exp(Transcendental):
    """e to the power x"""

    latex = "e^{{{0}}}"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (out,)


def exp(x: Operand, /) -> Node:
    """Exponential ``e**x``.

    >>> gn.evaluate(gn.exp([0.0, 1.0])).round(4)
    array([1.    , 2.7183], dtype=float32)
    """
    return Exp()(as_node(x))


class Exp2(Transcendental):
    """2 to the power x"""

    latex = "2^{{{0}}}"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (out * math.log(2.0),)


def exp2(x: Operand, /) -> Node:
    """Power of two ``2**x``.

    >>> gn.evaluate(gn.exp2([0.0, 3.0]))
    array([1., 8.], dtype=float32)
    """
    return Exp2()(as_node(x))


class Expm1(Transcendental):
    """e^x - 1, exact near 0"""

    latex, precedence = "e^{{{0}}} - 1", 10

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (exp(operands[0]),)


def expm1(x: Operand, /) -> Node:
    """``e**x - 1`` without cancellation near 0.

    >>> gn.evaluate(gn.expm1([0.0, 1e-8]))
    array([0.e+00, 1.e-08], dtype=float32)
    """
    return Expm1()(as_node(x))


class Log(Transcendental):
    """The natural logarithm"""

    latex = r"\log\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1 / operands[0],)


def log(x: Operand, /) -> Node:
    """Natural logarithm; -inf at 0 and NaN for negative numbers.

    >>> gn.evaluate(gn.log([1.0, 2.0])).round(4)
    array([0.    , 0.6931], dtype=float32)
    """
    return Log()(as_node(x))


class Log1p(Transcendental):
    """log(1 + x), exact near 0"""

    latex = r"\log\left(1 + {0:10}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1 / (1 + operands[0]),)


def log1p(x: Operand, /) -> Node:
    """``log(1 + x)`` without cancellation near 0.

    >>> gn.evaluate(gn.log1p([0.0, 1e-8]))
    array([0.e+00, 1.e-08], dtype=float32)
    """
    return Log1p()(as_node(x))


class Log2(Transcendental):
    """The logarithm to base 2"""

    latex = r"\log_{{2}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1 / math.log(2.0) / operands[0],)


def log2(x: Operand, /) -> Node:
    """Logarithm to base 2.

    >>> gn.evaluate(gn.log2([1.0, 8.0]))
    array([0., 3.], dtype=float32)
    """
    return Log2()(as_node(x))


class Log10(Transcendental):
    """The logarithm to base 10"""

    latex = r"\log_{{10}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1 / math.log(10.0) / operands[0],)


def log10(x: Operand, /) -> Node:
    """Logarithm to base 10.

    >>> gn.evaluate(gn.log10([1.0, 1000.0])).round(4)
    array([0., 3.], dtype=float32)
    """
    return Log10()(as_node(x))


class Logaddexp(Transcendental):
    """log(e^x + e^y) without overflow"""

    latex, commutative = r"\log\left(e^{{{0}}} + e^{{{1}}}\right)", True

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        # Where both are -inf, so is the result; the difference would be NaN.
        still = out == -math.inf
        return tuple(exp(where(still, -math.inf, operand - out)) for operand in (x, y))


def logaddexp(x: Operand, y: Operand, /) -> Node:
    """``log(exp(x) + exp(y))`` without overflow.

    >>> gn.evaluate(gn.logaddexp(1000.0, 1000.0)).round(2)
    np.float32(1000.69)
    """
    return Logaddexp()(*as_nodes("logaddexp", x, y))


class Sqrt(Transcendental):
    """The square root"""

    latex = r"\sqrt{{{0}}}"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (0.5 / out,)


def sqrt(x: Operand, /) -> Node:
    """Square root; NaN for negative numbers. Its derivative ``0.5 / sqrt(x)`` is infinite at 0.

    >>> gn.evaluate(gn.sqrt([1.0, 4.0]))
    array([1., 2.], dtype=float32)
    """
    return Sqrt()(as_node(x))


class Pow(Arithmetic):
    """x to the power y"""

    latex, python, precedence = "{0:41}^{{{1}}}", "{0:41} ** {1:40}", POWER

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        x, y = operands
        exponent = scalar_value(y)
        if exponent is not None:
            if exponent == 0.0:
                return None, self._by_exponent(x, out)
            by_x: Partial = 1 if exponent == 1.0 else exponent * (x if exponent == 2.0 else x ** (exponent - 1))
            return by_x, self._by_exponent(x, out)
        # x**0 is the constant 1, also at x = 0.
        return y * x ** where((x == 0) & (y == 0), 1, y - 1), self._by_exponent(x, out)

    @staticmethod
    def _by_exponent(x: Node, out: Node) -> Node:
        # At x = 0 the power is flat in y, so the logarithm is not asked there.
        return out * log(where(x == 0, 1, x))


def pow(x: Operand, y: Operand, /) -> Node:
    """Power ``x ** y``. Its derivative by x is ``y * x**(y - 1)``, and 0 where y is 0, also at ``0**0``.

    >>> gn.evaluate(gn.pow([1.0, 2.0, 3.0], 2))
    array([1., 4., 9.], dtype=float32)
    """
    return Pow()(*as_nodes("pow", x, y))


def scalar_value(node: Node) -> float | None:
    """The number that a scalar constant holds, else None."""
    if isinstance(node.op, Constant) and node.ndim == 0:
        return float(node.op.payload.array)
    return None


class Erf(Transcendental):
    """The error function"""

    latex = r"\operatorname{{erf}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (2 / math.sqrt(math.pi) * exp(-x * x),)


def erf(x: Operand, /) -> Node:
    """Error function ``2/sqrt(pi) * integral of exp(-t**2) from 0 to x``.

    Source: NIST Digital Library of Mathematical Functions, 7.2.1.

    >>> gn.evaluate(gn.erf([0.0, 1.0])).round(4)
    array([0.    , 0.8427], dtype=float32)
    """
    return Erf()(as_node(x))

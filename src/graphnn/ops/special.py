"""Special functions, element by element: of the error, gamma, beta and Bessel families."""

from __future__ import annotations

import math

from graphnn.errors import DifferentiationError, GraphError
from graphnn.ir.node import Node
from graphnn.ir.op import Partial
from graphnn.ops.comparison import where
from graphnn.ops.exponential import Transcendental, exp, log, log1p
from graphnn.ops.operands import Operand, as_node, as_nodes


class Erfc(Transcendental):
    """The complement of the error function"""

    latex = r"\operatorname{{erfc}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (-2 / math.sqrt(math.pi) * exp(-x * x),)


def erfc(x: Operand, /) -> Node:
    """Complement of the error function, ``1 - erf(x)``, exact also where it is small.

    Source: NIST Digital Library of Mathematical Functions, 7.2.2.

    >>> gn.evaluate(gn.erfc([0.0, 1.0])).round(4)
    array([1.    , 0.1573], dtype=float32)
    """
    return Erfc()(as_node(x))


class Erfinv(Transcendental):
    """The inverse of the error function"""

    latex = r"\operatorname{{erf}}^{{-1}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (math.sqrt(math.pi) / 2 * exp(out * out),)


def erfinv(x: Operand, /) -> Node:
    """Inverse of the error function: ``erf(erfinv(x)) = x``; infinite at -1 and 1, NaN outside.

    Source: NIST Digital Library of Mathematical Functions, 7.17.

    >>> gn.evaluate(gn.erfinv([0.0, 0.5])).round(4)
    array([0.    , 0.4769], dtype=float32)
    """
    return Erfinv()(as_node(x))


class Lgamma(Transcendental):
    """The logarithm of the magnitude of the gamma function"""

    latex = r"\log \left| \Gamma\left({0}\right) \right|"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (digamma(operands[0]),)


def lgamma(x: Operand, /) -> Node:
    """``log(abs(gamma(x)))``, where ``gamma(n + 1) = n!``; infinite at 0, -1, -2 ... Its derivative is digamma(x).

    Source: NIST Digital Library of Mathematical Functions, 5.2.1.

    >>> gn.evaluate(gn.lgamma([1.0, 5.0])).round(4)
    array([0.    , 3.1781], dtype=float32)
    """
    return Lgamma()(as_node(x))


class Digamma(Transcendental):
    """The derivative of the logarithm of the gamma function"""

    latex = r"\psi\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (Polygamma(1)(operands[0]),)


def digamma(x: Operand, /) -> Node:
    """The derivative of `lgamma`, also called psi; NaN at -1, -2 ... Its derivative is ``polygamma(1, x)``.

    Source: NIST Digital Library of Mathematical Functions, 5.2.2.

    >>> gn.evaluate(gn.digamma([1.0, 2.0])).round(4)
    array([-0.5772,  0.4228], dtype=float32)
    """
    return Digamma()(as_node(x))


class Polygamma(Transcendental):
    """A derivative of the digamma function"""

    order: int
    latex, python = r"\psi^{{({order})}}\left({0}\right)", "polygamma({order}, {0})"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (Polygamma(self.order + 1)(operands[0]),)


def polygamma(order: int, x: Operand, /) -> Node:
    """The derivative of `digamma` of an order from 0; its own derivative is that of the next order.

    ``polygamma(1, x)``, also called trigamma, is the sum of ``1 / (x + k)**2`` over all k from 0.
    Source: NIST Digital Library of Mathematical Functions, 5.15.

    >>> gn.evaluate(gn.polygamma(1, [1.0, 2.0])).round(4)
    array([1.6449, 0.6449], dtype=float32)
    """
    _check_order("polygamma", order)
    return Polygamma(order)(as_node(x)) if order else digamma(x)


def _check_order(name: str, order: object) -> None:
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise GraphError(f"{name}: the order is an int from 0, not {order!r}", f"It comes first: gn.{name}(1, x).")


class BesselI(Transcendental):
    """The modified Bessel function of the first kind"""

    order: int
    latex, python = r"I_{{{order}}}\left({0}\right)", "i{order}({0})"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        if self.order == 0:
            return (BesselI(1)(x),)
        # Without the division by x of the other formulas, which loses digits near 0.
        return (0.5 * (BesselI(self.order - 1)(x) + BesselI(self.order + 1)(x)),)


def i0(x: Operand, /) -> Node:
    """Modified Bessel function of the first kind, order 0. Its derivative is i1(x).

    Source: NIST Digital Library of Mathematical Functions, 10.25.2 and 10.29.3.

    >>> gn.evaluate(gn.i0([0.0, 1.0])).round(4)
    array([1.    , 1.2661], dtype=float32)
    """
    return BesselI(0)(as_node(x))


def i1(x: Operand, /) -> Node:
    """Modified Bessel function of the first kind, order 1. Its derivative is ``(I0(x) + I2(x)) / 2``.

    Source: NIST Digital Library of Mathematical Functions, 10.25.2 and 10.29.1.

    >>> gn.evaluate(gn.i1([0.0, 1.0])).round(4)
    array([0.    , 0.5652], dtype=float32)
    """
    return BesselI(1)(as_node(x))


class SphericalJ(Transcendental):
    """The spherical Bessel function of the first kind"""

    order: int
    latex = r"j_{{{order}}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        n = self.order
        if n == 0:
            return (-SphericalJ(1)(x),)
        # Without a division by x, as in `BesselI`.
        return ((n * SphericalJ(n - 1)(x) - (n + 1) * SphericalJ(n + 1)(x)) / (2 * n + 1),)


def sinc(x: Operand, /) -> Node:
    """``sin(pi x) / (pi x)``, and 1 at 0: the spherical Bessel function of order 0 at ``pi x``.

    Source: NIST Digital Library of Mathematical Functions, 10.49.3; its derivative: 10.51.2.

    >>> gn.evaluate(gn.sinc([0.0, 0.5])).round(4)
    array([1.    , 0.6366], dtype=float32)
    """
    return SphericalJ(0)(math.pi * as_node(x))


class Betaln(Transcendental):
    """The logarithm of the beta function"""

    commutative = True
    latex = r"\log \mathrm{{B}}\left({0}, {1}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        a, b = operands
        both = digamma(a + b)
        return digamma(a) - both, digamma(b) - both


def betaln(a: Operand, b: Operand, /) -> Node:
    """``lgamma(a) + lgamma(b) - lgamma(a + b)``, the logarithm of the beta function, for positive a and b.

    Source: NIST Digital Library of Mathematical Functions, 5.12.1.

    >>> gn.evaluate(gn.betaln(2.0, 3.0)).round(4)
    np.float32(-2.4849)
    """
    return Betaln()(*as_nodes("betaln", a, b))


class Betainc(Transcendental):
    """The regularised incomplete beta function"""

    latex = r"I_{{{2}}}\left({0}, {1}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        a, b, x = operands
        # 0 log 0 counts as 0: the density of a = 1 is finite at x = 0, that of b = 1 at x = 1.
        rising = where(a == 1, 0, (a - 1) * log(x))
        falling = where(b == 1, 0, (b - 1) * log1p(-x))
        density = exp(rising + falling - betaln(a, b))
        return _by_parameter("a"), _by_parameter("b"), density


def _by_parameter(name: str) -> DifferentiationError:
    return DifferentiationError(
        f"betainc: its derivative by {name} is not known here, only that by x",
        f"Where {name} is meant as a constant, write gn.stop_gradient({name}).",
    )


def betainc(a: Operand, b: Operand, x: Operand, /) -> Node:
    """The regularised incomplete beta function, the distribution function of the beta distribution.

    ``integral of t**(a - 1) * (1 - t)**(b - 1) from 0 to x``, divided by the same up to 1; for positive a and b, and x
    between 0 and 1. It has a derivative by x only.
    Source: NIST Digital Library of Mathematical Functions, 8.17.2.

    >>> gn.evaluate(gn.betainc(2.0, 3.0, 0.5)).round(4)
    np.float32(0.6875)

    Raises
    ------
    DifferentiationError
        When its derivative by a or b is asked for.
    """
    return Betainc()(*as_nodes("betainc", a, b, x))

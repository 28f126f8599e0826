"""Trigonometric and hyperbolic functions, element by element. Angles are in radians."""

from __future__ import annotations

from graphnn.ir.node import Node
from graphnn.ir.op import Partial
from graphnn.ops.comparison import where
from graphnn.ops.exponential import Transcendental, sqrt
from graphnn.ops.operands import Operand, as_node, as_nodes


class Sin(Transcendental):
    """Sine"""

    latex = r"\sin\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (cos(x),)


def sin(x: Operand, /) -> Node:
    """Sine of x.

    >>> gn.evaluate(gn.sin([0.0, 1.0])).round(4)
    array([0.    , 0.8415], dtype=float32)
    """
    return Sin()(as_node(x))


class Cos(Transcendental):
    """Cosine"""

    latex = r"\cos\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (-sin(x),)


def cos(x: Operand, /) -> Node:
    """Cosine of x.

    >>> gn.evaluate(gn.cos([0.0, 1.0])).round(4)
    array([1.    , 0.5403], dtype=float32)
    """
    return Cos()(as_node(x))


class Tan(Transcendental):
    """Tangent"""

    latex = r"\tan\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1 + out * out,)


def tan(x: Operand, /) -> Node:
    """Tangent ``tan(x) = sin(x) / cos(x)``.

    >>> gn.evaluate(gn.tan([0.0, 1.0])).round(4)
    array([0.    , 1.5574], dtype=float32)
    """
    return Tan()(as_node(x))


class Asin(Transcendental):
    """Inverse sine"""

    latex = r"\arcsin\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (1 / sqrt(1 - x * x),)


def asin(x: Operand, /) -> Node:
    """Inverse sine, in [-pi/2, pi/2]; NaN outside -1 <= x <= 1.

    >>> gn.evaluate(gn.asin([0.0, 1.0])).round(4)
    array([0.    , 1.5708], dtype=float32)
    """
    return Asin()(as_node(x))


class Acos(Transcendental):
    """Inverse cosine"""

    latex = r"\arccos\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (-1 / sqrt(1 - x * x),)


def acos(x: Operand, /) -> Node:
    """Inverse cosine, in [0, pi]; NaN outside -1 <= x <= 1.

    >>> gn.evaluate(gn.acos([0.0, 1.0])).round(4)
    array([1.5708, 0.    ], dtype=float32)
    """
    return Acos()(as_node(x))


class Atan(Transcendental):
    """Inverse tangent"""

    latex = r"\arctan\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (1 / (1 + x * x),)


def atan(x: Operand, /) -> Node:
    """Inverse tangent, in (-pi/2, pi/2).

    >>> gn.evaluate(gn.atan([0.0, 1.0])).round(4)
    array([0.    , 0.7854], dtype=float32)
    """
    return Atan()(as_node(x))


class Sinh(Transcendental):
    """Hyperbolic sine"""

    latex = r"\sinh\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (cosh(x),)


def sinh(x: Operand, /) -> Node:
    """Hyperbolic sine ``sinh(x) = (e**x - e**-x) / 2``.

    >>> gn.evaluate(gn.sinh([0.0, 1.0])).round(4)
    array([0.    , 1.1752], dtype=float32)
    """
    return Sinh()(as_node(x))


class Cosh(Transcendental):
    """Hyperbolic cosine"""

    latex = r"\cosh\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (sinh(x),)


def cosh(x: Operand, /) -> Node:
    """Hyperbolic cosine ``cosh(x) = (e**x + e**-x) / 2``.

    >>> gn.evaluate(gn.cosh([0.0, 1.0])).round(4)
    array([1.    , 1.5431], dtype=float32)
    """
    return Cosh()(as_node(x))


class Tanh(Transcendental):
    """Hyperbolic tangent"""

    latex = r"\tanh\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        return (1 - out * out,)


def tanh(x: Operand, /) -> Node:
    """Hyperbolic tangent ``tanh(x) = (e**x - e**-x) / (e**x + e**-x)``, between -1 and 1.

    >>> gn.evaluate(gn.tanh([0.0, 1.0])).round(4)
    array([0.    , 0.7616], dtype=float32)
    """
    return Tanh()(as_node(x))


class Asinh(Transcendental):
    """Inverse hyperbolic sine"""

    latex = r"\operatorname{{arsinh}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (1 / sqrt(x * x + 1),)


def asinh(x: Operand, /) -> Node:
    """Inverse hyperbolic sine ``log(x + sqrt(x**2 + 1))``.

    >>> gn.evaluate(gn.asinh([0.0, 1.0])).round(4)
    array([0.    , 0.8814], dtype=float32)
    """
    return Asinh()(as_node(x))


class Acosh(Transcendental):
    """Inverse hyperbolic cosine"""

    latex = r"\operatorname{{arcosh}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (1 / (sqrt(x - 1) * sqrt(x + 1)),)


def acosh(x: Operand, /) -> Node:
    """Inverse hyperbolic cosine ``log(x + sqrt(x**2 - 1))``; NaN below 1.

    >>> gn.evaluate(gn.acosh([1.0, 2.0])).round(4)
    array([0.   , 1.317], dtype=float32)
    """
    return Acosh()(as_node(x))


class Atanh(Transcendental):
    """Inverse hyperbolic tangent"""

    latex = r"\operatorname{{artanh}}\left({0}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        (x,) = operands
        return (1 / (1 - x * x),)


def atanh(x: Operand, /) -> Node:
    """Inverse hyperbolic tangent ``log((1 + x) / (1 - x)) / 2``; NaN outside -1 <= x <= 1.

    >>> gn.evaluate(gn.atanh([0.0, 0.5])).round(4)
    array([0.    , 0.5493], dtype=float32)
    """
    return Atanh()(as_node(x))


class Atan2(Transcendental):
    """The angle of the point (y, x)"""

    latex = r"\operatorname{{atan2}}\left({0}, {1}\right)"

    def partials(self, *operands: Node, out: Node) -> tuple[Partial, ...]:
        y, x = operands
        square = x * x + y * y
        safe = where(square == 0, as_node(1.0, out.dtype), square)
        return x / safe, -y / safe


def atan2(y: Operand, x: Operand, /) -> Node:
    """The angle of the point with the coordinates x and y, in [-pi, pi]; note the order, y comes first.

    At the origin, where no derivative exists, it is taken as 0.

    >>> gn.evaluate(gn.atan2(1.0, -1.0)).round(4)
    np.float32(2.3562)
    """
    return Atan2()(*as_nodes("atan2", y, x))

"""Special functions composed of others: logarithms and probabilities without overflow or cancellation."""

from __future__ import annotations

import math

from graphnn.functions.activations import sigmoid, softplus
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent
from graphnn.ops.arithmetic import abs
from graphnn.ops.comparison import isnan, where
from graphnn.ops.composite import composite
from graphnn.ops.exponential import exp, expm1, log, log1p
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.trigonometric import atanh


@composite(latex=r"{0:20} \log\left({1}\right)", elementwise=True)
def xlogy(x: Operand, y: Operand, /) -> Node:
    """``x * log(y)``, and 0 where x is 0, also for y = 0. At (0, 0) both derivatives are taken as 0.

    >>> gn.evaluate(gn.xlogy([0.0, 2.0], [0.0, 1.0]))
    array([0., 0.], dtype=float32)
    """
    a, b = as_node(x), as_node(y)
    return where((a == 0) & ~isnan(b), 0, a * log(b))


@xlogy.rule
def _(g: Node, x: Node, y: Node, *, out: Node) -> tuple[Cotangent, ...]:
    safe = where((x == 0) & (y == 0), 1, y)
    return g * log(safe), g * (x / safe)


@composite(latex=r"{0:20} \log\left(1 + {1:10}\right)", elementwise=True)
def xlog1py(x: Operand, y: Operand, /) -> Node:
    """``x * log(1 + y)``, exact for small y, and 0 where x is 0, also for y = -1, where the derivatives are taken as 0.

    >>> gn.evaluate(gn.xlog1py([0.0, 2.0], [-1.0, 0.0]))
    array([0., 0.], dtype=float32)
    """
    a, b = as_node(x), as_node(y)
    return where((a == 0) & ~isnan(b), 0, a * log1p(b))


@xlog1py.rule
def _(g: Node, x: Node, y: Node, *, out: Node) -> tuple[Cotangent, ...]:
    safe = where((x == 0) & (y == -1), 0, y)
    return g * log1p(safe), g * (x / (1 + safe))


@composite(latex=r"\operatorname{{logit}}\left({0}\right)", elementwise=True)
def logit(x: Operand, /) -> Node:
    """``log(x / (1 - x))``, the inverse of the sigmoid, exact also near 1/2. Its derivative is ``1 / (x * (1 - x))``.

    >>> gn.evaluate(gn.logit([0.5, 0.75])).round(4)
    array([0.    , 1.0986], dtype=float32)
    """
    node = as_node(x)
    # 2x - 1 is exact near 1/2, where the two logarithms cancel.
    middle = abs(node - 0.5) < 0.25
    return where(middle, 2 * atanh(where(middle, 2 * node - 1, 0)), log(node) - log1p(-node))


@logit.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    return (g / (x * (1 - x)),)


@composite(latex=r"\log \sigma\left({0}\right)", elementwise=True)
def log_sigmoid(x: Operand, /) -> Node:
    """``log(sigmoid(x)) = -softplus(-x)`` without overflow. Its derivative is sigmoid(-x).

    >>> gn.evaluate(gn.log_sigmoid([0.0, -1000.0])).round(4)
    array([-6.931e-01, -1.000e+03], dtype=float32)
    """
    return -softplus(-as_node(x))


@log_sigmoid.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    return (g * sigmoid(-x),)


@composite(latex=r"\log\left(1 - e^{{-{0:20}}}\right)", elementwise=True)
def log1mexp(x: Operand, /) -> Node:
    """``log(1 - exp(-x))`` for positive x, exact both for small and for large ones; its derivative is ``1 / expm1(x)``.

    Source: Mächler, "Accurately computing log(1 - exp(-|a|))", 2012.

    >>> gn.evaluate(gn.log1mexp([0.5, 50.0])).round(4)
    array([-0.9328, -0.    ], dtype=float32)
    """
    node = as_node(x)
    return where(node < math.log(2), log(-expm1(-node)), log1p(-exp(-node)))


@log1mexp.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    return (g / expm1(x),)

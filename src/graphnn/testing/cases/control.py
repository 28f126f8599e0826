"""Cases of the operations that hold graphs: `scan`, `map`, `while_loop`, `cond` and `switch`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions.creation import full_like
from graphnn.ir.node import Node
from graphnn.ops.arithmetic import abs
from graphnn.ops.bitwise import stop_gradient
from graphnn.ops.exponential import exp
from graphnn.ops.reduction import sum
from graphnn.ops.trigonometric import sin
from graphnn.testing.case import OpCase
from graphnn.testing.domains import BOOL, REAL, integers
from graphnn.transform.branches import cond, switch
from graphnn.transform.control import map, scan, while_loop

_ROWS = (((3,), (4, 3)), ((), (2,)), ((2, 1), (3, 2, 1)), ((3,), (0, 3)))


def _leaky(carry: Node, x: Node) -> tuple[Node, Node]:
    following = sin(carry * 0.5 + x)
    return following, following * x


def _leaky_reference(carry: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any]:
    out = np.zeros_like(xs)
    for t in range(len(xs))[:: -1 if reverse else 1]:
        carry = np.sin(carry * 0.5 + xs[t])
        out[t] = carry * xs[t]
    return carry, out


def _halve(x: Node) -> Any:
    return while_loop(lambda c: sum(abs(c)) > 1.0, lambda c: c * 0.5, stop_gradient(x))


def _halve_reference(x: Any) -> Any:
    while np.abs(x).sum() > 1.0:
        x = x * 0.5
    return x


def _switch_reference(i: Any, x: Any) -> Any:
    return [np.sin(x), np.exp(x), np.full_like(x, 2.0)][int(i)]


CASES = (
    OpCase(lambda c, xs: scan(_leaky, c, xs)[1], lambda c, xs: _leaky_reference(c, xs)[1], _ROWS, name="scan"),
    OpCase(lambda c, xs: scan(_leaky, c, xs)[0], lambda c, xs: _leaky_reference(c, xs)[0], _ROWS, name="scan[carry]"),
    OpCase(
        lambda c, xs: scan(_leaky, c, xs, reverse=True)[1],
        lambda c, xs: _leaky_reference(c, xs, reverse=True)[1],
        _ROWS,
        name="scan[reverse]",
    ),
    OpCase(
        lambda xs, y: map(lambda x: sin(x) * y, xs),
        lambda xs, y: np.sin(xs) * y,
        (((4, 3), (3,)), ((2,), ()), ((0, 2), (2,))),
        name="map",
    ),
    OpCase(_halve, _halve_reference, name="while_loop", wrt=()),
    OpCase(
        lambda c, x, y: cond(c, lambda: x * y, lambda: exp(-x)),
        lambda c, x, y: x * y if c else np.exp(-x),
        (((), (), ()), ((), (3,), (3,)), ((), (2, 3), (2, 3)), ((), (0, 3), (0, 3))),
        (BOOL, REAL, REAL),
        name="cond",
    ),
    OpCase(
        lambda i, x: switch(i, [sin, exp, lambda x: full_like(x, 2.0)], x),
        _switch_reference,
        (((), ()), ((), (3,)), ((), (2, 3)), ((), (0, 3))),
        (integers(0, 2, "int64"), REAL),
        name="switch",
    ),
)

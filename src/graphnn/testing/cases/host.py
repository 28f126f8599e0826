"""Cases of `graphnn.ops.host`, and of the transforms that make operations: `checkpoint` and `custom_gradient`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.ir.node import Node
from graphnn.ops.exponential import exp
from graphnn.ops.host import Barrier, host_op
from graphnn.ops.trigonometric import cos, sin
from graphnn.testing.case import BINARY, OpCase
from graphnn.testing.domains import POSITIVE
from graphnn.transform.checkpoint import checkpoint
from graphnn.transform.custom import custom_gradient

_EQUAL = (((), ()), ((3,), (3,)), ((2, 3), (2, 3)), ((0, 2), (0, 2)))


def _cbrt_rule(g: Node, x: Node, *, out: Node) -> Node:
    return g / (3.0 * out * out)


def _wave_rule(g: Node, x: Node, y: Node, *, out: Node) -> tuple[Node, Node]:
    return g * sin(y), g * x * cos(y)


def _wave(x: Any, y: Any) -> Any:
    return x * np.sin(y)


def _damped(x: Node, y: Node) -> Node:
    return sin(x) * exp(-y) + x


@custom_gradient
def _ruled(x: Any, y: Any, /) -> Any:
    value = sin(x) * exp(-y)
    return value, lambda g: (g * cos(x) * exp(-y), -g * value)


CASES = (
    OpCase(host_op(np.cbrt, infer=lambda x: x, vjp=_cbrt_rule), np.cbrt, domain=POSITIVE, name="host_op"),
    OpCase(host_op(_wave, infer=lambda x, y: x, vjp=_wave_rule), _wave, _EQUAL, name="host_op[two operands]"),
    OpCase(lambda x, y: Barrier()(x, y), lambda x, y: x, BINARY, name="barrier", wrt=(0,)),
    OpCase(checkpoint(_damped), lambda x, y: np.sin(x) * np.exp(-y) + x, BINARY, name="checkpoint"),
    OpCase(_ruled, lambda x, y: np.sin(x) * np.exp(-y), BINARY, name="custom_gradient"),
)

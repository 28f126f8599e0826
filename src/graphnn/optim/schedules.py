r"""Schedules: the learning rate as a graph of the step, which counts from 0.

A schedule is a function that takes the step, a floating-point scalar node, and gives a scalar node or a number. Any such
function will do: ``optim.SGD(lr=lambda step: 0.1 / (1 + step))``.
"""

from __future__ import annotations

from graphnn.ir.node import Node
from graphnn.ops.exponential import exp
from graphnn.ops.operands import Operand, as_node
from graphnn.optim.base import check_number


class constant:
    """The same learning rate at every step; what a plain number means, too.

    >>> from graphnn import optim
    >>> optim.SGD(optim.constant(0.1))
    SGD(lr=constant(0.1))
    """

    def __init__(self, lr: float) -> None:
        check_number("constant", "lr", lr, lambda x: x > 0, "a number above 0")
        self.lr = float(lr)

    def __call__(self, step: Operand) -> Node:
        return as_node(self.lr, as_node(step).dtype)

    def __repr__(self) -> str:
        return f"constant({self.lr:g})"


class exponential_decay:
    r"""``lr * exp(-rate * i)`` for the step i = 0, 1, 2, ...

    Parameters
    ----------
    lr : the rate of the first step, eta_0
    rate : the decay constant lambda; after ``log(2) / rate`` steps the learning rate has halved

    >>> from graphnn import optim
    >>> gn.evaluate(optim.exponential_decay(0.1, 1e-3)(gn.constant(1000.0))).round(6)
    np.float32(0.036788)
    """

    def __init__(self, lr: float, rate: float) -> None:
        check_number("exponential_decay", "lr", lr, lambda x: x > 0, "a number above 0")
        check_number("exponential_decay", "rate", rate, lambda x: x >= 0, "a number from 0")
        self.lr, self.rate = float(lr), float(rate)

    def __call__(self, step: Operand) -> Node:
        return self.lr * exp(-self.rate * as_node(step))

    def __repr__(self) -> str:
        return f"exponential_decay({self.lr:g}, {self.rate:g})"

"""Stochastic gradient descent, plain, with momentum, and with Nesterov's look-ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphnn.errors import GraphError
from graphnn.ir.node import Node
from graphnn.nn.elsewhere import check_options
from graphnn.optim.base import Optimizer, Schedule, check_number

_OPTIONS = {
    "learning_rate": "It is called lr.",
    "decay": "Give a schedule: lr=optim.exponential_decay(0.1, 1e-3).",
    "dampening": "The velocity is v = momentum * v - lr * g, without dampening.",
    "params": "Parameters are given to updates(loss, params); all that the loss depends on unless told.",
    "maximize": "Minimise the negative: updates(-objective).",
}


class SGD(Optimizer):
    r"""Stochastic gradient descent.

    With the gradient ``g = d loss / d w + weight_decay * w``::

        v_new = momentum * v - lr * g
        w_new = w + v_new                          momentum
        w_new = w + momentum * v_new - lr * g      Nesterov
        w_new = w - lr * g                         without momentum

    The velocity v begins with 0 and holds the learning rate in it, so a schedule changes only what is added. In the form with
    Nesterov's momentum, w is the point looked ahead to, where the gradient is taken.

    Parameters
    ----------
    lr : learning rate, a number or a schedule
    momentum : how much of the velocity remains, from 0 to below 1
    nesterov : take the gradient at the point to which the velocity leads
    weight_decay : pulls weights to zero, as the penalty ``weight_decay / 2 * sum(w**2)`` in the loss does

    Source: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)", 1983; Sutskever,
    Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.

    >>> from graphnn import optim
    >>> w = gn.parameter("w", 1.0)
    >>> list(optim.SGD(0.1, momentum=0.9).updates(w * w))
    [w = parameter: float32[], sgd/v/w = state: float32[]]
    """

    name = "sgd"

    def __init__(
        self,
        lr: float | Schedule = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        **unknown: Any,
    ) -> None:
        check_options("optim.SGD", unknown, _OPTIONS, ("lr", "momentum", "nesterov", "weight_decay"))
        super().__init__(lr, weight_decay)
        check_number("sgd", "momentum", momentum, lambda x: 0 <= x < 1, "a number from 0 to below 1")
        if nesterov and not momentum:
            raise GraphError("sgd: nesterov needs momentum", "Such as optim.SGD(0.1, momentum=0.9, nesterov=True).")
        self.momentum, self.nesterov = momentum, nesterov

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("v",) if self.momentum else ()

    def rule(
        self, w: Node, g: Node, lr: Node, t: Node | None, slots: Mapping[str, Node]
    ) -> tuple[Node, dict[str, Node]]:
        step = lr * g
        if not self.momentum:
            return w - step, {}
        v = self.momentum * slots["v"] - step
        return (w + (self.momentum * v - step) if self.nesterov else w + v), {"v": v}

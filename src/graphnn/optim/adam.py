"""Adam: steps measured by running means of the gradient and of its square."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from graphnn.ir.node import Node
from graphnn.nn.elsewhere import check_options
from graphnn.ops.arithmetic import square
from graphnn.ops.exponential import expm1, sqrt
from graphnn.optim.base import Optimizer, Schedule, check_number

_OPTIONS = {
    "learning_rate": "It is called lr.",
    "beta_1": "Write betas=(0.9, 0.999).",
    "beta_2": "Write betas=(0.9, 0.999).",
    "b1": "Write betas=(0.9, 0.999).",
    "b2": "Write betas=(0.9, 0.999).",
    "epsilon": "It is called eps.",
    "decay": "Give a schedule: lr=optim.exponential_decay(1e-3, 1e-4).",
    "params": "Parameters are given to updates(loss, params); all that the loss depends on unless told.",
    "maximize": "Minimise the negative: updates(-objective).",
}


class Adam(Optimizer):
    r"""Adam.

    With the gradient ``g = d loss / d w + weight_decay * w`` and the number of the step t = 1, 2, ...::

        m_new = beta1 * m + (1 - beta1) * g
        v_new = beta2 * v + (1 - beta2) * g**2
        w_new = w - lr * m_hat / (sqrt(v_hat) + eps),   m_hat = m_new / (1 - beta1**t),   v_hat = v_new / (1 - beta2**t)

    m and v begin with 0; the divisions undo that beginning. They are by numbers, and are done once, not for each weight.

    Parameters
    ----------
    lr : learning rate, a number or a schedule
    betas : how much of the running means of gradient and squared gradient remains at each step
    eps : keeps the division from exploding where gradients vanish
    weight_decay : pulls weights to zero, as the penalty ``weight_decay / 2 * sum(w**2)`` in the loss does

    Source: Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    >>> from graphnn import optim
    >>> w = gn.parameter("w", 1.0)
    >>> list(optim.Adam(1e-3).updates(w * w))
    [w = parameter: float32[], adam/m/w = state: float32[], adam/v/w = state: float32[], adam/step = state: int64[]]
    """

    name = "adam"
    slots = ("m", "v")
    counts = True

    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **unknown: Any,
    ) -> None:
        check_options("optim.Adam", unknown, _OPTIONS, ("lr", "betas", "eps", "weight_decay"))
        super().__init__(lr, weight_decay)
        pair = tuple(betas) if isinstance(betas, (tuple, list)) else ()
        for beta in pair if len(pair) == 2 else (None,):
            check_number("adam", "betas", beta, lambda x: 0 <= x < 1, "a pair of numbers from 0 to below 1")
        check_number("adam", "eps", eps, lambda x: x >= 0, "a number from 0")
        self.betas, self.eps = pair, eps

    def rule(
        self, w: Node, g: Node, lr: Node, t: Node | None, slots: Mapping[str, Node]
    ) -> tuple[Node, dict[str, Node]]:
        assert t is not None
        beta1, beta2 = self.betas
        m = beta1 * slots["m"] + (1 - beta1) * g
        v = beta2 * slots["v"] + (1 - beta2) * square(g)
        # Divisions are dear: the corrections are numbers, and are divided by once.
        rate, scale = lr / _correction(beta1, t), 1 / sqrt(_correction(beta2, t))
        return w - rate * m / (sqrt(v) * scale + self.eps), {"m": m, "v": v}


def _correction(beta: float, t: Node) -> Node | float:
    """``1 - beta**t``, without the digits that the difference loses in single precision."""
    return -expm1(math.log(beta) * t) if beta else 1.0

"""Optimisers and schedules: from a loss to the updates of a compiled function, all of it graph."""

from typing import Any

from graphnn.nn.elsewhere import unknown
from graphnn.optim.adam import Adam
from graphnn.optim.base import Optimizer
from graphnn.optim.schedules import constant, exponential_decay
from graphnn.optim.sgd import SGD

__all__ = ["Optimizer", "SGD", "Adam", "constant", "exponential_decay"]

_ELSEWHERE = {
    "Sgd": "Write optim.SGD(lr).",
    "Momentum": "Write optim.SGD(0.1, momentum=0.9).",
    "GradientDescentOptimizer": "Write optim.SGD(lr).",
    "AdamOptimizer": "Write optim.Adam(lr).",
    "lr_scheduler": "A schedule is given as the learning rate: optim.SGD(optim.exponential_decay(0.1, 1e-3)).",
    "schedules": "Schedules are functions of optim: optim.exponential_decay(0.1, 1e-3).",
    "ExponentialLR": "Write optim.SGD(optim.exponential_decay(lr, rate)): lr * exp(-rate * step).",
    "ExponentialDecay": "Write optim.SGD(optim.exponential_decay(lr, rate)): lr * exp(-rate * step).",
    "LearningRateSchedule": "A schedule is any function from the step, a node, to a node.",
    "apply_updates": "Give the updates to the compiled function: gn.function([x, t], loss, updates=updates).",
}


def __getattr__(name: str) -> Any:
    raise unknown("graphnn.optim", name, _ELSEWHERE, __all__)

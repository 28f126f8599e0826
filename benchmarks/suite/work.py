"""What a contestant is asked to do, and what every workload gives it. All this needs NumPy only: peers live without graphnn."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

RATE = 0.01  # of SGD
ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}


class Work(NamedTuple):
    """One thing to do again and again.

    Tasks: "sgd" and "adam" (a training step: loss, gradients and update), "checkpoint" (the first of them, computing again
    in the backward pass what would need much memory), "infer" (logits), "hvp" (a product of the Hessian
    of the loss with a vector), "value" (what the workload says: it is no model).
    """

    workload: str
    task: str
    batch: int = 0  # 0: that of the workload
    dtype: str = "float32"
    small: bool = False  # tiny sizes: to see that all works

    @property
    def training(self) -> bool:
        return self.task in ("sgd", "checkpoint", "adam")


class Data(NamedTuple):
    """Arrays: parameters by name, and what a call gets."""

    params: dict[str, np.ndarray]
    inputs: tuple[np.ndarray, ...]  # for a model: (x, labels)
    forward: float = 0.0  # floating-point operations in the products of one forward pass
    training: float = 0.0  # and in those of a whole training step
    moved: float = 0.0  # bytes that must be read and written, for work that memory bounds


class Workload(Protocol):
    """A module of `workloads`: its data, and its meaning as a graph of graphnn, given as the argument `gn`."""

    def data(self, work: Work) -> Data: ...

    def loss(self, gn: Any, p: Mapping[str, Any], *inputs: Any) -> Any: ...

    def logits(self, gn: Any, p: Mapping[str, Any], x: Any) -> Any: ...


class Unsupported(Exception):
    """A contestant does not take part in a row; the text says why."""


def direction(params):
    """The vector of a Hessian-vector product."""
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(array.shape).astype(array.dtype) for name, array in params.items()}

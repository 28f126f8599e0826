"""The activation functions as modules, for use between layers."""

from __future__ import annotations

from typing import Any

from graphnn.errors import ShapeError
from graphnn.functions import activations as functions
from graphnn.ir.node import Node
from graphnn.nn.declared import Parameter
from graphnn.nn.init import constant
from graphnn.nn.module import Module
from graphnn.ops.operands import as_node
from graphnn.ops.trigonometric import tanh


class Activation(Module):
    """An activation without options: applied to each element."""

    def arguments(self) -> list[str]:
        return [f"{name}={value!r}" for name, value in vars(self).items() if name in self._options]

    _options: tuple[str, ...] = ()


class ReLU(Activation):
    """``max(x, 0)``; see `graphnn.relu`."""

    def forward(self, x: Any) -> Node:
        return functions.relu(x)


class LeakyReLU(Activation):
    """``x`` for x > 0, else ``negative_slope * x``; see `graphnn.leaky_relu`."""

    _options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = float(negative_slope)

    def forward(self, x: Any) -> Node:
        return functions.leaky_relu(x, negative_slope=self.negative_slope)


class ELU(Activation):
    """``x`` for x > 0, else ``alpha * (exp(x) - 1)``; see `graphnn.elu`."""

    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Node:
        return functions.elu(x, alpha=self.alpha)


class CELU(Activation):
    """``x`` for x > 0, else ``alpha * (exp(x / alpha) - 1)``; see `graphnn.celu`."""

    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Node:
        return functions.celu(x, alpha=self.alpha)


class PReLU(Module):
    """``x`` for x > 0, else ``slope * x``, where the slope is learned; see `graphnn.prelu`.

    Parameters
    ----------
    num_parameters : 1 for one slope, or one for each channel, which are last
    init : the first value of all slopes

    Examples
    --------
    >>> from graphnn import nn
    >>> gn.evaluate(nn.PReLU()(gn.constant([-1.0, 2.0])))
    array([-0.25,  2.  ], dtype=float32)
    """

    weight: Node

    def __init__(self, num_parameters: int = 1, *, init: float = 0.25, dtype: Any = "float32") -> None:
        if isinstance(num_parameters, bool) or not isinstance(num_parameters, int) or num_parameters < 1:
            raise ShapeError(f"nn.PReLU: the number of slopes is a whole number from 1, not {num_parameters!r}")
        self.num_parameters, self.init = num_parameters, float(init)
        self.weight = Parameter(constant(value=self.init), (num_parameters,), dtype)  # type: ignore[assignment]

    def forward(self, x: Any) -> Node:
        return functions.prelu(x, self.weight)

    def arguments(self) -> list[str]:
        shown = [str(self.num_parameters)] if self.num_parameters != 1 else []
        return shown + ([f"init={self.init:g}"] if self.init != 0.25 else [])


class Mish(Activation):
    """``x * tanh(softplus(x))``; see `graphnn.mish`."""

    def forward(self, x: Any) -> Node:
        return functions.mish(x)


class Hardsigmoid(Activation):
    """``min(max(x / 6 + 1/2, 0), 1)``; see `graphnn.hard_sigmoid`."""

    def forward(self, x: Any) -> Node:
        return functions.hard_sigmoid(x)


class Hardswish(Activation):
    """``x`` times its hard sigmoid; see `graphnn.hard_swish`."""

    def forward(self, x: Any) -> Node:
        return functions.hard_swish(x)


class Softsign(Activation):
    """``x / (1 + abs(x))``; see `graphnn.softsign`."""

    def forward(self, x: Any) -> Node:
        return functions.softsign(x)


class SELU(Activation):
    """Scaled `ELU` that keeps mean 0 and variance 1; see `graphnn.selu`. Initialise with `nn.init.lecun_normal`."""

    def forward(self, x: Any) -> Node:
        return functions.selu(x)


class GELU(Activation):
    """``x * Φ(x)`` with the normal distribution function Φ, or its approximation by tanh; see `graphnn.gelu`."""

    _options = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Node:
        return functions.gelu(x, approximate=self.approximate)


class SiLU(Activation):
    """``x * sigmoid(x)``; see `graphnn.silu`."""

    def forward(self, x: Any) -> Node:
        return functions.silu(x)


class Softplus(Activation):
    """``log(1 + exp(x))``; see `graphnn.softplus`."""

    def forward(self, x: Any) -> Node:
        return functions.softplus(x)


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``; see `graphnn.sigmoid`. Losses take logits: do not put it before `binary_cross_entropy`."""

    def forward(self, x: Any) -> Node:
        return functions.sigmoid(x)


class Tanh(Activation):
    """Hyperbolic tangent; see `graphnn.tanh`."""

    def forward(self, x: Any) -> Node:
        return tanh(as_node(x))


class Softmax(Activation):
    """``exp(x) / sum(exp(x))`` along an axis; see `graphnn.softmax`. Losses take logits: not before `cross_entropy`."""

    _options = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Node:
        return functions.softmax(x, axis=self.axis)


class LogSoftmax(Activation):
    """``log(softmax(x))`` along an axis; see `graphnn.log_softmax`."""

    _options = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Node:
        return functions.log_softmax(x, axis=self.axis)

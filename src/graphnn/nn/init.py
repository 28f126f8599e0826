"""Initializers: the first values of parameters, from a shape and a generator of random numbers.

An initializer is a function ``(shape, generator) -> array``. Those here can be given as they are, ``init=kaiming_normal``,
or with options, ``init=kaiming_normal(negative_slope=0.1)``.

A matrix is ``[inputs, outputs]``, a kernel ``[..., inputs, outputs]``: fan_in is the number of numbers that one output is
computed from, fan_out the number of outputs that one input reaches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.errors import GraphError, ShapeError
from graphnn.ir.arrays import Array
from graphnn.ir.spec import shape_text

__all__ = [
    "kaiming_normal",
    "kaiming_uniform",
    "xavier_normal",
    "xavier_uniform",
    "lecun_normal",
    "normal",
    "uniform",
    "zeros",
    "ones",
    "constant",
]

Shape = tuple[int, ...]


class Initializer:
    """A function of shape and generator with options; called with options only, it gives itself with these options."""

    def __init__(self, function: Callable[..., Array], options: dict[str, float] | None = None) -> None:
        self.function, self.options = function, options or {}
        functools.update_wrapper(self, function)

    def __call__(
        self, shape: Shape | None = None, generator: np.random.Generator | None = None, **options: float
    ) -> Any:
        chosen = {**self.options, **options}
        if shape is None:
            return Initializer(self.function, chosen)
        if generator is None:
            raise GraphError(
                f"nn.init.{self.function.__name__}: a generator of random numbers is missing",
                f"Write nn.init.{self.function.__name__}(shape, np.random.default_rng(seed)).",
            )
        return self.function(shape, generator, **chosen)

    def __repr__(self) -> str:
        return f"{self.function.__name__}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight.

    >>> fans((784, 128)), fans((3, 3, 16, 32))
    ((784, 128), (144, 288))

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes.
    """
    if len(shape) < 2:
        raise ShapeError(
            f"a weight of shape {shape_text(shape)} has no fan_in and fan_out: it needs the axes [..., inputs, outputs]",
            "For biases use nn.init.zeros(), nn.init.constant(value) or nn.init.normal(std=...).",
        )
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


@Initializer
def kaiming_normal(shape: Shape, generator: np.random.Generator, *, negative_slope: float = 0.0) -> Array:
    """Normal with the standard deviation ``sqrt(2 / ((1 + a**2) * fan_in))``, a being the slope of a leaky relu.

    It keeps the variance of activations from layer to layer under relu.
    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    >>> from graphnn import nn
    >>> w = nn.init.kaiming_normal((800, 100), np.random.default_rng(0))
    >>> round(float(w.std()), 2)
    0.05
    """
    return generator.normal(0.0, math.sqrt(2 / ((1 + negative_slope**2) * max(fans(shape)[0], 1))), shape)


@Initializer
def kaiming_uniform(shape: Shape, generator: np.random.Generator, *, negative_slope: float = 0.0) -> Array:
    """Uniform in ±sqrt(6 / ((1 + a**2) * fan_in)): the variance of `kaiming_normal`. Source: He et al., 2015."""
    limit = math.sqrt(6 / ((1 + negative_slope**2) * max(fans(shape)[0], 1)))
    return generator.uniform(-limit, limit, shape)


@Initializer
def xavier_normal(shape: Shape, generator: np.random.Generator, *, gain: float = 1.0) -> Array:
    """Normal with the standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``, for tanh and sigmoid.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """
    return generator.normal(0.0, gain * math.sqrt(2 / max(sum(fans(shape)), 1)), shape)


@Initializer
def xavier_uniform(shape: Shape, generator: np.random.Generator, *, gain: float = 1.0) -> Array:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)): the variance of `xavier_normal`. Source: Glorot, Bengio, 2010."""
    limit = gain * math.sqrt(6 / max(sum(fans(shape)), 1))
    return generator.uniform(-limit, limit, shape)


@Initializer
def lecun_normal(shape: Shape, generator: np.random.Generator) -> Array:
    """Normal with the standard deviation ``sqrt(1 / fan_in)``, for selu and linear layers.

    Source: LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998.
    """
    return generator.normal(0.0, math.sqrt(1 / max(fans(shape)[0], 1)), shape)


@Initializer
def normal(shape: Shape, generator: np.random.Generator, *, mean: float = 0.0, std: float = 1.0) -> Array:
    """Normal with this mean and standard deviation."""
    return generator.normal(mean, std, shape)


@Initializer
def uniform(shape: Shape, generator: np.random.Generator, *, low: float = 0.0, high: float = 1.0) -> Array:
    """Uniform in [low, high)."""
    return generator.uniform(low, high, shape)


@Initializer
def zeros(shape: Shape, generator: np.random.Generator) -> Array:
    """All 0."""
    return np.zeros(shape)


@Initializer
def ones(shape: Shape, generator: np.random.Generator) -> Array:
    """All 1."""
    return np.ones(shape)


def constant(value: float) -> Initializer:
    """All equal to `value`.

    >>> from graphnn import nn
    >>> nn.init.constant(0.5)((2,), np.random.default_rng(0))
    array([0.5, 0.5])
    """
    return Initializer(_filled, {"value": value})


def _filled(shape: Shape, generator: np.random.Generator, *, value: float) -> Array:
    return np.full(shape, value)


_filled.__name__ = "constant"

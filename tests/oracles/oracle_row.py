"""What a row of the tables of oracles is: one of our functions, the same function of other libraries, and points."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class Late:
    """A package that is imported when something in it is first used: the tables are read where it is missing, too."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        if name.startswith("__"):  # asked by those who look at everything, such as doctest
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


torch, jax, jnp, lax = Late("torch"), Late("jax"), Late("jax.numpy"), Late("jax.lax")

Points = tuple[Callable[..., np.ndarray], tuple[int, ...]]
"""A domain, which is a function of a generator and a shape, and a shape."""


@dataclass(frozen=True, eq=False)
class Row:
    """One row.

    Parameters
    ----------
    name : of the test
    build : from our nodes to a node, or a tuple of nodes
    operands : for each operand a domain and a shape
    scipy, torch, jax : the same of arrays of these libraries (and of NumPy), or None
    """

    name: str
    build: Callable[..., Any]
    operands: Sequence[Points]
    scipy: Callable[..., Any] | None = None
    torch: Callable[..., Any] | None = None
    jax: Callable[..., Any] | None = None

    def arrays(self):
        """The points: always the same."""
        generator = np.random.default_rng(sum(map(ord, self.name)))
        return [domain(generator, shape) for domain, shape in self.operands]


# --- domains: all float64, but for labels ---


def plain(generator, shape):
    return generator.standard_normal(shape)


def regular(generator, shape):
    return generator.standard_normal(shape) + 6.0 * np.eye(*shape[-2:])


def positive(generator, shape):
    u = generator.standard_normal(shape)
    return u @ np.swapaxes(u, -1, -2) / shape[-1] + np.eye(shape[-1])


def small(generator, shape):
    return 0.3 * generator.standard_normal(shape)


def labels(count):
    return lambda generator, shape: generator.integers(0, count, shape)


def gap(generator, shape):
    """Random bases with the singular values (or, for squares, eigenvalues) 1, 2, 3 ..."""
    k = min(shape[-2:])
    u, _ = np.linalg.qr(generator.standard_normal((*shape[:-1], k)))
    v, _ = np.linalg.qr(generator.standard_normal((*shape[:-2], shape[-1], k)))
    return (u * np.arange(1.0, k + 1.0)) @ np.swapaxes(v, -1, -2)


def symmetric_gap(generator, shape):
    """Symmetric, with the eigenvalues 1, 2, 3 ... but for what is added to one triangle, which counts half."""
    q, _ = np.linalg.qr(generator.standard_normal(shape))
    x = (q * np.arange(1.0, shape[-1] + 1.0)) @ np.swapaxes(q, -1, -2)
    return x + 0.1 * np.triu(generator.standard_normal(shape), 1)

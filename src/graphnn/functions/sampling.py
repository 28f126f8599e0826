"""Random numbers as graphs: a stream is a state, and every draw is a pure function of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.errors import DTypeError, GraphError
from graphnn.ir.dtype import DEFAULT_FLOAT, as_dtype, uint64
from graphnn.ir.leaves import State, Variable, constant, variable_like
from graphnn.ir.node import Node
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.random import advance, random_bits


def stream(seed: int, name: str = "stream") -> Variable:
    """A stream of random numbers: the state (key, step), whose key is the seed.

    A compiled function that draws from it moves on to the next step, so each call draws anew, and the same seed gives
    the same bits in the same program, on every backend.

    >>> gn.stream(7).value
    array([7, 0], dtype=uint64)
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < 2**64:
        raise GraphError(f"a seed is an int from 0 to 2**64 - 1, not {seed!r}")
    return variable_like(State(), name, np.array([int(seed), 0], np.uint64), trainable=False)


def uniform(source: Node, shape: Any, *, draw: int = 0, dtype: Any = DEFAULT_FLOAT) -> Node:
    """Random numbers, equally likely in [0, 1): as many high bits of a draw as the data type's significand holds.

    Parameters
    ----------
    source : a stream, which a compiled function then advances, or a fixed key as uint64[2]
    draw : tells draws from one stream in one step apart; those with equal numbers are equal

    >>> u = gn.uniform(gn.stream(0), (1000,))
    >>> bool(0.45 < gn.evaluate(u).mean() < 0.55)
    True
    """
    wanted = as_dtype(dtype)
    digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}.get(wanted.name)
    if digits is None:
        raise DTypeError(f"uniform makes floating-point numbers, not {wanted}")
    bits = random_bits(source, shape, draw=draw)
    if isinstance(source.op, State):
        bits = advance(bits, {source: source + constant(np.array([0, 1], np.uint64))})
    return astype(bits >> constant(64 - digits, uint64), wanted) * 2.0**-digits


def bernoulli(source: Node, p: float, shape: Any, *, draw: int = 0) -> Node:
    """Random bools, True with the probability p.

    >>> gn.evaluate(gn.bernoulli(gn.stream(0), 0.0, (3,)))
    array([False, False, False])
    """
    return uniform(source, shape, draw=draw, dtype="float64") < p


def dropout(x: Operand, source: Node, /, *, p: float = 0.5, draw: int = 0) -> Node:
    """x with each element set to 0 with the probability p, and the others divided by 1 - p, so that the mean stays.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", JMLR 15, 2014.

    >>> gn.evaluate(gn.dropout([1.0, 1.0], gn.stream(0), p=0.0))
    array([1., 1.], dtype=float32)
    """
    node = as_node(x)
    if not 0.0 <= p <= 1.0:
        raise GraphError(f"dropout: p is a probability from 0 to 1, not {p!r}", "For 50 % write p=0.5.")
    if p == 1.0:
        return where(bernoulli(source, 0.0, node.shape, draw=draw), node, 0)
    keep = bernoulli(source, 1.0 - p, node.shape, draw=draw)
    return where(keep, node / (1.0 - p) if p else node, 0)

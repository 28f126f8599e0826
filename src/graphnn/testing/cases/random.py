"""Cases of `graphnn.ops.random` and `graphnn.functions.sampling`.

The reference of the bits is NumPy's own Philox generator, which is another program for the same published function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.functions import sampling as more
from graphnn.ir.arrays import Array
from graphnn.ir.leaves import state
from graphnn.ir.node import Node
from graphnn.ops import random as ops
from graphnn.testing.case import UNARY, OpCase
from graphnn.testing.domains import REAL, integers

_STREAM = integers(0, 2**40, "uint64")
_SHAPES = ((), (1,), (4,), (5, 3), (0, 2))


def philox(stream: Array, shape: tuple[int, ...], draw: int) -> Array:
    """The bits that `random_bits` promises."""
    key, step = (int(word) for word in stream)
    size = int(np.prod(shape, dtype=np.int64))
    made = []
    for block in range((size + 3) // 4):
        # NumPy's generator counts up before it makes a block.
        counter = (block + (step << 64) - 1) % 2**256
        words = [(counter >> (64 * i)) % 2**64 for i in range(4)]
        generator = np.random.Philox(counter=np.array(words, np.uint64), key=np.array([key, draw], np.uint64))
        made.append(generator.random_raw(4))
    return np.concatenate([*made, np.zeros(0, np.uint64)])[:size].reshape(shape)


def _unit(bits: Array) -> Array:
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _case(build: Callable[..., Node], reference: Any, name: str) -> OpCase:
    """A function of a stream alone."""
    return OpCase(build, reference, ((2,),), _STREAM, ("uint64",), name, static=(2,), no_scalar=_WHY, no_empty=_WHY)


_WHY = "a stream is a pair of numbers"


def _advanced(x: Node) -> Node:
    steps = state("steps", 3)
    return ops.advance(x, {steps: steps + 1})


def _dropped(x: Array, stream: Array, p: float) -> Array:
    keep = _unit(philox(stream, x.shape, 0)) < 1.0 - p
    return np.where(keep, x / (1.0 - p), 0.0)


CASES = (
    *(
        _case(
            lambda s, shape=shape: ops.random_bits(s, shape, draw=2),
            lambda s, shape=shape: philox(s, shape, 2),
            f"random_bits[{shape}]",
        )
        for shape in _SHAPES
    ),
    _case(
        lambda s: more.uniform(s, (3, 2), dtype="float64"),
        lambda s: _unit(philox(s, (3, 2), 0)),
        "uniform",
    ),
    _case(
        lambda s: more.uniform(s, (5,), draw=1),
        lambda s: ((philox(s, (5,), 1) >> np.uint64(40)).astype(np.float64) * 2.0**-24).astype(np.float32),
        "uniform[float32]",
    ),
    _case(lambda s: more.bernoulli(s, 0.3, (7,)), lambda s: _unit(philox(s, (7,), 0)) < 0.3, "bernoulli"),
    OpCase(_advanced, lambda x: x, UNARY, name="advance"),
    OpCase(
        lambda x, s: more.dropout(x, s, p=0.25),
        lambda x, s: _dropped(x, s, 0.25),
        (((), (2,)), ((6,), (2,)), ((2, 3), (2,)), ((0, 3), (2,))),
        (REAL, _STREAM),
        name="dropout",
        static=(2,),
    ),
    OpCase(
        lambda x, s: more.dropout(x, s, p=1.0),
        lambda x, s: np.zeros_like(x),
        (((4,), (2,)),),
        (REAL, _STREAM),
        name="dropout[all]",
        static=(2,),
        no_scalar="see dropout",
        no_empty="see dropout",
    ),
)

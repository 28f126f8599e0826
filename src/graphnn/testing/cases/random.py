"""Cases of `graphnn.ops.random`, `graphnn.functions.sampling` and `graphnn.functions.distributions`.

The reference of the bits is NumPy's own Philox generator, which is another program for the same published function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.functions import distributions
from graphnn.functions import sampling as more
from graphnn.ir.arrays import Array
from graphnn.ir.leaves import state
from graphnn.ir.node import Node
from graphnn.ops import random as ops
from graphnn.testing.case import UNARY, OpCase
from graphnn.testing.domains import POSITIVE, REAL, distinct, integers

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


def _inside(bits: Array) -> Array:
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52


def _below(bits: Array, count: int) -> Array:
    """The upper half of the 128-bit product, by Python's integers."""
    upper = [int(word) * count >> 64 for word in bits.ravel()]
    return np.array(upper, np.int64).reshape(bits.shape)


def _ndtri(u: Array) -> Array:
    import scipy.special

    return np.asarray(scipy.special.ndtri(u))


def _between(u: Array, low: float, high: float) -> Array:
    import scipy.special

    start, stop = scipy.special.ndtr([low, high])
    return np.asarray(scipy.special.ndtri(start + (stop - start) * u))


def _gumbel(u: Array) -> Array:
    return np.asarray(-np.log(-np.log(u)))


def _gamma(stream: Array, a: float, shape: tuple[int, ...]) -> Array:
    """Marsaglia's and Tsang's loop, for one number after the other."""
    u = _inside(philox(stream, (17, *shape), 0)).reshape(17, -1)
    larger = a + (a < 1)
    d = larger - 1 / 3
    out = np.full(u.shape[1], d)
    for place in range(u.shape[1]):
        for z, w in zip(_ndtri(u[:8, place]), u[8:16, place], strict=True):
            v = (1 + z / np.sqrt(9 * d)) ** 3
            if v > 0 and np.log(w) < z * z / 2 + d - d * v + d * np.log(v):
                out[place] = d * v
                break
    return (out * (u[16] ** (1 / a) if a < 1 else 1)).reshape(shape)


def _classes(logits: Array, stream: Array, shape: tuple[int, ...]) -> Array:
    scores = logits + _gumbel(_inside(philox(stream, (*shape, logits.shape[-1]), 0)))
    return np.asarray(scores.argmax(-1))


def _drawn(name: str, standard: Callable[[Array], Array], **options: Any) -> tuple[OpCase, ...]:
    """A distribution of a stream alone, in both data types, and one with a scale, by which there is a derivative."""
    make = getattr(distributions, name)
    scaled: dict[str, Any] = {
        "shapes": (((), (2,)), ((3,), (2,)), ((4, 1), (2,))),
        "domain": (POSITIVE, _STREAM),
        "static": (2, 3, 4),
        "no_empty": "the scale has the shape of what is drawn, or is broadcast to it",
    }
    return (
        _case(
            lambda s: make(s, (4, 3), dtype="float64", **options),
            lambda s: standard(_inside(philox(s, (4, 3), 0))),
            name,
        ),
        _case(
            lambda s: make(s, (5,), draw=1, **options),
            lambda s: standard(_inside(philox(s, (5,), 1))).astype(np.float32),
            f"{name}[float32]",
        ),
        OpCase(
            lambda scale, s: make(s, (4, 3), scale=scale, **options),
            lambda scale, s: scale * standard(_inside(philox(s, (4, 3), 0))),
            name=f"{name}[scale]",
            **scaled,
        ),
    )


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
    _case(
        lambda s: more.rademacher(s, (9,)),
        lambda s: np.where(philox(s, (9,), 0) < 2**63, 1, -1).astype(np.float32),
        "rademacher",
    ),
    *(
        _case(
            lambda s, low=low, high=high, dtype=dtype: more.randint(s, low, high, (4, 3), dtype=dtype),
            lambda s, low=low, high=high, dtype=dtype: (_below(philox(s, (4, 3), 0), high - low) + low).astype(dtype),
            f"randint{variant}",
        )
        for variant, low, high, dtype in (
            ("", 0, 6, "int64"),
            ("[int8]", -128, 128, "int8"),
            ("[most]", -(2**31), 2**31, "int32"),
            ("[largest]", 2**62, 2**62 + 2**32, "uint64"),
        )
    ),
    *_drawn("normal", _ndtri),
    OpCase(
        lambda loc, scale, s: distributions.normal(s, (2, 3), loc=loc, scale=scale),
        lambda loc, scale, s: loc + scale * _ndtri(_inside(philox(s, (2, 3), 0))),
        (((), (3,), (2,)), ((2, 3), (2, 1), (2,)), ((1,), (), (2,))),
        (REAL, POSITIVE, _STREAM),
        name="normal[loc, scale]",
        static=(2, 3),
        no_empty="see random_bits",
    ),
    *_drawn("truncated_normal", lambda u: _between(u, -2.0, 2.0)),
    _case(
        lambda s: distributions.truncated_normal(s, (6,), low=0.5, high=np.inf, dtype="float64"),
        lambda s: _between(_inside(philox(s, (6,), 0)), 0.5, np.inf),
        "truncated_normal[one end]",
    ),
    *_drawn("exponential", lambda u: -np.log(u)),
    *_drawn("gumbel", _gumbel),
    *(
        _case(
            lambda s, a=a: distributions.gamma(s, a, (3, 4), dtype="float64"),
            lambda s, a=a: _gamma(s, a, (3, 4)),
            f"gamma{variant}",
        )
        for variant, a in (("", 2.5), ("[below 1]", 0.3), ("[1]", 1.0))
    ),
    OpCase(
        lambda scale, s: distributions.gamma(s, 1.5, (3,), scale=scale),
        lambda scale, s: scale * _gamma(s, 1.5, (3,)),
        (((), (2,)), ((3,), (2,))),
        (POSITIVE, _STREAM),
        name="gamma[scale]",
        static=(2, 3),
        no_empty="see random_bits",
    ),
    OpCase(
        lambda x, s: distributions.categorical(s, x),
        lambda x, s: _classes(x, s, x.shape[:-1]),
        (((3,), (2,)), ((2, 4), (2,)), ((0, 3), (2,))),
        (REAL, _STREAM),
        name="categorical",
        static=(2,),
        no_scalar="the last axis counts the classes",
    ),
    OpCase(
        lambda x, s: distributions.categorical(s, x, (5, 2)),
        lambda x, s: _classes(x, s, (5, 2)),
        (((3,), (2,)), ((2, 4), (2,))),
        (REAL, _STREAM),
        name="categorical[shape]",
        static=(2,),
        no_scalar="the last axis counts the classes",
        no_empty="see categorical",
    ),
    _case(
        lambda s: more.permutation(s, 7),
        lambda s: np.argsort(philox(s, (7,), 0), kind="stable"),
        "permutation[size]",
    ),
    *(
        OpCase(
            lambda x, s, axis=axis: more.permutation(s, x, axis=axis),
            lambda x, s, axis=axis: x.take(np.argsort(philox(s, (x.shape[axis],), 0), kind="stable"), axis=axis),
            (((3,), (2,)), ((4, 3), (2,)), ((0, 3), (2,))),
            (distinct(), _STREAM),
            name=f"permutation{variant}",
            static=(2,),
            no_scalar="the parts of a scalar have no order",
        )
        for variant, axis in (("", 0), ("[axis]", -1))
    ),
    *(
        OpCase(
            lambda x, s, options=options: distributions.choice(s, x, (2, 2), **options),
            lambda x, s, places=places: x[places(s, x.shape[0]).reshape(2, 2)],
            (((4,), (2,)), ((5, 3), (2,)), ((6, 0), (2,))),
            (distinct(), _STREAM),
            name=f"choice{variant}",
            static=(2,),
            no_scalar="a scalar has no parts",
        )
        for variant, options, places in (
            ("", {}, lambda s, n: _below(philox(s, (4,), 0), n)),
            (
                "[without replacement]",
                {"replace": False},
                lambda s, n: np.argsort(philox(s, (n,), 0), kind="stable")[:4],
            ),
        )
    ),
    OpCase(
        lambda p, s: distributions.choice(s, 4, (6,), p=p),
        lambda p, s: _classes(np.log(p), s, (6,)),
        (((4,), (2,)),),
        (POSITIVE, _STREAM),
        name="choice[p]",
        static=(2, 4),
        no_scalar="see choice",
        no_empty="see choice",
    ),
    OpCase(
        lambda p, s: distributions.choice(s, 4, (3,), p=p, replace=False),
        lambda p, s: np.argsort(-np.log(p) - _gumbel(_inside(philox(s, (4,), 0))))[:3],
        (((4,), (2,)),),
        (POSITIVE, _STREAM),
        name="choice[p, without replacement]",
        static=(2, 4),
        no_scalar="see choice",
        no_empty="see choice",
    ),
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

"""Random numbers as graphs: a stream is a state, and every draw is a pure function of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.functions.creation import size_node
from graphnn.ir.dims import Dim, Size, as_size, positive_part
from graphnn.ir.dtype import DEFAULT_FLOAT, DEFAULT_INT, as_dtype, check_scalar, int64, uint64
from graphnn.ir.leaves import Iota, State, Variable, constant, variable_like
from graphnn.ir.node import Node
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.indexing import take
from graphnn.ops.operands import Operand, as_node, axis_of
from graphnn.ops.random import advance, random_bits
from graphnn.ops.sorting import argsort


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


def fresh_bits(source: Node, shape: Any, draw: int) -> Node:
    """Random bits; if they come from a stream, the function that computes them also moves it on to the next step."""
    bits = random_bits(source, shape, draw=draw)
    if isinstance(source.op, State):
        bits = advance(bits, {source: source + constant(np.array([0, 1], np.uint64))})
    return bits


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
    bits = fresh_bits(source, shape, draw)
    return astype(bits >> constant(64 - digits, uint64), wanted) * 2.0**-digits


def bernoulli(source: Node, p: float, shape: Any, *, draw: int = 0) -> Node:
    """Random bools, True with the probability p.

    >>> gn.evaluate(gn.bernoulli(gn.stream(0), 0.0, (3,)))
    array([False, False, False])
    """
    return uniform(source, shape, draw=draw, dtype="float64") < p


def rademacher(source: Node, shape: Any, *, draw: int = 0, dtype: Any = DEFAULT_FLOAT) -> Node:
    """Random signs: 1 or -1 with the probability 1/2 each, in a floating-point or signed integer type.

    >>> gn.evaluate(gn.rademacher(gn.stream(0), (4,), dtype="int8"))
    array([ 1, -1, -1,  1], dtype=int8)
    """
    wanted = as_dtype(dtype)
    if not wanted.is_floating and wanted.kind != "int":
        raise DTypeError(f"rademacher: {wanted} has no -1", "Choose a floating-point or a signed integer data type.")
    sign = fresh_bits(source, shape, draw) >> constant(63, uint64)
    return astype(1 - 2 * astype(sign, int64), wanted)


def randint(source: Node, low: int, high: Size | str, shape: Any, *, draw: int = 0, dtype: Any = DEFAULT_INT) -> Node:
    """Random whole numbers, equally likely in ``low <= number < high``: ``low + floor(bits * (high - low) / 2**64)``.

    There may be up to 2**32 different ones. Since 2**64 bit patterns fall upon n numbers, the probabilities are ``1/n``
    up to a relative error below ``n / 2**64 <= 2**-32``.
    Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29, 2019, without the rejection.

    Parameters
    ----------
    high : an int, or a named size, such as that of the batch from which to choose
    draw : tells draws from one stream in one step apart; those with equal numbers are equal

    Raises
    ------
    ShapeError
        If there is no number from low to high, or more than 2**32.
    IndexRangeError
        At the call, if there is none because of a named size.
    DTypeError
        If the data type cannot hold them all.

    >>> gn.evaluate(gn.randint(gn.stream(0), 1, 7, (5,)))
    array([1, 6, 6, 3, 1])
    """
    wanted = as_dtype(dtype)
    if not wanted.is_integer:
        raise DTypeError(f"randint makes integers, not {wanted}", "For floating-point numbers there is gn.uniform.")
    if isinstance(low, bool) or not isinstance(low, (int, np.integer)):
        raise DTypeError(f"randint: low is an int, not {low!r}")
    low = int(low)
    last: Size
    if isinstance(high, (str, Dim)):
        last = as_size(high)
        count = positive_part(last - low)
        if wanted.bits < 64:
            hint = "Leave out dtype and cast the result, if you know that the size is small."
            raise DTypeError(f"randint: {wanted} may be too small for numbers up to the named size {high}", hint)
    elif isinstance(high, bool) or not isinstance(high, (int, np.integer)):
        raise DTypeError(f"randint: high is an int or a named size, not {high!r}")
    else:
        last = int(high)
        count = last - low
        if not 0 < count <= 2**32:
            what = "there is no number" if count <= 0 else f"there are {count} numbers, more than 2**32,"
            raise ShapeError(f"randint: {what} from {low} up to but without {last}")
        check_scalar("randint", last - 1, wanted)
    check_scalar("randint", low, wanted)
    wide = uint64 if wanted.kind == "uint" else int64  # there the sum cannot overflow
    return astype(astype(below(fresh_bits(source, shape, draw), count), wide) + low, wanted)


def below(bits: Node, count: Size) -> Node:
    """Each 64 random bits as an int64 from 0 to ``count - 1``, equally likely: the upper half of their 128-bit product."""
    number, half = size_node(count, uint64), constant(32, uint64)
    # count <= 2**32, so neither product nor sum exceeds 64 bits.
    low = bits & constant(2**32 - 1, uint64)
    picked = astype(((bits >> half) * number + ((low * number) >> half)) >> half, int64)
    # A name may turn out to be 0, and then there is none: looking the number up tells.
    return picked if isinstance(count, int) else take(Iota(count, int64)(), picked)


def permutation(source: Node, x: Operand | Dim | str, /, *, axis: int = 0, draw: int = 0) -> Node:
    """x with its parts along an axis in a random order, all orders equally likely; or 0 ... x - 1 so, if x is a size.

    The parts are sorted by 64 random bits each. Its derivative moves with the parts.

    Parameters
    ----------
    x : an array, or an int, a name or a `Dim` for the numbers 0 ... x - 1 (int64)
    axis : of an array; the parts along the other axes stay together

    >>> gn.evaluate(gn.permutation(gn.stream(0), 5))
    array([4, 0, 3, 2, 1])
    """
    if isinstance(x, (int, np.integer, str, Dim)):
        return argsort(fresh_bits(source, (as_size(x),), draw), axis=0)
    node = as_node(x)
    place = axis_of("permutation", axis, node)
    return take(node, argsort(fresh_bits(source, (node.shape[place],), draw), axis=0), axis=place)


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

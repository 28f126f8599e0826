"""Sums, means, extremes and what else reduces an array along axes, or runs along one."""

from __future__ import annotations

from typing import Any

from graphnn.array_api._array import Array, apply, array_of, whole, wholes, wrap
from graphnn.array_api._data_types import dtype_named
from graphnn.array_api._run import run
from graphnn.functions import cumulative, statistics
from graphnn.ir.node import Node
from graphnn.ops import cumulative as running
from graphnn.ops import reduction

Axes = int | tuple[int, ...] | None


def _reduce(function: Any, x: Array, axis: Axes, keepdims: bool, **more: Any) -> Array:
    name = function.__name__
    return apply(function, x, axis=wholes(name, axis), keepdims=bool(keepdims), **more)


def _named(dtype: Any) -> Any:
    return None if dtype is None else dtype_named(dtype)


def max(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The largest element along the given axes, or of all.

    See `graphnn.max`.
    """
    return _reduce(reduction.max, x, axis, keepdims)


def min(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The smallest element along the given axes, or of all.

    See `graphnn.min`.
    """
    return _reduce(reduction.min, x, axis, keepdims)


def sum(x: Array, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """Sum over the given axes, or over all; small integers are summed in 64 bits.

    See `graphnn.sum`.
    """
    return _reduce(reduction.sum, x, axis, keepdims, dtype=_named(dtype))


def prod(x: Array, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """Product over the given axes, or over all; small integers are multiplied in 64 bits.

    See `graphnn.prod`.
    """
    return _reduce(reduction.prod, x, axis, keepdims, dtype=_named(dtype))


def mean(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Arithmetic mean over the given axes, or over all.

    See `graphnn.mean`.
    """
    return _reduce(statistics.mean, x, axis, keepdims)


def var(x: Array, /, *, axis: Axes = None, correction: int | float = 0.0, keepdims: bool = False) -> Array:
    """Variance over the given axes, or over all; the sum of squares is divided by n - correction.

    See `graphnn.var`.
    """
    return _reduce(statistics.var, x, axis, keepdims, correction=float(correction))


def std(x: Array, /, *, axis: Axes = None, correction: int | float = 0.0, keepdims: bool = False) -> Array:
    """Standard deviation over the given axes, or over all: the root of `var`.

    See `graphnn.std`.
    """
    return _reduce(statistics.std, x, axis, keepdims, correction=float(correction))


def cumulative_sum(x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """Running sum along an axis, which may be left out for vectors.

    See `graphnn.cumulative_sum`.
    """
    return _run_along(running.cumulative_sum, x, axis, dtype, include_initial)


def cumulative_prod(x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """Running product along an axis, which may be left out for vectors.

    See `graphnn.cumulative_prod`.
    """
    return _run_along(running.cumulative_prod, x, axis, dtype, include_initial)


def _run_along(function: Any, x: Array, axis: int | None, dtype: Any, include_initial: bool) -> Array:
    place = wholes(function.__name__, axis)
    return apply(function, x, axis=place, dtype=_named(dtype), include_initial=bool(include_initial))


def all(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether all elements along the given axes are True, or not zero.

    See `graphnn.all`.
    """
    return _reduce(reduction.all, x, axis, keepdims)


def any(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether at least one element along the given axes is True, or not zero.

    See `graphnn.any`.
    """
    return _reduce(reduction.any, x, axis, keepdims)


def diff(
    x: Array, /, *, axis: int = -1, n: int = 1, prepend: Array | None = None, append: Array | None = None
) -> Array:
    """Differences of neighbours along an axis, taken n times.

    See `graphnn.diff`.
    """
    arrays = [array_of("diff", value) for value in (x, prepend, append) if value is not None]
    sides = {"before": prepend is not None, "after": append is not None}
    return wrap(run(_diff, arrays, axis=whole("diff", axis), n=whole("diff", n), **sides)[0])


def _diff(x: Node, *more: Node, axis: int, n: int, before: bool, after: bool) -> Node:
    prepend, append = more[0] if before else None, more[-1] if after else None
    return cumulative.diff(x, axis=axis, n=n, prepend=prepend, append=append)

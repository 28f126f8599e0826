"""What follows from sorting: the largest elements, quantiles, and the set of the values of an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphnn.errors import ShapeError
from graphnn.functions.creation import size_node
from graphnn.functions.indexing import places_of
from graphnn.ir.dims import Size, as_size, product
from graphnn.ir.dtype import bool_, check_scalar, float64, int64
from graphnn.ir.leaves import Iota, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import normalize_axes, normalize_axis
from graphnn.ops.arithmetic import floor, maximum, minimum
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import isnan, logical_and, logical_not, logical_or, not_equal, where
from graphnn.ops.composite import composite
from graphnn.ops.cumulative import CumulativeSum
from graphnn.ops.indexing import Gather, ScatterAdd, take, take_along_axis
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Part, Reshape, concat, permute_dims
from graphnn.ops.operands import Operand, as_node, as_nodes
from graphnn.ops.reduction import check_not_empty, reduced_shape
from graphnn.ops.sorting import Argsort, Searchsorted, sort


class TopK(NamedTuple):
    """The k largest elements along an axis, and their indices."""

    values: Node
    indices: Node


def top_k(x: Operand, k: int, /, *, axis: int = -1, largest: bool = True) -> TopK:
    """The k largest elements along an axis, the largest first, and their indices (int64); or the smallest.

    Of equal elements the one with the smaller index comes first; NaN counts as least wanted.

    Returns
    -------
    A tuple ``(values, indices)``. The derivative of the values goes to the elements chosen.

    >>> values, indices = gn.top_k([3.0, 9.0, 5.0], 2)
    >>> gn.evaluate(values), gn.evaluate(indices)
    (array([9., 5.], dtype=float32), array([1, 2]))
    """
    node = as_node(x)
    place = normalize_axis("top_k", axis, node.ndim)
    n = node.shape[place]
    if not isinstance(k, int) or k < 0 or (isinstance(n, int) and k > n):
        raise explain(ShapeError(f"top_k: {k!r} elements of an axis of {n}"), (node,))
    order = Argsort(place, largest)(node)
    # Where n is a name, it may turn out to be too small: then the check of the indices tells.
    indices = Part(place, 0, k)(order) if isinstance(n, int) else take(order, Iota(k, int64)(), axis=place)
    return TopK(take_along_axis(node, indices, axis=place), indices)


@composite(latex=r"\operatorname{{median}}_{{{axis}}}\left({0}\right)")
def median(x: Operand, /, *, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """The element in the middle of the sorted ones, or the mean of the two, over the given axes or over all.

    NaN if one element is. Its derivative is 1 for that element, or 1/2 for both; see `quantile`.

    >>> gn.evaluate(gn.median([5.0, 1.0, 2.0]))
    array(2., dtype=float32)
    """
    return quantile(x, 0.5, axis=axis, keepdims=keepdims)


def quantile(
    x: Operand, q: float | Sequence[float], /, *, axis: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """The value below which a share q of the elements lies, over the given axes or over all.

    With the sorted elements ``s[0] <= ... <= s[n-1]`` and the position ``p = q (n - 1)`` it is interpolated linearly:
    ``s[i] + (p - i) (s[i+1] - s[i])``, ``i = floor(p)``. NaN if one element is. Its derivative goes to these two elements.
    Source: Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996, definition 7.

    Parameters
    ----------
    q : numbers from 0 to 1; several give a first axis of that size

    >>> gn.evaluate(gn.quantile([1.0, 2.0, 3.0, 4.0], [0.0, 0.25, 1.0]))
    array([1.  , 1.75, 4.  ], dtype=float32)
    """
    node = as_node(x)
    check_kind("quantile", "floating-point", (node.dtype,))
    shares = constant(q, float64)
    given = shares.op.payload.array  # type: ignore[attr-defined]
    if given.ndim > 1 or not ((given >= 0) & (given <= 1)).all():
        raise ShapeError(f"quantile: q is a number from 0 to 1, or a list of such numbers, not {q!r}")
    axes = normalize_axes("quantile", axis, node.ndim)
    check_not_empty("quantile", node.shape, axes)
    kept = tuple(i for i in range(node.ndim) if i not in axes)
    count = product(node.shape[i] for i in axes)
    lines = Reshape((count, *(node.shape[i] for i in kept)))(permute_dims(node, (*axes, *kept)))
    ordered = sort(lines, axis=0)
    if isinstance(count, int):
        position = given * (count - 1.0)
        below = np.floor(position).astype(np.int64)
        index, following, last = (as_node(n) for n in (below, np.minimum(below + 1, count - 1), np.int64(count - 1)))
        part = constant(position - below, node.dtype)
    else:
        last = size_node(count - 1, int64)
        place = shares * size_node(count - 1, float64)
        index = astype(floor(place), int64)
        following, part = minimum(index + 1, last), astype(place - floor(place), node.dtype)
    low, high = take(ordered, index, axis=0), take(ordered, following, axis=0)
    part = Reshape((*shares.shape, *(1,) * len(kept)))(part)
    # Exactly on an element the next one must not matter, not even as 0 * inf.
    out = where(part > 0, low + (high - low) * part, low)
    end = take(ordered, last, axis=0)
    out = where(isnan(end), end, out)  # NaN is sorted to the end
    return Reshape((*shares.shape, *reduced_shape(node.shape, axes, keepdims)))(out)


def isin(x: Operand, elements: Operand, /) -> Node:
    """Whether each element of x is one of the given elements; NaN is never.

    >>> gn.evaluate(gn.isin([1, 2, 3], [3, 1]))
    array([ True, False,  True])
    """
    node, wanted = as_nodes("isin", x, elements)
    ordered = sort(Reshape((wanted.spec.size,))(wanted))
    found = Searchsorted("right")(ordered, node) > Searchsorted("left")(ordered, node)
    return logical_and(found, logical_not(isnan(node))) if node.dtype.is_floating else found


class UniqueAll(NamedTuple):
    """The distinct values of an array, where each first stands, which of them each element is, how often each comes."""

    values: Node
    indices: Node
    inverse_indices: Node
    counts: Node


def unique_all(x: Operand, /, *, size: Size | str | None = None, fill_value: bool | int | float = 0) -> UniqueAll:
    """The distinct values of x in ascending order, with the places and numbers of each.

    How many there are is known only at the call, and shapes are static: so the number wanted must be told. If there
    are more, the smallest are given.

    Parameters
    ----------
    size : the number of values given
    fill_value : stands in place of values that there are not; their index and their count are 0

    Returns
    -------
    A tuple: ``values``; ``indices``, of the first appearance in the flattened x; ``inverse_indices``, of the shape of x, with
    ``values[inverse_indices] == x`` if the size suffices; ``counts``. Each NaN is a value of its own.

    >>> found = gn.unique_all([3, 1, 3], size=3)
    >>> gn.evaluate(found.values), gn.evaluate(found.counts), gn.evaluate(found.inverse_indices)
    (array([1, 3, 0]), array([1, 2, 0]), array([1, 0, 1]))
    """
    node = as_node(x)
    if size is None:
        raise explain(
            ShapeError(
                "unique: the number of values must be given, as shapes are static",
                "Write gn.unique_values(x, size=n); n = x.spec.size holds all. Missing ones are filled with fill_value.",
            ),
            (node,),
        )
    check_scalar("unique", bool(fill_value) if node.dtype is bool_ else fill_value, node.dtype)
    wanted, n = as_size(size), node.spec.size
    flat = Reshape((n,))(node)
    order = Argsort(0)(flat)
    ordered = Gather((0,))(flat, order)
    number = Iota(n, int64)()
    before = Gather((0,))(ordered, maximum(number - 1, 0))
    first = logical_or(number == 0, not_equal(ordered, before))
    # Where each value begins among the sorted ones: n for values that there are not, and there stands the filling.
    starts = places_of(first, wanted + 1)
    here, following = Part(0, 0, wanted)(starts), Part(0, 1, wanted)(starts)
    values = Gather((0,))(concat([ordered, Reshape((1,))(as_node(fill_value, node.dtype))]), here)
    indices = Gather((0,))(concat([order, as_node([0])]), here)
    group = CumulativeSum(0)(astype(first, int64)) - 1
    inverse = Reshape(node.shape)(ScatterAdd((0,), (n,))(group, order))
    return UniqueAll(values, indices, inverse, following - here)


def unique_values(x: Operand, /, *, size: Size | str | None = None, fill_value: bool | int | float = 0) -> Node:
    """The distinct values of x in ascending order; see `unique_all`.

    >>> gn.evaluate(gn.unique_values([3, 1, 3], size=2))
    array([1, 3])
    """
    return unique_all(x, size=size, fill_value=fill_value).values


class UniqueCounts(NamedTuple):
    """The distinct values of an array and how often each comes."""

    values: Node
    counts: Node


def unique_counts(x: Operand, /, *, size: Size | str | None = None, fill_value: bool | int | float = 0) -> UniqueCounts:
    """The distinct values of x in ascending order and how often each comes; see `unique_all`.

    >>> gn.evaluate(gn.unique_counts([3, 1, 3], size=2).counts)
    array([1, 2])
    """
    found = unique_all(x, size=size, fill_value=fill_value)
    return UniqueCounts(found.values, found.counts)


class UniqueInverse(NamedTuple):
    """The distinct values of an array, and for each element which of them it is."""

    values: Node
    inverse_indices: Node


def unique_inverse(
    x: Operand, /, *, size: Size | str | None = None, fill_value: bool | int | float = 0
) -> UniqueInverse:
    """The distinct values of x in ascending order, and for each element which of them it is; see `unique_all`.

    >>> gn.evaluate(gn.unique_inverse([3, 1, 3], size=2).inverse_indices)
    array([1, 0, 1])
    """
    found = unique_all(x, size=size, fill_value=fill_value)
    return UniqueInverse(found.values, found.inverse_indices)

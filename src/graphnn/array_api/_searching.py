"""Places of elements, choice by a condition, order, and the set of the values of an array."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphnn.array_api._array import Array, ArrayLike, apply, array_of, arrays_of, wholes, wrap
from graphnn.array_api._keys import mask_places
from graphnn.array_api._run import run
from graphnn.errors import ShapeError
from graphnn.functions import indexing, ordering
from graphnn.ir.arrays import Array as NumpyArray
from graphnn.ir.dtype import int64
from graphnn.ir.node import Node
from graphnn.ops import comparison, reduction, sorting
from graphnn.ops.bitwise import astype
from graphnn.ops.indexing import take as take_nodes
from graphnn.ops.indexing import take_along_axis as take_along_axis_nodes
from graphnn.ops.movement import Part, Reshape


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """The elements, or slices along an axis, at integer indices; the axis may be left out for vectors only.

    See `graphnn.take`.
    """
    return _pick(take_nodes, x, indices, axis)


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """For each line of x along an axis, the elements at the indices of the same line.

    See `graphnn.take_along_axis`.
    """
    return _pick(take_along_axis_nodes, x, indices, axis)


def _pick(function: Any, x: Array, indices: Array, axis: int | None) -> Array:
    arrays = [array_of(function.__name__, value) for value in (x, indices)]
    return wrap(run(function, arrays, axis=wholes(function.__name__, axis))[0])


def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the largest element along an axis, or in the flattened array; of equal ones the first.

    See `graphnn.argmax`.
    """
    return apply(reduction.argmax, x, axis=wholes("argmax", axis), keepdims=keepdims)


def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the smallest element along an axis, or in the flattened array; of equal ones the first.

    See `graphnn.argmin`.
    """
    return apply(reduction.argmin, x, axis=wholes("argmin", axis), keepdims=keepdims)


def count_nonzero(x: Array, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """How many elements along the given axes, or of all, are True or not zero.

    See `graphnn.count_nonzero`.
    """
    return apply(indexing.count_nonzero, x, axis=wholes("count_nonzero", axis), keepdims=keepdims)


def nonzero(x: Array, /) -> tuple[Array, ...]:
    """The places of the elements that are True or not zero, in row-major order: an index array for each axis.

    How many there are is counted first; see `graphnn.nonzero`.
    """
    array = array_of("nonzero", x)
    if array.ndim == 0:
        raise ShapeError("nonzero: an array without axes has no places", "Ask its value: bool(x).")
    (mask,) = run(reduction.as_bool, [array])
    return tuple(wrap(places) for places in mask_places(array.shape, mask))


def searchsorted(x1: Array, x2: Array, /, *, side: str = "left", sorter: Array | None = None) -> Array:
    """The index at which each value of x2 would have to be inserted into the sorted vector x1 to keep the order.

    See `graphnn.searchsorted`.
    """
    arrays = [array_of("searchsorted", value) for value in (x1, x2, *([] if sorter is None else [sorter]))]
    return wrap(run(_searchsorted, arrays, side=side)[0])


def _searchsorted(x: Node, values: Node, *sorter: Node, side: str) -> Node:
    return sorting.searchsorted(x, values, side=side, sorter=sorter[0] if sorter else None)


def where(condition: Array, x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 where the condition is True, else x2.

    See `graphnn.where`.
    """
    return wrap(run(comparison.where, [array_of("where", condition), *arrays_of("where", x1, x2)])[0])


def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """The indices that sort x along an axis; equal elements keep their order, NaN comes last.

    See `graphnn.argsort`.
    """
    return apply(sorting.argsort, x, axis=wholes("argsort", axis), descending=descending)


def sort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """The elements in order along an axis; NaN comes last.

    See `graphnn.sort`.
    """
    return apply(sorting.sort, x, axis=wholes("sort", axis), descending=descending)


class unique_all_result(NamedTuple):
    """The distinct values, where each first stands, which of them each element is, and how often each comes."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class unique_counts_result(NamedTuple):
    """The distinct values, and how often each comes."""

    values: Array
    counts: Array


class unique_inverse_result(NamedTuple):
    """The distinct values, and for each element which of them it is."""

    values: Array
    inverse_indices: Array


def unique_all(x: Array, /) -> unique_all_result:
    """The distinct values of x in ascending order, with the places and numbers of each; each NaN is one of its own.

    How many there are is counted first; see `graphnn.unique_all`.
    """
    return unique_all_result(*_unique(x))


def unique_counts(x: Array, /) -> unique_counts_result:
    """The distinct values of x in ascending order, and how often each comes; see `unique_all`."""
    values, _, _, counts = _unique(x)
    return unique_counts_result(values, counts)


def unique_inverse(x: Array, /) -> unique_inverse_result:
    """The distinct values of x in ascending order, and for each element which of them it is; see `unique_all`."""
    values, _, inverse, _ = _unique(x)
    return unique_inverse_result(values, inverse)


def unique_values(x: Array, /) -> Array:
    """The distinct values of x in ascending order; see `unique_all`."""
    return _unique(x)[0]


def _unique(x: Array) -> list[Array]:
    array: NumpyArray = array_of("unique", x)
    (count,) = run(_distinct, [array])
    return [wrap(made) for made in run(ordering.unique_all, [array], size=int(count))]


def _distinct(x: Node) -> Node:
    """How many distinct values there are."""
    ordered = sorting.sort(Reshape((x.spec.size,))(x))
    n = ordered.shape[0]
    if n == 0:
        return reduction.sum(astype(ordered, int64))
    changes = comparison.not_equal(Part(0, 1, n - 1)(ordered), Part(0, 0, n - 1)(ordered))
    return reduction.sum(astype(changes, int64)) + 1

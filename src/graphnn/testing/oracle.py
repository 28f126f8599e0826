"""Derivatives of NumPy functions by finite differences, with an estimate of their own error.

Central differences for a ladder of steps that are powers of two are extrapolated to the step 0 by Neville's scheme.
Source: Richardson, "The deferred approach to the limit", 1927; Ridders, "Accurate computation of F'(x) and F'(x) F''(x)",
Advances in Engineering Software 4, 1982.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

import numpy as np

from graphnn.ir.arrays import Array

VectorFunction: TypeAlias = Callable[[Array], Array]
"""A function of a float64 vector to a float64 vector."""

_EPS = float(np.finfo(np.float64).eps)
_ABSOLUTE = tuple(2.0**-k for k in range(3, 15))
_RELATIVE = tuple(2.0**-k for k in range(3, 12))
_RELATIVE_BELOW = 2.0**-6  # longer steps than the absolute ones would only cross kinks
_LEVELS = 7  # columns of the tableau; more only extrapolate rounding errors


class Estimated(NamedTuple):
    """A numeric derivative; for each of its entries, how far off it may be, and how large the function is nearby."""

    value: Array
    error: Array
    size: Array


def directional(function: VectorFunction, point: Array, direction: Array, goal: float = 1e-11) -> Estimated:
    """The derivative of a vector function along a direction.

    The steps go down from 2**-3 until the error estimate of every entry is below `goal` relative to the entry, or until
    they only add rounding errors. Where that is not enough, steps relative to the size of the point follow, so
    points near 0 are reached with functions such as log.

    Parameters
    ----------
    function : takes and gives float64 vectors; non-finite values mean that the step was too long
    point, direction : of equal shape
    goal : where to stop

    >>> found = directional(np.sin, np.array([0.5]), np.array([1.0]))
    >>> bool(abs(found.value[0] - np.cos(0.5)) < 1e-13), bool(found.error[0] < 1e-11)
    (True, True)
    """
    best = _ladder(function, point, direction, _ABSOLUTE, goal, None)
    moved = np.abs(point[direction != 0])
    size = float(moved.min()) if moved.size else 0.0
    if 0 < size < _RELATIVE_BELOW and not _reached(best, goal).all():
        best = _ladder(function, point, direction, [size * step for step in _RELATIVE], goal, best)
    return best


def _reached(found: Estimated, goal: float) -> Array:
    return np.asarray(found.error <= goal * np.abs(found.value))


def _ladder(
    function: VectorFunction,
    point: Array,
    direction: Array,
    steps: Iterable[float],
    goal: float,
    best: Estimated | None,
) -> Estimated:
    above: list[Array] = []  # the row of the tableau before: extrapolations that end at the last step
    moved: list[Array] = []  # how far each column moved with that row
    largest: Array | float = 0.0 if best is None else best.size
    for number, step in enumerate(steps):
        step = 2.0 ** round(math.log2(step))
        after, before = point + step * direction, point - step * direction
        width = _width(after, before, direction)
        with np.errstate(all="ignore"):
            high, low = function(after), function(before)
            row = [(high - low) / width]
            size = np.maximum(np.abs(high), np.abs(low))
            largest = np.fmax(largest, np.where(np.isfinite(size), size, 0.0))
            rounding = 2 * _EPS * size / width
            if best is None:
                best = Estimated(row[0], np.full(row[0].shape, np.inf), largest)
            moves = [np.abs(new - old) for new, old in zip(row, above, strict=False)]
            for level in range(1, min(len(above), _LEVELS) + 1):
                row.append(row[-1] + (row[-1] - above[level - 1]) / (4.0**level - 1.0))
                moves.append(np.abs(row[-1] - above[level]) if level < len(above) else np.full_like(row[-1], np.inf))
                if level > len(moved):
                    continue
                # The column before moves by 4**level less with each row. One move may be small by chance, not two.
                error = np.maximum(moves[level - 1], moved[level - 1] / 4.0**level)
                error = np.maximum(error, rounding)
                better = error < best.error  # False for NaN
                best = Estimated(
                    *(np.where(better, *pair) for pair in zip((row[-1], error, largest), best, strict=True))
                )
            moved = moves
        above = row
        if number >= 2 and (_reached(best, goal) | (best.error <= 2 * rounding)).all():
            break
    assert best is not None
    return best


def _width(after: Array, before: Array, direction: Array) -> float:
    # Rounding of the sums makes the step taken differ a little from the step meant; along an axis it is known exactly.
    moved = np.flatnonzero(direction)
    if moved.size == 0:
        return 1.0
    lengths = (after[moved] - before[moved]) / direction[moved]
    return float(np.mean(lengths))


def numeric_jacobian(
    function: VectorFunction, point: Array, directions: Array | None = None, goal: float = 1e-11
) -> Estimated:
    """The Jacobian times each row of `directions`, as columns: the Jacobian itself where none are given.

    >>> found = numeric_jacobian(lambda x: np.array([x[0] * x[1], x[0]]), np.array([2.0, 3.0]))
    >>> found.value.round(9)
    array([[3., 2.],
           [1., 0.]])
    """
    point = np.asarray(point, np.float64)
    rows = np.eye(point.size) if directions is None else directions
    columns = [directional(function, point, row, goal) for row in rows]
    if not columns:
        empty = np.zeros((np.asarray(function(point)).size, 0))
        return Estimated(empty, empty, empty)
    return Estimated(*(np.stack(parts, 1) for parts in zip(*columns, strict=True)))

"""Comparing arrays: to the bit, in units of the last place, or within tolerances, with messages that show the worst element."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.errors import GraphnnError
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import as_dtype
from graphnn.ir.spec import shape_text


class ComparisonError(GraphnnError, AssertionError):
    """Two arrays that should agree do not."""


def ulp_distance(a: object, b: object) -> Array:
    """How many floating-point numbers lie between a and b, element by element (uint64).

    0 for equal numbers (also for 0.0 and -0.0) and for two NaNs; the largest uint64 where only one is NaN.

    >>> int(ulp_distance(np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0))))
    1
    """
    x, y = np.broadcast_arrays(np.asarray(a), np.asarray(b))
    if x.dtype != y.dtype or not as_dtype(x.dtype).is_floating:
        raise ComparisonError(f"ulp_distance compares floats of one data type, not {x.dtype} and {y.dtype}")
    i, j = _ordered(x), _ordered(y)
    distance = np.where(i > j, i - j, j - i)
    nan_x, nan_y = np.isnan(x), np.isnan(y)
    distance = np.where(nan_x & nan_y, np.uint64(0), distance)
    return np.where(nan_x != nan_y, np.uint64(2**64 - 1), distance)


def _ordered(x: Array) -> Array:
    # The bits of floats, read as integers, are in order for positive numbers and in reverse order for negative ones.
    bits = 8 * x.dtype.itemsize
    raw = np.array(x, order="C").view(f"u{x.dtype.itemsize}").reshape(x.shape).astype(np.uint64)
    top = np.uint64(1 << (bits - 1))
    with np.errstate(over="ignore"):  # in the half that is not taken
        return np.where(raw >= top, top - (raw - top), raw + top)


def same_bits(a: object, b: object) -> bool:
    """Whether two arrays have the same data type, shape and bits: 0.0 differs from -0.0, NaN equals the same NaN.

    >>> same_bits(np.array([0.0]), np.array([-0.0])), same_bits(np.array([np.nan]), np.array([np.nan]))
    (False, True)
    """
    x, y = np.asarray(a), np.asarray(b)
    if x.shape != y.shape or x.dtype.newbyteorder("=") != y.dtype.newbyteorder("="):
        return False
    return x.astype(x.dtype.newbyteorder("=")).tobytes() == y.astype(y.dtype.newbyteorder("=")).tobytes()


def assert_same_bits(actual: object, desired: object, what: str = "") -> None:
    """Raise ComparisonError unless `same_bits`; the message shows the first element that differs."""
    if same_bits(actual, desired):
        return
    x, y = np.asarray(actual), np.asarray(desired)
    _check_specs(x, y, what)
    differs = np.array([p.tobytes() != q.tobytes() for p, q in zip(x.ravel(), y.ravel(), strict=True)]).reshape(x.shape)
    place = _place(int(np.argmax(differs)), x.shape)
    raise ComparisonError(
        f"{_prefix(what)}{int(differs.sum())} of {x.size} elements differ in their bits",
        f"first at {list(place)}: {x[place]!r}, expected {y[place]!r}",
    )


def assert_close(
    actual: object, desired: object, *, rtol: float = 0.0, atol: float = 0.0, ulps: int = 0, what: str = ""
) -> None:
    """Raise ComparisonError unless ``|actual - desired| <= atol + rtol * |desired|``, or they are at most `ulps` apart.

    Shapes and data types must be equal; NaN equals NaN, infinities equal themselves. For `ulps`, see `ulp_distance`.

    >>> assert_close(np.array([1.0, 2.0]), np.array([1.0, 2.5]), rtol=0.1)
    Traceback (most recent call last):
    graphnn.testing.compare.ComparisonError: 1 of 2 elements are not close
    ...
    """
    x, y = np.asarray(actual), np.asarray(desired)
    _check_specs(x, y, what)
    if not as_dtype(x.dtype).is_floating:
        bad = x != y
        error = np.abs(x.astype(np.float64) - y.astype(np.float64))
    else:
        wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
        with np.errstate(all="ignore"):
            error = np.abs(wide_x - wide_y)
            finite = np.isfinite(wide_x) & np.isfinite(wide_y)
            same = (wide_x == wide_y) | (np.isnan(wide_x) & np.isnan(wide_y))
            bad = ~same & ~(finite & (error <= atol + rtol * np.abs(wide_y)))
        if ulps:
            bad &= ulp_distance(x, y) > ulps
    if not bad.any():
        return
    ranked = np.where(bad, np.where(np.isnan(error), np.inf, error), -1.0)
    place = _place(int(np.argmax(ranked)), x.shape)
    raise ComparisonError(
        f"{_prefix(what)}{int(bad.sum())} of {x.size} elements are not close",
        f"worst at {list(place)}: {x[place]!r}, expected {y[place]!r}, error {error[place]:.3g}",
        f"allowed: atol {atol:.3g}, rtol {rtol:.3g}" + (f", {ulps} ulps" if ulps else ""),
    )


def _check_specs(x: Array, y: Array, what: str) -> None:
    if x.dtype != y.dtype or x.shape != y.shape:
        raise ComparisonError(
            f"{_prefix(what)}{x.dtype}{shape_text(x.shape)} was given, {y.dtype}{shape_text(y.shape)} expected"
        )


def _place(flat: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))


def _prefix(what: str) -> str:
    return f"{what}: " if what else ""

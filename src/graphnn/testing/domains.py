"""Domains: where the points of a test lie. Away from kinks, poles and jumps, by construction and not by rejection.

A domain maps raw numbers, which may be any numbers from -3 to 3, to legal points. So a generator of random numbers and
hypothesis, which shrinks a failure to simple raw numbers, draw from the same domains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphnn.ir.arrays import Array
from graphnn.ir.dtype import DType, as_dtype, bool_

RAW = 3.0
"""Raw numbers lie between ``-RAW`` and ``RAW``."""


@dataclass(frozen=True)
class Domain:
    """A map from raw numbers to the points of one operand.

    Attributes
    ----------
    name : how a failing test tells it
    map : float64 array of raw numbers -> float64 array of points, of the same shape
    dtype : the data type of this operand where it is always the same, such as ``"int64"`` for indices

    >>> away_from(0.0).map(np.array([-1.0, 0.0, 1.0]))
    array([-1.25, -0.25,  1.25])
    """

    name: str
    map: Callable[[Array], Array]
    dtype: str = ""

    def values(self, raw: Array, dtype: object) -> Array:
        """The points for raw numbers, in a data type; whole numbers for integers, of which none is negative if unsigned."""
        wanted = as_dtype(self.dtype or dtype)
        if wanted is bool_:
            return np.asarray(raw > 0)
        points = np.asarray(self.map(np.asarray(raw, np.float64)), np.float64)
        return _whole(points, wanted) if wanted.is_integer else np.asarray(points.astype(wanted.numpy))

    def random(self, generator: np.random.Generator, shape: tuple[int, ...], dtype: object = "float64") -> Array:
        """Random points of a shape."""
        return self.values(generator.uniform(-RAW, RAW, shape), dtype)


def _whole(points: Array, dtype: DType) -> Array:
    limits = np.iinfo(dtype.numpy)
    whole = np.rint(np.abs(points) if dtype.kind == "uint" else points)
    return np.asarray(np.clip(whole, limits.min, limits.max).astype(dtype.numpy))


def scaled(factor: float = 1.0, offset: float = 0.0) -> Domain:
    """All real numbers from ``offset - 3 * factor`` to ``offset + 3 * factor``."""
    return Domain(f"{offset} ± {RAW * factor}", lambda u: offset + factor * u)


REAL = scaled()
POSITIVE = Domain("exp(u)", np.exp)
BOOL = Domain("bool", lambda u: u, "bool")


def away_from(*points: float, gap: float = 0.25) -> Domain:
    """Real numbers that keep the distance `gap` from points such as a kink or a pole, which are more than twice it apart."""
    ordered = sorted(points)

    def move(u: Array) -> Array:
        # Each part between two points is pushed up by the gaps below it, so the map has jumps but keeps the order.
        out = u - gap
        for point in ordered:
            out = np.where(out > point - gap, out + 2 * gap, out)
        return out

    return Domain(f"away from {', '.join(map(str, ordered))}", move)


def above(low: float, gap: float = 0.0) -> Domain:
    """Numbers larger than ``low + gap``."""
    return Domain(f"above {low}", lambda u: low + gap + np.exp(u))


def inside(low: float, high: float, share: float = 0.85) -> Domain:
    """Numbers between two ends, from which they keep a distance."""
    return Domain(f"inside {low} ... {high}", lambda u: (low + high) / 2 + share * (high - low) / 2 * np.tanh(u))


def distinct(gap: float = 0.5) -> Domain:
    """Numbers of which any two of one array differ by more than ``gap / 2``, so that the largest stays the largest."""

    def spread(u: Array) -> Array:
        flat = u.ravel()
        rank = np.empty(flat.size)
        rank[np.argsort(flat, kind="stable")] = np.arange(flat.size)
        return ((rank - (flat.size - 1) / 2) * gap + gap / 4 * np.tanh(flat)).reshape(u.shape)

    return Domain("distinct", spread)


def irregular(start: float = 0.0) -> Domain:
    """Numbers from -1.3 to 1.3 that are in no simple relation: for operations whose derivatives cancel where all are equal."""
    return Domain(
        f"irregular from {start}",
        lambda u: np.sin(start + 2.3 * np.arange(u.size)).reshape(u.shape) + 0.3 * np.tanh(u),
    )


def near_grid(offset: float = 0.0, period: float = 1.0, jitter: float = 0.15) -> Domain:
    """Numbers near ``period * (k + offset)`` for whole k.

    Operands on grids of different offsets are never equal, however they are broadcast.
    """
    return Domain(f"near {period}·(k + {offset})", lambda u: period * (np.rint(u) + offset + jitter * np.tanh(u)))


def integers(low: int, high: int, dtype: str = "") -> Domain:
    """The whole numbers from low to high, both included, also where the operand is a float."""
    count = high - low + 1
    return Domain(
        f"{low} ... {high}",
        lambda u: low + np.minimum(np.floor((u + RAW) / (2 * RAW) * count), count - 1),
        dtype,
    )


def indices(size: int) -> Domain:
    """Indices of an axis that has at least this size; negative ones count from the end."""
    return integers(-size, size - 1, "int64")

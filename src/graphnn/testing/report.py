"""What a gradient check compares, and what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphnn.errors import GraphnnError
from graphnn.ir.arrays import Array
from graphnn.testing.oracle import Estimated

_FULL = 48  # up to so many elements, Jacobians are compared entry by entry; beyond, along random directions
_RANDOM = 4
_SHOWN = 6


class GradientCheckError(GraphnnError, AssertionError):
    """A derivative is wrong: it differs from the finite difference by more than the tolerance."""


class InconclusiveCheckError(GraphnnError, AssertionError):
    """Finite differences are too inexact at this point to tell whether a derivative is right."""


@dataclass(frozen=True)
class Entry:
    """One compared number.

    Attributes
    ----------
    what : such as ``reverse: d y / d x``
    index : the places in the output and in the variable, or the number of a random direction
    analytic, numeric : the two values
    estimate : how far off the numeric one may be
    scale : what the tolerance is relative to
    """

    what: str
    index: tuple[Any, ...]
    analytic: float
    numeric: float
    estimate: float
    scale: float

    def __str__(self) -> str:
        error = abs(self.analytic - self.numeric) / self.scale if self.scale else float("nan")
        return (
            f"{self.what} at {', '.join(map(str, self.index))}: {self.analytic:.15g}, finite difference "
            f"{self.numeric:.15g} ± {self.estimate:.1e}, relative error {error:.1e}"
        )


class Basis:
    """The directions along which one side of a Jacobian is compared: all unit vectors, or a few random ones.

    Attributes
    ----------
    vectors : a direction in each row
    places : what messages call them
    owners : the array to which each belongs; 0 for a random one, which belongs to all
    names : the name of the owner of each
    """

    def __init__(self, arrays: Sequence[Array], names: Sequence[str], generator: np.random.Generator) -> None:
        self.size = sum(array.size for array in arrays)
        self.full = self.size <= _FULL
        self.places: list[object] = []
        if self.full:
            self.vectors = np.eye(self.size)
            self.owners = np.repeat(np.arange(len(arrays)), [array.size for array in arrays])
            self.places.extend(index for array in arrays for index in np.ndindex(array.shape))
            self.names = [names[int(k)] for k in self.owners]
        else:
            self.vectors = generator.choice([-1.0, 1.0], (_RANDOM, self.size))
            self.owners = np.zeros(_RANDOM, np.int64)
            self.places.extend(f"direction {i}" for i in range(_RANDOM))
            self.names = [", ".join(names)] * _RANDOM

    def project(self, vectors: Array) -> Array:
        """The components of the rows of a matrix along the directions."""
        # Without the product where it changes nothing: a NaN would spread over its whole row.
        return vectors if self.full else vectors @ self.vectors.T

    def spread(self, numeric: Estimated) -> Estimated:
        """Numeric derivatives of all elements, as those along the directions."""
        if self.full:
            return numeric
        weights = np.abs(self.vectors)
        return Estimated(self.vectors @ numeric.value, weights @ numeric.error, weights @ numeric.size)


@dataclass
class GradientReport:
    """What a check found.

    Attributes
    ----------
    checked : how many numbers were compared
    wrong, inconclusive : the entries that differ, and those of which finite differences cannot tell
    worst : the largest error relative to its scale, of all conclusive entries
    broken : identities ``<Jv, u> = <v, J'u>`` that do not hold, as text
    """

    checked: int = 0
    worst: float = 0.0
    wrong: list[Entry] = field(default_factory=list)
    inconclusive: list[Entry] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def compare(
        self, what: str, found: Array, numeric: Estimated, rows: Sequence[object], columns: Basis, tolerance: float
    ) -> None:
        """Add the comparison of a Jacobian with the numeric one.

        Parameters
        ----------
        what : the mode and what is differentiated, such as ``reverse: d y``
        found, numeric : a row for each element of the output, a column for each direction of the input
        rows : what messages call the rows
        columns : the directions
        tolerance : the largest relative error
        """
        scale = _scales(found, numeric, columns.owners)
        with np.errstate(invalid="ignore"):
            error = np.abs(found - numeric.value)
            unknown = ~(numeric.error <= tolerance * scale)
            wrong = ~(error <= tolerance * scale) & ~unknown  # also where the derivative is not finite
        self.checked += found.size
        settled = ~unknown & (scale > 0)
        if settled.any():
            self.worst = max(self.worst, float(np.max(error[settled] / scale[settled])))
        for entries, mask in ((self.wrong, wrong), (self.inconclusive, unknown)):
            for i, j in np.argwhere(mask):
                numbers = (float(a[i, j]) for a in (found, numeric.value, numeric.error, scale))
                entries.append(Entry(f"{what} / d {columns.names[j]}", (rows[i], columns.places[j]), *numbers))

    def raise_for(self) -> None:
        """Raise GradientCheckError or InconclusiveCheckError if something is wrong or open."""
        if self.wrong or self.broken:
            lines = [*self.broken, *map(str, self.wrong)]
            raise GradientCheckError(
                f"{len(lines)} of {self.checked} derivatives are wrong: {lines[0]}", *_listed(lines[1:])
            )
        if self.inconclusive:
            lines = list(map(str, self.inconclusive))
            raise InconclusiveCheckError(
                f"{len(lines)} of {self.checked} derivatives could not be checked: {lines[0]}",
                *_listed(lines[1:]),
                "Move the point away from kinks, poles and large values.",
            )


def _listed(lines: list[str]) -> list[str]:
    return lines[:_SHOWN] + ([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])


def _scales(found: Array, numeric: Estimated, owners: Array) -> Array:
    """What errors are relative to: the entry, or the largest of its row that belongs to the same variable.

    Rows that are zero but for rounding are compared with the whole Jacobian and with the values that were subtracted.
    """
    with np.errstate(invalid="ignore"):
        magnitude = np.nan_to_num(np.maximum(np.abs(found), np.abs(numeric.value)), nan=0.0, posinf=0.0)
    scale = np.zeros_like(magnitude)
    for k in np.unique(owners):
        block = magnitude[:, owners == k]
        largest = np.maximum(block.max(axis=1, initial=0.0), 1e-4 * block.max(initial=0.0))
        scale[:, owners == k] = largest[:, None]
    return np.asarray(np.maximum(scale, 3e-3 * numeric.size))

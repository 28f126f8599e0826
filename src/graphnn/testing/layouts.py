"""Memory layouts: the ways in which an array can lie in memory without changing what it holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphnn.ir.arrays import Array


def _contiguous(x: Array) -> Array:
    return np.array(x, order="C")


def _fortran(x: Array) -> Array:
    return np.array(x, order="F")


def _reversed(x: Array) -> Array:
    # Stored backwards along every axis, and read backwards again.
    backwards = tuple(slice(None, None, -1) for _ in x.shape)
    return np.array(x[backwards], order="C")[backwards]


def _every_second(x: Array) -> Array:
    roomy = np.zeros([2 * n for n in x.shape], x.dtype)
    view = roomy[tuple(slice(None, None, 2) for _ in x.shape)] if x.ndim else roomy
    view[...] = x
    return view


def _read_only(x: Array) -> Array:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def _big_endian(x: Array) -> Array:
    return x.astype(x.dtype.newbyteorder(">"))


def _repeated(x: Array) -> Array:
    # Stride 0: the first element (or line) again and again, so this one alone does change the values.
    return np.broadcast_to(x[:1], x.shape) if x.ndim else x


def _unaligned(x: Array) -> Array:
    room = np.zeros(x.nbytes + 1, np.uint8)
    view: Array = room[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C order": _contiguous,
    "Fortran order": _fortran,
    "reversed strides": _reversed,
    "every second element": _every_second,
    "read-only": _read_only,
    "big-endian": _big_endian,
    "stride 0": _repeated,
    "unaligned": _unaligned,
}
"""For each layout, a function that gives an array in it. All but ``"stride 0"`` keep the values."""


def in_layout(array: Array, layout: str) -> Array:
    """The array in one of the `LAYOUTS`; data types that have only one byte order stay as they are.

    >>> in_layout(np.arange(3.0), "every second element").strides
    (16,)
    """
    if layout == "big-endian" and array.dtype.kind not in "biuf":
        return array
    return LAYOUTS[layout](array)

"""Arrays that come from outside: checked against a spec, made contiguous, native and our own."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from graphnn.errors import DTypeError, GraphnnError, ShapeError
from graphnn.ir.dtype import DType, as_dtype
from graphnn.ir.spec import Spec, shape_text

Array: TypeAlias = np.ndarray[Any, Any]


_LINE = 64
"""Bytes of a line of the cache: a vector that begins elsewhere lies in two of them, and takes twice as long."""


def native(array: Array, *, copy: bool = False) -> Array:
    """The array, contiguous and in native byte order; itself where it is both and no copy is asked for.

    A copy begins where a line of the cache does.
    """
    dtype = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    made: Array
    if not copy or array.nbytes < _LINE or dtype.hasobject:
        made = np.array(array, dtype=dtype, order="C", copy=True if copy else None, subok=False)
    else:
        room = np.empty(array.nbytes + _LINE, np.uint8)
        start = -room.ctypes.data % _LINE
        made = room[start : start + array.nbytes].view(dtype).reshape(array.shape)
        made[...] = array
    return made


def is_plain(array: Array) -> bool:
    """Whether the array lies in memory as a new one would: contiguous, aligned, in native byte order, no subclass.

    NumPy takes other loops for other strides, also along axes of size 1, and these may differ in the last bit.
    """
    flags = array.flags
    if type(array) is not np.ndarray or not (flags.c_contiguous and flags.aligned and array.dtype.isnative):
        return False
    step = array.itemsize
    for size, stride in zip(array.shape[::-1], array.strides[::-1], strict=True):
        if stride != step and size:
            return False
        step *= size
    return True


def own_array(value: object, spec: Spec, what: str) -> Array:
    """An own copy of exactly this spec; Python numbers and lists take its data type.

    Raises
    ------
    DTypeError, ShapeError
        If the value has another data type or shape; `what` names it in the message.
    """
    array = to_array(value, spec.dtype)
    if as_dtype(array.dtype) is not spec.dtype:
        raise DTypeError(
            f"{what} must be {spec.dtype}, got {array.dtype.name}", f"Cast it: array.astype('{spec.dtype}')."
        )
    if array.shape != spec.shape:
        raise ShapeError(
            f"{what} must have the shape {shape_text(spec.shape)}, got {shape_text(array.shape)}",
            "Its shape was fixed when it was made.",
        )
    return native(array, copy=True)


def as_numpy(value: object) -> Array:
    """``numpy.asarray``, with a clear error for lists of lists whose lengths differ."""
    if isinstance(value, np.ndarray) and np.any(getattr(value, "mask", False)):
        raise DTypeError("a masked array would lose its mask", "Decide what stands in its place: array.filled(0).")
    try:
        return np.asarray(value)
    except GraphnnError:  # a node among them says by itself that it is no value
        raise
    except ValueError:
        raise ShapeError(
            "a list does not make an array: its rows have different lengths",
            "Give all rows the same length, or pad them.",
        ) from None


def to_array(value: object, dtype: DType) -> Array:
    """A NumPy array as it is; Python numbers and lists of them in `dtype`, where that keeps their kind and value."""
    array = as_numpy(value)
    if not isinstance(value, (np.ndarray, np.generic)) and _weakly_fits(array, dtype):
        return array.astype(dtype.numpy)
    return array


def _weakly_fits(array: Array, dtype: DType) -> bool:
    if array.size == 0:
        return True
    rank = {"b": 0, "i": 1, "u": 1, "f": 2}.get(array.dtype.kind, 9)
    wanted = {"bool": 0, "int": 1, "uint": 1, "float": 2}[dtype.kind]
    if rank > wanted or (rank == 0) != (wanted == 0):
        return False
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        return bool(array.min() >= limits.min and array.max() <= limits.max)
    return True

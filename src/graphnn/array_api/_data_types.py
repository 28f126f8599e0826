"""Data types: what they hold, how they combine, and casts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphnn.array_api._array import NO_COMPLEX, NUMBERS, Array, array_of, check_device, number, wrap
from graphnn.array_api._run import run
from graphnn.errors import DTypeError, GraphError, listing
from graphnn.ir.dtype import ALL, DType, as_dtype, bfloat16, promote, result_dtype
from graphnn.ir.node import Node
from graphnn.ops import bitwise

KINDS: dict[str, tuple[DType, ...]] = {
    "bool": tuple(dtype for dtype in ALL if dtype.kind == "bool"),
    "signed integer": tuple(dtype for dtype in ALL if dtype.kind == "int"),
    "unsigned integer": tuple(dtype for dtype in ALL if dtype.kind == "uint"),
    "integral": tuple(dtype for dtype in ALL if dtype.is_integer),
    "real floating": tuple(dtype for dtype in ALL if dtype.is_floating),
    "complex floating": (),
    "numeric": tuple(dtype for dtype in ALL if dtype.is_numeric),
}


class finfo_object(NamedTuple):
    """The limits of a floating-point data type."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class iinfo_object(NamedTuple):
    """The limits of an integer data type."""

    bits: int
    max: int
    min: int
    dtype: DType


def dtype_named(dtype: Any) -> DType:
    """A data type of ours, with a word about those of the standard that there are not."""
    try:
        return as_dtype(dtype)
    except DTypeError as error:
        if "complex" in error.headline:
            raise DTypeError(error.headline, NO_COMPLEX) from None
        raise


def _dtype_of(value: Any) -> DType:
    return value.dtype if isinstance(value, Array) else dtype_named(value)


def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    """x in another data type, always as a new array unless ``copy=False`` and it has it already.

    See `graphnn.astype`.
    """
    check_device(device)
    array, wanted = array_of("astype", x), dtype_named(dtype)
    if not copy and x.dtype is wanted:
        return x
    return wrap(run(_cast, [array], dtype=wanted)[0])


def _cast(x: Node, *, dtype: DType) -> Node:
    return bitwise.astype(x, dtype)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether every number of the first data type, or array, can become one of the second by promotion.

    >>> gn.array_api.can_cast(gn.int8, gn.int16), gn.array_api.can_cast(gn.float64, gn.float32)
    (True, False)
    """
    wanted = dtype_named(to)
    return promote(_dtype_of(from_), wanted) is wanted


def finfo(type: Any, /) -> finfo_object:
    """The limits of a floating-point data type, or of that of an array.

    >>> gn.array_api.finfo(gn.float32).eps
    1.1920928955078125e-07
    """
    dtype = _dtype_of(type)
    if not dtype.is_floating:
        raise DTypeError(f"finfo is about floating-point types, not {dtype}", "For integers there is iinfo.")
    if dtype is bfloat16:
        import ml_dtypes

        limits: Any = ml_dtypes.finfo
    else:
        limits = np.finfo
    found = limits(dtype.numpy)
    eps, most, least, normal = map(float, (found.eps, found.max, found.min, found.smallest_normal))
    return finfo_object(dtype.bits, eps, most, least, normal, dtype)


def iinfo(type: Any, /) -> iinfo_object:
    """The limits of an integer data type, or of that of an array.

    >>> gn.array_api.iinfo(gn.uint8).max
    255
    """
    dtype = _dtype_of(type)
    if not dtype.is_integer:
        raise DTypeError(f"iinfo is about integer types, not {dtype}", "For floating-point types there is finfo.")
    found = np.iinfo(dtype.numpy)
    return iinfo_object(dtype.bits, int(found.max), int(found.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a data type is another one, or of a kind such as ``"integral"``, or one of a tuple of these.

    >>> gn.array_api.isdtype(gn.int8, ("bool", "integral"))
    True
    """
    wanted = dtype_named(dtype)
    for single in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(single, str):
            if single not in KINDS:
                raise GraphError(f"isdtype: there is no kind {single!r}", f"There is {listing(KINDS)}.")
            if wanted in KINDS[single]:
                return True
        elif wanted is dtype_named(single):
            return True
    return False


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The data type that operands of these data types have together; Python numbers take that of the others.

    >>> gn.array_api.result_type(gn.int8, gn.uint8, 5)
    int16
    """
    numbers = [value for value in arrays_and_dtypes if isinstance(value, NUMBERS)]
    dtypes = [_dtype_of(v) for v in arrays_and_dtypes if not isinstance(v, NUMBERS)]
    if not dtypes:
        raise DTypeError("result_type: one operand must be an array or a data type")
    out = result_dtype("result_type", *dtypes)
    for value in numbers:
        number("result_type", value, out)
    return out

"""New arrays: of values, of one number, ranges, and parts of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.array_api._array import (
    NO_COMPLEX,
    Array,
    apply,
    apply_many,
    array_of,
    check_device,
    from_numpy,
    number,
    plain_number,
    whole,
    wholes,
    wrap,
)
from graphnn.array_api._data_types import astype, dtype_named, result_type
from graphnn.array_api._manipulation import reshape
from graphnn.array_api._run import run, run_once
from graphnn.errors import DTypeError, GraphnnError, NodeUseError
from graphnn.functions import creation, indexing, manipulation
from graphnn.ir.arrays import as_numpy
from graphnn.ir.dtype import DEFAULT_FLOAT, DEFAULT_INT, DType, bool_
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node
from graphnn.ops.movement import broadcast_to


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
    """An array of an array, a number, nested lists of numbers, or anything that shares its memory.

    Numbers and lists become bool, int64 or float32 unless told; arrays keep their data type. Memory is shared where
    it can be, unless ``copy=True``; with ``copy=False`` it is an error where it cannot.

    >>> gn.array_api.asarray([1, 2])
    Array([1, 2], dtype=int64)
    """
    check_device(device)
    wanted = None if dtype is None else dtype_named(dtype)
    if isinstance(obj, Array):
        shared = obj
    elif isinstance(obj, Node):
        raise NodeUseError("asarray: a node has no value while the graph is built", "Compute it: gn.evaluate(node).")
    elif isinstance(obj, (bool, int, float, complex, list, tuple, range)) and not isinstance(obj, np.generic):
        if copy is False:
            raise NodeUseError("asarray: numbers and lists have no memory to share", "Leave out copy=False.")
        return _of_numbers(obj, wanted)
    else:
        given = np.from_dlpack(obj) if _only_dlpack(obj) else as_numpy(obj)
        _check_real(given)
        shared = from_numpy(given, copy=copy)
    if wanted is not None and shared.dtype is not wanted:
        if copy is False:
            raise NodeUseError(
                f"asarray: {shared.dtype} cannot become {wanted} without a copy", "Leave out copy=False."
            )
        return astype(shared, wanted)
    return astype(shared, shared.dtype) if copy and shared is obj else shared


def _only_dlpack(obj: Any) -> bool:
    return hasattr(obj, "__dlpack__") and not hasattr(obj, "__array__")


def _check_real(array: np.ndarray[Any, Any]) -> None:
    if array.dtype.kind == "c":
        raise DTypeError("asarray: graphnn has no complex numbers", NO_COMPLEX)


def _of_numbers(obj: Any, dtype: DType | None) -> Array:
    inner = list(_arrays_in(obj))
    if dtype is None and inner:
        dtype = result_type(*inner)
    elif not inner:
        _check_real(as_numpy(obj))
    try:
        made: Any = constant(obj, dtype)
    except GraphnnError as error:
        raise type(error)(error.headline.replace("constant:", "asarray:"), *error.hints) from None
    return wrap(made.op.payload.array.copy())


def _arrays_in(obj: Any) -> Any:
    if isinstance(obj, Array):
        yield obj
    elif isinstance(obj, (list, tuple)):
        for item in obj:
            yield from _arrays_in(item)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """An array of another library, without a copy of its memory where it lies in order and on the CPU."""
    check_device(device)
    return from_numpy(np.from_dlpack(x), copy=copy)


def _filled(shape: Any, value: Any, dtype: DType) -> Array:
    sizes = wholes("shape", shape)
    sizes = sizes if isinstance(sizes, tuple) else (sizes,)
    if isinstance(value, Array):  # beyond the standard, but some code gives an array without axes
        one = astype(reshape(value, ()), dtype)._array
    else:
        one = number("full", value, dtype)
    return wrap(run(broadcast_to, [one], shape=sizes)[0])


def _default_of(value: Any) -> DType:
    if isinstance(value, Array):
        return value.dtype
    plain = plain_number(value)
    return bool_ if isinstance(plain, bool) else DEFAULT_INT if isinstance(plain, int) else DEFAULT_FLOAT


def full(
    shape: int | tuple[int, ...], fill_value: bool | int | float, *, dtype: Any = None, device: Any = None
) -> Array:
    """An array of one number; its data type follows from the number unless told.

    See `graphnn.full`.
    """
    check_device(device)
    return _filled(shape, fill_value, _default_of(fill_value) if dtype is None else dtype_named(dtype))


def full_like(x: Array, /, fill_value: bool | int | float, *, dtype: Any = None, device: Any = None) -> Array:
    """One number in the shape and data type of x."""
    check_device(device)
    array_of("full_like", x)
    return _filled(x.shape, fill_value, x.dtype if dtype is None else dtype_named(dtype))


def zeros(shape: int | tuple[int, ...], *, dtype: Any = None, device: Any = None) -> Array:
    """An array of zeros; float32 unless told."""
    return _constants(shape, 0, dtype, device)


def ones(shape: int | tuple[int, ...], *, dtype: Any = None, device: Any = None) -> Array:
    """An array of ones; float32 unless told."""
    return _constants(shape, 1, dtype, device)


def empty(shape: int | tuple[int, ...], *, dtype: Any = None, device: Any = None) -> Array:
    """An array whose values do not matter: zeros."""
    return _constants(shape, 0, dtype, device)


def _constants(shape: Any, value: int, dtype: Any, device: Any) -> Array:
    check_device(device)
    wanted = DEFAULT_FLOAT if dtype is None else dtype_named(dtype)
    return _filled(shape, bool(value) if wanted is bool_ else value, wanted)


def zeros_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Zeros in the shape and data type of x."""
    array_of("zeros_like", x)
    return _constants(x.shape, 0, x.dtype if dtype is None else dtype, device)


def ones_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Ones in the shape and data type of x."""
    array_of("ones_like", x)
    return _constants(x.shape, 1, x.dtype if dtype is None else dtype, device)


def empty_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """An array of the shape and data type of x whose values do not matter: zeros."""
    array_of("empty_like", x)
    return _constants(x.shape, 0, x.dtype if dtype is None else dtype, device)


def arange(
    start: int | float,
    /,
    stop: int | float | None = None,
    step: int | float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
) -> Array:
    """The numbers start, start + step, ... up to but without stop; from 0 where only one number is given.

    See `graphnn.arange`.
    """
    check_device(device)
    bounds = {"start": start, "stop": stop, "step": step}
    return wrap(run_once(_arange, [], **bounds, dtype=None if dtype is None else dtype_named(dtype))[0])


def _arange(*, start: Any, stop: Any, step: Any, dtype: Any) -> Node:
    return creation.arange(start, stop, step, dtype=dtype)


def linspace(
    start: int | float,
    stop: int | float,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: bool = True,
) -> Array:
    """`num` equally spaced numbers from start to stop, which is the last of them unless ``endpoint=False``.

    See `graphnn.linspace`.
    """
    check_device(device)
    wanted = DEFAULT_FLOAT if dtype is None else dtype_named(dtype)
    count = whole("linspace", num)
    return wrap(run_once(_linspace, [], start=start, stop=stop, num=count, endpoint=endpoint, dtype=wanted)[0])


def _linspace(*, start: Any, stop: Any, num: int, endpoint: bool, dtype: DType) -> Node:
    return creation.linspace(start, stop, num, endpoint=endpoint, dtype=dtype)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Array:
    """A matrix with ones on the k-th diagonal and zeros elsewhere.

    See `graphnn.eye`.
    """
    check_device(device)
    wanted = DEFAULT_FLOAT if dtype is None else dtype_named(dtype)
    rows, columns = whole("eye", n_rows), None if n_cols is None else whole("eye", n_cols)
    return wrap(run(_eye, [], rows=rows, columns=columns, k=whole("eye", k), dtype=wanted)[0])


def _eye(*, rows: int, columns: int | None, k: int, dtype: DType) -> Node:
    return creation.eye(rows, columns, k=k, dtype=dtype)


def meshgrid(*arrays: Array, indexing: str = "xy") -> list[Array]:
    """Coordinates of a grid from those along its axes.

    See `graphnn.meshgrid`.
    """
    return apply_many(manipulation.meshgrid, *arrays, indexing=indexing) if arrays else []


def tril(x: Array, /, *, k: int = 0) -> Array:
    """The lower triangle of matrices, zeros elsewhere: elements with ``column <= row + k``."""
    return apply(indexing.tril, x, k=whole("tril", k))


def triu(x: Array, /, *, k: int = 0) -> Array:
    """The upper triangle of matrices, zeros elsewhere: elements with ``column >= row + k``."""
    return apply(indexing.triu, x, k=whole("triu", k))

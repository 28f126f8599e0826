"""New arrays: zeros, ones, ranges, unit matrices. Shapes may hold named sizes."""

from __future__ import annotations

import math
from typing import Any

from graphnn.errors import DTypeError, ShapeError
from graphnn.ir.dims import Size, as_size
from graphnn.ir.dtype import DEFAULT_FLOAT, DEFAULT_INT, DType, as_dtype, float64, int64, uint64
from graphnn.ir.leaves import DimSize, Iota, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import as_shape, normalize_axis
from graphnn.ops.bitwise import astype
from graphnn.ops.movement import broadcast_to, expand_dims
from graphnn.ops.operands import Operand, as_node


def full(shape: Any, fill_value: bool | int | float, *, dtype: Any = None) -> Node:
    """An array of one number; int64 or float32 unless told, by the kind of the number.

    >>> gn.evaluate(gn.full((2,), 7))
    array([7, 7])
    """
    return broadcast_to(
        constant(fill_value, as_dtype(dtype if dtype is not None else type(fill_value))), as_shape(shape)
    )


def zeros(shape: Any, *, dtype: Any = DEFAULT_FLOAT) -> Node:
    """An array of zeros.

    >>> gn.evaluate(gn.zeros((2,)))
    array([0., 0.], dtype=float32)
    """
    return full(shape, 0, dtype=dtype)


def ones(shape: Any, *, dtype: Any = DEFAULT_FLOAT) -> Node:
    """An array of ones.

    >>> gn.evaluate(gn.ones((2,)))
    array([1., 1.], dtype=float32)
    """
    return full(shape, 1, dtype=dtype)


def zeros_like(x: Operand, /, *, dtype: Any = None) -> Node:
    """Zeros of the shape and data type of x.

    >>> gn.evaluate(gn.zeros_like([1.0, 2.0]))
    array([0., 0.], dtype=float32)
    """
    node = as_node(x)
    return full(node.shape, 0, dtype=dtype if dtype is not None else node.dtype)


def ones_like(x: Operand, /, *, dtype: Any = None) -> Node:
    """Ones of the shape and data type of x.

    >>> gn.evaluate(gn.ones_like([1.0, 2.0]))
    array([1., 1.], dtype=float32)
    """
    node = as_node(x)
    return full(node.shape, 1, dtype=dtype if dtype is not None else node.dtype)


def full_like(x: Operand, /, fill_value: bool | int | float, *, dtype: Any = None) -> Node:
    """One number in the shape and data type of x.

    >>> gn.evaluate(gn.full_like([1.0, 2.0], 3.0))
    array([3., 3.], dtype=float32)
    """
    node = as_node(x)
    return full(node.shape, fill_value, dtype=dtype if dtype is not None else node.dtype)


def arange(start: Any, /, stop: Any = None, step: int | float = 1, *, dtype: Any = None) -> Node:
    """The numbers start, start + step, ... up to but without stop; from 0 where only one number is given.

    int64 unless told, or float32 where one of the numbers is a float. A stop may be a named size.

    >>> gn.evaluate(gn.arange(2, 8, 3)), gn.evaluate(gn.arange(0.0, 1.0, 0.25))
    (array([2, 5]), array([0.  , 0.25, 0.5 , 0.75], dtype=float32))
    """
    first, last = (0, start) if stop is None else (start, stop)
    numbers = (first, last, step)
    if any(isinstance(number, float) for number in numbers):
        return _float_range(numbers, as_dtype(DEFAULT_FLOAT if dtype is None else dtype))
    wanted = as_dtype(DEFAULT_INT if dtype is None else dtype)
    if not isinstance(first, int) or not isinstance(step, int) or step == 0:
        raise ShapeError("arange takes numbers: a start, and a step that is not 0", "See gn.linspace.")
    if isinstance(last, int):
        count: Size = len(range(first, last, step))
    else:
        count = as_size(last) - first
        if step != 1:
            raise ShapeError(f"arange up to the named size {last} has the step 1 only")
    if first == 0 and step == 1:
        return Iota(count, wanted)()
    # The numbers are made in a type that holds them all, and cast last: halfway, int8 would have overflown.
    exact = wanted if wanted in (int64, uint64) else int64
    if not all(-(2**63) <= number < 2**63 for number in (first, step)):
        exact = uint64 if first >= 0 and isinstance(last, int) and last >= 0 else float64
    steps = Iota(count, exact)() * abs(step)
    return astype(as_node(first, exact) + steps if step > 0 else as_node(first, exact) - steps, wanted)


def _float_range(numbers: tuple[Any, ...], dtype: DType) -> Node:
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers) or numbers[2] == 0:
        raise ShapeError(f"arange takes finite numbers, and a step that is not 0, not {numbers}", "See gn.linspace.")
    first, last, step = numbers
    count = max(math.ceil((last - first) / step), 0)
    return astype(Iota(count, float64)() * float(step) + float(first), dtype)


def linspace(start: float, stop: float, /, num: int, *, endpoint: bool = True, dtype: Any = DEFAULT_FLOAT) -> Node:
    """`num` equally spaced numbers from start to stop, which is the last of them unless ``endpoint=False``.

    >>> gn.evaluate(gn.linspace(0.0, 1.0, 3))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    import numpy as np

    if not isinstance(num, int) or num < 0:
        raise ShapeError(f"linspace: the number of points is an int from 0, not {num!r}")
    return constant(np.linspace(start, stop, num, endpoint=endpoint), dtype)


def eye(n_rows: Any, n_cols: Any = None, /, *, k: int = 0, dtype: Any = DEFAULT_FLOAT) -> Node:
    """A matrix with ones on the k-th diagonal and zeros elsewhere.

    >>> gn.evaluate(gn.eye(2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    rows = Iota(as_size(n_rows), DEFAULT_INT)()
    columns = Iota(as_size(n_rows if n_cols is None else n_cols), DEFAULT_INT)()
    return astype(expand_dims(rows, axis=1) + offset_of(k) == columns, dtype)


def offset_of(k: int) -> int:
    """The number of a diagonal, brought into a range that int64 can compute with: beyond it there is no matrix."""
    return min(max(k, -(2**62)), 2**62)


def dim_size(x: Operand, /, axis: int, *, dtype: Any = DEFAULT_INT) -> Node:
    """The size of an axis as a scalar of the graph, also where it is a named size that the call binds.

    >>> x = gn.placeholder("x", ("batch", 3))
    >>> f = gn.function([x], gn.dim_size(x, 0))
    >>> int(f(np.zeros((5, 3), "float32")))
    5
    """
    node = as_node(x)
    return size_node(node.shape[normalize_axis("dim_size", axis, node.ndim)], as_dtype(dtype))


def size_node(size: Size, dtype: DType) -> Node:
    """A size as a scalar node: a constant where it is a number, else a leaf that the call binds."""
    return constant(size, dtype) if isinstance(size, int) else DimSize(size, dtype)()


def one_hot(x: Operand, /, num_classes: Size, *, dtype: Any = DEFAULT_FLOAT) -> Node:
    """Each integer as a row of zeros with a one in its place; ``[...] -> [..., num_classes]``.

    A number outside 0 ... num_classes - 1 gives a row of zeros.

    >>> gn.evaluate(gn.one_hot([2, 0], 3))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    node = as_node(x)
    if not node.dtype.is_integer:
        error = DTypeError(f"one_hot takes integers, not {node.dtype}", "Cast them: labels.astype('int64').")
        raise explain(error, (node,))
    if node.dtype.bits < 64:  # all class numbers must fit, or 300 classes would meet uint8 twice
        node = astype(node, DEFAULT_INT)
    classes = Iota(as_size(num_classes), node.dtype)()
    return astype(expand_dims(node, axis=node.ndim) == classes, dtype)

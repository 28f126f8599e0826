"""The extension ``linalg`` of the standard: decompositions, inverses, norms. The last two axes are those of a matrix.

Not there yet: eigh, eigvalsh, qr, svd, svdvals, and the matrix norms of order 2, -2 and "nuc", which are made of
singular values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphnn.array_api._array import Array, apply, apply_many, array_of, whole, wholes
from graphnn.array_api._data_types import dtype_named
from graphnn.array_api._linear_algebra import matmul, matrix_transpose, tensordot, vecdot
from graphnn.array_api._manipulation import reshape, stack
from graphnn.errors import ShapeError
from graphnn.functions import indexing, linear_algebra, statistics
from graphnn.ir.node import Node
from graphnn.ops import linalg as ops

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "slogdet",
    "solve",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class slogdet_result(NamedTuple):
    """The sign of a determinant, and the logarithm of its magnitude."""

    sign: Array
    logabsdet: Array


def cholesky(x: Array, /, *, upper: bool = False) -> Array:
    """The Cholesky factor of positive definite matrices.

    See `graphnn.cholesky`.
    """
    return apply(ops.cholesky, x, upper=bool(upper))


def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """The vector product of vectors of three elements along an axis.

    See `graphnn.cross`.
    """
    array_of("cross", x1), array_of("cross", x2)
    return apply(linear_algebra.cross, x1, x2, axis=whole("cross", axis))


def det(x: Array, /) -> Array:
    """The determinant of square matrices.

    See `graphnn.det`.
    """
    return apply(ops.det, x)


def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """The diagonal of matrices, or the one `offset` places right of it.

    See `graphnn.diagonal`.
    """
    return apply(indexing.diagonal, x, offset=whole("diagonal", offset))


def inv(x: Array, /) -> Array:
    """The inverse of square matrices.

    See `graphnn.inv`.
    """
    return apply(linear_algebra.inv, x)


def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: float | str = "fro") -> Array:
    """A norm of matrices: ``"fro"``, the sums of magnitudes of columns (1, -1) or rows (inf, -inf).

    See `graphnn.matrix_norm`.
    """
    return apply(linear_algebra.matrix_norm, x, keepdims=bool(keepdims), ord=ord)


def matrix_power(x: Array, n: int, /) -> Array:
    """The product of n matrices x; of inverses for n < 0.

    See `graphnn.matrix_power`.
    """
    return apply(_power, x, n=whole("matrix_power", n))


def _power(x: Node, *, n: int) -> Node:
    return linear_algebra.matrix_power(x, n)


def matrix_rank(x: Array, /, *, rtol: float | Array | None = None) -> Array:
    """How many singular values are larger than `rtol` times the largest one.

    See `graphnn.matrix_rank`.
    """
    return _with_tolerance(linear_algebra.matrix_rank, x, rtol)


def outer(x1: Array, x2: Array, /) -> Array:
    """All products of an element of one vector with one of another.

    See `graphnn.outer`.
    """
    array_of("outer", x1), array_of("outer", x2)
    return apply(linear_algebra.outer, x1, x2)


def pinv(x: Array, /, *, rtol: float | Array | None = None) -> Array:
    """The pseudo-inverse; singular values up to `rtol` times the largest one count as zero.

    See `graphnn.pinv`.
    """
    return _with_tolerance(ops.pinv, x, rtol)


def _with_tolerance(function: Any, x: Array, rtol: float | Array | None) -> Array:
    if not isinstance(rtol, Array):
        return apply(function, x, rtol=None if rtol is None else float(rtol))
    if rtol.ndim == 0:
        return apply(function, x, rtol=float(rtol))
    # A tolerance for each matrix of a stack: one after the other.
    batch = x.shape[:-2]
    if rtol.shape != batch:
        raise ShapeError(f"{function.__name__}: {rtol.shape} tolerances for a stack of the shape {batch}")
    if 0 in batch:
        return apply(function, x, rtol=None)
    matrices, tolerances = reshape(x, (-1, *x.shape[-2:])), reshape(rtol, (-1,))
    made = [apply(function, matrices[i, ...], rtol=float(tolerances[i])) for i in range(tolerances.size)]
    return reshape(stack(made), (*batch, *made[0].shape))


def slogdet(x: Array, /) -> slogdet_result:
    """The sign of the determinant and the logarithm of its magnitude.

    See `graphnn.slogdet`.
    """
    return slogdet_result(*apply_many(ops.slogdet, x))


def solve(x1: Array, x2: Array, /) -> Array:
    """The solution x of ``x1 x = x2``; one axis makes x2 a vector.

    See `graphnn.solve`.
    """
    array_of("solve", x1), array_of("solve", x2)
    return apply(ops.solve, x1, x2)


def trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sum of the diagonal of matrices, or of the one `offset` places right of it.

    See `graphnn.matrix_trace`.
    """
    wanted = None if dtype is None else dtype_named(dtype)
    return apply(linear_algebra.matrix_trace, x, offset=whole("trace", offset), dtype=wanted)


def vector_norm(
    x: Array, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ord: float = 2
) -> Array:
    """A p-norm over the given axes, or over all.

    See `graphnn.vector_norm`.
    """
    places = wholes("vector_norm", axis)
    return apply(statistics.vector_norm, x, axis=places, keepdims=bool(keepdims), ord=float(ord))

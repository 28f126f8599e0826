"""The extension ``linalg`` of the standard: decompositions, inverses, norms. The last two axes are those of a matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphnn.array_api._array import Array, apply, apply_many, array_of, whole, wholes
from graphnn.array_api._data_types import dtype_named
from graphnn.array_api._linear_algebra import matmul, matrix_transpose, tensordot, vecdot
from graphnn.array_api._manipulation import broadcast_to, reshape, stack
from graphnn.errors import ShapeError
from graphnn.functions import indexing, linear_algebra, statistics
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops import decompositions, spectral
from graphnn.ops import linalg as ops
from graphnn.ops.bitwise import astype

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class eigh_result(NamedTuple):
    """The eigenvalues and eigenvectors of symmetric matrices."""

    eigenvalues: Array
    eigenvectors: Array


class qr_result(NamedTuple):
    """The factors of ``x = Q R``."""

    Q: Array
    R: Array


class svd_result(NamedTuple):
    """The factors of ``x = U diag(S) Vh``."""

    U: Array
    S: Array
    Vh: Array


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


def eigh(x: Array, /) -> eigh_result:
    """The eigenvalues, in ascending order, and the eigenvectors of symmetric matrices.

    See `graphnn.eigh`.
    """
    return eigh_result(*apply_many(spectral.eigh, x))


def eigvalsh(x: Array, /) -> Array:
    """The eigenvalues of symmetric matrices in ascending order.

    See `graphnn.eigvalsh`.
    """
    return apply(spectral.eigvalsh, x)


def inv(x: Array, /) -> Array:
    """The inverse of square matrices.

    See `graphnn.inv`.
    """
    return apply(linear_algebra.inv, x)


def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: float | str = "fro") -> Array:
    """A norm of matrices: ``"fro"``, sums of magnitudes of columns (1, -1) or rows (inf, -inf), singular values (2, -2, "nuc").

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
    if isinstance(rtol, Array):
        return apply(_rank, x, rtol)
    return apply(linear_algebra.matrix_rank, x, rtol=None if rtol is None else float(rtol))


def _rank(x: Node, rtol: Node) -> Node:
    return linear_algebra.matrix_rank(x, rtol=astype(rtol, x.dtype))


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
    if not isinstance(rtol, Array):
        return apply(ops.pinv, x, rtol=None if rtol is None else float(rtol))
    batch = x.shape[:-2]
    if rtol.shape not in ((), batch):
        raise ShapeError(f"pinv: {shape_text(rtol.shape)} tolerances for matrices {shape_text(x.shape)}")
    if 0 in batch:
        return apply(ops.pinv, x, rtol=None)
    # A tolerance for each matrix of a stack: one after the other.
    matrices = reshape(x, (-1, *x.shape[-2:]))
    tolerances = reshape(broadcast_to(rtol, batch), (-1,))
    made = [
        apply(ops.pinv, matrix, rtol=float(tolerance)) for matrix, tolerance in zip(matrices, tolerances, strict=True)
    ]
    return reshape(stack(made), (*batch, *made[0].shape))


def qr(x: Array, /, *, mode: str = "reduced") -> qr_result:
    """The factors of ``x = Q R``: Q with orthonormal columns, R upper triangular with a diagonal that is not negative.

    See `graphnn.qr`.
    """
    return qr_result(*apply_many(decompositions.qr, x, mode=mode))


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


def svd(x: Array, /, *, full_matrices: bool = True) -> svd_result:
    """The singular values, in descending order, and the singular vectors of ``x = U diag(S) Vh``.

    See `graphnn.svd`.
    """
    return svd_result(*apply_many(spectral.svd, x, full_matrices=bool(full_matrices)))


def svdvals(x: Array, /) -> Array:
    """The singular values in descending order.

    See `graphnn.svdvals`.
    """
    return apply(spectral.svdvals, x)


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

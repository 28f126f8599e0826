"""Kernels of linear algebra: LAPACK, by NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import float64
from graphnn.ir.node import Node
from graphnn.ops.linalg import Cholesky, Cofactor, Det, DetSign, Logabsdet, Pinv, Solve, TriangularSolve

# LAPACK has single and double precision only; 16-bit floats go through float32.


@lower.register
def _(op: Solve, node: Node) -> Kernel:
    return in_float32(_naming_the_matrix(np.linalg.solve, np.linalg.inv), node, also_float16=True)


def _naming_the_matrix(kernel: Kernel, alone: Kernel) -> Kernel:
    """The kernel, but when it fails on a stack of matrices, the error tells which is the first that `alone` fails on."""

    def named(x: Any, *others: Any) -> Any:
        try:
            return kernel(x, *others)
        except np.linalg.LinAlgError as error:
            for place in np.ndindex(x.shape[:-2]):
                try:
                    alone(x[place])
                except np.linalg.LinAlgError:
                    where = f", the one at {list(place)}" if place else ""
                    raise np.linalg.LinAlgError(f"{error}{where}") from None
            raise

    return named


@lower.register
def _(op: TriangularSolve, node: Node) -> Kernel:
    from scipy.linalg import get_blas_funcs

    # In the memory of a C array, BLAS sees the transpose: x' a' = b' is solved there, nothing is copied, and every
    # layout gives the same bits.
    dtype = np.dtype(np.float64 if node.dtype is float64 else np.float32)
    (trsm,) = get_blas_funcs(("trsm",), dtype=dtype)
    options = {"side": 1, "lower": not op.lower, "trans_a": int(op.transposed), "diag": int(op.unit_diagonal)}

    def kernel(a: Any, b: Any) -> Array:
        a, b = np.asarray(a, dtype, order="C"), np.asarray(b, dtype, order="C")
        batch: tuple[int, ...] = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        out = np.empty((*batch, *b.shape[-2:]), dtype)
        zeros: Any = () if op.unit_diagonal else np.argwhere(np.diagonal(a, axis1=-2, axis2=-1) == 0)
        if len(zeros):
            *batch_place, row = map(int, zeros[0])
            of = f" of the matrix at {batch_place}" if batch_place else ""
            raise np.linalg.LinAlgError(f"Singular matrix: element {row} of the diagonal{of} is 0")
        if out.size == 0:
            return out
        a, b = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(b, out.shape)
        for place in np.ndindex(batch):
            left: Any = a[place]
            out[place] = trsm(1.0, left.T, b[place].T, **options).T
        return out

    return in_float32(kernel, node, also_float16=True)


@lower.register
def _(op: Cholesky, node: Node) -> Kernel:
    def kernel(x: Any) -> Any:
        return np.linalg.cholesky(0.5 * (x + np.swapaxes(x, -1, -2)))

    return in_float32(_naming_the_matrix(kernel, kernel), node, also_float16=True)


@lower.register
def _(op: Det, node: Node) -> Kernel:
    return in_float32(np.linalg.det, node, also_float16=True)


@lower.register
def _(op: Logabsdet, node: Node) -> Kernel:
    return in_float32(lambda x: np.linalg.slogdet(x)[1], node, also_float16=True)


@lower.register
def _(op: DetSign, node: Node) -> Kernel:
    return in_float32(lambda x: np.linalg.slogdet(x)[0], node, also_float16=True)


@lower.register
def _(op: Cofactor, node: Node) -> Kernel:
    def cofactors(x: Array) -> Any:
        u, s, v = np.linalg.svd(x)
        ones = np.ones((*s.shape[:-1], 1), s.dtype)
        before = np.cumprod(np.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
        after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
        sign = np.sign(np.linalg.det(u) * np.linalg.det(v))  # both determinants are 1 or -1 but for rounding
        return np.matmul(u * (sign[..., None] * before * after)[..., None, :], v)

    return in_float32(_of_finite(cofactors), node, also_float16=True)


@lower.register
def _(op: Pinv, node: Node) -> Kernel:
    def pseudo_inverse(x: Array) -> Any:
        rtol = max(x.shape[-2:]) * float(np.finfo(x.dtype).eps) if op.rtol is None else op.rtol
        return np.linalg.pinv(x, rtol=rtol)

    return in_float32(_of_finite(pseudo_inverse), node, also_float16=True)


def _of_finite(kernel: Kernel) -> Kernel:
    """The kernel, with NaN for every matrix that is not finite: there the singular values would not converge."""

    def checked(x: Any) -> Any:
        finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
        if finite.all():
            return kernel(x)
        return np.where(finite, kernel(np.where(finite, x, 0)), np.asarray(np.nan, x.dtype))

    return checked

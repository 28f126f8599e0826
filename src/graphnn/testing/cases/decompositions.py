"""Cases of `graphnn.ops.decompositions` and `graphnn.ops.spectral`, and of what is built on them.

LAPACK leaves the signs of singular vectors and eigenvectors open, and another precision may give others. So each vector is
multiplied by the sign of its element on the diagonal, in the graph and in the reference; the domains keep that away from 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from graphnn.functions import linear_algebra as functions
from graphnn.functions.creation import eye
from graphnn.ir.arrays import Array
from graphnn.ir.node import Node
from graphnn.ops import decompositions as ops
from graphnn.ops import spectral
from graphnn.ops.comparison import where
from graphnn.ops.contraction import matmul
from graphnn.ops.movement import matrix_transpose
from graphnn.ops.reduction import sum
from graphnn.ops.trigonometric import sin
from graphnn.testing.case import OpCase
from graphnn.testing.domains import REAL, Domain, away_from


def _spread(u: Array) -> Array:
    # LAPACK counts tiny elements beside the diagonal as zeros, so finite differences need larger ones.
    return 0.15 * away_from(0.0).map(u) + np.eye(*u.shape[-2:]) * (12.0 - 3.0 * np.arange(u.shape[-1]))


# For up to three rows or columns the singular values are about 12, 9 and 6, and the vectors those of the axes.
SPREAD = Domain("singular values far apart", _spread)
ASCENDING = Domain("eigenvalues far apart", lambda u: np.flip(_spread(u), (-2, -1)))
INDEPENDENT = Domain("columns far from dependent", lambda u: 0.1 * away_from(0.0).map(u) + 1.5 * np.eye(*u.shape[-2:]))
# The largest element of each column is not on the diagonal, so the rows change places.
MOVED = Domain("rows in another order", lambda u: np.flip(_spread(u), -2))

_NO_AXES = "it needs matrices"
_SQUARE = ((3, 3), (1, 1), (0, 0), (2, 2, 2), (0, 2, 2))
_ANY = ((3, 3), (2, 3), (3, 2), (1, 3), (0, 2), (2, 0), (2, 3, 2))


def _case(name: str, build: Any, reference: Any, shapes: Any = _ANY, domain: Any = SPREAD, **options: Any) -> OpCase:
    return OpCase(build, reference, shapes, domain, name=name, no_scalar=_NO_AXES, **options)


def _signed(v: Node) -> Node:
    """Each column with a positive element on the diagonal."""
    return where(sum(v * eye(*v.shape[-2:], dtype=v.dtype), axis=-2, keepdims=True) < 0, -v, v)


def _signed_array(v: Array) -> Array:
    return np.where(np.sum(v * np.eye(*v.shape[-2:]), axis=-2, keepdims=True) < 0, -v, v)


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _qr(x: Array) -> tuple[Array, Array]:
    """The factors of which R has a positive diagonal."""
    q, r = np.linalg.qr(x)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return q * signs[..., None, :], r * signs[..., :, None]


def _factors(x: Array) -> tuple[Array, Array, Array]:
    """The permutation and the factors, of one matrix after the other."""
    m, n = x.shape[-2:]
    k = min(m, n)
    shapes = ((m,), (m, k), (k, n))
    made: Any = [
        np.zeros((*x.shape[:-2], *shape), t) for shape, t in zip(shapes, (np.int64, float, float), strict=True)
    ]
    for place in np.ndindex(x.shape[:-2]):
        # With p = matrix @ (0, 1, ...): x[p[i]] is row i of the product, by the matrix of a permutation.
        matrix, left, right = scipy.linalg.lu(x[place]) if k else (np.eye(m), np.zeros((m, k)), np.zeros((k, n)))
        for part, value in zip(made, (matrix.T @ np.arange(m), left, right), strict=True):
            part[place] = value
    return made[0], made[1], made[2]


CASES = (
    _case("qr", lambda x: ops.qr(x).R, lambda x: _qr(x)[1], domain=INDEPENDENT),
    _case("qr[Q]", lambda x: ops.qr(x).Q, lambda x: _qr(x)[0], ((3, 2), (3, 1), (0, 2), (2, 3, 2)), INDEPENDENT),
    _case(  # of a matrix that is not tall, Q does not depend on the last columns
        "qr[both]",
        lambda x: matmul(sin(ops.qr(x).Q), ops.qr(x).R),
        lambda x: np.sin(_qr(x)[0]) @ _qr(x)[1],
        ((3, 3), (2, 3), (2, 0), (2, 2, 2)),
        INDEPENDENT,
    ),
    _case(
        "qr[complete]",
        lambda x: ops.qr(x, mode="complete").R,
        lambda x: np.concatenate(
            [_qr(x)[1], np.zeros((*x.shape[:-2], max(x.shape[-2] - x.shape[-1], 0), x.shape[-1]))], -2
        ),
        domain=INDEPENDENT,
    ),
    _case("lu", lambda x: ops.lu(x).U, lambda x: _factors(x)[2], domain=MOVED),
    _case("lu[L]", lambda x: ops.lu(x).L, lambda x: _factors(x)[1], domain=MOVED),
    _case("lu[permutation]", lambda x: ops.lu(x).permutation, lambda x: _factors(x)[0], domain=MOVED),
    _case(
        "lu_solve",
        lambda a, b: functions.lu_solve(ops.lu(a), b),
        lambda a, b: np.asarray(np.linalg.solve(a, b)),
        (((3, 3), (3, 2)), ((2, 2), (2,)), ((0, 0), (0, 2)), ((2, 2, 2), (2, 1)), ((2, 2), (2, 2, 2))),
        (MOVED, REAL),
    ),
    _case(
        "eigh",
        lambda x: spectral.eigh(x).eigenvalues,
        lambda x: np.linalg.eigvalsh((x + _turned(x)) / 2),
        _SQUARE,
        ASCENDING,
    ),
    _case(
        "eigh[vectors]",
        lambda x: _signed(spectral.eigh(x).eigenvectors),
        lambda x: _signed_array(np.linalg.eigh((x + _turned(x)) / 2)[1]),
        _SQUARE,
        ASCENDING,
    ),
    _case("eigvalsh", spectral.eigvalsh, lambda x: np.linalg.eigvalsh((x + _turned(x)) / 2), _SQUARE, ASCENDING),
    _case("svd", lambda x: spectral.svd(x).S, lambda x: np.linalg.svd(x)[1]),
    _case(
        "svd[U]",
        lambda x: _signed(spectral.svd(x, full_matrices=False).U),
        lambda x: _signed_array(np.linalg.svd(x, full_matrices=False)[0]),
    ),
    _case(
        "svd[Vh]",
        lambda x: _signed(matrix_transpose(spectral.svd(x, full_matrices=False).Vh)),
        lambda x: _signed_array(_turned(np.linalg.svd(x, full_matrices=False)[2])),
    ),
    _case("svdvals", spectral.svdvals, lambda x: np.linalg.svd(x, compute_uv=False)),
    _case("matrix_rank", functions.matrix_rank, np.linalg.matrix_rank),
    _case(
        "matrix_rank[rtol]",
        lambda x: functions.matrix_rank(x, rtol=0.6),
        lambda x: np.linalg.matrix_rank(x, rtol=0.6),
    ),
    *(
        _case(
            f"matrix_norm[{ord}]",
            lambda x, ord=ord: functions.matrix_norm(x, ord=ord),
            lambda x, ord=ord: np.linalg.norm(x, axis=(-2, -1), ord=ord),
            ((3, 3), (2, 3), (3, 1), (2, 3, 2)),
            no_empty="there is no largest singular value",
        )
        for ord in ("nuc", 2, -2)
    ),
)

"""Kernels of the decompositions: LAPACK, by NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.ir.dtype import bfloat16, float16
from graphnn.ir.node import Node
from graphnn.ops.decompositions import Lu, Qr

# LAPACK has single and double precision only; 16-bit floats go through float32, and each result is rounded once.


def decomposing(decompose: Kernel, node: Node) -> Kernel:
    """The kernel, with NaN for every matrix that is not finite: there LAPACK may not converge, or gives anything."""
    dtype = node.inputs[0].dtype
    narrow = dtype.numpy if dtype is bfloat16 or dtype is float16 else None

    def kernel(x: Any) -> Any:
        x = np.asarray(x) if narrow is None else np.asarray(x).astype(np.float32)
        unusable = ~np.isfinite(x).all(axis=(-2, -1))
        some = bool(unusable.any())
        made = decompose(np.where(unusable[..., None, None], 0, x) if some else x)
        parts = list(made) if isinstance(made, tuple) else [made]
        for i, part in enumerate(parts):
            if part.dtype.kind != "f":
                continue
            if some:
                part = np.array(part)
                part[unusable] = np.nan
            parts[i] = part if narrow is None else part.astype(narrow)
        return tuple(parts) if isinstance(made, tuple) else parts[0]

    return kernel


@lower.register
def _(op: Qr, node: Node) -> Kernel:
    mode: Any = op.mode

    def decompose(x: Any) -> Any:
        q, r = np.linalg.qr(x, mode=mode)
        negative = np.diagonal(r, axis1=-2, axis2=-1) < 0
        k = negative.shape[-1]
        q[..., :k] = np.where(negative[..., None, :], -q[..., :k], q[..., :k])
        r[..., :k, :] = np.where(negative[..., :, None], 0 - r[..., :k, :], r[..., :k, :])  # no -0.0 below the diagonal
        return q, r

    return decomposing(decompose, node)


@lower.register
def _(op: Lu, node: Node) -> Kernel:
    import scipy.linalg

    def decompose(x: Any) -> Any:
        if x.size == 0:
            *batch, m, n = x.shape
            k = min(m, n)
            rows = np.broadcast_to(np.arange(m), (*batch, m))
            return rows, np.zeros((*batch, m, k), x.dtype), np.zeros((*batch, k, n), x.dtype)
        rows, lower_factor, upper = scipy.linalg.lu(x, p_indices=True, check_finite=False)
        return np.argsort(rows, axis=-1).astype(np.int64), lower_factor, upper

    return decomposing(decompose, node)

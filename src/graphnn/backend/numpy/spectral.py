"""Kernels of eigenvalues and singular values: LAPACK, by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.decompositions import decomposing
from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.ir.node import Node
from graphnn.ops.spectral import Eigh, Eigvalsh, Svd, Svdvals


def _symmetric_part(x: Any) -> Any:
    return 0.5 * (x + np.swapaxes(x, -1, -2))


@lower.register
def _(op: Eigh, node: Node) -> Kernel:
    return decomposing(lambda x: np.linalg.eigh(_symmetric_part(x)), node)


@lower.register
def _(op: Eigvalsh, node: Node) -> Kernel:
    return decomposing(lambda x: np.linalg.eigvalsh(_symmetric_part(x)), node)


@lower.register
def _(op: Svd, node: Node) -> Kernel:
    return decomposing(lambda x: np.linalg.svd(x, full_matrices=op.full_matrices), node)


@lower.register
def _(op: Svdvals, node: Node) -> Kernel:
    return decomposing(lambda x: np.linalg.svd(x, compute_uv=False), node)

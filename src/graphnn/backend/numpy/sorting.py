"""Kernels of argsort and searchsorted."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.sorting import Argsort, Searchsorted


@lower.register
def _(op: Argsort, node: Node) -> Kernel:
    axis = op.axis

    def ascending(x: Any) -> Any:
        return np.argsort(x, axis=axis, kind="stable")

    if not op.descending:
        return in_float32(ascending, node)
    if node.inputs[0].dtype.is_floating:  # NaN has no order: it stays last
        return in_float32(lambda x: ascending(-x), node)
    # Whole numbers may have no negative. Read backwards, equal ones change their order twice.
    return lambda x: np.flip(np.shape(x)[axis] - 1 - ascending(np.flip(x, axis)), axis)


@lower.register
def _(op: Searchsorted, node: Node) -> Kernel:
    side: Any = op.side
    return in_float32(lambda x, values: np.searchsorted(x, values, side), node)

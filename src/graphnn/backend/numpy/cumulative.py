"""Kernels of the running sums, products and extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.cumulative import CumulativeMax, CumulativeMin, CumulativeProd, CumulativeSum


def _accumulate(op: Any, node: Node) -> Kernel:
    ufunc, initial = (np.add, 0) if isinstance(op, CumulativeSum) else (np.multiply, 1)
    axis, turn = op.axis, -1 if op.reverse else 1
    front = (slice(None),) * axis
    turned, but_first, but_last = ((*front, cut) for cut in (slice(None, None, turn), slice(1, None), slice(None, -1)))

    def kernel(x: Any) -> Any:
        x = x[turned]
        if not op.exclusive:
            return ufunc.accumulate(x, axis=axis, dtype=x.dtype)[turned]
        out = np.full(x.shape, initial, x.dtype)
        ufunc.accumulate(x[but_last], axis=axis, dtype=x.dtype, out=out[but_first])
        return out[turned]

    return in_float32(kernel, node, also_float16=True)


def _extremum(op: Any, node: Node) -> Kernel:
    ufunc, axis = np.maximum if isinstance(op, CumulativeMax) else np.minimum, op.axis
    return in_float32(lambda x: ufunc.accumulate(x, axis=axis), node)


_KERNELS: dict[type[Any], Any] = {
    CumulativeSum: _accumulate,
    CumulativeProd: _accumulate,
    CumulativeMax: _extremum,
    CumulativeMin: _extremum,
}
for _class, _kernel in _KERNELS.items():
    lower.register(_class, _kernel)

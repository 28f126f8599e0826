"""Kernels of the reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.reduction import All, Any_, Argmax, Argmin, Max, Min, Prod, Sum

_REDUCE: dict[type[Any], Any] = {
    Sum: np.add,
    Prod: np.multiply,
    Max: np.maximum,
    Min: np.minimum,
    All: np.logical_and,
    Any_: np.logical_or,
}


def _reduce(op: Any, node: Node) -> Kernel:
    reduce, axes, keepdims = _REDUCE[type(op)].reduce, op.axes, op.keepdims
    accumulates = isinstance(op, (Sum, Prod))
    if accumulates and node.dtype.is_integer:
        dtype = node.dtype.numpy  # NumPy alone would widen small integers
        return lambda x: reduce(x, axis=axes, keepdims=keepdims, dtype=dtype)
    return in_float32(lambda x: reduce(x, axis=axes, keepdims=keepdims), node, also_float16=accumulates)


def _position(op: Any, node: Node) -> Kernel:
    function = np.argmax if isinstance(op, Argmax) else np.argmin
    axis, keepdims = op.axes[0], op.keepdims
    return in_float32(lambda x: function(x, axis=axis, keepdims=keepdims), node)


for _class in _REDUCE:
    lower.register(_class, _reduce)
for _class in (Argmax, Argmin):
    lower.register(_class, _position)

"""Kernels of sliding windows: a view without a copy, and one strided addition for each element of a window."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.windows import FoldWindows, Windows, steps_of


@lower.register
def _(op: Windows, node: Node) -> Kernel:
    shape: Any = node.shape
    steps = list(zip(op.axis, *steps_of(op), strict=True))

    def kernel(x: Any) -> Any:
        strides = list(x.strides)
        inside = [x.strides[axis] * dilation for axis, _, dilation in steps]
        for axis, stride, _ in steps:
            strides[axis] *= stride
        return np.lib.stride_tricks.as_strided(x, shape, (*strides, *inside), writeable=False)

    return kernel


@lower.register
def _(op: FoldWindows, node: Node) -> Kernel:
    shape: Any = node.shape
    given: Any = node.inputs[0].shape
    sizes = given[len(shape) :]
    places = []
    for inside in itertools.product(*map(range, sizes)):
        key = [slice(None)] * len(shape)
        for axis, j, stride, dilation in zip(op.axis, inside, *steps_of(op), strict=True):
            start = j * dilation
            key[axis] = slice(start, start + (given[axis] - 1) * stride + 1, stride)
        if 0 not in given:
            places.append((tuple(key), (..., *inside)))

    def kernel(x: Any) -> Any:
        out = np.zeros(shape, x.dtype)
        for target, source in places:
            out[target] += x[source]
        return out

    return in_float32(kernel, node, also_float16=True)

"""Kernels of the operations that move elements: views where NumPy can make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.ir.arrays import Array
from graphnn.ir.node import Node
from graphnn.ops.movement import BroadcastTo, Concat, Pad, Part, PermuteDims, Reshape, Slice, Unslice


@lower.register
def _(op: Reshape, node: Node) -> Kernel:
    shape = op.shape
    return lambda x: x.reshape(shape)


@lower.register
def _(op: PermuteDims, node: Node) -> Kernel:
    axes = op.axes
    return lambda x: x.transpose(axes)


@lower.register
def _(op: BroadcastTo, node: Node) -> Kernel:
    shape: Any = op.shape
    return lambda x: np.broadcast_to(x, shape)


@lower.register
def _(op: Concat, node: Node) -> Kernel:
    axis, dtype = op.axis, node.dtype.numpy
    return lambda *arrays: np.concatenate([a.astype(dtype, copy=False) for a in arrays], axis=axis)


@lower.register
def _(op: Part, node: Node) -> Kernel:
    start: Any = op.start
    key = (slice(None),) * op.axis + (slice(start, start + op.size),)
    return lambda x: x[key]


@lower.register
def _(op: Slice, node: Node) -> Kernel:
    key = tuple(slice(*cut) for cut in op.cuts)
    return lambda x: x[key]


@lower.register
def _(op: Unslice, node: Node) -> Kernel:
    key, shape, dtype = tuple(slice(*cut) for cut in op.cuts), op.shape, node.dtype.numpy

    def kernel(x: Array) -> Array:
        out = np.zeros(shape, dtype)
        out[key] = x
        return out

    return kernel


@lower.register
def _(op: Pad, node: Node) -> Kernel:
    key = tuple(slice(before, before + size) for (before, _), size in zip(op.widths, node.inputs[0].shape, strict=True))
    shape, dtype = node.shape, node.dtype.numpy

    def kernel(x: Array) -> Array:
        out = np.zeros(shape, dtype)
        out[key] = x
        return out

    return kernel

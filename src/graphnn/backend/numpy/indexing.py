"""Kernels of gather and scatter. NumPy checks every index; one out of range is an IndexError, never a clamp."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.indexing import Gather, ScatterAdd, ScatterSet


def _front(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return (*axes, *(i for i in range(ndim) if i not in axes))


def _places(node: Node, first: int) -> Any:
    """What makes indices of the operands from `first` on: NumPy reads an uint64 as an int64, from the end if it is large."""
    if all(operand.dtype.name != "uint64" for operand in node.inputs[first:]):
        return lambda indices: indices
    return lambda indices: tuple(
        [np.minimum(i, 2**63 - 1).astype("int64") if i.dtype == "uint64" else i for i in indices]
    )


@lower.register
def _(op: Gather, node: Node) -> Kernel:
    order, places = _front(op.axes, node.inputs[0].ndim), _places(node, 1)
    if order == tuple(range(len(order))):
        return lambda x, *indices: x[places(indices)]
    return lambda x, *indices: x.transpose(order)[places(indices)]


@lower.register
def _(op: ScatterAdd, node: Node) -> Kernel:
    order, shape, dtype = _front(op.axes, len(op.shape)), op.shape, node.dtype.numpy
    places = _places(node, 1)

    def kernel(values: Any, *indices: Any) -> Any:
        out = np.zeros(shape, np.asarray(values).dtype)
        np.add.at(out.transpose(order), places(indices), values)
        return out.astype(dtype, copy=False)

    return in_float32(kernel, node)


@lower.register
def _(op: ScatterSet, node: Node) -> Kernel:
    order, dtype, places = _front(op.axes, node.ndim), node.dtype.numpy, _places(node, 2)

    def kernel(x: Any, values: Any, *indices: Any) -> Any:
        out = np.array(x, dtype=dtype, order="C")
        out.transpose(order)[places(indices)] = values
        return out

    return kernel

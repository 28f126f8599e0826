"""Kernel of the contraction: axes are put in order and joined, so that one matrix product does the work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ops.contraction import Contract


@lower.register
def _(op: Contract, node: Node) -> Kernel:
    # Half precision goes through float32: NumPy has no fast product for it, and sums would lose digits.
    return in_float32(_kernel(op, node), node, also_float16=True)


def _kernel(op: Contract, node: Node) -> Kernel:
    a, b = node.inputs
    left, right, result = op.left, op.right, op.result
    size: dict[str, Any] = {**dict(zip(left, a.shape, strict=True)), **dict(zip(right, b.shape, strict=True))}
    batch = [c for c in left if c in right and c in result]
    summed = [c for c in left if c in right and c not in result]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    order_a = tuple(left.index(c) for c in (*batch, *rows, *summed))
    order_b = tuple(right.index(c) for c in (*batch, *summed, *columns))
    sizes = tuple(size[c] for c in batch)
    m, k, n = (math.prod(size[c] for c in group) for group in (rows, summed, columns))
    natural = [*batch, *rows, *columns]
    order_out = tuple(natural.index(c) for c in result)
    split = tuple(size[c] for c in natural)
    dtype = node.dtype.numpy
    if not summed:  # a product of matrices would add 0 to each product, and so lose the sign of -0.0
        tall, wide = tuple(size[c] for c in (*batch, *rows)), tuple(size[c] for c in batch)
        flat = (*tall, *[1] * len(columns)), (*wide, *[1] * len(rows), *[size[c] for c in columns])

        def product(x: Any, y: Any) -> Any:
            out = np.multiply(x.transpose(order_a).reshape(flat[0]), y.transpose(order_b).reshape(flat[1]), dtype=dtype)
            return out.transpose(order_out)

        return product

    def kernel(x: Any, y: Any) -> Any:
        x = x.astype(dtype, copy=False).transpose(order_a).reshape((*sizes, m, k))
        y = y.astype(dtype, copy=False).transpose(order_b).reshape((*sizes, k, n))
        return np.matmul(x, y).reshape(split).transpose(order_out)

    plain = not batch and len(rows) == 1 and len(columns) == 1 and len(summed) == 1 and a.dtype is b.dtype
    if plain and order_out == (0, 1):
        # The common case without detours: transposed operands are views, which BLAS reads in place.
        if order_a == (0, 1) and order_b == (0, 1):
            return np.matmul
        return lambda x, y: np.matmul(x.transpose(order_a), y.transpose(order_b))
    return kernel

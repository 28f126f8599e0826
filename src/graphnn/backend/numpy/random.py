"""Kernel of the random bits: NumPy's own Philox4x64-10, placed at the block that the stream names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.ir.node import Node
from graphnn.ops.random import RandomBits


@lower.register
def _(op: RandomBits, node: Node) -> Kernel:
    shape, draw = node.shape, op.draw
    count = math.prod(op.shape)

    def kernel(streams: Any) -> Any:
        bits = np.empty((math.prod(streams.shape[:-1]), count), np.uint64)
        for row, stream in zip(bits, streams.reshape(-1, 2), strict=True):
            key, step = (int(word) for word in stream)
            # NumPy's generator counts up before it makes a block, so it starts one before the first.
            start = ((step << 64) - 1) % (1 << 256)
            row[:] = np.random.Philox(key=key | draw << 64, counter=start).random_raw(count)
        return bits.reshape(shape)

    return kernel

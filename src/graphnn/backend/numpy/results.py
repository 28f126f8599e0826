"""The kernel that reads one result of an operation with several: their kernels give a tuple."""

from __future__ import annotations

from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.ir.node import Node
from graphnn.ops.results import Result


@lower.register
def _(op: Result, node: Node) -> Kernel:
    index = op.index
    return lambda bundle: bundle[index]

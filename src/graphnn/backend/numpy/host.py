"""Kernels of host operations, barriers and checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.ir.node import Node
from graphnn.ops.host import Barrier, HostOp
from graphnn.transform.checkpoint import Checkpoint


@lower.register
def _(op: HostOp, node: Node) -> Kernel:
    function, spec = op.host.function, node.spec
    shape, dtype = spec.shape, spec.dtype.numpy

    def kernel(*arrays: Any) -> Any:
        # A copy, for the function may keep what it returns; its operands may be read by others after it.
        result = np.asarray(function(*map(_read_only, arrays)))
        if result.shape != shape or result.dtype.newbyteorder("=") != dtype:
            raise ValueError(f"the function gave {result.dtype.name}{list(result.shape)}, but infer says {spec}")
        return np.array(result, dtype)

    return kernel


def _read_only(array: Any) -> Any:
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


@lower.register
def _(op: Barrier, node: Node) -> Kernel:
    return lambda x, after: x


@lower.register
def _(op: Checkpoint, node: Node) -> Kernel:
    return lambda y, *operands: y

"""`lower`: from an op to the Python function that computes it on NumPy arrays. One registration per op class."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.errors import LoweringError
from graphnn.ir.dtype import bfloat16, float16
from graphnn.ir.node import Node
from graphnn.ir.op import Op

Kernel = Callable[..., Any]
"""Takes the arrays of the operands, gives the array of the result; it never writes into an operand."""


@functools.singledispatch
def lower(op: Op, node: Node) -> Kernel:
    """The kernel of a node, specialised to its specs; called once, when the graph is planned."""
    raise LoweringError(
        f"the NumPy backend has no lowering for {op.name}",
        "Register one: @graphnn.backend.numpy.lower.register for its class.",
        at=str(node.source or ""),
    )


def in_float32(kernel: Kernel, node: Node, *, also_float16: bool = False) -> Kernel:
    """The kernel, but for 16-bit floats computed in float32 and rounded once."""
    narrow = {id(bfloat16), id(float16)} if also_float16 else {id(bfloat16)}
    wide = [id(n.dtype) in narrow for n in node.inputs]
    if True not in wide and id(node.dtype) not in narrow:
        return kernel
    result = node.dtype.numpy

    def widened(*arrays: Any) -> Any:
        given = [np.asarray(a).astype(np.float32) if w else a for a, w in zip(arrays, wide, strict=True)]
        return np.asarray(kernel(*given)).astype(result)

    return widened

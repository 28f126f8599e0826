"""Kernels of loops and choices: their bodies are planned once, and run step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, lower
from graphnn.backend.numpy.plan import Plan
from graphnn.ir.body import Body
from graphnn.ir.node import Node
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan, While


def _run(body: Body) -> Any:
    return Plan(body.outputs, body.inputs).run


@lower.register
def _(op: Scan, node: Node) -> Kernel:
    run, fixed, carries = _run(op.body), op.consts, op.carries
    length: Any = op.length
    order = range(length - 1, -1, -1) if op.reverse else range(length)
    stacks: Any = [((length, *out.shape), out.dtype.numpy) for out in op.body.outputs[carries:]]

    def kernel(*arrays: Any) -> Any:
        consts, carry, along = arrays[:fixed], list(arrays[fixed : fixed + carries]), arrays[fixed + carries :]
        stacked = [np.empty(shape, dtype) for shape, dtype in stacks]
        for t in order:
            values = run([*consts, *carry, *[x[t] for x in along]])
            carry = values[:carries]
            for stack, value in zip(stacked, values[carries:], strict=True):
                stack[t] = value
        return (*carry, *stacked)

    return kernel


@lower.register
def _(op: While, node: Node) -> Kernel:
    run, holds, fixed = _run(op.body), _run(op.condition), op.consts

    def kernel(*arrays: Any) -> Any:
        consts, carry = arrays[:fixed], list(arrays[fixed:])
        while holds([*consts, *carry])[0]:
            carry = run([*consts, *carry])
        return tuple(carry)

    return kernel


@lower.register
def _(op: Switch, node: Node) -> Kernel:
    branches = [_run(body) for body in op.bodies]

    def kernel(index: Any, *arrays: Any) -> Any:
        i = int(index)
        if not 0 <= i < len(branches):
            raise IndexError(f"there is no branch {i}, they are numbered from 0 to {len(branches) - 1}")
        return tuple(branches[i](list(arrays)))

    return kernel

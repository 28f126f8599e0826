"""Functions of arrays are called once for each element; barriers and checkpoints stay where they are."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphnn.ir.arrays import Array
from graphnn.ir.dtype import as_dtype
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent
from graphnn.ir.spec import Spec
from graphnn.ops.host import Barrier, Host, HostOp, as_cotangents
from graphnn.transform.batching.composite import pull_over_batch
from graphnn.transform.batching.rules import Alone, Call, batch_rule
from graphnn.transform.checkpoint import Checkpoint


@batch_rule.register
def _(op: HostOp, call: Call) -> Node:
    return HostOp(_over_batch(op.host, call.batched))(*call.operands)


class _HostOverBatch(Host):
    """A host operation applied to each element of a batch."""

    def __init__(self, inner: Host, batched: tuple[bool, ...]) -> None:
        first = batched.index(True)

        def infer(*specs: Spec) -> Spec:
            each = [spec.with_shape(spec.shape[1:]) if on else spec for spec, on in zip(specs, batched, strict=True)]
            out = inner.infer(*each)
            return out.with_shape((specs[first].shape[0], *out.shape)) if isinstance(out, Spec) else out

        def function(*arrays: Array) -> Array:
            count = arrays[first].shape[0]
            if count == 0:
                spec = infer(*[Spec(array.shape, as_dtype(array.dtype)) for array in arrays])
                return np.zeros(spec.shape, spec.dtype.numpy)
            rows = []
            for number in range(count):
                given = [array[number, ...] if on else array for array, on in zip(arrays, batched, strict=True)]
                rows.append(np.array(inner.function(*given)))  # a copy: the function may keep what it returns
            return np.stack(rows)

        def vjp(g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
            def rule(g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
                given: Any = inner.vjp
                return as_cotangents(inner.name, given(g, *operands, out=out), operands, out)

            return pull_over_batch(rule, g, operands, out, batched)

        function.__name__ = f"vmap({inner.name})"
        super().__init__(function, infer, None if inner.vjp is None else vjp)
        self.__doc__ = inner.__doc__


# Equal calls share one host, so that their nodes are equal.
_over_batch = functools.lru_cache(maxsize=1024)(_HostOverBatch)


@batch_rule.register
def _(op: Barrier, call: Call) -> Node | Alone:
    made = op(*call.operands)
    return made if call.batched[0] else Alone(made)


@batch_rule.register
def _(op: Checkpoint, call: Call) -> Node | Alone:
    value, *given = call.operands
    made = op(value, *dict.fromkeys(given))
    return made if call.batched[0] else Alone(made)

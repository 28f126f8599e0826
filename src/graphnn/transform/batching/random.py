"""Random bits and the states that advance."""

from __future__ import annotations

from graphnn.errors import GraphError
from graphnn.ir.node import Node, operand_rows
from graphnn.ops.random import Advance, RandomBits
from graphnn.transform.batching.rules import Call, batch_rule


@batch_rule.register
def _(op: RandomBits, call: Call) -> Node:
    return op(*call.operands)  # a stack of streams: each has its own bits


@batch_rule.register
def _(op: Advance, call: Call) -> Node:
    if call.batched[1] or call.batched[2]:
        _, state, following = call.node.inputs
        raise GraphError(
            f"vmap: the next value of the state {state.label} is another one for each element of the batch",
            "A state has one value. Let its next value depend on what is not batched, or advance it outside of vmap.",
            operands=operand_rows((state, following), ("state", "next value")),
            at=str(call.node.source or ""),
        )
    return op(*call.operands)

"""Element-wise operations: they broadcast, so the axes of the operands have to meet, and no more."""

from __future__ import annotations

from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise
from graphnn.ops.comparison import Where
from graphnn.transform.batching.rules import Call, batch_rule


@batch_rule.register(Elementwise)
@batch_rule.register(Where)
def _(op: Elementwise | Where, call: Call) -> Node:
    return op(*call.aligned())

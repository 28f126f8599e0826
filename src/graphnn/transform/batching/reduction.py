"""Operations along axes, which all move on by one: reductions and running sums."""

from __future__ import annotations

import dataclasses
from typing import Any

from graphnn.ir.node import Node
from graphnn.ops.cumulative import CumulativeMax, CumulativeMin, CumulativeProd, CumulativeSum
from graphnn.ops.reduction import All, Any_, Argmax, Argmin, Max, Min, Prod, Sum
from graphnn.transform.batching.rules import Call, batch_rule


def _reduction(op: Any, call: Call) -> Node:
    made: Node = dataclasses.replace(op, axes=tuple([axis + 1 for axis in op.axes]))(*call.operands)
    return made


def _running(op: Any, call: Call) -> Node:
    made: Node = dataclasses.replace(op, axis=op.axis + 1)(*call.operands)
    return made


for _class in (Sum, Prod, Max, Min, All, Any_, Argmax, Argmin):
    batch_rule.register(_class, _reduction)
for _running_class in (CumulativeSum, CumulativeProd, CumulativeMax, CumulativeMin):
    batch_rule.register(_running_class, _running)

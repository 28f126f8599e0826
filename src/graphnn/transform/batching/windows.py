"""Windows and their transpose: the axes that count them move on, those inside of them stay at the end."""

from __future__ import annotations

import dataclasses

from graphnn.ir.node import Node
from graphnn.ops.windows import FoldWindows, Windows
from graphnn.transform.batching.rules import Call, batch_rule


@batch_rule.register(Windows)
@batch_rule.register(FoldWindows)
def _(op: Windows | FoldWindows, call: Call) -> Node:
    return dataclasses.replace(op, axis=tuple([axis + 1 for axis in op.axis]))(*call.operands)

"""Operations that only move elements."""

from __future__ import annotations

from graphnn.ir.node import Node
from graphnn.ops.movement import BroadcastTo, Concat, Pad, Part, PermuteDims, Reshape, Slice, Unslice, broadcast_to
from graphnn.transform.batching.rules import FULL, Call, batch_rule


@batch_rule.register
def _(op: Reshape, call: Call) -> Node:
    return Reshape((call.size, *op.shape))(*call.operands)


@batch_rule.register
def _(op: PermuteDims, call: Call) -> Node:
    return PermuteDims((0, *[axis + 1 for axis in op.axes]))(*call.operands)


@batch_rule.register
def _(op: BroadcastTo, call: Call) -> Node:
    (x,) = call.aligned()
    return broadcast_to(x, (call.size, *op.shape))


@batch_rule.register
def _(op: Concat, call: Call) -> Node:
    return Concat(op.axis + 1)(*[call.spread(i) for i in range(len(call.operands))])


@batch_rule.register
def _(op: Part, call: Call) -> Node:
    return Part(op.axis + 1, op.start, op.size)(*call.operands)


@batch_rule.register
def _(op: Slice, call: Call) -> Node:
    return Slice((FULL, *op.cuts))(*call.operands)


@batch_rule.register
def _(op: Unslice, call: Call) -> Node:
    return Unslice((FULL, *op.cuts), (call.size, *op.shape))(*call.operands)


@batch_rule.register
def _(op: Pad, call: Call) -> Node:
    return Pad(((0, 0), *op.widths))(*call.operands)

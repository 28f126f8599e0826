"""Order: the axis of `Argsort` moves on; `Searchsorted` in a batch of vectors counts by sorting."""

from __future__ import annotations

from graphnn.ir.dims import product
from graphnn.ir.dtype import result_dtype
from graphnn.ir.node import Node
from graphnn.ops.bitwise import astype
from graphnn.ops.movement import Concat, Part, Reshape
from graphnn.ops.sorting import Argsort, Searchsorted
from graphnn.transform.batching.rules import Call, batch_rule


@batch_rule.register
def _(op: Argsort, call: Call) -> Node:
    return Argsort(op.axis + 1, op.descending)(*call.operands)


@batch_rule.register
def _(op: Searchsorted, call: Call) -> Node:
    if not call.batched[0]:
        return op(*call.operands)  # the values may have any shape
    dtype = result_dtype(op.name, *[x.dtype for x in call.operands])
    x, values = (astype(call.spread(i), dtype) for i in (0, 1))
    count = product(values.shape[1:])
    values = Reshape((call.size, count))(values)
    # Sorting keeps the order of equal elements. Where the values come first, the place of each among all is the number of
    # elements of x that are less than it and of values before it; where they come last, of those not greater than it.
    left = op.side == "left"
    together = Concat(1)(values, x) if left else Concat(1)(x, values)
    places = Part(1, 0 if left else x.shape[1], count)(_places(together))
    return Reshape((call.size, *call.node.shape))(places - _places(values))


def _places(x: Node) -> Node:
    """For each element of a row, its number in the sorted row."""
    return Argsort(1)(Argsort(1)(x))

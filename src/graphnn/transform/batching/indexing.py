"""Elements picked and placed by integer arrays."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.ir.dims import product
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node
from graphnn.ops.indexing import Gather, ScatterAdd, ScatterSet, iota_along
from graphnn.ops.movement import PermuteDims, Reshape
from graphnn.ops.updates import ScatterReduce
from graphnn.transform.batching.rules import Call, batch_rule, widened


def _indices(call: Call, first: int) -> tuple[int, list[Node]]:
    """How many axes the indices have together, and the indices such that they broadcast as before."""
    count = max(node.ndim for node in call.node.inputs[first:])
    pairs = zip(call.operands[first:], call.batched[first:], strict=True)
    return count, [widened(x, count + 1) if on else x for x, on in pairs]


def _numbers(call: Call, count: int) -> Node:
    """The number of each element of the batch, as an index beside others of `count` axes."""
    return iota_along(call.size, 0, count + 1)


def _moved(x: Node, start: int, stop: int) -> Node:
    """One axis at another place, the others in their order."""
    order = [axis for axis in range(x.ndim) if axis != start]
    order.insert(stop, start)
    return x if start == stop else PermuteDims(tuple(order))(x)


def _further(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple([axis + 1 for axis in axes])


@batch_rule.register
def _(op: Gather, call: Call) -> Node:
    x = call.operands[0]
    count, indices = _indices(call, 1)
    if True not in call.batched[1:]:
        return _moved(Gather(_further(op.axes))(x, *indices), count, 0)
    if not call.batched[0]:
        return op(x, *indices)
    return Gather((0, *_further(op.axes)))(x, _numbers(call, count), *indices)


@batch_rule.register
def _(op: ScatterAdd, call: Call) -> Node:
    count, indices = _indices(call, 1)
    shape = (call.size, *op.shape)
    if True not in call.batched[1:]:
        return ScatterAdd(_further(op.axes), shape)(_moved(call.operands[0], 0, count), *indices)
    return ScatterAdd((0, *_further(op.axes)), shape)(call.spread(0), _numbers(call, count), *indices)


@batch_rule.register
def _(op: ScatterSet, call: Call) -> Node:
    x, values = call.spread(0), call.spread(1)
    count, indices = _indices(call, 2)
    if True not in call.batched[2:]:
        return ScatterSet(_further(op.axes))(x, _moved(values, 0, count), *indices)
    return ScatterSet((0, *_further(op.axes)))(x, values, _numbers(call, count), *indices)


@batch_rule.register
def _(op: ScatterReduce, call: Call) -> Node:
    # The rows laid end to end. Where an index leads is read from a table of the numbers of all places, so that one that
    # is out of range is found, and does not lead into the next row.
    x, values, index = (call.spread(i) for i in range(3))
    total, many = product(x.shape), (product(values.shape),)
    table = Reshape(x.shape)(Iota(total, int64)())
    places = Gather((0, 1))(table, _numbers(call, 1), index)
    return Reshape(x.shape)(op(Reshape((total,))(x), Reshape(many)(values), Reshape(many)(places)))

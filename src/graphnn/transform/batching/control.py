"""Loops and choices: what is inside is batched; a value that is carried is batched if it ever comes to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphnn.ir.body import Body, symbol
from graphnn.ir.dims import Size
from graphnn.ir.dtype import bool_, int64
from graphnn.ir.leaves import Iota, constant
from graphnn.ir.node import Node
from graphnn.ir.source import apart
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.cumulative import cumulative_sum
from graphnn.ops.indexing import take
from graphnn.ops.movement import PermuteDims, Reshape, broadcast_to
from graphnn.ops.reduction import Sum, any
from graphnn.ops.results import results
from graphnn.transform.batching.rules import Alone, Call, batch, batch_rule, batched_spec
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan, While


def _inside(body: Body, on: Sequence[bool], size: Size) -> tuple[list[Node], list[tuple[Node, bool]]]:
    """The inputs of a body, those that are `on` for the whole batch, and the outputs for them."""
    with apart():
        inputs = [
            symbol(str(x.name), batched_spec(x.spec, size)) if flag else x
            for x, flag in zip(body.inputs, on, strict=True)
        ]
    replaced = {x: made for x, made, flag in zip(body.inputs, inputs, on, strict=True) if flag}
    return inputs, batch(body.outputs, replaced)


def _whole(made: tuple[Node, bool], size: Size, *, wanted: bool = True) -> Node:
    node, is_batched = made
    return node if is_batched or not wanted else broadcast_to(node, (size, *node.shape))


def _second(x: Node) -> Node:
    """The first two axes exchanged: that of the batch and that of the steps."""
    return PermuteDims((1, 0, *range(2, x.ndim)))(x)


def _parts(made: Sequence[Node], on: Sequence[bool]) -> list[Node | Alone]:
    return [node if flag else Alone(node) for node, flag in zip(made, on, strict=True)]


@batch_rule.register
def _(op: Scan, call: Call) -> list[Node | Alone]:
    first, along = op.consts, op.consts + op.carries
    on = list(call.batched)
    while True:
        inputs, outputs = _inside(op.body, on, call.size)
        more = [i for i in range(op.carries) if outputs[i][1] and not on[first + i]]
        if not more:
            break
        for i in more:
            on[first + i] = True
    flags = [*on[first:along], *[flag for _, flag in outputs[op.carries :]]]
    ends = [_whole(made, call.size, wanted=flag) for made, flag in zip(outputs, flags, strict=True)]
    operands = [
        _second(x) if i >= along and on[i] else call.spread(i) if on[i] else x for i, x in enumerate(call.operands)
    ]
    made = results(Scan(Body(inputs, ends), op.consts, op.carries, op.length, op.reverse), *operands)
    turned = [_second(x) if i >= op.carries and flags[i] else x for i, x in enumerate(made)]
    return _parts(turned, flags)


@batch_rule.register
def _(op: While, call: Call) -> list[Node | Alone]:
    first = op.consts
    on = list(call.batched)
    while True:
        inputs, outputs = _inside(op.body, on, call.size)
        ((going, each),) = batch(op.condition(*op.body.inputs), _pairs(op.body.inputs, inputs))
        flags = [on[first + i] or each or made[1] for i, made in enumerate(outputs)]
        if flags == on[first:]:
            break
        on[first:] = flags
    ends = [_whole(made, call.size, wanted=flag) for made, flag in zip(outputs, flags, strict=True)]
    if each:  # until all elements are done; those that are done before keep their values
        ends = Body(inputs, ends)(*_of_those_going(inputs, on, going))
        ends = [
            where(Reshape((call.size, *(1,) * (end.ndim - 1)))(going), end, x)
            for end, x in zip(ends, inputs[first:], strict=True)
        ]
        going = any(going)
    operands = [call.spread(i) if on[i] else x for i, x in enumerate(call.operands)]
    made = results(While(Body(inputs, [going]), Body(inputs, ends), first), *operands)
    return _parts(made, flags)


def _of_those_going(inputs: Sequence[Node], on: Sequence[bool], going: Node) -> list[Node]:
    """What the step gets: for an element that is done the values of one that is not, so that it cannot fail on its own.

    Its condition does not hold any more, and so its step might index past the end, or never come to an end itself.
    """
    numbers = Iota(going.shape[0], int64)()
    ahead = cumulative_sum(astype(going, int64))
    first = Sum((0,))(astype(ahead == 0, int64))  # not `argmax`, for a batch may be empty
    rows = where(going, numbers, first)
    return [take(x, rows, axis=0) if flag else x for x, flag in zip(inputs, on, strict=True)]


def _pairs(nodes: Sequence[Node], made: Sequence[Node]) -> dict[Node, Node]:
    return {x: y for x, y in zip(nodes, made, strict=True) if x is not y}


@batch_rule.register
def _(op: Switch, call: Call) -> list[Node | Alone]:
    index, *operands = call.operands
    on = call.batched[1:]
    if not call.batched[0]:
        inside = [_inside(body, on, call.size) for body in op.bodies]
        flags = [True in column for column in zip(*[[flag for _, flag in ends] for _, ends in inside], strict=True)]
        bodies = [
            Body(inputs, [_whole(made, call.size, wanted=flag) for made, flag in zip(ends, flags, strict=True)])
            for inputs, ends in inside
        ]
        return _parts(results(Switch(tuple(bodies)), index, *operands), flags)
    # Each element has its own choice, so all branches are computed.
    chosen = astype(index, int64)
    if index.dtype is not bool_:  # a number that is no branch is an error, as it is for one element
        count = len(op.bodies)
        chosen = take(constant(np.arange(count)), where(chosen < 0, count, chosen))
    branches = []
    for body in op.bodies:
        ends = body(*[x if flag else y for x, y, flag in zip(body.inputs, operands, on, strict=True)])
        given = {x: y for x, y, flag in zip(body.inputs, operands, on, strict=True) if flag}
        branches.append([_whole(made, call.size) for made in batch(ends, given)])
    out: list[Node | Alone] = []
    for column in zip(*branches, strict=True):
        which = Reshape((call.size, *(1,) * (column[0].ndim - 1)))(chosen)
        total = column[0]
        for number, value in enumerate(column[1:], 1):
            total = where(which == number, value, total)
        out.append(total)
    return out

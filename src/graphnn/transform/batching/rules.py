"""`batch`: a graph for one element becomes one for a batch. `batch_rule`: the rule of each op, by its class."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from operator import is_
from typing import NamedTuple, TypeAlias

import numpy as np

from graphnn.errors import GraphError, RewriteError
from graphnn.ir.dims import Size
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Placeholder, constant
from graphnn.ir.node import Node, build, explain, make
from graphnn.ir.op import Multi, Op
from graphnn.ir.source import Origin, apart, on_behalf_of
from graphnn.ir.spec import Bundle, Spec
from graphnn.ops.movement import Cut, Reshape, Slice, broadcast_to, stack
from graphnn.ops.results import Result, results

FULL: Cut = (None, None, 1)
"""The slice of an axis that keeps all of it."""


class Call(NamedTuple):
    """What a rule gets besides the op.

    Attributes
    ----------
    node : the node for one element
    operands : the operands for the whole batch; a batched one has the axis of the batch in front
    batched : which operands are batched, at least one of them
    size : the size of the batch, a number or a name
    """

    node: Node
    operands: tuple[Node, ...]
    batched: tuple[bool, ...]
    size: Size

    def spread(self, place: int) -> Node:
        """An operand with the axis of the batch, repeated along it where it is not batched."""
        x = self.operands[place]
        return x if self.batched[place] else broadcast_to(x, (self.size, *x.shape))

    def aligned(self, ndim: int | None = None) -> tuple[Node, ...]:
        """The operands such that they broadcast as before, to `ndim` axes behind that of the batch."""
        wanted = self.node.ndim if ndim is None else ndim
        return tuple(widened(x, wanted + 1) if on else x for x, on in zip(self.operands, self.batched, strict=True))


class Alone(NamedTuple):
    """The result of a rule that is the same for all elements, and has no axis of the batch."""

    node: Node


Batched: TypeAlias = "Node | Alone | Sequence[Node | Alone]"
"""What a rule gives; of an op with several results one for each."""


def widened(x: Node, ndim: int) -> Node:
    """A batched node with so many axes: new ones of size 1 behind that of the batch."""
    missing = ndim - x.ndim
    return Reshape((x.shape[0], *(1,) * missing, *x.shape[1:]))(x) if missing > 0 else x


@functools.singledispatch
def batch_rule(op: Op, call: Call) -> Batched:
    """The node for a batch, of an op whose operands are batched; this one computes the elements one by one."""
    if op.elementwise:
        return op(*call.aligned())
    if not isinstance(call.size, int):
        raise GraphError(
            f"{op.name} has no batching rule, and the size of the batch is not a number yet: {call.size}",
            f"Give the batch a number instead of the name {str(call.size)!r}: the elements are then computed one by one.",
            f"Or write a rule for {type(op).__name__}: see graphnn.transform.batching.",
        )
    if call.size == 0:
        empty = [broadcast_to(constant(np.zeros((), s.dtype.numpy)), (0, *s.shape)) for s in _specs(call.node)]
        return empty if isinstance(op, Multi) else empty[0]
    rows: list[tuple[Node, ...]] = []
    for number in range(call.size):
        picked = [element(x, number) if on else x for x, on in zip(call.operands, call.batched, strict=True)]
        rows.append(results(op, *picked) if isinstance(op, Multi) else (op(*picked),))
    columns = [stack(column) for column in zip(*rows, strict=True)]
    return columns if isinstance(op, Multi) else columns[0]


def _specs(node: Node) -> tuple[Spec, ...]:
    return node.spec.parts if isinstance(node.spec, Bundle) else (node.spec,)


def element(x: Node, number: int) -> Node:
    """One element of a batched node."""
    cut: Cut = (number, number + 1, 1)
    return Reshape(x.shape[1:])(Slice((cut, *(FULL,) * (x.ndim - 1)))(x))


def batched_spec(spec: Spec, size: Size) -> Spec:
    """The spec of a batch of values."""
    return spec.with_shape((size, *spec.shape))


def symbol(spec: Spec, name: str) -> Node:
    """An input that stands for one element."""
    with apart():
        return build(Placeholder(), (), spec, name=name)  # type: ignore[no-any-return]


class _Older:
    """The nodes that cannot depend on those that are replaced, and these: no walk needs to go past them."""

    def __init__(self, replaced: Mapping[Node, Node]) -> None:
        self.replaced, self.first = replaced, min(node.index for node in replaced)

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and (node.index < self.first or node in self.replaced)


def batch(outputs: Sequence[Node], replaced: Mapping[Node, Node]) -> list[tuple[Node, bool]]:
    """The outputs for a batch, and whether each is batched: has the axis of the batch in front.

    `replaced` gives for some nodes, which stand for one element, a batch of them. What does not depend on these nodes is
    kept as it is, and shared by all elements. This is how an existing graph is batched; `vmap` does it for functions.

    >>> x, w = gn.placeholder("x", (2,)), gn.parameter("w", [1.0, 2.0])
    >>> xs = gn.placeholder("xs", ("batch", 2))
    >>> batch([x @ w, gn.sum(w)], {x: xs})
    [(matmul(xs, w): float32[batch], True), (sum(w): float32[], False)]
    """
    if not replaced:
        return [(node, False) for node in outputs]
    size = next(iter(replaced.values())).shape[0]
    new: dict[Node, Node] = dict(replaced)
    on = set(replaced)
    several: dict[Node, list[Node | Alone]] = {}  # the results of ops with several
    older = _Older(replaced)
    for node in topological(outputs, stop=older):
        if node in older:
            continue
        inputs = tuple([new.get(operand, operand) for operand in node.inputs])
        flags = tuple([operand in on for operand in node.inputs])
        if True in flags or (isinstance(node.op, Result) and node.inputs[0] in several):
            if isinstance(node.op, Multi):
                several[node] = _batched(node, inputs, flags, size, new)
                continue
            if isinstance(node.op, Result):
                made = _named(several[node.inputs[0]][node.op.index], node)
            else:
                (made,) = _batched(node, inputs, flags, size, new)
            if isinstance(made, Alone):
                new[node] = made.node
            else:
                new[node] = made
                on.add(node)
        elif not all(map(is_, inputs, node.inputs)):
            new[node] = make(node.op, inputs, like=node)
    return [(new.get(node, node), node in on) for node in outputs]


def _batched(
    node: Node, inputs: tuple[Node, ...], flags: tuple[bool, ...], size: Size, new: Mapping[Node, Node]
) -> list[Node | Alone]:
    origin = node.origin
    if origin is not None:
        origin = Origin(origin.role, new.get(origin.node, origin.node))
    with on_behalf_of(node, origin):
        try:
            made = batch_rule(node.op, Call(node, inputs, flags, size))
        except GraphError as error:
            raise explain(error, node.inputs, node) from None
        several = [made] if isinstance(made, (Node, Alone)) else list(made)
        for each, spec in zip(several, _specs(node), strict=True):
            result, expected = (each.node, spec) if isinstance(each, Alone) else (each, batched_spec(spec, size))
            if result.spec != expected:
                raise RewriteError(
                    f"the batching rule of {node.op.name} gives {result.spec} instead of {expected}",
                    f"For one element it is {spec}; the axis of the batch, of size {size}, comes in front.",
                    at=str(node.source or ""),
                )
        if isinstance(made, (Node, Alone)) and all(x is not _node(made) for x in inputs):
            return [_named(made, node)]
    return several


def _node(made: Node | Alone) -> Node:
    return made.node if isinstance(made, Alone) else made


def _named(made: Node | Alone, like: Node) -> Node | Alone:
    """What a rule gave, under the name of the node for one element."""
    result = _node(made)
    if like.name is None or result.name == like.name or not result.inputs:
        return made
    result = build(result.op, result.inputs, result.spec, name=like.name, like=result)
    return Alone(result) if isinstance(made, Alone) else result

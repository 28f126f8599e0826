"""Composites stay single nodes: with their axes moved on, or as `vmap` of the composite, with its own derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from graphnn.functions.activations import log_softmax, softmax
from graphnn.functions.cumulative import cumulative_logsumexp
from graphnn.functions.statistics import logsumexp, mean, std, var, vector_norm
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent, Masked
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.composite import Composite, Definition
from graphnn.ops.movement import Reshape, broadcast_to
from graphnn.ops.operands import as_node
from graphnn.ops.reduction import Sum
from graphnn.transform.batching.rules import Call, batch, batch_rule, symbol

ALONG_AXES: frozenset[Definition[Any]] = frozenset(
    {mean, var, std, logsumexp, vector_norm, softmax, log_softmax, cumulative_logsumexp}
)
"""The composites of one operand whose option `axis` names its axes: an int, several, or None for all."""


@batch_rule.register
def _(op: Composite, call: Call) -> Node:
    if op.elementwise:
        return op(*call.aligned())
    if op.definition in ALONG_AXES:
        options = [
            (key, _further(value, call.node.inputs[0].ndim) if key == "axis" else value) for key, value in op.options
        ]
        return Composite(op.definition, tuple(options))(*call.operands)
    on = dict(zip(op.names, call.batched, strict=True))
    batched = tuple(on.get(name, False) for name in op.definition.operands)  # also for operands that are left out
    return Composite(_over_batch(op.definition, batched), op.options, op.left_out)(*call.operands)


def _further(axis: Any, ndim: int) -> Any:
    if axis is None:
        axis = 0 if ndim == 1 else tuple(range(ndim))
    if isinstance(axis, tuple):
        return tuple([_further(each, ndim) for each in axis])
    return axis if axis < 0 else axis + 1  # negative ones count from the end


class _OverBatch(Definition[Any]):
    """A composite applied to each element of a batch: it has the batched body, and the batched derivative rule."""

    def __init__(self, inner: Definition[Any], batched: tuple[bool, ...]) -> None:
        @functools.wraps(inner.function)
        def function(*operands: Node, **options: Any) -> Node:
            return over_batch(lambda *xs: inner.function(*xs, **options), operands, batched)

        function.__name__ = f"vmap({inner.name})"
        super().__init__(function, inner.latex, "", elementwise=False)
        own = inner.derivative
        if own is not None:

            @self.rule
            def rule(g: Node, *operands: Node, out: Node, **options: Any) -> tuple[Cotangent, ...]:
                return pull_over_batch(functools.partial(own, **options), g, operands, out, batched)


# Equal calls share one definition, so that their nodes are equal.
_over_batch = functools.lru_cache(maxsize=1024)(_OverBatch)


def over_batch(function: Callable[..., Node], operands: tuple[Any, ...], batched: tuple[bool, ...]) -> Node:
    """A function of nodes for each element of a batch; `batched` tells the operands that have its axis, in front.

    Operands that are left out are None.
    """
    inside = [_one(x, f"operand {i}") if on else x for i, (x, on) in enumerate(zip(operands, batched, strict=True))]
    size = operands[batched.index(True)].shape[0]
    replaced = {one: x for one, x, on in zip(inside, operands, batched, strict=True) if on}
    ((made, is_batched),) = batch([as_node(function(*inside))], replaced)
    return made if is_batched else broadcast_to(made, (size, *made.shape))


def _one(x: Node, name: str) -> Node:
    return symbol(x.spec.with_shape(x.shape[1:]), name)


def pull_over_batch(
    rule: Callable[..., tuple[Cotangent, ...]],
    g: Node,
    operands: tuple[Node, ...],
    out: Node,
    batched: tuple[bool, ...],
) -> tuple[Cotangent, ...]:
    """The cotangents for a batch, from the rule ``rule(g, *operands, out=out)`` for one element.

    For an operand that is not batched it has the axis of the batch too: the reverse pass sums over it, as over all axes
    along which an operand was repeated.
    """
    inside = [_one(x, f"operand {i}") if on else x for i, (x, on) in enumerate(zip(operands, batched, strict=True))]
    one_g, one_out = _one(g, "g"), _one(out, "out")
    replaced = {one_g: g, one_out: out}
    replaced.update({one: x for one, x, on in zip(inside, operands, batched, strict=True) if on})
    size = g.shape[0]
    pulled: list[Cotangent] = []
    ends: list[Node] = []
    for cotangent, one in zip(rule(one_g, *inside, out=one_out), inside, strict=True):
        pulled.append(None if cotangent is None else _fitted(cotangent, one))
        ends.extend(_parts(pulled[-1]))
    made = iter([x if on else broadcast_to(x, (size, *x.shape)) for x, on in batch(ends, replaced)])
    return tuple([_like(cotangent, made) for cotangent in pulled])


def _parts(cotangent: Cotangent) -> tuple[Node, ...]:
    if isinstance(cotangent, Masked):
        return tuple(cotangent)
    return () if cotangent is None else (cotangent,)


def _like(cotangent: Cotangent, nodes: Iterator[Node]) -> Cotangent:
    if isinstance(cotangent, Masked):
        return Masked(next(nodes), next(nodes))
    return None if cotangent is None else next(nodes)


def _fitted(cotangent: Node | Masked, operand: Node) -> Node | Masked:
    """The cotangent in the shape of the operand: behind the axis of the batch, axes would not meet by themselves."""
    if isinstance(cotangent, Masked) and cotangent.value.shape == cotangent.mask.shape == operand.shape:
        return cotangent
    value = _whole(cotangent)
    added = value.ndim - operand.ndim
    axes = tuple([i for i in range(value.ndim) if i < added or (operand.shape[i - added] == 1 and value.shape[i] != 1)])
    value = Reshape(operand.shape)(Sum(axes)(value)) if axes else value
    return value if value.dtype is operand.dtype else astype(value, operand.dtype)


def _whole(cotangent: Node | Masked) -> Node:
    if isinstance(cotangent, Masked):
        return where(cotangent.mask, cotangent.value, as_node(0.0, cotangent.value.dtype))
    return cotangent

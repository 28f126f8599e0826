"""The passes that are no lists of rules: they need to see the graph as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

import numpy as np

from graphnn.errors import GraphnnError
from graphnn.ir.leaves import Constant, DimSize, Iota, Payload
from graphnn.ir.node import Node, build
from graphnn.ir.op import Leaf, Multi, Op
from graphnn.ir.rebuild import transform
from graphnn.ir.source import on_behalf_of
from graphnn.ops.arithmetic import Add, Multiply
from graphnn.ops.composite import Composite
from graphnn.ops.host import Barrier, HostOp
from graphnn.ops.movement import BroadcastTo
from graphnn.ops.random import Advance, RandomBits
from graphnn.rewrite import loops
from graphnn.rewrite.engine import Context, Keep, Step, replace
from graphnn.rewrite.products import products_out, turn_weights
from graphnn.rewrite.recompute import less_stacked

FOLD_LIMIT = 1 << 16
"""How many elements a folded constant may have, unless it takes the place of as many."""
_NEVER = (HostOp, Barrier, RandomBits, Advance, Composite)
_FIXED = (Constant, Iota)
_KINDS = ("bool", "int", "uint", "float")


def expand_composites(outputs: Sequence[Node], keep: Keep, stop: tuple[Node, ...] = ()) -> list[Node]:
    """Composites -> their bodies, unless the backend runs them by name; nodes in `stop` are left as they are."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if not isinstance(node.op, Composite) or keep(node.op):
            return None
        with on_behalf_of(node):
            body = node.op.expand(*inputs)
        return expand_composites([body], keep, inputs)[0]  # bodies nest only a few deep

    new = transform(outputs, visit, {node: node for node in stop})
    return [new[node] for node in outputs]


def expand(outputs: Sequence[Node], context: Context) -> list[Node]:
    """Composites become the graphs of their bodies, unless the backend runs them by name."""
    nodes = list(outputs)
    if any(type(node.op) is Composite for node in context.order(nodes)):
        nodes = expand_composites(nodes, context.keeps)
    if _has_bodies(nodes, context):
        nodes = loops.in_bodies(nodes, lambda ends: expand(ends, context))
    return nodes


def _has_bodies(outputs: Sequence[Node], context: Context) -> bool:
    return any(isinstance(node.op, Multi) for node in context.order(outputs))


def inside_of_loops(outputs: Sequence[Node], context: Context) -> list[Node]:
    """All passes inside of loops and branches."""
    stage = context.stage
    nodes = loops.in_bodies(outputs, context.through_all) if _has_bodies(outputs, context) else list(outputs)
    context.stage = stage
    return nodes


def share_loops(outputs: Sequence[Node], context: Context) -> list[Node]:
    """Loops that read the same -> one, and what nobody reads is not carried: the reverse pass repeats nothing."""
    if not _has_bodies(outputs, context):
        return list(outputs)
    return loops.prune(loops.fuse(outputs, _merged))


def _merged(outputs: Sequence[Node]) -> list[Node]:
    return intern(outputs, Context())


def less_in_loops(outputs: Sequence[Node], context: Context) -> list[Node]:
    """What is the same in every step, and products that need not wait for the step before, leave the loop; less is stacked."""
    if not _has_bodies(outputs, context):
        return list(outputs)
    return loops.prune(turn_weights(products_out(loops.hoist(loops.prune(less_stacked(outputs, _merged))))))


def intern(outputs: Sequence[Node], context: Context) -> list[Node]:
    """Equal ops on equal inputs -> one node (common subexpressions). The first one built keeps its name and line."""
    merged = context.merged
    if merged is not None and len(merged) == len(outputs) and all(map(is_, merged, outputs)):
        return list(outputs)  # nothing has changed since
    numbers: dict[Op, int] = {}
    known: dict[int, int] = {}  # the number of an op by its identity, for ops are slow to hash
    seen: dict[tuple[int, ...], Node] = {}  # by the numbers of op and inputs
    new: dict[Node, Node] = {}  # what is replaced
    for node in context.order(outputs):
        op, inputs = node.op, node.inputs
        if not inputs and isinstance(op, Leaf) and not isinstance(op, (Constant, DimSize, Iota)):
            continue
        number = known.get(id(op))
        if number is None:
            number = known[id(op)] = numbers.setdefault(op, len(numbers))
        if new:
            for operand in inputs:
                if operand in new:
                    inputs = tuple([new.get(n, n) for n in inputs])
                    break
        if len(inputs) == 2:
            i, j = inputs[0].index, inputs[1].index
            key: tuple[int, ...] = (number, j, i) if i > j and type(op) in _ANY_ORDER else (number, i, j)
        else:
            key = (number, *[operand.index for operand in inputs])
        first = seen.get(key)
        if first is None:
            seen[key] = node
            if inputs is node.inputs:
                continue
            first = seen[key] = build(op, inputs, node.spec, like=node)
        elif context.log is not None and inputs:
            context.log.append(Step(context.stage, "equal", node, first))
        new[node] = first
    context.merged = tuple([new.get(node, node) for node in outputs])
    return list(context.merged)


_ANY_ORDER = frozenset({Add, Multiply})  # the result is the same to the bit


def fold_constants(outputs: Sequence[Node], context: Context) -> list[Node]:
    """What depends on constants only is computed now, by NumPy, within a limit of size.

    Left to the call are random bits, host operations and what must wait; what grows a value only by repeating it; what fails;
    and what is not finite, so that ``debug="nan"`` can tell where it comes from.
    """
    if context.compute is None:
        return list(outputs)
    fixed: dict[Node, int] = {}  # how many elements of constants a node is computed from
    roots: dict[Node, None] = {}  # what is worth to be computed: nodes that others read which are not fixed
    for node in context.order(outputs):
        if not node.inputs:
            if isinstance(node.op, _FIXED):
                size = node.spec.size
                if isinstance(size, int):
                    fixed[node] = size
            continue
        sizes = [fixed.get(operand) for operand in node.inputs]
        if None not in sizes and _foldable(node, total := sum(size for size in sizes if size is not None)):
            fixed[node] = total
        else:
            roots.update({_unrepeated(operand): None for operand in node.inputs if operand in fixed})
    roots.update({_unrepeated(node): None for node in outputs if node in fixed})
    roots = {node: None for node in roots if node.inputs}
    if not roots:
        return list(outputs)
    folded = _computed(list(roots), context)
    if not folded:
        return list(outputs)
    if context.log is not None:
        context.log.extend(Step(context.stage, "fold", old, new) for old, new in folded.items())
    return replace(context.order(outputs), folded, outputs)


def _unrepeated(node: Node) -> Node:
    while isinstance(node.op, BroadcastTo):
        node = node.inputs[0]
    return node


def _foldable(node: Node, total: int) -> bool:
    size = node.spec.size
    return (
        not isinstance(node.op, _NEVER)
        and node.dtype.kind in _KINDS
        and isinstance(size, int)
        and size <= max(total, FOLD_LIMIT)
    )


def _computed(roots: list[Node], context: Context) -> dict[Node, Node]:
    assert context.compute is not None
    try:
        values = context.compute(roots)
    except GraphnnError:
        if len(roots) == 1:  # it fails at the call, too, with the error that belongs there
            return {}
        found: dict[Node, Node] = {}
        for root in roots:
            found.update(_computed([root], context))
        return found
    return {
        root: build(Constant(Payload(value)), (), root.spec, like=root)
        for root, value in zip(roots, values, strict=True)
        if not root.dtype.is_floating or bool(np.isfinite(value).all())
    }

"""The passes every graph goes through before a backend gets it, in order: a plain list to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_

from graphnn.ir.body import Body, map_bodies
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, DimSize, Iota
from graphnn.ir.node import Node, make
from graphnn.ir.op import Leaf, Op
from graphnn.ir.rebuild import transform
from graphnn.ir.source import on_behalf_of
from graphnn.ops.composite import Composite
from graphnn.rewrite import loops
from graphnn.rewrite.products import products_out

Keep = Callable[[Op], bool]


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


def intern(outputs: Sequence[Node], keep: Keep) -> list[Node]:
    """Equal ops on equal inputs -> one node (common subexpressions). The first one built keeps its name and line."""
    seen: dict[tuple[object, ...], Node] = {}  # by the op and the numbers of its inputs

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if isinstance(node.op, Leaf) and not isinstance(node.op, (Constant, DimSize, Iota)):
            return node
        key = (node.op, *[operand.index for operand in inputs])
        first = seen.get(key)
        if first is None:
            same = all(map(is_, inputs, node.inputs))
            first = seen[key] = node if same else make(node.op, inputs, like=node)
        return first

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


def simplify_loops(outputs: Sequence[Node], keep: Keep) -> list[Node]:
    """All passes inside of loops and branches; then loops that compute the same -> one, with less in it."""
    nodes = list(outputs)
    if all(map_bodies(node.op, lambda body: Body((), ())) is node.op for node in topological(nodes)):
        return nodes
    nodes = loops.in_bodies(nodes, lambda ends: optimize(ends, keep))
    nodes = loops.fuse(nodes, lambda ends: intern(ends, keep))
    return loops.prune(products_out(loops.hoist(loops.prune(nodes))))


Pass = Callable[[Sequence[Node], Keep], list[Node]]
PASSES: tuple[Pass, ...] = (expand_composites, intern, simplify_loops, intern)


def optimize(outputs: Sequence[Node], keep: Keep = lambda op: False) -> list[Node]:
    """The outputs after all passes; `keep` tells the composites that the backend runs by name."""
    nodes = list(outputs)
    for step in PASSES:
        nodes = step(nodes, keep)
    return nodes

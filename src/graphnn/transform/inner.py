"""From a Python function of nodes to a body: the graph inside of a loop or a branch, and what it takes from outside."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple

from graphnn.errors import GraphError, GraphnnError
from graphnn.ir import tree
from graphnn.ir.body import symbol
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, DimSize, Iota, Parameter, Placeholder, State, constant
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.op import General
from graphnn.ir.rebuild import substitute
from graphnn.ir.source import apart, user_source
from graphnn.ir.spec import Spec
from graphnn.ops.operands import as_node
from graphnn.ops.random import Advance


class Built(NamedTuple):
    """What one call of the user's function gave: its result as a tree, and the nodes it took from outside."""

    result: Any
    taken: list[Node]


def symbols(what: str, given: Any, specs: Sequence[Spec]) -> list[Node]:
    """An input of a body for each leaf of a tree, named by its path."""
    with apart():
        return [symbol(f"{what}{path}", spec) for (path, _), spec in zip(tree.leaves(given), specs, strict=True)]


def call(
    name: str, function: Callable[..., Any], arguments: Sequence[Any], own: Sequence[Node], *, lift: bool
) -> Built:
    """Call the user's function on the inputs of a body, and find what it takes from outside.

    These are older nodes, parameters, states and inputs; with `lift` also what it computes from them alone, which then
    stands outside and is computed once.
    """
    first = constant(0.0).index  # nodes are numbered as they are built
    result = tree.map_leaves(as_node, function(*arguments))
    ends = [leaf for _, leaf in tree.leaves(result)]
    inside = set(own)

    def is_outside(node: Node) -> bool:
        if node in inside or isinstance(node.op, (Constant, DimSize, Iota)):
            return False
        return node.index < first or isinstance(node.op, (Parameter, State, Placeholder))

    nodes = _from(ends, is_outside)
    for node in nodes:
        if isinstance(node.op, Advance) and not is_outside(node):
            raise GraphError(
                f"{name}: the function advances the state {node.inputs[1].label}, but what is inside cannot update a state",
                "Give it in and take its next value out as a result; for random numbers, a stream of keys as an operand.",
                operands=operand_rows((node.inputs[1],), ("state",)),
                at=str(node.source or user_source() or ""),
            )
    taken = {node: None for node in nodes if is_outside(node)}
    if lift:
        varying = _staying(nodes, taken, own)
        taken = {}
        for node in nodes:
            if node in varying and node not in inside:
                taken.update({n: None for n in node.inputs if n not in varying and _is_worth(n)})
        taken.update({n: None for n in ends if n not in varying and _is_worth(n)})
    return Built(result, list(taken))


def _staying(nodes: Sequence[Node], outside: Container[Node], own: Sequence[Node]) -> set[Node]:
    """The nodes that depend on the inputs of the body, and all between a checkpoint that does and what it is computed from.

    A checkpoint computes this again, and brings the derivative back to its operands alone: nothing else may lead into it.
    """
    found = set(own)
    while True:
        for node in nodes:
            if node not in outside and any(operand in found for operand in node.inputs):
                found.add(node)
        size = len(found)
        for node in nodes:
            if node in found and node not in outside and isinstance(node.op, General) and node.op.starts_again:
                given = set(node.inputs[1:])
                between = topological(node.inputs[:1], stop=given)
                found.update(n for n in between if n.inputs and n not in given and n not in outside)
        if len(found) == size:
            return found


def _is_worth(node: Node) -> bool:
    return not isinstance(node.op, (Constant, DimSize, Iota))


def _from(ends: Sequence[Node], is_outside: Callable[[Node], bool]) -> tuple[Node, ...]:
    """What the ends are computed from, inputs before users, not past what is outside."""
    seen: set[Node] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if not is_outside(node):
                stack.extend(node.inputs)
    return topological(seen, stop=seen)


def closed(built: Built, taken: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """The outputs with an input of their own in the place of each node from outside; these inputs, and the outputs."""
    with apart():
        stand_in = [symbol(node.label, node.spec) for node in taken]
    ends = [leaf for _, leaf in tree.leaves(built.result)]
    return stand_in, substitute(ends, dict(zip(taken, stand_in, strict=True)))


def structure(given: Any) -> str:
    """A tree with stars in the place of its leaves, for messages."""
    shown = str(tree.map_leaves(lambda leaf: _Star(), given))
    return "one value" if shown == "*" else shown


class _Star:
    def __repr__(self) -> str:
        return "*"


def same_structure(left: Any, right: Any) -> bool:
    """Whether two trees differ in their leaves only."""
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and list(left) == list(right)
            and all(same_structure(left[k], right[k]) for k in left)
        )
    if isinstance(left, (list, tuple)):
        return (
            isinstance(right, (list, tuple))
            and len(left) == len(right)
            and all(same_structure(a, b) for a, b in zip(left, right, strict=True))
        )
    if left is None or right is None:
        return left is right
    return not isinstance(right, (Mapping, list, tuple))


def leaves_as_nodes(name: str, what: str, given: Any) -> list[Node]:
    """The leaves of a tree of nodes, arrays and numbers, as nodes."""
    out = []
    for path, leaf in tree.leaves(given):
        try:
            out.append(as_node(leaf))
        except GraphnnError as error:
            raise type(error)(f"{name}: {what}{path}: {error.headline}", *error.hints) from None
    return out

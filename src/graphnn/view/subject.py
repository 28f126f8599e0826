"""What the views look at: whatever the user gives, as a Graph."""

from __future__ import annotations

from typing import Any, TypeAlias

from graphnn.errors import GraphError, listing
from graphnn.ir import tree
from graphnn.ir.graph import Graph
from graphnn.ir.node import Node
from graphnn.ir.rebuild import transform
from graphnn.ir.source import on_behalf_of, scope
from graphnn.ops.composite import Composite

Subject: TypeAlias = Any
"""A node, a tree of nodes, a `Graph`, a compiled function, or a module that was called before."""


def as_graph(what: Subject) -> Graph:
    """The graph of a node, of a tree of nodes, of a compiled function or of a module.

    Raises
    ------
    GraphError
        If it is none of these.
    """
    if isinstance(what, Graph):
        return what
    if isinstance(what, Node):
        return Graph(what)
    if hasattr(what, "to_graph"):
        return as_graph(what.to_graph())
    if isinstance(getattr(what, "graph", None), Graph):
        return what.graph  # type: ignore[no-any-return]
    if isinstance(what, (dict, list, tuple)):
        nodes = [leaf for _, leaf in tree.leaves(what)]
        strange = [type(leaf).__name__ for leaf in nodes if not isinstance(leaf, Node)]
        if nodes and not strange:
            return Graph(nodes)
        found = f"found {listing(strange)}" if strange else "it is empty"
        raise GraphError(f"a view takes nodes or lists of nodes, but {found}", "Give the node that is computed last.")
    raise GraphError(
        f"a view takes a node, a list of nodes, a Graph or a module, not {type(what).__name__}",
        "Give the node that is computed last, such as the loss.",
    )


def opened(graph: Graph) -> Graph:
    """The same graph with every composite replaced by its body, in a scope with the name of the composite."""
    count: dict[tuple[str, ...], int] = {}
    outputs = [*graph.outputs, *(value for _, value in graph.updates)]

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if not isinstance(node.op, Composite):
            return None
        title = node.label if node.name is not None else node.op.name
        place = (*node.scope, title)
        count[place] = count.get(place, 0) + 1
        with on_behalf_of(node), scope(title if count[place] == 1 else f"{title} ({count[place]})"):
            body = node.op.expand(*inputs)
        return body.named(node.name) if node.name is not None and body.name is None else body

    while any(isinstance(node.op, Composite) for node in Graph(outputs).nodes):
        new = transform(outputs, visit)
        outputs = [new[node] for node in outputs]
    variables = [variable for variable, _ in graph.updates]
    return Graph(outputs[: len(graph.outputs)], zip(variables, outputs[len(graph.outputs) :], strict=True))

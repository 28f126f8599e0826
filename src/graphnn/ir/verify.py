"""Is this graph legal? `function` checks the names, the tests the rest too, after every pass."""

from __future__ import annotations

from graphnn.errors import GraphError, RewriteError
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Parameter, Placeholder, State
from graphnn.ir.node import Node, operand_rows


def verify(graph: Graph) -> None:
    """Check that inputs come before users, specs are what the ops infer, and inputs are told apart by name.

    Raises
    ------
    RewriteError
        If a node was put together wrongly; this is an error in a pass.
    GraphError
        If two different inputs have one name.
    """
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if any(position[operand] >= position[node] for operand in node.inputs):
            raise RewriteError(f"{node.label} comes before one of its inputs")
        if not isinstance(node.op, (Placeholder, Parameter, State)):
            expected = node.op.infer(*(operand.spec for operand in node.inputs))
            if expected != node.spec:
                raise RewriteError(
                    f"{node.label} has the spec {node.spec}, but its op infers {expected}", at=str(node.source)
                )
    check_names(graph)


def check_names(graph: Graph) -> None:
    """Check that no two different inputs have the same name."""
    seen: dict[str | None, Node] = {}
    for node in graph.inputs:
        first = seen.setdefault(node.name, node)
        if first is not node:
            raise GraphError(
                f"two different placeholders have the name {node.name!r}",
                "Give each its own name, or use one node in both places.",
                operands=operand_rows((first, node), ("first", "second")),
            )

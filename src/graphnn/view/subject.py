"""What the views look at: whatever the user gives, as a Graph."""

from __future__ import annotations

from typing import Any, TypeAlias

from graphnn.errors import GraphError, listing
from graphnn.ir import tree
from graphnn.ir.graph import Graph
from graphnn.ir.node import Node
from graphnn.ir.op import Op
from graphnn.ir.rebuild import transform
from graphnn.ir.source import on_behalf_of, scope
from graphnn.ir.spec import Spec
from graphnn.ops.composite import Composite
from graphnn.ops.results import Result
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan, While

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


class Shown(Op):
    """What a picture shows where something goes into a body, or comes out of it; nothing computes it."""

    text: str
    spec: Spec

    @property
    def name(self) -> str:
        return self.text

    @property
    def python(self) -> str:  # type: ignore[override]
        return f"{self.text}({{args}})"

    def infer(self, *specs: Spec) -> Spec:
        return self.spec


def opened(graph: Graph) -> Graph:
    """The same graph with every composite replaced by its body, in a scope with the name of the composite.

    Of a loop one step is shown, of a choice every branch.
    """
    count: dict[tuple[str, ...], int] = {}
    outputs = [*graph.outputs, *(value for _, value in graph.updates)]
    inside: dict[Node, list[Node]] = {}  # the results of loops and choices, as they are shown

    def box(node: Node, title: str) -> str:
        place = (*node.scope, title)
        count[place] = count.get(place, 0) + 1
        return title if count[place] == 1 else f"{title} ({count[place]})"

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if isinstance(node.op, (Scan, While, Switch)):
            with on_behalf_of(node), scope(box(node, node.op.name)):
                inside[node] = _one_step(node.op, inputs)
            return node  # its results read what is shown
        if isinstance(node.op, Result) and node.inputs[0] in inside:
            body = inside[node.inputs[0]][node.op.index]
        elif isinstance(node.op, Composite):
            title = node.label if node.name is not None else node.op.name
            with on_behalf_of(node), scope(box(node, title)):
                body = node.op.expand(*inputs)
        else:
            return None
        return body.named(node.name) if node.name is not None and body.name is None else body

    while any(isinstance(node.op, (Composite, Scan, While, Switch)) for node in Graph(outputs).nodes):
        new = transform(outputs, visit)
        outputs = [new[node] for node in outputs]
    variables = [variable for variable, _ in graph.updates]
    return Graph(outputs[: len(graph.outputs)], zip(variables, outputs[len(graph.outputs) :], strict=True))


def _one_step(op: Scan | While | Switch, operands: tuple[Node, ...]) -> list[Node]:
    """The results, as what a step or the branches give."""
    if isinstance(op, Switch):
        index, *given = operands
        branches = [body(*given) for body in op.bodies]
        return [Shown("switch", column[0].spec)(index, *column) for column in zip(*branches, strict=True)]
    body, first = op.body, op.consts
    along = op.consts + op.carries if isinstance(op, Scan) else len(operands)
    given = [
        x if i < first else Shown("carry" if i < along else "element", inner.spec)(x)
        for i, (x, inner) in enumerate(zip(operands, body.inputs, strict=True))
    ]
    ends = body(*given)
    if isinstance(op, While):
        (going,) = op.condition(*given)
        return [Shown("until done", end.spec)(end, going) for end in ends]
    stacked = [end.spec.with_shape((op.length, *end.shape)) for end in ends[op.carries :]]
    return [
        *[Shown("last", end.spec)(end) for end in ends[: op.carries]],
        *[Shown("stack", spec)(end) for end, spec in zip(ends[op.carries :], stacked, strict=True)],
    ]

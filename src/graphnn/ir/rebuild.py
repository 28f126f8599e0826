"""Graph in, graph out: put other nodes in the place of some, and rebuild what depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_

from graphnn.ir.dims import Size
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, DimSize, Payload
from graphnn.ir.node import Node, build, make
from graphnn.ir.op import Leaf


def transform(
    outputs: Sequence[Node],
    visit: Callable[[Node, tuple[Node, ...]], Node | None],
    replaced: Mapping[Node, Node] | None = None,
) -> dict[Node, Node]:
    """Rebuild in topological order. For each node, `visit` gets it and its new inputs, and gives its replacement.

    None keeps the node where its inputs are unchanged, and else makes the same op anew with its name and line.
    Returns the new node for every old one.
    """
    new: dict[Node, Node] = dict(replaced or {})
    for node in topological(outputs, stop=new):
        if node in new:
            continue
        inputs = tuple([new[operand] for operand in node.inputs])
        made = visit(node, inputs)
        if made is None:
            if all(map(is_, inputs, node.inputs)):
                made = node
            elif all(map(_same_spec, inputs, node.inputs)):
                made = build(node.op, inputs, node.spec, like=node)  # what it infers depends on nothing else
            else:
                made = make(node.op, inputs, like=node)
        new[node] = made
    return new


def _same_spec(one: Node, other: Node) -> bool:
    return one is other or one.spec == other.spec


def substitute(outputs: Sequence[Node], replaced: Mapping[Node, Node]) -> list[Node]:
    """The outputs with some nodes replaced by others."""
    new = transform(outputs, lambda node, inputs: None, replaced)
    return [new[node] for node in outputs]


def inline(outputs: Sequence[Node], inputs: Iterable[Node], arguments: Iterable[Node]) -> list[Node]:
    """A copy of an inner graph with `arguments` in the place of its inputs.

    The copies belong to whatever is being built: they take line, scope and origin from there.
    """
    new: dict[Node, Node] = dict(zip(inputs, arguments, strict=True))
    for node in topological(outputs, stop=new):
        if node not in new:
            new[node] = build(node.op, tuple([new[n] for n in node.inputs]), node.spec)
    return [new[node] for node in outputs]


def bind_sizes(outputs: Sequence[Node], sizes: Mapping[str, Size], leaves: dict[Node, Node]) -> list[Node]:
    """The outputs for concrete sizes: specs and ops lose their names, DimSize becomes a constant.

    `leaves` is filled with the new leaf for every old one that the user gives or keeps.
    """

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if isinstance(node.op, DimSize):
            value = node.op.dtype.numpy.type(node.op.bind(sizes).size)  # type: ignore[attr-defined]
            return build(Constant(Payload(value)), (), node.spec, like=node)  # type: ignore[no-any-return]
        if isinstance(node.op, Leaf) and not node.spec.names:
            return node
        bound = build(node.op.bind(sizes), inputs, node.spec.substitute(sizes), like=node)
        if isinstance(node.op, Leaf):
            leaves[node] = bound
        return bound  # type: ignore[no-any-return]

    new = transform(outputs, visit)
    return [new[node] for node in outputs]

"""Body: a graph inside an op, such as the step of a loop or a branch of a choice.

A body is closed: it is computed from its own placeholders, which belong to nobody else, and from constants. What it needs
from the graph around it comes in as an operand of the op that holds it, so that derivatives and rewrites see all of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graphnn.ir.dims import Size
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Placeholder
from graphnn.ir.node import Node, build
from graphnn.ir.op import Inner, Op
from graphnn.ir.rebuild import bind_sizes, inline
from graphnn.ir.spec import Spec


class Body(Inner):
    """Inputs, which are placeholders, and outputs computed from them. Equal if both compute the same by the same ops.

    >>> x = gn.placeholder("x", (3,))
    >>> Body((x,), (x * x,)) == Body((x,), (x * x,))
    True
    """

    __slots__ = ("_form", "_hash", "_names", "inputs", "outputs")

    def __init__(self, inputs: Iterable[Node], outputs: Iterable[Node]) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._form: tuple[Any, ...] | None = None
        self._names: frozenset[str] | None = None

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, inputs before users."""
        return topological([*self.inputs, *self.outputs])

    @property
    def size_names(self) -> frozenset[str]:
        if self._names is None:
            self._names = frozenset(name for n in self.nodes for name in (n.spec.names | n.op.size_names()))
        return self._names

    def bind(self, sizes: Mapping[str, Size]) -> Body:
        if self.size_names.isdisjoint(sizes):
            return self
        bound: dict[Node, Node] = {}
        ends = bind_sizes([*self.outputs, *self.inputs], sizes, bound)
        return Body([bound.get(node, node) for node in self.inputs], ends[: len(self.outputs)])

    def __call__(self, *arguments: Node) -> list[Node]:
        """The outputs for these arguments, as nodes of the graph that is being built."""
        return inline(self.outputs, self.inputs, arguments)

    def form(self) -> tuple[Any, ...]:
        """What is equal for equal bodies: every node as its op, the numbers of its inputs and its spec."""
        if self._form is None:
            number = {node: i for i, node in enumerate(self.inputs)}
            rows: list[Any] = [node.spec for node in self.inputs]
            stack = list(reversed(self.outputs))
            while stack:
                node = stack[-1]
                missing = [operand for operand in reversed(node.inputs) if operand not in number]
                if node in number or not missing:
                    stack.pop()
                    if node not in number:
                        number[node] = len(number)
                        rows.append((node.op, tuple([number[n] for n in node.inputs]), node.spec))
                else:
                    stack.extend(missing)
            self._form = (len(self.inputs), tuple(rows), tuple([number[node] for node in self.outputs]))
            self._hash = hash(self._form)
        return self._form

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Body) and self.form() == other.form())

    def __hash__(self) -> int:
        self.form()
        return self._hash

    def __repr__(self) -> str:
        return f"<{len(self.nodes)} nodes>"


def symbol(name: str, spec: Spec) -> Node:
    """An input of a body."""
    return build(Placeholder(), (), spec, name=name)  # type: ignore[no-any-return]


def symbols_like(nodes: Sequence[Node], prefix: str) -> list[Node]:
    """An input of a body for each node."""
    return [symbol(f"{prefix}{node.label}", node.spec) for node in nodes]


def depending(body: Body, on: Iterable[Node]) -> set[Node]:
    """The nodes of a body that depend on some of its inputs, and these."""
    found = set(on)
    for node in body.nodes:
        if any(operand in found for operand in node.inputs):
            found.add(node)
    return found


def map_bodies(op: Op, change: Callable[[Body], Body]) -> Op:
    """The same op with other bodies in its fields."""
    changed: dict[str, Any] = {}
    for name, value in op.fields().items():
        if isinstance(value, Body):
            changed[name] = change(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Body):
            changed[name] = tuple([change(body) for body in value])
    return dataclasses.replace(op, **changed) if changed else op

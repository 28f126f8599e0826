"""Checkpoints: parts of a graph that the reverse pass computes again instead of keeping their values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from graphnn.errors import GraphError
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, Parameter, Placeholder, State, constant
from graphnn.ir.node import Node, build
from graphnn.ir.op import Cotangent, General
from graphnn.ir.rebuild import transform
from graphnn.ir.source import user_source
from graphnn.ir.spec import Spec
from graphnn.ops.host import Barrier
from graphnn.ops.random import Advance
from graphnn.transform.reverse import Pull, reverse_pass

P = ParamSpec("P")


class Checkpoint(General):
    """The first operand, computed from the others; a reverse pass starts again from those"""

    latex, python = "{0:100}", "{0:100}"
    starts_again = True

    def infer(self, *specs: Spec) -> Spec:
        return specs[0]

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        y, *given = operands
        # Waiting for g keeps what is computed again apart from what was computed first: in time, and from `intern`,
        # which would make one node of both.
        late = {x: Barrier()(x, g) for x in given}
        again = transform([y], _copy, late)[y]
        targets = [x for x in late.values() if x.dtype.is_floating]
        found, _ = reverse_pass([again], [Pull(g)], targets, frozenset(late.values()), serve=out, ends=True)
        pulls = {x: found[late[x]].materialized() for x in late if late[x] in found}
        return None, *[pulls.pop(x, None) for x in given]  # an operand that stands twice has its sum once

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        return tangents[0]  # the tangents went through all that is computed the first time


def _copy(node: Node, inputs: tuple[Node, ...]) -> Node:
    if isinstance(node.op, Advance):  # a state advances once
        return inputs[0]
    return build(node.op, inputs, node.spec) if inputs else node


def checkpoint(function: Callable[P, Node]) -> Callable[P, Node]:
    r"""The same function of nodes, whose intermediate values are not kept for the reverse pass but computed again.

    With ``y = f(x)``, the pass that brings the cotangent g of y starts with a second computation of f from x:
    :math:`\bar x = \bar x + g\, \partial f(x) / \partial x`. A chain of n such parts of n steps each keeps about 2n values
    instead of n², for the time of one more forward pass. Parameters and other nodes that the function uses without
    taking them as arguments have their derivatives too; nodes that are made inside of it have none of their own.
    Forward mode keeps nothing, and does nothing twice.

    Source: Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016; Griewank, Walther,
    "Algorithm 799: revolve", ACM Transactions on Mathematical Software 26, 2000.

    Parameters
    ----------
    function : takes any arguments, gives one node; a module will do

    Raises
    ------
    GraphError
        At a call, if the function does not give a node.

    >>> x = gn.placeholder("x", (2,))
    >>> block = gn.checkpoint(lambda x: gn.exp(gn.sin(x)))
    >>> gn.evaluate(gn.grad(gn.sum(block(x)), x), {x: [0.0, 1.0]})
    array([1.       , 1.2533808], dtype=float32)
    """
    if not callable(function) or isinstance(function, Node):
        raise GraphError(
            f"checkpoint: {function!r} is not a function"[:200],
            "It goes around a function of nodes: y = gn.checkpoint(block)(x).",
        )

    @functools.wraps(function, updated=())  # the attributes of a module stay with it
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Node:
        first = constant(0.0).index  # nodes are numbered as they are built
        y = function(*args, **kwargs)
        if not isinstance(y, Node):
            raise GraphError(
                f"checkpoint: the function gives {type(y).__name__}, not a node",
                "Let it return one node; join several with gn.concat or gn.stack.",
                at=str(user_source() or ""),
            )
        given = _given(y, first)
        return Checkpoint()(y, *given) if given and given[0] is not y else y

    return wrapped


def _given(y: Node, first: int) -> list[Node]:
    """What y is computed from: the nodes that are older than the number `first`, and variables and inputs."""

    def is_given(node: Node) -> bool:
        return node.index < first or isinstance(node.op, (Parameter, State, Placeholder))

    reached: dict[Node, None] = {}
    seen: set[Node] = set()
    stack: list[Any] = [y]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if not is_given(node):
            stack.extend(node.inputs)
        elif not isinstance(node.op, Constant):
            reached[node] = None
    return list(topological(reached, stop=reached))

"""Functions with a derivative of the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from graphnn.errors import GraphError
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Parameter, Placeholder, State
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent
from graphnn.ir.rebuild import transform
from graphnn.ops.composite import Definition
from graphnn.ops.host import as_cotangents
from graphnn.ops.operands import as_node

P = ParamSpec("P")


def custom_gradient(function: Callable[P, tuple[Any, Callable[[Node], Any]]]) -> Definition[P]:
    r"""An operation whose derivative is given with its value, by one function of nodes; used as a decorator.

    The function returns ``(value, pull)``, where ``pull(g)`` gives the cotangents
    :math:`\bar x_i = \sum g\, \partial y / \partial x_i` of all operands for the cotangent g of the value: a tuple, or one
    node where there is one operand; None stands for zero. A cotangent has the shape of its operand, or one that the
    operand broadcasts to, and is then summed. Forward mode follows if `pull` is linear in g, as a derivative is; a `pull`
    that is not, because it clips, serves the reverse mode only. Higher derivatives are those of `pull`, in which the value
    has the given derivative again.

    Parameters
    ----------
    function : its positional-only parameters are operands, all others static options, which must be hashable

    Returns
    -------
    A composite: one node with the name of the function. With a rule apart from the body, write it with `composite`.

    Raises
    ------
    GraphError
        If the function has no operands, does not return such a pair, or uses parameters or inputs that are no operands.
    DifferentiationError, ShapeError
        If a derivative is asked for and `pull` does not fit.

    >>> @gn.custom_gradient
    ... def rounded(x, /):
    ...     return gn.round(x), lambda g: g  # straight through
    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.grad(gn.sum(rounded(x) * x), x), {x: [0.75, 2.25]})
    array([1.75, 4.25], dtype=float32)
    """
    name = getattr(function, "__name__", "custom_gradient")

    def called(operands: tuple[Any, ...], options: dict[str, Any]) -> tuple[Node, Callable[[Node], Any]]:
        pair: Any = function(*operands, **options)
        if not isinstance(pair, tuple) or len(pair) != 2 or not callable(pair[1]):
            raise GraphError(
                f"custom_gradient: {name} returns {type(pair).__name__}, not a pair (value, pull)",
                "For example: return gn.exp(x), lambda g: g * gn.exp(x).",
            )
        return as_node(pair[0]), pair[1]

    @functools.wraps(function)
    def value(*operands: Any, **options: Any) -> Node:
        made = called(operands, options)[0]
        given = set(operands)
        for node in topological([made], stop=given):
            if isinstance(node.op, (Parameter, Placeholder, State)) and node not in given:
                raise GraphError(
                    f"custom_gradient: {name} uses {node.label}, which is not an operand",
                    "Its derivative would be lost: make it an operand of the function, and give its cotangent.",
                )
        return made

    value.__name__ = name  # what has no name of its own got none from `wraps`
    out: Definition[P] = Definition(value, "", "", elementwise=False)
    if not out.operands:
        raise GraphError(
            f"custom_gradient: {name} has no operands", f"Operands stand before a slash: def {name}(x, y, /)."
        )

    @out.rule
    def rule(g: Node, *operands: Node, out: Node, **options: Any) -> tuple[Cotangent, ...]:
        made, pull = called(operands, options)
        cotangents = as_cotangents(name, pull(g), operands, out)
        if not made.inputs or made in set(operands):
            return cotangents
        # The value that `pull` uses is the node that is differentiated, so that its own derivative is the given one.
        ends = [node for node in cotangents if isinstance(node, Node)]
        new = transform(ends, lambda node, inputs: None, {**{x: x for x in operands}, g: g, made: out})
        return tuple(new[node] if isinstance(node, Node) else None for node in cotangents)

    return out

"""`vmap`: a function of nodes for one element, applied to a batch of them in one graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from graphnn.errors import GraphError, ShapeError
from graphnn.ir import tree
from graphnn.ir.dims import Size
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.source import user_source
from graphnn.ir.spec import shape_text
from graphnn.ops.movement import PermuteDims, broadcast_to
from graphnn.ops.operands import as_node
from graphnn.transform.batching import batch
from graphnn.transform.batching.rules import symbol

Axes = Any
"""An axis, None, or a tree of them."""


class _Argument(NamedTuple):
    """A batched argument: where it stands in the call, its node, and its axis."""

    path: str
    node: Node
    axis: int

    @property
    def size(self) -> Size:
        return self.node.shape[self.axis]


def vmap(function: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Any]:
    """The same function of nodes for a whole batch: ``vmap(f)(x)[i] = f(x[i])``, without a loop.

    The function is called once, with nodes that lack the axis of the batch; each operation of the graph that it builds is
    then replaced by one for the batch. What does not depend on a batched argument is computed once for all elements:
    parameters and other nodes that the function uses, too. The result is an ordinary graph, so `vmap` may be nested,
    differentiated, and go around a function that asks for derivatives.

    Parameters
    ----------
    function : takes nodes, or trees of nodes, and gives a node or a tree of nodes
    in_axes : the axis of the batch in the arguments: an int for all, or a tuple with an int or None for each; where an
        argument is a tree, also a tree of them, as far as it goes. None: it is not batched, and may be anything. Keyword
        arguments are options, and are handed on
    out_axes : where the axis of the batch comes in the results: an int, or a tree as far as it goes. None: the result is
        the same for all elements, and has no such axis

    Returns
    -------
    A function of positional arguments: nodes or arrays. The size of the batch may be a name.

    Raises
    ------
    GraphError, ShapeError
        At a call, if axes or sizes do not fit, nothing is batched, a state would get a next value of its own for each
        element, or an operation without a batching rule meets a batch whose size is a name.

    An operation of your own that is no `Elementwise` and has no batching rule is applied to one element after the other;
    `graphnn.transform.batching` tells how to write a rule.

    Source: the idea and the meaning of the axes are those of ``jax.vmap``.

    >>> w = gn.constant([1.0, 2.0])
    >>> x = gn.placeholder("x", ("batch", 2))
    >>> gradient = gn.vmap(lambda x: gn.grad(gn.sum(gn.square(w * x)), x))(x)
    >>> gn.evaluate(gradient, {x: [[1.0, 1.0], [0.0, 2.0]]})
    array([[ 2.,  8.],
           [ 0., 16.]], dtype=float32)
    """
    if not callable(function) or isinstance(function, Node):
        raise _error(
            GraphError,
            f"vmap: {function!r} is not a function"[:200],
            "It goes around a function of nodes: gn.vmap(lambda x: x @ x)(xs).",
        )

    @functools.wraps(function, updated=())  # the attributes of a module stay with it
    def wrapped(*args: Any, **options: Any) -> Any:
        for _, leaf in tree.leaves(options):
            if isinstance(leaf, (Node, np.ndarray)):
                raise _error(
                    GraphError,
                    "vmap: a keyword argument holds an array, but only positional arguments are batched",
                    "Give it by its place, with an axis or None in in_axes.",
                )
        given, arguments = _arguments(args, in_axes)
        size = _common_size(arguments)
        inside = {a.path: symbol(_spec(a), a.node.name or a.path) for a in arguments}
        result = function(*given(inside), **options)
        ends = [_as_result(path, leaf) for path, leaf in tree.leaves(result)]
        replaced = {inside[a.path]: _to_front(a.node, a.axis) for a in arguments}
        places = list(_prefix("out_axes", out_axes, result, "the result"))
        made = [
            _placed(path, node, is_batched, axis, size)
            for (node, is_batched), (path, _, axis) in zip(batch(ends, replaced), places, strict=True)
        ]
        return tree.rebuild(result, iter(made))

    return wrapped


def _error(
    kind: type[GraphError] | type[ShapeError], headline: str, *hints: str, nodes: tuple[_Argument, ...] = ()
) -> Any:
    rows = operand_rows(tuple(a.node for a in nodes), tuple(a.path for a in nodes))
    return kind(headline, *hints, operands=rows, at=str(user_source() or ""))


def _arguments(
    args: tuple[Any, ...], in_axes: Axes
) -> tuple[Callable[[Mapping[str, Node]], list[Any]], list[_Argument]]:
    """The batched arguments, and what makes all arguments of the nodes that stand for them."""
    if isinstance(in_axes, (tuple, list)) and len(in_axes) != len(args):
        raise _error(
            GraphError,
            f"vmap: in_axes has {len(in_axes)} entries, but there {'is' if len(args) == 1 else 'are'} {len(args)} "
            f"argument{'' if len(args) == 1 else 's'}",
            "Give an axis or None for each positional argument, or one int for all.",
        )
    found: list[_Argument] = []
    leaves: list[tuple[str, Any, bool]] = []
    for i, arg in enumerate(args):
        axes = in_axes[i] if isinstance(in_axes, (tuple, list)) else in_axes
        for path, leaf, axis in _prefix("in_axes", axes, arg, f"argument {i}"):
            leaves.append((path, leaf, axis is not None))
            if axis is not None:
                node = as_node(leaf)
                found.append(_Argument(path, node, _axis("in_axes", path, axis, node.ndim, str(node.spec))))
    if not found:
        raise _error(
            GraphError,
            "vmap: no argument is batched" if args else "vmap: the function is called without arguments",
            "At least one positional argument has an axis of the batch: in_axes=(0, None), for example.",
        )

    def given(inside: Mapping[str, Node]) -> list[Any]:
        values: Iterator[Any] = iter([inside[path] if on else leaf for path, leaf, on in leaves])
        return [tree.rebuild(arg, values) for arg in args]

    return given, found


def _spec(argument: _Argument) -> Any:
    shape, axis = argument.node.shape, argument.axis
    return argument.node.spec.with_shape((*shape[:axis], *shape[axis + 1 :]))


def _common_size(arguments: list[_Argument]) -> Size:
    first = arguments[0]
    for other in arguments[1:]:
        if other.size != first.size:
            known = isinstance(first.size, int) and isinstance(other.size, int)
            raise _error(
                ShapeError,
                f"vmap: the sizes of the batch differ: {first.size} != {other.size}",
                f"It is axis {first.axis} of {first.path} and axis {other.axis} of {other.path}.",
                "What all elements share is not batched: None in in_axes."
                if known
                else f"Whether {first.size} equals {other.size} is not known before the call. "
                "Give both the same size name, or the same number.",
                nodes=(first, other),
            )
    return first.size


def _prefix(what: str, axes: Axes, values: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """The leaves of a tree with their paths, and the axis that a tree of axes, as far as it goes, gives each."""
    if axes is None or hasattr(axes, "__index__"):
        for below, leaf in tree.leaves(values):
            yield path + below, leaf, axes
    elif isinstance(axes, Mapping) and isinstance(values, Mapping) and set(axes) == set(values):
        for key, value in values.items():
            yield from _prefix(what, axes[key], value, f"{path}[{key!r}]")
    elif isinstance(axes, (tuple, list)) and isinstance(values, (tuple, list)) and len(axes) == len(values):
        for i, value in enumerate(values):
            yield from _prefix(what, axes[i], value, f"{path}[{i}]")
    else:
        raise _error(
            GraphError,
            f"vmap: {what} {axes!r} does not fit {path}, which is {_kind(values)}"[:200],
            "Give an int or None, or a tree of them that has the same keys and lengths as far as it goes.",
        )


def _kind(values: Any) -> str:
    if isinstance(values, Mapping):
        return f"a dict with the keys {', '.join(map(repr, values))}"
    if isinstance(values, (tuple, list)):
        return f"a {type(values).__name__} of {len(values)}"
    return str(values.spec) if isinstance(values, Node) else f"of the type {type(values).__name__}"


def _axis(what: str, path: str, axis: Any, ndim: int, shown: str) -> int:
    if isinstance(axis, bool):
        raise _error(GraphError, f"vmap: an axis is an int, not {axis}", "Axes are counted from 0; None: not batched.")
    place = int(axis.__index__())
    if not -ndim <= place < ndim:
        # A list of numbers is a tree with a number at each leaf.
        listed = "A list is a tree of arguments: make an array of it." if what == "in_axes" and "[" in path else ""
        few = "Its only axis is 0; give" if ndim else "A scalar has no axes; give"
        hint = f"Use {-ndim} to {ndim - 1}, or" if ndim > 1 else few
        raise _error(
            ShapeError,
            f"vmap: {what} {place} is out of range for {path}, which is {shown}",
            f"{hint} None for what {'is not batched' if what == 'in_axes' else 'is the same for all elements'}.",
            "" if ndim else listed,
        )
    return place % ndim


def _as_result(path: str, leaf: Any) -> Node:
    if not isinstance(leaf, (Node, np.ndarray, np.generic, bool, int, float)):
        raise _error(
            GraphError,
            f"vmap: the function gives {type(leaf).__name__}{' at ' + path if path else ''}, not a node",
            "Let it return a node, or a tree of nodes.",
        )
    return as_node(leaf)


def _to_front(x: Node, axis: int) -> Node:
    return x if axis == 0 else PermuteDims((axis, *(i for i in range(x.ndim) if i != axis)))(x)


def _placed(path: str, node: Node, is_batched: bool, axis: Any, size: Size) -> Node:
    """A result with the axis of the batch where it is wanted."""
    if axis is None:
        if is_batched:
            raise _error(
                GraphError,
                f"vmap: out_axes is None for {path}, but it is another value for each element of the batch",
                "Give the place of the axis, such as out_axes=0, or reduce it outside: gn.sum(gn.vmap(f)(x), axis=0).",
            )
        return node
    ndim = node.ndim + (not is_batched)
    place = _axis("out_axes", path, axis, ndim, f"{shape_text(node.shape[is_batched:])} for one element")
    if not is_batched:
        node = broadcast_to(node, (size, *node.shape))
    if place == 0:
        return node
    order = list(range(1, ndim))
    order.insert(place, 0)
    return PermuteDims(tuple(order))(node)

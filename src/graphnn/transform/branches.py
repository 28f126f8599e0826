"""Choices between graphs: only the branch that is taken is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphnn.errors import DTypeError, GraphError, GraphnnError, ShapeError
from graphnn.ir import tree
from graphnn.ir.body import Body, symbols_like
from graphnn.ir.dtype import bool_
from graphnn.ir.node import Node, operand_rows
from graphnn.ir.op import Cotangent, Multi
from graphnn.ir.source import apart, user_source
from graphnn.ir.spec import Bundle, Spec
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.results import results
from graphnn.transform.forward import forward_pass
from graphnn.transform.inner import Built, call, closed, leaves_as_nodes, same_structure, structure, symbols
from graphnn.transform.reverse import Pull, reverse_pass, zeros_of


class Switch(Multi):
    """One of the bodies, chosen by the first operand, applied to the others; a bool chooses between the last and the first"""

    bodies: tuple[Body, ...]
    latex = r"\operatorname{{switch}}_{{{0}}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Bundle:
        index = specs[0]
        if index.ndim or not (index.dtype.is_integer or index.dtype is bool_):
            raise DTypeError(
                f"switch: the choice is {index}, not an integer or bool scalar", "To choose by element use gn.where."
            )
        first = self.bodies[0]
        for body in self.bodies:
            for i, (spec, inner) in enumerate(zip(specs[1:], body.inputs, strict=True)):
                if spec != inner.spec:
                    raise ShapeError(f"switch: operand {i} is {spec}, but a branch takes {inner.spec}")
            for mine, other in zip(body.outputs, first.outputs, strict=True):
                if mine.spec != other.spec:
                    raise ShapeError(f"switch: one branch gives {other.spec}, another one {mine.spec}")
        return Bundle([node.spec for node in first.outputs])

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        places = [i for i, g in enumerate(gs) if g is not None]
        with apart():
            arriving = symbols_like([outs[i] for i in places], "g of ")
        found: list[dict[int, Node]] = []
        for body in self.bodies:
            targets = [node for node in body.inputs if node.dtype.is_floating]
            ends, pulls = [body.outputs[i] for i in places], [Pull(g) for g in arriving]
            adjoints, _ = reverse_pass(ends, pulls, targets, frozenset(body.inputs))
            found.append({i: adjoints[n].materialized() for i, n in enumerate(body.inputs) if n in adjoints})
        pulled = sorted(set().union(*found))
        bodies = [
            Body([*body.inputs, *arriving], [mine[i] if i in mine else zeros_of(body.inputs[i]) for i in pulled])
            for body, mine in zip(self.bodies, found, strict=True)
        ]
        out: list[Cotangent] = [None] * len(operands)
        made = results(Switch(tuple(bodies)), *operands, *[g for g in gs if g is not None]) if pulled else ()
        for i, node in zip(pulled, made, strict=True):
            out[i + 1] = node
        return tuple(out)

    def jvp(
        self, tangents: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]
    ) -> tuple[Node | None, ...]:
        moving = [i for i, t in enumerate(tangents[1:]) if t is not None]
        inner: list[tuple[list[Node], dict[Node, Node]]] = []
        for body in self.bodies:
            with apart():
                moved = symbols_like([body.inputs[i] for i in moving], "d ")
            given = {body.inputs[i]: d for i, d in zip(moving, moved, strict=True)}
            inner.append((moved, forward_pass(body.outputs, given, frozenset(body.inputs))))
        places = [
            i for i in range(len(outs)) if any(b.outputs[i] in f for b, (_, f) in zip(self.bodies, inner, strict=True))
        ]
        bodies = [
            Body([*body.inputs, *moved], [_or_zeros(found, body.outputs[i]) for i in places])
            for body, (moved, found) in zip(self.bodies, inner, strict=True)
        ]
        pushed = [t for t in tangents if t is not None]
        made = results(Switch(tuple(bodies)), *operands, *pushed) if places else ()
        out: list[Node | None] = [None] * len(outs)
        for i, node in zip(places, made, strict=True):
            out[i] = node
        return tuple(out)


def _or_zeros(found: dict[Node, Node], node: Node) -> Node:
    return found[node] if node in found else zeros_of(node)


def cond(condition: Operand, on_true: Callable[..., Any], on_false: Callable[..., Any], *operands: Any) -> Any:
    """One of two functions of nodes, of which only the one that is chosen is computed: ``c ? f(x) : g(x)``.

    The derivative is that of the branch taken; it computes that branch again. To choose element by element use `where`.

    Parameters
    ----------
    condition : a bool scalar
    on_true, on_false : from the operands to a node or a tree of nodes, the same specs in both; each is called once, with
        nodes. Parameters and other nodes may be used as they are
    operands : what both functions get: nodes, or trees of them

    Raises
    ------
    DTypeError, ShapeError, GraphError
        If the condition is not a bool scalar, or the branches differ in what they give.

    >>> x = gn.placeholder("x")
    >>> y = gn.cond(x > 0, lambda: gn.sqrt(x), lambda: -x)
    >>> [float(gn.evaluate(y, {x: value})) for value in (4.0, -3.0)]
    [2.0, 3.0]
    """
    node = as_node(condition)
    if node.dtype is not bool_ or node.ndim:
        raise DTypeError(
            f"cond: the condition is {node.spec}, not a bool scalar",
            "Compare, for example x > 0; gn.any and gn.all make one bool of many. To choose by element use gn.where.",
            operands=operand_rows((node,), ("condition",)),
            at=str(user_source() or ""),
        )
    return _choose("cond", node, [("on_false", on_false), ("on_true", on_true)], operands)


def switch(index: Operand, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """One of several functions of nodes, chosen by its number; only that one is computed.

    Parameters
    ----------
    index : an integer scalar from 0; a number that is no branch is an error when it runs
    branches : functions of the operands, all with results of the same specs
    operands : what all functions get: nodes, or trees of them

    Raises
    ------
    DTypeError, ShapeError, GraphError
        If the index is not an integer scalar, or the branches differ in what they give.
    IndexRangeError
        When it runs, if the index is negative or too large.

    >>> i = gn.placeholder("i", (), "int64")
    >>> x = gn.placeholder("x")
    >>> y = gn.switch(i, [gn.sin, gn.cos, lambda x: 2 * x], x)
    >>> float(gn.evaluate(y, {i: 2, x: 4.0}))
    8.0
    """
    node = as_node(index)
    if not node.dtype.is_integer or node.ndim:
        raise DTypeError(
            f"switch: the index is {node.spec}, not an integer scalar",
            "For a bool use gn.cond.",
            operands=operand_rows((node,), ("index",)),
            at=str(user_source() or ""),
        )
    named = [(f"branch {i}", branch) for i, branch in enumerate(branches)]
    if not named:
        raise GraphError("switch: there are no branches", "Give a list of functions.")
    return _choose("switch", node, named, operands)


def _choose(name: str, index: Node, branches: list[tuple[str, Callable[..., Any]]], operands: tuple[Any, ...]) -> Any:
    given = leaves_as_nodes(name, "operands", operands)
    built: list[tuple[list[Node], Built]] = []
    for what, branch in branches:
        if not callable(branch) or isinstance(branch, Node):
            raise GraphError(
                f"{name}: {what} is a function of the operands, not {branch!r}"[:200],
                "For example gn.cond(x > 0, lambda: gn.sqrt(x), lambda: -x).",
            )
        own = symbols("operands", operands, [node.spec for node in given])
        built.append((own, call(name, branch, tree.rebuild(operands, iter(own)), own, lift=False)))
    first = built[0][1].result
    for (what, _), (_, made) in zip(branches[1:], built[1:], strict=True):
        if not same_structure(first, made.result):
            raise GraphError(
                f"{name}: {branches[0][0]} gives {structure(first)}, but {what} gives {structure(made.result)}",
                "All branches give results of the same structure.",
                at=str(user_source() or ""),
            )
        for (path, a), (_, b) in zip(tree.leaves(first), tree.leaves(made.result), strict=True):
            if a.spec != b.spec:
                raise _differ(name, f"{branches[0][0]}{path}", a, f"{what}{path}", b)
    taken = list(dict.fromkeys(node for _, made in built for node in made.taken))
    bodies = []
    for own, made in built:
        inner, ends = closed(made, taken)
        bodies.append(Body([*own, *inner], ends))
    return tree.rebuild(first, iter(results(Switch(tuple(bodies)), index, *given, *taken)))


def _differ(name: str, left: str, a: Node, right: str, b: Node) -> GraphnnError:
    kind = ShapeError if a.shape != b.shape else DTypeError
    return kind(
        f"{name}: {left} gives {a.spec}, but {right} gives {b.spec}",
        f"Cast one of them: .astype('{a.dtype}')." if kind is DTypeError else "All branches give the same shapes.",
        operands=operand_rows((a, b), (left, right)),
        at=str(user_source() or ""),
    )

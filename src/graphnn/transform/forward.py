"""Forward mode: tangents are carried along the topological order, from the inputs to the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.errors import DifferentiationError
from graphnn.ir import tree
from graphnn.ir.leaves import Placeholder, constant
from graphnn.ir.node import Node, build, explain
from graphnn.ir.op import Elementwise, General, Linear, Multi
from graphnn.ir.source import apart, serving
from graphnn.ops.arithmetic import negative
from graphnn.ops.bitwise import astype
from graphnn.ops.composite import Composite
from graphnn.ops.movement import broadcast_to
from graphnn.ops.reduction import sum
from graphnn.ops.results import Result, results_of
from graphnn.transform.reverse import (
    Pull,
    active_between,
    as_pull,
    check_floating,
    checked_targets,
    directions,
    pulls_of,
    reverse_pass,
    zeros_of,
)


def forward_pass(
    outputs: Sequence[Node],
    tangents: dict[Node, Node],
    stop: frozenset[Node] = frozenset(),
    serve: Node | None = None,
) -> dict[Node, Node]:
    """The tangents of all nodes between the given ones and the outputs; without an entry it is zero."""
    found = dict(tangents)
    bundles: dict[Node, tuple[Node | None, ...]] = {}
    active = active_between(outputs, frozenset(tangents), stop)
    read: dict[Node, set[int]] = {}
    for node in active:
        if isinstance(node.op, Result):
            read.setdefault(node.inputs[0], set()).add(node.op.index)
    for node in active:
        if node in stop:
            continue
        pushed: tuple[Node | None, ...]
        if isinstance(node.op, Result):
            pushed = (bundles[node.inputs[0]][node.op.index] if node.inputs[0] in bundles else None,)
        else:
            pushed = tuple(found.get(operand) for operand in node.inputs)
        if any(tangent is not None for tangent in pushed):
            with serving(node if serve is None else serve, "forward"):
                if isinstance(node.op, Multi):
                    bundles[node] = _push_bundle(node.op, node, pushed, read.get(node, set()))
                    continue
                tangent = pushed[0] if isinstance(node.op, Result) else push(node, pushed)
                if tangent is not None:
                    tangent = _fit(tangent, node)
                    # A node of `wrt` may depend on another one: then both their tangents count.
                    found[node] = found[node] + tangent if node in found else tangent
    return found


def push(node: Node, tangents: tuple[Node | None, ...]) -> Node | None:
    """The tangent of one node from those of its operands, by its op's rule."""
    op, operands = node.op, node.inputs
    if isinstance(op, Elementwise):
        terms = []
        for partial, tangent in zip(op.partials(*operands, out=node), tangents, strict=True):
            if isinstance(partial, DifferentiationError) and tangent is not None:
                raise explain(partial, operands, node)
            if partial is not None and tangent is not None:
                scaled = tangent * partial if isinstance(partial, Node) else tangent
                terms.append(negative(scaled) if isinstance(partial, int) and partial == -1 else scaled)
        return _sum(terms)
    if isinstance(op, Linear):
        if op.linear_in is None:
            return op(*(_or_zero(t, x) for t, x in zip(tangents, operands, strict=True)))
        terms = []
        for i in op.linear_in:
            tangent = tangents[i]
            if tangent is not None:
                terms.append(op(*operands[:i], tangent, *operands[i + 1 :]))
        return _sum(terms)
    if isinstance(op, Composite) and op.definition.derivative is None:
        inner = op.expand(*operands)
        given = {x: t for x, t in zip(operands, tangents, strict=True) if t is not None}
        return forward_pass([inner], given, frozenset(operands), serve=node).get(inner)
    if isinstance(op, General):
        own = op.jvp(tangents, *operands, out=node)
        if own is not NotImplemented:
            return own
    return _push_by_pulling(node, tangents)


def _push_bundle(op: Multi, node: Node, tangents: tuple[Node | None, ...], read: set[int]) -> tuple[Node | None, ...]:
    """The tangents of the results of an operation with several, at least of those that are read."""
    outs = results_of(node)
    own = op.jvp(tangents, *node.inputs, outs=outs)
    if own is not NotImplemented:
        return own
    gs = [g if i in read else None for i, g in enumerate(_symbols(outs))]
    pulls = op.vjp(tuple(gs), *node.inputs, outs=outs)
    found = _linear_in(gs, [as_pull(pull) for pull in pulls], tangents, node, outs)
    return tuple(found)


def _push_by_pulling(node: Node, tangents: tuple[Node | None, ...]) -> Node | None:
    """J t from the rule for g J: that is linear in g, so differentiating ``sum(g J * t)`` by g gives it back."""
    gs = _symbols((node,))
    wanted = [tangent is not None for tangent in tangents]
    assert gs[0] is not None
    return _linear_in(gs, pulls_of(node, Pull(gs[0]), wanted), tangents, node, (node,))[0]


def _symbols(results: Sequence[Node]) -> list[Node | None]:
    with apart():
        return [build(Placeholder(), (), out.spec, name="g") if out.dtype.is_floating else None for out in results]


def _linear_in(
    gs: Sequence[Node | None],
    pulls: Sequence[Pull | None],
    tangents: Sequence[Node | None],
    node: Node,
    results: Sequence[Node],
) -> list[Node | None]:
    """The derivative of ``sum(pull * tangent)``, summed over the operands, by each of the cotangents `gs`."""
    total: Node | None = None
    for pull, tangent in zip(pulls, tangents, strict=True):
        if pull is not None and tangent is not None:
            term = sum(astype(pull.materialized(), tangent.dtype) * tangent)
            total = term if total is None else total + term
    if total is None:
        return [None] * len(gs)
    stop = frozenset((*node.inputs, *results, node, *(t for t in tangents if t is not None)))
    symbols = [g for g in gs if g is not None]
    adjoints, _ = reverse_pass([total], [Pull(constant(1.0, total.dtype))], symbols, stop)
    outs = [adjoints[g].materialized() if g is not None and g in adjoints else None for g in gs]
    for out in outs:
        if out is not None and any(_depends(out, g) for g in symbols):
            error = DifferentiationError(
                f"{node.op.name}: its rule is not linear in the cotangent, so it gives no derivative in forward mode",
                "Use reverse mode: gn.grad, gn.vjp or gn.jacrev.",
            )
            raise explain(error, node.inputs, node)
    return outs


def _depends(node: Node, on: Node) -> bool:
    seen, stack = {node}, [node]
    while stack:
        step = stack.pop()
        if step is on:
            return True
        for operand in step.inputs:  # what depends on a node has a larger number
            if operand.index >= on.index and operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return False


def _or_zero(tangent: Node | None, x: Node) -> Node:
    if not x.dtype.is_floating:
        return x
    return zeros_of(x) if tangent is None else tangent


def _sum(terms: list[Node]) -> Node | None:
    total: Node | None = None
    for term in terms:
        total = term if total is None else total + term
    return total


def _fit(tangent: Node, node: Node) -> Node:
    return astype(broadcast_to(tangent, node.shape), node.dtype)


def jvp(outputs: Any, wrt: Any, tangents: Any, *, allow_unused: bool = False) -> Any:
    """Jacobian-vector product: ``d outputs / d w * tangent``, summed over `wrt`, in one forward pass.

    Parameters
    ----------
    outputs : a node, or a tree of nodes
    wrt : a node or a list of nodes
    tangents : for each node of `wrt` an array or node of its shape
    allow_unused : do not mind nodes that the outputs do not depend on

    Returns
    -------
    The tangents of the outputs, in their structure.

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(gn.jvp(x * x, x, [1.0, 10.0]), {x: [3.0, 4.0]})
    array([ 6., 80.], dtype=float32)
    """
    ends = [leaf for _, leaf in tree.leaves(outputs)]
    nodes = [wrt] if isinstance(wrt, Node) else list(wrt)
    check_floating("jvp", ends, "an output")
    checked_targets("jvp", ends, nodes, allow_unused)
    start: dict[Node, Node] = {}
    for node, tangent in zip(nodes, directions("jvp", "tangents", nodes, tangents), strict=True):
        start[node] = start[node] + tangent if node in start else tangent
    found = forward_pass(ends, start)
    return tree.rebuild(outputs, iter([_or_zero(found.get(node), node) for node in ends]))

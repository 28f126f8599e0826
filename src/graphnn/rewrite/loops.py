"""Passes for loops: equal loops become one, what nobody reads is not carried, what is the same in every step leaves.

The reverse pass of a `Scan` asks for values of its forward steps by building the forward loop again, with more results;
forward mode carries tangents beside the values. `fuse` makes one loop of both, so that nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphnn.ir.body import Body, depending, map_bodies, symbols_like
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant, DimSize, Iota
from graphnn.ir.node import Node, build
from graphnn.ir.rebuild import substitute, transform
from graphnn.ir.source import apart, on_behalf_of
from graphnn.ops.movement import BroadcastTo
from graphnn.ops.results import Result, results
from graphnn.transform.loops import Scan

Change = Callable[[Sequence[Node]], list[Node]]
"""A pass: outputs in, the same values out."""


def in_bodies(outputs: Sequence[Node], change: Change) -> list[Node]:
    """The same pass inside of loops and branches."""
    done: dict[Body, Body] = {}

    def changed(body: Body) -> Body:
        if body not in done:
            ends = change(body.outputs)
            same = all(a is b for a, b in zip(ends, body.outputs, strict=True))
            done[body] = body if same else Body(body.inputs, ends)
        return done[body]

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        op = map_bodies(node.op, changed)
        return None if op is node.op else build(op, inputs, node.spec, like=node)

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


# --- one loop instead of two ---


def fuse(outputs: Sequence[Node], merge: Change) -> list[Node]:
    """Two scans of one length, one of which reads all that the other reads -> one scan with the results of both.

    `merge` is the pass that makes one node of equal ones; it finds what both steps have in common.
    """
    ends = list(outputs)
    while True:
        order = topological(ends)
        pair = _pair(order)
        if pair is None:
            return ends
        with on_behalf_of(pair[0]):
            found = _fused(*pair, merge)
        both = set(pair)
        replaced = {
            node: found[node.inputs[0], node.op.index]
            for node in order
            if isinstance(node.op, Result) and node.inputs[0] in both
        }
        ends = substitute(ends, replaced)


def _pair(order: Sequence[Node]) -> tuple[Node, Node] | None:
    groups: dict[Any, list[Node]] = {}
    for node in order:
        if isinstance(node.op, Scan):
            groups.setdefault((node.op.length, node.op.reverse), []).append(node)
    for group in groups.values():
        for place, second in enumerate(group):
            for first in group[:place]:
                one, other = set(first.inputs), set(second.inputs)
                if (one <= other or other <= one) and not _reads(second, first):
                    return first, second
    return None


def _reads(node: Node, other: Node) -> bool:
    """Whether a node is computed from another one."""
    seen, stack = {node}, [node]
    while stack:
        for operand in stack.pop().inputs:
            if operand is other:
                return True
            if operand.index > other.index and operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return False


def _fused(first: Node, second: Node, merge: Change) -> dict[tuple[Node, int], Node]:
    """The results of one scan for those of two, by the scan and the number of its result."""
    consts: dict[Node, Node] = {}
    along: dict[Node, Node] = {}
    start: list[Node] = []
    carried: list[Node] = []
    next_carry: list[Node] = []
    stacked: list[Node] = []
    carry_at: dict[Node, int] = {}
    stack_at: dict[Node, int] = {}
    for scan in (first, second):
        op = scan.op
        assert isinstance(op, Scan)
        carry_at[scan], stack_at[scan] = len(start), len(stacked) - op.carries
        given = dict(zip(op.body.inputs, scan.inputs, strict=True))
        fixed, inner, elements = op.parts(op.body.inputs)
        with apart():
            new_inner = symbols_like(inner, "")
            for known, mine in ((consts, fixed), (along, elements)):
                for node, symbol in zip(mine, symbols_like(mine, ""), strict=True):
                    known.setdefault(given[node], symbol)
        inside = dict(zip(inner, new_inner, strict=True))
        inside.update({node: consts[given[node]] for node in fixed})
        inside.update({node: along[given[node]] for node in elements})
        ends = substitute(op.body.outputs, inside)
        start += [given[node] for node in inner]
        carried += new_inner
        next_carry += ends[: op.carries]
        stacked += ends[op.carries :]
    classes, ends = _equal_carries(start, carried, next_carry, stacked, merge)
    places = sorted(set(classes))  # of each class of equal carried values the first one stays
    kept = list(dict.fromkeys(ends[len(start) :]))
    body = Body([*consts.values(), *[carried[i] for i in places], *along.values()], [*[ends[i] for i in places], *kept])
    like = first.op
    assert isinstance(like, Scan)
    op = Scan(body, len(consts), len(places), like.length, like.reverse)
    made = results(op, *consts, *[start[i] for i in places], *along)
    number = {node: len(places) + i for i, node in enumerate(kept)}
    out: dict[tuple[Node, int], Node] = {}
    for scan in (first, second):
        assert isinstance(scan.op, Scan)
        for i in range(len(scan.op.body.outputs)):
            if i < scan.op.carries:
                place = places.index(classes[carry_at[scan] + i])
            else:
                place = number[ends[len(start) + stack_at[scan] + i]]
            out[scan, i] = made[place]
    return out


def _equal_carries(
    start: Sequence[Node], carried: Sequence[Node], following: Sequence[Node], stacked: Sequence[Node], merge: Change
) -> tuple[list[int], list[Node]]:
    """Which carried values are equal in every step: those that begin equal, and follow equally from what is equal.

    Gives for each the first that is equal to it, and the outputs of the step in terms of these.
    """
    first: dict[Node, int] = {}
    classes = [first.setdefault(node, i) for i, node in enumerate(start)]
    while True:
        replaced = {carried[i]: carried[j] for i, j in enumerate(classes) if i != j}
        ends = merge(substitute([*following, *stacked], replaced))
        groups: dict[tuple[int, Node], int] = {}
        finer = [groups.setdefault((j, ends[i]), i) for i, j in enumerate(classes)]
        if finer == classes:
            return classes, ends
        classes = finer


# --- less in a loop ---


class _Live(NamedTuple):
    """What of a scan is read: fixed values, carried values, elements and stacks; and what is carried without change."""

    consts: list[int]
    carries: list[int]
    elements: list[int]
    stacks: list[int]
    unchanged: list[int]


def prune(outputs: Sequence[Node]) -> list[Node]:
    """Scans without the results that nobody reads, and without what only these needed."""
    order = topological(outputs)
    wanted: dict[Node, set[int]] = {}
    live = set(outputs)
    plans: dict[Node, _Live] = {}
    for node in reversed(order):
        if node not in live:
            continue
        bundle = node.inputs[0] if isinstance(node.op, Result) else None
        if bundle is not None and isinstance(bundle.op, Scan):
            wanted.setdefault(bundle, set()).add(node.op.index)  # type: ignore[attr-defined]
            live.add(bundle)
        elif isinstance(node.op, Scan):
            plan = plans[node] = _live(node.op, wanted[node])
            first, along = node.op.consts, node.op.consts + node.op.carries
            live.update(node.inputs[i] for i in plan.consts)
            live.update(node.inputs[first + i] for i in (*plan.carries, *plan.unchanged))
            live.update(node.inputs[along + i] for i in plan.elements)
        else:
            live.update(node.inputs)
    if all(_is_whole(node, plan) for node, plan in plans.items()):
        return list(outputs)
    made: dict[Node, dict[int, Node]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node in plans:
            with on_behalf_of(node):
                made[node] = _pruned(node, plans[node], inputs)
            return node  # its results read the new one
        if isinstance(node.op, Result) and node.inputs[0] in made and node in live:
            return made[node.inputs[0]][node.op.index]
        return None

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


def _live(op: Scan, wanted: set[int]) -> _Live:
    fixed, carried, elements = op.parts(op.body.inputs)
    unchanged = [i for i, node in enumerate(carried) if op.body.outputs[i] is node]
    needed = {i for i in wanted if i < op.carries}
    stacks = sorted(i for i in wanted if i >= op.carries)
    while True:
        reached = set(topological([op.body.outputs[i] for i in (*needed, *stacks)]))
        more = {i for i, node in enumerate(carried) if node in reached} - needed
        if not more:
            break
        needed |= more
    return _Live(
        [i for i, node in enumerate(fixed) if node in reached],
        sorted(needed.difference(unchanged)),
        [i for i, node in enumerate(elements) if node in reached],
        stacks,
        [i for i in unchanged if i in needed],
    )


def _is_whole(node: Node, plan: _Live) -> bool:
    op = node.op
    assert isinstance(op, Scan)
    return len(plan.consts) + len(plan.carries) + len(plan.elements) == len(node.inputs) and len(plan.stacks) == len(
        op.body.outputs
    ) - len(plan.carries)


def _pruned(node: Node, plan: _Live, inputs: tuple[Node, ...]) -> dict[int, Node]:
    op = node.op
    assert isinstance(op, Scan)
    fixed, carried, elements = op.parts(op.body.inputs)
    consts, start, along = op.parts(inputs)
    inside = [fixed[i] for i in plan.consts] + [carried[i] for i in plan.unchanged]
    values = [consts[i] for i in plan.consts] + [start[i] for i in plan.unchanged]
    out: dict[int, Node] = {i: start[i] for i in plan.unchanged}
    kept = [*plan.carries, *plan.stacks]
    if kept:
        body = Body(
            [*inside, *[carried[i] for i in plan.carries], *[elements[i] for i in plan.elements]],
            [op.body.outputs[i] for i in kept],
        )
        small = Scan(body, len(inside), len(plan.carries), op.length, op.reverse)
        operands = [*values, *[start[i] for i in plan.carries], *[along[i] for i in plan.elements]]
        out.update(zip(kept, results(small, *operands), strict=True))
    return out


# --- out of the loop ---


def hoist(outputs: Sequence[Node]) -> list[Node]:
    """What a scan computes from values that are the same in every step -> computed once, before it."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if not isinstance(node.op, Scan):
            return None
        found = _invariant(node.op)
        if not found:
            return None
        op = node.op
        fixed, carried, elements = op.parts(op.body.inputs)
        consts, start, along = op.parts(inputs)
        outside = substitute(found, dict(zip(fixed, consts, strict=True)))
        with apart():
            inner = symbols_like(found, "")
        ends = substitute(op.body.outputs, dict(zip(found, inner, strict=True)))
        body = Body([*fixed, *inner, *carried, *elements], ends)
        small = Scan(body, len(fixed) + len(inner), op.carries, op.length, op.reverse)
        return build(small, (*consts, *outside, *start, *along), node.spec, like=node)  # type: ignore[no-any-return]

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


def _invariant(op: Scan) -> list[Node]:
    """The last nodes of the body that depend on fixed values only, and are worth to be kept."""
    _, carried, elements = op.parts(op.body.inputs)
    varying = depending(op.body, [*carried, *elements])
    read = [operand for node in op.body.nodes if node in varying for operand in node.inputs]
    found: dict[Node, None] = {}
    for start in dict.fromkeys((*read, *op.body.outputs)):
        node = start
        while isinstance(node.op, BroadcastTo):  # repeating a small array costs less than reading a large one
            node = node.inputs[0]
        if node not in varying and node.inputs and not isinstance(node.op, (Constant, DimSize, Iota)):
            found[node] = None
    return list(found)

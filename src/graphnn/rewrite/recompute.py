"""What a loop reads of another one is computed again where that takes hardly any work: it need not be stacked.

The reverse pass of a step reads x and sigmoid(x), but has computed exp(-abs(x)) for its own purposes; from there a division
leads to sigmoid(x), which takes less time than writing a stack and reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphnn.ir.body import Body
from graphnn.ir.graph import topological
from graphnn.ir.leaves import Constant
from graphnn.ir.node import Node, build
from graphnn.ir.rebuild import substitute, transform
from graphnn.ir.source import apart
from graphnn.ops.arithmetic import Abs, Add, Divide, Maximum, Minimum, Multiply, Negative, Square, Subtract
from graphnn.ops.bitwise import Astype
from graphnn.ops.comparison import Predicate, Where
from graphnn.ops.results import Result
from graphnn.transform.loops import Scan

_CHEAP = (Abs, Add, Astype, Divide, Maximum, Minimum, Multiply, Negative, Predicate, Square, Subtract, Where)
_MOST = 4
"""A stack is worth so many further operations; dear ones, such as exp, must be there already."""
_WORK = 1 << 16
"""Stacks times nodes: larger bodies are left as they are, since looking at each stack takes a walk over the body."""


def less_stacked(outputs: Sequence[Node], merge: Callable[[Sequence[Node]], list[Node]]) -> list[Node]:
    """Elements of a scan that another one stacks -> computed from other elements, where that is nearly there.

    `merge` is the pass that makes one node of equal ones. What nobody reads any more is still stacked: `prune` ends that.
    """

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if not isinstance(node.op, Scan):
            return None
        ends = list(node.op.body.outputs)
        for scan in dict.fromkeys(x.inputs[0] for x in inputs if isinstance(x.op, Result)):
            if isinstance(scan.op, Scan) and scan.op.length == node.op.length:
                ends = _recomputed(node.op, inputs, ends, scan, merge)
        if all(a is b for a, b in zip(ends, node.op.body.outputs, strict=True)):
            return None
        op = Scan(Body(node.op.body.inputs, ends), node.op.consts, node.op.carries, node.op.length, node.op.reverse)
        return build(op, inputs, node.spec, like=node)  # type: ignore[no-any-return]

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


def _recomputed(
    op: Scan,
    operands: Sequence[Node],
    ends: list[Node],
    other: Node,
    merge: Callable[[Sequence[Node]], list[Node]],
) -> list[Node]:
    """The ends of a body that reads less of what another scan stacks."""
    theirs = other.op
    assert isinstance(theirs, Scan)
    first, k = theirs.consts + theirs.carries, op.consts + op.carries
    # What both bodies have at a step: fixed values, elements of the same arrays, and what one stacks for the other.
    mine = dict(zip(operands[: op.consts], op.body.inputs, strict=False))
    known = {x: mine[y] for x, y in zip(theirs.body.inputs[: theirs.consts], other.inputs, strict=False) if y in mine}
    mine = dict(zip(operands[k:], op.body.inputs[k:], strict=True))
    along = zip(theirs.body.inputs[first:], other.inputs[first:], strict=True)
    known.update({x: mine[y] for x, y in along if y in mine})
    stacked: dict[Node, Node] = {}
    for operand, element in mine.items():
        if isinstance(operand.op, Result) and operand.inputs[0] is other and operand.op.index >= theirs.carries:
            stacked.setdefault(theirs.body.outputs[operand.op.index], element)
    if len(stacked) * len(topological(ends)) > _WORK:
        return ends
    # What comes late follows from the rest.
    for value, element in sorted(stacked.items(), key=lambda pair: -pair[0].index):
        if value in known or not value.inputs:
            continue
        others = {**known, **{x: y for x, y in stacked.items() if x is not value}}
        with apart():
            again = _again(value, others)
        if again is None:
            continue
        new = merge(substitute(ends, {element: again}))
        old = topological(ends)
        more = _dear(topological(new)) - _dear(old), len(topological(new)) - len(old)
        if more[0] <= 0 and more[1] < _MOST:
            ends = new
            del stacked[value]
    return ends


def _dear(nodes: Sequence[Node]) -> int:
    return sum(bool(node.inputs) and not isinstance(node.op, _CHEAP) for node in nodes)


def _again(value: Node, known: Mapping[Node, Node]) -> Node | None:
    """A value computed element by element from known ones; None where it cannot be."""
    cone: list[Node] = []
    seen: set[Node] = set()
    stack = [value]
    while stack:
        node = stack.pop()
        if node in seen or node in known or isinstance(node.op, Constant):
            continue
        if not node.inputs or not node.op.elementwise or len(cone) > 4 * _MOST:
            return None
        seen.add(node)
        cone.append(node)
        stack.extend(node.inputs)
    return substitute([value], known)[0]

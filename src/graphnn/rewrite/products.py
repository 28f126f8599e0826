"""Products out of loops: what need not wait for the carried values is computed for all steps at once.

An LSTM multiplies each element by a matrix, and each step adds a product to the gradient of its weights. As products of
matrices with one axis more, for all steps together, these run several times as fast as step by step.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from graphnn.ir.body import Body, depending, symbol, symbols_like
from graphnn.ir.dims import product
from graphnn.ir.graph import topological
from graphnn.ir.node import Node, build
from graphnn.ir.rebuild import substitute, transform
from graphnn.ir.source import apart, on_behalf_of
from graphnn.ir.spec import Bundle
from graphnn.ops.arithmetic import Add
from graphnn.ops.contraction import Contract
from graphnn.ops.host import Barrier
from graphnn.ops.movement import PermuteDims, Reshape, broadcast_to
from graphnn.ops.reduction import Sum
from graphnn.ops.results import Result, results
from graphnn.transform.batching import batch
from graphnn.transform.checkpoint import Checkpoint
from graphnn.transform.loops import Scan

_MOST = 4
"""What is stacked for a product outside may be so many times as large as the product."""
_ROWS, _LARGE, _STEPS = 128, 4096, 4
"""A product with so few rows and so large a matrix, done so many times, is worth transposing the matrix for."""


def products_out(outputs: Sequence[Node]) -> list[Node]:
    """Scans without the products that depend on elements only, that are only stacked, or only added up."""
    made: dict[Node, dict[int, Node]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if isinstance(node.op, Scan) and not any(isinstance(n.op, (Barrier, Checkpoint)) for n in node.op.body.nodes):
            with on_behalf_of(node):
                split = _Split(node.op, inputs)
                if split.changed:
                    made[node] = split.results()
                    return node  # its results read the new one
        if isinstance(node.op, Result) and node.inputs[0] in made:
            return made[node.inputs[0]][node.op.index]
        return None

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


class _Split:
    """A scan with some of its products before and after it."""

    def __init__(self, op: Scan, operands: tuple[Node, ...]) -> None:
        self.op = op
        self.consts, self.start, self.along = op.parts(operands)
        self.fixed, self.carried, self.elements = op.parts(op.body.inputs)
        self.outer = dict(zip(op.body.inputs, operands, strict=True))  # what stands outside for an input of the step
        self.ends = list(op.body.outputs)
        k = op.carries
        self.users = _users(self.ends)
        only_added = {term for i in range(k) if (term := self.summand(i)) is not None and len(self.users[term]) == 1}
        self.before(only_added)
        self.users = _users(self.ends)
        terms = {i: term for i in range(k) if (term := self.summand(i)) is not None}
        self.sums = {i: term for i, term in terms.items() if isinstance(term.op, Contract) and self.fits(term)}
        kept = set(topological([self.ends[i] for i in range(k) if i not in self.sums]))
        self.late = {i: found for i in range(k, len(self.ends)) if (found := self.read_late(self.ends[i], kept))}
        # Sums of what is stacked anyway, such as the gradient of a bias beside that of a weight, cost nothing to add.
        there = {x for term in self.sums.values() for x in term.inputs}.union(*self.late.values())
        for i, term in terms.items():
            inner = term.inputs[0] if isinstance(term.op, Reshape) else term
            if isinstance(inner.op, Sum) and inner.inputs[0] in there.difference(self.fixed):
                self.sums[i] = term
        self.changed = bool(self.sums or self.late) or len(self.along) > len(operands) - op.consts - k

    def before(self, only_added: set[Node]) -> None:
        """Products of elements and fixed values: one product before the loop, whose result is gone along."""
        waiting = depending(self.op.body, self.carried)
        stepping = depending(self.op.body, self.elements)
        found = [n for n in self.op.body.nodes if isinstance(n.op, Contract) and n in stepping and n not in waiting]
        read = {operand for n in self.op.body.nodes if n in waiting for operand in n.inputs} | set(self.ends)
        reached = set(topological([n for n in read if n not in waiting and n in stepping]))
        found = [n for n in found if n in reached and n not in only_added]
        if not found:
            return
        given = {x: self.outer[x] for x in self.fixed}
        outside = substitute(found, given)
        values = batch(outside, {x: self.outer[x] for x in self.elements})
        with apart():
            inner = symbols_like(found, "")
        self.ends = substitute(self.ends, dict(zip(found, inner, strict=True)))
        self.elements += inner
        self.along += [self.stacked(*made) for made in values]
        self.outer.update(zip(inner, self.along[-len(inner) :], strict=True))

    def summand(self, i: int) -> Node | None:
        """What a carried value only adds up."""
        total, end = self.carried[i], self.ends[i]
        readers = self.users.get(total, [])
        if not isinstance(end.op, Add) or end in self.users or len(readers) != 1 or readers[0] is not end:
            return None
        if end.inputs[0] is end.inputs[1] or all(x is not total for x in end.inputs):
            return None
        if any(n is total for n in self.ends):  # the sums so far are a result as well
            return None
        (term,) = [x for x in end.inputs if x is not total]
        return term if term.spec == total.spec and sum(n is end for n in self.ends) == 1 else None

    def read_late(self, end: Node, kept: set[Node]) -> list[Node]:
        """What a stacked value with a product in it is computed from, if the carried values do not wait for that product.

        Gives the inputs of the step and the values the next step waits for; nothing where it stays in the loop.
        """
        frontier: dict[Node, None] = {}
        stepping = {*self.carried, *self.elements}
        products = 0
        seen: set[Node] = set()
        stack = [end]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in kept or node in self.outer or isinstance(node.spec, Bundle):
                if node not in self.outer or node in stepping:
                    frontier[node] = None
            else:
                products += _size(node) * isinstance(node.op, Contract)
                stack.extend(node.inputs)
        extra = [product(x.shape) for x in frontier if not self.is_there(x)]
        small = all(isinstance(size, int) and size <= _MOST * (products + _size(end)) for size in extra)
        several = any(isinstance(x.spec, Bundle) for x in frontier)
        return list(frontier) if products and small and not several else []

    def fits(self, node: Node) -> bool:
        """Whether what must be stacked for a product is small enough, and there is something to go along at all."""
        fixed = set(self.fixed)
        sizes = [product(x.shape) for x in node.inputs if not self.is_there(x)]
        small = all(isinstance(size, int) and size <= _MOST * _size(node) for size in sizes)
        return small and any(x not in fixed for x in node.inputs)

    def is_there(self, node: Node) -> bool:
        """Whether a value need not be stacked, because it is an input of the step or stacked anyway."""
        is_input = node in self.outer and node not in set(self.carried)
        return is_input or any(node is end for end in self.ends[self.op.carries :])

    def results(self) -> dict[int, Node]:
        """The results of the scan, by their numbers."""
        k, carried = self.op.carries, set(self.carried)
        places = [i for i in range(k) if i not in self.sums]
        stacked = {self.ends[i]: None for i in range(k, len(self.ends)) if i not in self.late}
        needed = [x for term in self.sums.values() for x in _read(term)] + [x for xs in self.late.values() for x in xs]
        stacked.update({x: None for x in needed if x not in self.outer or x in carried})
        body = Body(
            [*self.fixed, *[self.carried[i] for i in places], *self.elements],
            [*[self.ends[i] for i in places], *stacked],
        )
        small = Scan(body, len(self.fixed), len(places), self.op.length, self.op.reverse)
        made = results(small, *self.consts, *[self.start[i] for i in places], *self.along)
        stacks = dict(zip(stacked, made[len(places) :], strict=True))
        stacks.update({x: y for x, y in zip(self.elements, self.along, strict=True) if x not in stacks})
        given = dict(zip(self.fixed, self.consts, strict=True))
        out = dict(zip(places, made, strict=False))
        for i, node in enumerate(self.ends[k:], k):
            if i not in self.late:
                out[i] = stacks[node]
        for i, term in self.sums.items():
            out[i] = self.start[i] + _sum_of(term, stacks, given)
        for i, read in self.late.items():
            ((whole, is_batched),) = batch([self.ends[i]], {x: stacks[x] for x in read})
            out[i] = substitute([self.stacked(whole, is_batched)], given)[0]
        return out

    def stacked(self, node: Node, is_batched: bool) -> Node:
        """A value for all steps; one result of an inner loop may be the same in every step where another one is not."""
        return node if is_batched else broadcast_to(node, (self.op.length, *node.shape))


def turn_weights(outputs: Sequence[Node]) -> list[Node]:
    """Matrices that the products of a scan read by columns, as h @ w.mT does -> transposed once, before the loop.

    A product with few rows takes long to read a matrix by columns, compared with what it computes from it.
    """

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        op = node.op
        if not isinstance(op, Scan) or not isinstance(op.length, int) or op.length < _STEPS:
            return None
        fixed, rest = op.body.inputs[: op.consts], op.body.inputs[op.consts :]
        turned: dict[tuple[Node, tuple[int, ...]], Node] = {}
        replaced: dict[Node, Node] = {}
        known = set(fixed)
        for reader in op.body.nodes:
            for number in (0, 1) if isinstance(reader.op, Contract) else ():
                w = reader.inputs[number]
                order = _better_order(reader, number) if w in known else None
                if order is None:
                    continue
                shape = tuple([w.shape[axis] for axis in order])
                with apart():
                    inner = turned.setdefault((w, order), symbol(w.label, w.spec.with_shape(shape)))
                replaced[reader] = _with_operand(reader, number, inner, order)
                break
        if not turned:
            return None
        with on_behalf_of(node):
            outer = dict(zip(fixed, inputs, strict=False))
            before = [PermuteDims(order)(outer[w]) for w, order in turned]
        body = Body([*fixed, *turned.values(), *rest], substitute(op.body.outputs, replaced))
        small = Scan(body, op.consts + len(turned), op.carries, op.length, op.reverse)
        return build(small, (*inputs[: op.consts], *before, *inputs[op.consts :]), node.spec, like=node)  # type: ignore[no-any-return]

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


def _better_order(node: Node, number: int) -> tuple[int, ...] | None:
    """The order of the axes of an operand in which few rows that meet it read it row by row; None where it has it."""
    op = node.op
    assert isinstance(op, Contract)
    (mine, theirs), (w, other) = (op.left, op.right), node.inputs
    if number == 1:
        mine, theirs, w, other = theirs, mine, other, w
    summed = [axis for axis, letter in enumerate(mine) if letter not in op.result]
    free = [axis for axis, letter in enumerate(mine) if letter not in theirs]
    rows = product([size for letter, size in zip(theirs, other.shape, strict=True) if letter not in mine])
    size = product(w.shape)
    if not (isinstance(rows, int) and isinstance(size, int) and 4 < rows <= _ROWS and size >= _LARGE):
        return None
    if len(summed) + len(free) < len(mine) or not free or len(mine) - 1 not in summed:
        return None
    return (*summed, *free)


def _with_operand(node: Node, number: int, operand: Node, order: Sequence[int]) -> Node:
    op = node.op
    assert isinstance(op, Contract)
    letters, operands = [op.left, op.right], list(node.inputs)
    letters[number], operands[number] = "".join([letters[number][axis] for axis in order]), operand
    with on_behalf_of(node):
        return Contract(letters[0], letters[1], op.result)(*operands)


def _users(ends: Sequence[Node]) -> dict[Node, list[Node]]:
    users: dict[Node, list[Node]] = {}
    for node in topological(ends):
        for operand in node.inputs:
            users.setdefault(operand, []).append(node)
    return users


def _size(node: Node) -> int:
    size = product(node.shape)
    return size if isinstance(size, int) else 0


def _read(term: Node) -> tuple[Node, ...]:
    """What a product, or a sum under a reshape, is computed from."""
    return term.inputs[0].inputs if isinstance(term.op, Reshape) else term.inputs


def _sum_of(term: Node, stacks: dict[Node, Node], given: dict[Node, Node]) -> Node:
    """The sum of a term over all steps."""
    op = term.op
    if not isinstance(op, Contract):
        ((whole, is_batched),) = batch([term], {x: stacks[x] for x in _read(term)})
        assert is_batched
        return Sum((0,))(whole)
    if not all(x in stacks for x in term.inputs):  # one is the same in every step: the other adds up first
        return op(*[Sum((0,))(stacks[x]) if x in stacks else given[x] for x in term.inputs])
    letter = next(letter for letter in string.ascii_letters if letter not in op.left + op.right)
    return Contract(letter + op.left, letter + op.right, op.result)(*[stacks[x] for x in term.inputs])

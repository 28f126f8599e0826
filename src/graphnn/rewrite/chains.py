"""The order of a chain of matrix products: the one with the fewest multiplications.

Source: Cormen, Leiserson, Rivest, Stein, "Introduction to Algorithms", section 14.2, matrix-chain multiplication.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphnn.ir.node import Node, build
from graphnn.ir.source import on_behalf_of
from graphnn.ops.contraction import Contract
from graphnn.rewrite.engine import Context, Step

MOST_FACTORS = 32
"""Longer chains are left as they are: finding the best order takes cubic time."""


class Factor(NamedTuple):
    """A matrix of a chain, or a vector at one of its ends, and whether it stands there transposed."""

    node: Node
    turned: bool


def order_chains(outputs: Sequence[Node], context: Context) -> list[Node]:
    """(a @ b) @ c -> a @ (b @ c), where sizes are known, it takes fewer multiplications, and nothing else reads a @ b."""
    order = context.order(outputs)
    products = {node for node in order if isinstance(node.op, Contract) and _is_product(node)}
    if len(products) < 2:
        return list(outputs)
    readers = Counter(operand for node in order for operand in node.inputs)
    readers.update(outputs)
    inner = {n for node in products for n in node.inputs if n in products and readers[n] == 1 and n.dtype is node.dtype}
    new: dict[Node, Node] = {}
    for node in order:
        made = None
        if node in products and node not in inner:
            made = _reordered(node, inner, new)
            if made is not None and context.log is not None:
                context.log.append(Step(context.stage, "order", node, made))
        if made is None and any(operand in new for operand in node.inputs):
            made = build(node.op, tuple([new.get(n, n) for n in node.inputs]), node.spec, like=node)
        if made is not None:
            new[node] = made
    return [new.get(node, node) for node in outputs]


def _is_product(node: Node) -> bool:
    """Whether it is a product of matrices and vectors over one axis, in any orientation."""
    op = node.op
    assert isinstance(op, Contract)
    shared = set(op.left) & set(op.right)
    return (
        0 < len(op.left) < 3
        and 0 < len(op.right) < 3
        and len(shared) == 1
        and not shared & set(op.result)
        and all(operand.dtype is node.dtype for operand in node.inputs)
        and all(isinstance(size, int) for operand in node.inputs for size in operand.shape)
    )


def _reordered(root: Node, inner: set[Node], new: Mapping[Node, Node]) -> Node | None:
    factors: list[Factor] = []
    cost = 0
    stack = [Factor(root, False)]
    while stack:
        factor = stack.pop()
        if factor.node is not root and factor.node not in inner:
            factors.append(factor)
            if len(factors) > MOST_FACTORS:
                return None
            continue
        first, second = _pair(factor)
        cost += _rows(first) * _columns(first) * _columns(second)
        stack += [second, first]  # the first is taken next
    if len(factors) < 3:
        return None
    least, splits = _best([_rows(factors[0]), *[_columns(factor) for factor in factors]])
    if least >= cost:
        return None
    with on_behalf_of(root):
        out = _product([Factor(new.get(n, n), turned) for n, turned in factors], splits, 0, len(factors)).node
        return out if root.name is None else out.named(root.name)


def _pair(factor: Factor) -> tuple[Factor, Factor]:
    """The two factors of a product, from left to right as they stand in a chain."""
    node, turned = factor
    op = node.op
    assert isinstance(op, Contract)
    a, b = node.inputs
    (k,) = set(op.left) & set(op.right)
    # The rows of the product are those of its first factor. A vector is a column, unless it stands there transposed.
    (first, left), (second, right) = ((a, op.left), (b, op.right))
    if op.result and op.result[0] in op.right:
        (first, left), (second, right) = (second, right), (first, left)
    factors = Factor(first, left[0] == k), Factor(second, len(right) == 2 and right[1] == k)
    if not turned:
        return factors
    return Factor(factors[1].node, not factors[1].turned), Factor(factors[0].node, not factors[0].turned)


def _rows(factor: Factor) -> int:
    return _columns(Factor(factor.node, not factor.turned))


def _columns(factor: Factor) -> int:
    shape: tuple[Any, ...] = factor.node.shape
    if len(shape) == 1:
        shape = (*shape, 1)
    return int(shape[0] if factor.turned else shape[1])


def _best(sizes: Sequence[int]) -> tuple[int, dict[tuple[int, int], int]]:
    """The fewest multiplications for a chain, and where each part of it is divided; matrix i is sizes[i] by sizes[i + 1]."""
    count = len(sizes) - 1
    cost = {(i, i + 1): 0 for i in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length
            options = [(cost[i, s] + cost[s, j] + sizes[i] * sizes[s] * sizes[j], s) for s in range(i + 1, j)]
            cost[i, j], splits[i, j] = min(options)
    return cost[0, count], splits


def _product(factors: Sequence[Factor], splits: Mapping[tuple[int, int], int], start: int, stop: int) -> Factor:
    # At most as deep as there are factors.
    if stop - start == 1:
        return factors[start]
    split = splits[start, stop]
    a, b = _product(factors, splits, start, split), _product(factors, splits, split, stop)
    rows, columns = "i" * (a.node.ndim - 1), "j" * (b.node.ndim - 1)
    left, right = rows + "k", "k" + columns
    node = Contract(left[::-1] if a.turned else left, right[::-1] if b.turned else right, rows + columns)(
        a.node, b.node
    )
    return Factor(node, not rows)  # without rows of its own it is a row

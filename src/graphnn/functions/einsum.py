"""Sums of products in index notation, for any number of operands."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable

from graphnn.errors import ShapeError
from graphnn.ir.dims import Size
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import shape_text
from graphnn.ops.comparison import where
from graphnn.ops.contraction import contract_broadcasting
from graphnn.ops.movement import Reshape, permute_dims
from graphnn.ops.operands import Operand, as_node, as_nodes
from graphnn.ops.reduction import Sum


def einsum(subscripts: str, /, *operands: Operand) -> Node:
    """Sum of products by index notation: ``einsum("ij,jk->ik", a, b)`` is the matrix product.

    Letters name axes. Letters missing after ``->`` are summed over; without ``->`` the letters that stand once remain,
    in alphabetical order. A letter twice in one operand takes its diagonal. ``...`` stands for further axes, which
    broadcast.
    Products of more than two operands are taken pairwise, in an order that keeps intermediate results small.

    >>> gn.evaluate(gn.einsum("i,i->", [1.0, 2.0], [3.0, 4.0]))
    array(11., dtype=float32)

    Raises
    ------
    ShapeError
        If the subscripts do not fit the operands, or a letter has two sizes.
    """
    if not isinstance(subscripts, str):
        raise ShapeError("einsum: the subscripts come first, as a str", 'Write gn.einsum("ij,jk->ik", a, b).')
    nodes = list(as_nodes("einsum", *operands))
    try:
        terms, result = _parse(subscripts, nodes)
        _check_sizes(terms, nodes)
        return _contract_all(terms, nodes, result)
    except ShapeError as error:
        raise explain(error, tuple(nodes)) from None


def _parse(subscripts: str, nodes: list[Node]) -> tuple[list[str], str]:
    text = subscripts.replace(" ", "")
    if not re.fullmatch(r"[A-Za-z.,]*(->[A-Za-z.]*)?", text):
        raise ShapeError(f"einsum: {subscripts!r} is not of the form 'ij,jk->ik'")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(nodes):
        raise ShapeError(
            f"einsum: {subscripts!r} names {len(terms)} operands, the number given is {len(nodes)}",
            "Commas separate the operands: 'ij,jk->ik' is for two.",
        )
    spare = [c for c in string.ascii_letters if c not in text]
    extra = max(
        (n.ndim - len(t.replace("...", "")) for t, n in zip(terms, nodes, strict=True) if "..." in t), default=0
    )
    for i, (term, node) in enumerate(zip(terms, nodes, strict=True)):
        letters = term.replace("...", "", 1)
        count = node.ndim - len(letters)
        if "." in letters or count < 0 or (count and "..." not in term):
            raise ShapeError(f"einsum: '{term}' does not name the {node.ndim} axes of {shape_text(node.shape)}")
        terms[i] = term.replace("...", "".join(spare[extra - count : extra]))
    ellipsis = "".join(spare[:extra])
    if not arrow:
        joined = "".join(terms)
        output = ellipsis + "".join(sorted(c for c in set(joined) if joined.count(c) == 1 and c not in ellipsis))
    else:
        output = output.replace("...", ellipsis, 1)
    if "." in output or len(set(output)) < len(output) or not set(output) <= set("".join(terms)):
        raise ShapeError(f"einsum: the result '{output}' must name axes of the operands, each once")
    return terms, output


def _check_sizes(terms: list[str], nodes: list[Node]) -> None:
    sizes: dict[str, Size] = {}
    for term, node in zip(terms, nodes, strict=True):
        for letter, size in zip(term, node.shape, strict=True):
            known = sizes.get(letter, 1)
            if known != 1 and size != 1 and known != size:
                raise ShapeError(
                    f"einsum: axis '{letter}' has two sizes: {known} != {size}",
                    "A letter means one size in all operands.",
                )
            if known == 1:
                sizes[letter] = size


def _contract_all(terms: list[str], nodes: list[Node], result: str) -> Node:
    for i in range(len(terms)):
        while len(set(terms[i])) < len(terms[i]):
            nodes[i], terms[i] = _diagonal(nodes[i], terms[i])
    for pair in _order(terms, nodes, result):
        rest = [t for i, t in enumerate(terms) if i not in pair]
        keep = set(result) | set("".join(rest))
        (a, left), (b, right) = ((nodes[i], terms[i]) for i in pair)
        a, left = _sum_out(a, left, keep | set(right))
        b, right = _sum_out(b, right, keep | set(left))
        out = "".join(c for c in dict.fromkeys(left + right) if c in keep)
        # A letter that is not kept but has the size 1 in one operand only is summed in the other one first.
        for letter in set(left) & set(right) - keep:
            size_a, size_b = a.shape[left.index(letter)], b.shape[right.index(letter)]
            if size_a != size_b:
                if size_a == 1:
                    b, right = _sum_out(b, right, set(right) - {letter})
                    a, left = _sum_out(a, left, set(left) - {letter})
                else:
                    a, left = _sum_out(a, left, set(left) - {letter})
                    b, right = _sum_out(b, right, set(right) - {letter})
        made = contract_broadcasting(a, b, left, right, out)
        nodes = [n for i, n in enumerate(nodes) if i not in pair] + [made]
        terms = [*rest, out]
    node, term = _sum_out(nodes[0], terms[0], set(result))
    order = [term.index(letter) for letter in result]
    return node if order == sorted(order) else permute_dims(node, order)


def _diagonal(x: Node, term: str) -> tuple[Node, str]:
    letter = next(c for c in term if term.count(c) > 1)
    first = term.index(letter)
    second = term.index(letter, first + 1)
    if x.shape[first] != x.shape[second]:
        raise ShapeError(f"einsum: the diagonal '{letter}{letter}' of {shape_text(x.shape)} needs equal sizes")
    numbers = Iota(x.shape[first], int64)()
    rows, columns = (
        Reshape(tuple(x.shape[first] if i == place else 1 for i in range(x.ndim)))(numbers) for place in (first, second)
    )
    return Sum((second,))(
        where(rows == columns, x, as_node(0, x.dtype) if x.dtype.is_integer else as_node(0.0, x.dtype))
    ), (term[:second] + term[second + 1 :])


def _sum_out(x: Node, term: str, keep: set[str]) -> tuple[Node, str]:
    axes = tuple(i for i, letter in enumerate(term) if letter not in keep)
    return (Sum(axes)(x), "".join(c for c in term if c in keep)) if axes else (x, term)


def _order(terms: list[str], nodes: list[Node], result: str) -> list[tuple[int, int]]:
    """Which two operands to multiply next, until one is left: the pair whose product is smallest beside its factors."""
    # Named sizes count as 64 here: only the order of the products depends on it.
    sizes: dict[str, int] = {}
    for term, node in zip(terms, nodes, strict=True):
        for letter, size in zip(term, node.shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), size if isinstance(size, int) else 64)

    def count(letters: Iterable[str]) -> int:
        return math.prod(sizes[letter] for letter in letters)

    left = [set(term) for term in terms]
    order = []
    while len(left) > 1:
        best: tuple[int, int, int, set[str]] | None = None
        for j in range(1, len(left)):
            for i in range(j):
                rest = set(result).union(*(left[k] for k in range(len(left)) if k not in (i, j)))
                made = (left[i] | left[j]) & rest
                growth = count(made) - count(left[i]) - count(left[j])
                if best is None or growth < best[0]:
                    best = (growth, i, j, made)
        assert best is not None
        _, i, j, made = best
        order.append((i, j))
        left = [letters for k, letters in enumerate(left) if k not in (i, j)] + [made]
    return order

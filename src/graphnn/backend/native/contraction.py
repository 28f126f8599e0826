"""Contractions as matrix products: letters become rows, columns, summed axes and batches; transposes are strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from graphnn.backend.native.items import KINDS, View, contiguous
from graphnn.backend.native.products import Product
from graphnn.ir.dtype import float32, float64
from graphnn.ir.node import Node
from graphnn.ops.contraction import Contract

_FEW = 4  # fewer multiplications for each element are done by a loop nest


class _Axis(NamedTuple):
    """A letter, or several that are walked through as one: its size, and its strides in a, b and c."""

    size: int
    a: int
    b: int
    c: int


class Letters(NamedTuple):
    """The axes of a contraction by what becomes of them."""

    batch: list[_Axis]
    rows: list[_Axis]
    columns: list[_Axis]
    summed: list[_Axis]


def letters_of(op: Contract, a: View, b: View) -> Letters:
    """The axes of a contraction of two views, joined where they lie one behind the other in all arrays."""
    sizes = dict(zip(op.left + op.right, (*a.shape, *b.shape), strict=True))
    strides_a = dict(zip(op.left, a.strides, strict=True))
    strides_b = dict(zip(op.right, b.strides, strict=True))
    strides_c = dict(zip(op.result, contiguous([sizes[c] for c in op.result]), strict=True))

    def axes(letters: Sequence[str]) -> list[_Axis]:
        found = [
            _Axis(sizes[c], strides_a.get(c, 0), strides_b.get(c, 0), strides_c.get(c, 0))
            for c in letters
            if sizes[c] != 1
        ]
        # The order of the largest strides first lets most neighbours join.
        found.sort(key=lambda axis: (abs(axis.c), abs(axis.a) + abs(axis.b)), reverse=True)
        return _joined(found)

    left, right, result = set(op.left), set(op.right), set(op.result)
    return Letters(
        axes([c for c in op.result if c in left and c in right]),
        axes([c for c in op.left if c not in right]),
        axes([c for c in op.right if c not in left]),
        axes([c for c in op.left if c in right and c not in result]),
    )


def _joined(axes: list[_Axis]) -> list[_Axis]:
    out: list[_Axis] = []
    for axis in axes:
        if out:
            before, n = out[-1], axis.size
            if (before.a, before.b, before.c) == (axis.a * n, axis.b * n, axis.c * n):
                out[-1] = axis._replace(size=before.size * n)
                continue
        out.append(axis)
    return out


def is_product(node: Node) -> bool:
    """Whether a contraction is worth a matrix product: of floats, with something to sum, and more than single sums."""
    op, (a, b) = node.op, node.inputs
    assert isinstance(op, Contract)
    if node.dtype not in (float32, float64) or a.dtype is not node.dtype or b.dtype is not node.dtype:
        return False
    if 0 in (*a.shape, *b.shape):
        return 0 not in node.shape
    both = set(op.left) & set(op.right)
    depth = math.prod(n for c, n in zip(op.left, a.shape, strict=True) if c in both and c not in op.result)
    apart = math.prod(node.shape) // math.prod(n for c, n in zip(op.result, node.shape, strict=True) if c in both)
    return depth >= _FEW and apart > 1


def product_of(node: Node, a: View, b: View) -> tuple[Product, bool]:
    """The product that computes a contraction, and whether its operands change places."""
    op = node.op
    assert isinstance(op, Contract)
    found = letters_of(op, a, b)
    batch, rows, columns, summed = found
    # Columns are those of one axis; further ones are batches. Rows may be several.
    turn = len(columns) > 1 and (len(rows) <= 1 or math.prod(x.size for x in rows) < math.prod(x.size for x in columns))
    if turn:
        batch, rows, columns, summed = (
            [axis._replace(a=axis.b, b=axis.a) for axis in axes] for axes in (batch, columns, rows, summed)
        )
    rows, columns = list(rows), sorted(columns, key=lambda axis: abs(axis.c), reverse=True)
    column = columns.pop() if columns else _Axis(1, 0, 0, 1)
    row = rows.pop() if rows else _Axis(1, 0, 0, 0)
    depth = list(summed)
    inner = depth.pop() if depth else _Axis(1, 0, 0, 0)
    product = Product(
        KINDS[node.dtype.name],
        row.size,
        column.size,
        inner.size if summed or 0 not in (*a.shape, *b.shape) else 0,
        (row.a, inner.a),
        (inner.b, column.b),
        (row.c, column.c),
        tuple((axis.size, axis.a, axis.b, axis.c) for axis in (*batch, *columns)),
        None,
        tuple((axis.size, axis.a, axis.c) for axis in rows),
        tuple((axis.size, axis.a, axis.b) for axis in depth),
    )
    return product, turn

"""Products: transposed operands and results become other letters of the same contraction.

The numbers that are multiplied and added are the same, but a backend may add them in another order.
"""

from __future__ import annotations

from graphnn.ir.dtype import float64
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.ops.contraction import Contract
from graphnn.ops.movement import PermuteDims, matrix_transpose
from graphnn.rewrite.rule import group, rewrites

_A, _B = Spec((2, 3), float64), Spec((3, 4), float64)


@rewrites(
    Contract, reading=PermuteDims, exact=False,
    example=lambda a=_A, b=_A: (a @ matrix_transpose(b), Contract("ik", "jk", "ij")(a, b)),
)  # fmt: skip
def product_of_transposed(node: Node) -> Node | None:
    """a @ b.mT -> a product that names the axes of b in their own order"""
    op = node.op
    assert isinstance(op, Contract)
    (a, left), (b, right) = (
        _untransposed(x, letters) for x, letters in zip(node.inputs, (op.left, op.right), strict=True)
    )
    return Contract(left, right, op.result)(a, b)


def _untransposed(x: Node, letters: str) -> tuple[Node, str]:
    if not isinstance(x.op, PermuteDims):
        return x, letters
    own = [""] * len(letters)
    for letter, axis in zip(letters, x.op.axes, strict=True):
        own[axis] = letter
    return x.inputs[0], "".join(own)


@rewrites(
    PermuteDims, reading=Contract, exact=False,
    example=lambda a=_A, b=_B: (matrix_transpose(a @ b), Contract("kj", "ik", "ji")(b, a)),
)  # fmt: skip
def transposed_product(node: Node) -> Node | None:
    """(a @ b).mT -> b.mT @ a.mT, as one product with letters"""
    inner = node.inputs[0]
    a, b = inner.inputs
    op = inner.op
    assert isinstance(op, Contract)
    assert isinstance(node.op, PermuteDims)
    return _in_order(op.left, op.right, "".join(op.result[i] for i in node.op.axes), a, b)


def _in_order(left: str, right: str, result: str, a: Node, b: Node) -> Node:
    """The product with its operands in the order in which their letters come in the result, where that is possible."""
    first = next((letter for letter in result if (letter in left) != (letter in right)), None)
    if first is not None and first in right:
        return Contract(right, left, result)(b, a)
    return Contract(left, right, result)(a, b)


PRODUCTS = group("products", product_of_transposed, transposed_product)

"""Products of picked rows: where there are many more indices than rows, it is less work to multiply each row once.

That is how a table of embeddings meets the first matrix of a network, and how its gradient comes back. An index out of range
is the same error as before: something else is indexed, but by the same indices along axes of the same sizes.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

from graphnn.ir.dims import Size
from graphnn.ir.dtype import float64
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec, broadcast
from graphnn.ops.arithmetic import Add
from graphnn.ops.comparison import where
from graphnn.ops.contraction import Contract
from graphnn.ops.indexing import Gather, ScatterAdd
from graphnn.ops.movement import PermuteDims, Reshape, broadcast_to
from graphnn.rewrite.rule import group, rewrites

_MOVED = 16
"""As many multiplications of a large product take as long as reading or writing one element."""
_FEW, _MANY, _SIDE = Spec((2, 128), float64), Spec((8, 3), float64), Spec((128, 3), float64)
_INDICES = constant([0, -1, -1, 0, 0, -1, 0, -1])


class _Operand:
    """A product seen from one of its operands, whose axes of the indices are the letters `front`."""

    def __init__(self, node: Node, number: int, front: str) -> None:
        op = node.op
        assert isinstance(op, Contract)
        letters = (op.left, op.right)
        self.x, self.other = node.inputs[number], node.inputs[1 - number]
        self.mine, self.theirs, self.result = letters[number], letters[1 - number], op.result
        self.front = front
        self.sizes = dict(zip(self.mine + self.theirs, (*self.x.shape, *self.other.shape), strict=True))

    def without_front(self, letters: str) -> str:
        return "".join([letter for letter in letters if letter not in self.front])

    def count(self, letters: str) -> int:
        """How many elements axes have together; 0 where that is not known."""
        sizes = [self.sizes[letter] for letter in letters]
        return math.prod(sizes) if all(isinstance(size, int) for size in sizes) else 0  # type: ignore[arg-type]

    def pays(self, places: Sequence[Size], more: int, less: int = 0) -> bool:
        """Whether a product with an entry for each place of the table is clearly less work than one for each index.

        For each index so many more elements are moved for that, and so many less.
        """
        if not all(isinstance(size, int) for size in (*self.sizes.values(), *places)):
            return False
        many, few = self.count(self.front), math.prod(places)
        work = self.count(self.without_front("".join(dict.fromkeys(self.mine + self.theirs))))
        moved = max(0, more - less)
        return 0 < 2 * few <= many and (many - few) * work >= _MOVED * many * moved

    def fits(self, node: Node) -> bool:
        # A product adds up numbers of 16 bits in more bits.
        dtype = node.dtype
        return dtype.is_floating and dtype.bits >= 32 and self.x.dtype is self.other.dtype is dtype

    def fresh(self, count: int) -> str:
        free = [letter for letter in string.ascii_letters if letter not in self.sizes]
        return "".join(free[:count])


def _gathered(node: Node) -> list[_Operand]:
    """A product from each operand that is a gather."""
    found = []
    for number, x in enumerate(node.inputs):
        if isinstance(x.op, Gather):
            count = x.ndim - x.inputs[0].ndim + len(x.op.axes)
            op = node.op
            assert isinstance(op, Contract)
            found.append(_Operand(node, number, (op.left, op.right)[number][:count]))
    return found


def _of_table(axes: tuple[int, ...], places: str, rest: str) -> str:
    """The letters of a table: `places` at the axes that are indexed, `rest` at the others."""
    which, others = dict(zip(axes, places, strict=True)), iter(rest)
    return "".join([which[i] if i in which else next(others) for i in range(len(places) + len(rest))])


def _permuted(node: Node, letters: str, wanted: str) -> Node:
    return node if letters == wanted else PermuteDims(tuple([letters.index(letter) for letter in wanted]))(node)


def _product(left: str, a: Node, right: str, b: Node, result: str) -> Node:
    """A product with its operands in the order in which their letters come in the result."""
    first = next((letter for letter in result if (letter in left) != (letter in right)), None)
    if first is not None and first in right:
        return Contract(right, left, result)(b, a)
    return Contract(left, right, result)(a, b)


def _where_picked(node: Node, axes: tuple[int, ...], indices: Sequence[Node]) -> Node:
    """A table with zeros where no index picks it: what is there must not matter, even if it is infinite or NaN."""
    ones = broadcast_to(constant(1.0, dtype="float32"), broadcast("gather", *[index.shape for index in indices]))
    counts = ScatterAdd(tuple(range(len(axes))), tuple([node.shape[axis] for axis in axes]))(ones, *indices)
    order = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    if order != tuple(range(len(axes))):
        counts = PermuteDims(order)(counts)
    picked = Reshape(tuple([size if axis in axes else 1 for axis, size in enumerate(node.shape)]))(counts) > 0
    return where(picked, node, constant(0.0, dtype=node.dtype))


@rewrites(
    Contract, reading=Gather, exact=False,
    example=lambda e=_FEW, w=_SIDE: (Gather((0,))(e, _INDICES) @ w, Gather((0,))(Contract("ak", "kj", "aj")(e, w), _INDICES)),
)  # fmt: skip
def product_of_picked(node: Node) -> Node | None:
    """take(e, i, axis=0) @ w -> take(e @ w, i, axis=0), where i has clearly more elements than e rows"""
    for a in _gathered(node):
        op, (table, *indices) = a.x.op, a.x.inputs
        assert isinstance(op, Gather)
        places, rest = [table.shape[axis] for axis in op.axes], a.without_front(a.result)
        alone = not any(letter in a.theirs or letter not in a.result for letter in a.front)
        if alone and a.fits(node) and a.pays(places, a.count(rest)):
            new = a.fresh(len(places))
            letters = _of_table(op.axes, new, a.without_front(a.mine))
            small = _product(letters, table, a.theirs, a.other, new + rest)
            return _permuted(Gather(tuple(range(len(places))))(small, *indices), a.front + rest, a.result)
    return None


@rewrites(
    Contract, reading=Gather, exact=False,
    example=lambda e=_FEW, g=_MANY: (
        Contract("ik", "ij", "kj")(Gather((0,))(e, _INDICES), g),
        Contract("ak", "aj", "kj")(
            _where_picked(e, (0,), [_INDICES]), ScatterAdd((0,), (2, 3))(g, _INDICES)
        ),
    ),
)  # fmt: skip
def product_over_picked(node: Node) -> Node | None:
    """take(e, i, axis=0).mT @ g -> e.mT @ (zeros with g added at i), where i has clearly more elements than e rows"""
    for a in _gathered(node):
        op, (table, *indices) = a.x.op, a.x.inputs
        assert isinstance(op, Gather)
        places, rest = [table.shape[axis] for axis in op.axes], a.without_front(a.theirs)
        summed = not any(letter not in a.theirs or letter in a.result for letter in a.front)
        if summed and a.fits(node) and a.pays(places, 3 * a.count(rest)):
            new = a.fresh(len(places))
            shape = (*places, *[a.sizes[letter] for letter in rest])
            values = _permuted(a.other, a.theirs, a.front + rest)
            added = ScatterAdd(tuple(range(len(places))), shape)(values, *indices)
            table = _where_picked(table, op.axes, indices)
            letters = _of_table(op.axes, new, a.without_front(a.mine))
            return _product(letters, table, new + rest, added, a.result)
    return None


@rewrites(
    ScatterAdd, reading=Contract, exact=False,
    example=lambda g=_MANY, w=_SIDE: (
        ScatterAdd((0,), (2, 128))(Contract("ij", "kj", "ik")(g, w), _INDICES),
        _where_picked(
            Contract("aj", "kj", "ak")(ScatterAdd((0,), (2, 3))(g, _INDICES), w), (0,), [_INDICES]
        ),
    ),
)  # fmt: skip
def added_products(node: Node) -> Node | None:
    """zeros with g @ w.mT added at i -> (zeros with g added at i) @ w.mT, where i has clearly more elements than places"""
    op, (values, *indices) = node.op, node.inputs
    assert isinstance(op, ScatterAdd)
    if not isinstance(values.op, Contract):  # the product is one of the indices
        return None
    count = values.ndim - len(op.shape) + len(op.axes)
    front, behind = values.op.result[:count], values.op.result[count:]
    places = [op.shape[axis] for axis in op.axes]
    for a in (_Operand(values, 0, front), _Operand(values, 1, front)):
        rest = a.without_front(a.mine)
        alone = not any(letter in a.theirs or letter not in a.mine for letter in front)
        if alone and a.fits(node) and a.pays(places, 3 * a.count(rest), 3 * a.count(behind)):
            new = a.fresh(len(places))
            shape = (*places, *[a.sizes[letter] for letter in rest])
            added = ScatterAdd(tuple(range(len(places))), shape)(_permuted(a.x, a.mine, front + rest), *indices)
            made = _product(new + rest, added, a.theirs, a.other, _of_table(op.axes, new, behind))
            return _where_picked(made, op.axes, indices)
    return None


@rewrites(
    Add, reading=Gather,
    example=lambda e=_FEW, w=_SIDE, b=Spec((3,), float64): (
        Gather((0,))(e @ w, _INDICES) + b, Gather((0,))(e @ w + b, _INDICES)
    ),
)  # fmt: skip
def sum_with_picked(node: Node) -> Node | None:
    """take(e @ w, i, axis=0) + b -> take(e @ w + b, i, axis=0), where b is the same for all rows, of which there are few"""
    for x, b in (node.inputs, node.inputs[::-1]):
        if not (isinstance(x.op, Gather) and isinstance(x.inputs[0].op, Contract)) or b.dtype is not x.dtype:
            continue
        table, *indices = x.inputs
        count = x.ndim - table.ndim + len(x.op.axes)
        leading = b.shape[: max(0, b.ndim - (x.ndim - count))]
        sizes = [*x.shape[:count], *table.shape]
        if x.op.axes != tuple(range(len(x.op.axes))) or x.shape != node.shape or any(n != 1 for n in leading):
            continue
        if all(isinstance(n, int) for n in sizes) and 2 * math.prod(table.shape) <= math.prod(x.shape):
            b = Reshape(b.shape[len(leading) :])(b) if leading else b
            return x.op(table + b, *indices)
    return None


GATHERS = group("gathers", product_of_picked, product_over_picked, added_products, sum_with_picked)

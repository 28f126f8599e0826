"""From nodes to items: what is computed natively, what is a view, and what NumPy does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphnn.backend.base import value_of
from graphnn.backend.native import cumulative, elementwise, exponential, folding, indexing, movement, random, sorting
from graphnn.backend.native.contraction import is_product, product_of
from graphnn.backend.native.items import (
    KINDS,
    Access,
    Item,
    Kernel,
    Sizes,
    View,
    contiguous,
    is_whole,
    order_of,
    reads,
    whole,
)
from graphnn.backend.native.lower import lower, lower_bundle, lower_whole, view_of
from graphnn.backend.native.products import emit_product
from graphnn.backend.native.reduction import reduces
from graphnn.ir.dtype import uint8
from graphnn.ir.graph import topological
from graphnn.ir.node import Node
from graphnn.ir.spec import Bundle
from graphnn.ops.contraction import Contract
from graphnn.ops.indexing import Gather, ScatterAdd, ScatterSet
from graphnn.ops.reduction import Sum
from graphnn.ops.results import Result

_LOWERINGS = (
    cumulative,
    elementwise,
    exponential,
    folding,
    indexing,
    movement,
    random,
    sorting,
)  # importing them registers what they lower


_CHECKING = ("kernel", "host")


class Items(NamedTuple):
    """All items in the order in which they are built, and the items that the arguments and the outputs are."""

    items: list[Item]
    arguments: list[Item]
    outputs: list[Item]


class _Maker:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self.views: dict[Node, View] = {}
        self.copies: dict[View, Item] = {}
        self.parts: dict[Node, list[View]] = {}  # the results of operations with several

    def new(self, role: str, node: Node | None, shape: Any, dtype: Any) -> Item:
        item = Item(len(self.items), role, node, tuple(shape), dtype)
        self.items.append(item)
        return item

    def add(self, node: Node) -> None:
        self.views[node] = self._leaf(node) if not node.inputs else self._moved(node) or self._computed(node)

    def _leaf(self, node: Node) -> View:
        item = self.new("fixed", node, node.shape, node.dtype)
        item.value = value_of(node)
        return whole(item)

    def _moved(self, node: Node) -> View | None:
        if isinstance(node.op, Result):
            parts = self.parts.get(node.inputs[0])
            return None if parts is None else parts[node.op.index]
        if isinstance(node.spec, Bundle):
            return None
        first = self.views[node.inputs[0]]
        if reduces(node):
            # What is reduced along axes of size 1 is there already.
            one = all(node.inputs[0].shape[axis] == 1 for axis in node.op.axes)  # type: ignore[attr-defined]
            strides = [stride for stride, kept in zip(first.strides, self._kept(node), strict=True) if kept]
            found = View(first.item, first.offset, node.shape, tuple(strides)) if one else None  # type: ignore[arg-type]
        else:
            found = view_of(node.op, node, first)
            moves = view_of.dispatch(type(node.op)) is not view_of.dispatch(object)
            if found is None and moves and node.dtype is node.inputs[0].dtype:
                # No strides express it: of a copy they do.
                found = view_of(node.op, node, whole(self.copy(first, node.inputs[0])))
        return found

    @staticmethod
    def _kept(node: Node) -> list[bool]:
        op: Any = node.op
        return [op.keepdims or axis not in op.axes for axis in range(node.inputs[0].ndim)]

    def copy(self, view: View, node: Node) -> Item:
        """The elements of a view, in their order."""
        item = self.copies.get(view)
        if item is None:
            item = self.copies[view] = self.new("element", node, view.shape, view.item.dtype)
            item.operands, item.key, item.emit = [Access(*view[:2], view.strides)], "copy", _itself
            if item.size == 0:
                item.role, item.value, item.operands = "fixed", np.empty(item.shape, item.dtype.numpy), []
        return item

    def _computed(self, node: Node) -> View:
        operands = [self.views[operand] for operand in node.inputs]
        return self._laid_out(node, operands) or whole(self._item(node, operands))

    def _laid_out(self, node: Node, operands: list[View]) -> View | None:
        """What is computed in the order in which its operands lie, where that is not the order of its own axes."""
        if isinstance(node.spec, Bundle) or isinstance(node.op, Contract):
            return None
        folds = reduces(node)
        shape: Any = node.inputs[0].shape if folds else node.shape
        orders = [order_of(view) for view in operands if view.shape == shape]
        plain = tuple(range(len(shape)))
        order = next((found for found in orders if found is not None), plain)
        if order == plain or plain in orders:
            return None
        emit = lower(node.op, node) if node.op.elementwise else None
        if emit is None and not (folds and node.dtype.name in KINDS):
            return None
        axes = node.op.axes if folds else ()  # type: ignore[attr-defined]
        kept = [axis for axis in order if axis not in axes]
        sizes: Any = [shape[axis] for axis in kept]
        item = self.new("reduce" if folds else "element", node, sizes, node.dtype)
        for view in operands:
            strides = view.strides if folds else reads(view, shape).strides
            item.operands.append(Access(view.item, view.offset, tuple([strides[axis] for axis in order])))
        item.emit, item.key = emit, self._key(node)
        if folds:
            item.wide = tuple([shape[axis] for axis in order])
            item.axes, item.key = tuple([i for i, axis in enumerate(order) if axis in axes]), node.op
        places = dict(zip(kept, contiguous(sizes), strict=True))
        keeps = not folds or node.op.keepdims  # type: ignore[attr-defined]
        found = tuple([places.get(axis, 0) for axis in plain if keeps or axis not in axes])
        return View(item, 0, node.shape, found)  # type: ignore[arg-type]

    @staticmethod
    def _key(node: Node) -> Any:
        return node.op, *[operand.dtype.name for operand in node.inputs], node.dtype.name

    def _item(self, node: Node, operands: list[View]) -> Item:
        if isinstance(node.spec, Bundle):
            parts = lower_bundle(node.op, node, operands, self)
            if parts is not None:
                self.parts[node] = parts
                return parts[0].item
        if isinstance(node.op, Result) or isinstance(node.spec, Bundle):
            return self._by_numpy(node, operands)
        terms = self._terms(node, operands) if isinstance(node.op, Contract) else None
        if terms is not None and terms.shape == node.shape:
            return terms
        item = self.new("host", node, node.shape, node.dtype)
        if terms is not None:
            item.role, item.wide, item.axes = "reduce", terms.shape, tuple(range(node.ndim, len(terms.shape)))
            item.operands, item.key = [Access(terms, 0, contiguous(terms.shape))], Sum(item.axes)
            return item
        if item.size == 0 and not _checks(node):
            item.role, item.value = "fixed", np.empty(item.shape, item.dtype.numpy)
        elif reduces(node) and 0 not in operands[0].shape and item.dtype.name in KINDS:
            item.role, item.axes, item.wide = "reduce", node.op.axes, operands[0].shape  # type: ignore[attr-defined]
            item.operands, item.key = [Access(*operands[0][:2], operands[0].strides)], node.op
        elif isinstance(node.op, Contract) and is_product(node):
            product, turned = product_of(node, *operands)
            pair = operands[::-1] if turned else operands
            item.role, item.key = "kernel", product
            item.operands = [Access(view.item, view.offset, view.strides) for view in pair]
            pointers = (*[(view.item, view.offset) for view in pair], (item, 0), None)
            item.kernel = lambda module: Kernel(emit_product(module, product), pointers)
        elif (kernel := lower_whole(node.op, node, operands, item)) is not None:
            item.role, item.kernel = "kernel", kernel
            item.operands = [Access(view.item, view.offset, view.strides) for view in operands]
        elif node.op.elementwise and (emit := lower(node.op, node)) is not None:
            item.role, item.emit = "element", emit
            item.operands = [reads(view, item.shape) for view in operands]
            item.key = self._key(node)
        if item.role == "host":
            item.operands = [Access(view.item, view.offset, view.strides) for view in operands]
            item.wide = ()
        return item

    def _by_numpy(self, node: Node, operands: list[View]) -> Item:
        item = self.new("host", node, node.shape, node.dtype)
        item.operands = [Access(view.item, view.offset, view.strides) for view in operands]
        return item

    def fixed(self, like: Item) -> Item:
        """A constant with the value of another plan's."""
        item = self.new("fixed", like.node, like.shape, like.dtype)
        item.value = like.value
        return item

    def _terms(self, node: Node, operands: list[View]) -> Item | None:
        """For a contraction that is too little work for a matrix product: the products of all pairs, to be summed."""
        op, dtypes = node.op, {operand.dtype for operand in node.inputs}
        assert isinstance(op, Contract)
        empty = 0 in node.shape or any(0 in view.shape for view in operands)
        if empty or is_product(node) or dtypes != {node.dtype} or node.dtype.name not in KINDS:
            return None
        a, b = operands
        letters = [*op.result, *[c for c in op.left if c in op.right and c not in op.result]]
        sizes = dict(zip(op.left + op.right, (*a.shape, *b.shape), strict=True))
        terms = self.new("element", node, [sizes[c] for c in letters], node.dtype)
        for named, view in ((op.left, a), (op.right, b)):
            strides = dict(zip(named, view.strides, strict=True))
            terms.operands.append(Access(view.item, view.offset, tuple([strides.get(c, 0) for c in letters])))
        multiply = "fmul" if node.dtype.is_floating else "mul"
        terms.key, terms.emit = ("multiply", node.dtype.name), lambda builder, x, y: builder.bin(multiply, x, y)
        return terms

    def output(self, node: Node, place: int) -> Item:
        view = self.views[node]
        item = view.item
        if (
            item.role in ("given", "fixed", "host")
            or item.output >= 0
            or not is_whole(view)
            or item.shape != view.shape
        ):
            if item.role == "host" and item.output < 0 and is_whole(view) and item.shape == view.shape:
                pass
            else:
                item = self.new("element", node, view.shape, item.dtype)
                item.operands = [Access(view.item, view.offset, view.strides)]
                item.key, item.emit = "copy", _itself
                if item.size == 0:
                    item.role = "empty"
        item.output = place
        return item


def _checks(node: Node) -> bool:
    # Indices are looked at even where nothing is read or written with them.
    return isinstance(node.op, (Gather, ScatterAdd, ScatterSet)) and 0 not in node.inputs[-1].shape


def part_items(
    maker: _Maker, node: Node, room: int, operands: Sequence[View], parts: Sequence[tuple[Any, Any]]
) -> tuple[Item, list[Item]]:
    """The memory that an operation with several results works in, which stands for it; and its results.

    `parts` are the shapes and the data types of the results as they lie in memory.
    """
    anchor = maker.new("kernel", node, (room,), uint8)
    anchor.operands = [Access(view.item, view.offset, view.strides) for view in operands]
    anchor.value = [maker.new("part", node, shape, dtype) for shape, dtype in parts]
    for item in anchor.value:
        item.operands = [Access(anchor, 0, ())]
    return anchor, anchor.value


class Reading:
    """A graph of concrete sizes as items, before it is known which of them are its outputs.

    Parameters
    ----------
    strides : with which an argument is read that does not lie in memory as a whole, by its number
    """

    def __init__(
        self, outputs: Sequence[Node], arguments: Sequence[Node], strides: Mapping[int, Sizes] | None = None
    ) -> None:
        self._make = make = _Maker()
        self.given = []
        for i, node in enumerate(arguments):
            item = make.new("given", node, node.shape, node.dtype)
            apart = (strides or {}).get(i)
            make.views[node] = whole(item) if apart is None else View(item, 0, item.shape, apart)
            self.given.append(item)
        for node in topological([*outputs, *arguments]):
            if node not in make.views:
                make.add(node)

    def view(self, node: Node) -> View:
        """Where the value of a node is read."""
        return self._make.views[node]

    def items(self, ends: Sequence[Node | Item]) -> Items:
        """All items; an end that is an item is written to its output as it is, one that is a node maybe as a copy."""
        found = []
        for place, end in enumerate(ends):
            if isinstance(end, Item):
                end.output = place
            found.append(end if isinstance(end, Item) else self._make.output(end, place))
        return Items(needed(self._make.items, [*self.given, *found]), self.given, found)


def items_of(outputs: Sequence[Node], arguments: Sequence[Node]) -> Items:
    """The items of a graph of concrete sizes."""
    return Reading(outputs, arguments).items(outputs)


def needed(items: Sequence[Item], ends: Sequence[Item]) -> list[Item]:
    """The items that the ends depend on: without what only arrays of size 0 depend on, for example."""
    # What looks at indices is kept in any case.
    ends = [*ends, *[item for item in items if item.role in _CHECKING and item.node is not None and _checks(item.node)]]
    live, stack = set(ends), list(ends)
    while stack:
        item = stack.pop()
        others = [access.item for access in item.operands]
        if item.role == "kernel" and item.value is not None:
            others += item.value  # it writes all its results
        for other in others:
            if other not in live:
                live.add(other)
                stack.append(other)
    return [item for item in items if item in live]


def _itself(b: Any, x: Any) -> Any:
    return x

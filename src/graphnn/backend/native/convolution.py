"""Convolutions as products without copies of patches: what a graph says with merged axes is said with all of them.

A convolution arrives as windows of an array, laid out as the rows of a matrix, times kernels laid out as columns. Merging axes
would copy every patch; a product that keeps them apart reads the array in place. The gradient with respect to the array
arrives as a product whose rows are added up where windows overlap; it is the convolution of the other gradient, padded, with
kernels turned around.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any, NamedTuple, TypeAlias

from graphnn.ir.node import Node, make
from graphnn.ir.rebuild import transform
from graphnn.ir.source import on_behalf_of
from graphnn.ops.contraction import Contract
from graphnn.ops.movement import Pad, Part, PermuteDims, Reshape, Slice, Unslice
from graphnn.ops.windows import FoldWindows, Windows, steps_of

Cuts: TypeAlias = Sequence[tuple[int, int]]
"""Start and size along each window axis."""
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def products(outputs: Sequence[Node]) -> list[Node]:
    """The outputs, with convolutions as products that read arrays in place."""
    folds: dict[Node, tuple[Node, Cuts]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        op = node.op
        made = node if all(map(is_, inputs, node.inputs)) else make(op, inputs, like=node)
        if isinstance(op, Contract):
            with on_behalf_of(node):
                return _apart(made)
        if isinstance(op, FoldWindows):
            return keep(made, [(0, int(n)) for n in op.length])
        if isinstance(op, Part) and inputs[0] in folds:
            fold, cuts = folds[inputs[0]]
            assert isinstance(fold.op, FoldWindows)
            if op.axis in fold.op.axis:
                # What lies in a border that is cut off need not be computed.
                place = fold.op.axis.index(op.axis)
                start = cuts[place][0] + int(op.start)
                return keep(fold, [*cuts[:place], (start, int(op.size)), *cuts[place + 1 :]])
        return made

    def keep(fold: Node, cuts: Cuts) -> Node:
        with on_behalf_of(fold):
            found = _turned(fold, cuts)
            if found is None:
                laid = _laid(fold)
                return fold if laid is None else laid
        folds[found] = fold, cuts
        return found

    new = transform(outputs, visit)
    return [new[node] for node in outputs]


# Merged axes


def groups_of(whole: Sequence[int], parts: Sequence[int]) -> list[tuple[int, ...]] | None:
    """Which sizes of `parts` make up each size of `whole`, in order; None where the parts do not nest.

    >>> groups_of((6, 5), (2, 3, 5))
    [(2, 3), (5,)]
    """
    found: list[tuple[int, ...]] = []
    place = 0
    for size in whole:
        group: list[int] = []
        product = 1
        while product != size or (not group and place < len(parts)):
            if place == len(parts) or product > size or size == 0:
                return None
            product *= parts[place]
            group.append(parts[place])
            place += 1
        found.append(tuple(group))
    while place < len(parts) and found and parts[place] == 1:
        found[-1] = (*found[-1], 1)
        place += 1
    return found if place == len(parts) else None


def _apart(node: Node) -> Node:
    """A contraction whose operands are reshaped windows, as one of all their axes."""
    op, (a, b) = node.op, node.inputs
    assert isinstance(op, Contract)
    splits: dict[str, tuple[int, ...]] = {}
    for letters, operand in ((op.left, a), (op.right, b)):
        if isinstance(operand.op, Reshape) and _is_windows(operand.inputs[0]):
            groups = groups_of(operand.shape, operand.inputs[0].shape)  # type: ignore[arg-type]
            for letter, group in zip(letters, groups or (), strict=False):
                if len(group) != 1 and splits.setdefault(letter, group) != group:
                    return node  # two ways to split one axis
    if not splits:
        return node
    free = iter([c for c in _LETTERS if c not in op.left + op.right])
    names = {letter: "".join([next(free) for _ in group]) for letter, group in splits.items()}
    if sum(map(len, splits.values())) > len(_LETTERS) - len(set(op.left + op.right)):
        return node

    def spelled(letters: str) -> str:
        return "".join([names.get(letter, letter) for letter in letters])

    made = Contract(spelled(op.left), spelled(op.right), spelled(op.result))(
        _split(a, op.left, splits), _split(b, op.right, splits)
    )
    return made if made.shape == node.shape else Reshape(node.shape)(made)


def _is_windows(node: Node) -> bool:
    while isinstance(node.op, (PermuteDims, Reshape)):
        node = node.inputs[0]
    return isinstance(node.op, Windows)


def _split(node: Node, letters: str, splits: dict[str, tuple[int, ...]]) -> Node:
    shape: list[Any] = []
    for letter, size in zip(letters, node.shape, strict=True):
        shape.extend(splits.get(letter, (size,)))
    return _reshaped(node, tuple(shape))


def _reshaped(node: Node, shape: tuple[Any, ...]) -> Node:
    while isinstance(node.op, Reshape):
        node = node.inputs[0]
    return node if node.shape == shape else Reshape(shape)(node)


# Overlapping sums


class _Axis(NamedTuple):
    """An axis of a product that was reshaped and permuted: a letter, or part number `part` of one."""

    letter: str
    part: int


def _turned(node: Node, cuts: Cuts) -> Node | None:
    """Overlapping sums of a product of g and w, as the product of windows of g with w turned around.

    Only `size` places from `start` on are computed, for each (start, size) of the window axes.
    """
    op = node.op
    assert isinstance(op, FoldWindows)
    strides, dilations = steps_of(op)
    found = _letters_of(node.inputs[0])
    if found is None:
        return None
    axes, product = found
    contract = product.op
    assert isinstance(contract, Contract)
    count = len(op.axis)
    outer, inside = axes[: len(axes) - count], axes[len(axes) - count :]
    counting = [outer[axis] for axis in op.axis]
    if any(axis.part >= 0 for axis in counting):
        return None
    g, w, of_g, of_w = *product.inputs, contract.left, contract.right
    if all(axis.letter in of_w for axis in counting):
        g, w, of_g, of_w = w, g, of_w, of_g
    kernel_letters = {axis.letter for axis in inside}
    if not all(axis.letter in of_g and axis.letter not in of_w for axis in counting):
        return None
    if any(letter in of_g or letter not in of_w for letter in kernel_letters):
        return None
    # The axes of w with its letters apart, those inside windows turned around.
    sizes: dict[_Axis, Any] = dict(zip(axes, node.inputs[0].shape, strict=True))
    splits: dict[str, tuple[int, ...]] = {}
    for axis in sorted(axes, key=lambda axis: axis.part):
        if axis.part >= 0:
            splits[axis.letter] = (*splits.get(axis.letter, ()), sizes[axis])
    if any(letter in of_g for letter in splits):
        return None
    w = _split(w, of_w, splits)
    names: dict[_Axis, str] = {}
    free = iter([c for c in _LETTERS if c not in contract.left + contract.right])
    spelled_w: list[_Axis] = []
    for letter in of_w:
        parts = [_Axis(letter, i) for i in range(len(splits[letter]))] if letter in splits else [_Axis(letter, -1)]
        spelled_w += parts
    for axis in [*spelled_w, *[_Axis(letter, -1) for letter in of_g]]:
        if axis not in names:
            names[axis] = axis.letter if axis.part < 0 else next(free, "")
    if "" in names.values():
        return None
    w = Slice(tuple([(None, None, -1) if axis in inside else (None, None, 1) for axis in spelled_w]))(w)
    # Windows of g, padded so that every place of the result has one; steps of windows are zeros between elements of g.
    places = [of_g.index(axis.letter) for axis in counting]
    lengths: list[Any] = [(sizes[axis] - 1) * stride + 1 for axis, stride in zip(counting, strides, strict=True)]
    widths = [(0, 0)] * g.ndim
    begins: list[Any] = [(None, None, 1)] * g.ndim
    spread: list[Any] = [(None, None, 1)] * g.ndim
    shape = list(g.shape)
    for i, place in enumerate(places):
        spread[place], shape[place] = (None, None, strides[i]), lengths[i]
        before = (sizes[inside[i]] - 1) * dilations[i] - cuts[i][0]
        after = cuts[i][0] + cuts[i][1] - lengths[i]
        widths[place] = (max(0, before), max(0, after))
        begins[place] = (max(0, -before) or None, -max(0, -after) or None, 1)
    if any(stride != 1 for stride in strides):
        g = Unslice(tuple(spread), tuple(shape))(g)
    if any(width != (0, 0) for width in widths):
        g = Pad(tuple(widths))(g)
    if any(cut != (None, None, 1) for cut in begins):  # only now: more may be cut off in front than g has elements
        g = Slice(tuple(begins))(g)
    view = Windows(tuple(places), tuple(sizes[axis] for axis in inside), 1, op.dilation)(g)
    left = of_g + "".join([names[axis] for axis in inside])
    right = "".join([names[axis] for axis in spelled_w])
    result = "".join([names[axis] for axis in outer])
    return Contract(left, right, result)(view, w)


def _laid(node: Node) -> Node | None:
    """Windows side by side, or with gaps between them, that are put where they belong: nothing overlaps, nothing is added."""
    op = node.op
    assert isinstance(op, FoldWindows)
    strides, dilations = steps_of(op)
    (x,) = node.inputs
    count = len(op.axis)
    first = x.ndim - count
    sizes: tuple[Any, ...] = x.shape[first:]
    for size, stride, dilation in zip(sizes, strides, dilations, strict=True):
        if size > stride or (dilation != 1 and size != 1):
            return None
    if any(size != stride for size, stride in zip(sizes, strides, strict=True)):
        gaps = tuple([(0, stride - size) for size, stride in zip(sizes, strides, strict=True)])
        x = Pad((*((0, 0),) * first, *gaps))(x)
    order: list[int] = []
    shape: list[Any] = []
    for axis in range(first):
        order.append(axis)
        shape.append(x.shape[axis])
        if axis in op.axis:
            place = op.axis.index(axis)
            order.append(first + place)
            shape[-1] = x.shape[axis] * strides[place]
    x = Reshape(tuple(shape))(PermuteDims(tuple(order))(x))
    for axis, length in zip(op.axis, op.length, strict=True):
        if x.shape[axis] > length:
            x = Part(axis, 0, length)(x)
        elif x.shape[axis] < length:
            x = Pad(tuple([(0, length - x.shape[axis]) if i == axis else (0, 0) for i in range(first)]))(x)
    return x


def _letters_of(node: Node) -> tuple[list[_Axis], Node] | None:
    """The axes of a permuted and reshaped product by its letters, and the product."""
    chain = []
    while isinstance(node.op, (PermuteDims, Reshape)):
        chain.append(node)
        node = node.inputs[0]
    if not isinstance(node.op, Contract):
        return None
    axes = [_Axis(letter, -1) for letter in node.op.result]
    for each in reversed(chain):
        if isinstance(each.op, PermuteDims):
            axes = [axes[i] for i in each.op.axes]
            continue
        groups = groups_of(each.inputs[0].shape, each.shape)  # type: ignore[arg-type]
        if groups is None or any(axis.part >= 0 and len(group) != 1 for axis, group in zip(axes, groups, strict=True)):
            return None
        axes = [
            part
            for axis, group in zip(axes, groups, strict=True)
            for part in ([axis] if len(group) == 1 else [_Axis(axis.letter, i) for i in range(len(group))])
        ]
    return axes, node

"""Chains of operations that only move elements -> shorter ones; and nothing is repeated before it has to be. All exact."""

from __future__ import annotations

from graphnn.errors import ShapeError
from graphnn.ir.dims import Size
from graphnn.ir.dtype import float64
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise, Op
from graphnn.ir.spec import Shape, Spec, broadcast
from graphnn.ops.comparison import Where
from graphnn.ops.exponential import exp
from graphnn.ops.movement import (
    BroadcastTo,
    Concat,
    Cut,
    Pad,
    Part,
    PermuteDims,
    Reshape,
    Slice,
    broadcast_to,
    concat,
    permute_dims,
    reshape,
)
from graphnn.ops.random import Advance
from graphnn.rewrite.rule import group, rewrites

MANY = 64
"""With more arrays than this that are joined, their order is not searched and not changed: it would take quadratic time."""

_LINE = Spec((6,), float64)


@rewrites(Reshape, BroadcastTo, example=lambda x: (Reshape((2, 3))(x), x))
def same_shape(node: Node) -> Node | None:
    """reshape(x, x.shape) -> x, and the same for broadcast_to"""
    (x,) = node.inputs
    return x if x.shape == node.shape else None


@rewrites(Reshape, reading=Reshape, example=lambda x: (reshape(reshape(x, (6,)), (3, 2)), reshape(x, (3, 2))))
def reshape_of_reshape(node: Node) -> Node | None:
    """reshape(reshape(x, s), t) -> reshape(x, t)"""
    return Reshape(node.shape)(node.inputs[0].inputs[0])


@rewrites(PermuteDims, example=lambda x: (PermuteDims((0, 1))(x), x))
def same_order(node: Node) -> Node | None:
    """permute_dims(x, (0, 1, 2)) -> x"""
    assert isinstance(node.op, PermuteDims)
    return node.inputs[0] if node.op.axes == tuple(range(node.ndim)) else None


@rewrites(
    PermuteDims,
    reading=PermuteDims,
    example=lambda x=Spec((2, 3, 4), float64): (
        permute_dims(permute_dims(x, (1, 2, 0)), (0, 2, 1)),
        permute_dims(x, (1, 0, 2)),
    ),
)
def permute_of_permute(node: Node) -> Node | None:
    """permute_dims(permute_dims(x, a), b) -> permute_dims(x, c)"""
    inner = node.inputs[0]
    assert isinstance(node.op, PermuteDims)
    assert isinstance(inner.op, PermuteDims)
    return PermuteDims(tuple(inner.op.axes[i] for i in node.op.axes))(inner.inputs[0])


@rewrites(
    BroadcastTo,
    reading=BroadcastTo,
    example=lambda x: (broadcast_to(broadcast_to(x, (4, 2, 3)), (5, 4, 2, 3)), broadcast_to(x, (5, 4, 2, 3))),
)
def broadcast_of_broadcast(node: Node) -> Node | None:
    """broadcast_to(broadcast_to(x, s), t) -> broadcast_to(x, t)"""
    return broadcast_to(node.inputs[0].inputs[0], node.shape)


@rewrites(
    BroadcastTo,
    reading=Reshape,
    example=lambda x: (broadcast_to(reshape(x, (1, 1, 2, 3)), (5, 4, 2, 3)), broadcast_to(x, (5, 4, 2, 3))),
)
def broadcast_of_leading_ones(node: Node) -> Node | None:
    """broadcast_to(x[None], s) -> broadcast_to(x, s)"""
    inner = node.inputs[0]
    (x,) = inner.inputs
    added = inner.ndim - x.ndim
    if added > 0 and inner.shape == (*(1,) * added, *x.shape):
        return broadcast_to(x, node.shape)
    return None


@rewrites(
    Reshape, PermuteDims, reading=BroadcastTo,
    example=lambda x=Spec((), float64): (reshape(broadcast_to(x, (2, 3)), (6,)), broadcast_to(x, (6,))),
)  # fmt: skip
def move_of_repeated_number(node: Node) -> Node | None:
    """reshape(broadcast_to(number, s), t) -> broadcast_to(number, t), and the same for permute_dims"""
    (x,) = node.inputs[0].inputs
    return broadcast_to(x, node.shape) if x.ndim == 0 else None


# --- element-wise operations of repeated values ---


@rewrites(
    Elementwise, Where, reading=BroadcastTo,
    example=lambda x, y=Spec((3,), float64): (x + broadcast_to(y, (2, 3)), x + y),
)  # fmt: skip
def repeated_by_the_operation(node: Node) -> Node | None:
    """x + broadcast_to(y, x.shape) -> x + y"""
    if type(node.op) is Advance:
        return None
    inputs = list(node.inputs)
    changed = False
    for i, operand in enumerate(node.inputs):
        if isinstance(operand.op, BroadcastTo):
            inner = inputs[i]
            inputs[i] = operand.inputs[0]
            if _joined([n.shape for n in inputs]) == node.shape:
                changed = True
            else:
                inputs[i] = inner
    return node.op(*inputs) if changed else None


def _joined(shapes: list[Shape]) -> Shape | None:
    try:
        return broadcast("", *shapes)
    except ShapeError:
        return None


@rewrites(
    Elementwise, Where, reading=BroadcastTo,
    example=lambda x=Spec((3,), float64): (exp(broadcast_to(x, (2, 3))), broadcast_to(exp(x), (2, 3))),
)  # fmt: skip
def repeated_afterwards(node: Node) -> Node | None:
    """exp(broadcast_to(x, s)) -> broadcast_to(exp(x), s)"""
    if type(node.op) is Advance or not all(n.ndim == 0 or isinstance(n.op, BroadcastTo) for n in node.inputs):
        return None
    inputs = [n.inputs[0] if isinstance(n.op, BroadcastTo) else n for n in node.inputs]
    return broadcast_to(node.op(*inputs), node.shape)


# --- parts ---


@rewrites(Slice, example=lambda x: (Slice(((0, None, 1), (None, 3, 1)))(x), x))
def whole_slice(node: Node) -> Node | None:
    """x[:, 0:n] -> x"""
    assert isinstance(node.op, Slice)
    (x,) = node.inputs
    if x.shape != node.shape:
        return None
    for cut, size in zip(node.op.cuts, x.shape, strict=True):
        if cut != (None, None, 1) and not (isinstance(size, int) and (cut[2] == 1 or size <= 1)):
            return None
    return x


@rewrites(
    Slice, reading=Slice,
    example=lambda x=_LINE: (x[1:][::2], Slice(((1, 6, 2),))(x)),
)  # fmt: skip
def slice_of_slice(node: Node) -> Node | None:
    """x[a:][::b] -> x[a::b], for known sizes"""
    inner = node.inputs[0]
    (x,) = inner.inputs
    assert isinstance(node.op, Slice)
    assert isinstance(inner.op, Slice)
    cuts = []
    for size, first, second in zip(x.shape, inner.op.cuts, node.op.cuts, strict=True):
        if second == (None, None, 1):
            cuts.append(first)
        elif not isinstance(size, int):
            return None
        else:
            cuts.append(_cut_of(range(size)[slice(*first)][slice(*second)]))
    return Slice(tuple(cuts))(x)


def _cut_of(places: range) -> Cut:
    if len(places) == 0:
        return (0, 0, 1)
    # Going down to the first element, a slice has no number for where it stops.
    stop = places[-1] + (1 if places.step > 0 else -1)
    return (places[0], None if stop < 0 else stop, places.step)


@rewrites(Part, example=lambda x: (Part(1, 0, 3)(x), x))
def whole_part(node: Node) -> Node | None:
    """the part of x that is all of it -> x"""
    return node.inputs[0] if node.inputs[0].shape == node.shape else None


@rewrites(Part, reading=Part, example=lambda x=_LINE: (Part(0, 1, 2)(Part(0, 2, 4)(x)), Part(0, 3, 2)(x)))
def part_of_part(node: Node) -> Node | None:
    """a part of a part along the same axis -> a part"""
    inner = node.inputs[0]
    assert isinstance(node.op, Part)
    assert isinstance(inner.op, Part)
    if node.op.axis != inner.op.axis:
        return None
    return Part(node.op.axis, inner.op.start + node.op.start, node.op.size)(inner.inputs[0])


@rewrites(
    Part, Slice, reading=Concat,
    example=lambda x, y: (concat([x, y], axis=1)[:, 4:], Slice(((None, None, 1), (1, 3, 1)))(y)),
)  # fmt: skip
def part_of_concat(node: Node) -> Node | None:
    """concat([x, y])[n:] -> y, where the part lies inside one of the arrays that were joined"""
    joined = node.inputs[0]
    assert isinstance(joined.op, Concat)
    axis, op = joined.op.axis, node.op
    if len(joined.inputs) > MANY or any(n.dtype is not joined.dtype for n in joined.inputs):
        return None
    start: Size = 0
    for piece in joined.inputs:
        size = piece.shape[axis]
        if isinstance(op, Part):
            if op.axis != axis:
                return None
            if op.start == start and op.size == size:  # also where sizes have names
                return piece
        new = _inside(op, axis, joined.shape[axis], start, size)
        if new is not None:
            return new(piece)
        start = start + size
    return None


def _inside(op: Op, axis: int, whole: Size, start: Size, size: Size) -> Op | None:
    """The op that cuts from one piece what `op` cuts from the whole; None where that lies not in the piece alone."""
    if not (isinstance(whole, int) and isinstance(start, int) and isinstance(size, int)):
        return None
    if isinstance(op, Part):
        if not (isinstance(op.start, int) and isinstance(op.size, int)) or op.size == 0:
            return None
        fits = start <= op.start and op.start + op.size <= start + size
        return Part(axis, op.start - start, op.size) if fits else None
    assert isinstance(op, Slice)
    places = range(whole)[slice(*op.cuts[axis])]
    if len(places) == 0 or not (start <= min(places[0], places[-1]) and max(places[0], places[-1]) < start + size):
        return None
    cut = _cut_of(range(places[0] - start, places[-1] - start + places.step, places.step))
    return Slice((*op.cuts[:axis], cut, *op.cuts[axis + 1 :]))


@rewrites(Concat, example=lambda x: (Concat(0)(x), x))
def concat_of_one(node: Node) -> Node | None:
    """concat([x]) -> x"""
    return node.inputs[0] if len(node.inputs) == 1 else None


@rewrites(Concat, example=lambda x, y=Spec((0, 3), float64): (Concat(0)(y, x, y), x))
def concat_of_nothing(node: Node) -> Node | None:
    """concat([x, empty]) -> x"""
    assert isinstance(node.op, Concat)
    axis = node.op.axis
    pieces = [x for x in node.inputs if x.shape[axis] != 0] or [node.inputs[0]]
    if len(pieces) == len(node.inputs) or any(x.dtype is not node.dtype for x in pieces):
        return None
    return pieces[0] if len(pieces) == 1 else node.op(*pieces)


@rewrites(
    Concat, reading=Concat,
    example=lambda x, y, z: (concat([concat([x, y]), z]), concat([x, y, z])),
)  # fmt: skip
def concat_of_concat(node: Node) -> Node | None:
    """concat([concat([x, y]), z]) -> concat([x, y, z])"""
    pieces: list[Node] = []
    for operand in node.inputs:
        inner = isinstance(operand.op, Concat) and operand.op == node.op and operand.dtype is node.dtype
        pieces.extend(operand.inputs if inner else (operand,))
    return node.op(*pieces) if len(node.inputs) < len(pieces) <= MANY else None


@rewrites(
    Concat, reading=Part,
    example=lambda x=_LINE: (concat([Part(0, 0, 2)(x), Part(0, 2, 4)(x)]), Part(0, 0, 6)(x)),
)  # fmt: skip
def concat_of_parts(node: Node) -> Node | None:
    """concat([x[:n], x[n:]]) -> x"""
    assert isinstance(node.op, Concat)
    axis = node.op.axis
    pieces: list[Node] = []
    for operand in node.inputs:
        last = pieces[-1] if pieces else None
        if last is not None and _follows(last.op, operand.op, axis) and last.inputs[0] is operand.inputs[0]:
            assert isinstance(last.op, Part)
            assert isinstance(operand.op, Part)
            pieces[-1] = Part(axis, last.op.start, last.op.size + operand.op.size)(operand.inputs[0])
        else:
            pieces.append(operand)
    if len(pieces) == len(node.inputs) or any(n.dtype is not node.dtype for n in pieces):
        return None
    return pieces[0] if len(pieces) == 1 else node.op(*pieces)


def _follows(first: Op, second: Op, axis: int) -> bool:
    return (
        isinstance(first, Part)
        and isinstance(second, Part)
        and first.axis == second.axis == axis
        and first.start + first.size == second.start
    )


@rewrites(Pad, example=lambda x: (Pad(((0, 0), (0, 0)))(x), x))
def empty_pad(node: Node) -> Node | None:
    """no zeros around x -> x"""
    return node.inputs[0] if node.inputs[0].shape == node.shape else None


@rewrites(Pad, reading=Pad, example=lambda x=_LINE: (Pad(((1, 2),))(Pad(((3, 0),))(x)), Pad(((4, 2),))(x)))
def pad_of_pad(node: Node) -> Node | None:
    """zeros around zeros -> more zeros"""
    inner = node.inputs[0]
    assert isinstance(node.op, Pad)
    assert isinstance(inner.op, Pad)
    pairs = zip(node.op.widths, inner.op.widths, strict=True)
    return Pad(tuple((a + c, b + d) for (a, b), (c, d) in pairs))(inner.inputs[0])


@rewrites(Part, reading=Pad, example=lambda x=_LINE: (Part(0, 1, 6)(Pad(((1, 2),))(x)), x))
def part_of_pad(node: Node) -> Node | None:
    """the part of x with zeros around it that is x -> x"""
    inner = node.inputs[0]
    (x,) = inner.inputs
    assert isinstance(node.op, Part)
    assert isinstance(inner.op, Pad)
    others = [pair for i, pair in enumerate(inner.op.widths) if i != node.op.axis]
    inside = node.op.start == inner.op.widths[node.op.axis][0] and x.shape == node.shape
    return x if inside and all(pair == (0, 0) for pair in others) else None


SHAPES = group(
    "shapes",
    same_shape,
    reshape_of_reshape,
    same_order,
    permute_of_permute,
    broadcast_of_broadcast,
    broadcast_of_leading_ones,
    move_of_repeated_number,
    repeated_by_the_operation,
    repeated_afterwards,
    whole_slice,
    slice_of_slice,
    whole_part,
    part_of_part,
    part_of_concat,
    concat_of_one,
    concat_of_nothing,
    concat_of_concat,
    concat_of_parts,
    empty_pad,
    pad_of_pad,
    part_of_pad,
)

"""Operations that only move elements: new shapes, other orders of axes, parts and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphnn.errors import ShapeError
from graphnn.ir import dims
from graphnn.ir.dims import Size
from graphnn.ir.dtype import result_dtype
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, Linear
from graphnn.ir.spec import Shape, Spec, as_shape, broadcast, normalize_axes, normalize_axis, shape_text
from graphnn.ops.operands import Operand, as_node, as_nodes, axes_of

Cut: TypeAlias = "tuple[int | None, int | None, int]"
"""Start, stop and step of a slice along one axis, as Python means them."""


class Reshape(Linear):
    """The same elements in another shape"""

    shape: Shape
    latex = r"\operatorname{{reshape}}_{{{shape}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        if dims.product(self.shape) != x.size:
            hint = "Use -1 for one size that is to be worked out."
            if x.ndim and dims.product(self.shape) == dims.product(x.shape[1:]):
                hint = f"Keep the axis {x.shape[0]}: {shape_text((x.shape[0], *self.shape))}."
            raise ShapeError(
                f"reshape: {shape_text(x.shape)} has {x.size} elements, "
                f"{shape_text(self.shape)} has {dims.product(self.shape)}",
                hint,
            )
        return x.with_shape(self.shape)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (Reshape(operands[0].shape)(g),)


def reshape(x: Operand, /, shape: Any) -> Node:
    """The elements of x, in row-major order, in another shape; one size may be -1.

    >>> gn.evaluate(gn.reshape([1, 2, 3, 4], (2, -1)))
    array([[1, 2],
           [3, 4]])

    Raises
    ------
    ShapeError
        If the number of elements would change, or -1 cannot be worked out.
    """
    node = as_node(x)
    sizes = (shape,) if isinstance(shape, (int, str)) or not isinstance(shape, Sequence) else tuple(shape)
    wanted = [size for size in sizes if not (isinstance(size, int) and size == -1)]
    if len(wanted) == len(sizes):
        return Reshape(as_shape(sizes))(node)
    known = dims.product(as_shape(tuple(wanted)))
    rest = dims.exact_quotient(node.spec.size, known) if known != 0 else None
    if rest is None or len(wanted) < len(sizes) - 1:
        count = len(sizes) - len(wanted)
        hint = "-1 may stand for one size only." if count > 1 else f"{node.spec.size} is not divisible by {known}."
        error = ShapeError(f"reshape: {shape_text(node.shape)} cannot become {shape_text(sizes)}", hint)
        raise explain(error, (node,))
    return Reshape(tuple(rest if isinstance(s, int) and s == -1 else dims.as_size(s) for s in sizes))(node)


def expand_dims(x: Operand, /, *, axis: int | Sequence[int] = 0) -> Node:
    """x with a new axis of size 1 at each of the places `axis` of the result.

    >>> gn.expand_dims(gn.placeholder("x", (3,)), axis=1).shape
    (3, 1)
    """
    node = as_node(x)
    places = (axis,) if isinstance(axis, int) else tuple(axis)
    added = normalize_axes("expand_dims", places, node.ndim + len(places))
    sizes = iter(node.shape)
    return Reshape(tuple(1 if i in added else next(sizes) for i in range(node.ndim + len(added))))(node)


def squeeze(x: Operand, /, axis: int | Sequence[int] | None = None) -> Node:
    """x without the given axes, which must have the size 1; without all such axes where `axis` is None.

    >>> gn.squeeze(gn.placeholder("x", (1, 3, 1)), 0).shape
    (3, 1)
    """
    node = as_node(x)
    axes = (
        tuple(i for i, size in enumerate(node.shape) if size == 1) if axis is None else axes_of("squeeze", axis, node)
    )
    for i in axes:
        if node.shape[i] != 1:
            error = ShapeError(
                f"squeeze: axis {i} of {shape_text(node.shape)} has the size {node.shape[i]}, not 1",
                "Only axes of size 1 can be dropped. To pick an element write x[0], to reduce gn.sum(x, axis=0).",
            )
            raise explain(error, (node,))
    return Reshape(tuple(size for i, size in enumerate(node.shape) if i not in axes))(node) if axes else node


class PermuteDims(Linear):
    """The axes in another order"""

    axes: tuple[int, ...]
    latex = r"\operatorname{{permute}}_{{{axes}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        if sorted(self.axes) != list(range(x.ndim)):
            raise ShapeError(
                f"permute_dims: {self.axes} is not an order of the {x.ndim} axes of {shape_text(x.shape)}",
                "Name each axis once, such as (1, 0).",
            )
        return x.with_shape(x.shape[axis] for axis in self.axes)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (PermuteDims(tuple(self.axes.index(i) for i in range(len(self.axes))))(g),)


def permute_dims(x: Operand, /, axes: Sequence[int]) -> Node:
    """The axes of x in another order: axis i of the result is axis ``axes[i]`` of x.

    >>> gn.permute_dims(gn.placeholder("x", ("batch", 3, 4)), (2, 0, 1)).shape
    (4, batch, 3)
    """
    node = as_node(x)
    if not isinstance(axes, Sequence):
        error = ShapeError(f"permute_dims: the order of all axes is wanted, not {axes!r}", "Such as (1, 0), or x.mT.")
        raise explain(error, (node,))
    order = tuple(axis + node.ndim if isinstance(axis, int) and axis < 0 else axis for axis in axes)
    return PermuteDims(order)(node)


def matrix_transpose(x: Operand, /) -> Node:
    """The last two axes exchanged, also written ``x.mT``.

    >>> gn.evaluate(gn.matrix_transpose([[1, 2], [3, 4]]))
    array([[1, 3],
           [2, 4]])
    """
    node = as_node(x)
    if node.ndim < 2:
        error = ShapeError(
            f"matrix_transpose needs at least two axes, not {shape_text(node.shape)}",
            "A vector has no transpose. For a column write x[:, None], for a row x[None, :].",
        )
        raise explain(error, (node,))
    return PermuteDims((*range(node.ndim - 2), node.ndim - 1, node.ndim - 2))(node)


def transpose_matrix(x: Operand, /) -> Node:
    """``x.T``, for matrices only."""
    node = as_node(x)
    if node.ndim != 2:
        hint = "Use x.mT, or gn.permute_dims(x, axes)." if node.ndim > 2 else "For a column write x[:, None]."
        raise explain(ShapeError(f".T is for matrices, not for {shape_text(node.shape)}", hint), (node,))
    return PermuteDims((1, 0))(node)


class BroadcastTo(Linear):
    """x repeated along axes of size 1 and along new leading axes"""

    shape: Shape
    latex = r"\operatorname{{broadcast}}_{{{shape}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        if broadcast("broadcast_to", x.shape, self.shape) != self.shape:
            raise ShapeError(f"broadcast_to: {shape_text(x.shape)} cannot become {shape_text(self.shape)}")
        return x.with_shape(self.shape)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (g,)  # the reverse pass sums over what was broadcast


def broadcast_to(x: Operand, /, shape: Any) -> Node:
    """x repeated to a larger shape, by the rules of broadcasting.

    >>> gn.evaluate(gn.broadcast_to([1, 2], (2, 2)))
    array([[1, 2],
           [1, 2]])
    """
    node, wanted = as_node(x), as_shape(shape)
    return node if node.shape == wanted else BroadcastTo(wanted)(node)


class Concat(Linear):
    """Arrays joined along an axis"""

    axis: int
    linear_in = None
    mask_follows = True
    latex = r"\operatorname{{concat}}_{{{axis}}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Spec:
        first = specs[0]
        for spec in specs[1:]:
            fits = spec.ndim == first.ndim and all(
                a == b for i, (a, b) in enumerate(zip(first.shape, spec.shape, strict=True)) if i != self.axis
            )
            if not fits:
                raise ShapeError(
                    f"concat: {shape_text(first.shape)} and {shape_text(spec.shape)} differ beside axis {self.axis}",
                    "All sizes but that of the joined axis must be equal."
                    if spec.ndim == first.ndim
                    else "Both need the same number of axes; add one with x[None] or gn.expand_dims.",
                )
        total: Size = 0
        for spec in specs:
            total = total + spec.shape[self.axis]
        shape = (*first.shape[: self.axis], total, *first.shape[self.axis + 1 :])
        return Spec(shape, result_dtype("concat", *(spec.dtype for spec in specs)))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        parts: list[Cotangent] = []
        start: Size = 0
        for node in operands:
            size = node.shape[self.axis]
            parts.append(Part(self.axis, start, size)(g))
            start = start + size
        return tuple(parts)


class Part(Linear):
    """One of the arrays that were joined along an axis: `size` places of it from `start` on"""

    axis: int
    start: Size
    size: Size
    latex = r"\operatorname{{part}}_{{{start}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        return x.with_shape((*x.shape[: self.axis], self.size, *x.shape[self.axis + 1 :]))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        after = operands[0].shape[self.axis] - self.start - self.size
        widths = tuple((self.start, after) if i == self.axis else (0, 0) for i in range(g.ndim))
        return (Pad(widths)(g),)


def concat(arrays: Sequence[Operand], /, *, axis: int | None = 0) -> Node:
    """Arrays joined along an axis; flattened first where `axis` is None.

    >>> gn.evaluate(gn.concat([[1, 2], [3]]))
    array([1, 2, 3])
    """
    if isinstance(arrays, Node) or not isinstance(arrays, Sequence) or not arrays:
        raise ShapeError("concat takes a list with at least one array", "Write gn.concat([a, b], axis=0).")
    nodes = as_nodes("concat", *arrays)
    if axis is None:
        nodes, axis = tuple(reshape(node, (-1,)) for node in nodes), 0
    return Concat(normalize_axis("concat", axis, nodes[0].ndim))(*nodes)


def stack(arrays: Sequence[Operand], /, *, axis: int = 0) -> Node:
    """Arrays of one shape joined along a new axis.

    >>> gn.evaluate(gn.stack([[1, 2], [3, 4]], axis=1))
    array([[1, 3],
           [2, 4]])
    """
    if isinstance(arrays, Node) or not isinstance(arrays, Sequence) or not arrays:
        raise ShapeError("stack takes a list with at least one array", "Write gn.stack([a, b], axis=0).")
    nodes = as_nodes("stack", *arrays)
    for node in nodes:
        if node.shape != nodes[0].shape:
            error = ShapeError(
                f"stack: shapes {shape_text(nodes[0].shape)} and {shape_text(node.shape)} differ",
                "gn.stack makes a new axis of arrays of one shape; to join along an axis there is use gn.concat.",
            )
            raise explain(error, nodes)
    place = normalize_axis("stack", axis, nodes[0].ndim + 1)
    return Concat(place)(*(expand_dims(node, axis=place) for node in nodes))


class Slice(Linear):
    """A regular part of x: start, stop and step for each axis"""

    cuts: tuple[Cut, ...]
    latex = "{0:100}_{{{cuts}}}"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        return x.with_shape(cut_size(size, cut) for size, cut in zip(x.shape, self.cuts, strict=True))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (Unslice(self.cuts, operands[0].shape)(g),)


class Unslice(Linear):
    """Zeros of a shape, with x in the place of a slice"""

    cuts: tuple[Cut, ...]
    shape: Shape
    latex = r"\operatorname{{unslice}}_{{{cuts}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        return specs[0].with_shape(self.shape)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (Slice(self.cuts)(g),)


def cut_size(size: Size, cut: Cut) -> Size:
    """The size of a slice of an axis, for named sizes too."""
    start, stop, step = cut
    if isinstance(size, int):
        return len(range(*slice(*cut).indices(size)))
    if step > 0 and (start is None or start >= 0) and (stop is None or stop < 0):
        # The common case in its shortest form: so many off the front, so many off the end.
        length = dims.positive_part(size - (start or 0) + (stop or 0)) if start or stop else size
        return dims.floor_divide(length + (step - 1), step)
    if step < 0:
        # From start (the last element unless told) down to just above stop.
        first = size - 1 if start is None else _clamp(start, size, low=-1)
        last: Size = -1 if stop is None else _clamp(stop, size, low=-1)
        length = first - last
    else:
        first = 0 if start is None else _clamp(start, size, low=0)
        last = size if stop is None else _clamp(stop, size, low=0)
        length = last - first
    if start is not None and stop is not None:  # only then may the one pass the other
        length = dims.positive_part(length)
    return dims.floor_divide(length + (abs(step) - 1), abs(step))


def _clamp(index: int, size: Size, low: int) -> Size:
    # Python's clamping of slice bounds, with max(a, 0) as the only building block.
    if index < 0:
        return dims.positive_part(size + index - low) + low
    top = size - 1 if low < 0 else size
    return index - dims.positive_part(index - top)


class Pad(Linear):
    """Zeros around x"""

    widths: tuple[tuple[Size, Size], ...]
    latex = r"\operatorname{{pad}}_{{{widths}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        if len(self.widths) != x.ndim:
            raise ShapeError(f"pad: {len(self.widths)} pairs of widths for the {x.ndim} axes of {shape_text(x.shape)}")
        return x.with_shape(before + size + after for size, (before, after) in zip(x.shape, self.widths, strict=True))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        out = g
        for axis, (before, after) in enumerate(self.widths):
            if before != 0 or after != 0:
                out = Part(axis, before, operands[0].shape[axis])(out)
        return (out,)

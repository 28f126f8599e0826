"""Sliding windows and their transpose, overlap-add: what convolution and pooling are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphnn.errors import ShapeError
from graphnn.ir.dims import Size, as_size, floor_divide
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent, Linear
from graphnn.ir.spec import Shape, Spec, normalize_axes, shape_text
from graphnn.ops.kinds import check_kind
from graphnn.ops.operands import Operand, as_node

Steps: TypeAlias = int | tuple[int, ...]
"""A step for all axes, or one for each."""
Sizes: TypeAlias = "Size | str | Sequence[Size | str]"
"""One size for all axes, or a size for each."""


def window_extent(size: Size, dilation: int) -> Size:
    """How many places a window spans, from its first to its last element: ``dilation * (size - 1) + 1``."""
    return (size - 1) * dilation + 1


def window_count(length: Size, size: Size, stride: int, dilation: int) -> Size:
    """How many windows fit into an axis, for named sizes too: ``(length - extent) // stride + 1``.

    >>> from graphnn.ir.dims import Dim
    >>> window_count(Dim("h"), 3, 2, 1)
    (h + 1)//2 - 1
    """
    return floor_divide(length - window_extent(size, dilation), stride) + 1


class Windows(Linear):
    """All windows of x along some axes

    Window number i along an axis begins at ``i * stride`` and takes every ``dilation``-th element. The axis then counts
    the windows; the elements of a window get new axes at the end.
    """

    axis: tuple[int, ...]
    size: Shape
    stride: Steps = 1
    dilation: Steps = 1
    latex = r"\operatorname{{windows}}_{{{size}}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        if 0 in self.size:
            raise ShapeError(
                f"windows: a window of no elements: {shape_text(self.size)}", "Window sizes are at least 1."
            )
        shape = list(x.shape)
        for axis, size, stride, dilation in zip(self.axis, self.size, *steps_of(self), strict=True):
            extent, length = window_extent(size, dilation), x.shape[axis]
            if isinstance(length, int) and isinstance(extent, int) and length < extent:
                raise ShapeError(
                    f"windows: axis {axis} of {shape_text(x.shape)} has {length} elements, a window spans {extent}",
                    "Take a smaller window, or pad the axis first.",
                )
            shape[axis] = window_count(length, size, stride, dilation)
        return x.with_shape((*shape, *self.size))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        lengths = tuple(operands[0].shape[axis] for axis in self.axis)
        return (FoldWindows(self.axis, lengths, self.stride, self.dilation)(g),)


class FoldWindows(Linear):
    """Windows added up where they overlap, the transpose of `Windows`

    The last axes hold the elements of the windows, those of `axis` count them; `length` is the size of each of these in the
    result. Places that no window covers are 0.
    """

    axis: tuple[int, ...]
    length: Shape
    stride: Steps = 1
    dilation: Steps = 1
    latex = r"\operatorname{{fold}}_{{{length}}}\left({0}\right)"
    mask_follows = True

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        check_kind(self.name, "numeric", (x.dtype,))
        count = len(self.axis)
        if x.ndim < 2 * count:
            raise ShapeError(
                f"fold_windows: {shape_text(x.shape)} has no {count} axes that count windows and {count} inside"
            )
        shape, sizes = list(x.shape[: x.ndim - count]), x.shape[x.ndim - count :]
        for axis, size, length, stride, dilation in zip(self.axis, sizes, self.length, *steps_of(self), strict=True):
            fitting = window_count(length, size, stride, dilation)
            if fitting != shape[axis]:
                raise ShapeError(
                    f"fold_windows: axis {axis} of {shape_text(x.shape)} counts {shape[axis]} windows of {size}, "
                    f"but {fitting} fit into {length}",
                    "The number of windows is (length - dilation * (size - 1) - 1) // stride + 1.",
                )
            shape[axis] = length
        return x.with_shape(shape)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (Windows(self.axis, operands[0].shape[g.ndim :], self.stride, self.dilation)(g),)


def steps_of(op: Windows | FoldWindows) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stride and dilation of each axis."""
    found = []
    for what, given in (("stride", op.stride), ("dilation", op.dilation)):
        each = per_axis(op.name, what, given, len(op.axis))
        for step in each:
            if isinstance(step, bool) or not isinstance(step, int) or step < 1:
                raise ShapeError(f"{op.name}: a {what} is an int from 1, not {step!r}")
        found.append(each)
    return found[0], found[1]


def common(steps: Sequence[int]) -> Steps:
    """One number where all are equal: so that equal operations have equal fields, and print in short."""
    return steps[0] if len(set(steps)) == 1 else tuple(steps)


def windows(
    x: Operand,
    /,
    size: Sizes,
    *,
    axis: int | Sequence[int] | None = None,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Node:
    """All windows of x along axes, or along all: ``out[i, j] = x[i * stride + j * dilation]`` for one axis.

    The axes count the windows, of which there are ``(n - dilation * (size - 1) - 1) // stride + 1``; new axes at the end
    hold the elements of a window. NumPy knows the case of stride and dilation 1 as ``sliding_window_view``.

    Parameters
    ----------
    size, stride, dilation : one number for all axes, or one for each

    >>> gn.evaluate(gn.windows([1, 2, 3, 4], 2))
    array([[1, 2],
           [2, 3],
           [3, 4]])
    >>> gn.windows(gn.placeholder("x", ("batch", "h", 3)), 5, axis=1, stride=2).shape
    (batch, (h + 1)//2 - 2, 3, 5)

    Raises
    ------
    ShapeError
        If a window spans more elements than the axis has.
    """
    node = as_node(x)
    axes = normalize_axes("windows", axis, node.ndim)
    sizes = tuple(as_size(each) for each in per_axis("windows", "size", size, len(axes)))
    return Windows(axes, sizes, *_steps("windows", stride, dilation, len(axes)))(node)


def fold_windows(
    x: Operand,
    /,
    length: Sizes,
    *,
    axis: int | Sequence[int] | None = None,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Node:
    """Windows added up where they overlap: ``out[i * stride + j * dilation] += x[i, j]``, the transpose of `windows`.

    Parameters
    ----------
    length : the size of the axes of the result; one for all, or one for each
    axis : the axes that count the windows; as many at the end hold their elements. Half of all axes unless told.

    >>> gn.evaluate(gn.fold_windows([[1, 2], [2, 3], [3, 4]], 4))
    array([1, 4, 6, 4])

    Raises
    ------
    ShapeError
        If another number of windows fits into the length.
    """
    node = as_node(x)
    count = node.ndim // 2 if axis is None else 1 if isinstance(axis, int) else len(axis)
    axes = normalize_axes("fold_windows", axis, node.ndim - count)
    lengths = tuple(as_size(each) for each in per_axis("fold_windows", "length", length, len(axes)))
    return FoldWindows(axes, lengths, *_steps("fold_windows", stride, dilation, len(axes)))(node)


def _steps(name: str, stride: object, dilation: object, count: int) -> tuple[Steps, Steps]:
    return common(per_axis(name, "stride", stride, count)), common(per_axis(name, "dilation", dilation, count))


def per_axis(name: str, what: str, value: object, count: int) -> tuple[Any, ...]:
    """One value for each of `count` axes, from one for all or a sequence of as many."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (value,) * count
    if len(value) != count:
        raise ShapeError(f"{name}: {len(value)} values of {what} for {count} axes: {tuple(value)}")
    return tuple(value)

"""Patches of images: what convolution, pooling and resizing agree on. Layouts, padding, unfold and fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from graphnn.errors import ShapeError
from graphnn.ir.dims import Size, as_size, exact_quotient, floor_divide, positive_part, product
from graphnn.ir.dtype import bool_
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node
from graphnn.ir.spec import Shape, shape_text
from graphnn.ops.comparison import where
from graphnn.ops.movement import Pad, Part, Reshape, broadcast_to, permute_dims
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.windows import FoldWindows, Steps, Windows, common, per_axis, window_extent

Padding: TypeAlias = "str | int | tuple[int | tuple[int, int], ...]"
"""``"valid"`` (none), ``"same"``, one number for all borders, or for each spatial axis a number or a pair."""
Pair: TypeAlias = tuple[Size, Size]

_LETTERS = {1: "W", 2: "HW", 3: "DHW"}


def channels_first(name: str, layout: str, count: int) -> bool:
    """Whether channels come before the `count` spatial axes: ``"NCHW"`` or ``"channels_first"``, not ``"NHWC"``."""
    letters = _LETTERS.get(count, "")
    if layout in ("channels_last", f"N{letters}C"):
        return False
    if layout in ("channels_first", f"NC{letters}"):
        return True
    known = f", or 'N{letters}C' or 'NC{letters}'" if letters else ""
    raise ShapeError(f"{name}: layout is 'channels_last' or 'channels_first'{known}, not {layout!r}")


def to_last(x: Node, count: int, first: bool) -> Node:
    """Channels behind the last `count` axes, where they stood before these."""
    if not first:
        return x
    place = x.ndim - count - 1
    return permute_dims(x, (*range(place), *range(place + 1, x.ndim), place))


def from_last(x: Node, count: int, first: bool) -> Node:
    """The way back of `to_last`."""
    if not first:
        return x
    place = x.ndim - count - 1
    return permute_dims(x, (*range(place), x.ndim - 1, *range(place, x.ndim - 1)))


def spatial(name: str, x: Node, size: object) -> int:
    """The number of spatial axes: as many as there are sizes, or all but batch and channels."""
    count = len(size) if isinstance(size, Sequence) and not isinstance(size, str) else x.ndim - 2
    check_axes(name, x, count)
    return count


def check_axes(name: str, x: Node, count: int) -> None:
    """Check that there are axes for `count` spatial ones and the channels."""
    if count < 1 or x.ndim < count + 1:
        axes = ", ".join(["batch", *_LETTERS.get(count, "HW").lower(), "channels"])
        raise ShapeError(
            f"{name}: {shape_text(x.shape)} has too few axes for {max(count, 1)} spatial ones and the channels",
            f"Inputs have the axes [{axes}].",
        )


def steps(name: str, what: str, value: object, count: int) -> tuple[int, ...]:
    """A stride, dilation and the like for each of `count` axes."""
    values = per_axis(name, what, value, count)
    for each in values:
        if isinstance(each, bool) or not isinstance(each, int) or each < 1:
            raise ShapeError(f"{name}: {what} is an int from 1, or one for each of the {count} axes, not {value!r}")
    return values


def borders(name: str, padding: object, lengths: Shape, extents: Shape, strides: tuple[int, ...]) -> tuple[Pair, ...]:
    """How much is put before and after each spatial axis.

    ``"same"`` puts as much as makes the number of windows ``ceil(length / stride)``; an odd one goes after.
    """
    if padding == "valid":
        return ((0, 0),) * len(lengths)
    if padding == "same":
        totals = []
        for length, extent, stride in zip(lengths, extents, strides, strict=True):
            total = (-floor_divide(-length, stride) - 1) * stride + extent - length
            # Never negative where windows overlap or touch: then it keeps its simple form for named sizes.
            touching = isinstance(extent, int) and extent >= stride
            totals.append(total if touching and not isinstance(total, int) else positive_part(total))
        return tuple(halves(total) for total in totals)
    return numbers(name, padding, len(lengths))


def halves(total: Size) -> Pair:
    """A border divided between both sides; an odd one goes after."""
    before = floor_divide(total, 2)
    return before, total - before


def numbers(name: str, padding: object, count: int) -> tuple[tuple[int, int], ...]:
    """Padding given as numbers: one for all borders, or for each axis one or a pair (before, after)."""
    pairs = []
    for each in per_axis(name, "padding", padding, count):
        pair = tuple(each) if isinstance(each, Sequence) and not isinstance(each, str) else (each, each)
        if len(pair) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in pair):
            raise ShapeError(
                f"{name}: padding is 'valid', 'same' or numbers from 0, not {padding!r}",
                f"Give one number, or a number or a pair (before, after) for each of the {count} spatial axes.",
            )
        pairs.append(pair)
    return tuple(pairs)


def padded(x: Node, pairs: tuple[Pair, ...], value: float = 0.0) -> Node:
    """x, channels last, with a border of one value around its spatial axes."""
    if all(before == 0 and after == 0 for before, after in pairs):
        return x
    widths = (*((0, 0),) * (x.ndim - len(pairs) - 1), *pairs, (0, 0))
    out = Pad(widths)(x)
    if value == 0:
        return out
    return where(Pad(widths)(broadcast_to(constant(True, bool_), x.shape)), out, constant(value, x.dtype))


def patches(
    name: str,
    x: Node,
    sizes: Shape,
    stride: object,
    padding: object,
    dilation: object,
    value: float = 0.0,
) -> Node:
    """All patches of x, channels last, padded with a value: ``[..., *counts, channels, *sizes]``."""
    count = len(sizes)
    strides, dilations = steps(name, "stride", stride, count), steps(name, "dilation", dilation, count)
    extents = tuple(window_extent(k, d) for k, d in zip(sizes, dilations, strict=True))
    lengths = x.shape[-count - 1 : -1]
    pairs = borders(name, padding, lengths, extents, strides)
    for axis, (length, extent, (before, after)) in enumerate(zip(lengths, extents, pairs, strict=True)):
        whole = length + before + after
        if isinstance(whole, int) and isinstance(extent, int) and whole < extent:
            border = f" and {whole - length} of padding" if whole != length else ""
            raise ShapeError(
                f"{name}: spatial axis {axis} of {shape_text(x.shape)} has {length} elements{border}, "
                f"a window spans {extent}",
                "Pad more, or take a smaller window.",
            )
    axes = tuple(range(x.ndim - count - 1, x.ndim - 1))
    return Windows(axes, sizes, common(strides), common(dilations))(padded(x, pairs, value))


def window_axes(count: int) -> tuple[int, ...]:
    """The axes of `patches` that hold the elements of a patch."""
    return tuple(range(-count, 0))


def unfold(
    x: Operand,
    /,
    size: int | Sequence[int],
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    dilation: Steps = 1,
) -> Node:
    """Patches of x as vectors, the im2col form: ``[..., h, w, c] -> [..., oh, ow, kh * kw * c]``.

    The inner product of such a vector with a kernel, laid out in the same order, is one number of a convolution:
    ``conv2d(x, w) == unfold(x, (kh, kw)) @ reshape(w, (kh * kw * c, out))``.

    Parameters
    ----------
    size : of a patch along each spatial axis; one number for all axes but the first and the last
    stride, padding, dilation : as in `conv2d`

    >>> x = gn.constant([[[1.0], [2.0]], [[3.0], [4.0]]])
    >>> gn.evaluate(gn.unfold(x, (1, 2)))
    array([[[1., 2.]],
           [[3., 4.]]], dtype=float32)
    """
    node = as_node(x)
    count = spatial("unfold", node, size)
    sizes = tuple(as_size(k) for k in per_axis("unfold", "size", size, count))
    found = patches("unfold", node, sizes, stride, padding, dilation)
    return flat_patches(found, count)


def flat_patches(found: Node, count: int, groups: int = 1) -> Node:
    """`patches` with each as a vector, ordered as a kernel is; with groups, a vector for each group of channels."""
    split = found.ndim - count - 1
    outer, channels, sizes = found.shape[:split], found.shape[split], found.shape[split + 1 :]
    if groups == 1:
        inside = permute_dims(found, (*range(split), *range(split + 1, found.ndim), split))
        return Reshape((*outer, product(sizes) * channels))(inside)
    each = floor_divide(channels, groups)
    grouped = Reshape((*outer, groups, each, *sizes))(found)
    inside = permute_dims(grouped, (*range(split + 1), *range(split + 2, grouped.ndim), split + 1))
    return Reshape((*outer, groups, product(sizes) * each))(inside)


def fold(
    x: Operand,
    /,
    length: Size | Sequence[Size | str],
    size: int | Sequence[int],
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    dilation: Steps = 1,
) -> Node:
    """Patches added up where they overlap, the transpose of `unfold`: ``[..., oh, ow, kh * kw * c] -> [..., h, w, c]``.

    Parameters
    ----------
    length : the sizes of the spatial axes of the result, (h, w)
    size, stride, padding, dilation : as in the `unfold` that made the patches

    >>> x = gn.constant([[1.0, 2.0], [2.0, 3.0]])
    >>> gn.evaluate(gn.fold(x, (3,), (2,)))
    array([[1.],
           [4.],
           [3.]], dtype=float32)

    Raises
    ------
    ShapeError
        If the number of patches is not that of such an `unfold`.
    """
    node = as_node(x)
    count = len(length) if isinstance(length, Sequence) and not isinstance(length, str) else spatial("fold", node, size)
    check_axes("fold", node, count)
    sizes = tuple(as_size(k) for k in per_axis("fold", "size", size, count))
    lengths = tuple(as_size(n) for n in per_axis("fold", "length", length, count))
    strides, dilations = steps("fold", "stride", stride, count), steps("fold", "dilation", dilation, count)
    extents = tuple(window_extent(k, d) for k, d in zip(sizes, dilations, strict=True))
    pairs = borders("fold", padding, lengths, extents, strides)
    whole = tuple(before + n + after for n, (before, after) in zip(lengths, pairs, strict=True))
    out = overlap_add(_kernel_last("fold", node, sizes), whole, strides, dilations)
    first = out.ndim - count - 1
    for axis, (before, _), n in zip(range(first, first + count), pairs, lengths, strict=True):
        out = out if out.shape[axis] == n else Part(axis, before, n)(out)
    return out


def overlap_add(x: Node, lengths: Shape, strides: tuple[int, ...], dilations: tuple[int, ...]) -> Node:
    """``[..., *counts, channels, *sizes] -> [..., *lengths, channels]``."""
    count = len(lengths)
    first = x.ndim - 2 * count - 1
    return FoldWindows(tuple(range(first, first + count)), lengths, common(strides), common(dilations))(x)


def _kernel_last(name: str, x: Node, sizes: Shape) -> Node:
    """Patches as vectors, ``[..., kh * kw * c]``, with axes of their own: ``[..., c, kh, kw]``."""
    channels: Any = exact_quotient(x.shape[-1], product(sizes)) if 0 not in sizes else None
    if channels is None:
        raise ShapeError(
            f"{name}: vectors of {x.shape[-1]} elements are no patches of {shape_text(sizes)}",
            "The last size must be a multiple of the number of places of a patch.",
        )
    outer = x.ndim - 1
    split = Reshape((*x.shape[:-1], *sizes, channels))(x)
    return permute_dims(split, (*range(outer), split.ndim - 1, *range(outer, split.ndim - 1)))

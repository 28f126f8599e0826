"""Pooling: each window of an image becomes one number, channel by channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.errors import ShapeError
from graphnn.functions.patches import (
    Padding,
    channels_first,
    check_axes,
    from_last,
    patches,
    spatial,
    to_last,
    window_axes,
)
from graphnn.functions.statistics import mean, vector_norm
from graphnn.ir.arrays import Array
from graphnn.ir.dims import as_size
from graphnn.ir.dtype import DType
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node
from graphnn.ir.spec import Shape, shape_text
from graphnn.ops.comparison import where
from graphnn.ops.composite import composite
from graphnn.ops.contraction import Contract
from graphnn.ops.indexing import take
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import broadcast_to, permute_dims
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import max, sum
from graphnn.ops.windows import Steps, per_axis


def _windows(
    name: str,
    x: Node,
    size: Steps,
    stride: Steps | None,
    padding: Padding,
    dilation: Steps,
    layout: str,
    value: float = 0.0,
) -> tuple[Node, int, bool]:
    count = spatial(name, x, size)
    first = channels_first(name, layout, count)
    sizes: Shape = tuple(as_size(k) for k in per_axis(name, "size", size, count))
    by = sizes if stride is None else stride
    return patches(name, to_last(x, count, first), sizes, by, padding, dilation, value), count, first


@composite(latex=r"\operatorname{{max\_pool}}_{{{size}}}\left({0}\right)")
def max_pool(
    x: Operand,
    /,
    size: Steps,
    *,
    stride: Steps | None = None,
    padding: Padding = "valid",
    dilation: Steps = 1,
    layout: str = "channels_last",
) -> Node:
    """Largest element of each window: ``y[i, j, c] = max over p, q of x[i * stride + p, j * stride + q, c]``.

    ``[..., h, w, c] -> [..., oh, ow, c]`` with ``oh = (h + padding - size) // stride + 1``; padding never wins. The
    derivative is split equally among the largest elements of a window.

    Parameters
    ----------
    size : of a window along each spatial axis; one number for all axes but the first (batch) and the channels
    stride : from window to window; `size` unless told
    padding, dilation, layout : as in `conv2d`

    >>> x = gn.constant([[1.0, 2.0, 5.0, 0.0], [3.0, 0.0, 1.0, 4.0]])
    >>> gn.evaluate(gn.max_pool(x[..., None], size=(2, 2)))[..., 0]
    array([[3., 5.]], dtype=float32)
    """
    node = as_node(x)
    check_kind("max_pool", "numeric", (node.dtype,))
    found, count, first = _windows("max_pool", node, size, stride, padding, dilation, layout, _least(node.dtype))
    return from_last(max(found, axis=window_axes(count)), count, first)


def _least(dtype: DType) -> float:
    """What is smaller than, or as small as, any number of the data type."""
    return -math.inf if dtype.is_floating else int(np.iinfo(dtype.numpy).min)


@composite(latex=r"\operatorname{{avg\_pool}}_{{{size}}}\left({0}\right)")
def avg_pool(
    x: Operand,
    /,
    size: Steps,
    *,
    stride: Steps | None = None,
    padding: Padding = "valid",
    count_include_pad: bool = True,
    layout: str = "channels_last",
) -> Node:
    """Mean of each window: ``[..., h, w, c] -> [..., oh, ow, c]`` as `max_pool`.

    Parameters
    ----------
    count_include_pad : whether the zeros of the padding count as elements of a window
    size, stride, padding, layout : as in `max_pool`

    >>> x = gn.constant([[1.0, 2.0, 5.0, 0.0], [3.0, 0.0, 1.0, 4.0]])
    >>> gn.evaluate(gn.avg_pool(x[..., None], size=(2, 2)))[..., 0]
    array([[1.5, 2.5]], dtype=float32)
    """
    node = as_node(x)
    check_kind("avg_pool", "floating-point", (node.dtype,))
    found, count, first = _windows("avg_pool", node, size, stride, padding, 1, layout)
    if count_include_pad:
        return from_last(mean(found, axis=window_axes(count)), count, first)
    place = node.ndim - count - 1
    lengths = node.shape[place + 1 :] if first else node.shape[place:-1]
    inside = broadcast_to(constant(1.0, node.dtype), (*lengths, 1))
    present = patches("avg_pool", inside, found.shape[-count:], _strides(size, stride), padding, 1)
    number = sum(present, axis=window_axes(count))
    return from_last(sum(found, axis=window_axes(count)) / number, count, first)


def _strides(size: Steps, stride: Steps | None) -> Steps:
    return size if stride is None else stride


@composite(latex=r"\operatorname{{lp\_pool}}_{{{ord}, {size}}}\left({0}\right)")
def lp_pool(
    x: Operand,
    /,
    size: Steps,
    *,
    ord: float = 2.0,
    stride: Steps | None = None,
    padding: Padding = "valid",
    layout: str = "channels_last",
) -> Node:
    """p-norm of each window, ``sum(abs(x)**ord)**(1/ord)``: between the sum (1) and the largest magnitude (inf).

    Parameters
    ----------
    size, stride, padding, layout : as in `max_pool`

    Source: Sermanet, Chintala, LeCun, "Convolutional neural networks applied to house numbers digit classification", 2012.

    >>> gn.evaluate(gn.lp_pool(gn.constant([[3.0], [4.0]]), size=(2,)))
    array([[5.]], dtype=float32)
    """
    node = as_node(x)
    check_kind("lp_pool", "floating-point", (node.dtype,))
    found, count, first = _windows("lp_pool", node, size, stride, padding, 1, layout)
    return from_last(vector_norm(found, axis=window_axes(count), ord=ord), count, first)


# --- over the whole image ---


def _image_axes(name: str, x: Node, layout: str) -> tuple[int, ...]:
    count = x.ndim - 2
    check_axes(name, x, count)
    return tuple(range(2, x.ndim) if channels_first(name, layout, count) else range(1, x.ndim - 1))


@composite(latex=r"\operatorname{{global\_max\_pool}}\left({0}\right)")
def global_max_pool(x: Operand, /, *, keepdims: bool = False, layout: str = "channels_last") -> Node:
    """Largest element of each channel over all spatial axes: ``[batch, h, w, c] -> [batch, c]``.

    >>> gn.evaluate(gn.global_max_pool([[[1.0, 8.0], [3.0, 0.0]]]))
    array([[3., 8.]], dtype=float32)
    """
    node = as_node(x)
    return max(node, axis=_image_axes("global_max_pool", node, layout), keepdims=keepdims)


@composite(latex=r"\operatorname{{global\_avg\_pool}}\left({0}\right)")
def global_avg_pool(x: Operand, /, *, keepdims: bool = False, layout: str = "channels_last") -> Node:
    """Mean of each channel over all spatial axes: ``[batch, h, w, c] -> [batch, c]``.

    Source: Lin, Chen, Yan, "Network in network", ICLR 2014.

    >>> gn.evaluate(gn.global_avg_pool([[[1.0, 8.0], [3.0, 0.0]]]))
    array([[2., 4.]], dtype=float32)
    """
    node = as_node(x)
    return mean(node, axis=_image_axes("global_avg_pool", node, layout), keepdims=keepdims)


# --- to a given size ---


@composite(latex=r"\operatorname{{adaptive\_avg\_pool}}_{{{size}}}\left({0}\right)")
def adaptive_avg_pool(x: Operand, /, size: Steps, *, layout: str = "channels_last") -> Node:
    """Mean of windows that divide each spatial axis into `size` parts: ``[..., h, w, c] -> [..., *size, c]``.

    The parts are as equal as can be: window i of an axis of h elements goes from ``floor(i * h / size)`` up to but without
    ``ceil((i + 1) * h / size)``. It is a product with a matrix for each axis, whose rows hold the weights of a mean; so h
    must be known.

    >>> gn.evaluate(gn.adaptive_avg_pool(gn.constant([[1.0], [2.0], [6.0]]), size=(2,)))[:, 0]
    array([1.5, 4. ], dtype=float32)

    Raises
    ------
    ShapeError
        If a spatial axis has a named size.
    """
    node = as_node(x)
    check_kind("adaptive_avg_pool", "floating-point", (node.dtype,))
    count = spatial("adaptive_avg_pool", node, size)
    first = channels_first("adaptive_avg_pool", layout, count)
    out = to_last(node, count, first)
    wanted = per_axis("adaptive_avg_pool", "size", size, count)
    for axis, parts in zip(range(out.ndim - count - 1, out.ndim - 1), wanted, strict=True):
        length = known_length("adaptive_avg_pool", out, axis)
        matrix = np.zeros((parts, length))
        for row, (start, stop) in zip(matrix, _parts("adaptive_avg_pool", length, parts), strict=True):
            row[start:stop] = 1 / (stop - start)
        out = along_axis(out, matrix, axis)
    return from_last(out, count, first)


@composite(latex=r"\operatorname{{adaptive\_max\_pool}}_{{{size}}}\left({0}\right)")
def adaptive_max_pool(x: Operand, /, size: Steps, *, layout: str = "channels_last") -> Node:
    """Largest element of windows that divide each spatial axis into `size` parts: those of `adaptive_avg_pool`.

    >>> gn.evaluate(gn.adaptive_max_pool(gn.constant([[1.0], [2.0], [6.0]]), size=(2,)))[:, 0]
    array([2., 6.], dtype=float32)

    Raises
    ------
    ShapeError
        If a spatial axis has a named size.
    """
    name = "adaptive_max_pool"
    node = as_node(x)
    check_kind(name, "numeric", (node.dtype,))
    count = spatial(name, node, size)
    first = channels_first(name, layout, count)
    out = to_last(node, count, first)
    start = out.ndim - count - 1
    inside = np.ones((1,) * (2 * count + 1), bool)  # [*size, channels, *window]
    for i, parts in enumerate(per_axis(name, "size", size, count)):
        bounds = _parts(name, known_length(name, out, start + i), parts)
        # Windows differ in size: the short ones take their last element again, and it does not count.
        widest = int(np.max([stop - begin for begin, stop in bounds]))
        places = np.array([[begin + j for j in range(widest)] for begin, _ in bounds])
        last = np.array([[stop - 1] for _, stop in bounds])
        spread = [1] * (2 * count + 1)
        spread[i], spread[count + 1 + i] = places.shape
        inside = inside & (places <= last).reshape(spread)
        found, at = take(out, np.minimum(places, last), axis=start + i), start + i + 1
        # The elements of the windows go to the end, in the order of the axes.
        out = permute_dims(found, (*range(at), *range(at + 1, found.ndim), at))
    if not inside.all():
        out = where(constant(inside), out, constant(_least(node.dtype), node.dtype))
    return from_last(max(out, axis=window_axes(count)), count, first)


def _parts(name: str, length: int, parts: Any) -> list[tuple[int, int]]:
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 1:
        raise ShapeError(f"{name}: size is an int from 1, or one for each spatial axis, not {parts!r}")
    return [(i * length // parts, -(-(i + 1) * length // parts)) for i in range(parts)]


def known_length(name: str, x: Node, axis: int) -> int:
    """The size of an axis that must be a number from 1."""
    length = x.shape[axis]
    if not isinstance(length, int) or length < 1:
        raise ShapeError(
            f"{name}: the spatial sizes of {shape_text(x.shape)} must be known numbers from 1, not {length}",
            "Give the placeholder numbers for them; batch and channels may be named.",
        )
    return length


def along_axis(x: Node, matrix: Array, axis: int) -> Node:
    """The product of a fixed matrix ``[new, old]`` with every line of x along an axis."""
    letters = "abcdefghijklmnop"[: x.ndim]
    result = letters.replace(letters[axis], "z")
    return Contract(letters, f"z{letters[axis]}", result)(x, constant(matrix.astype(x.dtype.numpy)))

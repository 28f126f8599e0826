"""Where the largest elements of windows stood, and the way back to these places."""

from __future__ import annotations

import math

import numpy as np

from graphnn.errors import DTypeError, ShapeError
from graphnn.functions.creation import size_node
from graphnn.functions.patches import Padding, borders, channels_first, from_last, patches, spatial, steps, to_last
from graphnn.ir.dims import Size, as_size, product
from graphnn.ir.dtype import int64
from graphnn.ir.node import Node
from graphnn.ir.spec import Shape, shape_text
from graphnn.ops.bitwise import astype
from graphnn.ops.composite import composite
from graphnn.ops.indexing import ScatterSet, iota_along
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Reshape, broadcast_to
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import argmax
from graphnn.ops.windows import Steps, per_axis, window_extent


def max_pool_indices(
    x: Operand,
    /,
    size: Steps,
    *,
    stride: Steps | None = None,
    padding: Padding = "valid",
    dilation: Steps = 1,
    layout: str = "channels_last",
) -> Node:
    """Where the elements that `max_pool` takes stand: int64, of the shape of its result.

    The number of a place counts all places of the spatial axes in row-major order, ``i * w + j`` for images. Of equal
    elements the first one is taken. Parameters are those of `max_pool`.

    >>> x = gn.constant([[1.0, 2.0, 5.0, 0.0], [3.0, 0.0, 1.0, 4.0]])
    >>> gn.evaluate(gn.max_pool_indices(x[..., None], size=(2, 2)))[..., 0]
    array([[4, 2]])
    """
    name = "max_pool_indices"
    node = as_node(x)
    check_kind(name, "numeric", (node.dtype,))
    count = spatial(name, node, size)
    first = channels_first(name, layout, count)
    sizes: Shape = tuple(as_size(k) for k in per_axis(name, "size", size, count))
    by = sizes if stride is None else stride
    last = to_last(node, count, first)
    least = -math.inf if node.dtype.is_floating else int(np.iinfo(node.dtype.numpy).min)
    found = patches(name, last, sizes, by, padding, dilation, least)
    inside = argmax(Reshape((*found.shape[:-count], product(sizes)))(found), axis=-1)

    lengths = last.shape[-count - 1 : -1]
    strides, dilations = steps(name, "stride", by, count), steps(name, "dilation", dilation, count)
    extents = tuple(window_extent(k, d) for k, d in zip(sizes, dilations, strict=True))
    before = [pair[0] for pair in borders(name, padding, lengths, extents, strides)]
    place: Node | None = None
    rest = inside
    for i in reversed(range(count)):
        k = size_node(sizes[i], int64)
        window = iota_along(inside.shape[i - count - 1], inside.ndim - count - 1 + i, inside.ndim)
        at = window * strides[i] + (rest % k) * dilations[i] - size_node(before[i], int64)
        rest = rest // k
        behind = size_node(product(lengths[i + 1 :]), int64)
        place = at * behind if place is None else place + at * behind
    assert place is not None
    return from_last(place, count, first)


@composite(latex=r"\operatorname{{max\_unpool}}_{{{size}}}\left({0}, {1}\right)")
def max_unpool(x: Operand, indices: Operand, /, size: Steps, *, layout: str = "channels_last") -> Node:
    """Elements put back to the places that `max_pool_indices` told, among zeros: ``[..., oh, ow, c] -> [..., *size, c]``.

    Parameters
    ----------
    indices : the numbers of the places, integers of the shape of x
    size : the spatial sizes of the result
    layout : as in `conv2d`

    Raises
    ------
    ShapeError, DTypeError
        If the indices are not integers of the shape of x.

    Source: Zeiler, Taylor, Fergus, "Adaptive deconvolutional networks for mid and high level feature learning", 2011.

    >>> x = gn.constant([[5.0], [7.0]])
    >>> gn.evaluate(gn.max_unpool(x, [[1], [2]], size=(4,)))[:, 0]
    array([0., 5., 7., 0.], dtype=float32)
    """
    name = "max_unpool"
    node, places = as_node(x), as_node(indices)
    count = spatial(name, node, size)
    if not places.dtype.is_integer:
        raise DTypeError(f"{name}: the indices are {places.dtype}, not integers", "gn.max_pool_indices gives them.")
    if places.shape != node.shape:
        raise ShapeError(
            f"{name}: the indices {shape_text(places.shape)} have not the shape {shape_text(node.shape)} of x"
        )
    first = channels_first(name, layout, count)
    values, at = to_last(node, count, first), to_last(astype(places, int64), count, first)
    sizes: Shape = tuple(as_size(k) for k in per_axis(name, "size", size, count))
    *_, channels = values.shape
    outer = values.shape[: values.ndim - count - 1]
    flat: tuple[Size, ...] = (product(outer), product(values.shape[values.ndim - count - 1 : -1]), channels)
    values, at = Reshape(flat)(values), Reshape(flat)(at)
    zeros = broadcast_to(as_node(0, node.dtype), (flat[0], product(sizes), channels))
    batch, channel = iota_along(flat[0], 0, 3), iota_along(channels, 2, 3)
    out = ScatterSet((0, 1, 2))(zeros, values, batch, at, channel)
    return from_last(Reshape((*outer, *sizes, channels))(out), count, first)

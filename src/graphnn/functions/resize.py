"""Images in other sizes: interpolation, and exchanging channels for places."""

from __future__ import annotations

import numpy as np

from graphnn.errors import GraphError, ShapeError
from graphnn.functions.patches import channels_first, check_axes, from_last, spatial, to_last
from graphnn.functions.pooling import along_axis, known_length
from graphnn.ir.arrays import Array
from graphnn.ir.dims import Size, exact_quotient
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops.composite import composite
from graphnn.ops.indexing import take
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Reshape, permute_dims
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.windows import Steps, per_axis

_TAPS = {"linear": 2, "cubic": 4}
_SHARPNESS = -0.75  # the parameter a of Keys' kernel that most programs take; -0.5 is the other usual one


@composite(latex=r"\operatorname{{resize}}_{{{size}}}\left({0}\right)")
def resize(
    x: Operand,
    /,
    *,
    size: Steps,
    method: str = "linear",
    align_corners: bool = False,
    layout: str = "channels_last",
) -> Node:
    """Images in another size, by interpolation along each spatial axis: ``[..., h, w, c] -> [..., *size, c]``.

    Element i of the result stands at ``(i + 1/2) * h / size - 1/2`` of the input, so that the borders of both images lie on
    each other; with ``align_corners`` at ``i * (h - 1) / (size - 1)``. What lies outside has the value of the nearest
    element. Making an image smaller takes no mean: use `avg_pool` or `adaptive_avg_pool` for that.

    Parameters
    ----------
    size : of each spatial axis of the result
    method : ``"nearest"`` (halfway: the later element), ``"linear"`` or ``"cubic"``. The last two are products with a fixed
        matrix for each axis, so h and w must be known.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -3/4.

    >>> gn.evaluate(gn.resize(gn.constant([[0.0], [4.0]]), size=(4,)))[:, 0]
    array([0., 1., 3., 4.], dtype=float32)

    Raises
    ------
    ShapeError
        If a spatial axis has a named size.
    """
    node = as_node(x)
    count = spatial("resize", node, size)
    first = channels_first("resize", layout, count)
    if method not in ("nearest", *_TAPS):
        raise GraphError(f"resize: method is 'nearest', 'linear' or 'cubic', not {method!r}")
    if method != "nearest":
        check_kind("resize", "floating-point", (node.dtype,))
    out = to_last(node, count, first)
    for i, wanted in enumerate(per_axis("resize", "size", size, count)):
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise ShapeError(f"resize: size is an int from 1, or one for each spatial axis, not {size!r}")
        axis = out.ndim - count - 1 + i
        length = known_length("resize", out, axis)
        places = _places(length, wanted, align_corners)
        if method == "nearest":
            out = take(out, np.clip(np.floor(places + 0.5), 0, length - 1).astype(np.int64), axis=axis)
        elif length != wanted:
            out = along_axis(out, _interpolation(places, length, _TAPS[method]), axis)
    return from_last(out, count, first)


def _places(length: int, wanted: int, align_corners: bool) -> Array:
    """Where the elements of the result stand in the input."""
    index = np.arange(wanted)
    if align_corners:
        return index * (length - 1) / max(wanted - 1, 1)
    return (2 * index + 1) * length / (2 * wanted) - 0.5


def _interpolation(places: Array, length: int, taps: int) -> Array:
    """The matrix ``[wanted, length]`` of the weights of all elements."""
    base = np.floor(places).astype(np.int64)
    matrix = np.zeros((len(places), length))
    rows = np.arange(len(places))
    for step in range(1 - taps // 2, taps // 2 + 1):
        distance = np.abs(places - (base + step))
        weight = 1 - distance if taps == 2 else _cubic(distance)
        np.add.at(matrix, (rows, np.clip(base + step, 0, length - 1)), weight)
    return matrix


def _cubic(distance: Array) -> Array:
    a, t = _SHARPNESS, distance
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    return np.where(t <= 1, near, np.where(t < 2, ((t - 5) * t + 8) * t * a - 4 * a, 0.0))


def pixel_shuffle(x: Operand, /, factor: int, *, layout: str = "channels_last") -> Node:
    """Channels become places: ``[..., h, w, c * factor**2] -> [..., h * factor, w * factor, c]``.

    Channel ``(c * factor + i) * factor + j`` goes to the place (i, j) of each square, in both layouts.
    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network", CVPR 2016.

    >>> gn.evaluate(gn.pixel_shuffle([[[1, 2, 3, 4]]], 2))[..., 0]
    array([[1, 2],
           [3, 4]])
    """
    node, first = _image("pixel_shuffle", x, factor, layout)
    *outer, h, w, channels = node.shape
    each = _divided("pixel_shuffle", node, channels, factor * factor, "channels")
    n = len(outer)
    split = Reshape((*outer, h, w, each, factor, factor))(node)
    moved = permute_dims(split, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return from_last(Reshape((*outer, h * factor, w * factor, each))(moved), 2, first)


def pixel_unshuffle(x: Operand, /, factor: int, *, layout: str = "channels_last") -> Node:
    """Places become channels, the inverse of `pixel_shuffle`: ``[..., h, w, c] -> [..., h / f, w / f, c * f**2]``.

    >>> gn.evaluate(gn.pixel_unshuffle([[[1], [2]], [[3], [4]]], 2))
    array([[[1, 2, 3, 4]]])
    """
    node, first = _image("pixel_unshuffle", x, factor, layout)
    *outer, h, w, channels = node.shape
    rows = _divided("pixel_unshuffle", node, h, factor, "rows")
    columns = _divided("pixel_unshuffle", node, w, factor, "columns")
    n = len(outer)
    split = Reshape((*outer, rows, factor, columns, factor, channels))(node)
    moved = permute_dims(split, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return from_last(Reshape((*outer, rows, columns, channels * (factor * factor)))(moved), 2, first)


def _image(name: str, x: Operand, factor: int, layout: str) -> tuple[Node, bool]:
    node = as_node(x)
    check_axes(name, node, 2)
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1:
        raise ShapeError(f"{name}: the factor is an int from 1, not {factor!r}")
    first = channels_first(name, layout, 2)
    return to_last(node, 2, first), first


def _divided(name: str, x: Node, size: Size, by: int, what: str) -> Size:
    part = exact_quotient(size, by)
    if part is None:
        raise ShapeError(f"{name}: the {size} {what} of {shape_text(x.shape)} (channels last) are no multiple of {by}")
    return part

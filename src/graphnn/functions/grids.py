"""Images sampled at places that are themselves computed: the parts of a spatial transformer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from graphnn.errors import GraphError, ShapeError
from graphnn.functions.creation import size_node
from graphnn.functions.patches import channels_first, check_axes, from_last, to_last
from graphnn.ir.dims import Size, as_size
from graphnn.ir.dtype import DType, int64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops.arithmetic import abs, clip, floor, maximum, remainder, round
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import isfinite, logical_and, where
from graphnn.ops.composite import composite
from graphnn.ops.contraction import matmul
from graphnn.ops.indexing import Gather, iota_along
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Part, Reshape, broadcast_to, expand_dims, matrix_transpose, stack
from graphnn.ops.operands import Operand, as_node

_SHARPNESS = -0.75  # the parameter a of Keys' kernel, as in `resize`


@composite(latex=r"\operatorname{{grid\_sample}}\left({0}, {1}\right)")
def grid_sample(
    x: Operand,
    grid: Operand,
    /,
    *,
    method: str = "linear",
    padding: str = "zeros",
    align_corners: bool = False,
    layout: str = "channels_last",
) -> Node:
    """The values of images at given places, by interpolation: ``[batch, h, w, c]`` to ``[batch, oh, ow, c]``.

    It has derivatives by the image and by the places.

    Parameters
    ----------
    x : ``[batch, *spatial, channels]``
    grid : the places, floating-point ``[batch, *out, k]`` for k spatial axes: the coordinate along the last axis first, so
        (x, y) for images. -1 and 1 are the borders of the image, or with ``align_corners`` the centres of the outermost
        elements.
    method : ``"nearest"`` (halfway: to the even one), ``"linear"`` or ``"cubic"``
    padding : what lies outside: ``"zeros"``, ``"border"`` (the nearest element) or ``"reflection"`` at the borders
    layout : as in `conv2d`; the grid has the same form in both

    Raises
    ------
    ShapeError
        If the grid does not fit the image.

    Source: Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial transformer networks", NeurIPS 2015.

    >>> x = gn.constant([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    >>> gn.evaluate(gn.grid_sample(x, [[[[0.0, 0.0], [-0.5, 0.5]]]]))[..., 0]
    array([[[2.5, 3. ]]], dtype=float32)
    """
    name = "grid_sample"
    node, places = as_node(x), as_node(grid)
    count = node.ndim - 2
    check_axes(name, node, count)
    check_kind(name, "floating-point", (node.dtype, places.dtype))
    first = channels_first(name, layout, count)
    if places.ndim != count + 2 or places.shape[-1] != count or places.shape[0] != node.shape[0]:
        raise ShapeError(
            f"{name}: the grid {shape_text(places.shape)} does not fit {shape_text(node.shape)}",
            f"It is [batch, *out, {count}], with as many axes as the image and its batch.",
        )
    if method not in _TAPS:
        raise GraphError(f"{name}: method is 'nearest', 'linear' or 'cubic', not {method!r}")
    if padding not in ("zeros", "border", "reflection"):
        raise GraphError(f"{name}: padding is 'zeros', 'border' or 'reflection', not {padding!r}")
    image = to_last(node, count, first)
    outer = places.shape[:-1]
    points = []
    for i in range(count):
        number = Reshape(outer)(Part(places.ndim - 1, count - 1 - i, 1)(places))
        size = size_node(image.shape[i + 1], places.dtype)
        points.append((number + 1) / 2 * (size - 1) if align_corners else ((number + 1) * size - 1) / 2)
    out = interpolated(image, points, method=method, padding=padding, align_corners=align_corners)
    return from_last(astype(out, node.dtype), count, first)


def interpolated(
    image: Node, points: Sequence[Node], *, method: str, padding: str, align_corners: bool = False
) -> Node:
    """The values of images ``[batch, *spatial, channels]`` at points, given by their place along each axis in elements.

    Each of the points is ``[batch, ...]``, and so is the result, with an axis for the channels. With ``align_corners`` what is
    outside begins at the centres of the outermost elements, else half an element further.
    """
    axes = [_taps(point, image.shape[i + 1], method, padding, align_corners) for i, point in enumerate(points)]
    batch = iota_along(image.shape[0], 0, points[0].ndim)
    total: Node | None = None
    for taps in itertools.product(*axes):
        value = Gather(tuple(range(len(points) + 1)))(image, batch, *(index for index, _, _ in taps))
        weight: Node | None = None
        for _, share, inside in taps:
            weight = share if weight is None else weight * share
            if inside is not None:
                value = where(expand_dims(inside, axis=inside.ndim), value, 0)
        assert weight is not None
        term = value if method == "nearest" else value * expand_dims(weight, axis=weight.ndim)
        total = term if total is None else total + term
    assert total is not None
    return total


_TAPS = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}
Tap = tuple[Node, Node, Node | None]
"""The index of an element, its share, and where it lies inside the image."""


def _taps(place: Node, length: Size, method: str, padding: str, align_corners: bool) -> list[Tap]:
    """For places along an axis: the elements that are near, and what each counts."""
    dtype = place.dtype
    size = size_node(length, dtype)
    if method == "nearest":
        place = round(place)
    low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
    if padding == "border":
        # Between the outermost elements the place stays; what is beyond the borders goes to the outermost element.
        place = where((place < low) | (place > high), clip(place, 0, size - 1), place)
    elif padding == "reflection":
        place = _reflected(place, low, high)
    base = floor(place)
    ratio = place - base
    out: list[Tap] = []
    for step in _TAPS[method]:
        index, inside = base + step, None
        if padding == "zeros":
            inside = logical_and(index >= 0, index <= size - 1)
        elif padding == "reflection":
            index = _reflected(index, low, high)
        out.append((_index(index, length, dtype), _share(ratio, step, method), inside))
    return out


def _reflected(place: Node, low: Node | float, high: Node | float) -> Node:
    """Mirrored at both borders as often as needed."""
    span = high - low
    along = remainder(place - low, where(span > 0, 2 * span, 1))
    return low + where(along > span, 2 * span - along, along)


def _index(place: Node, length: Size, dtype: DType) -> Node:
    # Places that are no numbers, or none that fit an index, are as good as any inside: their shares are no numbers.
    kept = clip(where(isfinite(place), place, 0), 0, maximum(size_node(length, dtype) - 1, 0))
    return astype(kept, int64)


def _share(ratio: Node, step: int, method: str) -> Node:
    if method == "nearest":
        return ratio
    if method == "linear":
        return ratio if step else 1 - ratio
    a, t = _SHARPNESS, abs(ratio - step) if step in (-1, 2) else (ratio if step == 0 else 1 - ratio)
    if step in (0, 1):
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return ((t - 5) * t + 8) * t * a - 4 * a


@composite(latex=r"\operatorname{{affine\_grid}}_{{{size}}}\left({0}\right)")
def affine_grid(theta: Operand, /, size: Sequence[Size | str], *, align_corners: bool = False) -> Node:
    """The places for `grid_sample` of an affine map of the result: ``theta @ (x, y, 1)`` for each of its elements.

    Parameters
    ----------
    theta : ``[batch, k, k + 1]``, a matrix and in the last column a shift, in coordinates from -1 to 1
    size : the k spatial sizes of the result
    align_corners : as in `grid_sample`

    Returns
    -------
    Node
        ``[batch, *size, k]``.

    Source: Jaderberg, Simonyan, Zisserman, Kavukcuoglu, "Spatial transformer networks", NeurIPS 2015.

    >>> turned = [[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]]
    >>> gn.evaluate(gn.affine_grid(turned, (1, 2)))
    array([[[[ 0. , -0.5],
             [ 0. ,  0.5]]]], dtype=float32)
    """
    node = as_node(theta)
    check_kind("affine_grid", "floating-point", (node.dtype,))
    sizes = tuple(as_size(n) for n in size)
    count = len(sizes)
    if node.ndim != 3 or node.shape[1:] != (count, count + 1) or not count:
        raise ShapeError(
            f"affine_grid: theta {shape_text(node.shape)} does not fit the {count} sizes {shape_text(sizes)}",
            "It is [batch, k, k + 1] for k spatial sizes.",
        )
    lines = [
        broadcast_to(
            Reshape(tuple(n if j == i else 1 for j in range(count)))(_line(n, node.dtype, align_corners)), sizes
        )
        for i, n in enumerate(sizes)
    ]
    ones = broadcast_to(as_node(1.0, node.dtype), sizes)
    points = stack([*reversed(lines), ones], axis=count)
    total: Size = 1
    for n in sizes:
        total = total * n
    flat = Reshape((total, count + 1))(points)
    return Reshape((node.shape[0], *sizes, count))(matmul(flat, matrix_transpose(node)))


def _line(n: Size, dtype: DType, align_corners: bool) -> Node:
    """The coordinates of the elements of an axis."""
    number, size = Iota(n, dtype)(), size_node(n, dtype)
    if align_corners:  # a single element stands in the middle
        return where(size > 1, 2 * number / maximum(size - 1, 1) - 1, 0)
    return (2 * number + 1) / size - 1

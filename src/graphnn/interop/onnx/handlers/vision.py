"""Images sampled at computed places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import graphnn as gn
from graphnn.functions.creation import size_node
from graphnn.functions.grids import interpolated
from graphnn.interop.onnx.handlers.convolution import each, explicit_pads, kernel_shape, spatial_count, with_bias
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import Size, exact_quotient
from graphnn.ir.node import Node

_METHODS = {"linear": "linear", "bilinear": "linear", "nearest": "nearest", "cubic": "cubic", "bicubic": "cubic"}


@onnx_op("GridSample", since=16)
def grid_sample(call: Call, x: Node, grid: Node) -> Node:
    """The values at places, given by coordinates from -1 to 1."""
    mode = call.text("mode", "bilinear" if call.opset < 20 else "linear")
    padding = call.text("padding_mode", "zeros")
    if mode not in _METHODS:
        raise call.error(f"mode is linear, nearest or cubic, not {mode!r}")
    return gn.grid_sample(
        x,
        grid.astype(x.dtype) if grid.dtype.bits < x.dtype.bits else grid,
        method=_METHODS[mode],
        padding=padding,
        align_corners=call.flag("align_corners"),
        layout="channels_first",
    )


@onnx_op("AffineGrid", since=20)
def affine_grid(call: Call, theta: Node, size: Node) -> Node:
    """The places of an affine map."""
    sizes = call.sizes(1)
    if len(sizes) not in (4, 5):
        raise call.error(f"the size of images is [batch, channels, (d,) h, w], not {list(sizes)}")
    call.afford(sizes[2:])
    return gn.affine_grid(theta, sizes[2:], align_corners=call.flag("align_corners"))


def _corners(place: Node, size: Size) -> tuple[list[tuple[Node, Node]], Node]:
    """For places along an axis: the two elements around each, with their shares; and whether it is near the image."""
    last = size_node(size, place.dtype) - 1
    near = gn.logical_and(place >= -1, place <= last + 1)
    held = gn.clip(place, 0, last)
    base = gn.floor(held)
    share = held - base
    after = gn.minimum(base + 1, last)
    return [(base.astype("int64"), 1 - share), (after.astype("int64"), share)], near


@onnx_op("RoiAlign", since=10)
def roi_align(call: Call, x: Node, regions: Node, images: Node) -> Node:
    """A grid of values for each region ``(x1, y1, x2, y2)`` of images: means of interpolated points."""
    shifted = call.text("coordinate_transformation_mode", "output_half_pixel" if call.opset < 16 else "half_pixel")
    mode, points = call.text("mode", "avg"), call.integer("sampling_ratio", 0)
    sizes = call.integer("output_height", 1), call.integer("output_width", 1)
    if mode not in ("avg", "max") or shifted not in ("half_pixel", "output_half_pixel"):
        raise call.error(f"mode {mode!r} or coordinate_transformation_mode {shifted!r}")
    if x.ndim != 4 or regions.ndim != 2 or regions.shape[1] != 4 or images.shape != (regions.shape[0],):
        raise call.error(f"images {x.spec}, regions {regions.spec} and their images {images.spec}")
    if min(sizes) < 1 or points < 0:
        raise call.error(f"an output of {sizes} and {points} points")
    if points == 0:
        raise call.unsupported("a number of points that depends on the regions; give sampling_ratio")
    call.afford(*sizes, points, points)
    boxes = regions * call.number("spatial_scale", 1.0) - (0.5 if shifted == "half_pixel" else 0.0)
    axes = []
    for axis, (first, last, count) in enumerate(((1, 3, sizes[0]), (0, 2, sizes[1]))):
        start, extent = boxes[:, first : first + 1], boxes[:, last : last + 1] - boxes[:, first : first + 1]
        if shifted != "half_pixel":
            extent = gn.maximum(extent, 1)
        place = (gn.arange(count * points, dtype=x.dtype) + 0.5) / (count * points)
        axes.append(_corners(start + place * extent, x.shape[2 + axis]))
    (rows, near_y), (columns, near_x) = axes
    pixels = gn.permute_dims(x, (0, 2, 3, 1))
    image = gn.reshape(images, (-1, 1, 1))
    near = gn.expand_dims(near_y, axis=2) & gn.expand_dims(near_x, axis=1)
    terms = []
    for row, share_y in rows:
        for column, share_x in columns:
            weight = gn.expand_dims(share_y, axis=2) * gn.expand_dims(share_x, axis=1)
            weight = gn.where(near, weight, 0)
            value = pixels[image, gn.expand_dims(row, axis=2), gn.expand_dims(column, axis=1)]
            terms.append(value * gn.expand_dims(weight, axis=3))
    split = (regions.shape[0], sizes[0], points, sizes[1], points, x.shape[1])
    if mode == "avg":
        total = terms[0] + terms[1] + terms[2] + terms[3]
        y = gn.mean(gn.reshape(total, split), axis=(2, 4))
    else:  # the standard takes the largest of the four terms of an interpolation, not their sum
        largest = gn.maximum(gn.maximum(terms[0], terms[1]), gn.maximum(terms[2], terms[3]))
        y = gn.max(gn.reshape(largest, split), axis=(2, 4))
    return gn.permute_dims(y, (0, 3, 1, 2))


@onnx_op("DeformConv", since=19)
def deform_conv(
    call: Call, x: Node, weight: Node, offset: Node, bias: Node | None = None, mask: Node | None = None
) -> Node:
    """A convolution whose patches are taken from places that are moved, each by an offset of its own."""
    count = spatial_count(call, x)
    if weight.ndim != count + 2 or offset.ndim != count + 2 or count > 3:
        raise call.error(f"the weight {weight.spec} and the offsets {offset.spec} for an input {x.spec}")
    kernel = kernel_shape(call, count, weight.shape[2:])
    strides, dilations, pads = each(call, "strides", count), each(call, "dilations", count), explicit_pads(call, count)
    groups, parts = call.integer("group", 1), call.integer("offset_group", 1)
    inside, out = math.prod(kernel), offset.shape[2:]
    channels, outputs = x.shape[1], weight.shape[0]
    call.afford(max(groups, parts, 1), inside, count)
    per_part = exact_quotient(channels, parts) if parts > 0 else None
    per_group = exact_quotient(outputs, groups) if groups > 0 else None
    if per_part is None or per_group is None or weight.shape[1] * groups != channels:
        raise call.error(f"{channels} channels and {outputs} outputs in {groups} groups, and {parts} of offsets")
    if offset.shape[1] != parts * inside * count:
        raise call.error(f"the offsets {offset.spec} are not {parts * inside * count} for each place")
    moved = gn.reshape(offset, (x.shape[0], parts, *kernel, count, *out))
    places = [_moved(moved, axis, kernel, strides[axis], dilations[axis], pads[axis][0]) for axis in range(count)]
    found = []
    for part in range(parts):
        images = gn.moveaxis(x[:, part * per_part : (part + 1) * per_part], 1, -1)
        points = [place[:, part] for place in places]
        values = interpolated(images, points, method="linear", padding="zeros")  # [batch, *kernel, *out, channels]
        values = gn.reshape(gn.moveaxis(values, -1, 1), (x.shape[0], per_part, inside, *out))
        if mask is not None:
            shares = gn.reshape(mask, (x.shape[0], parts, inside, *out))[:, part]
            values = values * gn.expand_dims(shares, axis=1)
        found.append(values)
    patches = gn.concat(found, axis=1)  # [batch, channels, kernel, *out]
    rows = gn.reshape(patches, (x.shape[0], groups, weight.shape[1] * inside, math.prod(out)))
    matrix = gn.reshape(weight, (groups, per_group, weight.shape[1] * inside))
    return with_bias(call, gn.reshape(matrix @ rows, (x.shape[0], outputs, *out)), bias)


def _moved(offset: Node, axis: int, kernel: Sequence[int], stride: int, dilation: int, before: int) -> Node:
    """The places along one axis, in elements, of all elements of all patches: ``[batch, parts, *kernel, *out]``."""
    count = len(kernel)

    def along(place: int, step: int) -> Node:
        shape = [1] * (2 * count)
        shape[place] = -1
        size = offset.shape[2 + place] if place < count else offset.shape[3 + place]
        return gn.reshape(gn.arange(size, dtype=offset.dtype) * step, shape)

    place = along(axis, dilation) + along(count + axis, stride) - before
    return place + offset[(slice(None),) * (2 + count) + (axis,)]

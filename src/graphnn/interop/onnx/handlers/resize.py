"""Arrays in another size, by interpolation along each axis."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

import graphnn as gn
from graphnn.functions.pooling import along_axis
from graphnn.interop.onnx.handlers.convolution import number
from graphnn.interop.onnx.registry import Array, Call, onnx_op
from graphnn.ir.dims import Dim, Size
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axes

_RADIUS = {"linear": 1, "cubic": 2}


class Style(NamedTuple):
    """How it is interpolated, by the attributes of the node."""

    mode: str = "nearest"
    nearest: str = "round_prefer_floor"
    transform: str = "half_pixel"
    sharpness: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False
    extrapolation: float = 0.0


class Axis(NamedTuple):
    """One axis: its size before and after, the exact scale, and the part of it that is taken."""

    old: int
    new: int
    scale: float
    start: float
    end: float

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return self.old != self.new or self.scale != 1.0 or (self.start, self.end) != (0.0, 1.0)


def _places(axis: Axis, transform: str) -> Array:
    """Where the elements of the result stand in the input."""
    y = np.arange(axis.new, dtype=np.float64)
    centers = (y + 0.5) / axis.scale - 0.5
    if transform == "half_pixel":
        return centers
    if transform == "half_pixel_symmetric":
        adjustment = axis.new / (axis.scale * axis.old)
        return centers + axis.old / 2 * (1 - adjustment)
    if transform == "pytorch_half_pixel":
        return centers if axis.new > 1 else np.zeros(axis.new)
    if transform == "align_corners":
        return y * (axis.old - 1) / (axis.scale * axis.old - 1) if axis.scale * axis.old != 1 else np.zeros(axis.new)
    if transform == "asymmetric":
        return y / axis.scale
    if transform == "tf_half_pixel_for_nn":
        return (y + 0.5) / axis.scale
    if axis.new == 1:
        return np.full(1, 0.5 * (axis.start + axis.end) * (axis.old - 1))
    return axis.start * (axis.old - 1) + y * (axis.end - axis.start) * (axis.old - 1) / (axis.new - 1)


_TRANSFORMS = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)  # fmt: skip


def _nearest(places: Array, how: str, length: int) -> Array:
    rounded = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }[how]
    return np.clip(rounded, 0, length - 1).astype(np.int64)


def _kernel(distance: Array, style: Style) -> Array:
    t = np.abs(distance)
    if style.mode == "linear":
        return np.asarray(np.maximum(1 - t, 0.0))
    a = style.sharpness
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    return np.where(t <= 1, near, np.where(t < 2, ((t - 5) * t + 8) * t * a - 4 * a, 0.0))


def _matrix(call: Call, places: Array, axis: Axis, style: Style) -> Array:
    """The weights ``[new, old]`` of all elements."""
    call.afford(axis.new, axis.old)
    # Where an image becomes smaller, the kernel against aliasing is as much wider.
    narrow = min(axis.scale, 1.0) if style.antialias else 1.0
    first = math.floor(-_RADIUS[style.mode] / narrow) + 1
    call.afford(axis.new, 2 - 2 * first)
    steps = np.arange(first, 2 - first)
    base = np.ceil(places).astype(np.int64) - 1
    index = base[:, None] + steps
    weight = _kernel(narrow * (index - places[:, None]), style)
    if style.exclude_outside:
        weight = np.where((index < 0) | (index >= axis.old), 0.0, weight)
    total = weight.sum(axis=1, keepdims=True)
    matrix = np.zeros((axis.new, axis.old))
    rows = np.broadcast_to(np.arange(axis.new)[:, None], index.shape)
    np.add.at(matrix, (rows, np.clip(index, 0, axis.old - 1)), weight / np.where(total == 0, 1, total))
    return matrix


def resized(call: Call, x: Node, place: int, axis: Axis, style: Style) -> Node:
    """x in another size along an axis."""
    if axis.old == 0:
        raise call.error(f"axis {place} has no elements to interpolate")
    call.afford(axis.new)
    places = _places(axis, style.transform)
    if style.mode == "nearest":
        out = gn.take(x, _nearest(places, style.nearest, axis.old), axis=place)
    else:
        out = along_axis(x, _matrix(call, places, axis, style), place)
    if style.transform == "tf_crop_and_resize":
        outside = (places < 0) | (places > axis.old - 1)
        if outside.any():
            shape = [1] * x.ndim
            shape[place] = axis.new
            out = gn.where(outside.reshape(shape), style.extrapolation, out)
    return out


def _style(call: Call) -> Style:
    style = Style(
        call.text("mode", "nearest"),
        call.text("nearest_mode", "round_prefer_floor"),
        call.text("coordinate_transformation_mode", "half_pixel"),
        call.number("cubic_coeff_a", -0.75),
        call.flag("antialias"),
        call.flag("exclude_outside"),
        call.number("extrapolation_value", 0.0),
    )
    if style.mode not in ("nearest", *_RADIUS):
        raise call.error(f"mode is nearest, linear or cubic, not {style.mode!r}")
    if style.transform not in _TRANSFORMS:
        raise call.error(f"coordinate_transformation_mode is none of the standard: {style.transform!r}")
    if style.nearest not in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        raise call.error(f"nearest_mode is none of the standard: {style.nearest!r}")
    return style


def _by_scales(call: Call, x: Node, axes: tuple[int, ...], scales: list[float], roi: list[float]) -> list[Axis | None]:
    if len(scales) != len(axes) or not all(scale > 0 and math.isfinite(scale) for scale in scales):
        raise call.error(f"{len(axes)} positive scales are needed, not {scales}")
    out: list[Axis | None] = []
    for i, (axis, scale) in enumerate(zip(axes, scales, strict=True)):
        start, end = roi[i], roi[len(axes) + i]
        if scale == 1 and (start, end) == (0.0, 1.0):
            out.append(None)
            continue
        old = number(call, x, axis)
        out.append(Axis(old, math.floor(old * (end - start) * scale), scale, start, end))
    return out


def _by_sizes(
    call: Call, x: Node, axes: tuple[int, ...], sizes: tuple[Size, ...], roi: list[float]
) -> list[Axis | None]:
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy not in ("stretch", "not_larger", "not_smaller"):
        raise call.error(f"keep_aspect_ratio_policy is none of the standard: {policy!r}")
    if len(sizes) != len(axes):
        raise call.error(f"{len(axes)} sizes are needed, not {len(sizes)}")
    out: list[Axis | None] = []
    ratios = []
    for i, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        start, end = roi[i], roi[len(axes) + i]
        if policy == "stretch" and size == x.shape[axis] and (start, end) == (0.0, 1.0):
            out.append(None)
            continue
        old = number(call, x, axis)
        if isinstance(size, Dim) or size < 1 or old < 1:
            raise call.error(f"the size {size} for axis {axis} of {x.spec}")
        ratios.append(size / old)
        out.append(Axis(old, size, size / old, start, end))
    if policy == "stretch":
        return out
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [None if axis is None else axis._replace(new=int(scale * axis.old + 0.5), scale=scale) for axis in out]


def _floating(x: Node, style: Style) -> Node:
    return x if style.mode == "nearest" or x.dtype.is_floating else x.astype("float64")


def _finish(call: Call, x: Node, axes: tuple[int, ...], wanted: list[Axis | None], style: Style) -> Node:
    out = _floating(x, style)
    for place, axis in zip(axes, wanted, strict=True):
        if axis is not None and axis.changes:
            out = resized(call, out, place, axis, style)
    if out.dtype is x.dtype:
        return out
    limits = np.iinfo(x.dtype.numpy)
    return gn.clip(gn.round(out), float(limits.min), float(limits.max)).astype(x.dtype)


@onnx_op("Upsample")
@onnx_op("Resize")
def upsample(call: Call, x: Node, scales: Node | None = None) -> Node:
    """Before version 11: by scales, with the first elements on each other."""
    if scales is None:
        if call.opset < 7:
            raise call.unsupported("scales of a version before 7")
        factors = list(call.numbers("scales"))
    else:
        factors = [float(scale) for scale in call.static(1).reshape(-1)]
    axes = tuple(range(x.ndim))
    style = Style(call.text("mode", "nearest"), "floor", "asymmetric")
    style = style._replace(mode="linear" if style.mode in ("bilinear", "trilinear") else style.mode)
    if style.mode not in ("nearest", "linear"):
        raise call.error(f"mode is nearest or linear, not {style.mode!r}")
    return _finish(call, x, axes, _by_scales(call, x, axes, factors, [0.0] * x.ndim + [1.0] * x.ndim), style)


@onnx_op("Resize", since=11)
def resize(call: Call, x: Node, roi: Node | None = None, scales: Node | None = None, sizes: Node | None = None) -> Node:
    """To sizes, or by scales; of the whole, or of a part."""
    style = _style(call)
    axes = normalize_axes("Resize", call.integers("axes", tuple(range(x.ndim))), x.ndim)
    order = [axis % x.ndim for axis in call.integers("axes", axes)]
    part = [0.0] * len(axes) + [1.0] * len(axes)
    if style.transform == "tf_crop_and_resize":
        part = [float(value) for value in call.static(1).reshape(-1)]
        if len(part) != 2 * len(axes) or not all(math.isfinite(value) for value in part):
            raise call.error(f"the part is told by {2 * len(axes)} numbers, not {part}")
    by_scales = scales is not None and scales.shape != (0,)
    if by_scales == (sizes is not None and sizes.shape != (0,)):
        raise call.error("either scales or sizes are needed")
    if by_scales:
        factors = [float(scale) for scale in call.static(2).reshape(-1)]
        wanted = _by_scales(call, x, tuple(order), factors, part)
    else:
        wanted = _by_sizes(call, x, tuple(order), call.sizes(3), part)
    return _finish(call, x, tuple(order), wanted, style)

"""Pooling: a number for each window, or for each channel; and the way back."""

from __future__ import annotations

import math
from typing import NamedTuple

import graphnn as gn
from graphnn.functions.creation import size_node
from graphnn.interop.onnx.handlers.convolution import (
    Pair,
    cut,
    each,
    explicit_pads,
    kernel_shape,
    number,
    padding_for,
    spatial_count,
)
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import product
from graphnn.ir.dtype import int64
from graphnn.ir.node import Node
from graphnn.ops.windows import window_extent


class Windows(NamedTuple):
    """Which windows a pooling takes."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[Pair, ...]
    beyond: tuple[int, ...]  # how many places more a last window needs that begins inside; ceil_mode

    @property
    def borders(self) -> tuple[Pair, ...]:
        """The padding with what ceil_mode adds."""
        return tuple((before, after + more) for (before, after), more in zip(self.padding, self.beyond, strict=True))

    @property
    def simple(self) -> bool:
        """Whether nothing lies between the elements of a window, and nothing beyond the padding."""
        return set(self.dilations) == {1} and not any(self.beyond)


def windows_of(call: Call, x: Node) -> Windows:
    """The windows by the attributes of the node."""
    count = spatial_count(call, x)
    size = kernel_shape(call, count)
    strides, dilations = each(call, "strides", count), each(call, "dilations", count)
    padding = padding_for(call, x, size, strides, dilations)
    beyond = [0] * count
    if call.flag("ceil_mode"):
        for i, (before, after) in enumerate(padding):
            if strides[i] == 1:
                continue
            length = number(call, x, i + 2)
            extent = int(window_extent(size[i], dilations[i]))
            windows = -(-(length + before + after - extent) // strides[i]) + 1
            if (windows - 1) * strides[i] >= length + before:  # it would begin in the padding
                windows -= 1
            beyond[i] = max((windows - 1) * strides[i] + extent - (length + before + after), 0)
    out = Windows(size, strides, dilations, padding, tuple(beyond))
    for axis, (before, after) in enumerate(out.borders):
        length_ = x.shape[axis + 2]
        if isinstance(length_, int):
            call.afford([length_ + before + after])
    return out


def found_windows(x: Node, windows: Windows, padding: tuple[Pair, ...]) -> Node:
    """All windows of x ``[batch, channels, *spatial]``, with zeros around it: ``[batch, channels, *counts, *size]``."""
    axes = tuple(range(2, x.ndim))
    padded = gn.pad(x, [(0, 0), (0, 0), *padding]) if any(map(any, padding)) else x
    return gn.windows(padded, windows.size, axis=axes, stride=windows.strides, dilation=windows.dilations)


@onnx_op("MaxPool")
def max_pool(call: Call, x: Node) -> tuple[Node, Node | None]:
    """The largest element of each window, and the number of its place in x."""
    windows = windows_of(call, x)
    options = {
        "stride": windows.strides,
        "padding": windows.borders,
        "dilation": windows.dilations,
        "layout": "channels_first",
    }
    y = gn.max_pool(x, windows.size, **options)  # type: ignore[arg-type]
    if not call.wants(1):
        return y, None
    place = gn.max_pool_indices(x, windows.size, **options)  # type: ignore[arg-type]
    if call.flag("storage_order"):
        place = _columns_first(place, x)
    return y, place + _planes(place, x)


def _planes(place: Node, x: Node) -> Node:
    """The number of the first place of each channel of each example."""
    batch, channels, *lengths = x.shape
    plane = size_node(product(lengths), int64)
    number_ = gn.reshape(gn.arange(batch * channels), (batch, channels, *[1] * len(lengths)))
    return number_ * plane


def _columns_first(place: Node, x: Node) -> Node:
    """Numbers of places that count the first spatial axis fastest, for those that count the last one fastest."""
    out, step = None, size_node(1, int64)
    rest, parts = place, []
    for size in reversed(x.shape[2:]):
        n = size_node(size, int64)
        parts.append((rest % n, n))
        rest = rest // n
    for part, n in reversed(parts):
        out = part * step if out is None else out + part * step
        step = step * n
    assert out is not None
    return out


@onnx_op("AveragePool")
def average_pool(call: Call, x: Node) -> Node:
    """The mean of each window. Zeros of the padding count if count_include_pad says so; those of ceil_mode never do."""
    windows = windows_of(call, x)
    with_zeros = call.flag("count_include_pad")
    if windows.simple:
        return gn.avg_pool(
            x,
            windows.size,
            stride=windows.strides,
            padding=windows.padding,
            count_include_pad=with_zeros,
            layout="channels_first",
        )
    inside = tuple(range(-len(windows.size), 0))
    ones = gn.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    if with_zeros:
        ones = gn.pad(ones, [(0, 0), (0, 0), *windows.padding], value=1)
        beyond = tuple((0, more) for more in windows.beyond)
        counted = found_windows(ones, windows, beyond)
    else:
        counted = found_windows(ones, windows, windows.borders)
    return gn.sum(found_windows(x, windows, windows.borders), axis=inside) / gn.sum(counted, axis=inside)


def _order(call: Call) -> float:
    p = call.number("p", 2.0) if call.opset < 2 else call.integer("p", 2)
    if p < 1:
        raise call.error(f"p is a number from 1, not {p}")
    return float(p)


@onnx_op("LpPool")
def lp_pool(call: Call, x: Node) -> Node:
    """The p-norm of each window."""
    windows = windows_of(call, x)
    order = _order(call)
    if windows.simple:
        return gn.lp_pool(
            x, windows.size, ord=order, stride=windows.strides, padding=windows.padding, layout="channels_first"
        )
    found = found_windows(x, windows, windows.borders)
    return gn.vector_norm(found, axis=tuple(range(-len(windows.size), 0)), ord=order)


@onnx_op("GlobalMaxPool")
def global_max_pool(call: Call, x: Node) -> Node:
    """The largest element of each channel."""
    spatial_count(call, x)
    return gn.global_max_pool(x, keepdims=True, layout="channels_first")


@onnx_op("GlobalAveragePool")
def global_average_pool(call: Call, x: Node) -> Node:
    """The mean of each channel."""
    spatial_count(call, x)
    return gn.global_avg_pool(x, keepdims=True, layout="channels_first")


@onnx_op("GlobalLpPool")
def global_lp_pool(call: Call, x: Node) -> Node:
    """The p-norm of each channel."""
    spatial_count(call, x)
    return gn.vector_norm(x, axis=tuple(range(2, x.ndim)), ord=_order(call), keepdims=True)


@onnx_op("MaxUnpool", since=9)
def max_unpool(call: Call, x: Node, indices: Node, output_shape: Node | None = None) -> Node:
    """Elements put back to the places that MaxPool told."""
    count = spatial_count(call, x)
    size, strides, pads = kernel_shape(call, count), each(call, "strides", count), explicit_pads(call, count)
    wanted = []
    for i in range(count):
        n = (number(call, x, i + 2) - 1) * strides[i] + size[i] - sum(pads[i])
        if n < 1:
            raise call.error(f"the padding {pads[i]} leaves nothing of axis {i + 2}")
        wanted.append(n)
    call.afford(wanted)
    if indices.shape != x.shape:
        raise call.error(f"the indices {indices.spec} have not the shape of {x.spec}")
    # The numbers count all places of all channels: take those of the channels before away.
    batch, channels = x.shape[:2]
    before = gn.arange(batch * channels) * math.prod(wanted)
    place = indices - gn.reshape(before, (batch, channels, *[1] * count))
    y = gn.max_unpool(x, place, tuple(wanted), layout="channels_first")
    if output_shape is None:
        return y
    shape = call.integers_at(2)
    if len(shape) != x.ndim or any(n < w for n, w in zip(shape[2:], wanted, strict=True)):
        raise call.error(f"output_shape {list(shape)} does not hold {wanted}")
    call.afford(shape)
    return cut(call, y, [(0, w - n) for n, w in zip(shape[2:], wanted, strict=True)])

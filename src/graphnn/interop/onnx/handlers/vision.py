"""Images sampled at computed places."""

from __future__ import annotations

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
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

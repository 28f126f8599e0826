"""Pooling as layers. Images are ``[batch, *spatial, channels]`` unless a layer has another layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from graphnn.functions import pooling
from graphnn.functions.patches import channels_first, numbers, steps
from graphnn.ir.node import Node
from graphnn.nn.convolution import changed, plain
from graphnn.nn.elsewhere import check_options
from graphnn.nn.module import Module


class _Pool(Module):
    """What the pooling layers share: options that are passed on to the function."""

    dimensions: ClassVar[int]
    function: ClassVar[Callable[..., Node]]

    def __init__(
        self, size: Any, stride: Any = None, *, padding: Any = "valid", layout: str = "channels_last", **unknown: Any
    ) -> None:
        name = f"nn.{type(self).__name__}"
        elsewhere = {
            "kernel_size": f"Write {name}(2), or size=2.",
            "pool_size": f"Write {name}(2), or size=2.",
            "strides": "Write stride=2.",
            "data_format": "Write layout='channels_first'.",
        }
        check_options(name, unknown, elsewhere, ("size", "stride", "padding", "layout"))
        count = self.dimensions
        self.size = steps(name, "size", size, count)
        self.stride = self.size if stride is None else steps(name, "stride", stride, count)
        self.padding = padding if padding in ("same", "valid") else numbers(name, padding, count)
        channels_first(name, layout, count)
        self.layout = layout

    def forward(self, x: Any) -> Node:
        stride = None if self.stride == self.size else plain(self.stride)
        return type(self).function(x, size=self.size, stride=stride, padding=plain(self.padding), layout=self.layout)

    def arguments(self) -> list[str]:
        shown = [str(plain(self.size))] + ([] if self.stride == self.size else changed("stride", self.stride, None))
        return shown + changed("padding", self.padding, "valid") + changed("layout", self.layout, "channels_last")


class MaxPool1d(_Pool):
    """Largest element of each window of a sequence; see `graphnn.max_pool`."""

    dimensions = 1
    function = pooling.max_pool


class MaxPool2d(_Pool):
    """Largest element of each window of an image, channel by channel; see `graphnn.max_pool`.

    Parameters
    ----------
    size : of a window; a tuple where it is not square
    stride : from window to window; `size` unless told
    padding, layout : as in `graphnn.max_pool`

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.MaxPool2d(2)(gn.placeholder("x", ("batch", 28, 28, 8))).spec
    float32[batch, 14, 14, 8]
    """

    dimensions = 2
    function = pooling.max_pool


class MaxPool3d(_Pool):
    """Largest element of each window of a volume; see `graphnn.max_pool`."""

    dimensions = 3
    function = pooling.max_pool


class AvgPool1d(_Pool):
    """Mean of each window of a sequence; see `graphnn.avg_pool`."""

    dimensions = 1
    function = pooling.avg_pool


class AvgPool2d(_Pool):
    """Mean of each window of an image, channel by channel; see `graphnn.avg_pool`. Options as `MaxPool2d`."""

    dimensions = 2
    function = pooling.avg_pool


class AvgPool3d(_Pool):
    """Mean of each window of a volume; see `graphnn.avg_pool`."""

    dimensions = 3
    function = pooling.avg_pool


class GlobalAvgPool(Module):
    """Mean of each channel over all spatial axes, ``[batch, ..., channels] -> [batch, channels]``.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.GlobalAvgPool()(gn.placeholder("x", ("batch", "h", "w", 8))).spec
    float32[batch, 8]
    """

    def __init__(self, *, layout: str = "channels_last") -> None:
        self.layout = layout

    def forward(self, x: Any) -> Node:
        return pooling.global_avg_pool(x, layout=self.layout)

    def arguments(self) -> list[str]:
        return changed("layout", self.layout, "channels_last")

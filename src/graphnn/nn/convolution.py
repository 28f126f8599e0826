"""Convolution as layers. Images are ``[batch, *spatial, channels]`` unless a layer has another layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from graphnn.errors import GraphError, ShapeError
from graphnn.functions import convolution as functions
from graphnn.functions.patches import channels_first, numbers, steps
from graphnn.ir.arrays import Array
from graphnn.ir.dtype import as_dtype
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import Shape, shape_text
from graphnn.nn import init as initializers
from graphnn.nn.declared import Parameter
from graphnn.nn.elsewhere import check_options
from graphnn.nn.module import Module
from graphnn.ops.movement import Reshape
from graphnn.ops.operands import as_node

_OPTIONS: dict[str, Any] = {
    "stride": 1,
    "padding": "valid",
    "dilation": 1,
    "groups": 1,
    "layout": "channels_last",
    "bias": True,
}
_CONV = {
    "filters": "The number of outputs is a channel count: nn.Conv2d(inputs, outputs, kernel_size).",
    "strides": "Write stride=2.",
    "dilation_rate": "Write dilation=2.",
    "padding_mode": "Pad before: gn.pad(x, widths, mode='reflect').",
    "data_format": "Write layout='channels_first'.",
    "activation": "An activation is a module of its own: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()).",
    "use_bias": "Write bias=False.",
    "kernel_initializer": "Write init=nn.init.kaiming_normal().",
    "input_shape": "A layer takes its channels from its first call: nn.Conv2d(outputs, kernel_size).",
}


class _Conv(Module):
    """What the convolution layers share; each names its dimensions and its function."""

    dimensions: ClassVar[int]
    function: ClassVar[Callable[..., Node]]
    weight: Node
    bias: Node | None

    def __init__(
        self,
        *sizes: Any,
        in_channels: int | None = None,
        out_channels: int | None = None,
        kernel_size: Any = None,
        stride: Any = 1,
        padding: Any = "valid",
        dilation: Any = 1,
        groups: int = 1,
        layout: str = "channels_last",
        bias: bool = True,
        init: Any = initializers.kaiming_normal,
        dtype: Any = "float32",
        seed: int | None = None,
        **unknown: Any,
    ) -> None:
        name = f"nn.{type(self).__name__}"
        known = ("in_channels", "out_channels", "kernel_size", *_OPTIONS, "init", "dtype", "seed")
        check_options(name, unknown, _CONV, known)
        given = [*sizes]
        kernel = given.pop() if kernel_size is None and given else kernel_size
        given += [size for size in (in_channels, out_channels) if size is not None]
        if kernel is None or not 1 <= len(given) <= 2 or (in_channels is not None and len(given) == 1):
            raise GraphError(
                f"{name} takes inputs, outputs and the size of the kernel, not {sizes}",
                f"Write {name}(inputs, outputs, kernel_size), or {name}(outputs, kernel_size) to take the inputs from the "
                "first call.",
            )
        for size in (*given, groups):
            if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
                raise ShapeError(f"{name}: a number of channels or groups is a whole number from 1, not {size!r}")
        if not callable(init):
            raise GraphError(
                f"{name}: init is a function of shape and generator, not {init!r}", "Such as nn.init.xavier_normal()."
            )
        count = self.dimensions
        self.in_channels = int(given[0]) if len(given) == 2 else None
        self.out_channels, self.groups = int(given[-1]), int(groups)
        self.kernel_size = steps(name, "kernel_size", kernel, count)
        self.stride, self.dilation = steps(name, "stride", stride, count), steps(name, "dilation", dilation, count)
        self.padding = padding if padding in ("same", "valid") else numbers(name, padding, count)
        channels_first(name, layout, count)
        self.layout, self.init, self.dtype, self.seed = layout, init, as_dtype(dtype), seed
        for size in (self.in_channels, self.out_channels):
            if size is not None and size % self.groups:
                raise ShapeError(f"{name}: {size} channels cannot be divided into {groups} groups of equal size")
        self._declare()
        self.bias = None
        if bias:
            self.bias = Parameter(initializers.zeros, (self.out_channels,), self.dtype)  # type: ignore[assignment]

    def _declare(self) -> None:
        inputs = (self.in_channels or 0) // self.groups
        shape = (*self.kernel_size, inputs, self.out_channels)
        self.weight = Parameter(self.init, shape, self.dtype)  # type: ignore[assignment]

    def check_sizes(self) -> None:
        if self.in_channels is None:
            raise GraphError(
                f"the parameters of {self!r} do not exist yet: it takes its input channels from its first call",
                f"Call the model on a placeholder first, or write nn.{type(self).__name__}(inputs, outputs, kernel_size).",
            )

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        first = channels_first(type(self).__name__, self.layout, self.dimensions)
        place = -self.dimensions - 1 if first else -1
        size = node.shape[place] if node.ndim >= self.dimensions + 1 else None
        if self.in_channels is None and isinstance(size, int) and size % self.groups == 0 and size:
            self.in_channels = size
            self._declare()
        if size is None or size != self.in_channels:
            raise explain(self._misfit(node.shape), (node,))
        y = type(self).function(node, self.weight, **self._passed_on())
        if self.bias is None:
            return y
        return y + (Reshape((self.out_channels, *(1,) * self.dimensions))(self.bias) if first else self.bias)

    def _passed_on(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups", "layout")
        return {name: plain(getattr(self, name)) for name in names}

    def _misfit(self, shape: Shape) -> ShapeError:
        grey = "Images of one channel need an axis for it: x[..., None]."
        if self.in_channels is None:
            return ShapeError(f"{self!r} cannot take its input channels from {shape_text(shape)}", grey)
        return ShapeError(
            f"{self!r} takes {self.in_channels} channels, not {shape_text(shape)}",
            f"Its inputs are {self.layout.replace('_', ' ')}. {grey}",
        )

    def arguments(self) -> list[str]:
        shown = [str(size) for size in (self.in_channels, self.out_channels) if size is not None]
        shown.append(str(plain(self.kernel_size)))
        for name, usual in _OPTIONS.items():
            if name == "bias":
                shown += ["bias=False"] if vars(self).get("bias", self) is None else []
            else:
                shown += changed(name, getattr(self, name), usual)
        shown += [f"init={self.init!r}"] if self.init is not initializers.kaiming_normal else []
        shown += [f"dtype={self.dtype.name!r}"] if self.dtype != "float32" else []
        return shown + ([f"seed={self.seed}"] if self.seed is not None else [])


def plain(value: Any) -> Any:
    """An option in its shortest form: one number where all are equal."""
    if not isinstance(value, tuple):
        return value
    alike = tuple(each[0] if isinstance(each, tuple) and each[0] == each[1] else each for each in value)
    return alike[0] if isinstance(alike[0], int) and len(set(alike)) == 1 else alike


def changed(name: str, value: Any, usual: Any) -> list[str]:
    """``["name=value"]`` for an option that is not as usual."""
    return [] if plain(value) == usual else [f"{name}={plain(value)!r}"]


class Conv1d(_Conv):
    """Convolution layer for sequences, ``[batch, length, inputs] -> [batch, length, outputs]``; as `Conv2d`.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.Conv1d(3, 8, 5)(gn.placeholder("x", ("batch", 100, 3))).spec
    float32[batch, 96, 8]
    """

    dimensions = 1
    function = functions.conv1d


class Conv2d(_Conv):
    """Convolution layer for images: `graphnn.conv2d` with a weight, plus a bias for each output channel.

    Parameters
    ----------
    inputs, outputs, kernel_size : int
        ``Conv2d(inputs, outputs, kernel_size)``; ``Conv2d(outputs, kernel_size)`` takes its input channels from its first
        call. The names ``in_channels=``, ``out_channels=`` and ``kernel_size=`` work too. A kernel that is not square is a
        tuple.
    stride, padding, dilation, groups, layout : as in `graphnn.conv2d`
    bias : bool
        Whether there is a bias.
    init : initializer of the weight ``[kh, kw, inputs / groups, outputs]``; `nn.init.kaiming_normal` unless told
    dtype : float32 unless told
    seed : fixes the first values apart from the model's seed; see `graphnn.nn.module`

    Raises
    ------
    ShapeError
        If an input has another number of channels.

    Examples
    --------
    >>> from graphnn import nn
    >>> layer = nn.Conv2d(3, 16, 3, padding="same")
    >>> layer(gn.placeholder("x", ("batch", 32, 32, 3))).spec
    float32[batch, 32, 32, 16]
    >>> layer.weight.shape, layer.bias.shape
    ((3, 3, 3, 16), (16,))
    """

    dimensions = 2
    function = functions.conv2d


class Conv3d(_Conv):
    """Convolution layer for volumes, ``[batch, d, h, w, inputs] -> [batch, d, h, w, outputs]``; as `Conv2d`.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.Conv3d(1, 4, 2, stride=2)(gn.placeholder("x", ("batch", 8, 8, 8, 1))).spec
    float32[batch, 4, 4, 4, 4]
    """

    dimensions = 3
    function = functions.conv3d


class _ConvTranspose(_Conv):
    """What the transposed layers share."""

    def __init__(self, *sizes: Any, output_padding: Any = 0, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.output_padding = tuple(output_padding) if isinstance(output_padding, list) else output_padding

    def _declare(self) -> None:
        shape = (*self.kernel_size, self.out_channels // self.groups, self.in_channels or 0)
        self.weight = Parameter(_Turned(self.init, self.groups), shape, self.dtype)  # type: ignore[assignment]

    def _passed_on(self) -> dict[str, Any]:
        return {**super()._passed_on(), "output_padding": plain(self.output_padding)}

    def arguments(self) -> list[str]:
        return [*super().arguments(), *changed("output_padding", self.output_padding, 0)]


class _Turned:
    """An initializer for weights ``[*kernel, out / groups, inputs]``: as many numbers come in as for a plain kernel."""

    def __init__(self, init: Any, groups: int) -> None:
        self.init, self.groups = init, groups

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        *kernel, outputs, inputs = shape
        plain_shape = (*kernel, inputs // self.groups, outputs * self.groups)
        return np.asarray(self.init(plain_shape, generator)).reshape(shape)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution layer for sequences; as `ConvTranspose2d`.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.ConvTranspose1d(8, 3, 4, stride=2, padding="same")(gn.placeholder("x", ("batch", 50, 8))).spec
    float32[batch, 100, 3]
    """

    dimensions = 1
    function = functions.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution layer, which makes images larger: `graphnn.conv_transpose2d` with a weight, plus a bias.

    Parameters
    ----------
    inputs, outputs, kernel_size, stride, padding, dilation, groups, layout, bias, init, dtype, seed : as in `Conv2d`; the
        weight is ``[kh, kw, outputs / groups, inputs]``
    output_padding : additional places at the end, less than the stride or the dilation

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.ConvTranspose2d(16, 3, 4, stride=2, padding="same")(
    ...     gn.placeholder("x", ("batch", 8, 8, 16))
    ... ).spec
    float32[batch, 16, 16, 3]
    """

    dimensions = 2
    function = functions.conv_transpose2d


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution layer for volumes; as `ConvTranspose2d`.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.ConvTranspose3d(4, 1, 2, stride=2)(gn.placeholder("x", ("batch", 4, 4, 4, 4))).spec
    float32[batch, 8, 8, 8, 1]
    """

    dimensions = 3
    function = functions.conv_transpose3d

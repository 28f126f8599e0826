"""Normalisation as layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from graphnn.errors import GraphError, ShapeError
from graphnn.functions import normalization as functions
from graphnn.functions.creation import size_node
from graphnn.functions.patches import channels_first
from graphnn.functions.statistics import mean, var
from graphnn.ir.dims import product
from graphnn.ir.dtype import as_dtype
from graphnn.ir.leaves import Variable
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import shape_text
from graphnn.nn import init as initializers
from graphnn.nn.calls import is_training
from graphnn.nn.convolution import changed
from graphnn.nn.declared import Parameter, State
from graphnn.nn.elsewhere import check_options
from graphnn.nn.module import Module
from graphnn.ops.arithmetic import maximum
from graphnn.ops.bitwise import astype
from graphnn.ops.operands import as_node
from graphnn.ops.random import advance

_OTHERS = {
    "epsilon": "Write eps=1e-5.",
    "elementwise_affine": "Write weight=False.",
    "affine": "Write weight=False.",
    "center": "Write bias=False.",
    "scale": "Write weight=False.",
    "axis": "The last axes are normalised, as many as there are sizes; for others use the function gn.layer_norm.",
    "data_format": "Write layout='channels_first'.",
}


class _Norm(Module):
    """What the layers share: a weight and a bias of one shape."""

    weight: Node | None
    bias: Node | None

    def _begin(self, shape: tuple[int, ...], eps: float, weight: bool, bias: bool, dtype: Any) -> None:
        name = f"nn.{type(self).__name__}"
        if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 <= eps < math.inf:
            raise GraphError(f"{name}: eps is a number from 0, not {eps!r}")
        self.eps, self.dtype = float(eps), as_dtype(dtype)
        self.weight = self.bias = None
        if weight:
            self.weight = Parameter(initializers.ones, shape, self.dtype)  # type: ignore[assignment]
        if weight and bias:
            self.bias = Parameter(initializers.zeros, shape, self.dtype)  # type: ignore[assignment]

    def _options(self) -> list[str]:
        shown = changed("eps", self.eps, 1e-5)
        has_weight = vars(self).get("weight", self) is not None
        shown += [] if has_weight else ["weight=False"]
        if has_weight and type(self) is not RMSNorm:
            shown += ["bias=False"] if vars(self).get("bias", self) is None else []
        return shown + ([f"dtype={self.dtype.name!r}"] if self.dtype != "float32" else [])


class LayerNorm(_Norm):
    """Each example by itself to mean 0 and variance 1 over its last axes, then scaled and moved; see `graphnn.layer_norm`.

    Parameters
    ----------
    normalized_shape : the sizes of the normalised axes, which are the last ones; an int for one
    eps : keeps the divisor from 0
    weight : whether the result is scaled, by a parameter that begins with ones
    bias : whether it is then moved, by a parameter that begins with zeros

    Raises
    ------
    ShapeError
        At the call, if the last axes have other sizes.

    Examples
    --------
    >>> from graphnn import nn
    >>> layer = nn.LayerNorm(64)
    >>> layer(gn.placeholder("x", ("batch", 10, 64))).spec
    float32[batch, 10, 64]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        *,
        eps: float = 1e-5,
        weight: bool = True,
        bias: bool = True,
        dtype: Any = "float32",
        **unknown: Any,
    ) -> None:
        check_options("nn.LayerNorm", unknown, _OTHERS, ("normalized_shape", "eps", "weight", "bias", "dtype"))
        self.normalized_shape = _sizes("nn.LayerNorm", normalized_shape)
        self._begin(self.normalized_shape, eps, weight, bias, dtype)

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        axes = _last_axes(self, node, self.normalized_shape)
        return functions.layer_norm(node, self.weight, self.bias, axis=axes, eps=self.eps)

    def arguments(self) -> list[str]:
        return [_shown(self.normalized_shape), *self._options()]


class RMSNorm(_Norm):
    """Divided by the root of the mean square over the last axes, then scaled; see `graphnn.rms_norm`.

    Parameters are those of `LayerNorm`, without a bias.

    Examples
    --------
    >>> from graphnn import nn
    >>> list(nn.RMSNorm(64).named_parameters())
    ['weight']
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        *,
        eps: float = 1e-5,
        weight: bool = True,
        dtype: Any = "float32",
        **unknown: Any,
    ) -> None:
        check_options("nn.RMSNorm", unknown, _OTHERS, ("normalized_shape", "eps", "weight", "dtype"))
        self.normalized_shape = _sizes("nn.RMSNorm", normalized_shape)
        self._begin(self.normalized_shape, eps, weight, False, dtype)

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        return functions.rms_norm(node, self.weight, axis=_last_axes(self, node, self.normalized_shape), eps=self.eps)

    def arguments(self) -> list[str]:
        return [_shown(self.normalized_shape), *self._options()]


class GroupNorm(_Norm):
    """Groups of channels to mean 0 and variance 1 over all places, then scaled and moved; see `graphnn.group_norm`.

    Parameters
    ----------
    num_groups, num_channels : as many groups of equal size as there are channels make an instance normalisation
    eps, weight, bias : as in `LayerNorm`
    layout : ``"channels_last"`` or ``"channels_first"``, as for `Conv2d`

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.GroupNorm(4, 32)(gn.placeholder("x", ("batch", 8, 8, 32))).spec
    float32[batch, 8, 8, 32]
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        *,
        eps: float = 1e-5,
        weight: bool = True,
        bias: bool = True,
        layout: str = "channels_last",
        dtype: Any = "float32",
        **unknown: Any,
    ) -> None:
        known = ("num_groups", "num_channels", "eps", "weight", "bias", "layout", "dtype")
        check_options("nn.GroupNorm", unknown, _OTHERS, known)
        (groups,), (channels,) = _sizes("nn.GroupNorm", num_groups), _sizes("nn.GroupNorm", num_channels)
        if channels % groups:
            raise ShapeError(f"nn.GroupNorm: {channels} channels cannot be divided into {groups} groups of equal size")
        self.num_groups, self.num_channels, self.layout = groups, channels, layout
        self._begin((channels,), eps, weight, bias, dtype)

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        first = channels_first("nn.GroupNorm", self.layout, node.ndim - 2)
        _check_channels(self, node, first, self.num_channels)
        return functions.group_norm(
            node, self.weight, self.bias, groups=self.num_groups, eps=self.eps, layout=self.layout
        )

    def arguments(self) -> list[str]:
        shown = [str(self.num_groups), str(self.num_channels), *self._options()]
        return shown + changed("layout", self.layout, "channels_last")


class _BatchNorm(_Norm):
    """What the batch normalisations share; each names the numbers of spatial axes that it takes."""

    spatial: ClassVar[tuple[int, ...]]
    running_mean: Variable
    running_var: Variable

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        weight: bool = True,
        bias: bool = True,
        layout: str = "channels_last",
        dtype: Any = "float32",
        **unknown: Any,
    ) -> None:
        name = f"nn.{type(self).__name__}"
        known = ("num_features", "eps", "momentum", "weight", "bias", "layout", "dtype")
        check_options(name, unknown, _OTHERS, known)
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise GraphError(f"{name}: momentum is from 0 to 1, not {momentum!r}")
        self._first = channels_first(name, layout, self.spatial[-1])
        (self.num_features,) = _sizes(name, num_features)
        self.momentum, self.layout = float(momentum), layout
        self._begin((self.num_features,), eps, weight, bias, dtype)
        self.running_mean = State(0.0, (self.num_features,), self.dtype)  # type: ignore[assignment]
        self.running_var = State(1.0, (self.num_features,), self.dtype)  # type: ignore[assignment]

    def forward(self, x: Any) -> Node:
        node = as_node(x)
        if node.ndim - 2 not in self.spatial:
            counts = " or ".join(str(count + 2) for count in self.spatial)
            raise explain(
                ShapeError(f"{self!r} takes inputs with {counts} axes, not {shape_text(node.shape)}"), (node,)
            )
        place = _check_channels(self, node, self._first, self.num_features)
        if not is_training():
            return functions.batch_norm(
                node, self.running_mean, self.running_var, self.weight, self.bias, axis=place, eps=self.eps
            )
        axes = tuple(axis for axis in range(node.ndim) if axis != place)
        of_mean, of_var = mean(node, axis=axes), var(node, axis=axes)
        y = functions.batch_norm(node, of_mean, of_var, self.weight, self.bias, axis=place, eps=self.eps)
        # The running variance is that of a sample, as in other libraries: over n - 1 instead of n.
        count = size_node(product(node.shape[axis] for axis in axes), self.dtype)
        sample = astype(of_var, self.dtype) * (count / maximum(count - 1, 1))
        share = self.momentum
        return advance(
            y,
            {
                self.running_mean: (1 - share) * self.running_mean + share * astype(of_mean, self.dtype),
                self.running_var: (1 - share) * self.running_var + share * sample,
            },
        )

    def arguments(self) -> list[str]:
        shown = [str(self.num_features), *self._options()]
        return shown + changed("momentum", self.momentum, 0.1) + changed("layout", self.layout, "channels_last")


class BatchNorm1d(_BatchNorm):
    """Each channel to mean 0 and variance 1 over the batch, ``[batch, channels]`` or ``[batch, length, channels]``.

    As `BatchNorm2d`.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.BatchNorm1d(8)(gn.placeholder("x", ("batch", 8)), training=True).spec
    float32[batch, 8]
    """

    spatial = (0, 1)


class BatchNorm2d(_BatchNorm):
    """Each channel of images to mean 0 and variance 1 over the batch and all places, then scaled and moved.

    In training by the statistics of the batch, whose running means are states of the layer: a compiled function that trains
    moves them on. Else by these running means. See `graphnn.batch_norm`.

    Parameters
    ----------
    num_features : the number of channels
    eps, weight, bias : as in `LayerNorm`
    momentum : the share of the new batch in the running means
    layout : ``"channels_last"`` or ``"channels_first"``, as for `Conv2d`

    Examples
    --------
    >>> from graphnn import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> layer(gn.placeholder("x", ("batch", 8, 8, 3)), training=True).spec
    float32[batch, 8, 8, 3]
    >>> list(layer.named_states())
    ['running_mean', 'running_var']
    """

    spatial = (2,)


class BatchNorm3d(_BatchNorm):
    """Each channel of volumes to mean 0 and variance 1 over the batch and all places; as `BatchNorm2d`.

    Examples
    --------
    >>> from graphnn import nn
    >>> nn.BatchNorm3d(3)(gn.placeholder("x", ("batch", 4, 4, 4, 3))).spec
    float32[batch, 4, 4, 4, 3]
    """

    spatial = (3,)


def _sizes(name: str, given: int | Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    for size in sizes:
        if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
            raise ShapeError(f"{name}: a size is a whole number from 1, not {size!r}")
    if not sizes:
        raise ShapeError(f"{name}: at least one size is needed")
    return tuple(int(size) for size in sizes)


def _shown(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else str(sizes)


def _last_axes(layer: Module, x: Node, sizes: tuple[int, ...]) -> tuple[int, ...]:
    if x.shape[x.ndim - len(sizes) :] != sizes or x.ndim < len(sizes):
        raise explain(
            ShapeError(f"{layer!r} takes inputs whose last sizes are {shape_text(sizes)}, not {shape_text(x.shape)}"),
            (x,),
        )
    return tuple(range(x.ndim - len(sizes), x.ndim))


def _check_channels(layer: Module, x: Node, first: bool, channels: int) -> int:
    """The axis of the channels."""
    place = 1 if first else x.ndim - 1
    if x.ndim < 2 or x.shape[place] != channels:
        swapped = not first and x.ndim > 2 and x.shape[1] == channels
        hint = "Did you mean layout='channels_first'?" if swapped else ""
        raise explain(ShapeError(f"{layer!r} takes {channels} channels, not {shape_text(x.shape)}", hint), (x,))
    return place

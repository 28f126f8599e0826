"""Normalisation: activations brought to mean 0 and variance 1, over features, channels, groups or the batch."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.errors import ShapeError
from graphnn.functions.patches import channels_first, from_last, to_last
from graphnn.functions.statistics import mean
from graphnn.ir.dims import exact_quotient
from graphnn.ir.dtype import float32
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent
from graphnn.ir.spec import normalize_axes, normalize_axis, shape_text
from graphnn.ops.arithmetic import square
from graphnn.ops.bitwise import astype
from graphnn.ops.composite import composite
from graphnn.ops.exponential import pow, sqrt
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Pad, Reshape
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import sum
from graphnn.ops.windows import Windows

Axes = int | Sequence[int]


@composite(latex=r"\operatorname{{layer\_norm}}\left({args}\right)")
def layer_norm(
    x: Operand,
    weight: Operand | None = None,
    bias: Operand | None = None,
    /,
    *,
    axis: Axes = -1,
    eps: float = 1e-5,
) -> Node:
    """Each example by itself to mean 0 and variance 1: ``(x - mean(x)) / sqrt(var(x) + eps) * weight + bias``.

    Mean and variance are those over `axis`. Numbers of 16 bits are computed in float32.

    Parameters
    ----------
    weight, bias : of the shape of the normalised axes, in their order in x; may be left out
    axis : the normalised axes
    eps : keeps the divisor from 0

    Raises
    ------
    ShapeError
        If the weight or the bias has another shape.

    Source: Ba, Kiros, Hinton, "Layer normalization", 2016.

    >>> gn.evaluate(gn.layer_norm([[1.0, 3.0], [10.0, 30.0]])).round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    node = as_node(x)
    check_kind("layer_norm", "floating-point", (node.dtype,))
    axes = _axes("layer_norm", axis, node)
    return _scaled("layer_norm", node, _standardized(node, axes, eps)[0], axes, weight, bias)


@layer_norm.rule
def _(
    g: Node, x: Node, weight: Node | None, bias: Node | None, *, out: Node, axis: Axes, eps: float
) -> tuple[Cotangent, ...]:
    axes = _axes("layer_norm", axis, x)
    standard, root = _standardized(x, axes, eps)
    wide = _wide(g)
    inner = wide if weight is None else wide * _wide(_placed("layer_norm", "weight", x, weight, axes))
    # Neither a shift nor a stretch of x changes the result: the parts of the cotangent along both are taken away.
    shift = mean(inner, axis=axes, keepdims=True)
    stretch = mean(inner * standard, axis=axes, keepdims=True)
    by_x = (inner - shift - standard * stretch) / root
    return by_x, *_by_weights(wide, standard, x, axes, weight, bias)


@composite(latex=r"\operatorname{{rms\_norm}}\left({args}\right)")
def rms_norm(x: Operand, weight: Operand | None = None, /, *, axis: Axes = -1, eps: float = 1e-5) -> Node:
    """Divided by the root of the mean square: ``x / sqrt(mean(x**2) + eps) * weight``.

    Parameters are those of `layer_norm`. Source: Zhang, Sennrich, "Root mean square layer normalization", NeurIPS 2019.

    >>> gn.evaluate(gn.rms_norm([3.0, 4.0, 0.0, 0.0])).round(3)
    array([1.2, 1.6, 0. , 0. ], dtype=float32)
    """
    node = as_node(x)
    check_kind("rms_norm", "floating-point", (node.dtype,))
    axes, wide = _axes("rms_norm", axis, node), _wide(node)
    return _scaled("rms_norm", node, wide / _root_mean_square(wide, axes, eps), axes, weight, None)


@rms_norm.rule
def _(g: Node, x: Node, weight: Node | None, *, out: Node, axis: Axes, eps: float) -> tuple[Cotangent, ...]:
    axes, wide = _axes("rms_norm", axis, x), _wide(g)
    root = _root_mean_square(_wide(x), axes, eps)
    scaled = _wide(x) / root
    inner = wide if weight is None else wide * _wide(_placed("rms_norm", "weight", x, weight, axes))
    by_x = (inner - scaled * mean(inner * scaled, axis=axes, keepdims=True)) / root
    return by_x, _by_weights(wide, scaled, x, axes, weight, None)[0]


@composite(latex=r"\operatorname{{batch\_norm}}\left({args}\right)")
def batch_norm(
    x: Operand,
    mean: Operand,
    var: Operand,
    weight: Operand | None = None,
    bias: Operand | None = None,
    /,
    *,
    axis: int = -1,
    eps: float = 1e-5,
) -> Node:
    """Each channel by statistics that are given: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    In training these are mean and variance of the channel over the batch, ``gn.mean(x, axis=...)`` and ``gn.var``; the
    derivative then goes through them. Afterwards they are running means.

    Parameters
    ----------
    mean, var, weight, bias : vectors with a number for each channel; the last two may be left out
    axis : that of the channels
    eps : keeps the divisor from 0

    Raises
    ------
    ShapeError
        If one of the vectors has another size than the channels.

    Source: Ioffe, Szegedy, "Batch normalization", ICML 2015.

    >>> gn.evaluate(gn.batch_norm([[1.0, 10.0], [3.0, 30.0]], [2.0, 20.0], [1.0, 100.0])).round(3)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """
    node = as_node(x)
    place = normalize_axis("batch_norm", axis, node.ndim)
    return _scaled(
        "batch_norm", node, _by_statistics(node, as_node(mean), as_node(var), place, eps)[0], (place,), weight, bias
    )


@batch_norm.rule
def _(
    g: Node,
    x: Node,
    mean: Node,
    var: Node,
    weight: Node | None,
    bias: Node | None,
    *,
    out: Node,
    axis: int,
    eps: float,
) -> tuple[Cotangent, ...]:
    place = normalize_axis("batch_norm", axis, x.ndim)
    others = tuple(i for i in range(x.ndim) if i != place)
    standard, root = _by_statistics(x, mean, var, place, eps)
    wide, flat = _wide(g), Reshape((x.shape[place],))(root)
    factor = 1 / root if weight is None else _wide(_placed("batch_norm", "weight", x, weight, (place,))) / root
    # All that is asked of the vectors follows from two sums for each channel.
    total, along = sum(wide, axis=others), sum(wide * standard, axis=others)
    share = Reshape((x.shape[place],))(factor)
    by_mean, by_var = -total * share, -0.5 * along * share / flat
    return wide * factor, by_mean, by_var, None if weight is None else along, None if bias is None else total


@composite(latex=r"\operatorname{{group\_norm}}_{{{groups}}}\left({args}\right)")
def group_norm(
    x: Operand,
    weight: Operand | None = None,
    bias: Operand | None = None,
    /,
    *,
    groups: int,
    eps: float = 1e-5,
    layout: str = "channels_last",
) -> Node:
    """Groups of channels to mean 0 and variance 1, over all places: between `layer_norm` and `instance_norm`.

    Parameters
    ----------
    x : ``[batch, *spatial, channels]``
    weight, bias : ``[channels]``, applied after it as in `layer_norm`; may be left out
    groups : into how many groups of equal size the channels are divided
    eps : keeps the divisor from 0
    layout : as in `conv2d`

    Raises
    ------
    ShapeError
        If the channels cannot be divided so.

    Source: Wu, He, "Group normalization", ECCV 2018.

    >>> x = gn.constant([[[1.0, 3.0, 10.0, 30.0]]])
    >>> gn.evaluate(gn.group_norm(x, groups=2)).round(3)
    array([[[-1.,  1., -1.,  1.]]], dtype=float32)
    """
    return _grouped("group_norm", x, weight, bias, groups, eps, layout)


@composite(latex=r"\operatorname{{instance\_norm}}\left({args}\right)")
def instance_norm(
    x: Operand,
    weight: Operand | None = None,
    bias: Operand | None = None,
    /,
    *,
    eps: float = 1e-5,
    layout: str = "channels_last",
) -> Node:
    """Each channel of each example to mean 0 and variance 1, over all places: `group_norm` with groups of one channel.

    Source: Ulyanov, Vedaldi, Lempitsky, "Instance normalization", 2016.

    >>> gn.evaluate(gn.instance_norm([[[1.0, 10.0], [3.0, 30.0]]])).round(3)
    array([[[-1., -1.],
            [ 1.,  1.]]], dtype=float32)
    """
    return _grouped("instance_norm", x, weight, bias, None, eps, layout)


@composite(latex=r"\operatorname{{local\_response\_norm}}\left({0}\right)")
def local_response_norm(
    x: Operand,
    /,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    layout: str = "channels_last",
) -> Node:
    """Divided by its neighbours in other channels: ``x / (k + alpha / size * sum(x**2))**beta``.

    The sum is over `size` channels around its own, from ``size // 2`` before it on; where there are less, over less.

    Parameters
    ----------
    layout : as in `conv2d`

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012, where
    alpha is not divided by the size.

    >>> gn.evaluate(gn.local_response_norm([[[1.0, 2.0, 2.0]]], 3, alpha=3.0, beta=1.0)).round(3)
    array([[[0.167, 0.2  , 0.222]]], dtype=float32)
    """
    node = as_node(x)
    check_kind("local_response_norm", "floating-point", (node.dtype,))
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ShapeError(f"local_response_norm: size is an int from 1, not {size!r}")
    count, first = _spatial("local_response_norm", node, layout)
    last = to_last(node, count, first)
    wide = _wide(last)
    axis = last.ndim - 1
    borders = Pad((*((0, 0),) * axis, (size // 2, (size - 1) // 2)))(square(wide))
    near = sum(Windows((axis,), (size,))(borders), axis=-1)
    return from_last(astype(wide / pow(k + (alpha / size) * near, beta), node.dtype), count, first)


def _axes(name: str, axis: Axes, x: Node) -> tuple[int, ...]:
    """The normalised axes in the order in which x has them."""
    return tuple(sorted(normalize_axes(name, axis, x.ndim)))


def _wide(x: Node) -> Node:
    return astype(x, float32) if x.dtype.bits == 16 else x


def _standardized(x: Node, axes: tuple[int, ...], eps: float) -> tuple[Node, Node]:
    """x with mean 0 and variance 1, and the root that it was divided by; in float32 at least."""
    wide = _wide(x)
    deviation = wide - mean(wide, axis=axes, keepdims=True)
    root = sqrt(mean(square(deviation), axis=axes, keepdims=True) + eps)
    return deviation / root, root


def _root_mean_square(x: Node, axes: tuple[int, ...], eps: float) -> Node:
    return sqrt(mean(square(x), axis=axes, keepdims=True) + eps)


def _by_statistics(x: Node, center: Node, spread: Node, place: int, eps: float) -> tuple[Node, Node]:
    """x by the mean and the variance of each channel, and the root that it was divided by; in float32 at least."""
    middle = _wide(_placed("batch_norm", "mean", x, center, (place,)))
    root = sqrt(_wide(_placed("batch_norm", "variance", x, spread, (place,))) + eps)
    return (_wide(x) - middle) / root, root


def _by_weights(
    g: Node, standard: Node, x: Node, axes: tuple[int, ...], weight: Node | None, bias: Node | None
) -> tuple[Cotangent, Cotangent]:
    """The cotangents of weight and bias."""
    others = tuple(i for i in range(x.ndim) if i not in axes)
    by_weight = None if weight is None else sum(g * standard, axis=others)
    return by_weight, None if bias is None else sum(g, axis=others)


def _scaled(
    name: str,
    x: Node,
    out: Node,
    axes: tuple[int, ...],
    weight: Operand | None,
    bias: Operand | None,
) -> Node:
    """``out * weight + bias``, in the data type of x."""
    if weight is not None:
        out = out * _wide(_placed(name, "weight", x, as_node(weight), axes))
    if bias is not None:
        out = out + _wide(_placed(name, "bias", x, as_node(bias), axes))
    return astype(out, x.dtype)


def _placed(name: str, what: str, x: Node, value: Node, axes: tuple[int, ...]) -> Node:
    """A weight of the shape of some axes, laid out so that it meets them."""
    wanted = tuple(x.shape[i] for i in axes)
    if value.shape != wanted:
        axis = f"axis {axes[0]}" if len(axes) == 1 else f"the axes {axes}"
        raise ShapeError(
            f"{name}: the {what} {shape_text(value.shape)} does not fit {axis} of {shape_text(x.shape)}",
            f"It has the shape {shape_text(wanted)}.",
        )
    return Reshape(tuple(size if i in axes else 1 for i, size in enumerate(x.shape)))(value)


def _spatial(name: str, x: Node, layout: str) -> tuple[int, bool]:
    """How many axes lie between batch and channels, and whether the channels come before them."""
    count = x.ndim - 2
    if count < 0:
        raise ShapeError(f"{name}: {shape_text(x.shape)} has no axes [batch, *spatial, channels]")
    return count, channels_first(name, layout, count)


def _grouped(
    name: str,
    x: Operand,
    weight: Operand | None,
    bias: Operand | None,
    groups: int | None,
    eps: float,
    layout: str,
) -> Node:
    node = as_node(x)
    check_kind(name, "floating-point", (node.dtype,))
    count, first = _spatial(name, node, layout)
    last = to_last(node, count, first)
    channels = last.shape[-1]
    if groups is None:
        out = layer_norm(_wide(last), axis=tuple(range(1, count + 1)), eps=eps)
    else:
        good = isinstance(groups, int) and not isinstance(groups, bool) and groups > 0
        each = exact_quotient(channels, groups) if good else None
        if each is None:
            raise ShapeError(
                f"{name}: {channels} channels cannot be divided into {groups!r} groups of equal size",
                f"x is {shape_text(last.shape)} with the channels last.",
            )
        split = Reshape((*last.shape[:-1], groups, each))(_wide(last))
        out = Reshape(last.shape)(layer_norm(split, axis=(*range(1, count + 1), count + 2), eps=eps))
    return from_last(_scaled(name, last, out, (last.ndim - 1,), weight, bias), count, first)

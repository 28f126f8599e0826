"""Convolution and its transpose, in one, two and three dimensions.

A convolution is an inner product: the kernel, as one vector, with every patch of the input, as a vector. Where a patch
points the same way as the kernel the result is large, so a kernel finds its own pattern wherever it stands. That is also
how the functions here are built: windows of the input, laid out as the rows of a matrix (`unfold`), times the kernels,
laid out as columns.
"""

from __future__ import annotations

from graphnn.errors import ShapeError
from graphnn.functions.patches import (
    Padding,
    channels_first,
    check_axes,
    flat_patches,
    from_last,
    halves,
    numbers,
    overlap_add,
    patches,
    steps,
    to_last,
)
from graphnn.ir.dims import Size, exact_quotient, positive_part, product
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.ops.composite import composite
from graphnn.ops.contraction import Contract, matmul
from graphnn.ops.movement import Pad, Part, Reshape, permute_dims
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.windows import Steps, window_extent

_OUTER = "abcdefhijlmnpqrstuvwxyz"  # letters for the axes that a product leaves alone; g, k and o have a meaning


@composite(latex=r"\operatorname{{conv}}\left({0}, {1}\right)")
def conv1d(
    x: Operand,
    weight: Operand,
    /,
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    dilation: Steps = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Node:
    """Convolution along one axis: ``y[i, o] = sum over j, c of x[i * stride + j * dilation, c] * weight[j, c, o]``.

    As `conv2d`, for ``x [..., length, channels]`` and ``weight [k, channels / groups, out]``.

    >>> x = gn.constant([[0.0], [1.0], [3.0], [6.0]])
    >>> gn.evaluate(gn.conv1d(x, [[[-1.0]], [[1.0]]]))[:, 0]
    array([1., 2., 3.], dtype=float32)
    """
    return _convolve("conv1d", 1, as_node(x), as_node(weight), stride, padding, dilation, groups, layout)


@composite(latex=r"\operatorname{{conv}}\left({0}, {1}\right)")
def conv2d(
    x: Operand,
    weight: Operand,
    /,
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    dilation: Steps = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Node:
    """Convolution of images: each number is the inner product of a patch of x with one of the kernels.

    ``x [..., h, w, channels]`` and ``weight [kh, kw, channels / groups, out]`` give ``[..., oh, ow, out]`` with
    ``y[i, j, o] = sum over p, q, c of x[i * stride + p * dilation, j * stride + q * dilation, c] * weight[p, q, c, o]`` and
    ``oh = (h + padding - dilation * (kh - 1) - 1) // stride + 1``. The kernel is not turned over, as in all libraries of
    neural networks; signal processing calls this a correlation.

    Parameters
    ----------
    stride, dilation : steps from patch to patch, and inside a patch; one number, or one for each spatial axis
    padding : zeros around x: ``"valid"`` for none, ``"same"`` for ``oh = ceil(h / stride)``, one number for all borders,
        or for each spatial axis a number or a pair (before, after)
    groups : channels are divided into so many groups, each with kernels of its own; as many as channels make it depthwise
    layout : ``"channels_last"`` (``"NHWC"``), or ``"channels_first"`` (``"NCHW"``) for x and the result; the weight has
        the same form in both

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998; dilation: Yu,
    Koltun, "Multi-scale context aggregation by dilated convolutions", 2016; depthwise: Howard et al., "MobileNets", 2017.

    >>> x = gn.placeholder("x", ("batch", "h", 28, 3))
    >>> gn.conv2d(x, gn.parameter("w", np.zeros((3, 3, 3, 8), "float32")), padding="same").shape
    (batch, h, 28, 8)

    Raises
    ------
    ShapeError
        If channels do not fit the weight, or the kernel spans more than the padded input.
    """
    return _convolve("conv2d", 2, as_node(x), as_node(weight), stride, padding, dilation, groups, layout)


@composite(latex=r"\operatorname{{conv}}\left({0}, {1}\right)")
def conv3d(
    x: Operand,
    weight: Operand,
    /,
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    dilation: Steps = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Node:
    """Convolution of volumes, ``x [..., d, h, w, channels]`` with ``weight [kd, kh, kw, channels / groups, out]``.

    As `conv2d`, with one more axis; layouts are ``"NDHWC"`` and ``"NCDHW"``.

    >>> x = gn.placeholder("x", ("batch", 8, 8, 8, 2))
    >>> gn.conv3d(x, np.ones((2, 2, 2, 2, 5)), stride=2).shape
    (batch, 4, 4, 4, 5)
    """
    return _convolve("conv3d", 3, as_node(x), as_node(weight), stride, padding, dilation, groups, layout)


def _convolve(
    name: str,
    count: int,
    x: Node,
    weight: Node,
    stride: Steps,
    padding: Padding,
    dilation: Steps,
    groups: int,
    layout: str,
) -> Node:
    first = channels_first(name, layout, count)
    check_axes(name, x, count)
    _check_weight(name, weight, count)
    x = to_last(x, count, first)
    channels, (*kernel, inputs, outputs) = x.shape[-1], weight.shape
    _check_groups(name, groups)
    if inputs * groups != channels:
        each = f" for each of {groups} groups" if groups > 1 else ""
        raise ShapeError(
            f"{name}: x has {channels} channels, the weight {shape_text(weight.shape)} takes {inputs}{each}",
            f"x is {shape_text(x.shape)} with the channels last; a weight is [*kernel, channels / groups, out].",
            _layout_hint(x, inputs * groups, count, first),
        )
    rows = flat_patches(patches(name, x, tuple(kernel), stride, padding, dilation), count, groups)
    size = product(kernel) * inputs
    if groups == 1:
        y = matmul(rows, Reshape((size, outputs))(weight))
    else:
        each_out = _share(name, outputs, groups, "outputs")
        columns = Reshape((size, groups, each_out))(weight)
        outer = _letters(name, rows.ndim - 2)
        y = Contract(f"{outer}gk", "kgo", f"{outer}go")(rows, columns)
        y = Reshape((*y.shape[:-2], outputs))(y)
    return from_last(y, count, first)


def _layout_hint(x: Node, wanted: Size, count: int, first: bool) -> str:
    if first or x.shape[-1 - count] != wanted:
        return ""
    return "Did you mean layout='channels_first'?"


def _check_weight(name: str, weight: Node, count: int) -> None:
    if weight.ndim != count + 2:
        raise ShapeError(
            f"{name}: the weight has {count + 2} axes [*kernel, inputs, outputs], not {shape_text(weight.shape)}"
        )


def _check_groups(name: str, groups: int) -> None:
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ShapeError(f"{name}: groups is an int from 1, not {groups!r}")


def _share(name: str, size: Size, groups: int, what: str) -> Size:
    each = exact_quotient(size, groups)
    if each is None:
        raise ShapeError(f"{name}: {size} {what} cannot be divided into {groups} groups of equal size")
    return each


def _letters(name: str, count: int) -> str:
    if count > len(_OUTER):
        raise ShapeError(f"{name}: {count} axes beside the channels are more than the {len(_OUTER)} that can be named")
    return _OUTER[:count]


# --- transposed ---


@composite(latex=r"\operatorname{{conv}}^{{\top}}\left({0}, {1}\right)")
def conv_transpose1d(
    x: Operand,
    weight: Operand,
    /,
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    output_padding: Steps = 0,
    dilation: Steps = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Node:
    """The transpose of `conv1d`: every element of x adds its multiple of the kernel to the result.

    As `conv_transpose2d`, for ``x [..., length, channels]`` and ``weight [k, out / groups, channels]``.

    >>> x = gn.constant([[1.0], [2.0]])
    >>> gn.evaluate(gn.conv_transpose1d(x, [[[1.0]], [[10.0]]], stride=2))[:, 0]
    array([ 1., 10.,  2., 20.], dtype=float32)
    """
    return _spread(
        "conv_transpose1d", 1, as_node(x), as_node(weight), stride, padding, output_padding, dilation, groups, layout
    )


@composite(latex=r"\operatorname{{conv}}^{{\top}}\left({0}, {1}\right)")
def conv_transpose2d(
    x: Operand,
    weight: Operand,
    /,
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    output_padding: Steps = 0,
    dilation: Steps = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Node:
    """The transpose of `conv2d` as a linear map of x: each element adds its multiple of a kernel to the result.

    ``x [..., h, w, channels]`` and ``weight [kh, kw, out / groups, channels]`` give ``[..., oh, ow, out]`` with
    ``oh = (h - 1) * stride - padding + dilation * (kh - 1) + 1 + output_padding``. The weight has the form of the `conv2d`
    that maps the other way; that one's derivative by its input is this function, with the same options.

    Parameters
    ----------
    padding : what that convolution would pad, here cut off; ``"same"`` gives ``oh = h * stride``
    output_padding : additional places at the end, less than the stride or the dilation: a stride above 1 maps several
        input sizes to one output size, and this tells which one is meant
    stride, dilation, groups, layout : as in `conv2d`

    Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional networks", CVPR 2010; Dumoulin, Visin, "A guide to
    convolution arithmetic for deep learning", 2016.

    >>> x = gn.placeholder("x", ("batch", "h", 7, 8))
    >>> gn.conv_transpose2d(x, np.ones((3, 3, 4, 8)), stride=2, padding="same").shape
    (batch, 2*h, 14, 4)

    Raises
    ------
    ShapeError
        If channels do not fit the weight, or the padding leaves nothing.
    """
    return _spread(
        "conv_transpose2d", 2, as_node(x), as_node(weight), stride, padding, output_padding, dilation, groups, layout
    )


@composite(latex=r"\operatorname{{conv}}^{{\top}}\left({0}, {1}\right)")
def conv_transpose3d(
    x: Operand,
    weight: Operand,
    /,
    *,
    stride: Steps = 1,
    padding: Padding = "valid",
    output_padding: Steps = 0,
    dilation: Steps = 1,
    groups: int = 1,
    layout: str = "channels_last",
) -> Node:
    """The transpose of `conv3d`: ``x [..., d, h, w, channels]`` with ``weight [kd, kh, kw, out / groups, channels]``.

    As `conv_transpose2d`, with one more axis.

    >>> x = gn.placeholder("x", ("batch", 4, 4, 4, 5))
    >>> gn.conv_transpose3d(x, np.ones((2, 2, 2, 3, 5)), stride=2).shape
    (batch, 8, 8, 8, 3)
    """
    return _spread(
        "conv_transpose3d", 3, as_node(x), as_node(weight), stride, padding, output_padding, dilation, groups, layout
    )


def _spread(
    name: str,
    count: int,
    x: Node,
    weight: Node,
    stride: Steps,
    padding: Padding,
    output_padding: Steps,
    dilation: Steps,
    groups: int,
    layout: str,
) -> Node:
    first = channels_first(name, layout, count)
    check_axes(name, x, count)
    _check_weight(name, weight, count)
    x = to_last(x, count, first)
    channels, (*kernel, _, inputs) = x.shape[-1], weight.shape
    _check_groups(name, groups)
    if inputs != channels:
        raise ShapeError(
            f"{name}: x has {channels} channels, the weight {shape_text(weight.shape)} takes {inputs}",
            f"x is {shape_text(x.shape)} with the channels last; a weight is [*kernel, out / groups, channels].",
            _layout_hint(x, inputs, count, first),
        )
    strides, dilations = steps(name, "stride", stride, count), steps(name, "dilation", dilation, count)
    added = _additional(name, output_padding, strides, dilations)
    shown = _multiples(name, x, weight, groups)
    lengths = x.shape[-count - 1 : -1]
    extents = tuple(window_extent(k, d) for k, d in zip(kernel, dilations, strict=True))
    whole = tuple((n - 1) * s + e for n, s, e in zip(lengths, strides, extents, strict=True))
    y = overlap_add(shown, whole, strides, dilations)
    for i in range(count):
        axis = y.ndim - count - 1 + i
        extra: Size = added[i]
        if padding == "same":
            total = extents[i] - strides[i]
            before, wanted = halves(positive_part(total))[0], lengths[i] * strides[i] + extra
            extra = extra + positive_part(-total)
        else:
            before, after = (0, 0) if padding == "valid" else numbers(name, padding, count)[i]
            wanted = whole[i] + extra - before - after
        y = _cut(name, y, axis, before, wanted, extra)
    return from_last(y, count, first)


def _additional(name: str, value: Steps, strides: tuple[int, ...], dilations: tuple[int, ...]) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,) * len(strides)
    good = len(values) == len(strides) and all(
        isinstance(n, int) and 0 <= n < max(s, d) for n, s, d in zip(values, strides, dilations, strict=True)
    )
    if not good:
        raise ShapeError(
            f"{name}: output_padding is a number from 0, less than stride or dilation, not {value!r}",
            "Give one number, or one for each spatial axis.",
        )
    return values


def _multiples(name: str, x: Node, weight: Node, groups: int) -> Node:
    """For every place of x its multiples of the kernels: ``[..., *lengths, out, *kernel]``."""
    (*kernel, outputs, inputs), outer = weight.shape, x.ndim - 1
    count = len(kernel)
    order = (count + 1, count, *range(count))
    matrix = permute_dims(weight, order)  # [channels, out / groups, *kernel]
    if groups == 1:
        product_ = matmul(x, Reshape((inputs, outputs * product(kernel)))(matrix))
        return Reshape((*x.shape[:-1], outputs, *kernel))(product_)
    each = _share(name, inputs, groups, "channels")
    rows = Reshape((*x.shape[:-1], groups, each))(x)
    columns = Reshape((groups, each, outputs * product(kernel)))(matrix)
    letters = _letters(name, outer)
    spread = Contract(f"{letters}gk", "gko", f"{letters}go")(rows, columns)
    return Reshape((*x.shape[:-1], outputs * groups, *kernel))(spread)


def _cut(name: str, y: Node, axis: int, before: Size, wanted: Size, extra: Size) -> Node:
    if isinstance(wanted, int) and wanted < 0:
        raise ShapeError(
            f"{name}: the padding takes more than there is: axis {axis} of the result would have the size {wanted}"
        )
    if extra != 0:
        y = Pad(tuple((0, extra if i == axis else 0) for i in range(y.ndim)))(y)
    return y if y.shape[axis] == wanted else Part(axis, before, wanted)(y)

"""Convolution and its relatives."""

from __future__ import annotations

from collections.abc import Sequence

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import Dim, Size, product
from graphnn.ir.node import Node
from graphnn.ops.windows import window_count, window_extent

Pair = tuple[int, int]
_CONVOLUTIONS = {1: gn.conv1d, 2: gn.conv2d, 3: gn.conv3d}
_TRANSPOSES = {1: gn.conv_transpose1d, 2: gn.conv_transpose2d, 3: gn.conv_transpose3d}


def number(call: Call, x: Node, axis: int) -> int:
    """The size of an axis as a number, which is needed to build the graph."""
    size = x.shape[axis]
    return size if isinstance(size, int) else int(call.value_of(gn.dim_size(x, axis)))


def spatial_count(call: Call, x: Node) -> int:
    """How many axes follow batch and channels."""
    if x.ndim < 3:
        raise call.error(f"an input [batch, channels, *spatial] is needed, not {x.spec}")
    return x.ndim - 2


def each(call: Call, name: str, count: int, default: int = 1, least: int = 1) -> tuple[int, ...]:
    """An attribute that has a number for each spatial axis."""
    values = call.integers(name, (default,) * count)
    if len(values) != count or any(value < least for value in values):
        raise call.error(f"the attribute {name!r} has {count} numbers from {least}, not {list(values)}")
    return values


def kernel_shape(call: Call, count: int, of: Sequence[Size] | None = None) -> tuple[int, ...]:
    """The attribute kernel_shape, which must be the shape of the weight where there is one."""
    if of is None:
        call.integers("kernel_shape")
        return each(call, "kernel_shape", count)
    sizes = []
    for size in of:
        if isinstance(size, Dim) or size < 1:
            raise call.unsupported(f"a kernel with an axis of {size}")
        sizes.append(size)
    found = tuple(sizes)
    if call.integers("kernel_shape", found) != found:
        raise call.error(f"kernel_shape is {list(call.integers('kernel_shape'))}, but the weight has {list(found)}")
    return found


def explicit_pads(call: Call, count: int) -> tuple[Pair, ...]:
    """The attribute pads as pairs (before, after)."""
    pads = each(call, "pads", 2 * count, 0, 0)
    return tuple((pads[i], pads[count + i]) for i in range(count))


def halves(call: Call, total: int, auto_pad: str) -> Pair:
    """A border divided between both sides; an odd one goes after for SAME_UPPER."""
    small, large = total // 2, total - total // 2
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


def auto_padding(call: Call) -> str:
    """The attribute auto_pad."""
    found = call.text("auto_pad", "NOTSET")
    if found not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise call.error(f"auto_pad is NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {found!r}")
    return found


def padding_for(
    call: Call, x: Node, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Pair, ...]:
    """How much is put before and after each spatial axis, by auto_pad or pads."""
    count = len(kernel)
    auto_pad = auto_padding(call)
    if auto_pad == "NOTSET":
        return explicit_pads(call, count)
    if auto_pad == "VALID":
        return ((0, 0),) * count
    pairs = []
    for i, (k, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        total = window_extent(k, dilation) - 1
        if stride > 1:
            length = number(call, x, i + 2)
            total = max((-(-length // stride) - 1) * stride + total + 1 - length, 0)
        pairs.append(halves(call, int(total), auto_pad))
    return tuple(pairs)


def with_bias(call: Call, y: Node, bias: Node | None) -> Node:
    """A number for each channel added."""
    if bias is None:
        return y
    if bias.ndim != 1:
        raise call.error(f"the bias is a vector, not {bias.spec}")
    return y + gn.reshape(bias, (bias.shape[0], *[1] * (y.ndim - 2)))


def _weight(call: Call, x: Node, weight: Node, count: int) -> Node:
    if weight.ndim != count + 2:
        raise call.error(f"the weight has {count + 2} axes for an input {x.spec}, not {weight.spec}")
    if count > 3:
        raise call.unsupported(f"{count} spatial axes")
    return gn.permute_dims(weight, (*range(2, count + 2), 1, 0))


@onnx_op("Conv")
def conv(call: Call, x: Node, weight: Node, bias: Node | None = None) -> Node:
    """Sums of products of patches with kernels ``[out, channels / group, *kernel]``."""
    count = spatial_count(call, x)
    turned = _weight(call, x, weight, count)
    kernel = kernel_shape(call, count, weight.shape[2:])
    strides, dilations = each(call, "strides", count), each(call, "dilations", count)
    y = _CONVOLUTIONS[count](
        x,
        turned,
        stride=strides,
        padding=padding_for(call, x, kernel, strides, dilations),
        dilation=dilations,
        groups=call.integer("group", 1),
        layout="channels_first",
    )
    return with_bias(call, y, bias)


@onnx_op("ConvTranspose")
def conv_transpose(call: Call, x: Node, weight: Node, bias: Node | None = None) -> Node:
    """Every element adds its multiple of a kernel ``[channels, out / group, *kernel]``; then the borders are cut off."""
    count = spatial_count(call, x)
    turned = _weight(call, x, weight, count)
    kernel = kernel_shape(call, count, weight.shape[2:])
    strides, dilations = each(call, "strides", count), each(call, "dilations", count)
    y = _TRANSPOSES[count](
        x,
        turned,
        stride=strides,
        dilation=dilations,
        groups=call.integer("group", 1),
        layout="channels_first",
    )
    more, auto_pad = each(call, "output_padding", count, 0, 0), auto_padding(call)
    wanted = None
    if "output_shape" in call.attributes:
        wanted = each(call, "output_shape", count)
    pairs = []
    for i in range(count):
        if wanted is not None:
            # What the longest possible result has too much; where it is too short, zeros follow at the end.
            total = number(call, y, i + 2) + more[i] - wanted[i]
            before, _ = halves(call, max(total, 0), auto_pad)
            pairs.append((before, total - before - more[i]))
        elif auto_pad.startswith("SAME"):
            total = int(window_extent(kernel[i], dilations[i])) - strides[i] + more[i]
            before, _ = halves(call, max(total, 0), auto_pad)
            pairs.append((before, total - before - more[i]))
        else:
            before, after = (0, 0) if auto_pad == "VALID" else explicit_pads(call, count)[i]
            pairs.append((before, after - more[i]))
    return with_bias(call, cut(call, y, pairs), bias)


def cut(call: Call, y: Node, pairs: Sequence[Pair]) -> Node:
    """The spatial axes without so many places before and after; a negative number after adds zeros."""
    first = y.ndim - len(pairs)
    added = [(0, 0)] * first + [(0, max(-after, 0)) for _, after in pairs]
    for size, (_, extra) in zip(y.shape, added, strict=True):
        if extra:
            call.afford([size + extra])
    if any(extra for _, extra in added):
        y = gn.pad(y, added)
    kept = [slice(None)] * first + [slice(before, -after if after > 0 else None) for before, after in pairs]
    return y[tuple(kept)]


@onnx_op("CausalConvWithState", since=27)
def causal_conv(
    call: Call, x: Node, weight: Node, bias: Node | None = None, past: Node | None = None
) -> tuple[Node, Node]:
    """Each channel with a kernel of its own, over this and earlier places; the last ``k - 1`` places are the next state."""
    if x.ndim != 3 or weight.ndim != 3:
        raise call.error(f"x {x.spec} and the weight {weight.spec} have three axes")
    batch, channels = x.shape[:2]
    (before,) = (size - 1 for size in kernel_shape(call, 1, weight.shape[2:]))
    state = gn.zeros((batch, channels, before), dtype=x.dtype) if past is None else past
    if state.shape != (batch, channels, before):
        raise call.error(f"the state is {state.spec}, not [batch, channels, k - 1]")
    padded = gn.concat([state, x], axis=2)
    turned = gn.permute_dims(weight, (2, 1, 0))
    if not isinstance(channels, int):
        channels = number(call, x, 1)
    y = with_bias(call, gn.conv1d(padded, turned, groups=channels, layout="channels_first"), bias)
    activation = call.text("activation", "none")
    if activation in ("silu", "swish"):
        y = gn.silu(y)
    elif activation != "none":
        raise call.error(f"activation is none, silu or swish, not {activation!r}")
    return y, padded[:, :, -before:] if before else padded[:, :, :0]


@onnx_op("Col2Im", since=18)
def col2im(call: Call, x: Node, image_shape: Node, block_shape: Node) -> Node:
    """Blocks ``[batch, channels * block, places]`` added up where they overlap."""
    image, block = call.integers_at(1), call.integers_at(2)
    count = len(image)
    if x.ndim != 3 or len(block) != count or not count or min(*image, *block) < 1:
        raise call.error(f"the input {x.spec} does not fit the image {list(image)} and the blocks {list(block)}")
    strides, dilations = each(call, "strides", count), each(call, "dilations", count)
    pairs = explicit_pads(call, count)
    whole = tuple(n + before + after for n, (before, after) in zip(image, pairs, strict=True))
    call.afford(whole)
    counts = tuple(window_count(n, k, s, d) for n, k, s, d in zip(whole, block, strides, dilations, strict=True))
    per_block = product(block)
    channels = x.shape[1] // per_block
    split = gn.reshape(x, (x.shape[0], channels, *block, *counts))
    order = (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count))
    y = gn.fold_windows(
        gn.permute_dims(split, order), whole, axis=tuple(range(2, 2 + count)), stride=strides, dilation=dilations
    )
    return cut(call, y, pairs)

"""Shapes and places: reshape, slice, pad, tile and others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import Dim, Size, product
from graphnn.ir.node import Node
from graphnn.ir.spec import broadcast, normalize_axes, normalize_axis
from graphnn.ops.movement import Slice, cut_size


def whole(call: Call, sizes: Sequence[Size], what: str) -> tuple[int, ...]:
    """Sizes that must be numbers."""
    for size in sizes:
        if isinstance(size, Dim):
            raise call.unsupported(f"{what} depends on the size {size}")
    return tuple(int(size) for size in sizes)


def sizes_from(call: Call, i: int, attribute: str) -> tuple[Size, ...]:
    """Sizes that were an attribute once and are input i now."""
    return call.sizes(i) if call.given(i) else call.integers(attribute)


@onnx_op("Reshape")
def reshape(call: Call, x: Node, shape: Node | None = None) -> Node:
    """The elements in another shape: 0 keeps a size, -1 is worked out."""
    wanted = list(sizes_from(call, 1, "shape"))
    if not call.flag("allowzero"):
        for i, size in enumerate(wanted):
            if size == 0:
                if i >= x.ndim:
                    raise call.error(f"0 at place {i} of the shape keeps a size that {x.spec} does not have")
                wanted[i] = x.shape[i]
    if any(isinstance(size, int) and size < -1 for size in wanted):
        raise call.error(f"the shape {wanted} has a negative size")
    call.afford(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and any(size == 0 for size in wanted):
        raise call.error(f"-1 cannot be worked out beside 0 in {wanted}")
    return gn.reshape(x, tuple(wanted))


@onnx_op("Flatten")
def flatten(call: Call, x: Node) -> Node:
    """A matrix: the axes before `axis` become one, and the others."""
    axis = call.integer("axis", 1)
    if not -x.ndim <= axis <= x.ndim:
        raise call.error(f"the axis {axis} is out of range for {x.spec}")
    axis = axis + x.ndim if axis < 0 else axis
    return gn.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))


@onnx_op("Squeeze")
def squeeze(call: Call, x: Node, axes: Node | None = None) -> Node:
    """Without axes of size 1."""
    chosen = call.integers_at(1) if axes is not None else call.integers("axes", None)
    return gn.squeeze(x, chosen)


@onnx_op("Unsqueeze")
def unsqueeze(call: Call, x: Node, axes: Node | None = None) -> Node:
    """With new axes of size 1."""
    chosen = call.integers_at(1) if axes is not None else call.integers("axes")
    if len(chosen) > 32:
        raise call.error("too many axes")
    return gn.expand_dims(x, axis=chosen)


@onnx_op("Transpose")
def transpose(call: Call, x: Node) -> Node:
    """The axes in another order, reversed unless told."""
    return gn.permute_dims(x, call.integers("perm", None) or tuple(reversed(range(x.ndim))))


@onnx_op("Expand")
def expand(call: Call, x: Node, shape: Node) -> Node:
    """Repeated to the shape that it has together with another one."""
    wanted = call.sizes(1)
    call.afford(wanted)
    return gn.broadcast_to(x, broadcast("Expand", x.shape, wanted))


@onnx_op("Tile")
def tile(call: Call, x: Node, repeats: Node) -> Node:
    """Laid out several times along each axis."""
    times = call.sizes(1)
    if len(times) != x.ndim:
        raise call.error(f"{len(times)} numbers of repetitions for {x.spec}")
    call.afford(
        n * size if isinstance(n, int) and isinstance(size, int) else 1 for n, size in zip(times, x.shape, strict=True)
    )
    return gn.tile(x, times)


@onnx_op("Concat")
def concat(call: Call, *inputs: Node) -> Node:
    """Arrays joined along an axis."""
    return gn.concat(inputs, axis=call.integer("axis", 1 if call.opset < 4 else None))


@onnx_op("Split")
def split(call: Call, x: Node, lengths: Node | None = None) -> tuple[Node, ...]:
    """Parts along an axis: of given lengths, or equal ones, of which the last may be shorter."""
    axis = normalize_axis("Split", call.integer("axis", 0), x.ndim)
    count = len(call.outputs)
    given = call.integers_at(1) if lengths is not None else call.integers("split", None)
    if given is None:
        parts = call.integer("num_outputs", count)
        if parts != count:
            raise call.error(f"num_outputs is {parts}, but there are {count} outputs")
        if call.opset < 18 and isinstance(x.shape[axis], int) and int(x.shape[axis]) % count:
            raise call.error(f"the axis of {x.shape[axis]} elements is not divided by {count}")
        if isinstance(x.shape[axis], Dim):
            return gn.split(x, count, axis=axis)
        size = -(-int(x.shape[axis]) // count)
        given = tuple(max(min(size, int(x.shape[axis]) - i * size), 0) for i in range(count))
    if len(given) != count or any(n < 0 for n in given):
        raise call.error(f"the lengths {given} do not fit {count} outputs")
    if isinstance(x.shape[axis], int) and sum(given) != x.shape[axis]:
        raise call.error(f"the lengths {given} do not add up to {x.shape[axis]}")
    ends = np.cumsum(given)[:-1].tolist()
    return gn.split(x, ends, axis=axis)


def _slice(
    call: Call, x: Node, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]
) -> Node:
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise call.error("starts, ends, axes and steps differ in length")
    cuts: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * x.ndim
    for axis, start, end, step in zip(normalize_axes("Slice", axes, x.ndim), starts, ends, steps, strict=True):
        if step == 0:
            raise call.error("a step of 0")
        size = x.shape[axis]
        if isinstance(size, int):
            first, last, step = slice(start, end, step).indices(size)
            stop = None if last < 0 else last
            first = max(first, 0)
            empty = cut_size(size, (start, end, step)) == 0
            cuts[axis] = (0, 0, 1) if empty else (first, stop, step)
        else:  # the ends of the range of numbers stand for the ends of the axis
            far = 2**31 - 1
            begin = (
                None
                if (start >= far and step < 0) or (start <= -far and step > 0) or (start == 0 and step > 0)
                else start
            )
            stop = None if (end >= far and step > 0) or (end <= -far and step < 0) else end
            cuts[axis] = (begin, stop, step)
    return Slice(tuple(cuts))(x)


@onnx_op("Slice")
def slice_by_attributes(call: Call, x: Node) -> Node:
    """A regular part."""
    starts, ends = call.integers("starts"), call.integers("ends")
    axes = call.integers("axes", tuple(range(len(starts))))
    return _slice(call, x, starts, ends, axes, [1] * len(starts))


@onnx_op("Slice", since=10)
def slice_by_inputs(
    call: Call, x: Node, starts: Node, ends: Node, axes: Node | None = None, steps: Node | None = None
) -> Node:
    """A regular part, with a step for each axis."""
    first = call.integers_at(1)
    chosen = tuple(range(len(first))) if axes is None else call.integers_at(3)
    step = (1,) * len(first) if steps is None else call.integers_at(4)
    last = call.sizes(2)
    if any(isinstance(size, Dim) for size in last):
        last = _named_ends(call, x, chosen, last)
    return _slice(call, x, first, whole(call, last, "the end of a slice"), chosen, step)


def _named_ends(call: Call, x: Node, axes: Sequence[int], ends: Sequence[Size]) -> tuple[Size, ...]:
    """Ends that are the size of their axis, less a number, as numbers from its end."""
    out: list[Size] = []
    for axis, end in zip(normalize_axes("Slice", axes, x.ndim), ends, strict=False):
        behind = end - x.shape[axis] if isinstance(end, Dim) else end
        if isinstance(end, Dim) and isinstance(behind, int):
            behind = 2**62 if behind >= 0 else behind
        out.append(behind)
    return tuple(out)


_MODES = ("constant", "reflect", "edge", "wrap")
MOST_REPEATED = 4096
"""How often the edge of an array may be repeated as its border."""


@onnx_op("Pad")
def pad(call: Call, x: Node, pads: Node | None = None, value: Node | None = None, axes: Node | None = None) -> Node:
    """With a border; negative widths cut off."""
    mode = call.text("mode", "constant")
    if mode not in _MODES:
        raise call.error(f"there is no mode {mode!r}")
    if pads is not None:
        widths = call.integers_at(1)
    else:
        widths = call.integers("paddings" if call.opset < 2 else "pads")
    chosen = tuple(range(x.ndim)) if axes is None else normalize_axes("Pad", call.integers_at(3), x.ndim)
    if len(widths) != 2 * len(chosen):
        raise call.error(f"{len(widths)} widths for {len(chosen)} axes")
    pairs = [(0, 0)] * x.ndim
    for i, axis in enumerate(chosen):
        pairs[axis] = (widths[i], widths[i + len(chosen)])
    call.afford(
        max(size + a + b, 0) if isinstance(size, int) else 1 for size, (a, b) in zip(x.shape, pairs, strict=True)
    )
    x = _cut(x, pairs)
    pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if not any(a or b for a, b in pairs):
        return x
    if mode != "constant":
        return _bordered(call, x, pairs, mode)
    if x.dtype == "bool":
        if value is not None:
            filled = gn.pad(x.astype("uint8"), pairs)
            return _filled(x, filled.astype("bool"), pairs, value)
        return gn.pad(x.astype("uint8"), pairs).astype("bool")
    padded = gn.pad(x, pairs)
    if value is None:
        number = call.number("value", 0.0)
        return padded if number == 0 else gn.pad(x, pairs, value=number)
    return _filled(x, padded, pairs, value)


def _filled(x: Node, padded: Node, pairs: Sequence[tuple[int, int]], value: Node) -> Node:
    inside = gn.pad(gn.full(x.shape, 1, dtype="uint8"), pairs) != 0
    return gn.where(inside, padded, gn.reshape(value, ()))


def _cut(x: Node, pairs: Sequence[tuple[int, int]]) -> Node:
    if all(a >= 0 and b >= 0 for a, b in pairs):
        return x
    cuts = tuple((-min(a, 0) or None, min(b, 0) or None, 1) for a, b in pairs)
    return Slice(cuts)(x)


def _bordered(call: Call, x: Node, pairs: Sequence[tuple[int, int]], mode: str) -> Node:
    """A border from inside; where it is wider than the array, by indices."""
    for axis, (before, after) in enumerate(pairs):
        size = x.shape[axis]
        if not before and not after:
            continue
        one = [(0, 0)] * x.ndim
        one[axis] = (before, after)
        if isinstance(size, int) and max(before, after) >= size:
            if size == 0:
                raise call.error("a border from an axis without elements")
            places = np.pad(np.arange(size), (before, after), mode=mode)  # type: ignore[call-overload]
            x = gn.take(x, places, axis=axis)
        elif max(before, after) > MOST_REPEATED and mode == "edge":
            raise call.unsupported(f"an edge repeated {max(before, after)} times; {MOST_REPEATED} are laid out at most")
        else:
            x = gn.pad(x, one, mode=mode)
    return x


@onnx_op("CenterCropPad")
def center_crop_pad(call: Call, x: Node, shape: Node) -> Node:
    """Cut or padded with zeros on both sides to a size."""
    axes = normalize_axes("CenterCropPad", call.integers("axes", tuple(range(x.ndim))), x.ndim)
    wanted = call.integers_at(1)
    if len(wanted) != len(axes) or any(size < 0 for size in wanted):
        raise call.error(f"the sizes {wanted} do not fit the axes {axes}")
    pairs = [(0, 0)] * x.ndim
    sizes = list(x.shape)
    for axis, size in zip(axes, wanted, strict=True):
        (have,) = whole(call, [x.shape[axis]], "the place of the middle")
        if size >= have:
            before = (size - have) // 2
            pairs[axis] = (before, size - have - before)
        else:
            before = (have - size) // 2
            pairs[axis] = (-before, -(have - size - before))
        sizes[axis] = size
    call.afford(sizes)
    return gn.pad(_cut(x, pairs), [(max(a, 0), max(b, 0)) for a, b in pairs])


@onnx_op("DepthToSpace")
def depth_to_space(call: Call, x: Node) -> Node:
    """Channels become places."""
    mode, block = call.text("mode", "DCR"), call.integer("blocksize")
    n, c, h, w = _image(call, x, block)
    if mode == "DCR":
        cut = gn.reshape(x, (n, block, block, c // (block * block), h, w))
        moved = gn.permute_dims(cut, (0, 3, 4, 1, 5, 2))
    elif mode == "CRD":
        cut = gn.reshape(x, (n, c // (block * block), block, block, h, w))
        moved = gn.permute_dims(cut, (0, 1, 4, 2, 5, 3))
    else:
        raise call.error(f"mode is DCR or CRD, not {mode!r}")
    return gn.reshape(moved, (n, c // (block * block), h * block, w * block))


@onnx_op("SpaceToDepth")
def space_to_depth(call: Call, x: Node) -> Node:
    """Places become channels."""
    block = call.integer("blocksize")
    n, c, h, w = _image(call, x, block)
    cut = gn.reshape(x, (n, c, h // block, block, w // block, block))
    mode = call.text("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise call.error(f"mode is DCR or CRD, not {mode!r}")
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return gn.reshape(gn.permute_dims(cut, order), (n, c * block * block, h // block, w // block))


def _image(call: Call, x: Node, block: int) -> tuple[Size, Size, Size, Size]:
    if x.ndim != 4 or not 1 <= block < 2**16:
        raise call.error(f"blocks of {block} do not fit {x.spec}")
    n, c, h, w = x.shape
    return n, c, h, w


@onnx_op("ReverseSequence")
def reverse_sequence(call: Call, x: Node, lengths: Node) -> Node:
    """The first elements of each sequence reversed, as many as its length says."""
    batch, time = call.integer("batch_axis", 1), call.integer("time_axis", 0)
    if {batch, time} != {0, 1} or x.ndim < 2 or lengths.ndim != 1:
        raise call.error("batch_axis and time_axis are 0 and 1, in any order, and the lengths are a vector")
    place = gn.reshape(gn.arange(x.shape[time]), [-1 if i == time else 1 for i in range(x.ndim)])
    length = gn.reshape(lengths, [-1 if i == batch else 1 for i in range(x.ndim)])
    index = gn.where(place < length, length - 1 - place, place)
    return gn.take_along_axis(x, gn.broadcast_to(index, x.shape), axis=time)


@onnx_op("Trilu")
def trilu(call: Call, x: Node, k: Node | None = None) -> Node:
    """The upper or lower triangle."""
    offset = 0 if k is None else int(call.static(1).reshape(-1)[0])
    if x.ndim < 2:
        raise call.error(f"{x.spec} has no triangle")
    offset = max(min(offset, 2**40), -(2**40))
    part = gn.triu if call.flag("upper", True) else gn.tril
    if x.dtype == "bool":
        return part(x.astype("uint8"), k=offset).astype("bool")
    return part(x, k=offset)

"""Shapes and orders built from the movement primitives: flip, tile, roll, pad, split and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphnn.errors import ShapeError
from graphnn.ir.dims import Size, as_size, exact_quotient
from graphnn.ir.dtype import bool_, int64
from graphnn.ir.leaves import DimSize, Iota, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import broadcast, normalize_axis, shape_text
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.cumulative import CumulativeSum
from graphnn.ops.indexing import take
from graphnn.ops.movement import Pad, Part, Reshape, Slice, broadcast_to, concat, expand_dims, permute_dims
from graphnn.ops.operands import Operand, as_node, axes_of, axis_of
from graphnn.ops.sorting import Searchsorted


def flip(x: Operand, /, *, axis: int | Sequence[int] | None = None) -> Node:
    """The elements in reverse order along the given axes, or along all.

    >>> gn.evaluate(gn.flip([1, 2, 3]))
    array([3, 2, 1])
    """
    node = as_node(x)
    axes = axes_of("flip", axis, node)
    return Slice(tuple((None, None, -1 if i in axes else 1) for i in range(node.ndim)))(node)


def moveaxis(x: Operand, source: int | Sequence[int], destination: int | Sequence[int], /) -> Node:
    """Axes moved to other places; the rest keep their order.

    >>> gn.moveaxis(gn.placeholder("x", (2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    node = as_node(x)
    old, new = axes_of("moveaxis", source, node), axes_of("moveaxis", destination, node)
    if len(old) != len(new):
        raise ShapeError(f"moveaxis: {len(old)} axes for {len(new)} places")
    order = [axis for axis in range(node.ndim) if axis not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return permute_dims(node, order)


def flatten(x: Operand, /, *, start: int = 0) -> Node:
    """All axes from `start` on joined to one: ``[batch, 28, 28] -> [batch, 784]`` for start 1.

    >>> gn.flatten(gn.placeholder("x", ("batch", 28, 28)), start=1).shape
    (batch, 784)
    """
    node = as_node(x)
    place = start if node.ndim == start else normalize_axis("flatten", start, max(node.ndim, 1))
    total: Size = 1
    for size in node.shape[place:]:
        total = total * size
    return Reshape((*node.shape[:place], total))(node)


def tile(x: Operand, repetitions: Sequence[Any], /) -> Node:
    """x laid out several times along each axis.

    >>> gn.evaluate(gn.tile([1, 2], (2,)))
    array([1, 2, 1, 2])
    """
    node = as_node(x)
    times = [as_size(n) for n in repetitions]
    shape = [1] * (len(times) - node.ndim) + list(node.shape)
    times = [1] * (len(shape) - len(times)) + times  # type: ignore[assignment,operator]
    doubled = Reshape(tuple(s for size in shape for s in (1, size)))(node)
    spread = broadcast_to(doubled, tuple(s for n, size in zip(times, shape, strict=True) for s in (n, size)))
    return Reshape(tuple(n * size for n, size in zip(times, shape, strict=True)))(spread)


def repeat(x: Operand, repeats: int | Operand, /, *, axis: int | None = None, size: Size | str | None = None) -> Node:
    """Each element, or each slice along an axis, several times in a row; flattened first where `axis` is None.

    Parameters
    ----------
    repeats : how often, an int from 0; or a vector of integers from 0, one for each element
    size : the sum of such a vector, for shapes are static; less than the sum cuts the result off, more is an error when
        it runs

    >>> gn.evaluate(gn.repeat([1, 2], 2)), gn.evaluate(gn.repeat([1, 2], [3, 1], size=4))
    (array([1, 1, 2, 2]), array([1, 1, 1, 2]))
    """
    node = as_node(x)
    if not isinstance(repeats, (int, float)):
        return _repeat_each(node, as_node(repeats), axis, size)
    if not isinstance(repeats, int) or repeats < 0:
        raise ShapeError(f"repeat: the number of times is an int from 0, not {repeats!r}")
    if axis is None:
        node, axis = Reshape((node.spec.size,))(node), 0
    place = axis_of("repeat", axis, node)
    shape = node.shape
    spread = broadcast_to(expand_dims(node, axis=place + 1), (*shape[: place + 1], repeats, *shape[place + 1 :]))
    return Reshape((*shape[:place], shape[place] * repeats, *shape[place + 1 :]))(spread)


def _repeat_each(x: Node, repeats: Node, axis: int | None, size: Size | str | None) -> Node:
    if axis is None:
        x, axis = Reshape((x.spec.size,))(x), 0
    place = axis_of("repeat", axis, x)
    if repeats.ndim != 1 or not repeats.dtype.is_integer or repeats.shape[0] != x.shape[place]:
        error = ShapeError(f"repeat: {repeats.spec} is no vector of {x.shape[place]} integers, one for each element")
        raise explain(error, (x, repeats))
    if size is None:
        raise explain(
            ShapeError(
                "repeat: the size of the result must be given, as shapes are static",
                "Write gn.repeat(x, repeats, size=n), where n is the sum of repeats.",
            ),
            (x, repeats),
        )
    # Element i ends where the sum of the first i + 1 numbers says: the first end past a place tells who stands there.
    ends = CumulativeSum(0)(astype(repeats, int64))
    return take(x, Searchsorted("right")(ends, Iota(as_size(size), int64)()), axis=place)


def pad(x: Operand, widths: Any, /, *, mode: str = "constant", value: float = 0.0) -> Node:
    """x with a border: ``widths`` is one number, a pair (before, after) for all axes, or a pair for each axis.

    Parameters
    ----------
    mode : ``"constant"`` fills with `value`, ``"edge"`` repeats the last element, ``"reflect"`` mirrors without it,
        ``"wrap"`` goes round.

    >>> gn.evaluate(gn.pad([1, 2], (1, 2), value=9))
    array([9, 1, 2, 9, 9])
    """
    node = as_node(x)
    pairs = _pairs(widths, node)
    if mode != "constant":
        for axis, (before, after) in enumerate(pairs):
            node = _pad_from_inside(node, axis, before, after, mode)
        return node
    padded = Pad(pairs)(node)
    if value == 0:
        return padded
    inside = Pad(pairs)(broadcast_to(constant(True, bool_), node.shape))
    return where(inside, padded, value)


def _pairs(widths: Any, x: Node) -> tuple[tuple[int, int], ...]:
    if isinstance(widths, int):
        widths = (widths, widths)
    items = list(widths)
    if len(items) == 2 and all(isinstance(item, int) for item in items):
        items = [tuple(items)] * x.ndim
    good = len(items) == x.ndim and all(
        isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair)
        for pair in items
    )
    if not good:
        raise ShapeError(
            f"pad: widths {widths} do not fit the {x.ndim} axes of {shape_text(x.shape)}",
            "Give a pair (before, after) of ints from 0 for each axis.",
        )
    return tuple((pair[0], pair[1]) for pair in items)


def _pad_from_inside(x: Node, axis: int, before: int, after: int, mode: str) -> Node:
    def part(start: int | None, stop: int | None, step: int = 1) -> Node:
        return Slice(tuple((start, stop, step) if i == axis else (None, None, 1) for i in range(x.ndim)))(x)

    size = x.shape[axis]
    longest = {"edge": size, "reflect": size - 1, "wrap": size}.get(mode)
    if longest is None:
        raise ShapeError(f"pad: mode is 'constant', 'edge', 'reflect' or 'wrap', not {mode!r}")
    if mode != "edge" and isinstance(longest, int) and max(before, after) > longest:
        raise ShapeError(f"pad: {mode} of {max(before, after)} elements from an axis of {size}")
    pieces: list[Node] = [x]
    if mode == "edge":
        pieces = [*[part(0, 1)] * before, x, *[part(-1, None)] * after]
    elif mode == "reflect":
        if before:
            pieces.insert(0, part(before, 0, -1))
        if after:
            pieces.append(
                part(-2, -2 - after, -1) if not isinstance(size, int) else part(size - 2, _stop(size - 2 - after), -1)
            )
    else:
        if before:
            pieces.insert(0, part(-before, None))
        if after:
            pieces.append(part(0, after))
    return concat(pieces, axis=axis) if len(pieces) > 1 else x


def _stop(index: int) -> int | None:
    return index if index >= 0 else None


def roll(x: Operand, /, shift: int | Sequence[int], *, axis: int | Sequence[int] | None = None) -> Node:
    """The elements moved along axes; those that leave at the end come back at the beginning.

    Parameters
    ----------
    shift : by how many places, for each axis where there are several
    axis : the axes; None moves the flattened elements and gives them their shape back

    >>> gn.evaluate(gn.roll([1, 2, 3, 4], 1))
    array([4, 1, 2, 3])
    """
    node = as_node(x)
    if axis is None:
        if not isinstance(shift, int):
            raise ShapeError("roll: several shifts need an axis each", "Write gn.roll(x, (1, 2), axis=(0, 1)).")
        return Reshape(node.shape)(_rolled(Reshape((node.spec.size,))(node), shift, 0))
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    if len(axes) != len(shifts):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for by, place in zip(shifts, axes, strict=True):
        node = _rolled(node, by, normalize_axis("roll", place, node.ndim))
    return node


def _rolled(x: Node, shift: int, axis: int) -> Node:
    n = x.shape[axis]
    if isinstance(n, int):
        start = -shift % n if n else 0
        return concat([Part(axis, start, n - start)(x), Part(axis, 0, start)(x)], axis=axis) if start else x
    places = (Iota(n, int64)() - shift) % DimSize(n, int64)()
    return take(x, places, axis=axis)


def split(x: Operand, sections: int | Sequence[int], /, *, axis: int = 0) -> tuple[Node, ...]:
    """x cut along an axis, into so many equal parts, or before each of the given places.

    >>> [gn.evaluate(part).tolist() for part in gn.split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    >>> [gn.evaluate(part).tolist() for part in gn.split([1, 2, 3, 4], [1, 3])]
    [[1], [2, 3], [4]]
    """
    node = as_node(x)
    place = normalize_axis("split", axis, node.ndim)
    n = node.shape[place]
    if isinstance(sections, int):
        size = exact_quotient(n, sections) if sections > 0 else None
        if size is None:
            raise ShapeError(
                f"split: axis {place} of {shape_text(node.shape)} is not divided by {sections}",
                "Give the places to cut at as a list, such as gn.split(x, [10, 20]).",
            )
        return tuple(Part(place, i * size, size)(node) for i in range(sections))
    ends = [*sections, None]
    return tuple(
        Slice(tuple((start, end, 1) if i == place else (None, None, 1) for i in range(node.ndim)))(node)
        for start, end in zip([None, *sections], ends, strict=True)
    )


def unstack(x: Operand, /, *, axis: int = 0) -> tuple[Node, ...]:
    """The slices of x along an axis, without it: what `stack` joins.

    >>> [gn.evaluate(row).tolist() for row in gn.unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    node = as_node(x)
    place = normalize_axis("unstack", axis, node.ndim)
    n = node.shape[place]
    if not isinstance(n, int):
        raise ShapeError(
            f"unstack: how many slices there are along the named size {n} is known only at the call",
            "Compute with the whole array, or give the axis a number.",
        )
    shape = (*node.shape[:place], *node.shape[place + 1 :])
    return tuple(Reshape(shape)(Part(place, i, 1)(node)) for i in range(n))


def broadcast_arrays(*arrays: Operand) -> tuple[Node, ...]:
    """Each array repeated to the common shape of all.

    >>> a, b = gn.broadcast_arrays([1, 2], [[3], [4]])
    >>> gn.evaluate(a)
    array([[1, 2],
           [1, 2]])
    """
    nodes = [as_node(x) for x in arrays]
    shape = broadcast("broadcast_arrays", *(node.shape for node in nodes)) if nodes else ()
    return tuple(broadcast_to(node, shape) for node in nodes)


def meshgrid(*arrays: Operand, indexing: str = "xy") -> tuple[Node, ...]:
    """Coordinates of a grid from those along its axes: of n vectors, n arrays with n axes.

    Parameters
    ----------
    indexing : ``"ij"``: the k-th vector runs along axis k. ``"xy"``: the first two axes are exchanged, so that the first
        vector runs along the columns

    >>> columns, rows = gn.meshgrid([1, 2], [3, 4, 5])
    >>> gn.evaluate(rows)
    array([[3, 3],
           [4, 4],
           [5, 5]])
    """
    if indexing not in ("xy", "ij"):
        raise ShapeError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    nodes = [as_node(x) for x in arrays]
    for node in nodes:
        if node.ndim > 1:
            raise ShapeError(f"meshgrid takes vectors, not {shape_text(node.shape)}")
    order = list(range(len(nodes)))
    if indexing == "xy" and len(nodes) > 1:
        order[0], order[1] = 1, 0
    flat = [Reshape((node.spec.size,))(node) for node in nodes]
    return broadcast_arrays(
        *(
            Reshape(tuple(node.shape[0] if i == order[k] else 1 for i in range(len(nodes))))(node)
            for k, node in enumerate(flat)
        )
    )

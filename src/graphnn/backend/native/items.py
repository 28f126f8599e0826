"""What a plan is made of: items (values to be computed), and accesses (how one reads another).

A node that only moves elements is no item: whoever reads it reads the item behind it, by strides. So transposes,
slices, reshapes and broadcasts cost nothing, unless no strides can express them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphnn.ir.dtype import DType
from graphnn.ir.node import Node

if TYPE_CHECKING:
    from graphnn.backend.native.emit import Module, Value
    from graphnn.backend.native.regions import Group

KINDS = {
    "bool": "i1", "int8": "i8", "uint8": "i8", "int16": "i16", "uint16": "i16", "int32": "i32", "uint32": "i32",
    "int64": "i64", "uint64": "i64", "float32": "float", "float64": "double",
}  # fmt: skip
"""The kinds of LLVM for our data types; the 16-bit floats have none, they go through NumPy."""

Sizes = tuple[int, ...]


class Kernel(NamedTuple):
    """A native function: its name, and what its pointers point to: an item and an element of it, or nothing.

    A checked one returns an i32, which is 1 if an index is out of range.
    """

    name: str
    pointers: tuple[tuple[Item, int] | None, ...]
    checked: bool = False


Emit = Callable[..., "Value"]
"""``emit(builder, *values)`` writes the instructions of one element, or of a vector of elements."""


class Access(NamedTuple):
    """How an item is read: element ``offset + sum(index * stride)`` of its row-major array, for the reader's index."""

    item: Item
    offset: int
    strides: Sizes


class Joined(NamedTuple):
    """The key of an array that is put together of others without gaps: where each of them begins, and the strides there."""

    kind: str
    pieces: tuple[tuple[int, Sizes, Sizes], ...]  # offset, shape, strides


class Item:
    """One value of a plan.

    Attributes
    ----------
    role : ``"given"`` (argument or variable), ``"fixed"`` (constant), ``"element"`` (computed element by element),
        ``"reduce"`` (combined along axes), ``"kernel"`` (by a native function of its own), ``"host"`` (by NumPy),
        ``"joined"`` (an array into which the items of its group store parts)
    operands : how it reads others; the strides are those of its own shape, for a reduction of the shape it reads
    key : what it does, hashable: equal keys with equal accesses make equal code
    checks : what its kernel fails for if it does not hold; the same does not fail when it has held before
    again : whether it is a copy that is computed where it is read; see `recompute`
    inside : of a loop, roughly how many nanoseconds its steps take
    bodies : of a loop or a choice, the programs in it, and how often each runs; of a `while_loop`, for one step
    """

    __slots__ = (
        "again", "axes", "bodies", "checks", "dtype", "emit", "group", "index", "inside", "kernel", "key", "kind", "node",
        "operands", "output", "role", "shape", "size", "stored", "value", "wide",
    )  # fmt: skip

    def __init__(self, index: int, role: str, node: Node | None, shape: Sizes, dtype: DType) -> None:
        self.index, self.role, self.node, self.shape, self.dtype = index, role, node, shape, dtype
        self.kind = KINDS.get(dtype.name, "i16")  # the 16-bit floats are only moved
        self.size = math.prod(shape)
        self.operands: list[Access] = []
        self.key: Any = None
        self.emit: Emit | None = None
        self.axes: tuple[int, ...] = ()  # of a reduction
        self.wide: Sizes = ()  # the shape that a reduction reads
        self.group: Group | None = None
        self.stored = self.again = False
        self.checks: frozenset[Hashable] = frozenset()
        self.value: Any = None  # of what is fixed
        self.output = -1  # the result array that it is written to
        self.kernel: Callable[[Module], Kernel] | None = None
        self.inside = 0.0
        self.bodies: tuple[tuple[Any, int], ...] = ()

    @property
    def bytes(self) -> int:
        """How much memory its array takes."""
        return self.size * self.dtype.bits // 8

    def __repr__(self) -> str:
        return f"{self.role} {self.index}: {self.dtype}{list(self.shape)}"


class View(NamedTuple):
    """The value of a node: an item, read with these strides in the shape of the node."""

    item: Item
    offset: int
    shape: Sizes
    strides: Sizes


def contiguous(shape: Sequence[int]) -> Sizes:
    """The strides of a row-major array, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def whole(item: Item) -> View:
    """All of an item as it lies in memory."""
    return View(item, 0, item.shape, contiguous(item.shape))


def is_whole(view: View) -> bool:
    """Whether a view is all of its item, in order, in whatever shape."""
    if view.offset or math.prod(view.shape) != view.item.size:
        return False
    step = 1
    for size, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def order_of(view: View) -> Sizes | None:
    """The order of its axes in which a view is all of its item as it lies in memory; None where there is none."""
    if 0 in view.shape:
        return None
    if is_whole(view):
        return tuple(range(len(view.shape)))
    order = sorted(range(len(view.shape)), key=lambda axis: (-view.strides[axis] if view.shape[axis] > 1 else 0, axis))
    if list(order) != list(range(len(order))) and 1 in view.shape:
        # Axes of size 1 are anywhere: they stay where they are, as far as that is possible.
        large = iter([axis for axis in order if view.shape[axis] > 1])
        order = [axis if size == 1 else next(large) for axis, size in enumerate(view.shape)]
    moved = View(view.item, view.offset, *(tuple([part[axis] for axis in order]) for part in view[2:]))
    return tuple(order) if is_whole(moved) else None


def broadcast_strides(view: View, shape: Sizes) -> Sizes:
    """The strides of a view in a shape that it broadcasts to."""
    missing = len(shape) - len(view.shape)
    inner = tuple([
        0 if old == 1 else stride for old, stride in zip(view.shape, view.strides, strict=True)
    ])  # fmt: skip
    return (0,) * missing + inner


def reshaped(view: View, shape: Sizes) -> View | None:
    """The view in another shape of as many elements, or None where no strides can express it."""
    if 0 in shape or is_whole(view):
        return View(view.item, 0, shape, contiguous(shape))
    return (
        None
        if (strides := split_strides(view.shape, view.strides, shape)) is None
        else View(view.item, view.offset, shape, strides)
    )


def split_strides(shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]) -> Sizes | None:
    """The strides with which an array of `shape` is read in the shape `wanted`; None where that needs a copy."""
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    out: list[int] = []
    axis, rest, step = len(old) - 1, 1, 0
    for size in reversed(wanted):
        if size == 1:
            out.append(0)
            continue
        if rest == 1:
            if axis < 0:
                return None
            rest, step = old[axis]
            axis -= 1
        while rest % size:
            # The next axis of the array must follow on this one in memory.
            if axis < 0 or size % rest or old[axis][1] != step * rest:
                return None
            rest *= old[axis][0]
            axis -= 1
        out.append(step)
        step, rest = step * size, rest // size
    return tuple(reversed(out)) if rest == 1 and axis < 0 else None


def refine(first: Sequence[int], second: Sequence[int]) -> Sizes | None:
    """The coarsest shape from which both shapes come by joining neighbouring axes; None where there is none.

    >>> refine((6, 4), (2, 3, 4)), refine((6, 4), (4, 6))
    ((2, 3, 4), None)
    """
    if tuple(first) == tuple(second):
        return tuple(first)
    bounds = sorted(_bounds(first) | _bounds(second))
    out = []
    for low, high in itertools.pairwise(bounds):
        if high % low:
            return None
        out.append(high // low)
    return tuple(reversed(out))


def _bounds(shape: Sequence[int]) -> set[int]:
    found, step = {1}, 1
    for size in reversed(shape):
        step *= size
        found.add(step)
    return found


def spread(shape: Sequence[int], strides: Sequence[int], domain: Sequence[int]) -> Sizes:
    """The strides of `shape` on a domain that refines it."""
    found = split_strides_of_all(shape, strides, domain)
    assert found is not None, (shape, strides, domain)
    return found


def split_strides_of_all(shape: Sequence[int], strides: Sequence[int], domain: Sequence[int]) -> Sizes | None:
    """As `split_strides`, but axes are only split, never joined."""
    out: list[int] = []
    pairs = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    axis, rest, step = len(pairs), 1, 0
    for size in reversed(domain):
        if size == 1:
            out.append(0)
            continue
        if rest == 1:
            if axis == 0:
                return None
            axis -= 1
            rest, step = pairs[axis]
        if rest % size:
            return None
        out.append(step)
        step, rest = step * size, rest // size
    return tuple(reversed(out)) if rest == 1 and axis == 0 else None


def reads(view: View, shape: Sizes) -> Access:
    """The access of a reader of this shape."""
    return Access(view.item, view.offset, view.strides if view.shape == shape else broadcast_strides(view, shape))

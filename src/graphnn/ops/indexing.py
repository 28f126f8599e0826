"""Elements picked and placed by integer arrays: `Gather` and its transpose, and x[...] on top of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.errors import DTypeError, ShapeError
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import bool_, check_scalar, int64, result_dtype, uint64
from graphnn.ir.leaves import DimSize, Iota, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, Linear, Masked
from graphnn.ir.spec import Shape, Spec, broadcast, shape_text
from graphnn.ops.arithmetic import clip, minimum, remainder
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import logical_and, where
from graphnn.ops.movement import Cut, Reshape, Slice, broadcast_to, permute_dims
from graphnn.ops.operands import Operand, as_node, axis_of


def _index_shape(name: str, indices: tuple[Spec, ...]) -> Shape:
    for spec in indices:
        if not spec.dtype.is_integer:
            raise DTypeError(f"{name}: an index is {spec.dtype}, not an integer", *_advice(spec))
    return broadcast(name, *(spec.shape for spec in indices))


def _advice(index: Spec) -> tuple[str, ...]:
    if index.dtype is not bool_:
        return ("Cast it: i.astype('int64').",)
    return (
        "How many elements a mask picks is known only at the call, but shapes are static.",
        "To keep the shape: gn.where(mask, x, y), or x.at[mask].set(value).",
        "To pick at most n elements: x[gn.nonzero(mask, size=n)].",
    )


class Gather(Linear):
    """Elements of x at integer indices along some axes; the axes of the indices come first in the result"""

    axes: tuple[int, ...]
    latex = r"{0:100}\left[{args}\right]"

    def infer(self, *specs: Spec) -> Spec:
        x, *indices = specs
        front = _index_shape("gather", tuple(indices))
        return x.with_shape((*front, *(size for i, size in enumerate(x.shape) if i not in self.axes)))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        x, *indices = operands
        return (ScatterAdd(self.axes, x.shape)(g, *indices), *(None for _ in indices))


class ScatterAdd(Linear):
    """Zeros of a shape, to which x is added at integer indices; repeated indices add up"""

    axes: tuple[int, ...]
    shape: Shape
    latex = r"\operatorname{{scatter}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Spec:
        x, *indices = specs
        front = _index_shape("scatter", tuple(indices))
        expected = (*front, *(size for i, size in enumerate(self.shape) if i not in self.axes))
        if x.shape != expected:
            raise ShapeError(f"scatter: {shape_text(x.shape)} does not fill {shape_text(expected)}")
        return x.with_shape(self.shape)

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        _, *indices = operands
        return (Gather(self.axes)(g, *indices), *(None for _ in indices))


class ScatterSet(Linear):
    """x with values in the place of its elements at integer indices; of repeated indices the last one counts"""

    axes: tuple[int, ...]
    linear_in = None
    latex = r"\operatorname{{scatter\_set}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Spec:
        x, values, *indices = specs
        front = _index_shape("scatter_set", tuple(indices))
        expected = (*front, *(size for i, size in enumerate(x.shape) if i not in self.axes))
        if values.shape != expected:
            raise ShapeError(f"scatter_set: {shape_text(values.shape)} does not fill {shape_text(expected)}")
        return x.with_dtype(result_dtype("scatter_set", x.dtype, values.dtype))

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        _, values, *indices = operands
        zeros = broadcast_to(as_node(0.0, g.dtype), values.shape)
        # A value that a later one at the same index replaced has no influence. Each writes its number: who reads it back?
        numbers = Reshape(values.shape)(Iota(values.spec.size, int64)())
        table = broadcast_to(as_node(0, int64), g.shape)
        last = Gather(self.axes)(ScatterSet(self.axes)(table, numbers, *indices), *indices)
        by_values = Masked(Gather(self.axes)(g, *indices), last == numbers)
        return (ScatterSet(self.axes)(g, zeros, *indices), by_values, *(None for _ in indices))


def take(
    x: Operand,
    indices: Operand,
    /,
    *,
    axis: int | None = None,
    mode: str = "raise",
    fill_value: bool | int | float | None = None,
) -> Node:
    """The elements, or slices along an axis, at integer indices; negative ones count from the end.

    ``[..., n, ...]`` and indices ``[i...]`` give ``[..., i..., ...]``. The axis may be left out for vectors only.

    Parameters
    ----------
    mode : what an index out of range means. ``"raise"``: an error when it runs. ``"clip"``: the nearest element;
        negative indices are clipped to 0. ``"wrap"``: counted on from the other end. ``"fill"``: `fill_value`
    fill_value : NaN for floating-point arrays unless told

    Raises
    ------
    IndexRangeError
        When it runs, if an index is out of range and the mode is ``"raise"``.

    >>> gn.evaluate(gn.take([10, 20, 30], [2, 0]))
    array([30, 10])
    >>> gn.evaluate(gn.take([10, 20, 30], [5, -5], mode="clip"))
    array([30, 10])
    """
    node, index = as_node(x), as_node(indices)
    if axis is None:
        if node.ndim != 1:
            error = ShapeError(
                f"take: an array with the axes {shape_text(node.shape)} needs to know which one is meant",
                "Name it: gn.take(x, indices, axis=0).",
            )
            raise explain(error, (node,))
        axis = 0
    place = axis_of("take", axis, node)
    index, inside = _in_range("take", index, node.shape[place], mode)
    out = Gather((place,))(node, index)
    if inside is not None:
        inside = Reshape((*inside.shape, *(1,) * (node.ndim - 1)))(inside)
        out = where(inside, out, _fill("take", node, fill_value))
    return _index_axes_at(out, index.ndim, place)


def _in_range(name: str, index: Node, size: Size, mode: str) -> tuple[Node, Node | None]:
    """The indices brought into range as the mode says; for ``"fill"`` also which of them were inside."""
    if mode == "raise":
        return index, None
    if mode not in ("clip", "wrap", "fill"):
        raise ShapeError(f"{name}: mode is 'raise', 'clip', 'wrap' or 'fill', not {mode!r}")
    _index_shape(name, (index.spec,))
    if index.dtype is uint64:
        index = minimum(index, 2**63 - 1)  # what int64 cannot hold lies beyond every end
    index = astype(index, int64)
    count = constant(size, int64) if isinstance(size, int) else DimSize(size, int64)()
    if mode == "clip":
        return clip(index, 0, count - 1), None
    if mode == "wrap":
        return remainder(index, count), None
    inside = logical_and(index >= -count, index < count)
    return where(inside, index, as_node(0, int64)), inside


def _fill(name: str, x: Node, fill_value: bool | int | float | None) -> Node:
    if fill_value is None:
        if not x.dtype.is_floating:
            raise DTypeError(f"{name}: mode 'fill' needs a fill_value for {x.dtype}", "Give one: fill_value=0.")
        fill_value = math.nan
    check_scalar(name, fill_value, x.dtype)
    return as_node(fill_value, x.dtype)


def _index_axes_at(x: Node, count: int, place: int) -> Node:
    # Gather puts the axes of the indices first; NumPy puts them where the indexed axis was.
    if place == 0 or count == 0:
        return x
    rest = range(count, x.ndim)
    return permute_dims(x, (*rest[:place], *range(count), *rest[place:]))


def take_along_axis(
    x: Operand,
    indices: Operand,
    /,
    *,
    axis: int = -1,
    mode: str = "raise",
    fill_value: bool | int | float | None = None,
) -> Node:
    """For each line of x along an axis, the elements at the indices of the same line.

    ``out[i, j] = x[i, indices[i, j]]`` for axis 1; the other sizes are equal, or 1 in the indices. The modes are those of
    `take`.

    >>> gn.evaluate(gn.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1))
    array([[2],
           [3]])
    """
    node, index = as_node(x), as_node(indices)
    place = axis_of("take_along_axis", axis, node)
    if index.ndim != node.ndim:
        raise explain(ShapeError("take_along_axis: x and the indices must have the same number of axes"), (node, index))
    index, inside = _in_range("take_along_axis", index, node.shape[place], mode)
    out = Gather(tuple(range(node.ndim)))(node, *line_indices(node, index, place))
    return out if inside is None else where(inside, out, _fill("take_along_axis", node, fill_value))


def line_indices(x: Node, index: Node, axis: int) -> list[Node]:
    """Indices of all axes: those given along one axis, and each element's own place along the others."""
    return [index if i == axis else iota_along(size, i, x.ndim) for i, size in enumerate(x.shape)]


def iota_along(size: Size, axis: int, ndim: int) -> Node:
    """0, 1, 2 ... along one of several axes; the others have the size 1."""
    return Reshape(tuple(size if i == axis else 1 for i in range(ndim)))(Iota(size, int64)())


# --- x[key] ---

_FULL: Cut = (None, None, 1)
_INDICES = (Node, np.ndarray, np.generic, bool, list, tuple)


class _Plan:
    """What a key means: a slice of every axis, integer arrays on some, and the form of each item."""

    def __init__(self, x: Node, key: Any) -> None:
        items = list(key) if isinstance(key, tuple) else [key]
        taken = sum(1 for item in items if item is not None and item is not Ellipsis)
        dots = sum(1 for item in items if item is Ellipsis)
        if dots > 1:
            raise ShapeError("an index may hold ... only once")
        if taken > x.ndim:
            axes = "1 axis" if x.ndim == 1 else f"{x.ndim} axes"
            raise ShapeError(
                f"too many indices: {taken} for the {axes} of {shape_text(x.shape)}",
                "Each index takes one axis; None adds a new one.",
            )
        self.cuts: list[Cut] = []
        self.arrays: list[Node] = []
        self.array_axes: list[int] = []
        self.form: list[str] = []  # per item: "slice", "int", "new", "array" or "dots"
        for item in items if dots else [*items, Ellipsis]:
            if item is Ellipsis:
                self.form.append("dots")  # stands between arrays even where it stands for no axis
            for single in [slice(None)] * (x.ndim - taken) if item is Ellipsis else [item]:
                self._add(x, single)

    def _add(self, x: Node, item: Any) -> None:
        axis = len(self.cuts)
        if item is None:
            self.form.append("new")
            return
        if isinstance(item, slice):
            self.form.append("slice")
            self.cuts.append(_cut(item))
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            self.form.append("int")
            self.cuts.append(_single(int(item), x.shape[axis], axis, x))
        else:
            if item is None or isinstance(item, (str, float)) or not isinstance(item, _INDICES):
                raise DTypeError(
                    f"an index is an int, a slice, None, ... or an integer array, not {item!r}"[:200],
                    "Write an int." if isinstance(item, float) else "",
                )
            index = as_node(item)
            if not index.dtype.is_integer:
                raise DTypeError(
                    f"an index is an int, a slice, None, ... or an integer array, not {index.dtype}",
                    *_advice(index.spec),
                )
            self.form.append("array")
            self.cuts.append(_FULL)
            self.arrays.append(index)
            self.array_axes.append(axis)


def _cut(item: slice) -> Cut:
    parts: list[int | None] = []
    for value in (item.start, item.stop, item.step):
        if isinstance(value, (Node, Dim)) or (value is not None and not hasattr(value, "__index__")):
            kind = {Node: "a node", Dim: f"the named size {value}"}.get(type(value), repr(value))
            hint = (
                "A slice has a fixed place. Pick with an array instead: gn.take(x, start + gn.arange(3), axis=0)."
                if isinstance(value, Node)
                else "Leave the bound out, x[1:], or count from the end, x[:-1]."
                if isinstance(value, Dim)
                else ""
            )
            raise DTypeError(f"slice bounds are ints, not {kind}", hint)
        parts.append(None if value is None else int(value.__index__()))
    start, stop, step = parts
    if step == 0:
        raise ShapeError("a slice cannot have the step 0")
    return start, stop, 1 if step is None else step


def _single(index: int, size: Size, axis: int, x: Node) -> Cut:
    if not isinstance(size, int):
        raise ShapeError(
            f"index {index} of axis {axis} of {shape_text(x.shape)}: whether it is in range is known only at the call",
            f"Pick with an array, gn.take(x, {index}, axis={axis}), which is checked then.",
        )
    if not -size <= index < size:
        allowed = f"It has {size} elements: use {-size} to {size - 1}." if size else "It is empty."
        raise ShapeError(f"index {index} is out of range for axis {axis} of {shape_text(x.shape)}", allowed)
    return (index, index + 1 if index != -1 else None, 1)


def getitem(x: Node, key: Any) -> Node:
    """``x[key]`` with ints, slices, None, ``...`` and integer arrays, as in NumPy; the result is a new node.

    >>> x = gn.constant([[1, 2, 3], [4, 5, 6]])
    >>> gn.evaluate(x[1:, None, ::-1])
    array([[[6, 5, 4]]])
    """
    try:
        plan = _Plan(x, key)
        out = x if all(cut == _FULL for cut in plan.cuts) else Slice(tuple(plan.cuts))(x)
        count = 0
        if plan.arrays:
            out = Gather(tuple(plan.array_axes))(out, *plan.arrays)
            count = out.ndim - (x.ndim - len(plan.arrays))
    except (ShapeError, DTypeError) as error:
        raise explain(error, (x,)) from None
    order, sizes = _axes_of(plan.form, out.shape, count)
    if order != sorted(order):
        out = permute_dims(out, order)
    return out if out.shape == sizes else Reshape(sizes)(out)


def _axes_of(form: list[str], shape: Shape, count: int) -> tuple[list[int], Shape]:
    # The first `count` axes of the shape are those of the integer arrays. NumPy puts them where the first array or int
    # stands if all arrays and ints stand together, else in front.
    places = [i for i, kind in enumerate(form) if kind == "array" or (kind == "int" and count)]
    front = 0 if not places or places[-1] - places[0] >= len(places) else places[0]
    order: list[int] = []
    sizes: list[Size] = []
    axis = count
    for i, kind in enumerate(form or ["end"]):
        if i == front:
            order.extend(range(count))
            sizes.extend(shape[:count])
        if kind == "new":
            sizes.append(1)
        elif kind in ("slice", "int"):
            order.append(axis)
            if kind == "slice":
                sizes.append(shape[axis])
            axis += 1
    return order, tuple(sizes)

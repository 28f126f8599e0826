"""Spec: the shape and the data type of a node; and how shapes broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from graphnn.errors import AxisError, ShapeError
from graphnn.ir import dims
from graphnn.ir.dims import Dim, Size
from graphnn.ir.dtype import DType

Shape: TypeAlias = tuple[Size, ...]
"""The sizes of all axes."""


class Spec:
    """Shape and data type: all that is known of a value before it is computed.

    >>> from graphnn.ir.dtype import float32
    >>> Spec(("batch", 784), float32)
    float32[batch, 784]
    """

    __slots__ = ("dtype", "shape")
    shape: Shape
    dtype: DType

    def __init__(self, shape: Iterable[Size | str], dtype: DType) -> None:
        self.shape = tuple([size if type(size) is int else dims.as_size(size) for size in shape])
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return dims.product(self.shape)

    @property
    def names(self) -> frozenset[str]:
        """The names that its sizes depend on."""
        return frozenset([name for size in self.shape if isinstance(size, Dim) for name in size.names])

    def with_shape(self, shape: Iterable[Size]) -> Spec:
        """The same data type with another shape."""
        return Spec(shape, self.dtype)

    def with_dtype(self, dtype: DType) -> Spec:
        """The same shape with another data type."""
        return Spec(self.shape, dtype)

    def substitute(self, sizes: Mapping[str, Size]) -> Spec:
        """The spec with names replaced by sizes."""
        return Spec((dims.substitute(size, sizes) for size in self.shape), self.dtype)

    @property
    def differentiable(self) -> bool:
        """Whether values of this spec have derivatives: floating-point numbers, and bundles that hold some."""
        return self.dtype.is_floating

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self.dtype is other.dtype and self.shape == other.shape

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


class Bundle(Spec):
    """The specs of all results of an operation with several, in order. Only `Result` reads such a value.

    >>> from graphnn.ir.dtype import float32, int64
    >>> Bundle((Spec((3,), float32), Spec((), int64)))
    (float32[3], int64[])
    """

    __slots__ = ("parts",)
    parts: tuple[Spec, ...]

    def __init__(self, parts: Iterable[Spec]) -> None:
        super().__init__((), _BUNDLE)
        self.parts = tuple(parts)

    @property
    def size(self) -> Size:
        return sum([part.size for part in self.parts], 0)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for part in self.parts for name in part.names)

    @property
    def differentiable(self) -> bool:
        return any(part.differentiable for part in self.parts)

    def substitute(self, sizes: Mapping[str, Size]) -> Bundle:
        return Bundle(part.substitute(sizes) for part in self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return f"({', '.join(map(str, self.parts))})"


_BUNDLE = DType("bundle", "bundle", 0)  # of no kind, so that no other operation takes it


def shape_text(shape: Iterable[object]) -> str:
    """A shape as messages show it: ``[batch, 784]``."""
    return f"[{', '.join(map(str, shape))}]"


def as_shape(value: object) -> Shape:
    """A shape from a size or from a sequence of sizes."""
    if isinstance(value, (int, str, Dim)) or hasattr(value, "__index__"):
        return (dims.as_size(value),)
    if not isinstance(value, Iterable):
        raise ShapeError(f"a shape is a tuple of sizes such as ('batch', 784), not {value!r}")
    return tuple(dims.as_size(size) for size in value)


def broadcast(name: str, *shapes: Shape) -> Shape:
    """The common shape of several, by the broadcasting of NumPy and the Array API.

    Shapes are aligned at their last axis; a size broadcasts only where it is the number 1. Whether two different
    names are equal is not known before the call, so that is an error here rather than a surprise there.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes[1:]):
        return first
    ndim = max(map(len, shapes))
    out: list[Size] = []
    for axis in range(-ndim, 0):
        size: Size = 1
        for shape in shapes:
            if len(shape) < -axis or shape[axis] == 1:
                continue
            if size == 1:
                size = shape[axis]
            elif size != shape[axis]:
                raise ShapeError(
                    f"{name}: shapes {' and '.join(map(shape_text, shapes))} do not broadcast: {size} != {shape[axis]}",
                    _broadcast_hint(size, shape[axis], shapes),
                )
        out.append(size)
    return tuple(out)


def _broadcast_hint(a: Size, b: Size, shapes: Sequence[Shape]) -> str:
    if isinstance(a, int) and isinstance(b, int):
        wide, narrow = max(shapes, key=len), min(shapes, key=len)
        if len(narrow) == 1 and len(wide) > 1 and narrow[0] in wide[:-1]:
            return "Shapes are aligned at their last axis. To align with an earlier one, add an axis: x[:, None]."
        return "Shapes are aligned at their last axis; sizes must be equal there, or 1."
    return (
        f"Whether {a} equals {b} is not known before the call. Give both inputs the same size name, or the same number."
    )


def normalize_axis(name: str, axis: object, ndim: int) -> int:
    """An axis counted from 0; negative ones count from the end."""
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        raise ShapeError(f"{name}: an axis is an int, not {axis!r}", "Axes are counted from 0.")
    value = int(axis.__index__())
    if not -ndim <= value < ndim:
        if ndim == 0:
            raise AxisError(f"{name}: axis {value} is out of range for a scalar", "A scalar has no axes.")
        if ndim == 1:
            raise AxisError(f"{name}: axis {value} is out of range for a vector", "Its only axis is 0.")
        hint = f"Use {-ndim} to {ndim - 1}; -1 is the last."
        raise AxisError(f"{name}: axis {value} is out of range for {ndim} axes", hint)
    return value % ndim


def normalize_axes(name: str, axes: object, ndim: int) -> tuple[int, ...]:
    """Several axes counted from 0, in order; None means all."""
    if axes is None:
        return tuple(range(ndim))
    if hasattr(axes, "__index__"):
        return (normalize_axis(name, axes, ndim),)
    if not isinstance(axes, Iterable) or isinstance(axes, str):
        raise ShapeError(f"{name}: axes are an int, a tuple of ints or None, not {axes!r}", "Axes are counted from 0.")
    out = tuple(normalize_axis(name, axis, ndim) for axis in axes)
    if len(set(out)) < len(out):
        raise ShapeError(f"{name}: an axis is named twice: {out}", "Negative axes count from the end.")
    return out

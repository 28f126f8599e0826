"""Operations that combine the elements along axes into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphnn.errors import DTypeError, ShapeError
from graphnn.ir.dims import product
from graphnn.ir.dtype import DType, as_dtype, bool_, int64, uint64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, General, Linear, Op
from graphnn.ir.spec import Shape, Spec, shape_text
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Reshape, broadcast_to, concat, expand_dims, permute_dims
from graphnn.ops.operands import Operand, as_node, axes_of, axis_of


def reduced_shape(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape without the axes, or with 1 in their place."""
    if keepdims:
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)


class _Reduction(Op):
    """A reduction over `axes`."""

    axes: tuple[int, ...]
    keepdims: bool = False
    kind: ClassVar[str] = "numeric"

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        check_kind(self.name, self.kind, (x.dtype,))
        for axis in self.axes:
            if axis >= x.ndim:
                raise ShapeError(f"{self.name}: {shape_text(x.shape)} has no axis {axis}")
        return Spec(reduced_shape(x.shape, self.axes, self.keepdims), self.result(x.dtype))

    def result(self, dtype: DType) -> DType:
        """The data type of the result."""
        return dtype

    def spread(self, value: Node, x: Node) -> Node:
        """A value of the reduced shape, repeated to the shape of x."""
        return broadcast_to(Reshape(reduced_shape(x.shape, self.axes, True))(value), x.shape)


class Sum(_Reduction, Linear):
    """The sum over axes"""

    latex = r"\sum_{{{axes}}} {0:20}"
    precedence = 19
    mask_follows = True

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (self.spread(g, operands[0]),)


def sum(x: Operand, /, axis: int | Sequence[int] | None = None, *, dtype: Any = None, keepdims: bool = False) -> Node:
    """Sum over the given axes, or over all; the sum of nothing is 0.

    Integers of less than 64 bits are summed as int64 (uint64 for unsigned ones), as the Array API wants.

    >>> gn.evaluate(gn.sum([[1.0, 2.0], [3.0, 4.0]], axis=0))
    array([4., 6.], dtype=float32)
    """
    node = accumulator("sum", as_node(x), dtype)
    return Sum(axes_of("sum", axis, node), keepdims)(node)


def accumulator(name: str, x: Node, dtype: Any) -> Node:
    """x in the data type in which it is summed: small integers in 64 bits."""
    if dtype is not None:
        return astype(x, as_dtype(dtype))
    if x.dtype is bool_:
        error = DTypeError(
            f"{name} takes numeric arrays, not bool", "To count, cast first: mask.astype('int64').sum()."
        )
        raise explain(error, (x,))
    if x.dtype.is_integer:
        return astype(x, uint64 if x.dtype.kind == "uint" else int64)
    return x


class Prod(_Reduction, General):
    """The product over axes"""

    latex = r"\prod_{{{axes}}} {0:20}"
    precedence = 19

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        (x,) = operands
        return (self.spread(g, x) * product_of_others(x, self.axes),)


def prod(x: Operand, /, axis: int | Sequence[int] | None = None, *, dtype: Any = None, keepdims: bool = False) -> Node:
    """Product over the given axes, or over all; the product of nothing is 1. Its derivatives hold at zeros too.

    In the reverse pass, a named number n of factors takes an n by n table; a known one does not.

    >>> gn.evaluate(gn.prod([[1.0, 2.0], [3.0, 4.0]], axis=1))
    array([ 2., 12.], dtype=float32)
    """
    node = accumulator("prod", as_node(x), dtype)
    return Prod(axes_of("prod", axis, node), keepdims)(node)


def product_of_others(x: Node, axes: tuple[int, ...]) -> Node:
    """For each element, the product of all others along the axes: exact at zeros, in every order of derivatives.

    A known number n of factors takes log2(n) rounds of doubling; a named one takes an n by n table.
    """
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*kept, *axes)
    back = tuple(order.index(i) for i in range(x.ndim))
    moved = permute_dims(x, order)
    flat = Reshape((*(x.shape[i] for i in kept), product(x.shape[i] for i in axes)))(moved)
    n = flat.shape[-1]
    if isinstance(n, int):
        others = _running_product(flat, n, reverse=False) * _running_product(flat, n, reverse=True)
    else:
        index = Iota(n, int64)()
        same = expand_dims(index, axis=1) == index
        others = Prod((flat.ndim,))(where(same, as_node(1.0, x.dtype), expand_dims(flat, axis=-2)))
    return permute_dims(Reshape(moved.shape)(others), back)


def _running_product(x: Node, n: int, reverse: bool) -> Node:
    # The product of all elements before (after) each one, by doubling: after k rounds, of the 2**k nearest ones.
    one = as_node(1.0, x.dtype)

    def shifted(values: Node, by: int) -> Node:
        by = by if by < n else n
        ones = broadcast_to(one, (*x.shape[:-1], by))
        if reverse:
            return concat([values[..., by:], ones], axis=-1)
        return concat([ones, values[..., : n - by]], axis=-1)

    out, step = shifted(x, 1), 1
    while step < n:
        out, step = out * shifted(out, step), 2 * step
    return out


def check_not_empty(name: str, shape: Shape, axes: tuple[int, ...]) -> None:
    """Check that there is something to choose from along the axes."""
    if 0 in [shape[axis] for axis in axes]:
        raise ShapeError(f"{name} of no elements: {shape_text(shape)} is empty along {axes}")


class _Extremum(_Reduction, General):
    def infer(self, *specs: Spec) -> Spec:
        check_not_empty(self.name, specs[0].shape, self.axes)
        return super().infer(*specs)

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        (x,) = operands
        wins = astype(x == self.spread(out, x), x.dtype)
        return (self.spread(g / Sum(self.axes, self.keepdims)(wins), x) * wins,)


class Max(_Extremum):
    """The largest element along axes"""

    latex = r"\max_{{{axes}}} {0:20}"
    precedence = 19


def max(x: Operand, /, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Node:
    """Largest element along the given axes, or of all. Its derivative is split equally among equal ones.

    >>> gn.evaluate(gn.max([[1.0, 5.0], [3.0, 4.0]], axis=0))
    array([3., 5.], dtype=float32)
    """
    node = as_node(x)
    return Max(axes_of("max", axis, node), keepdims)(node)


class Min(_Extremum):
    """The smallest element along axes"""

    latex = r"\min_{{{axes}}} {0:20}"
    precedence = 19


def min(x: Operand, /, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Node:
    """Smallest element along the given axes, or of all. Its derivative is split equally among equal ones.

    >>> gn.evaluate(gn.min([[1.0, 5.0], [3.0, 4.0]], axis=0))
    array([1., 4.], dtype=float32)
    """
    node = as_node(x)
    return Min(axes_of("min", axis, node), keepdims)(node)


class _Flat(_Reduction, General):
    """A reduction without a derivative."""

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        return (None,)

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        return None


class All(_Flat):
    """Whether every element is True"""

    latex, kind = r"\operatorname{{all}}_{{{axes}}} {0:20}", "bool"


def all(x: Operand, /, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Node:
    """Whether all elements along the given axes are True, or not zero.

    >>> gn.evaluate(gn.all([[True, False], [True, True]], axis=1))
    array([False,  True])
    """
    node = as_bool(x)
    return All(axes_of("all", axis, node), keepdims)(node)


class Any_(_Flat):
    """Whether some element is True"""

    latex, kind = r"\operatorname{{any}}_{{{axes}}} {0:20}", "bool"

    @property
    def name(self) -> str:
        return "any"


def any(x: Operand, /, axis: int | Sequence[int] | None = None, *, keepdims: bool = False) -> Node:
    """Whether at least one element along the given axes is True, or not zero.

    >>> gn.evaluate(gn.any([[True, False], [False, False]], axis=1))
    array([ True, False])
    """
    node = as_bool(x)
    return Any_(axes_of("any", axis, node), keepdims)(node)


def as_bool(x: Operand) -> Node:
    """x itself if it is bool, else whether it is not zero."""
    node = as_node(x)
    return node if node.dtype is bool_ else node != 0


class _Position(_Flat):
    def infer(self, *specs: Spec) -> Spec:
        check_not_empty(self.name, specs[0].shape, self.axes)
        return super().infer(*specs)

    def result(self, dtype: DType) -> DType:
        return int64


class Argmax(_Position):
    """The index of the largest element along an axis"""

    latex = r"\operatorname{{argmax}}_{{{axes}}} {0:20}"


def argmax(x: Operand, /, axis: int | None = None, *, keepdims: bool = False) -> Node:
    """Index (int64) of the largest element along an axis, or in the flattened array; of equal ones the first.

    >>> gn.evaluate(gn.argmax([[1.0, 5.0], [7.0, 4.0]], axis=1))
    array([1, 0])
    """
    return _position(Argmax, x, axis, keepdims)


class Argmin(_Position):
    """The index of the smallest element along an axis"""

    latex = r"\operatorname{{argmin}}_{{{axes}}} {0:20}"


def argmin(x: Operand, /, axis: int | None = None, *, keepdims: bool = False) -> Node:
    """Index (int64) of the smallest element along an axis, or in the flattened array; of equal ones the first.

    >>> gn.evaluate(gn.argmin([[1.0, 5.0], [7.0, 4.0]], axis=1))
    array([0, 1])
    """
    return _position(Argmin, x, axis, keepdims)


def _position(op: type[_Position], x: Operand, axis: int | None, keepdims: bool) -> Node:
    node = as_node(x)
    if axis is not None:
        return op((axis_of(op.__name__.lower(), axis, node),), keepdims)(node)
    flat = op((0,))(Reshape((node.spec.size,))(node))
    return Reshape((1,) * node.ndim)(flat) if keepdims else flat

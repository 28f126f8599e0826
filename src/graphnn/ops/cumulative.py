"""Running sums, products and extremes along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.errors import ShapeError
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, General, Linear, Op
from graphnn.ir.spec import Spec, normalize_axis, shape_text
from graphnn.ops.arithmetic import maximum
from graphnn.ops.comparison import logical_or, where
from graphnn.ops.indexing import ScatterAdd, iota_along, line_indices, take
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Slice, broadcast_to, concat, expand_dims, permute_dims
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import accumulator, sum


class _Running(Op):
    axis: int

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        check_kind(self.name, "numeric", (x.dtype,))
        if self.axis >= x.ndim:
            raise ShapeError(f"{self.name}: {shape_text(x.shape)} has no axis {self.axis}")
        return x


class CumulativeSum(_Running, Linear):
    """The sum of all elements up to each one along an axis; of those from it on with `reverse`, without it if exclusive"""

    reverse: bool = False
    exclusive: bool = False
    latex = r"\operatorname{{cumsum}}_{{{axis}}}\left({0}\right)"

    def transpose(self, g: Node, *operands: Node) -> tuple[Cotangent, ...]:
        return (CumulativeSum(self.axis, not self.reverse, self.exclusive)(g),)


class CumulativeProd(_Running, General):
    """The product of all elements up to each one along an axis; the fields mean what they do for the sum"""

    reverse: bool = False
    exclusive: bool = False
    latex = r"\operatorname{{cumprod}}_{{{axis}}}\left({0}\right)"

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        # d out_i / d x_j = (product of all before j) * (product of those between j and i). Nothing is divided by x_j, so
        # this holds at zeros too, in every order.
        x, h = (self._turned(node) for node in (operands[0], g))
        before = CumulativeProd(x.ndim - 1, False, True)(x)
        n = x.shape[-1]
        after = _weighted(x, h, n, self.exclusive) if isinstance(n, int) else _tabled(x, h, self.exclusive)
        return (self._turned_back(before * after),)

    def _turned(self, x: Node) -> Node:
        """The axis moved to the end, and running forwards."""
        x = _swapped(x, self.axis)
        return _flipped(x) if self.reverse else x

    def _turned_back(self, x: Node) -> Node:
        return _swapped(_flipped(x) if self.reverse else x, self.axis)


def _swapped(x: Node, axis: int) -> Node:
    order = list(range(x.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return permute_dims(x, order)


def _flipped(x: Node) -> Node:
    return Slice((*((None, None, 1),) * (x.ndim - 1), (None, None, -1)))(x)


def _weighted(x: Node, g: Node, n: int, exclusive: bool) -> Node:
    """The sum over i >= j of ``g[i] x[j+1] ... x[i]``, or for exclusive products over i > j of ``g[i] x[j+1] ... x[i-1]``.

    It is the solution of the recurrence ``s[j] = b[j] + a[j] s[j+1]``, which log2(n) rounds of doubling give.
    """
    a = shifted(x, 1, n, 0.0)
    b = shifted(g, 1, n, 0.0) if exclusive else g
    step = 1
    while step < n:
        b = b + a * shifted(b, step, n, 0.0)
        a = a * shifted(a, step, n, 0.0)
        step = 2 * step
    return b


def _tabled(x: Node, g: Node, exclusive: bool) -> Node:
    # The same for a size that is only a name, with a table: row j holds the products from j on.
    column = Iota(x.shape[-1], int64)()
    row = expand_dims(column, axis=1)
    factors = where(column > row, expand_dims(x, axis=-2), as_node(1.0, x.dtype))
    terms = CumulativeProd(x.ndim, False, exclusive)(factors) * expand_dims(g, axis=-2)
    return sum(where(column > row if exclusive else column >= row, terms, as_node(0.0, g.dtype)), axis=-1)


def shifted(x: Node, by: int, n: int, fill: float, *, backwards: bool = True) -> Node:
    """x moved along its last axis of n elements: ``out[i] = x[i + by]``, or ``x[i - by]``, and `fill` beyond the end."""
    by = min(by, n)
    filled = broadcast_to(as_node(fill, x.dtype), (*x.shape[:-1], by))
    return concat([x[..., by:], filled], axis=-1) if backwards else concat([filled, x[..., : n - by]], axis=-1)


def running_axis(name: str, axis: int | None, x: Node) -> int:
    """The axis, which may be left out for vectors only."""
    if axis is None:
        if x.ndim != 1:
            error = ShapeError(
                f"{name}: an array with the axes {shape_text(x.shape)} needs to know which one is meant",
                f"Name it: gn.{name}(x, axis=0).",
            )
            raise explain(error, (x,))
        axis = 0
    return normalize_axis(name, axis, x.ndim)


def cumulative_sum(
    x: Operand,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: bool = False,
    reverse: bool = False,
    exclusive: bool = False,
) -> Node:
    """Running sum along an axis, which may be left out for vectors: ``out[i] = x[0] + ... + x[i]``.

    Integers of less than 64 bits are summed as int64 (uint64 for unsigned ones), as the Array API wants.

    Parameters
    ----------
    dtype : of the sum
    include_initial : begin with the sum of nothing: n + 1 elements
    reverse : ``out[i] = x[i] + ... + x[n-1]``; the initial element then comes last
    exclusive : without the element itself: ``out[i] = x[0] + ... + x[i-1]``

    >>> gn.evaluate(gn.cumulative_sum([1.0, 2.0, 3.0]))
    array([1., 3., 6.], dtype=float32)
    """
    node = accumulator("cumulative_sum", as_node(x), dtype)
    place = running_axis("cumulative_sum", axis, node)
    return _with_initial(
        "cumulative_sum",
        CumulativeSum(place, reverse, exclusive)(node),
        place,
        0.0,
        include_initial,
        reverse,
        exclusive,
    )


def cumulative_prod(
    x: Operand,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    include_initial: bool = False,
    reverse: bool = False,
    exclusive: bool = False,
) -> Node:
    """Running product along an axis, which may be left out for vectors: ``out[i] = x[0] ... x[i]``.

    Its derivatives hold at zeros too. For an axis of n elements they take log2(n) rounds of products, and n by n
    numbers where n is a name. The parameters are those of `cumulative_sum`.

    >>> gn.evaluate(gn.cumulative_prod([1.0, 2.0, 3.0], include_initial=True))
    array([1., 1., 2., 6.], dtype=float32)
    """
    node = accumulator("cumulative_prod", as_node(x), dtype)
    place = running_axis("cumulative_prod", axis, node)
    out = CumulativeProd(place, reverse, exclusive)(node)
    return _with_initial("cumulative_prod", out, place, 1.0, include_initial, reverse, exclusive)


def _with_initial(
    name: str, x: Node, axis: int, value: float, include_initial: bool, reverse: bool, exclusive: bool
) -> Node:
    if not include_initial:
        return x
    if exclusive:
        raise ShapeError(
            f"{name}: include_initial and exclusive exclude each other",
            "include_initial=True gives n + 1 elements, exclusive=True the first n of them.",
        )
    initial = broadcast_to(as_node(value, x.dtype), tuple(1 if i == axis else size for i, size in enumerate(x.shape)))
    return concat([x, initial] if reverse else [initial, x], axis=axis)


class _RunningExtremum(_Running, General):
    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        (x,) = operands
        return (ScatterAdd(tuple(range(x.ndim)), x.shape)(g, *line_indices(x, self._places(x, out), self.axis)),)

    def _places(self, x: Node, out: Node) -> Node:
        """Where each element of the result stands in x: at the last place where something better than all before came."""
        number = iota_along(x.shape[self.axis], self.axis, x.ndim)
        before = take(out, maximum(Iota(x.shape[self.axis], int64)() - 1, 0), axis=self.axis)
        record = logical_or(number == 0, self.better(x, before))
        return CumulativeMax(self.axis)(where(record, number, as_node(0, int64)))

    def better(self, x: Node, y: Node) -> Node:
        raise NotImplementedError


class CumulativeMax(_RunningExtremum):
    """The largest of all elements up to each one along an axis"""

    latex = r"\operatorname{{cummax}}_{{{axis}}}\left({0}\right)"

    def better(self, x: Node, y: Node) -> Node:
        return x > y


class CumulativeMin(_RunningExtremum):
    """The smallest of all elements up to each one along an axis"""

    latex = r"\operatorname{{cummin}}_{{{axis}}}\left({0}\right)"

    def better(self, x: Node, y: Node) -> Node:
        return x < y


def cumulative_max(x: Operand, /, *, axis: int | None = None) -> Node:
    """Running maximum along an axis, which may be left out for vectors; NaN from the first NaN on.

    Its derivative goes to the first of equal largest elements.

    >>> gn.evaluate(gn.cumulative_max([1.0, 3.0, 2.0, 5.0]))
    array([1., 3., 3., 5.], dtype=float32)
    """
    return _extremum(CumulativeMax, "cumulative_max", x, axis)


def cumulative_min(x: Operand, /, *, axis: int | None = None) -> Node:
    """Running minimum along an axis, which may be left out for vectors; NaN from the first NaN on.

    Its derivative goes to the first of equal smallest elements.

    >>> gn.evaluate(gn.cumulative_min([3.0, 4.0, 2.0, 5.0]))
    array([3., 3., 2., 2.], dtype=float32)
    """
    return _extremum(CumulativeMin, "cumulative_min", x, axis)


def _extremum(op: Callable[[int], Op], name: str, x: Operand, axis: int | None) -> Node:
    node = as_node(x)
    return op(running_axis(name, axis, node))(node)

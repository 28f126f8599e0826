"""``x.at[key]``: copies of x with some elements changed."""

from __future__ import annotations

from typing import Any

from graphnn.errors import ShapeError
from graphnn.ir.dtype import bool_, int64, result_dtype
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, General
from graphnn.ir.spec import Spec, shape_text
from graphnn.ops.arithmetic import maximum, minimum
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import logical_and, not_equal, where
from graphnn.ops.cumulative import shifted
from graphnn.ops.indexing import Gather, ScatterAdd, ScatterSet, getitem
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Reshape, broadcast_to, expand_dims
from graphnn.ops.operands import Operand, as_node, as_nodes
from graphnn.ops.reduction import prod
from graphnn.ops.sorting import Argsort


class ScatterReduce(General):
    """A vector with values multiplied into its elements at integer indices, or the larger or smaller of both in their place"""

    kind: str  # "multiply", "max" or "min"
    latex = r"\operatorname{{scatter\_{kind}}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Spec:
        x, values, index = specs
        check_kind("scatter_reduce", "numeric", (x.dtype, values.dtype))
        check_kind("scatter_reduce", "integer", (index.dtype,))
        if x.ndim != 1 or index.ndim != 1 or values.shape != index.shape:
            shapes = ", ".join(shape_text(spec.shape) for spec in specs)
            raise ShapeError(
                f"scatter_reduce takes three vectors, of which the last two are equally long, not {shapes}"
            )
        return x.with_dtype(result_dtype(f"at.{self.kind}", x.dtype, values.dtype))

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        x, values, index = operands
        pick = Gather((0,))
        if self.kind == "multiply":
            factors = self(broadcast_to(as_node(1.0, x.dtype), x.shape), values, index)
            place = pick(Iota(x.shape[0], int64)(), index)  # negative indices mean the same place as others
            return g * factors, pick(g * x, index) * _others_at(values, place), None
        # Shared equally among all that are as large (small) as the result.
        stays = astype(x == out, g.dtype)
        wins = astype(values == pick(out, index), g.dtype)
        share = g / (stays + ScatterAdd((0,), x.shape)(wins, index))
        return stays * share, wins * pick(share, index), None


def _others_at(values: Node, place: Node) -> Node:
    """For each value the product of all others for the same place. Nothing is divided, so it holds at zeros too.

    A known number m of values is sorted by place and takes log2(m) rounds of doubling, a named one an m by m table.
    """
    m = values.shape[0]
    one = as_node(1.0, values.dtype)
    if not isinstance(m, int):
        number = Iota(m, int64)()
        together = logical_and(expand_dims(place, axis=1) == place, not_equal(expand_dims(number, axis=1), number))
        return prod(where(together, values, one), axis=1)
    pick, order = Gather((0,)), Argsort(0)(place)
    values, place = pick(values, order), pick(place, order)
    sides = []
    for backwards in (False, True):

        def near(x: Node, by: int, fill: float, backwards: bool = backwards) -> Node:
            return shifted(x, by, m, fill, backwards=backwards)

        # After k rounds the product of the 2**k nearest values on this side that are for the same place.
        product = where(near(place, 1, -1) == place, near(values, 1, 1.0), one)
        step = 1
        while step < m:
            product = product * where(near(place, step, -1) == place, near(product, step, 1.0), one)
            step = 2 * step
        sides.append(product)
    return pick(sides[0] * sides[1], Argsort(0)(order))


class At:
    """``x.at[key]``: the place where ``set``, ``add``, ``multiply``, ``min`` and ``max`` change a copy of x."""

    def __init__(self, x: Node) -> None:
        self._x = x

    def __getitem__(self, key: Any) -> AtIndex | AtMask:
        if isinstance(key, (Node, list)) or hasattr(key, "dtype"):
            index = as_node(key)
            if index.dtype is bool_:
                return AtMask(self._x, index)
        return AtIndex(self._x, key)


class AtIndex:
    """``x.at[key]`` with its index: ints, slices, None, ``...`` and integer arrays."""

    def __init__(self, x: Node, key: Any) -> None:
        self._x = x
        # Picking from a table of the numbers of all elements gives the numbers of those that the key means.
        self._picked = getitem(Reshape(x.shape)(Iota(x.spec.size, int64)()), key)

    def _flat(self, name: str, values: Operand) -> tuple[Node, Node]:
        x, given = as_nodes(name, self._x, values)
        wanted = self._picked.shape
        try:
            return Reshape((x.spec.size,))(x), broadcast_to(given, wanted)
        except ShapeError:
            error = ShapeError(
                f"{name}: values of shape {shape_text(given.shape)} do not fill {shape_text(wanted)}",
                "Give values of that shape, or such as broadcast to it.",
            )
            raise explain(error, (x, given)) from None

    def add(self, values: Operand) -> Node:
        """x with values added at the index; where an index comes twice, both are added.

        >>> gn.evaluate(gn.constant([1, 2, 3]).at[[0, 0]].add(10))
        array([21,  2,  3])
        """
        flat, given = self._flat("at.add", values)
        return Reshape(self._x.shape)(flat + ScatterAdd((0,), flat.shape)(given, self._picked))

    def set(self, values: Operand) -> Node:
        """x with values in the place of its elements at the index; where an index comes twice, the last value stays.

        >>> gn.evaluate(gn.constant([1, 2, 3]).at[1:].set(0))
        array([1, 0, 0])
        """
        flat, given = self._flat("at.set", values)
        return Reshape(self._x.shape)(ScatterSet((0,))(flat, given, self._picked))

    def _reduced(self, kind: str, values: Operand) -> Node:
        flat, given = self._flat(f"at.{kind}", values)
        many = (given.spec.size,)
        return Reshape(self._x.shape)(ScatterReduce(kind)(flat, Reshape(many)(given), Reshape(many)(self._picked)))

    def multiply(self, values: Operand) -> Node:
        """x with values multiplied into its elements at the index; where an index comes twice, by both.

        >>> gn.evaluate(gn.constant([1, 2, 3]).at[[1, 1]].multiply([5, 10]))
        array([  1, 100,   3])
        """
        return self._reduced("multiply", values)

    def max(self, values: Operand) -> Node:
        """x with the larger of its element and the values at the index; the derivative is shared by equal ones.

        >>> gn.evaluate(gn.constant([1, 2, 3]).at[:2].max(2))
        array([2, 2, 3])
        """
        return self._reduced("max", values)

    def min(self, values: Operand) -> Node:
        """x with the smaller of its element and the values at the index; the derivative is shared by equal ones.

        >>> gn.evaluate(gn.constant([1, 2, 3]).at[1:].min(2))
        array([1, 2, 2])
        """
        return self._reduced("min", values)


class AtMask:
    """``x.at[mask]``: the same where a mask is True. Values broadcast to the shape of x."""

    def __init__(self, x: Node, mask: Node) -> None:
        if mask.ndim > x.ndim or mask.shape != x.shape[: mask.ndim]:
            error = ShapeError(
                f"at: a mask of shape {shape_text(mask.shape)} does not fit {shape_text(x.shape)}",
                "Its sizes must be those of the first axes.",
            )
            raise explain(error, (x, mask))
        self._x, self._mask = x, Reshape((*mask.shape, *(1,) * (x.ndim - mask.ndim)))(mask)

    def _chosen(self, name: str, combine: Any, values: Operand) -> Node:
        x, given = as_nodes(name, self._x, values)
        try:
            given = broadcast_to(given, x.shape)
        except ShapeError:
            error = ShapeError(
                f"{name}: values of shape {shape_text(given.shape)} do not broadcast to {shape_text(x.shape)}",
                "Give one number, or an array of the shape of x: where the mask is True, its elements count.",
            )
            raise explain(error, (x, given)) from None
        return where(self._mask, combine(x, given), x)

    def set(self, values: Operand) -> Node:
        """x with values where the mask is True.

        >>> x = gn.constant([1, -2, 3])
        >>> gn.evaluate(x.at[x < 0].set(0))
        array([1, 0, 3])
        """
        return self._chosen("at.set", lambda x, v: v, values)

    def add(self, values: Operand) -> Node:
        """x with values added where the mask is True."""
        return self._chosen("at.add", lambda x, v: x + v, values)

    def multiply(self, values: Operand) -> Node:
        """x multiplied by values where the mask is True."""
        return self._chosen("at.multiply", lambda x, v: x * v, values)

    def max(self, values: Operand) -> Node:
        """The larger of x and the values where the mask is True."""
        return self._chosen("at.max", maximum, values)

    def min(self, values: Operand) -> Node:
        """The smaller of x and the values where the mask is True."""
        return self._chosen("at.min", minimum, values)

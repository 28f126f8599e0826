"""Order: `Argsort`, from which sorting follows by indexing, and `Searchsorted`, the place of a value in sorted ones."""

from __future__ import annotations

from graphnn.errors import ShapeError
from graphnn.ir.dtype import int64, result_dtype
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, General
from graphnn.ir.spec import Spec, normalize_axis, shape_text
from graphnn.ops.indexing import take, take_along_axis
from graphnn.ops.operands import Operand, as_node, as_nodes


class Argsort(General):
    """The indices that sort x along an axis: equal elements keep their order, NaN comes last"""

    axis: int
    descending: bool = False
    latex = r"\operatorname{{argsort}}_{{{axis}}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        if self.axis >= x.ndim:
            raise ShapeError(f"argsort: {shape_text(x.shape)} has no axis {self.axis}")
        return x.with_dtype(int64)

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        return (None,)


def argsort(x: Operand, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Node:
    """The indices (int64) that sort x along an axis: ``take_along_axis(x, argsort(x)) == sort(x)``.

    NaN comes last, in either direction. Equal elements keep their order, also where `stable` does not ask for it.

    >>> gn.evaluate(gn.argsort([3, 1, 2]))
    array([1, 2, 0])
    """
    node = as_node(x)
    return Argsort(normalize_axis("argsort", axis, node.ndim), descending)(node)


def sort(x: Operand, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Node:
    """The elements in order along an axis, the smallest first, or the largest with ``descending=True``; NaN last.

    Its derivative moves with the elements; of equal ones each keeps its own.

    >>> gn.evaluate(gn.sort([3.0, 1.0, 2.0], descending=True))
    array([3., 2., 1.], dtype=float32)
    """
    node = as_node(x)
    place = normalize_axis("sort", axis, node.ndim)
    return take_along_axis(node, Argsort(place, descending)(node), axis=place)


class Searchsorted(General):
    """How many elements of a sorted vector are less than each value, or with the side ``right`` not greater than it"""

    side: str
    latex = r"\operatorname{{searchsorted}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Spec:
        x, values = specs
        if x.ndim != 1:
            raise ShapeError(f"searchsorted: the sorted elements are a vector, not {shape_text(x.shape)}")
        result_dtype("searchsorted", x.dtype, values.dtype)
        return values.with_dtype(int64)

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        return None, None


def searchsorted(x: Operand, values: Operand, /, *, side: str = "left", sorter: Operand | None = None) -> Node:
    """The index (int64) at which each value would have to be inserted into the sorted vector x to keep the order.

    Parameters
    ----------
    x : ``[n]``, in ascending order, NaN last
    values : of any shape, which is that of the result
    side : ``"left"``: ``x[i-1] < value <= x[i]``; ``"right"``: ``x[i-1] <= value < x[i]``
    sorter : integers that sort x, where it is not sorted itself, such as ``argsort(x)``

    >>> gn.evaluate(gn.searchsorted([1, 3, 5], [0, 3, 9]))
    array([0, 1, 3])
    """
    if side not in ("left", "right"):
        raise ShapeError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    sorted_, wanted = as_nodes("searchsorted", x, values)
    if sorter is not None:
        sorted_ = take(sorted_, sorter, axis=0)
    try:
        return Searchsorted(side)(sorted_, wanted)
    except ShapeError as error:
        raise explain(error, (sorted_, wanted)) from None

"""Parts of matrices, places of elements, and indices that are themselves stored in an array."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.errors import DTypeError, ShapeError
from graphnn.functions.creation import offset_of, size_node
from graphnn.ir.dims import Size, as_size, positive_part
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import shape_text
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.cumulative import CumulativeSum
from graphnn.ops.indexing import Gather, iota_along
from graphnn.ops.movement import Reshape, permute_dims
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import as_bool, sum
from graphnn.ops.sorting import Searchsorted
from graphnn.ops.updates import At


def _matrix(name: str, x: Operand) -> Node:
    node = as_node(x)
    if node.ndim < 2:
        raise explain(ShapeError(f"{name} takes a matrix, or a stack of them, not {shape_text(node.shape)}"), (node,))
    return node


def tril(x: Operand, /, *, k: int = 0) -> Node:
    """The lower triangle of a matrix, zeros elsewhere: elements with ``column <= row + k``.

    >>> gn.evaluate(gn.tril([[1, 2], [3, 4]]))
    array([[1, 0],
           [3, 4]])
    """
    node = _matrix("tril", x)
    return where(_difference(node) <= offset_of(k), node, as_node(0, node.dtype))


def triu(x: Operand, /, *, k: int = 0) -> Node:
    """The upper triangle of a matrix, zeros elsewhere: elements with ``column >= row + k``.

    >>> gn.evaluate(gn.triu([[1, 2], [3, 4]]))
    array([[1, 2],
           [0, 4]])
    """
    node = _matrix("triu", x)
    return where(_difference(node) >= offset_of(k), node, as_node(0, node.dtype))


def _difference(x: Node) -> Node:
    """Column minus row."""
    return iota_along(x.shape[-1], 1, 2) - iota_along(x.shape[-2], 0, 2)


def diagonal(x: Operand, /, *, offset: int = 0) -> Node:
    """The diagonal of a matrix: ``out[i] = x[i, i + offset]``; ``[..., n, m] -> [..., length]``.

    >>> gn.evaluate(gn.diagonal([[1, 2], [3, 4]]))
    array([1, 4])
    """
    node = _matrix("diagonal", x)
    rows, columns = node.shape[-2] - max(-offset, 0), node.shape[-1] - max(offset, 0)
    # The smaller of both, for named sizes too: a - max(a - b, 0).
    count = positive_part(rows - positive_part(rows - columns))
    number = Iota(count, int64)()
    out = Gather((node.ndim - 2, node.ndim - 1))(node, number + max(-offset, 0), number + max(offset, 0))
    return permute_dims(out, (*range(1, out.ndim), 0))


def count_nonzero(x: Operand, /, *, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Node:
    """How many elements (int64) along the given axes, or of all, are True or not zero.

    >>> gn.evaluate(gn.count_nonzero([[1, 0], [2, 3]], axis=0))
    array([2, 1])
    """
    return sum(astype(as_bool(x), int64), axis=axis, keepdims=keepdims)


def nonzero(x: Operand, /, *, size: Size | str | None = None, fill_value: int | Sequence[int] = 0) -> tuple[Node, ...]:
    """The places of the elements that are True or not zero, in row-major order: an index array for each axis.

    How many there are is known only at the call, and shapes are static: so the number wanted must be told.

    Parameters
    ----------
    size : the size of each result; further places are left out
    fill_value : what follows after the last place: an index for all axes, or one for each

    Raises
    ------
    ShapeError
        If no size is given, or x has no axes.

    >>> x = gn.constant([[0, 5], [7, 0]])
    >>> places = gn.nonzero(x, size=2)
    >>> gn.evaluate(x[places])
    array([5, 7])
    """
    node = as_bool(x)
    if size is None:
        raise explain(
            ShapeError(
                "nonzero: the size of the result must be given, as shapes are static",
                "Write gn.nonzero(x, size=n); n = x.spec.size holds all. To keep the shape: gn.where(x, a, b).",
            ),
            (node,),
        )
    if node.ndim == 0:
        raise ShapeError("nonzero: a scalar has no axes", "Use gn.where, or reshape it to a vector.")
    fills = (fill_value,) * node.ndim if isinstance(fill_value, int) else tuple(fill_value)
    if len(fills) != node.ndim:
        raise ShapeError(f"nonzero: {len(fills)} fill values for the {node.ndim} axes of {shape_text(node.shape)}")
    total = node.spec.size
    place = places_of(Reshape((total,))(node), as_size(size))
    there = place < size_node(total, int64)
    out = []
    for extent, fill in reversed(list(zip(node.shape, fills, strict=True))):
        count = size_node(extent, int64)
        out.append(where(there, place % count, as_node(fill, int64)))
        place = place // count
    return tuple(reversed(out))


def places_of(mask: Node, size: Size) -> Node:
    """The places of the first `size` True elements of a vector; its length where there are no more."""
    so_far = CumulativeSum(0)(astype(mask, int64))
    return Searchsorted("left")(so_far, Iota(size, int64)() + 1)


def gather_nd(x: Operand, indices: Operand, /, *, batch_dims: int = 0) -> Node:
    """The elements, or slices, at index vectors: ``out[...] = x[indices[..., 0], ..., indices[..., k-1]]``.

    Parameters
    ----------
    x : ``[b..., n_1, ..., n_k, rest...]``
    indices : integers ``[b..., i..., k]``; the result is ``[b..., i..., rest...]``
    batch_dims : how many first axes ``b...`` x and the indices share

    >>> gn.evaluate(gn.gather_nd([[1, 2], [3, 4]], [[0, 1], [1, 0]]))
    array([2, 3])
    """
    node, index = as_node(x), as_node(indices)
    try:
        parts = _index_vectors("gather_nd", node, index, batch_dims)
        if node.shape[:batch_dims] != index.shape[:batch_dims]:
            raise ShapeError(f"gather_nd: the first {batch_dims} sizes of x and of the indices differ")
        shared = [iota_along(node.shape[i], i, index.ndim - 1) for i in range(batch_dims)]
        return Gather(tuple(range(batch_dims + len(parts))))(node, *shared, *parts)
    except (ShapeError, DTypeError) as error:
        raise explain(error, (node, index)) from None


def _index_vectors(name: str, x: Node, index: Node, batch_dims: int = 0) -> list[Node]:
    if not index.dtype.is_integer:
        raise DTypeError(f"{name}: the indices are {index.dtype}, not integers", "Cast them: i.astype('int64').")
    if not isinstance(batch_dims, int) or not 0 <= batch_dims < max(index.ndim, 1):
        raise ShapeError(f"{name}: batch_dims is an int from 0 to {max(index.ndim - 1, 0)}, not {batch_dims!r}")
    count = index.shape[-1] if index.ndim else None
    if not isinstance(count, int):
        raise ShapeError(
            f"{name}: the last axis of the indices {shape_text(index.shape)} holds an index for each axis of x",
            "Its size must be a number.",
        )
    if not 0 < count <= x.ndim - batch_dims:
        raise ShapeError(f"{name}: index vectors of {count} numbers for {shape_text(x.shape[batch_dims:])}")
    return [index[..., i] for i in range(count)]


def scatter_nd(x: Operand, indices: Operand, values: Operand, /, *, mode: str = "set") -> Node:
    """x with values in place of, or combined with, its elements at index vectors.

    Parameters
    ----------
    x : ``[n_1, ..., n_k, rest...]``
    indices : integers ``[i..., k]``
    values : ``[i..., rest...]``, or what broadcasts to it
    mode : ``"set"``, ``"add"``, ``"multiply"``, ``"max"`` or ``"min"``, which mean what they do for ``x.at[...]``

    >>> gn.evaluate(gn.scatter_nd([1, 2, 3], [[0], [2]], [10, 30]))
    array([10,  2, 30])
    """
    node, index = as_node(x), as_node(indices)
    if mode not in ("set", "add", "multiply", "max", "min"):
        raise ShapeError(f"scatter_nd: mode is 'set', 'add', 'multiply', 'max' or 'min', not {mode!r}")
    try:
        parts = _index_vectors("scatter_nd", node, index)
    except (ShapeError, DTypeError) as error:
        raise explain(error, (node, index)) from None
    out: Node = getattr(At(node)[tuple(parts)], mode)(values)
    return out

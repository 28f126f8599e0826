"""Running log-sum-exp, and the differences that undo a running sum."""

from __future__ import annotations

import math

from graphnn.errors import ShapeError
from graphnn.functions.statistics import logsumexp
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis
from graphnn.ops.comparison import not_equal, where
from graphnn.ops.composite import composite
from graphnn.ops.cumulative import running_axis, shifted
from graphnn.ops.exponential import logaddexp
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Slice, broadcast_to, concat, expand_dims, permute_dims
from graphnn.ops.operands import Operand, as_node, as_nodes


@composite(latex=r"\operatorname{{cumlogsumexp}}_{{{axis}}}\left({0}\right)")
def cumulative_logsumexp(x: Operand, /, *, axis: int | None = None) -> Node:
    """Running ``log(exp(x[0]) + ... + exp(x[i]))`` along an axis, without overflow; -inf where all so far are.

    The axis may be left out for vectors. For an axis of n elements it takes log2(n) rounds of `logaddexp`, and an n by
    n table where n is a name. Its derivative is ``exp(x[j] - out[i])`` for j <= i.

    >>> gn.evaluate(gn.cumulative_logsumexp([1000.0, 1000.0])).round(2)
    array([1000.  , 1000.69], dtype=float32)
    """
    node = as_node(x)
    check_kind("cumulative_logsumexp", "floating-point", (node.dtype,))
    place = running_axis("cumulative_logsumexp", axis, node)
    order = (*(i for i in range(node.ndim) if i != place), place)
    out, n = permute_dims(node, order), node.shape[place]
    if isinstance(n, int):
        step = 1
        while step < n:
            # After k rounds each element holds the sum over itself and the 2**k - 1 before it.
            out = logaddexp(out, shifted(out, step, n, -math.inf, backwards=False))
            step = 2 * step
    else:
        # One column more, of nothing: the largest element of a row must exist also where n turns out to be 0.
        nothing = broadcast_to(as_node(-math.inf, node.dtype), (*out.shape[:-1], 1))
        columns = expand_dims(concat([out, nothing], axis=-1), axis=-2)
        seen = Iota(n + 1, int64)() <= expand_dims(Iota(n, int64)(), axis=1)
        out = logsumexp(where(seen, columns, as_node(-math.inf, node.dtype)), axis=-1)
    return permute_dims(out, tuple(order.index(i) for i in range(node.ndim)))


def diff(
    x: Operand, /, *, axis: int = -1, n: int = 1, prepend: Operand | None = None, append: Operand | None = None
) -> Node:
    """Differences of neighbours along an axis, ``x[i+1] - x[i]``, taken n times; of bools, whether they differ.

    Parameters
    ----------
    prepend, append : arrays to join to x first, at its beginning and its end

    >>> gn.evaluate(gn.diff([1, 4, 9, 16]))
    array([3, 5, 7])
    """
    if not isinstance(n, int) or n < 0:
        raise ShapeError(f"diff: n is an int from 0, not {n!r}")
    pieces = [piece for piece in (prepend, x, append) if piece is not None]
    nodes = as_nodes("diff", *pieces)
    place = normalize_axis("diff", axis, nodes[0].ndim)
    node = concat(nodes, axis=place) if len(nodes) > 1 else nodes[0]
    for _ in range(n):
        later, earlier = (_cut(node, place, cut) for cut in ((1, None, 1), (None, -1, 1)))
        node = not_equal(later, earlier) if node.dtype.kind == "bool" else later - earlier
    return node


def _cut(x: Node, axis: int, cut: tuple[int | None, int | None, int]) -> Node:
    return Slice(tuple(cut if i == axis else (None, None, 1) for i in range(x.ndim)))(x)

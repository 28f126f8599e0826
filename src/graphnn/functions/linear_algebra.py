"""What is built on the operations of linear algebra: inverses, powers, norms, least squares and products."""

from __future__ import annotations

import math
from typing import Any

from graphnn.errors import GraphError, ShapeError
from graphnn.functions.creation import eye, size_node
from graphnn.functions.statistics import vector_norm
from graphnn.ir.dims import positive_part
from graphnn.ir.dtype import bool_, int64
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent
from graphnn.ir.spec import broadcast, normalize_axis, shape_text
from graphnn.ops.arithmetic import abs
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.composite import composite
from graphnn.ops.contraction import matmul, tensordot
from graphnn.ops.decompositions import LUResult
from graphnn.ops.indexing import take_along_axis
from graphnn.ops.kinds import check_kind
from graphnn.ops.linalg import TriangularSolve, check_matrix, check_square, identity_of, pinv, solve
from graphnn.ops.movement import (
    Reshape,
    broadcast_to,
    concat,
    expand_dims,
    matrix_transpose,
    permute_dims,
    squeeze,
    stack,
)
from graphnn.ops.operands import Operand, as_node, as_nodes
from graphnn.ops.reduction import max, min, sum
from graphnn.ops.spectral import svdvals, unit_of


@composite(latex="{0:41}^{{-1}}")
def inv(x: Operand, /) -> Node:
    """The inverse of square matrices, further axes being batches. To solve equations, `solve` is faster and more exact.

    >>> gn.evaluate(gn.inv([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)

    Raises
    ------
    ShapeError
        If x is not square.
    ExecutionError
        When it runs, if x is singular.
    """
    node = as_node(x)
    check_square("inv", node.spec)
    return solve(node, identity_of(node))


@inv.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    turned = matrix_transpose(out)
    return (-matmul(matmul(turned, g), turned),)


def lstsq(a: Operand, b: Operand, /, *, rtol: float | None = None) -> Node:
    """The x of least squares: it makes the norm of ``a x - b`` smallest, and of all such x it has the smallest norm.

    ``[..., m, n], [..., m, k] -> [..., n, k]``, or ``[..., m, n], [m] -> [..., n]`` for a vector. It is ``pinv(a) @ b``; the
    derivative is that among matrices a of the same rank. Only the solution is given, unlike in NumPy.
    Source: Golub, Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate", 1973.

    >>> gn.evaluate(gn.lstsq([[1.0], [1.0]], [1.0, 3.0])).round(4)
    array([2.], dtype=float32)
    """
    left, right = as_nodes("lstsq", a, b)
    if left.ndim < 2 or right.ndim == 0 or left.shape[-2] != right.shape[-1 if right.ndim == 1 else -2]:
        raise explain(
            ShapeError(
                f"lstsq: {shape_text(left.shape)} and {shape_text(right.shape)} do not have the same number of rows",
                "It takes a matrix [..., m, n] and right sides [..., m, k], or a vector [m].",
            ),
            (left, right),
        )
    return matmul(pinv(left, rtol=rtol), right)


def lu_solve(factors: LUResult, b: Operand, /) -> Node:
    """The solution x of ``a x = b`` from the factors of ``gn.lu(a)``, which serve for any number of right sides.

    ``[..., n, k] -> [..., n, k]``; a single axis makes b a vector. Further axes are batches and broadcast.

    >>> factors = gn.lu([[0.0, 2.0], [4.0, 0.0]])
    >>> gn.evaluate(gn.lu_solve(factors, [2.0, 4.0]))
    array([1., 1.], dtype=float32)

    Raises
    ------
    ShapeError
        If the matrix was not square or b has another number of rows.
    ExecutionError
        When it runs, if the matrix is singular.
    """
    permutation, lower, upper = (as_node(part) for part in factors)
    node = as_node(b)
    right = expand_dims(node, axis=1) if node.ndim == 1 else node
    try:
        batch = broadcast("lu_solve", check_square("lu_solve", lower.spec), check_matrix("lu_solve", right.spec))
        check_square("lu_solve", upper.spec)
        if lower.shape[-1] != right.shape[-2]:
            raise ShapeError(
                f"lu_solve: sizes differ: {lower.shape[-1]} unknowns != {right.shape[-2]} rows of the right side"
            )
    except ShapeError as error:
        raise explain(error, (lower, node)) from None
    right = broadcast_to(right, (*batch, *right.shape[-2:]))
    order = broadcast_to(permutation, (*batch, permutation.shape[-1]))
    moved = take_along_axis(right, expand_dims(order, axis=-1), axis=-2)
    forward = TriangularSolve(True, False, True)(lower, moved)
    solution = TriangularSolve(False, False, False)(upper, forward)
    return squeeze(solution, -1) if node.ndim == 1 else solution


def matrix_rank(x: Operand, /, *, rtol: Operand | None = None) -> Node:
    """How many singular values are larger than `rtol` times the largest one: ``[..., m, n] -> [...]``, int64.

    `rtol` is ``max(m, n)`` times the rounding unit unless told; it may be an array, with a number for each matrix.

    >>> gn.evaluate(gn.matrix_rank([[1.0, 2.0], [2.0, 4.0]]))
    array(1)

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    node = as_node(x)
    batch = check_matrix("matrix_rank", node.spec)
    m, n = node.shape[-2:]
    values = svdvals(node)
    if rtol is None:
        limit = size_node(n + positive_part(m - n), node.dtype) * unit_of(node.dtype)
    else:
        limit = as_node(rtol, node.dtype)
    zero = broadcast_to(as_node(0.0, node.dtype), (*batch, 1))  # so that there is a largest one, whatever the size
    largest = max(concat([values, zero], axis=-1), axis=-1)
    return sum(astype(values > expand_dims(limit * largest, axis=-1), int64), axis=-1)


def matrix_power(x: Operand, n: int, /) -> Node:
    """The product of n matrices x, by repeated squaring; the unit matrix for 0, the inverse of x first for n < 0.

    >>> gn.evaluate(gn.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5))
    array([[1., 5.],
           [0., 1.]], dtype=float32)

    Raises
    ------
    ShapeError
        If x is not square.
    """
    node = as_node(x)
    if isinstance(n, bool) or not isinstance(n, int):
        raise GraphError(
            f"matrix_power: the power is an int, not {n!r}", "For the roots of a matrix there is no function."
        )
    check_square("matrix_power", node.spec)
    if n == 0:
        return broadcast_to(identity_of(node), node.shape)
    if n < 0:
        node, n = inv(node), -n
    result: Node | None = None
    while True:
        if n % 2:
            result = node if result is None else matmul(result, node)
        n //= 2
        if result is not None and n == 0:
            return result
        node = matmul(node, node)


@composite(latex=r"\left\lVert {0} \right\rVert_{{{ord}}}")
def matrix_norm(x: Operand, /, *, keepdims: bool = False, ord: float | str = "fro") -> Node:
    """A norm of matrices: ``[..., m, n] -> [...]``.

    Parameters
    ----------
    keepdims : keep the last two axes with the size 1
    ord : ``"fro"`` for the root of the sum of squares, ``"nuc"`` for the sum of the singular values, ``2`` for the largest of
        them, ``1`` for the largest sum of magnitudes of a column, ``inf`` for that of a row; ``-2``, ``-1`` and ``-inf`` for
        the smallest instead

    >>> gn.evaluate(gn.matrix_norm([[1.0, 2.0], [2.0, 4.0]]))
    array(5., dtype=float32)
    """
    node = as_node(x)
    check_kind("matrix_norm", "floating-point", (node.dtype,))
    if node.ndim < 2:
        raise ShapeError(
            f"matrix_norm takes matrices, not {shape_text(node.shape)}", "For vectors there is vector_norm."
        )
    if ord == "fro":
        return vector_norm(node, axis=(-2, -1), keepdims=keepdims)
    if ord not in ("nuc", 1, 2, math.inf, -1, -2, -math.inf) or isinstance(ord, bool):
        raise GraphError(f"matrix_norm: ord is 'fro', 'nuc', 1, 2, inf, -1, -2 or -inf, not {ord!r}")
    extreme = sum if isinstance(ord, str) else max if ord > 0 else min
    if ord in ("nuc", 2, -2):
        of_each = expand_dims(svdvals(node), axis=-2)
    else:
        of_each = sum(abs(node), axis=-2 if ord in (1, -1) else -1, keepdims=True)
    norm = extreme(of_each, axis=(-2, -1), keepdims=True)
    return norm if keepdims else squeeze(norm, (-2, -1))


def matrix_trace(x: Operand, /, *, offset: int = 0, dtype: Any = None) -> Node:
    """The sum of the diagonal of matrices, or of the one `offset` places right of it: ``[..., m, n] -> [...]``.

    The data type is that of `sum`. (``gn.trace`` shows the passes of a computation step by step.)

    >>> gn.evaluate(gn.matrix_trace([[1.0, 2.0], [3.0, 4.0]]))
    array(5., dtype=float32)
    """
    node = as_node(x)
    check_kind("matrix_trace", "numeric", (node.dtype,))
    if node.ndim < 2:
        raise ShapeError(f"matrix_trace takes matrices, not {shape_text(node.shape)}")
    diagonal = eye(*node.shape[-2:], k=offset, dtype=bool_)
    kept = where(diagonal, node, as_node(0 if node.dtype.is_integer else 0.0, node.dtype))
    return sum(kept, axis=(-2, -1), dtype=dtype)


def outer(x: Operand, y: Operand, /) -> Node:
    """All products of an element of x with one of y: ``[m], [n] -> [m, n]``.

    >>> gn.evaluate(gn.outer([1.0, 2.0], [3.0, 4.0]))
    array([[3., 4.],
           [6., 8.]], dtype=float32)
    """
    a, b = as_nodes("outer", x, y)
    if a.ndim != 1 or b.ndim != 1:
        raise explain(ShapeError("outer takes two vectors", "For arrays of more axes: tensordot with axes=0."), (a, b))
    return tensordot(a, b, axes=0)


def kron(x: Operand, y: Operand, /) -> Node:
    """The Kronecker product: x with each element replaced by its product with y. Axes are aligned at the last.

    >>> gn.evaluate(gn.kron([[1.0, 2.0]], [[1.0], [10.0]]))
    array([[ 1.,  2.],
           [10., 20.]], dtype=float32)
    """
    a, b = as_nodes("kron", x, y)
    ndim = a.ndim if a.ndim > b.ndim else b.ndim
    sizes_a, sizes_b = ((1,) * (ndim - node.ndim) + node.shape for node in (a, b))
    order = tuple(i for axis in range(ndim) for i in (axis, axis + ndim))
    product = permute_dims(tensordot(Reshape(sizes_a)(a), Reshape(sizes_b)(b), axes=0), order)
    return Reshape(tuple(m * n for m, n in zip(sizes_a, sizes_b, strict=True)))(product)


def cross(x: Operand, y: Operand, /, *, axis: int = -1) -> Node:
    """The vector product of vectors of three elements along an axis; other axes broadcast.

    >>> gn.evaluate(gn.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    array([0., 0., 1.], dtype=float32)
    """
    a, b = as_nodes("cross", x, y)
    places = [normalize_axis("cross", axis, node.ndim) for node in (a, b)]
    if any(node.shape[place] != 3 for node, place in zip((a, b), places, strict=True)):
        raise explain(ShapeError(f"cross takes vectors of 3 elements along axis {axis}"), (a, b))
    if axis >= 0 and a.ndim != b.ndim:
        raise explain(ShapeError("cross: count the axis from the end where the operands differ in axes"), (a, b))

    def element(node: Node, place: int, i: int) -> Node:
        return node[(slice(None),) * place + (i,)]

    (a0, a1, a2), (b0, b1, b2) = (
        [element(node, place, i) for i in range(3)] for node, place in zip((a, b), places, strict=True)
    )
    parts = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    return stack(parts, axis=axis if axis < 0 else places[0])

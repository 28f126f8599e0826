"""Matrices taken apart: QR and LU, for stacks of matrices.

Both are unique: the diagonal of R is not negative, that of L is 1. So they are the same on every machine but for rounding.
"""

from __future__ import annotations

from typing import NamedTuple

from graphnn.errors import DifferentiationError, GraphError
from graphnn.ir.dims import Size, positive_part
from graphnn.ir.dtype import int64
from graphnn.ir.leaves import DimSize, Iota, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, Multi
from graphnn.ir.spec import Bundle, Spec
from graphnn.ops.contraction import matmul
from graphnn.ops.indexing import take, take_along_axis
from graphnn.ops.linalg import TriangularSolve, check_matrix, triangle_of
from graphnn.ops.movement import broadcast_to, concat, expand_dims, matrix_transpose
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.results import results
from graphnn.ops.sorting import argsort


def smaller(m: Size, n: Size) -> Size:
    """The smaller of two sizes."""
    return m - positive_part(m - n)


def at_most(m: Size, n: Size) -> bool:
    """Whether it is known that ``m <= n``."""
    return positive_part(m - n) == 0


def _part(x: Node, start: Size, count: Size, axis: int) -> Node:
    """So many rows (axis -2) or columns (axis -1) of matrices, also for sizes with names."""
    if count == x.shape[axis]:
        return x
    index: Node = Iota(count, int64)()
    if start != 0:
        index = index + (constant(start, int64) if isinstance(start, int) else DimSize(start, int64)())
    return take(x, index, axis=axis)


def add_present(a: Node | None, b: Node | None) -> Node | None:
    """The sum of what is there; None where nothing is."""
    return b if a is None else a if b is None else a + b


def _divided_by_transpose(x: Node, upper: Node) -> Node:
    """``x inv(upper)'`` for an upper triangle."""
    return matrix_transpose(TriangularSolve(False, False, False)(upper, matrix_transpose(x)))


def no_derivative(what: str, hint: str, operands: tuple[Node, ...]) -> DifferentiationError:
    """The error for a result that has no derivative, with the user's line."""
    error = explain(DifferentiationError(what, hint), operands)
    assert isinstance(error, DifferentiationError)
    return error


# --- QR ---


class Qr(Multi):
    """The factors Q, with orthonormal columns, and R, upper triangular and not negative on the diagonal, of ``x = Q R``"""

    mode: str = "reduced"
    latex = r"\operatorname{{qr}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Bundle:
        (x,) = specs
        batch = check_matrix("qr", x)
        m, n = x.shape[-2:]
        k = smaller(m, n) if self.mode == "reduced" else m
        return Bundle((x.with_shape((*batch, m, k)), x.with_shape((*batch, k, n))))

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        (x,), (q, r), (gq, gr) = operands, outs, gs
        m, n = x.shape[-2:]
        k = smaller(m, n)
        if self.mode == "complete":
            if gq is not None and not at_most(m, n):
                raise no_derivative(
                    f"qr: with mode 'complete', the last of the {m} columns of Q have no derivative: any basis would do",
                    "Use mode='reduced', which leaves them out. R has a derivative in either mode.",
                    operands,
                )
            q, r = results(Qr(), x)
            gr = None if gr is None else _part(gr, 0, k, -2)
        # A wide matrix is [X, Y] with a square X = Q U, and R = [U, V] with V = Q' Y.
        u, rest = _part(r, 0, k, -1), positive_part(n - m)
        by_u = by_y = None
        if gr is not None:
            by_u = _part(gr, 0, k, -1)
            if rest != 0:
                by_v = _part(gr, k, rest, -1)
                by_y = matmul(q, by_v)
                gq = add_present(gq, matmul(_part(x, k, rest, -1), matrix_transpose(by_v)))
        inner = None if by_u is None else matmul(u, matrix_transpose(by_u))
        if gq is not None:
            inner = add_present(inner, -matmul(matrix_transpose(gq), q))
        assert inner is not None
        mirrored = triangle_of(inner, lower=True) + matrix_transpose(triangle_of(inner, lower=True, strict=True))
        total = add_present(gq, matmul(q, mirrored))
        assert total is not None
        by_x = _divided_by_transpose(total, u)
        if rest == 0:
            return (by_x,)
        if by_y is None:
            by_y = broadcast_to(as_node(0.0, x.dtype), (*x.shape[:-1], rest))
        return (concat([by_x, by_y], axis=-1),)


class QRResult(NamedTuple):
    """The factors of ``x = Q R``."""

    Q: Node
    R: Node


def qr(x: Operand, /, *, mode: str = "reduced") -> QRResult:
    """The factors of ``x = Q R``: Q with orthonormal columns, R upper triangular. By Householder reflections.

    ``[..., m, n] -> [..., m, k], [..., k, n]`` with k the smaller of m and n; with ``mode="complete"`` k is m. The diagonal
    of R is not negative: so the factors are unique where the first k columns of x are independent, and follow x continuously.

    For the cotangents gQ and gR of the factors, that of a tall x is ``(gQ + Q copy(R gR' - gQ' Q)) inv(R)'``, where ``copy``
    puts the lower triangle of a matrix into the upper one too.
    Where the first k columns are dependent R is singular, and the derivative an error when it runs. With
    ``mode="complete"``, Q has no derivative where x has more rows than columns.
    Source: Walter, Lehmann, "On evaluating higher-order derivatives of the QR decomposition of tall matrices with full
    column rank in forward and reverse mode algorithmic differentiation", 2010; for wide matrices Roberts, Roberts, "QR and
    LQ decomposition matrix backpropagation algorithms for square, wide, and deep matrices", 2020.

    >>> q, r = gn.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> gn.evaluate(q @ r).round(4)
    array([[3., 1.],
           [4., 2.]], dtype=float32)

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    if mode not in ("reduced", "complete"):
        raise GraphError(f"qr: mode is 'reduced' or 'complete', not {mode!r}")
    node = as_node(x)
    check_matrix("qr", node.spec)
    if at_most(*node.shape[-2:]):  # then both modes are the same
        mode = "reduced"
    return QRResult(*results(Qr(mode), node))


# --- LU ---


class Lu(Multi):
    """The permutation p of rows, and the factors L and U of ``x[p] = L U``"""

    latex = r"\operatorname{{lu}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Bundle:
        (x,) = specs
        batch = check_matrix("lu", x)
        m, n = x.shape[-2:]
        k = smaller(m, n)
        rows = x.with_shape((*batch, m)).with_dtype(int64)
        return Bundle((rows, x.with_shape((*batch, m, k)), x.with_shape((*batch, k, n))))

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        (x,), (permutation, lower, upper), (_, by_lower, by_upper) = operands, outs, gs
        m, n = x.shape[-2:]
        k, below, beside = smaller(m, n), positive_part(m - n), positive_part(n - m)
        # In blocks: [[X, Y], [Z, .]] = [L1; L2] [U1, U2] with square L1, U1; Y = L1 U2, Z = L2 U1; one of Y, Z is empty.
        l1, u1 = _part(lower, 0, k, -2), _part(upper, 0, k, -1)
        in_lower = in_upper = by_y = by_z = None
        if by_lower is not None:
            in_lower = matmul(matrix_transpose(l1), _part(by_lower, 0, k, -2))
            if below != 0:
                by_l2 = _part(by_lower, k, below, -2)
                by_z = _divided_by_transpose(by_l2, u1)
                in_upper = -matmul(matrix_transpose(_part(lower, k, below, -2)), by_l2)
        if by_upper is not None:
            in_upper = add_present(in_upper, matmul(_part(by_upper, 0, k, -1), matrix_transpose(u1)))
            if beside != 0:
                by_u2 = _part(by_upper, k, beside, -1)
                by_y = TriangularSolve(True, True, True)(l1, by_u2)
                in_lower = add_present(in_lower, -matmul(by_u2, matrix_transpose(_part(upper, k, beside, -1))))
        inner = add_present(
            None if in_lower is None else triangle_of(in_lower, lower=True, strict=True),
            None if in_upper is None else triangle_of(in_upper, lower=False),
        )
        assert inner is not None
        by_x = _divided_by_transpose(TriangularSolve(True, True, True)(l1, inner), u1)
        zero, batch = as_node(0.0, x.dtype), x.shape[:-2]
        if beside != 0:
            by_x = concat([by_x, broadcast_to(zero, (*batch, k, beside)) if by_y is None else by_y], axis=-1)
        if below != 0:
            bottom = broadcast_to(zero, (*batch, below, k)) if by_z is None else by_z
            if beside != 0:
                bottom = concat([bottom, broadcast_to(zero, (*batch, below, beside))], axis=-1)
            by_x = concat([by_x, bottom], axis=-2)
        return (take_along_axis(by_x, expand_dims(argsort(permutation), axis=-1), axis=-2),)


class LUResult(NamedTuple):
    """The factors of ``x[permutation] = L U``."""

    permutation: Node
    L: Node
    U: Node


def lu(x: Operand, /) -> LUResult:
    """The factors of ``x[permutation] = L U``: L lower triangular with ones on its diagonal, U upper triangular.

    ``[..., m, n] -> [..., m], [..., m, k], [..., k, n]`` with k the smaller of m and n. The permutation (int64) takes, for
    each column, the row with the largest magnitude that is left. `lu_solve` solves equations with them.

    The cotangent of a square ``x[permutation]`` is ``inv(L)' (tril(L' gL) + triu(gU U')) inv(U)'``, where tril leaves the
    diagonal out. U must not be singular there; else the derivative is an error when it runs.
    Source: de Hoog, Anderssen, Lukas, "Differentiation of matrix functionals using triangular factorization", 2011.

    >>> permutation, lower, upper = gn.lu([[1.0, 2.0], [2.0, 2.0]])
    >>> gn.evaluate([permutation, lower, upper])
    [array([1, 0]), array([[1. , 0. ],
           [0.5, 1. ]], dtype=float32), array([[2., 2.],
           [0., 1.]], dtype=float32)]

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    return LUResult(*results(Lu(), as_node(x)))

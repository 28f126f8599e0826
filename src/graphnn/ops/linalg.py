"""Linear algebra: solving, factorising and inverting stacks of matrices. The last two axes are those of a matrix."""

from __future__ import annotations

from typing import NamedTuple

from graphnn.errors import ShapeError
from graphnn.ir.dtype import DEFAULT_INT, DType, result_dtype
from graphnn.ir.leaves import Iota
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent, General
from graphnn.ir.spec import Shape, Spec, broadcast, shape_text
from graphnn.ops.bitwise import astype
from graphnn.ops.comparison import where
from graphnn.ops.contraction import matmul
from graphnn.ops.kinds import MULTIPLY, check_kind
from graphnn.ops.movement import Reshape, expand_dims, matrix_transpose, squeeze
from graphnn.ops.operands import Operand, as_node, as_nodes
from graphnn.ops.reduction import sum


def check_matrix(name: str, spec: Spec) -> Shape:
    """Check that there are at least two axes, and floating-point numbers; give the sizes of the axes before them."""
    check_kind(name, "floating-point", (spec.dtype,))
    if spec.ndim < 2:
        raise ShapeError(
            f"{name} takes matrices, not {shape_text(spec.shape)}",
            "The last two axes are rows and columns; a vector becomes a matrix of one column by x[:, None].",
        )
    return spec.shape[:-2]


def check_square(name: str, spec: Spec) -> Shape:
    """Check that the matrices have as many rows as columns; give the sizes of the axes before them."""
    batch = check_matrix(name, spec)
    if spec.shape[-2] != spec.shape[-1]:
        raise ShapeError(
            f"{name} takes square matrices: {spec.shape[-2]} rows != {spec.shape[-1]} columns",
            f"The operand is {spec}; its last two sizes must be equal.",
        )
    return batch


def identity_of(x: Node) -> Node:
    """The unit matrix that has as many rows as x, in its data type."""
    rows = Iota(x.shape[-2], DEFAULT_INT)()
    return astype(expand_dims(rows, axis=1) == rows, x.dtype)


def triangle_of(x: Node, *, lower: bool, strict: bool = False) -> Node:
    """x with zeros above the diagonal, or below it; with `strict` also on it."""
    rows = expand_dims(Iota(x.shape[-2], DEFAULT_INT)(), axis=1)
    columns = Iota(x.shape[-1], DEFAULT_INT)()
    first, second = (rows, columns) if lower else (columns, rows)
    return where(first > second if strict else first >= second, x, as_node(0.0, x.dtype))


def _half(x: Node) -> Node:
    """The lower triangle of which the diagonal is halved: ``half(s) + half(s)' = s`` for symmetric s."""
    return 0.5 * (triangle_of(x, lower=True) + triangle_of(x, lower=True, strict=True))


def _symmetric_part(x: Node) -> Node:
    return 0.5 * (x + matrix_transpose(x))


class _Solving(General):
    """The solution x of ``a x = b`` for stacks of matrices"""

    precedence = MULTIPLY

    def infer(self, *specs: Spec) -> Spec:
        a, b = specs
        batch_a, batch_b = check_square(self.name, a), check_matrix(self.name, b)
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"{self.name}: sizes differ: {a.shape[-1]} unknowns != {b.shape[-2]} rows of the right side",
                f"The matrix is {a}, the right side {b}.",
            )
        dtype: DType = result_dtype(self.name, a.dtype, b.dtype)
        return Spec((*broadcast(self.name, batch_a, batch_b), *b.shape[-2:]), dtype)


class Solve(_Solving):
    """The solution x of the linear equations ``a x = b``"""

    latex = "{0:41}^{{-1}} {1:20}"

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        by_b = self(matrix_transpose(operands[0]), g)
        return -matmul(by_b, matrix_transpose(out)), by_b

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        right = _moved_right_side(tangents[0], tangents[1], out)
        return None if right is None else self(operands[0], right)


def _moved_right_side(da: Node | None, db: Node | None, x: Node) -> Node | None:
    """``db - da x``: the right side of the equations for the tangent of x."""
    if da is None:
        return db
    return -matmul(da, x) if db is None else db - matmul(da, x)


def solve(a: Operand, b: Operand, /) -> Node:
    """The solution x of ``a x = b``, by LU factorisation: ``[..., n, n], [..., n, k] -> [..., n, k]``.

    A single axis makes b a vector, and so the solution. Further axes are batches and broadcast. The derivative by b
    is ``solve(a', g)``, that by a the product ``-solve(a', g) x'``.
    Source: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008.

    >>> gn.evaluate(gn.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]))
    array([1. , 0.5], dtype=float32)

    Raises
    ------
    ShapeError
        If a is not square or b has another number of rows.
    ExecutionError
        When it runs, if a is singular.
    """
    left, right = as_nodes("solve", a, b)
    if right.ndim == 1:
        return squeeze(Solve()(left, expand_dims(right, axis=1)), -1)
    return Solve()(left, right)


class TriangularSolve(_Solving):
    """The solution x of ``a x = b`` for a triangular a, of which only that triangle is read"""

    lower: bool
    transposed: bool
    unit_diagonal: bool
    latex = r"\operatorname{{tri}}\left({0}\right)^{{-1}} {1:20}"

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        by_b = TriangularSolve(self.lower, not self.transposed, self.unit_diagonal)(operands[0], g)
        first, second = (out, by_b) if self.transposed else (by_b, out)
        by_a = triangle_of(matmul(first, matrix_transpose(second)), lower=self.lower, strict=self.unit_diagonal)
        return -by_a, by_b

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        da, db = tangents
        if da is not None:
            da = triangle_of(da, lower=self.lower, strict=self.unit_diagonal)
            da = matrix_transpose(da) if self.transposed else da
        right = _moved_right_side(da, db, out)
        return None if right is None else self(operands[0], right)


def triangular_solve(
    a: Operand, b: Operand, /, *, lower: bool = True, transposed: bool = False, unit_diagonal: bool = False
) -> Node:
    """The solution x of ``a x = b`` for triangular a: ``[..., n, n], [..., n, k] -> [..., n, k]``.

    Parameters
    ----------
    lower : read the lower triangle of a, else the upper one; the other one counts as zeros
    transposed : solve ``a' x = b`` instead
    unit_diagonal : take the diagonal of a as ones, without reading it

    Source: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008.

    >>> gn.evaluate(gn.triangular_solve([[2.0, 0.0], [1.0, 4.0]], [2.0, 9.0]))
    array([1., 2.], dtype=float32)

    Raises
    ------
    ShapeError
        If a is not square or b has another number of rows.
    ExecutionError
        When it runs, if there is a zero on the diagonal.
    """
    left, right = as_nodes("triangular_solve", a, b)
    op = TriangularSolve(lower, transposed, unit_diagonal)
    if right.ndim == 1:
        return squeeze(op(left, expand_dims(right, axis=1)), -1)
    return op(left, right)


class Cholesky(General):
    """The lower triangular L with ``L L' = (x + x') / 2``"""

    latex = r"\operatorname{{chol}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        check_square(self.name, specs[0])
        return specs[0]

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        solve_transposed = TriangularSolve(True, True, False)
        inner = solve_transposed(out, _half(matmul(matrix_transpose(out), g)))
        return (_symmetric_part(solve_transposed(out, matrix_transpose(inner))),)

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        (dx,) = tangents
        if dx is None:
            return None
        solve_lower = TriangularSolve(True, False, False)
        inner = matrix_transpose(solve_lower(out, _symmetric_part(dx)))
        return matmul(out, _half(solve_lower(out, inner)))


def cholesky(x: Operand, /, *, upper: bool = False) -> Node:
    """The Cholesky factor of positive definite matrices: L, lower triangular, with ``L L' = x``.

    With ``upper=True`` its transpose U, with ``U' U = x``. The factor is that of the symmetric part ``(x + x') / 2``, so
    the derivative by x is symmetric.
    Source: Murray, "Differentiation of the Cholesky decomposition", 2016.

    >>> gn.evaluate(gn.cholesky([[4.0, 2.0], [2.0, 5.0]]))
    array([[2., 0.],
           [1., 2.]], dtype=float32)

    Raises
    ------
    ShapeError
        If x is not square.
    ExecutionError
        When it runs, if x is not positive definite.
    """
    factor = Cholesky()(as_node(x))
    return matrix_transpose(factor) if upper else factor


class _OfSquare(General):
    """One number for each matrix of a stack."""

    def infer(self, *specs: Spec) -> Spec:
        return specs[0].with_shape(check_square(self.name, specs[0]))


def _for_each_matrix(g: Node) -> Node:
    return Reshape((*g.shape, 1, 1))(g)


class Det(_OfSquare):
    """The determinant"""

    latex = r"\det\left({0}\right)"

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        # The cofactors and not det(x) inv(x)': a singular matrix has no inverse, but its determinant has a derivative.
        return (_for_each_matrix(g) * Cofactor()(operands[0]),)


class Cofactor(General):
    """The matrix of cofactors: the derivative of the determinant by each element"""

    latex = r"\operatorname{{cof}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        check_square(self.name, specs[0])
        return specs[0]

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        (x,) = operands
        weight = sum(g * out, axis=(-2, -1), keepdims=True)
        right = weight * identity_of(x) - matmul(g, matrix_transpose(out))
        return (matrix_transpose(Solve()(x, right)),)


def det(x: Operand, /) -> Node:
    """The determinant of square matrices: ``[..., n, n] -> [...]``.

    Its derivative is the matrix of cofactors, also where x is singular; the second derivative needs a regular x.

    >>> gn.evaluate(gn.det([[1.0, 2.0], [3.0, 5.0]])).round(4)
    np.float32(-1.0)

    Raises
    ------
    ShapeError
        If x is not square.
    """
    return Det()(as_node(x))


class Logabsdet(_OfSquare):
    """The logarithm of the magnitude of the determinant"""

    latex, python = r"\log \left| \det\left({0}\right) \right|", "slogdet({0}).logabsdet"

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        (x,) = operands
        return (_for_each_matrix(g) * Solve()(matrix_transpose(x), identity_of(x)),)


class DetSign(_OfSquare):
    """The sign of the determinant: 1, -1, or 0 where the matrix is singular"""

    latex, python = r"\operatorname{{sign}} \det\left({0}\right)", "slogdet({0}).sign"

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        return (None,)

    def jvp(self, tangents: tuple[Node | None, ...], *operands: Node, out: Node) -> Node | None:
        return None


class Slogdet(NamedTuple):
    """The sign of a determinant and the logarithm of its magnitude."""

    sign: Node
    logabsdet: Node


def slogdet(x: Operand, /) -> Slogdet:
    """The determinant in two parts that do not overflow: ``det(x) = sign * exp(logabsdet)``, each ``[..., n, n] -> [...]``.

    Where x is singular, the sign is 0 and the logarithm -inf. The derivative of ``logabsdet`` is ``inv(x)'``, that of the
    sign 0.

    >>> sign, logabsdet = gn.slogdet([[0.0, 2.0], [2.0, 0.0]])
    >>> gn.evaluate([sign, gn.exp(logabsdet)])
    [array(-1., dtype=float32), array(4., dtype=float32)]

    Raises
    ------
    ShapeError
        If x is not square.
    """
    node = as_node(x)
    return Slogdet(DetSign()(node), Logabsdet()(node))


class Pinv(General):
    """The pseudo-inverse; singular values up to `rtol` times the largest one count as zero"""

    rtol: float | None
    latex = "{0:41}^{{+}}"

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        batch = check_matrix(self.name, x)
        return x.with_shape((*batch, x.shape[-1], x.shape[-2]))

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        (x,) = operands
        turned, back = matrix_transpose(g), matrix_transpose(out)
        left = matmul(matmul(turned, out), back)
        right = matmul(back, matmul(out, turned))
        through = matmul(matmul(back, g), back)
        return ((left - matmul(x, matmul(out, left))) + (right - matmul(matmul(right, out), x)) - through,)


def pinv(x: Operand, /, *, rtol: float | None = None) -> Node:
    """The pseudo-inverse of Moore and Penrose, by singular values: ``[..., m, n] -> [..., n, m]``.

    Singular values up to `rtol` times the largest one count as zero; the default is ``max(m, n)`` times the rounding unit.
    The derivative is that among matrices of the same rank; where the rank changes there is none.
    Source: Golub, Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate", 1973.

    >>> gn.evaluate(gn.pinv([[2.0, 0.0], [0.0, 0.0]]))
    array([[0.5, 0. ],
           [0. , 0. ]], dtype=float32)
    """
    return Pinv(rtol)(as_node(x))

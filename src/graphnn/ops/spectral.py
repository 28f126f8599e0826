"""Eigenvalues and singular values, for stacks of matrices.

The signs of eigenvectors and of pairs of singular vectors are left as LAPACK gives them: no choice of them is continuous. The
same matrix always gives the same vectors on one machine, but only what does not depend on their signs is the same
everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

from graphnn.ir.dtype import DType, bfloat16, float16, float32
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent, General, Multi
from graphnn.ir.spec import Bundle, Spec
from graphnn.ops.arithmetic import abs
from graphnn.ops.comparison import less_equal, where
from graphnn.ops.contraction import matmul
from graphnn.ops.decompositions import add_present, at_most, no_derivative, smaller
from graphnn.ops.linalg import check_matrix, check_square, identity_of
from graphnn.ops.movement import expand_dims, matrix_transpose
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import sum
from graphnn.ops.results import results

_UNITS: dict[DType, float] = {bfloat16: 2.0**-7, float16: 2.0**-10, float32: 2.0**-23}


def unit_of(dtype: DType) -> float:
    """The rounding unit of a floating-point data type: the distance from 1 to the next number."""
    return _UNITS.get(dtype, 2.0**-52)


def _noise(values: Node) -> Node:
    """How far apart two of these eigenvalues or singular values must be to be told apart in their data type."""
    # LAPACK's errors are a few units of the largest magnitude; 16-bit numbers are rounded once, from exacter ones.
    units = 1.0 if values.dtype.bits == 16 else 4.0
    return units * unit_of(values.dtype) * sum(abs(values), axis=-1, keepdims=True)


def _inverse(x: Node, noise: Node) -> Node:
    """1 / x, but 0 where x cannot be told from 0."""
    zero = less_equal(abs(x), noise)
    one, nothing = as_node(1.0, x.dtype), as_node(0.0, x.dtype)
    return where(zero, nothing, 1.0 / where(zero, one, x))


def _differences(values: Node) -> Node:
    """At row i and column j: ``values[j] - values[i]``."""
    return expand_dims(values, axis=-2) - expand_dims(values, axis=-1)


# --- eigenvalues of symmetric matrices ---


class Eigh(Multi):
    """The eigenvalues, in ascending order, and the eigenvectors, as columns, of ``(x + x') / 2``"""

    latex = r"\operatorname{{eigh}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Bundle:
        (x,) = specs
        check_square("eigh", x)
        return Bundle((x.with_shape(x.shape[:-1]), x))

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        (values, v), (by_values, by_v) = outs, gs
        inner = None
        if by_values is not None:
            inner = expand_dims(by_values, axis=-2) * identity_of(v)
        if by_v is not None:
            turned = matmul(matrix_transpose(v), by_v)
            gaps = _inverse(_differences(values), expand_dims(_noise(values), axis=-1))
            inner = add_present(inner, 0.5 * gaps * (turned - matrix_transpose(turned)))
        assert inner is not None
        return (matmul(matmul(v, inner), matrix_transpose(v)),)


class EighResult(NamedTuple):
    """The eigenvalues and eigenvectors of symmetric matrices."""

    eigenvalues: Node
    eigenvectors: Node


def eigh(x: Operand, /) -> EighResult:
    """The eigenvalues and eigenvectors of symmetric matrices: ``[..., n, n] -> [..., n], [..., n, n]``.

    The eigenvalues are in ascending order; ``eigenvectors[..., :, i]`` belongs to the i-th, has the length 1 and the sign
    that LAPACK gives it. They are those of the symmetric part ``(x + x') / 2``, so the derivative by x is symmetric.

    For ``x = V diag(w) V'`` the cotangent is ``V (diag(gw) + F * skew(V' gV)) V'`` with ``F[i, j] = 1 / (w[j] - w[i])`` and
    ``skew(a) = (a - a') / 2``. The eigenvectors of equal eigenvalues are any basis of their space and have no derivative;
    here F is 0 for eigenvalues that differ by no more than rounding does (four rounding units of the sum of their
    magnitudes, one for 16-bit numbers). This is exact for what depends on the space but not on its basis, such as the
    projection onto it. What treats the equal eigenvalues one by one, such as ``V diag(f(w)) V'``, loses its part ``f'(w)``
    between them.
    Source: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008;
    Seeger et al., "Auto-differentiating linear algebra", 2017.

    >>> w, v = gn.eigh([[2.0, 1.0], [1.0, 2.0]])
    >>> gn.evaluate(w).round(4)
    array([1., 3.], dtype=float32)

    Raises
    ------
    ShapeError
        If x is not square.
    """
    return EighResult(*results(Eigh(), as_node(x)))


class Eigvalsh(General):
    """The eigenvalues of ``(x + x') / 2`` in ascending order"""

    latex = r"\operatorname{{eigvalsh}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        check_square(self.name, x)
        return x.with_shape(x.shape[:-1])

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        _, v = results(Eigh(), *operands)
        return (matmul(v * expand_dims(g, axis=-2), matrix_transpose(v)),)


def eigvalsh(x: Operand, /) -> Node:
    """The eigenvalues of symmetric matrices in ascending order: ``[..., n, n] -> [..., n]``.

    They are those of the symmetric part ``(x + x') / 2``. The derivative of an eigenvalue is ``v v'`` for its eigenvector v.
    Source: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008.

    >>> gn.evaluate(gn.eigvalsh([[2.0, 1.0], [1.0, 2.0]])).round(4)
    array([1., 3.], dtype=float32)

    Raises
    ------
    ShapeError
        If x is not square.
    """
    return Eigvalsh()(as_node(x))


# --- singular values ---


class Svd(Multi):
    """The singular values S, in descending order, and the singular vectors of ``x = U diag(S) Vh``"""

    full_matrices: bool
    latex = r"\operatorname{{svd}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Bundle:
        (x,) = specs
        batch = check_matrix("svd", x)
        m, n = x.shape[-2:]
        k = smaller(m, n)
        rows, columns = (m, n) if self.full_matrices else (k, k)
        return Bundle(x.with_shape((*batch, *sizes)) for sizes in ((m, rows), (k,), (columns, n)))

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        (x,), (u, s, vh), (by_u, by_s, by_vh) = operands, outs, gs
        m, n = x.shape[-2:]
        no_more_rows, no_more_columns = at_most(m, n), at_most(n, m)
        if self.full_matrices:
            for which, g, fits in (("U", by_u, no_more_rows), ("Vh", by_vh, no_more_columns)):
                if g is not None and not fits:
                    raise no_derivative(
                        f"svd: with full_matrices=True, {which} of {x.spec} holds vectors that belong to no singular value "
                        "and have no derivative: any basis would do",
                        "Use full_matrices=False, which leaves them out.",
                        operands,
                    )
            u, s, vh = results(Svd(False), x)
        noise = _noise(s)
        inner = None if by_s is None else expand_dims(by_s, axis=-2) * identity_of(matmul(vh, matrix_transpose(vh)))
        turned_u = turned_v = outside = None
        if by_u is not None:
            turned_u = matmul(matrix_transpose(u), by_u)
            if not no_more_rows:
                across = (by_u - matmul(u, turned_u)) * expand_dims(_inverse(s, noise), axis=-2)
                outside = matmul(across, vh)
        if by_vh is not None:
            turned_v = matmul(vh, matrix_transpose(by_vh))
            if not no_more_columns:
                across = (by_vh - matmul(matrix_transpose(turned_v), vh)) * expand_dims(_inverse(s, noise), axis=-1)
                outside = add_present(outside, matmul(u, across))
        if turned_u is not None or turned_v is not None:
            inner = add_present(inner, self._rotation(s, noise, turned_u, turned_v))
        assert inner is not None
        return (add_present(matmul(matmul(u, inner), vh), outside),)

    @staticmethod
    def _rotation(s: Node, noise: Node, turned_u: Node | None, turned_v: Node | None) -> Node:
        # (a s[j] + s[i] b) / (s[j]^2 - s[i]^2) for a = skew(U' gU), b = skew(V' gV), in partial fractions: then only the
        # part a + b meets the difference of equal singular values, and nothing is squared.
        a = None if turned_u is None else turned_u - matrix_transpose(turned_u)
        b = None if turned_v is None else turned_v - matrix_transpose(turned_v)
        noise = expand_dims(noise, axis=-1)
        plus, minus = add_present(a, b), add_present(a, None if b is None else -b)
        assert plus is not None
        assert minus is not None
        sums = expand_dims(s, axis=-2) + expand_dims(s, axis=-1)
        return 0.5 * (plus * _inverse(_differences(s), noise) + minus * _inverse(sums, noise))


class SVDResult(NamedTuple):
    """The factors of ``x = U diag(S) Vh``."""

    U: Node
    S: Node
    Vh: Node


def svd(x: Operand, /, *, full_matrices: bool = True) -> SVDResult:
    """The singular values and vectors of ``x = U diag(S) Vh``, the singular values in descending order.

    ``[..., m, n] -> [..., m, m], [..., k], [..., n, n]`` with k the smaller of m and n; with ``full_matrices=False`` U is
    ``[..., m, k]`` and Vh ``[..., k, n]``. The sign of each pair ``U[..., :, i], Vh[..., i, :]`` is that which LAPACK gives.

    With ``full_matrices=True``, U has a derivative only where it is known that ``m <= n``, Vh only where ``n <= m``; S always.
    Singular vectors of equal singular values are any basis of their space and have no derivative: as for `eigh`, the
    inverse of a difference counts as 0 where singular values differ by no more than rounding does, and so does the inverse
    of a singular value that cannot be told from 0.
    Source: Townsend, "Differentiating the singular value decomposition", 2016.

    >>> u, s, vh = gn.svd([[0.0, 2.0], [1.0, 0.0]])
    >>> gn.evaluate([s, (u * s) @ vh])
    [array([2., 1.], dtype=float32), array([[0., 2.],
           [1., 0.]], dtype=float32)]

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    node = as_node(x)
    check_matrix("svd", node.spec)
    return SVDResult(*results(Svd(full_matrices and node.shape[-2] != node.shape[-1]), node))


class Svdvals(General):
    """The singular values in descending order"""

    latex = r"\operatorname{{svdvals}}\left({0}\right)"

    def infer(self, *specs: Spec) -> Spec:
        (x,) = specs
        return x.with_shape((*check_matrix(self.name, x), smaller(*x.shape[-2:])))

    def vjp(self, g: Node, *operands: Node, out: Node) -> tuple[Cotangent, ...]:
        u, _, vh = results(Svd(False), *operands)
        return (matmul(u * expand_dims(g, axis=-2), vh),)


def svdvals(x: Operand, /) -> Node:
    """The singular values in descending order: ``[..., m, n] -> [..., k]`` with k the smaller of m and n.

    The derivative of a singular value is ``u v'`` for its singular vectors u and v; at 0 it is that of one side.
    Source: Townsend, "Differentiating the singular value decomposition", 2016.

    >>> gn.evaluate(gn.svdvals([[0.0, 2.0], [1.0, 0.0]]))
    array([2., 1.], dtype=float32)

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    return Svdvals()(as_node(x))

"""Cases of `graphnn.ops.linalg` and `graphnn.functions.linear_algebra`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import linear_algebra as functions
from graphnn.ir.arrays import Array
from graphnn.ops import linalg as ops
from graphnn.testing.case import NUMBERS, OpCase
from graphnn.testing.domains import REAL, Domain


def _dominant(u: Array) -> Array:
    signs = 1.0 - 2.0 * (np.arange(u.shape[-2]) % 2)
    return 0.3 * u + 3.0 * signs[:, None] * np.eye(*u.shape[-2:])


# For up to three rows the diagonal outweighs the rest, so all singular values are larger than 0.3.
REGULAR = Domain("regular", _dominant)
POSITIVE_DEFINITE = Domain("positive definite", lambda u: 0.25 * u @ np.swapaxes(u, -1, -2) + np.eye(u.shape[-1]))


def _unequal(u: Array) -> Array:
    rows, columns = np.arange(u.shape[-2])[:, None], np.arange(u.shape[-1])
    return np.where(u < 0, -1.0, 1.0) * (1.0 + rows + 2.5 * columns + 0.2 * np.tanh(u))


# No element is near 0, and no two rows or columns have nearly the same sum of magnitudes.
UNEQUAL = Domain("unequal rows and columns", _unequal)

_NO_AXES = "it needs matrices"
_SQUARE = ((3, 3), (1, 1), (2, 2), (0, 0), (2, 3, 3), (0, 2, 2))
_ANY = ((3, 3), (2, 3), (3, 1), (0, 2), (2, 3, 2))
_EQUATIONS = (
    ((3, 3), (3, 2)), ((1, 1), (1, 1)), ((2, 2), (2,)), ((0, 0), (0, 2)), ((2, 2), (2, 0)), ((2, 3, 3), (3, 1)),
    ((2, 2), (3, 2, 2)), ((2, 1, 2, 2), (3, 2, 1)),
)  # fmt: skip


def _square(build: Any, reference: Any, **options: Any) -> OpCase:
    return OpCase(build, reference, _SQUARE, **{"domain": REGULAR, "no_scalar": _NO_AXES, **options})


def _solve(a: Array, b: Array) -> Array:
    # NumPy takes b for a vector only where it has a single axis, as graphnn does.
    return np.asarray(np.linalg.solve(a, b))


def _triangular(name: str, triangle: Any, **options: Any) -> OpCase:
    def reference(a: Array, b: Array) -> Array:
        part = triangle(a)
        if options.get("unit_diagonal"):
            part = part - part * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
        return _solve(np.swapaxes(part, -1, -2) if options.get("transposed") else part, b)

    return OpCase(
        lambda a, b: ops.triangular_solve(a, b, **options),
        reference,
        _EQUATIONS,
        (REGULAR, REAL),
        name=name,
        no_scalar=_NO_AXES,
    )


def _cofactors(x: Array) -> Array:
    return np.asarray(np.linalg.det(x)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2))


CASES = (
    OpCase(ops.solve, _solve, _EQUATIONS, (REGULAR, REAL), no_scalar=_NO_AXES),
    _triangular("triangular_solve", np.tril),
    _triangular("triangular_solve[upper]", np.triu, lower=False),
    _triangular("triangular_solve[transposed]", np.tril, transposed=True),
    _triangular("triangular_solve[upper, transposed]", np.triu, lower=False, transposed=True),
    _triangular("triangular_solve[unit]", np.tril, unit_diagonal=True),
    _square(ops.cholesky, np.linalg.cholesky, domain=POSITIVE_DEFINITE),
    _square(
        lambda x: ops.cholesky(x, upper=True),
        lambda x: np.swapaxes(np.linalg.cholesky(x), -1, -2),
        domain=POSITIVE_DEFINITE,
        name="cholesky[upper]",
    ),
    _square(
        lambda x: ops.cholesky(x),
        lambda x: np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2),
        domain=Domain("of positive definite symmetric part", lambda u: 0.3 * u + 3.0 * np.eye(u.shape[-1])),
        name="cholesky[not symmetric]",
    ),
    _square(ops.det, np.linalg.det),
    _square(lambda x: ops.Cofactor()(x), _cofactors, name="det[cofactors]"),
    _square(lambda x: ops.slogdet(x).logabsdet, lambda x: np.linalg.slogdet(x)[1], name="slogdet[logabsdet]"),
    _square(lambda x: ops.slogdet(x).sign, lambda x: np.linalg.slogdet(x)[0], name="slogdet[sign]"),
    OpCase(ops.pinv, np.linalg.pinv, _ANY, REGULAR, no_scalar=_NO_AXES),
    _square(functions.inv, np.linalg.inv),
    OpCase(
        functions.lstsq,
        lambda a, b: np.linalg.pinv(a) @ b,
        (((3, 2), (3, 2)), ((3, 2), (3,)), ((2, 3), (2, 1)), ((0, 2), (0, 1)), ((2, 3, 2), (3, 2))),
        (REGULAR, REAL),
        no_scalar=_NO_AXES,
    ),
    _square(
        lambda x: functions.matrix_power(x, 3), lambda x: np.linalg.matrix_power(x, 3), domain=REAL, name="matrix_power"
    ),
    _square(
        lambda x: functions.matrix_power(x, 6),
        lambda x: np.linalg.matrix_power(x, 6),
        domain=Domain("small", lambda u: 0.3 * u),
        name="matrix_power[even]",
    ),
    _square(
        lambda x: functions.matrix_power(x, -2),
        lambda x: np.linalg.matrix_power(x, -2),
        name="matrix_power[negative]",
    ),
    OpCase(functions.matrix_norm, lambda x: np.linalg.norm(x, axis=(-2, -1)), _ANY, REGULAR, no_scalar=_NO_AXES),
    *(
        OpCase(
            lambda x, ord=ord: functions.matrix_norm(x, ord=ord, keepdims=True),
            lambda x, ord=ord: np.linalg.norm(x, axis=(-2, -1), ord=ord, keepdims=True),
            ((3, 3), (2, 3), (3, 1), (2, 3, 2)),
            UNEQUAL,
            name=f"matrix_norm[{ord}]",
            no_scalar=_NO_AXES,
            no_empty="there is no largest element",
        )
        for ord in (1, np.inf, -1, -np.inf)
    ),
    OpCase(
        functions.matrix_trace,
        lambda x: np.trace(x, axis1=-2, axis2=-1),
        _ANY,
        dtypes=NUMBERS,
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: functions.matrix_trace(x, offset=1),
        lambda x: np.trace(x, offset=1, axis1=-2, axis2=-1),
        _ANY,
        dtypes=NUMBERS,
        name="matrix_trace[offset]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: functions.matrix_trace(x, dtype="float64"),
        lambda x: np.trace(x, axis1=-2, axis2=-1, dtype="float64"),
        _ANY,
        dtypes=("float32", "int8"),
        name="matrix_trace[dtype]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        functions.outer,
        np.outer,
        (((3,), (2,)), ((1,), (3,)), ((0,), (2,))),
        dtypes=NUMBERS,
        no_scalar="it needs vectors",
    ),
    OpCase(
        functions.kron,
        np.kron,
        (((2, 3), (3, 2)), ((2,), (3,)), ((2, 2, 1), (1, 3)), ((), (2,)), ((0, 2), (2, 1))),
        dtypes=NUMBERS,
    ),
    OpCase(
        functions.cross,
        np.cross,
        (((3,), (3,)), ((2, 3), (3,)), ((2, 1, 3), (2, 3)), ((0, 3), (3,))),
        dtypes=NUMBERS,
        static=(3,),
        no_scalar="it needs vectors",
    ),
    OpCase(
        lambda x, y: functions.cross(x, y, axis=0),
        lambda x, y: np.cross(x, y, axis=0),
        (((3,), (3,)), ((3, 2), (3, 2)), ((3, 0), (3, 0))),
        dtypes=NUMBERS,
        name="cross[axis]",
        static=(3,),
        no_scalar="it needs vectors",
    ),
)

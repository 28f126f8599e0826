"""Cases of `graphnn.ops.reduction`, and the means, variances and norms of `graphnn.functions.statistics`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.functions import statistics as more
from graphnn.ir.arrays import Array
from graphnn.ops import reduction as ops
from graphnn.testing.case import FLOATS, UNARY, OpCase
from graphnn.testing.domains import BOOL, Domain, away_from, distinct, integers, scaled

_NUMBERS = ("float32", "float64", "int8", "int64", "uint8")
_FULL = ((), (1,), (3,), (2, 3), (2, 1, 2))  # nothing of size 0
_ALONG = ((3,), (2, 3), (3, 0), (0, 3))
_ALONG_FULL = ((3,), (2, 3), (0, 3))  # something along the last axis
_NO_AXES = "it names an axis"
_NOTHING = "there is nothing to choose from in an empty array"
_ZERO_OR_MORE = integers(-1, 1)
_NEAR_ONE = scaled(0.3, 1.2)  # so that products stay near 1
_WITH_ZEROS = Domain("with zeros", lambda u: np.where(np.abs(u) < 1.0, 0.0, 0.5 * u))
_NONZERO = away_from(0.0, gap=0.5)


def _variants(
    name: str, function: Any, reference: Any, along: Any = _ALONG, axes: Any = ((2, 3, 2), (1, 0, 3)), **options: Any
) -> tuple[OpCase, ...]:
    """Over all axes, along one, and along two with kept axes."""
    shared = {key: value for key, value in options.items() if key in ("dtypes", "domain")}
    return (
        OpCase(function, reference, name=name, **options),
        OpCase(
            lambda x: function(x, axis=-1),
            lambda x: reference(x, axis=-1),
            along,
            name=f"{name}[axis]",
            no_scalar=_NO_AXES,
            **shared,
        ),
        OpCase(
            lambda x: function(x, axis=(0, 2), keepdims=True),
            lambda x: reference(x, axis=(0, 2), keepdims=True),
            axes,
            name=f"{name}[axes]",
            no_scalar=_NO_AXES,
            **shared,
        ),
    )


def _argument(name: str, function: Any, reference: Any) -> tuple[OpCase, ...]:
    options: dict[str, Any] = {"dtypes": _NUMBERS, "domain": distinct(2.0)}
    return (
        OpCase(function, reference, _FULL, name=name, no_empty=_NOTHING, **options),
        OpCase(
            lambda x: function(x, axis=-1, keepdims=True),
            lambda x: reference(x, axis=-1, keepdims=True),
            _ALONG_FULL,
            name=f"{name}[axis]",
            no_scalar=_NO_AXES,
            **options,
        ),
        OpCase(
            lambda x: function(x, axis=0),
            lambda x: reference(x, axis=0),
            ((3,), (3, 0)),
            name=f"{name}[ties]",
            domain=_ZERO_OR_MORE,
            dtypes=_NUMBERS,
            no_scalar=_NO_AXES,
        ),
        OpCase(
            lambda x: function(x, keepdims=True),
            lambda x: reference(x, keepdims=True),
            ((), (2, 3)),
            name=f"{name}[flat]",
            no_empty=_NOTHING,
            **options,
        ),
    )


def _any(function: Any) -> Any:
    return lambda x, **options: function(x != 0, **options)


def _norm(x: Array, ord: float, **options: Any) -> Array:
    return np.asarray(np.linalg.vector_norm(x, ord=ord, **options))


def _logsumexp(x: Array, **options: Any) -> Array:
    return np.asarray(np.log(np.sum(np.exp(x), **options)))


CASES = (
    *_variants("sum", ops.sum, np.sum, dtypes=_NUMBERS),
    OpCase(
        lambda x: ops.sum(x, axis=0, dtype="float64"),
        lambda x: np.sum(x, axis=0, dtype="float64"),
        ((3,), (2, 3), (0, 2)),
        dtypes=("float32", "int8", "bool"),
        name="sum[dtype]",
        no_scalar=_NO_AXES,
    ),
    OpCase(lambda x: ops.sum(x, axis=()), lambda x: x, UNARY, name="sum[no axes]"),
    *_variants("prod", ops.prod, np.prod, dtypes=_NUMBERS, domain=_NEAR_ONE),
    OpCase(
        lambda x: ops.prod(x, axis=0),
        lambda x: np.prod(x, axis=0),
        ((3,), (4, 2), (5,), (1, 2), (0, 2)),
        _WITH_ZEROS,
        name="prod[zeros]",
        no_scalar=_NO_AXES,
    ),
    *_variants(
        "max", ops.max, np.max, dtypes=_NUMBERS, domain=distinct(), shapes=_FULL, along=_ALONG_FULL, no_empty=_NOTHING
    ),
    *_variants(
        "min", ops.min, np.min, dtypes=_NUMBERS, domain=distinct(), shapes=_FULL, along=_ALONG_FULL, no_empty=_NOTHING
    ),
    *_variants("all", ops.all, np.all, dtypes=("bool",), domain=BOOL),
    OpCase(ops.all, _any(np.all), UNARY, _ZERO_OR_MORE, _NUMBERS, name="all[numbers]"),
    *_variants("any", ops.any, np.any, dtypes=("bool",), domain=BOOL),
    OpCase(ops.any, _any(np.any), UNARY, _ZERO_OR_MORE, _NUMBERS, name="any[numbers]"),
    *_argument("argmax", ops.argmax, np.argmax),
    *_argument("argmin", ops.argmin, np.argmin),
    *_variants("mean", more.mean, np.mean, shapes=_FULL, along=_ALONG_FULL, no_empty="the mean of nothing is NaN"),
    *_variants("var", more.var, np.var, shapes=_FULL, along=_ALONG_FULL, no_empty="the variance of nothing is NaN"),
    OpCase(
        lambda x: more.var(x, axis=0, correction=1.0),
        lambda x: np.var(x, axis=0, ddof=1),
        ((3,), (2, 3), (4, 0)),
        name="var[correction]",
        no_scalar=_NO_AXES,
    ),
    *_variants(
        "std",
        more.std,
        np.std,
        shapes=((3,), (2, 3), (2, 1, 2)),
        along=_ALONG_FULL,
        domain=distinct(),
        no_empty="the deviation of nothing is NaN",
        no_scalar="one number has the deviation 0, where the root has a pole",
    ),
    *_variants("vector_norm", more.vector_norm, lambda x, **o: _norm(x, 2, **o), domain=_NONZERO),
    OpCase(
        lambda x: more.vector_norm(x, axis=-1, ord=1),
        lambda x: _norm(x, 1, axis=-1),
        _ALONG,
        _NONZERO,
        FLOATS,
        name="vector_norm[1]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: more.vector_norm(x, axis=0, ord=3.0),
        lambda x: _norm(x, 3.0, axis=0),
        ((3,), (2, 3), (0, 2)),
        _NONZERO,
        FLOATS,
        name="vector_norm[3]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: more.vector_norm(x, axis=-1, ord=math.inf),
        lambda x: _norm(x, math.inf, axis=-1),
        _ALONG_FULL,
        Domain("distinct magnitudes", lambda u: _NONZERO.map(u) / np.abs(_NONZERO.map(u)) * (distinct().map(u) + 40.0)),
        FLOATS,
        name="vector_norm[inf]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: more.vector_norm(x, axis=-1, ord=-math.inf),
        lambda x: _norm(x, -math.inf, axis=-1),
        _ALONG_FULL,
        Domain("distinct magnitudes", lambda u: _NONZERO.map(u) / np.abs(_NONZERO.map(u)) * (distinct().map(u) + 40.0)),
        FLOATS,
        name="vector_norm[-inf]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: more.vector_norm(x, axis=0, ord=-2.0),
        lambda x: _norm(x, -2.0, axis=0),
        ((3,), (2, 3)),
        _NONZERO,
        FLOATS,
        name="vector_norm[-2]",
        no_scalar=_NO_AXES,
        no_empty="the sum of nothing has no inverse",
    ),
    OpCase(
        lambda x: more.vector_norm(x, axis=0, ord=0),
        lambda x: _norm(x, 0, axis=0),
        ((3,), (2, 3), (0, 2)),
        _ZERO_OR_MORE,
        FLOATS,
        name="vector_norm[0]",
        no_scalar=_NO_AXES,
    ),
    *_variants("logsumexp", more.logsumexp, _logsumexp, shapes=_FULL, along=_ALONG_FULL, no_empty=_NOTHING),
)

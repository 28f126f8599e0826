"""Cases of `graphnn.functions.activations`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import activations as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import BINARY, OpCase
from graphnn.testing.domains import BOOL, REAL, away_from

_AWAY = away_from(0.0)
_ALONG = ((3,), (1,), (2, 3), (0, 3))
_NO_AXES = "it sums along an axis"
_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805


def _special(name: str) -> Any:
    def call(*arrays: Array, **options: Any) -> Array:
        import scipy.special

        return np.asarray(getattr(scipy.special, name)(*arrays, **options))

    return call


_expit, _erf = _special("expit"), _special("erf")
_softmax, _log_softmax = _special("softmax"), _special("log_softmax")


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _masked(x: Array, mask: Array, axis: int) -> Array:
    weights = np.where(mask, np.exp(x), 0.0)
    total = weights.sum(axis=axis, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1.0, total))


CASES = (
    OpCase(ops.relu, lambda x: np.maximum(x, 0.0), domain=_AWAY, dtypes=("float32", "float64")),
    OpCase(ops.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), domain=_AWAY),
    OpCase(
        lambda x: ops.leaky_relu(x, negative_slope=0.3),
        lambda x: np.where(x > 0, x, 0.3 * x),
        domain=_AWAY,
        name="leaky_relu[slope]",
    ),
    OpCase(ops.elu, lambda x: _elu(x, 1.0), domain=_AWAY),
    OpCase(lambda x: ops.elu(x, alpha=0.5), lambda x: _elu(x, 0.5), domain=_AWAY, name="elu[alpha]"),
    OpCase(ops.selu, lambda x: _SCALE * _elu(x, _ALPHA), domain=_AWAY),
    OpCase(ops.sigmoid, _expit, domain=_AWAY),
    OpCase(ops.silu, lambda x: x * _expit(x), domain=_AWAY),
    OpCase(ops.softplus, lambda x: np.logaddexp(x, 0.0), domain=_AWAY),
    OpCase(ops.gelu, lambda x: 0.5 * x * (1.0 + _erf(x / np.sqrt(2.0)))),
    OpCase(
        lambda x: ops.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
        name="gelu[tanh]",
    ),
    OpCase(
        ops.prelu, lambda x, a: np.where(x > 0, x, a * x), BINARY, (_AWAY, REAL), dtypes=("float32", "float64", "int64")
    ),
    OpCase(ops.celu, lambda x: _elu(x, 1.0), domain=_AWAY),
    OpCase(lambda x: ops.celu(x, alpha=2.0), lambda x: 2.0 * _elu(x / 2.0, 1.0), domain=_AWAY, name="celu[alpha]"),
    OpCase(ops.mish, lambda x: x * np.tanh(np.logaddexp(x, 0.0)), domain=_AWAY),
    OpCase(ops.hard_sigmoid, lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0), domain=away_from(-3.0, 3.0)),
    OpCase(
        lambda x: ops.hard_sigmoid(x, slope=0.5, offset=0.25),
        lambda x: np.clip(0.5 * x + 0.25, 0.0, 1.0),
        domain=away_from(-0.5, 1.5),
        name="hard_sigmoid[slope]",
    ),
    OpCase(ops.hard_swish, lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0), domain=away_from(-3.0, 3.0)),
    OpCase(ops.softsign, lambda x: x / (1.0 + np.abs(x)), domain=_AWAY),
    OpCase(ops.softmax, lambda x: _softmax(x, axis=-1), _ALONG, REAL, no_scalar=_NO_AXES),
    OpCase(
        lambda x: ops.softmax(x, axis=0),
        lambda x: _softmax(x, axis=0),
        ((3,), (3, 2), (3, 0)),
        name="softmax[axis]",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        ops.masked_softmax,
        lambda x, m: _masked(x, m, -1),
        (((3,), (3,)), ((2, 3), (2, 3)), ((2, 4), (4,)), ((0, 3), (0, 3))),
        (REAL, BOOL),
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x, m: ops.masked_softmax(x, m, axis=0),
        lambda x, m: _masked(x, m, 0),
        (((3,), (3,)), ((3, 2), (3, 1)), ((3, 0), (3, 0))),
        (REAL, BOOL),
        name="masked_softmax[axis]",
        no_scalar=_NO_AXES,
    ),
    OpCase(ops.log_softmax, lambda x: _log_softmax(x, axis=-1), _ALONG, REAL, no_scalar=_NO_AXES),
    OpCase(
        lambda x: ops.log_softmax(x, axis=0),
        lambda x: _log_softmax(x, axis=0),
        ((3,), (3, 2), (3, 0)),
        name="log_softmax[axis]",
        no_scalar=_NO_AXES,
    ),
)

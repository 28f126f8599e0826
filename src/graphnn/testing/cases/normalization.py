"""Cases of `graphnn.functions.normalization`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.functions import normalization as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import OpCase
from graphnn.testing.domains import POSITIVE, irregular

_NO_AXES = "it has an axis of features"
_NO_EMPTY = "the mean of nothing is not a number"
# Far from equal elements: near them the derivative is as large as 1 / sqrt(eps), and finite differences tell little.
_SPREAD = irregular()


def _standard(x: Array, axes: Any, eps: float = 1e-5) -> Array:
    center = np.mean(x, axis=axes, keepdims=True)
    return np.asarray((x - center) / np.sqrt(np.mean((x - center) ** 2, axis=axes, keepdims=True) + eps))


def _grouped(x: Array, groups: int, eps: float = 1e-5) -> Array:
    """Channels last; group by group."""
    parts = np.split(x, groups, axis=-1)
    return np.concatenate([_standard(part, tuple(range(1, x.ndim)), eps) for part in parts], axis=-1)


def _response(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    out = np.empty_like(x)
    for c in range(x.shape[-1]):
        near = x[..., max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        out[..., c] = x[..., c] / (k + alpha / size * np.sum(near**2, axis=-1)) ** beta
    return out


def _first(function: Callable[..., Array]) -> Any:
    return lambda x, *more: np.moveaxis(function(np.moveaxis(x, 1, -1), *more), -1, 1)


def _case(build: Any, reference: Any, shapes: Any, **more: Any) -> OpCase:
    more.setdefault("domain", _SPREAD)
    return OpCase(build, reference, shapes, no_scalar=_NO_AXES, no_empty=_NO_EMPTY, **more)


CASES = (
    _case(ops.layer_norm, lambda x: _standard(x, -1), ((3,), (1, 4), (2, 1, 3))),
    _case(
        lambda x, w, b: ops.layer_norm(x, w, b),
        lambda x, w, b: _standard(x, -1) * w + b,
        (((3,), (3,), (3,)), ((2, 4), (4,), (4,))),
        name="layer_norm[weight]",
    ),
    _case(
        lambda x, b: ops.layer_norm(x, None, b, axis=(-1, 1), eps=0.1),
        lambda x, b: _standard(x, (1, 2), 0.1) + b,
        (((2, 2, 3), (2, 3)),),
        name="layer_norm[bias]",
    ),
    _case(
        ops.rms_norm,
        lambda x: x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5),
        ((3,), (2, 4)),
    ),
    _case(
        lambda x, w: ops.rms_norm(x, w, axis=0, eps=0.1),
        lambda x, w: x / np.sqrt(np.mean(x**2, axis=0, keepdims=True) + 0.1) * w[:, None],
        (((3, 2), (3,)),),
        name="rms_norm[weight]",
    ),
    _case(
        ops.batch_norm,
        lambda x, m, v: (x - m) / np.sqrt(v + 1e-5),
        (((2, 3), (3,), (3,)),),
        domain=(_SPREAD, _SPREAD, POSITIVE),
    ),
    _case(
        lambda x, m, v, w, b: ops.batch_norm(x, m, v, w, b, axis=1, eps=0.1),
        lambda x, m, v, w, b: (x - m[:, None]) / np.sqrt(v[:, None] + 0.1) * w[:, None] + b[:, None],
        (((2, 2, 2), (2,), (2,), (2,), (2,)),),
        domain=(_SPREAD, _SPREAD, POSITIVE, _SPREAD, _SPREAD),
        name="batch_norm[weight]",
    ),
    _case(
        lambda x: ops.group_norm(x, groups=2, eps=0.1),
        lambda x: _grouped(x, 2, 0.1),
        ((2, 4), (1, 2, 6)),
        name="group_norm",
        static=(4, 6),
    ),
    _case(
        lambda x, w, b: ops.group_norm(x, w, b, groups=2, eps=0.1, layout="NCHW"),
        _first(lambda x, w, b: _grouped(x, 2, 0.1) * w + b),
        (((1, 4, 1, 2), (4,), (4,)),),
        name="group_norm[weight]",
        static=(4,),
    ),
    _case(ops.instance_norm, lambda x: _grouped(x, x.shape[-1]), ((2, 3, 1), (1, 3, 2, 1))),
    _case(
        lambda x, w, b: ops.instance_norm(x, w, b, eps=0.1, layout="NCW"),
        _first(lambda x, w, b: _grouped(x, x.shape[-1], 0.1) * w + b),
        (((1, 2, 3), (2,), (2,)),),
        name="instance_norm[weight]",
    ),
    _case(
        lambda x: ops.local_response_norm(x, 3, alpha=0.5),
        lambda x: _response(x, 3, 0.5, 0.75, 1.0),
        ((2, 4), (1, 2, 5), (2, 2, 1)),
        name="local_response_norm",
    ),
    _case(
        lambda x: ops.local_response_norm(x, 2, alpha=0.5, beta=2.0, k=1.5, layout="NCW"),
        _first(lambda x: _response(x, 2, 0.5, 2.0, 1.5)),
        ((1, 4, 2),),
        name="local_response_norm[NCW]",
    ),
)

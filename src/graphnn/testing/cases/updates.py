"""Cases of `graphnn.ops.updates`, beside those of set and add in the file of the indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.ir.arrays import Array
from graphnn.ops import updates as ops
from graphnn.testing.case import OpCase
from graphnn.testing.domains import BOOL, REAL, Domain, distinct, indices, near_grid

_DTYPES = ("float32", "float64", "int64")
_NO_AXES = "it indexes an axis"
_INDEX = indices(3)
_WITH_ZEROS = Domain("with zeros", lambda u: np.where(np.abs(u) < 1.0, 0.0, u))
# No value is equal to another one, nor to an element of x.
_BETWEEN = near_grid(0.5)
_WHOLE = Domain("near distinct whole numbers", lambda u: np.rint(distinct(2.0).map(u)) + 0.2 * np.tanh(u))
_DOMAINS: dict[str, Any] = {
    "multiply": (_WITH_ZEROS, _WITH_ZEROS, _INDEX),
    "max": (_BETWEEN, _WHOLE, _INDEX),
    "min": (_BETWEEN, _WHOLE, _INDEX),
}
_UFUNCS: dict[str, Any] = {"multiply": np.multiply, "max": np.maximum, "min": np.minimum}


def _case(build: Any, reference: Any, shapes: Any, name: str, domain: Any) -> OpCase:
    return OpCase(build, reference, shapes, domain, _DTYPES, name, no_scalar=_NO_AXES)


def _combined(kind: str) -> Any:
    def reference(x: Array, values: Array, key: Any) -> Array:
        out = x.copy()
        _UFUNCS[kind].at(out, key, values)
        return out

    return reference


def _masked(combine: Any) -> Any:
    def reference(x: Array, mask: Array, values: Array) -> Array:
        mask = mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim))
        return np.where(mask, combine(x, values), x)

    return reference


CASES = (
    *(
        _case(
            lambda x, v, i, kind=kind: ops.ScatterReduce(kind)(x, v, i),
            _combined(kind),
            (((4,), (3,), (3,)), ((3,), (6,), (6,)), ((3,), (0,), (0,))),
            f"scatter_reduce[{kind}]",
            _DOMAINS[kind],
        )
        for kind in _UFUNCS
    ),
    *(
        _case(
            lambda x, v, i, kind=kind: getattr(x.at[i], kind)(v),
            _combined(kind),
            (((4,), (), (3,)), ((3, 2), (4, 2), (4,)), ((4, 2), (3, 1), (3,)), ((3, 0), (2, 0), (2,))),
            f"at[{kind}]",
            _DOMAINS[kind],
        )
        for kind in _UFUNCS
    ),
    *(
        _case(
            lambda x, mask, v, kind=kind: getattr(x.at[mask], kind)(v),
            _masked(combine),
            (((3,), (3,), ()), ((2, 3), (2, 3), (3,)), ((2, 3), (2,), (2, 3)), ((0, 3), (0,), (3,))),
            f"at[mask {kind}]",
            (_BETWEEN if kind in ("max", "min") else REAL, BOOL, near_grid(0.0)),
        )
        for kind, combine in (("set", lambda x, v: v), ("add", np.add), *_UFUNCS.items())
    ),
)

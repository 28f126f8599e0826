"""Cases of `graphnn.ops.sorting` and `graphnn.functions.ordering`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import ordering as more
from graphnn.ir.arrays import Array
from graphnn.ops import sorting as ops
from graphnn.testing.case import OpCase
from graphnn.testing.domains import REAL, Domain, distinct, integers

_NUMBERS = ("float32", "float64", "int8", "int64", "uint8")
_ANY = (*_NUMBERS, "bool")
_LINES = ((3,), (5,), (2, 3), (0, 3), (3, 0))
_FULL_LINES = ((3,), (4,), (2, 3), (0, 3))  # something along the last axis
_NO_AXES = "it names an axis"
_NOTHING = "there is nothing to choose from in an empty array"
_FEW = integers(-1, 1)  # of which some are equal
_SORTED = Domain("sorted", lambda u: np.sort(u, axis=None).reshape(u.shape))


def _case(build: Any, reference: Any, shapes: Any, name: str, **options: Any) -> OpCase:
    options.setdefault("no_scalar", _NO_AXES)
    options.setdefault("dtypes", _NUMBERS)
    return OpCase(build, reference, shapes, name=name, **options)


def _backwards(x: Array, axis: int) -> Array:
    # Equal elements in their order: sorted by rank, the largest first.
    rank = np.unique(x, return_inverse=True)[1].reshape(x.shape)
    return np.argsort(-rank, axis=axis, kind="stable")


def _largest(k: int, axis: int) -> Any:
    return lambda x: np.flip(np.sort(x, axis=axis), axis).take(range(k), axis=axis)


def _unique(part: int, size: int, fill: float) -> Any:
    """One of values, indices, inverse and counts by NumPy, cut or filled up to the size."""

    def reference(x: Array) -> Array:
        found = np.unique(x, return_index=True, return_inverse=True, return_counts=True)[part]
        if part == 2:
            return found.reshape(x.shape)
        rest = np.full(max(size - found.size, 0), fill if part == 0 else 0, found.dtype)
        return np.concatenate([found[:size], rest])

    return reference


CASES = (
    _case(ops.argsort, lambda x: np.argsort(x, kind="stable"), _LINES, "argsort", domain=_FEW, dtypes=_ANY),
    _case(
        lambda x: ops.argsort(x, axis=0, descending=True),
        lambda x: _backwards(x, 0),
        _LINES,
        "argsort[descending]",
        domain=_FEW,
        dtypes=_ANY,
    ),
    _case(ops.sort, np.sort, _LINES, "sort", domain=distinct()),
    _case(
        lambda x: ops.sort(x, axis=0, descending=True),
        lambda x: -np.sort(-x.astype("float64"), axis=0).astype(x.dtype),
        _LINES,
        "sort[descending]",
        domain=distinct(),
    ),
    _case(
        ops.searchsorted,
        np.searchsorted,
        (((3,), ()), ((4,), (2, 3)), ((0,), (2,)), ((3,), (0,))),
        "searchsorted",
        domain=(_SORTED, REAL),
        no_scalar="",
    ),
    _case(
        lambda x, v: ops.searchsorted(x, v, side="right"),
        lambda x, v: np.searchsorted(x, v, side="right"),
        (((3,), ()), ((4,), (2, 3)), ((0,), (2,))),
        "searchsorted[right]",
        domain=(Domain("sorted", lambda u: np.sort(np.rint(u))), integers(-3, 3)),
        no_scalar="",
    ),
    _case(
        lambda x, v: ops.searchsorted(x, v, sorter=ops.argsort(x)),
        lambda x, v: np.searchsorted(x, v, sorter=np.argsort(x)),
        (((3,), (4,)), ((0,), (2,))),
        "searchsorted[sorter]",
    ),
    _case(lambda x: more.top_k(x, 2).values, _largest(2, -1), ((3,), (2, 3), (0, 3)), "top_k", domain=distinct()),
    _case(
        lambda x: more.top_k(x, 2, axis=0).indices,
        lambda x: _backwards(x, 0)[:2],
        ((3,), (4, 2), (3, 0)),
        "top_k[indices]",
        domain=_FEW,
    ),
    _case(
        lambda x: more.top_k(x, 2, largest=False).values,
        lambda x: np.sort(x)[..., :2],
        ((3,), (2, 3), (0, 3)),
        "top_k[smallest]",
        domain=distinct(),
    ),
    *(
        case
        for name, function, reference in (
            ("median", more.median, np.median),
            ("quantile", lambda x, **o: more.quantile(x, 0.3, **o), lambda x, **o: np.quantile(x, 0.3, **o)),
        )
        for case in (
            OpCase(
                function,
                reference,
                ((), (1,), (3,), (2, 3), (2, 1, 2)),
                distinct(),
                name=name,
                no_empty=_NOTHING,
            ),
            OpCase(
                lambda x, function=function: function(x, axis=-1),
                lambda x, reference=reference: reference(x, axis=-1),
                _FULL_LINES,
                distinct(),
                name=f"{name}[axis]",
                no_scalar=_NO_AXES,
            ),
            OpCase(
                lambda x, function=function: function(x, axis=(0, 2), keepdims=True),
                lambda x, reference=reference: reference(x, axis=(0, 2), keepdims=True),
                ((2, 3, 2), (1, 2, 3)),
                distinct(),
                name=f"{name}[axes]",
                no_scalar=_NO_AXES,
                no_empty="NumPy cannot join several axes of an empty array",
            ),
        )
    ),
    OpCase(
        lambda x: more.quantile(x, [0.0, 0.25, 1.0], axis=0),
        lambda x: np.quantile(x, [0.0, 0.25, 1.0], axis=0),
        ((3,), (4, 2), (1, 2), (3, 0)),
        distinct(),
        name="quantile[several]",
        no_scalar=_NO_AXES,
    ),
    _case(
        more.isin,
        np.isin,
        (((3,), (2,)), ((2, 3), ()), ((), (2, 2)), ((3,), (0,)), ((0,), (2,))),
        "isin",
        domain=integers(-2, 2),
        dtypes=_ANY,
        no_scalar="",
    ),
    _case(
        lambda x: more.unique_values(x, size=4, fill_value=-1),
        _unique(0, 4, -1),
        ((), (3,), (2, 3), (6,), (0, 3)),
        "unique_values",
        dtypes=("float32", "float64", "int8", "int64"),
        domain=distinct(),
        no_scalar="",
    ),
    *(
        _case(
            lambda x, i=i: more.unique_all(x, size=4)[i],
            _unique(i, 4, 0),
            ((), (3,), (2, 3), (6,), (0, 3)),
            f"unique_all{variant}",
            domain=_FEW,
            dtypes=_ANY if i else ("int8", "int64", "bool"),  # equal elements are a kink of the values
            no_scalar="",
        )
        for i, variant in enumerate(("", "[indices]", "[inverse_indices]", "[counts]"))
    ),
    _case(lambda x: more.unique_counts(x, size=3)[1], _unique(3, 3, 0), ((3,), (0, 3)), "unique_counts", domain=_FEW),
    _case(
        lambda x: more.unique_inverse(x, size=3)[1],
        _unique(2, 3, 0),
        ((3,), (2, 3), (0, 3)),
        "unique_inverse",
        domain=_FEW,
    ),
)

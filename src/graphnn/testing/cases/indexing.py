"""Cases of `graphnn.ops.indexing`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.ir.arrays import Array
from graphnn.ops import indexing as ops
from graphnn.testing.case import OpCase
from graphnn.testing.domains import REAL, Domain, indices, integers

_DTYPES = ("float32", "float64", "int64")
_NO_AXES = "it indexes an axis"
_INDEX = indices(3)  # the indexed axes have three or four elements
_SMALL_INDEX = Domain("int32 index", _INDEX.map, "int32")
_UNSIGNED = integers(0, 2, "uint8")


def _case(build: Any, reference: Any, shapes: Any, name: str, domain: Any = (REAL, _INDEX), **options: Any) -> OpCase:
    options.setdefault("no_scalar", _NO_AXES)
    return OpCase(build, reference, shapes, domain, _DTYPES, name, **options)


def _set(x: Array, key: Any, values: Array) -> Array:
    out = x.copy()
    out[key] = values
    return out


def _set_in_order(x: Array, places: Array, values: Array) -> Array:
    # One after the other, so that the last of several values for one place stays.
    out = x.copy()
    for place, value in zip(places.ravel(), values.reshape(places.size, *x.shape[1:]), strict=True):
        out[place] = value
    return out


def _added(x: Array, key: Any, values: Array) -> Array:
    out = x.copy()
    np.add.at(out, key, values)
    return out


def _scattered(x: Array, *places: Array, shape: tuple[int, ...]) -> Array:
    return _added(np.zeros(shape, x.dtype), places, x)


_ONE_INDEX = (((3,), ()), ((3,), (2,)), ((4, 2), (2, 3)), ((3, 0), (2,)), ((3,), (0,)))

CASES = (
    _case(lambda x, i: ops.take(x, i, axis=0), lambda x, i: np.take(x, i, axis=0), _ONE_INDEX, "take"),
    _case(
        lambda x, i: ops.take(x, i, axis=1),
        lambda x, i: np.take(x, i, axis=1),
        (((2, 3), (2,)), ((2, 3, 2), (2, 2)), ((0, 4), (3,))),
        "take[axis]",
    ),
    _case(ops.take, np.take, (((3,), (4,)), ((3,), ())), "take[vector]", (REAL, _SMALL_INDEX), no_empty="see take"),
    _case(
        lambda x, i: ops.take(x, i, axis=0),
        lambda x, i: np.take(x, i, axis=0),
        (((3,), (4,)), ((3, 2), ())),
        "take[unsigned]",
        (REAL, _UNSIGNED),
        no_empty="see take",
    ),
    _case(
        ops.take_along_axis,
        lambda x, i: np.take_along_axis(x, i, axis=-1),
        (((3,), (2,)), ((2, 3), (2, 4)), ((2, 3), (2, 0))),
        "take_along_axis",
    ),
    _case(
        lambda x, i: ops.take_along_axis(x, i, axis=0),
        lambda x, i: np.take_along_axis(x, i, axis=0),
        (((3, 2), (4, 2)), ((3, 2, 2), (1, 2, 2)), ((3, 2), (2, 1)), ((3, 0), (2, 0))),
        "take_along_axis[axis]",
    ),
    _case(lambda x, i: x[i], lambda x, i: x[i], _ONE_INDEX, "getitem"),
    _case(
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i, j],
        (((3, 3), (2,), (2,)), ((3, 4, 2), (2, 1), (3,)), ((3, 3), (), (2,)), ((3, 3), (0,), (1,))),
        "getitem[two]",
        (REAL, _INDEX, _INDEX),
    ),
    _case(
        lambda x, i: x[:, i, ::-1],
        lambda x, i: x[:, i, ::-1],
        (((2, 3, 2), (4,)), ((2, 3, 2), (2, 2)), ((0, 3, 1), (2,))),
        "getitem[middle]",
    ),
    _case(
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[i, :, j],
        (((3, 2, 3), (4,), (4,)), ((3, 2, 3), (2, 1), (2,)), ((3, 0, 3), (2,), (2,))),
        "getitem[apart]",
        (REAL, _INDEX, _INDEX),
    ),
    _case(
        lambda x, i: x[0, :, i],
        lambda x, i: x[0, :, i],
        (((2, 2, 3), (4,)), ((2, 0, 3), (2,))),
        "getitem[int and array]",
        unnamed="whether it is in range",
    ),
    _case(
        lambda x, i: x[None, ..., i, None],
        lambda x, i: x[None, ..., i, None],
        (((2, 3), (4,)), ((3,), ()), ((0, 3), (2,))),
        "getitem[None]",
    ),
    _case(
        lambda g, i: ops.ScatterAdd((0,), (4, *g.shape[i.ndim :]))(g, i),
        lambda g, i: _scattered(g, i, shape=(4, *g.shape[i.ndim :])),
        (((3,), (3,)), ((2, 3, 2), (2, 3)), ((), ()), ((0, 2), (0,))),
        "scatter_add",
        no_scalar="",
    ),
    _case(
        lambda g, i, j: ops.ScatterAdd((0, 2), (3, g.shape[-1], 4))(g, i, j),
        lambda g, i, j: np.swapaxes(_scattered(g, i, j, shape=(3, 4, g.shape[-1])), 1, 2),
        (((3, 2), (3,), (3,)), ((2, 2, 2), (2, 1), (2,)), ((2, 0), (2,), (2,))),
        "scatter_add[two]",
        (REAL, _INDEX, _INDEX),
    ),
    _case(
        lambda x, v, i: ops.ScatterSet((0,))(x, v, i),
        lambda x, v, i: _set_in_order(x, i, v),
        (((4,), (2,), (2,)), ((3,), (5,), (5,)), ((3, 2), (4, 2), (4,)), ((3,), (0,), (0,)), ((3,), (), ())),
        "scatter_set",
        (REAL, REAL, _INDEX),
    ),
    _case(
        lambda x, v, i: x.at[i].set(v),
        lambda x, v, i: _set_in_order(x, i, np.broadcast_to(v, (*i.shape, *x.shape[1:]))),
        (((4,), (), (3,)), ((3, 2), (2,), (5,)), ((4, 2), (3, 1), (3,)), ((3, 0), (0,), (2,))),
        "at[set]",
        (REAL, REAL, _INDEX),
    ),
    _case(
        lambda x, v: x.at[1:, ::-1].set(v),
        lambda x, v: _set(x, (slice(1, None), slice(None, None, -1)), v),
        (((3, 2), (2, 2)), ((3, 2), ()), ((1, 2), (0, 2))),
        "at[set slice]",
        REAL,
        static=(0, 2, 3),
    ),
    _case(
        lambda x, v, i: x.at[i].add(v),
        lambda x, v, i: _added(x, i, v),
        (((4,), (3,), (3,)), ((3, 2), (2,), (5,)), ((4, 2), (3, 1), (3,)), ((3,), (0,), (0,))),
        "at[add]",
        (REAL, REAL, _INDEX),
    ),
    _case(
        lambda x, v: x.at[..., 1:].add(v),
        lambda x, v: _added(x, (..., slice(1, None)), v),
        (((3,), (2,)), ((2, 3), ()), ((0, 3), (2,))),
        "at[add slice]",
        REAL,
        static=(2, 3),
    ),
)

"""Cases of `graphnn.ops.indexing` and `graphnn.functions.indexing`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import indexing as more
from graphnn.ir.arrays import Array
from graphnn.ops import indexing as ops
from graphnn.testing.case import UNARY, OpCase
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


_FAR = integers(-7, 7, "int64")  # often out of range
_FAR_UNSIGNED = integers(0, 7, "uint64")
_MATRICES = ((2, 3), (3, 3), (4, 2), (1, 1), (0, 3), (2, 3, 2))
_FEW = integers(-1, 1)
_NUMBERS = ("float32", "float64", "int8", "int64", "bool")


def _filled(x: Array, i: Array, axis: int, fill: float) -> Array:
    n = x.shape[axis]
    inside = (i >= -n) & (i < n)
    out = np.moveaxis(np.moveaxis(x, axis, 0)[np.where(inside, i, 0)], range(i.ndim), range(axis, axis + i.ndim))
    shape = (1,) * axis + inside.shape + (1,) * (x.ndim - 1 - axis)
    return np.where(inside.reshape(shape), out, np.asarray(fill, x.dtype))


def _filled_along(x: Array, i: Array, fill: float) -> Array:
    inside = (i >= -x.shape[-1]) & (i < x.shape[-1])
    return np.where(inside, np.take_along_axis(x, np.where(inside, i, 0), -1), np.asarray(fill, x.dtype))


def _nonzero(axis: int, size: int, fill: int) -> Any:
    def reference(x: Array) -> Array:
        found = np.nonzero(x)[axis][:size]
        return np.concatenate([found, np.full(size - found.size, fill)])

    return reference


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
    *(
        _case(
            lambda x, i, mode=mode: ops.take(x, i, axis=0, mode=mode),
            lambda x, i, mode=mode: np.take(x, i, axis=0, mode=mode),
            _ONE_INDEX,
            f"take[{mode}]",
            (REAL, _FAR),
        )
        for mode in ("clip", "wrap")
    ),
    _case(
        lambda x, i: ops.take(x, i, axis=1, mode="fill", fill_value=7),
        lambda x, i: _filled(x, i, 1, 7),
        (((2, 3), (4,)), ((2, 4, 2), (2, 2)), ((0, 3), (2,)), ((2, 3), ())),
        "take[fill]",
        (REAL, _FAR),
    ),
    _case(
        lambda x, i: ops.take(x, i, mode="clip"),
        lambda x, i: np.take(x, i.astype("int64"), mode="clip"),
        (((3,), (4,)), ((3,), (0,))),
        "take[clip unsigned]",
        (REAL, _FAR_UNSIGNED),
    ),
    _case(
        lambda x, i: ops.take_along_axis(x, i, mode="wrap"),
        lambda x, i: np.take_along_axis(x, i % x.shape[-1], -1),
        (((3,), (2,)), ((2, 3), (2, 4)), ((2, 3), (2, 0))),
        "take_along_axis[wrap]",
        (REAL, _FAR),
    ),
    _case(
        lambda x, i: ops.take_along_axis(x, i, mode="fill", fill_value=2),
        lambda x, i: _filled_along(x, i, 2),
        (((3,), (2,)), ((2, 3), (2, 4)), ((2, 3), (2, 0))),
        "take_along_axis[fill]",
        (REAL, _FAR),
    ),
    *(
        OpCase(
            lambda x, k=k, function=function: function(x, k=k),
            lambda x, k=k, reference=reference: reference(x, k=k),
            _MATRICES,
            dtypes=_NUMBERS,
            name=f"{name}[{k}]" if k else name,
            no_scalar=_NO_AXES,
        )
        for name, function, reference in (("tril", more.tril, np.tril), ("triu", more.triu, np.triu))
        for k in (0, 1, -1)
    ),
    *(
        OpCase(
            lambda x, offset=offset: more.diagonal(x, offset=offset),
            lambda x, offset=offset: np.diagonal(x, offset, -2, -1),
            _MATRICES,
            dtypes=_NUMBERS,
            name=f"diagonal[{offset}]" if offset else "diagonal",
            no_scalar=_NO_AXES,
        )
        for offset in (0, 1, -2, 5)
    ),
    OpCase(more.count_nonzero, np.count_nonzero, UNARY, _FEW, _NUMBERS, "count_nonzero"),
    OpCase(
        lambda x: more.count_nonzero(x, axis=-1, keepdims=True),
        lambda x: np.count_nonzero(x, axis=-1, keepdims=True),
        ((3,), (2, 3), (0, 3), (3, 0)),
        _FEW,
        _NUMBERS,
        "count_nonzero[axis]",
        no_scalar=_NO_AXES,
    ),
    *(
        OpCase(
            lambda x, axis=axis: more.nonzero(x, size=4, fill_value=9)[axis],
            _nonzero(axis, 4, 9),
            ((2, 3), (3, 1), (4, 4), (0, 2), (2, 0)),
            _FEW,
            _NUMBERS,
            f"nonzero[{axis}]" if axis else "nonzero",
            no_scalar=_NO_AXES,
        )
        for axis in (0, 1)
    ),
    _case(
        more.gather_nd,
        lambda x, i: x[i[..., 0], i[..., 1]],
        (((3, 3), (2,)), ((3, 4), (5, 2)), ((3, 4, 5), (3, 1, 2)), ((3, 3), (0, 2))),
        "gather_nd",
        static=(2,),
    ),
    _case(
        lambda x, i: more.gather_nd(x, i, batch_dims=1),
        lambda x, i: np.stack([row[places[..., 0]] for row, places in zip(x, i, strict=True)]),
        (((2, 3), (2, 4, 1)), ((3, 4, 2), (3, 1)), ((2, 3), (2, 0, 1))),
        "gather_nd[batch]",
    ),
    _case(
        lambda x, i, v: more.scatter_nd(x, i, v),
        lambda x, i, v: _set_in_order(x, i[..., 0], np.broadcast_to(v, (*i.shape[:-1], *x.shape[1:]))),
        (((4,), (3, 1), (3,)), ((3, 2), (4, 1), (2,)), ((3,), (0, 1), (0,)), ((3,), (1,), ())),
        "scatter_nd",
        (REAL, _INDEX, REAL),
    ),
    _case(
        lambda x, i, v: more.scatter_nd(x, i, v, mode="add"),
        lambda x, i, v: _added(x, (i[..., 0], i[..., 1]), v),
        (((3, 4), (5, 2), (5,)), ((3, 3, 2), (3, 2), (3, 1)), ((3, 3), (0, 2), ())),
        "scatter_nd[add]",
        (REAL, _INDEX, REAL),
        static=(2,),
    ),
)

"""Cases of `graphnn.functions.unpooling`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import unpooling as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import OpCase
from graphnn.testing.cases.windows import every_window
from graphnn.testing.domains import REAL, Domain, distinct

_NO_AXES = "it has spatial axes"


def _places(x: Array, sizes: Any, strides: Any, pads: Any, dilations: Any) -> Array:
    """x is [batch, *spatial, channels]; each window by itself."""
    count = len(sizes)
    number = np.broadcast_to(np.arange(np.prod(x.shape[1:-1])).reshape(1, *x.shape[1:-1], 1), x.shape)
    borders = [(0, 0), *pads, (0, 0)]
    wide = np.pad(x.astype(np.float64), borders, constant_values=-np.inf)
    numbers = np.pad(number, borders, constant_values=-1)
    found: dict[Any, Any] = {}
    for place, inside in every_window(wide.shape[1:-1], sizes, strides, dilations):
        window, names = (array[(slice(None), *inside)] for array in (wide, numbers))
        window, names = (array.reshape(len(x), -1, x.shape[-1]) for array in (window, names))
        found[place] = np.take_along_axis(names, np.argmax(window, axis=1)[:, None], axis=1)[:, 0]
    out = np.zeros((len(x), *(n + 1 for n in max(found)), x.shape[-1]), np.int64)
    for place, value in found.items():
        out[(slice(None), *place)] = value
    assert out.ndim == count + 2
    return out


def _unpooled(x: Array, indices: Array, size: Any) -> Array:
    out = np.zeros((len(x), int(np.prod(size)), x.shape[-1]), x.dtype)
    for place in np.ndindex(x.shape):
        out[place[0], indices[place], place[-1]] = x[place]
    return out.reshape(len(x), *size, x.shape[-1])


def _different(count: int) -> Domain:
    """Places of which no two are the same."""
    return Domain(f"of {count}", lambda u: np.argsort(np.argsort(u.ravel())).reshape(u.shape) % count, "int64")


CASES = (
    OpCase(
        lambda x: ops.max_pool_indices(x, (2, 2)),
        lambda x: _places(x, (2, 2), (2, 2), [(0, 0)] * 2, (1, 1)),
        ((2, 4, 5, 1), (1, 2, 3, 2)),
        distinct(),
        ("float32", "float64", "int64"),
        name="max_pool_indices",
        static=(2, 3, 4, 5),
        no_scalar=_NO_AXES,
        no_empty="there must be a largest element",
    ),
    OpCase(
        lambda x: ops.max_pool_indices(
            x, (2, 3), stride=(1, 2), padding=((1, 0), (2, 2)), dilation=(2, 1), layout="NCHW"
        ),
        lambda x: np.moveaxis(_places(np.moveaxis(x, 1, -1), (2, 3), (1, 2), [(1, 0), (2, 2)], (2, 1)), -1, 1),
        ((2, 3, 4, 5),),
        distinct(),
        name="max_pool_indices[NCHW]",
        static=(4, 5),
        no_scalar=_NO_AXES,
        no_empty="there must be a largest element",
    ),
    OpCase(
        lambda x, i: ops.max_unpool(x, i, (2, 3)),
        lambda x, i: _unpooled(x, i, (2, 3)),
        (((2, 1, 3, 1), (2, 1, 3, 1)), ((1, 2, 1, 2), (1, 2, 1, 2)), ((0, 1, 3, 1), (0, 1, 3, 1))),
        (REAL, _different(6)),
        ("float32", "float64", "int64"),
        name="max_unpool",
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x, i: ops.max_unpool(x, i, 5, layout="NCW"),
        lambda x, i: np.moveaxis(_unpooled(np.moveaxis(x, 1, -1), np.moveaxis(i, 1, -1), (5,)), -1, 1),
        (((2, 1, 2), (2, 1, 2)),),
        (REAL, _different(5)),
        name="max_unpool[NCW]",
        no_scalar=_NO_AXES,
        no_empty="see max_unpool",
    ),
)

"""Cases of `graphnn.functions.pooling`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphnn.functions import pooling as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import FLOATS, OpCase
from graphnn.testing.cases.windows import every_window
from graphnn.testing.domains import POSITIVE, away_from, distinct

_NUMBERS = ("float32", "float64", "int64")
_NO_AXES = "it has spatial axes"
_KNOWN = "must be known numbers"


def _pool(
    x: Array,
    reduce: Callable[..., Any],
    sizes: Any,
    strides: Any = None,
    pads: Any = (),
    dilations: Any = None,
    fill: float = 0.0,
) -> Array:
    """x is [batch, *spatial, channels]; each window by itself."""
    count = len(sizes)
    strides = strides or sizes
    wide = np.pad(x, [(0, 0), *(pads or [(0, 0)] * count), (0, 0)], constant_values=fill)
    axes = tuple(range(1, count + 1))
    found = {}
    for number, places in every_window(wide.shape[1:-1], sizes, strides, dilations or (1,) * count):
        found[number] = reduce(wide[(slice(None), *places)], axis=axes)
    out = np.zeros((len(x), *(n + 1 for n in max(found)), x.shape[-1]), x.dtype)
    for number, value in found.items():
        out[(slice(None), *number)] = value
    return out


def _adaptive(x: Array, reduce: Callable[..., Any], sizes: Any) -> Array:
    out = np.zeros((len(x), *sizes, x.shape[-1]), x.dtype)
    for number in np.ndindex(*sizes):
        part = tuple(
            slice((i * n) // k, ((i + 1) * n + k - 1) // k)
            for i, n, k in zip(number, x.shape[1:-1], sizes, strict=True)
        )
        out[(slice(None), *number)] = reduce(x[(slice(None), *part)], axis=tuple(range(1, x.ndim - 1)))
    return out


def _length(x: Array, ord: float, axis: Any) -> Array:
    return np.asarray(np.sum(np.abs(x) ** ord, axis=axis) ** (1 / ord))


def _first(function: Callable[[Array], Array]) -> Any:
    return lambda x: np.moveaxis(function(np.moveaxis(x, 1, -1)), -1, 1)


def _case(function: Any, variant: str, shapes: Any, options: Any, reference: Any, **more: Any) -> OpCase:
    name = function.__name__
    more = {"no_empty": f"see {name}", "dtypes": FLOATS, "no_scalar": _NO_AXES, **more}
    return OpCase(
        lambda x: function(x, **options), reference, shapes, name=f"{name}[{variant}]" if variant else name, **more
    )


_LOWEST = -1e9
_DISTINCT = {"domain": distinct(), "dtypes": _NUMBERS}
_AWAY = {"domain": away_from(0.0)}

CASES = (
    _case(
        ops.max_pool,
        "",
        ((1, 4, 5, 2), (2, 2, 3, 1), (0, 4, 2, 3)),
        {"size": 2},
        lambda x: _pool(x, np.max, (2, 2)),
        no_empty="",
        **_DISTINCT,
    ),
    _case(
        ops.max_pool,
        "steps",
        ((1, 5, 4, 2),),
        {"size": (2, 3), "stride": (2, 1), "padding": ((1, 0), 1), "dilation": (2, 1)},
        lambda x: _pool(x, np.max, (2, 3), (2, 1), ((1, 0), (1, 1)), (2, 1), _LOWEST),
        **_DISTINCT,
    ),
    _case(
        ops.max_pool,
        "same",
        ((2, 5, 1), (1, 4, 2)),
        {"size": 3, "stride": 2, "padding": "same"},
        lambda x: _pool(x, np.max, (3,), (2,), [(x.shape[1] % 2, 1)], fill=_LOWEST),
        **_DISTINCT,
    ),
    _case(
        ops.max_pool,
        "NCHW",
        ((2, 3, 4, 5),),
        {"size": 2, "layout": "NCHW"},
        _first(lambda x: _pool(x, np.max, (2, 2))),
        **_DISTINCT,
    ),
    _case(
        ops.avg_pool,
        "",
        ((1, 4, 5, 2), (2, 2, 3, 1), (0, 4, 2, 3)),
        {"size": 2},
        lambda x: _pool(x, np.mean, (2, 2)),
        no_empty="",
    ),
    _case(
        ops.avg_pool,
        "padding",
        ((1, 4, 3, 2),),
        {"size": 2, "stride": 1, "padding": (1, (0, 1))},
        lambda x: _pool(x, np.mean, (2, 2), (1, 1), ((1, 1), (0, 1))),
    ),
    _case(
        ops.avg_pool,
        "without padding",
        ((1, 4, 3, 2),),
        {"size": 2, "stride": 1, "padding": (1, (0, 1)), "count_include_pad": False},
        lambda x: _pool(x, np.nanmean, (2, 2), (1, 1), ((1, 1), (0, 1)), fill=np.nan),
    ),
    _case(
        ops.avg_pool,
        "NCW, without padding",
        ((2, 3, 4),),
        {"size": 3, "padding": "same", "stride": 1, "count_include_pad": False, "layout": "NCW"},
        _first(lambda x: _pool(x, np.nanmean, (3,), (1,), [(1, 1)], fill=np.nan)),
    ),
    _case(
        ops.lp_pool,
        "",
        ((1, 4, 5, 2), (2, 2, 3, 1), (0, 4, 2, 3)),
        {"size": 2},
        lambda x: _pool(x, lambda part, axis: _length(part, 2.0, axis), (2, 2)),
        no_empty="",
        **_AWAY,
    ),
    _case(
        ops.lp_pool,
        "cube",
        ((2, 5, 1),),
        {"size": 2, "ord": 3.0, "stride": 1},
        lambda x: _pool(x, lambda part, axis: _length(part, 3.0, axis), (2,), (1,)),
        domain=POSITIVE,
    ),
    _case(
        ops.global_max_pool,
        "",
        ((2, 3, 4, 2), (1, 3, 1), (0, 2, 2)),
        {},
        lambda x: np.max(x, axis=tuple(range(1, x.ndim - 1))),
        no_empty="",
        **_DISTINCT,
    ),
    _case(
        ops.global_max_pool,
        "NCHW",
        ((2, 3, 4, 2),),
        {"layout": "NCHW", "keepdims": True},
        lambda x: np.max(x, axis=(2, 3), keepdims=True),
        **_DISTINCT,
    ),
    _case(
        ops.global_avg_pool,
        "",
        ((2, 3, 4, 2), (1, 3, 1), (0, 2, 2)),
        {},
        lambda x: np.mean(x, axis=tuple(range(1, x.ndim - 1))),
        no_empty="",
    ),
    _case(
        ops.global_avg_pool,
        "NCHW",
        ((2, 3, 4, 2),),
        {"layout": "NCHW"},
        lambda x: np.mean(x, axis=(2, 3)),
    ),
    _case(
        ops.adaptive_avg_pool,
        "",
        ((2, 5, 3, 1), (1, 7, 3, 4), (0, 5, 3, 2)),
        {"size": (2, 3)},
        lambda x: _adaptive(x, np.mean, (2, 3)),
        no_empty="",
        static=(3, 5, 7),
    ),
    _case(
        ops.adaptive_avg_pool,
        "larger",
        ((2, 3, 4),),
        {"size": 5, "layout": "NCW"},
        _first(lambda x: _adaptive(x, np.mean, (5,))),
        static=(4,),
    ),
    _case(
        ops.adaptive_avg_pool, "named", ((2, 3, 4),), {"size": 2}, lambda x: _adaptive(x, np.mean, (2,)), unnamed=_KNOWN
    ),
    _case(
        ops.adaptive_max_pool,
        "",
        ((2, 5, 3, 1), (1, 7, 3, 4), (0, 5, 3, 2)),
        {"size": (2, 2)},
        lambda x: _adaptive(x, np.max, (2, 2)),
        no_empty="",
        static=(3, 5, 7),
        **_DISTINCT,
    ),
    _case(
        ops.adaptive_max_pool,
        "even",
        ((2, 3, 4, 6),),
        {"size": (2, 3), "layout": "NCHW"},
        _first(lambda x: _adaptive(x, np.max, (2, 3))),
        static=(4, 6),
        **_DISTINCT,
    ),
)

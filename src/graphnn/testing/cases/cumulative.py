"""Cases of `graphnn.ops.cumulative` and `graphnn.functions.cumulative`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import cumulative as more
from graphnn.ir.arrays import Array
from graphnn.ops import cumulative as ops
from graphnn.testing.case import FLOATS, OpCase
from graphnn.testing.domains import Domain, distinct, integers, scaled

_NUMBERS = ("float32", "float64", "int8", "int64", "uint8")
_VECTORS = ((1,), (3,), (5,), (0,))
_LINES = ((3,), (2, 3), (2, 1, 2), (3, 0), (0, 3))
_NO_AXES = "it runs along an axis"
_NEAR_ONE = scaled(0.3, 1.2)
_WITH_ZEROS = Domain("with zeros", lambda u: np.where(np.abs(u) < 1.0, 0.0, 0.5 * u))


def _case(build: Any, reference: Any, shapes: Any, name: str, dtypes: Any = _NUMBERS, **options: Any) -> OpCase:
    return OpCase(build, reference, shapes, dtypes=dtypes, name=name, no_scalar=_NO_AXES, **options)


def _running(combine: Any, initial: float, axis: int, reverse: bool = False, exclusive: bool = False) -> Any:
    """Element by element, from the definition."""

    def reference(x: Array) -> Array:
        wide = {"i": np.int64, "u": np.uint64}.get(x.dtype.kind, x.dtype)
        lines = np.moveaxis(x.astype(wide), axis, 0)
        out = np.empty_like(lines)
        total = np.full(lines.shape[1:], initial, wide)
        for i in range(lines.shape[0])[:: -1 if reverse else 1]:
            after = combine(total, lines[i])
            out[i] = total if exclusive else after
            total = after
        return np.moveaxis(out, 0, axis)

    return reference


def _variants(name: str, function: Any, combine: Any, initial: float, domain: Domain) -> tuple[OpCase, ...]:
    return (
        _case(function, _running(combine, initial, 0), _VECTORS, name, domain=domain),
        *(
            _case(
                lambda x, axis=axis, reverse=reverse, exclusive=exclusive: function(
                    x, axis=axis, reverse=reverse, exclusive=exclusive
                ),
                _running(combine, initial, axis, reverse, exclusive),
                _LINES,
                f"{name}[{variant}]",
                domain=domain,
            )
            for variant, axis, reverse, exclusive in (
                ("axis", -1, False, False),
                ("reverse", 0, True, False),
                ("exclusive", -1, False, True),
                ("both", 0, True, True),
            )
        ),
        _case(
            lambda x: function(x, axis=-1, include_initial=True),
            lambda x: np.concatenate(
                [np.full((*x.shape[:-1], 1), initial), _running(combine, initial, -1)(x)], axis=-1
            ).astype(_running(combine, initial, -1)(x).dtype),
            _LINES,
            f"{name}[initial]",
            domain=domain,
        ),
    )


def _logsumexp(axis: int) -> Any:
    return lambda x: np.logaddexp.accumulate(x, axis=axis)


CASES = (
    *_variants("cumulative_sum", ops.cumulative_sum, np.add, 0.0, scaled()),
    _case(
        lambda x: ops.cumulative_sum(x, dtype="float64"),
        lambda x: np.cumsum(x, dtype="float64"),
        _VECTORS,
        "cumulative_sum[dtype]",
        ("float32", "int8", "bool"),
    ),
    *_variants("cumulative_prod", ops.cumulative_prod, np.multiply, 1.0, _NEAR_ONE),
    *(
        _case(
            lambda x, reverse=reverse, exclusive=exclusive: ops.cumulative_prod(
                x, axis=0, reverse=reverse, exclusive=exclusive
            ),
            _running(np.multiply, 1.0, 0, reverse, exclusive),
            ((3,), (4, 2), (5,), (1, 2), (0, 2)),
            f"cumulative_prod[zeros{variant}]",
            FLOATS,
            domain=_WITH_ZEROS,
        )
        for variant, reverse, exclusive in (
            ("", False, False),
            (", reverse", True, False),
            (", exclusive", False, True),
        )
    ),
    _case(ops.cumulative_max, np.maximum.accumulate, _VECTORS, "cumulative_max", domain=distinct()),
    _case(
        lambda x: ops.cumulative_max(x, axis=-1),
        lambda x: np.maximum.accumulate(x, axis=-1),
        _LINES,
        "cumulative_max[axis]",
        domain=distinct(),
    ),
    _case(ops.cumulative_min, np.minimum.accumulate, _VECTORS, "cumulative_min", domain=distinct()),
    _case(
        lambda x: ops.cumulative_min(x, axis=0),
        lambda x: np.minimum.accumulate(x, axis=0),
        _LINES,
        "cumulative_min[axis]",
        domain=distinct(),
    ),
    _case(more.cumulative_logsumexp, _logsumexp(0), _VECTORS, "cumulative_logsumexp", FLOATS),
    _case(
        lambda x: more.cumulative_logsumexp(x, axis=0),
        _logsumexp(0),
        ((3, 2), (5, 1), (2, 1, 2), (0, 2), (2, 0)),
        "cumulative_logsumexp[axis]",
        FLOATS,
    ),
    _case(more.diff, np.diff, ((1,), (4,), (2, 3), (3, 0)), "diff", (*_NUMBERS, "bool")),
    _case(
        lambda x, a, b: more.diff(x, axis=0, n=2, prepend=a, append=b),
        lambda x, a, b: np.diff(x, axis=0, n=2, prepend=a, append=b),
        (((3,), (2,), (1,)), ((2, 3), (1, 3), (2, 3)), ((0, 2), (3, 2), (1, 2))),
        "diff[joined]",
        domain=(scaled(), integers(-2, 2), scaled()),
    ),
)

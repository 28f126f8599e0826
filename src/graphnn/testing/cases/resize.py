"""Cases of `graphnn.functions.resize`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import resize as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import FLOATS, OpCase

_ANY = ("float32", "float64", "int8", "bool")
_NO_AXES = "it has spatial axes"
_KNOWN = "must be known numbers"


def _kernel(method: str, t: float) -> float:
    t = abs(t)
    if method == "linear":
        return max(1 - t, 0.0)
    a = -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def _resized(x: Array, axis: int, size: int, method: str, align: bool = False) -> Array:
    """Along one axis, element by element: a sum over the neighbours, of which those outside are the last ones inside."""
    length = x.shape[axis]
    found = []
    for i in range(size):
        place = i * (length - 1) / max(size - 1, 1) if align else (i + 0.5) * length / size - 0.5
        if method == "nearest":
            total = x.take(min(int(np.floor(place + 0.5)), length - 1), axis=axis)
        else:
            start = int(np.floor(place))
            total = sum(
                _kernel(method, place - j) * x.take(min(max(j, 0), length - 1), axis=axis)
                for j in range(start - 2, start + 4)
            )
        found.append(total)
    return np.stack(found, axis=axis)


def _case(variant: str, shapes: Any, options: Any, reference: Any, **more: Any) -> OpCase:
    more = {"no_empty": "see resize", "dtypes": FLOATS, "no_scalar": _NO_AXES, **more}
    return OpCase(
        lambda x: ops.resize(x, **options),
        reference,
        shapes,
        name=f"resize[{variant}]" if variant else "resize",
        **more,
    )


def _shuffle(x: Array, factor: int) -> Array:
    batch, h, w, c = x.shape
    out = np.zeros((batch, h * factor, w * factor, c // factor**2), x.dtype)
    for place in np.ndindex(*out.shape[1:]):
        i, j, channel = place
        source = (channel * factor + i % factor) * factor + j % factor
        out[:, i, j, channel] = x[:, i // factor, j // factor, source]
    return out


def _unshuffle(x: Array, factor: int) -> Array:
    batch, h, w, c = x.shape
    out = np.zeros((batch, h // factor, w // factor, c * factor**2), x.dtype)
    for i, j, channel in np.ndindex(h, w, c):
        target = (channel * factor + i % factor) * factor + j % factor
        out[:, i // factor, j // factor, target] = x[:, i, j, channel]
    return out


def _first(function: Any) -> Any:
    return lambda x: np.moveaxis(function(np.moveaxis(x, 1, -1)), -1, 1)


CASES = (
    _case(
        "",
        ((1, 3, 4, 2), (2, 4, 3, 1), (0, 3, 4, 2)),
        {"size": (5, 3)},
        lambda x: _resized(_resized(x, 1, 5, "linear"), 2, 3, "linear"),
        no_empty="",
        static=(3, 4),
    ),
    _case(
        "align",
        ((2, 4, 1),),
        {"size": 7, "align_corners": True},
        lambda x: _resized(x, 1, 7, "linear", True),
        static=(4,),
    ),
    _case(
        "cubic",
        ((1, 3, 4, 2),),
        {"size": (5, 6), "method": "cubic"},
        lambda x: _resized(_resized(x, 1, 5, "cubic"), 2, 6, "cubic"),
        static=(3, 4),
    ),
    _case(
        "NCW",
        ((2, 1, 5),),
        {"size": 3, "method": "cubic", "layout": "NCW"},
        lambda x: _resized(x, 2, 3, "cubic"),
        static=(5,),
    ),
    _case(
        "nearest",
        ((1, 3, 4, 2), (2, 4, 3, 1)),
        {"size": (7, 2), "method": "nearest"},
        lambda x: _resized(_resized(x, 1, 7, "nearest"), 2, 2, "nearest"),
        static=(3, 4),
        dtypes=_ANY,
    ),
    _case("named", ((2, 3, 4),), {"size": 2}, lambda x: _resized(x, 1, 2, "linear"), unnamed=_KNOWN),
    OpCase(
        lambda x: ops.pixel_shuffle(x, 2),
        lambda x: _shuffle(x, 2),
        ((2, 3, 1, 8), (1, 2, 3, 4), (0, 2, 3, 4)),
        dtypes=_ANY,
        name="pixel_shuffle",
        static=(4, 8),
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda x: ops.pixel_shuffle(x, 2, layout="NCHW"),
        _first(lambda x: _shuffle(x, 2)),
        ((2, 8, 3, 1),),
        dtypes=_ANY,
        name="pixel_shuffle[NCHW]",
        static=(8,),
        no_scalar=_NO_AXES,
        no_empty="see pixel_shuffle",
    ),
    OpCase(
        lambda x: ops.pixel_unshuffle(x, 2),
        lambda x: _unshuffle(x, 2),
        ((3, 4, 2, 5), (1, 2, 4, 1), (0, 2, 4, 3)),
        dtypes=_ANY,
        name="pixel_unshuffle",
        static=(2, 4),
        no_scalar=_NO_AXES,
    ),
)

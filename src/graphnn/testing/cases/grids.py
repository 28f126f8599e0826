"""Cases of `graphnn.functions.grids`."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from graphnn.functions import grids as ops
from graphnn.ir.arrays import Array
from graphnn.testing.case import OpCase
from graphnn.testing.domains import Domain, irregular

_NO_AXES = "it has spatial axes"


def _between(size: int, align_corners: bool = False) -> Domain:
    """Coordinates, also beyond the borders, of places away from the elements and from halfway between them.

    And from a third between them, where the slope of the cubic kernel vanishes.
    """

    def points(u: Array) -> Array:
        place = np.floor(u * size / 2) + np.where(np.sin(7 * u) > 0, 0.25, 0.75) + 0.05 * np.tanh(u)
        return 2 * place / (size - 1) - 1 if align_corners else (2 * place + 1) / size - 1

    return Domain(f"between the elements of {size}", points)


def _mirrored(u: Array) -> Array:
    """Coordinates for two elements, also beyond the borders, but not where an element is mirrored beside itself.

    There the derivative is zero by cancellation, which finite differences see as an exact zero.
    """
    place = 2 * np.floor(u / 2) + np.where(np.sin(7 * u) > 0, 0.25, 0.75) + 0.05 * np.tanh(u)
    return np.asarray(place - 0.5)


def _pixel(x: Array, index: Any, padding: str, align_corners: bool) -> Any:
    inside = []
    for i, n in zip(index, x.shape, strict=False):
        if padding == "zeros" and not 0 <= i < n:
            return np.zeros(x.shape[-1])
        if padding == "reflection":
            i = _mirror(i, n, align_corners)
        inside.append(int(min(max(i, 0), n - 1)))
    return x[tuple(inside)]


def _mirror(place: float, n: int, align_corners: bool) -> float:
    low, high = (0.0, n - 1.0) if align_corners else (-0.5, n - 0.5)
    while not low <= place <= high:
        place = 2 * low - place if place < low else 2 * high - place
    return place


def _weights(ratio: float, method: str) -> dict[int, float]:
    if method == "linear":
        return {0: 1 - ratio, 1: ratio}
    a, out = -0.75, {}
    for step in (-1, 0, 1, 2):
        t = abs(ratio - step)
        out[step] = (a + 2) * t**3 - (a + 3) * t**2 + 1 if t <= 1 else a * (t**3 - 5 * t**2 + 8 * t - 4)
    return out


def _sample(x: Array, grid: Array, method: str = "linear", padding: str = "zeros", align: bool = False) -> Array:
    """Place by place; x has its channels last."""
    count = grid.shape[-1]
    out = np.zeros((*grid.shape[:-1], x.shape[-1]))
    for place in np.ndindex(grid.shape[:-1]):
        near = []
        for number, n in zip(grid[place][::-1], x.shape[1:-1], strict=True):
            at = (number + 1) / 2 * (n - 1) if align else ((number + 1) * n - 1) / 2
            if method == "nearest":
                at = np.rint(at)
            low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
            if padding == "border" and not low <= at <= high:
                at = min(max(at, 0.0), n - 1.0)
            elif padding == "reflection":
                at = _mirror(at, n, align)
            base = math.floor(at)
            shares = {0: 1.0} if method == "nearest" else _weights(at - base, method)
            near.append([(base + step, share) for step, share in shares.items()])
        for taps in itertools.product(*near):
            share = math.prod(weight for _, weight in taps)
            out[place] += share * _pixel(x[place[0]], [i for i, _ in taps], padding, align)
    assert count == len(near)
    return out


def _affine(theta: Array, size: tuple[int, ...], align: bool = False) -> Array:
    out = np.zeros((len(theta), *size, len(size)))
    for place in np.ndindex(size):
        point = [
            (2 * i / (n - 1) - 1 if n > 1 else 0.0) if align else (2 * i + 1) / n - 1
            for i, n in zip(place, size, strict=True)
        ]
        out[(slice(None), *place)] = theta @ np.array([*reversed(point), 1.0])
    return out


def _case(variant: str, shapes: Any, options: Any, size: int, grid_domain: Domain | None = None, **more: Any) -> OpCase:
    settings = {
        "method": options.get("method", "linear"),
        "padding": options.get("padding", "zeros"),
        "align": options.get("align_corners", False),
    }
    last = options.get("layout") is None

    def reference(x: Array, grid: Array) -> Array:
        out = _sample(x if last else np.moveaxis(x, 1, -1), grid, **settings)
        return out if last else np.moveaxis(out, -1, 1)

    return OpCase(
        lambda x, grid: ops.grid_sample(x, grid, **options),
        reference,
        shapes,
        (irregular(), grid_domain or _between(size, settings["align"])),
        name="grid_sample" + variant,
        no_scalar=_NO_AXES,
        no_empty="elements are taken from it",
        **more,
    )


CASES = (
    _case("", (((1, 3, 3, 2), (1, 2, 1, 2)),), {}, 3, static=(2,)),
    _case("[volumes]", (((1, 2, 2, 2, 1), (1, 1, 1, 1, 3)),), {"align_corners": True}, 2, static=(3,)),
    _case("[border]", (((2, 3, 1), (2, 4, 1)),), {"padding": "border"}, 3),
    _case(
        "[reflection]",
        (((1, 1, 2, 2), (1, 2, 1, 2)),),
        {"padding": "reflection", "layout": "NCHW"},
        2,
        Domain("between two elements and their images", _mirrored),
        static=(2,),
    ),
    _case("[corners]", (((1, 3, 1), (1, 4, 1)),), {"padding": "reflection", "align_corners": True}, 3),
    _case("[nearest]", (((1, 3, 3, 2), (1, 4, 1, 2)),), {"method": "nearest"}, 3, static=(2,), wrt=(0,)),
    _case("[cubic]", (((1, 3, 3, 1), (1, 1, 1, 2)),), {"method": "cubic"}, 3, static=(2,)),
    _case("[cubic border]", (((1, 3, 1), (1, 4, 1)),), {"method": "cubic", "padding": "border"}, 3),
    OpCase(
        lambda theta: ops.affine_grid(theta, (2, 3)),
        lambda theta: _affine(theta, (2, 3)),
        ((2, 2, 3), (0, 2, 3)),
        name="affine_grid",
        static=(2, 3),
        no_scalar=_NO_AXES,
    ),
    OpCase(
        lambda theta: ops.affine_grid(theta, (2, 1, 3), align_corners=True),
        lambda theta: _affine(theta, (2, 1, 3), True),
        ((1, 3, 4),),
        name="affine_grid[corners]",
        static=(3, 4),
        no_scalar=_NO_AXES,
        no_empty="see affine_grid",
    ),
)

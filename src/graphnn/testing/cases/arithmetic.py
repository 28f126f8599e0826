"""Cases of `graphnn.ops.arithmetic`."""

from __future__ import annotations

import numpy as np

from graphnn.ops import arithmetic as ops
from graphnn.testing.case import BINARY, INTEGERS, NUMBERS, TERNARY, OpCase
from graphnn.testing.domains import REAL, away_from, integers, near_grid, scaled

_GRIDS = (near_grid(0.0), near_grid(0.5))
_THIRDS = tuple(near_grid(offset, 2.0, 0.05) for offset in (0.0, 1 / 3, 2 / 3))
# The quotient of the first by the second keeps away from whole numbers.
_BETWEEN_MULTIPLES = (near_grid(0.5, 2.0, 0.05), scaled(0.01, 2.0))

CASES = (
    OpCase(ops.add, np.add, BINARY, dtypes=NUMBERS),
    OpCase(ops.subtract, np.subtract, BINARY, dtypes=NUMBERS),
    OpCase(ops.multiply, np.multiply, BINARY, dtypes=NUMBERS),
    OpCase(ops.divide, np.divide, BINARY, (REAL, away_from(0.0, gap=0.5))),
    OpCase(ops.floor_divide, np.floor_divide, BINARY, _BETWEEN_MULTIPLES),
    OpCase(
        ops.floor_divide,
        np.floor_divide,
        BINARY,
        (integers(-9, 9), integers(1, 5)),
        dtypes=INTEGERS,
        name="floor_divide[integers]",
    ),
    OpCase(ops.remainder, np.remainder, BINARY, _BETWEEN_MULTIPLES),
    OpCase(
        ops.remainder,
        np.remainder,
        BINARY,
        (integers(-9, 9), integers(1, 5)),
        dtypes=INTEGERS,
        name="remainder[integers]",
    ),
    OpCase(ops.negative, np.negative, dtypes=NUMBERS),
    OpCase(ops.positive, np.positive, dtypes=NUMBERS),
    OpCase(ops.abs, np.abs, domain=away_from(0.0), dtypes=NUMBERS),
    OpCase(ops.sign, np.sign, domain=away_from(0.0), dtypes=NUMBERS),
    OpCase(ops.square, np.square, dtypes=NUMBERS),
    OpCase(ops.reciprocal, np.reciprocal, domain=away_from(0.0, gap=0.5)),
    OpCase(ops.maximum, np.maximum, BINARY, _GRIDS, dtypes=NUMBERS),
    OpCase(ops.minimum, np.minimum, BINARY, _GRIDS, dtypes=NUMBERS),
    OpCase(ops.clip, np.clip, TERNARY, _THIRDS, dtypes=NUMBERS),
    OpCase(lambda x: ops.clip(x, 0.5), lambda x: np.maximum(x, 0.5), domain=away_from(0.5), name="clip[low]"),
    OpCase(lambda x: ops.clip(x, None, 0.5), lambda x: np.minimum(x, 0.5), domain=away_from(0.5), name="clip[high]"),
    OpCase(ops.hypot, np.hypot, BINARY, away_from(0.0, gap=0.5)),
    OpCase(ops.copysign, np.copysign, BINARY, away_from(0.0)),
    OpCase(ops.nextafter, np.nextafter, BINARY, _GRIDS),
    OpCase(ops.floor, np.floor, domain=near_grid(0.5)),
    OpCase(ops.ceil, np.ceil, domain=near_grid(0.5)),
    OpCase(ops.trunc, np.trunc, domain=near_grid(0.5)),
    OpCase(ops.round, np.round, domain=near_grid(0.0)),
    OpCase(ops.floor, np.positive, dtypes=INTEGERS, name="floor[integers]"),
    OpCase(ops.round, np.positive, dtypes=INTEGERS, name="round[integers]"),
)

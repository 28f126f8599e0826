"""Cases of `graphnn.ops.trigonometric`."""

from __future__ import annotations

import numpy as np

from graphnn.ops import trigonometric as ops
from graphnn.testing.case import BINARY, OpCase
from graphnn.testing.domains import above, away_from, inside, scaled

CASES = (
    OpCase(ops.sin, np.sin),
    OpCase(ops.cos, np.cos),
    OpCase(ops.tan, np.tan, domain=scaled(0.4)),
    OpCase(ops.asin, np.arcsin, domain=inside(-1.0, 1.0)),
    OpCase(ops.acos, np.arccos, domain=inside(-1.0, 1.0)),
    OpCase(ops.atan, np.arctan),
    OpCase(ops.sinh, np.sinh),
    OpCase(ops.cosh, np.cosh),
    OpCase(ops.tanh, np.tanh),
    OpCase(ops.asinh, np.arcsinh),
    OpCase(ops.acosh, np.arccosh, domain=above(1.0, gap=0.25)),
    OpCase(ops.atanh, np.arctanh, domain=inside(-1.0, 1.0)),
    OpCase(ops.atan2, np.arctan2, BINARY, away_from(0.0, gap=0.5)),
)

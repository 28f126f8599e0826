"""Cases of `graphnn.ops.comparison`."""

from __future__ import annotations

import numpy as np

from graphnn.ops import comparison as ops
from graphnn.testing.case import BINARY, FLOATS, NUMBERS, TERNARY, OpCase
from graphnn.testing.domains import BOOL, REAL, away_from, integers

_SMALL = integers(-1, 1)  # so that equal pairs are common
_ANY = (*NUMBERS, "bool")

CASES = (
    OpCase(ops.equal, np.equal, BINARY, _SMALL, dtypes=_ANY),
    OpCase(ops.not_equal, np.not_equal, BINARY, _SMALL, dtypes=_ANY),
    OpCase(ops.less, np.less, BINARY, _SMALL, dtypes=NUMBERS),
    OpCase(ops.less_equal, np.less_equal, BINARY, _SMALL, dtypes=NUMBERS),
    OpCase(ops.greater, np.greater, BINARY, _SMALL, dtypes=NUMBERS),
    OpCase(ops.greater_equal, np.greater_equal, BINARY, _SMALL, dtypes=NUMBERS),
    OpCase(ops.logical_and, np.logical_and, BINARY, BOOL, dtypes=("bool",)),
    OpCase(ops.logical_or, np.logical_or, BINARY, BOOL, dtypes=("bool",)),
    OpCase(ops.logical_xor, np.logical_xor, BINARY, BOOL, dtypes=("bool",)),
    OpCase(ops.logical_not, np.logical_not, domain=BOOL, dtypes=("bool",)),
    OpCase(ops.isnan, np.isnan, dtypes=NUMBERS),
    OpCase(ops.isinf, np.isinf, dtypes=NUMBERS),
    OpCase(ops.isfinite, np.isfinite, dtypes=NUMBERS),
    OpCase(ops.signbit, np.signbit, domain=away_from(0.0), dtypes=FLOATS),
    OpCase(ops.where, np.where, TERNARY, (BOOL, REAL, REAL), dtypes=_ANY),
)

"""Cases of `graphnn.ops.bitwise`."""

from __future__ import annotations

import numpy as np

from graphnn.ir.dtype import float64
from graphnn.ops import bitwise as ops
from graphnn.testing.case import BINARY, FLOATS, INTEGERS, NUMBERS, OpCase
from graphnn.testing.domains import away_from, integers, near_grid

_WHOLE = integers(-100, 100)
_WITH_BOOL = (*INTEGERS, "bool")

CASES = (
    OpCase(ops.bitwise_and, np.bitwise_and, BINARY, _WHOLE, dtypes=_WITH_BOOL),
    OpCase(ops.bitwise_or, np.bitwise_or, BINARY, _WHOLE, dtypes=_WITH_BOOL),
    OpCase(ops.bitwise_xor, np.bitwise_xor, BINARY, _WHOLE, dtypes=_WITH_BOOL),
    OpCase(ops.bitwise_invert, np.bitwise_not, domain=_WHOLE, dtypes=_WITH_BOOL),
    OpCase(ops.bitwise_left_shift, np.left_shift, BINARY, (_WHOLE, integers(0, 6)), dtypes=INTEGERS),
    OpCase(ops.bitwise_right_shift, np.right_shift, BINARY, (_WHOLE, integers(0, 6)), dtypes=INTEGERS),
    OpCase(lambda x: ops.Astype(float64)(x), lambda x: x.astype(np.float64), dtypes=(*NUMBERS, "bool"), name="astype"),
    OpCase(
        lambda x: ops.astype(x, "int32"),
        lambda x: x.astype(np.int32),
        domain=near_grid(0.5),
        dtypes=(*FLOATS, "int8", "int64", "bool"),
        name="astype[int32]",
    ),
    OpCase(
        lambda x: ops.astype(x, "bool"), lambda x: x != 0, domain=integers(-1, 1), dtypes=NUMBERS, name="astype[bool]"
    ),
    OpCase(ops.stop_gradient, lambda x: x, domain=away_from(0.0), dtypes=NUMBERS, wrt=()),
)

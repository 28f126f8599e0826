"""Cases of `graphnn.ops.exponential`."""

from __future__ import annotations

import numpy as np

from graphnn.ir.arrays import Array
from graphnn.ops import exponential as ops
from graphnn.testing.case import BINARY, OpCase
from graphnn.testing.domains import POSITIVE, REAL, above, integers, scaled


def _erf(x: Array) -> Array:
    import scipy.special

    return np.asarray(scipy.special.erf(x))


CASES = (
    OpCase(ops.exp, np.exp),
    OpCase(ops.exp2, np.exp2),
    OpCase(ops.expm1, np.expm1),
    OpCase(ops.log, np.log, domain=POSITIVE),
    OpCase(ops.log1p, np.log1p, domain=above(-1.0)),
    OpCase(ops.log2, np.log2, domain=POSITIVE),
    OpCase(ops.log10, np.log10, domain=POSITIVE),
    OpCase(ops.logaddexp, np.logaddexp, BINARY),
    OpCase(ops.sqrt, np.sqrt, domain=POSITIVE),
    OpCase(ops.pow, np.power, BINARY, (above(0.0, gap=0.25), REAL)),
    OpCase(
        ops.pow,
        np.power,
        BINARY,
        (integers(-3, 3), integers(0, 4)),
        dtypes=("int32", "int64", "uint8"),
        name="pow[integers]",
    ),
    OpCase(lambda x: ops.pow(x, 3.0), lambda x: x**3.0, name="pow[cube]"),
    OpCase(lambda x: ops.pow(x, 2.0), lambda x: x**2.0, name="pow[square]"),
    OpCase(lambda x: ops.pow(x, 1.0), lambda x: x**1.0, name="pow[one]"),
    OpCase(lambda x: ops.pow(x, -0.5), lambda x: x**-0.5, domain=above(0.0, gap=0.25), name="pow[fraction]"),
    OpCase(lambda x: ops.pow(2.0, x), lambda x: 2.0**x, name="pow[exponent]"),
    OpCase(ops.erf, _erf, domain=scaled(0.8)),
)

"""Cases of `graphnn.ops.special` and `graphnn.functions.special`."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.functions import special as functions
from graphnn.ir.arrays import Array
from graphnn.ops import special as ops
from graphnn.testing.case import BINARY, TERNARY, OpCase
from graphnn.testing.domains import REAL, above, away_from, inside, scaled


def _scipy(name: str, *first: Any) -> Any:
    def call(*arrays: Array) -> Array:
        import scipy.special

        return np.asarray(getattr(scipy.special, name)(*first, *arrays))

    return call


CASES = (
    OpCase(ops.erfc, _scipy("erfc"), domain=scaled(0.8)),
    OpCase(ops.erfinv, _scipy("erfinv"), domain=inside(-1.0, 1.0)),
    OpCase(ops.lgamma, _scipy("gammaln"), domain=above(0.0, gap=0.5)),
    OpCase(ops.lgamma, _scipy("gammaln"), domain=inside(-1.0, 0.0, share=0.5), name="lgamma[negative]"),
    OpCase(ops.digamma, _scipy("psi"), domain=above(0.0, gap=0.5)),
    OpCase(ops.digamma, _scipy("psi"), domain=inside(-1.0, 0.0, share=0.5), name="digamma[negative]"),
    OpCase(
        lambda x: ops.polygamma(1, x), _scipy("polygamma", 1), domain=above(0.0, gap=0.5), name="polygamma[trigamma]"
    ),
    OpCase(lambda x: ops.polygamma(2, x), _scipy("polygamma", 2), domain=above(0.0, gap=0.5), name="polygamma[2]"),
    OpCase(lambda x: ops.polygamma(0, x), _scipy("psi"), domain=above(0.0, gap=0.5), name="polygamma[0]"),
    OpCase(ops.i0, _scipy("i0")),
    OpCase(ops.i1, _scipy("i1")),
    OpCase(lambda x: ops.BesselI(3)(x), _scipy("iv", 3), name="i1[order 3]"),
    OpCase(ops.sinc, np.sinc, domain=scaled(0.5)),
    OpCase(lambda x: ops.SphericalJ(0)(x), lambda x: np.sinc(x / np.pi), name="sinc[j0]"),
    OpCase(lambda x: ops.SphericalJ(2)(x), _scipy("spherical_jn", 2), name="sinc[j2]"),
    OpCase(ops.betaln, _scipy("betaln"), BINARY, above(0.0, gap=0.5)),
    OpCase(
        ops.betainc,
        _scipy("betainc"),
        TERNARY,
        (above(0.0, gap=0.5), above(0.0, gap=0.5), inside(0.0, 1.0, share=0.7)),
        wrt=(2,),
    ),
    OpCase(functions.xlogy, _scipy("xlogy"), BINARY, (REAL, above(0.0, gap=0.25))),
    OpCase(functions.xlog1py, _scipy("xlog1py"), BINARY, (REAL, above(-1.0, gap=0.25))),
    OpCase(functions.logit, _scipy("logit"), domain=inside(0.0, 1.0)),
    OpCase(functions.log_sigmoid, _scipy("log_expit"), domain=away_from(0.0)),
    OpCase(functions.log1mexp, lambda x: np.log(-np.expm1(-x)), domain=above(0.0, gap=0.25)),
)

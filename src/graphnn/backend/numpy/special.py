"""Kernels of the special functions: those of SciPy, loaded when a graph first needs one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise
from graphnn.ops import special
from graphnn.ops.special import BesselI, Lgamma, Polygamma, SphericalJ

UFUNCS: dict[type[Any], str] = {
    special.Erfc: "erfc",
    special.Erfinv: "erfinv",
    special.Lgamma: "gammaln",
    special.Digamma: "psi",
    special.Betaln: "betaln",
    special.Betainc: "betainc",
}


def _ufunc(op: Elementwise, node: Node) -> Kernel:
    import scipy.special

    return in_float32(getattr(scipy.special, UFUNCS[type(op)]), node, also_float16=True)


for _class in UFUNCS:
    lower.register(_class, _ufunc)


@lower.register
def _(op: Lgamma, node: Node) -> Kernel:
    from scipy.special import gammaln, loggamma

    def kernel(x: Any) -> Any:
        x = np.asarray(x)
        out = np.array(gammaln(x))
        # Near its roots 1 and 2 the real function loses digits; the complex one has a series there.
        near = np.minimum(abs(x - 1), abs(x - 2)) < 0.125
        out[near] = loggamma(x[near].astype(np.complex128)).real + 0.0  # not -0
        return out

    return in_float32(kernel, node, also_float16=True)


@lower.register
def _(op: Polygamma, node: Node) -> Kernel:
    from scipy.special import zeta

    # In Python numbers, which do not widen float32.
    factor, order = float((-1) ** (op.order + 1) * math.factorial(op.order)), op.order + 1.0
    return in_float32(lambda x: factor * zeta(order, x), node, also_float16=True)


@lower.register
def _(op: BesselI, node: Node) -> Kernel:
    from scipy.special import i0, i1, iv

    order = float(op.order)
    kernel = {0: i0, 1: i1}.get(op.order, lambda x: iv(order, x))
    return in_float32(kernel, node, also_float16=True)


@lower.register
def _(op: SphericalJ, node: Node) -> Kernel:
    from scipy.special import spherical_jn

    if op.order == 0:  # this quotient is as exact, and faster

        def kernel(x: Any) -> Any:
            inner = np.where(x == 0, 1, x).astype(x.dtype, copy=False)
            return np.where(x == 0, 1, np.sin(inner) / inner).astype(x.dtype, copy=False)

        return in_float32(kernel, node, also_float16=True)
    return in_float32(lambda x: np.asarray(spherical_jn(op.order, x), x.dtype), node, also_float16=True)

"""An element-wise chain of eight cheap operations over 10^7 floats, kept in place: x becomes f(x) at each call.

Fused it reads and writes each number once, so memory is the bound; each operation of its own goes through memory again.
"""

import numpy as np

from ..work import Data, Work


def data(work: Work) -> Data:
    x = np.random.default_rng(0).standard_normal(1000 if work.small else 10_000_000).astype(work.dtype)
    return Data({"x": x}, (), moved=2.0 * x.nbytes)


def step(absolute, x):
    """The next x, with operators and the `abs` of any library."""
    y = absolute(x * 0.9 + 0.1) - x * 0.5
    return y / (y * y + 1.0)

"""The smallest work there is, x + 1 for eight numbers: what remains is the cost of a call. x and the result are NumPy's
arrays for graphnn, NumPy and PyTensor, and the library's own for all others, so that nobody pays for a conversion."""

import numpy as np

from ..work import Data, Work


def data(work: Work) -> Data:
    return Data({}, (np.arange(8, dtype=work.dtype),))

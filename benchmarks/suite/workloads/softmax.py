"""Softmax and cross-entropy over 32,000 classes: the loss of 64 rows of logits, and its gradient by them."""

import numpy as np

from ..work import Data, Work


def data(work: Work) -> Data:
    rows, classes = (3, 50) if work.small else (64, 32_000)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, classes)).astype(work.dtype)
    # At the least, the logits are read twice (for the sums, then for the gradient) and the gradient is written once.
    return Data({}, (x, rng.integers(0, classes, rows)), moved=3.0 * x.nbytes)


def loss(gn, p, x, labels):
    return gn.losses.cross_entropy(x, labels)

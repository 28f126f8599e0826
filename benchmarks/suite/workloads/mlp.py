"""Linear layers with relu between them; squared error for one output, else cross-entropy."""

from itertools import pairwise

import numpy as np

from ..work import Data, Work

SIZES = {  # widths, batch
    "tiny": ([2, 16, 16, 1], 32),
    "mlp": ([784, 256, 128, 10], 128),
    "wide": ([1024, 2048, 2048, 1000], 256),
    "program": ([64, 128, 10], 32),
    "deep": ([128] * 50 + [10], 2048),
    "layers-10": ([32] * 11, 16),
    "layers-100": ([32] * 101, 16),
    "layers-1000": ([32] * 1001, 16),
}
SMALL = {
    "tiny": ([2, 4, 1], 3),
    "mlp": ([12, 8, 6, 5], 4),
    "wide": ([16, 24, 24, 10], 4),
    "program": ([6, 5, 4], 3),
    "deep": ([8] * 9 + [5], 4),
    "layers-10": ([4] * 4, 3),
    "layers-100": ([4] * 8, 3),
    "layers-1000": ([4] * 16, 3),
}


def data(work: Work) -> Data:
    widths, batch = (SMALL if work.small else SIZES)[work.workload]
    batch = work.batch or batch
    rng = np.random.default_rng(0)
    params = {}
    for i, (n, m) in enumerate(pairwise(widths)):
        params[f"w{i}"] = (rng.standard_normal((n, m)) * np.sqrt(2 / n)).astype(work.dtype)
        params[f"b{i}"] = np.zeros(m, work.dtype)
    x = rng.standard_normal((batch, widths[0])).astype(work.dtype)
    labels = rng.integers(0, max(2, widths[-1]), batch)
    products = [2.0 * batch * n * m for n, m in pairwise(widths)]
    # Backward each product makes two more; only the first layer needs no gradient of what it reads.
    return Data(params, (x, labels), sum(products), 3 * sum(products) - products[0])


PART = 7  # layers whose values are computed again together: near the root of 50, which needs least memory


def parts(p):
    """First and last layer of each part, the last one not included."""
    layers = len(p) // 2
    return [(first, min(layers, first + PART)) for first in range(0, layers, PART)]


def through(gn, p, x, first, last):
    for i in range(first, last):
        x = x @ p[f"w{i}"] + p[f"b{i}"]
        if i < len(p) // 2 - 1:
            x = gn.relu(x)
    return x


def logits(gn, p, x):
    return through(gn, p, x, 0, len(p) // 2)


def recomputed(gn, p, x):
    for first, last in parts(p):
        x = gn.checkpoint(through)(gn, p, x, first, last)
    return x


def loss(gn, p, x, labels, model=logits):
    y = model(gn, p, x)
    if y.shape[-1] == 1:
        return gn.losses.mse(y[:, 0], labels)
    return gn.losses.cross_entropy(y, labels)

"""28x28 images: conv 3x3x32, relu, pool 2, conv 3x3x64, relu, pool 2, dense 128, relu, dense 10; cross-entropy.

The arrays have the channels first, as in most libraries: x [batch, 1, 28, 28], kernels [out, in, 3, 3], and the rows of d0 go
through channels, then rows, then columns. A contestant may arrange them once as it likes: `channels_last`.
"""

import numpy as np

from ..work import Data, Work


def data(work: Work) -> Data:
    side, c1, c2, dense, batch = (8, 2, 3, 5, 2) if work.small else (28, 32, 64, 128, 64)
    batch = work.batch or batch
    rng = np.random.default_rng(0)

    def random(*shape):
        return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(work.dtype)

    flat = c2 * (side // 4) ** 2
    params = {
        "k0": random(c1, 1, 3, 3),
        "b0": np.zeros(c1, work.dtype),
        "k1": random(c2, c1, 3, 3),
        "b1": np.zeros(c2, work.dtype),
        "d0": random(dense, flat).T.copy(),
        "b2": np.zeros(dense, work.dtype),
        "d1": random(10, dense).T.copy(),
        "b3": np.zeros(10, work.dtype),
    }
    x = rng.standard_normal((batch, 1, side, side)).astype(work.dtype)
    first = 2.0 * batch * side**2 * 9 * c1
    rest = 2.0 * batch * ((side // 2) ** 2 * 9 * c1 * c2 + flat * dense + dense * 10)
    return Data(params, (x, rng.integers(0, 10, batch)), first + rest, 2 * first + 3 * rest)


def channels_last(data: Data) -> Data:
    """The same with x [batch, h, w, c], kernels [3, 3, in, out], and rows of d0 through rows, then columns, then channels."""
    x, labels = data.inputs
    params = {name: a.transpose(2, 3, 1, 0) if a.ndim == 4 else a for name, a in data.params.items()}
    channels, side, d0 = len(params["b1"]), x.shape[-1] // 4, params["d0"]
    params["d0"] = d0.reshape(channels, side, side, -1).transpose(1, 2, 0, 3).reshape(d0.shape)
    params = {name: np.ascontiguousarray(array) for name, array in params.items()}
    return data._replace(params=params, inputs=(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), labels))


def logits(gn, p, x):
    h = gn.max_pool(gn.relu(gn.conv2d(x, p["k0"], padding="same") + p["b0"]), 2)
    h = gn.max_pool(gn.relu(gn.conv2d(h, p["k1"], padding="same") + p["b1"]), 2)
    h = gn.relu(gn.reshape(h, (h.shape[0], -1)) @ p["d0"] + p["b2"])
    return h @ p["d1"] + p["b3"]


def loss(gn, p, x, labels):
    return gn.losses.cross_entropy(logits(gn, p, x), labels)

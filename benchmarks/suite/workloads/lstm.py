"""Characters: embedding 65x128, one LSTM layer of 128, dense 65; cross-entropy of each next character.

The gates stand side by side in the order input, forget, cell, output. Logits are [batch, time, vocabulary] for inference;
inside a training step the order of the mean does not matter, and each contestant keeps what suits it.
"""

import numpy as np

from ..work import Data, Work


def data(work: Work) -> Data:
    time, batch, vocabulary, width = (5, 3, 7, 4) if work.small else (64, 32, 65, 128)
    batch = work.batch or batch
    rng = np.random.default_rng(0)

    def random(*shape):
        return (rng.standard_normal(shape) * 0.08).astype(work.dtype)

    params = {
        "embedding": random(vocabulary, width),
        "wx": random(width, 4 * width),
        "wh": random(width, 4 * width),
        "b": np.zeros(4 * width, work.dtype),
        "wo": random(width, vocabulary),
        "bo": np.zeros(vocabulary, work.dtype),
    }
    x, labels = rng.integers(0, vocabulary, (batch, time)), rng.integers(0, vocabulary, (batch, time))
    forward = 2.0 * batch * time * (2 * width * 4 * width + width * vocabulary)
    return Data(params, (x, labels), forward, 3 * forward)


def time_first(gn, p, x):
    """Logits [time, batch, vocabulary]."""
    z = gn.take(p["embedding"], gn.permute_dims(x, (1, 0)), axis=0) @ p["wx"] + p["b"]
    start = gn.zeros((x.shape[0], p["wh"].shape[0]), dtype=z.dtype)

    def cell(carried, z):
        h, c = carried
        i, f, g, o = gn.split(z + h @ p["wh"], 4, axis=-1)
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(g)
        h = gn.sigmoid(o) * gn.tanh(c)
        return (h, c), h

    _, hs = gn.scan(cell, (start, start), z)
    return hs @ p["wo"] + p["bo"]


def logits(gn, p, x):
    return gn.permute_dims(time_first(gn, p, x), (1, 0, 2))


def loss(gn, p, x, labels):
    return gn.losses.cross_entropy(time_first(gn, p, x), gn.permute_dims(labels, (1, 0)))

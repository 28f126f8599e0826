"""Two pre-norm blocks, width 128, 4 heads, MLP 512 with gelu (tanh), 64 tokens, causal, vocabulary 65; cross-entropy."""

import numpy as np

from ..work import Data, Work

HEADS = 4
BLOCKS = 2


def data(work: Work) -> Data:
    width, inner, time, batch, vocabulary = (8, 12, 5, 2, 7) if work.small else (128, 512, 64, 16, 65)
    batch = work.batch or batch
    rng = np.random.default_rng(0)

    def random(*shape):
        return (rng.standard_normal(shape) * 0.05).astype(work.dtype)

    params = {}
    for i in range(BLOCKS):
        params |= {
            f"{i}.ln1": np.ones(width, work.dtype),
            f"{i}.b1": np.zeros(width, work.dtype),
            f"{i}.qkv": random(width, 3 * width),
            f"{i}.o": random(width, width),
            f"{i}.ln2": np.ones(width, work.dtype),
            f"{i}.b2": np.zeros(width, work.dtype),
            f"{i}.f1": random(width, inner),
            f"{i}.fb1": np.zeros(inner, work.dtype),
            f"{i}.f2": random(inner, width),
            f"{i}.fb2": np.zeros(width, work.dtype),
        }
    params |= {"embedding": random(vocabulary, width), "positions": random(time, width)}
    params["out"] = random(width, vocabulary)
    x, labels = rng.integers(0, vocabulary, (batch, time)), rng.integers(0, vocabulary, (batch, time))
    weights = BLOCKS * (4 * width * width + 2 * width * inner) + width * vocabulary
    scores = BLOCKS * 2 * time * width  # for a token: queries with keys, and weights with values
    forward = 2.0 * batch * time * (weights + scores)
    return Data(params, (x, labels), forward, 3 * forward)


def logits(gn, p, x):
    h = gn.take(p["embedding"], x, axis=0) + p["positions"]
    batch, time, width = h.shape

    def heads(t):
        return gn.permute_dims(gn.reshape(t, (batch, time, HEADS, width // HEADS)), (0, 2, 1, 3))

    for i in range(BLOCKS):
        q, k, v = gn.split(gn.layer_norm(h, p[f"{i}.ln1"], p[f"{i}.b1"]) @ p[f"{i}.qkv"], 3, axis=-1)
        seen = gn.scaled_dot_product_attention(heads(q), heads(k), heads(v), causal=True)
        h = h + gn.reshape(gn.permute_dims(seen, (0, 2, 1, 3)), (batch, time, width)) @ p[f"{i}.o"]
        z = gn.layer_norm(h, p[f"{i}.ln2"], p[f"{i}.b2"]) @ p[f"{i}.f1"] + p[f"{i}.fb1"]
        h = h + gn.gelu(z, approximate="tanh") @ p[f"{i}.f2"] + p[f"{i}.fb2"]
    return h @ p["out"]


def loss(gn, p, x, labels):
    return gn.losses.cross_entropy(logits(gn, p, x), labels)

"""What does a call of a compiled function cost, beside the same lines of NumPy written by hand?

Both run in this process, with the same BLAS on one thread, in turn. The NumPy side is written as well as one would by hand:
it updates weights in place and computes each thing once. A ratio above 1 means that graphnn is slower.

    python benchmarks/call_overhead.py [--quick]
"""

from collections.abc import Callable
from itertools import pairwise

import _one_thread  # noqa: F401 - for its effect on NumPy, which comes next
import numpy as np
from _common import arguments, interleaved, print_table, save, time_per_call

import graphnn as gn
from graphnn import losses, nn, optim

RATE = 0.01
Pair = tuple[Callable[[], object], Callable[[], object]]  # the same work by graphnn and by hand


def one_addition() -> Pair:
    x = gn.placeholder("x", (8,))
    f = gn.function([x], x + 1)
    array, one = np.arange(8, dtype="float32"), np.float32(1)
    assert np.array_equal(f(array), array + one)
    return lambda: f(array), lambda: array + one


def mlp(sizes: list[int]) -> tuple[nn.Sequential, list[np.ndarray]]:
    """Linear layers with relu between them, and copies of their weights and biases for NumPy."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1], seed=0)
    return model, [parameter.value for parameter in model.parameters()]


def inference() -> Pair:
    model, (w1, b1, w2, b2, w3, b3) = mlp([784, 256, 128, 10])
    x = gn.placeholder("x", ("batch", 784))
    f = gn.function([x], model(x))
    image = np.random.default_rng(0).random((1, 784), "float32")

    def by_hand() -> np.ndarray:
        h = np.maximum(image @ w1 + b1, 0)
        h = np.maximum(h @ w2 + b2, 0)
        return h @ w3 + b3

    assert np.allclose(f(image), by_hand(), atol=1e-5)
    return lambda: f(image), by_hand


def training_step(sizes: list[int], batch: int) -> Pair:
    """Forward pass, backward pass and plain gradient descent: squared error for one output, else cross-entropy."""
    model, variables = mlp(sizes)
    weights, biases = variables[0::2], variables[1::2]
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(batch, sizes[0])).astype("float32")
    regression = sizes[-1] == 1
    targets = rng.normal(size=(batch, 1)).astype("float32") if regression else rng.integers(0, sizes[-1], batch)

    x = gn.placeholder("x", ("batch", sizes[0]))
    t = gn.placeholder("t", ("batch", 1)) if regression else gn.placeholder("t", ("batch",), "int64")
    loss = (losses.mse if regression else losses.cross_entropy)(model(x), t)
    step = gn.function([x, t], loss, updates=optim.SGD(RATE).updates(loss))
    rows, rate = np.arange(batch), np.float32(RATE)

    def by_hand() -> np.floating:
        values = [inputs]  # what each layer reads
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = values[-1] @ w
            z += b
            if i < len(weights) - 1:
                np.maximum(z, 0, out=z)
            values.append(z)
        z = values.pop()
        if regression:
            g = z - targets
            value = np.mean(g * g)
            g *= np.float32(2 / batch)
        else:
            z -= z.max(axis=1, keepdims=True)
            g = np.exp(z)
            total = g.sum(axis=1, keepdims=True)
            value = np.mean(np.log(total[:, 0]) - z[rows, targets])
            g /= total
            g[rows, targets] -= 1
            g *= np.float32(1 / batch)
        for i in reversed(range(len(weights))):
            h = values[i]
            dw, db = h.T @ g, g.sum(axis=0)
            if i:
                g = g @ weights[i].T
                g *= h > 0
            weights[i] -= rate * dw
            biases[i] -= rate * db
        return value

    # The same network, the same data: after some steps both must be at the same loss, else the comparison means nothing.
    for _ in range(20):
        assert np.isclose(step(inputs, targets), by_hand(), rtol=1e-3)
    return lambda: step(inputs, targets), by_hand


def main() -> None:
    options = arguments(__doc__)
    cases: dict[str, Pair] = {
        "x + 1, 8 numbers": one_addition(),
        "inference 784-256-128-10, batch 1": inference(),
        "training 2-16-16-1, batch 32": training_step([2, 16, 16, 1], 32),
        "training 784-256-128-10, batch 128": training_step([784, 256, 128, 10], 128),
    }
    seconds, rounds = (0.02, 3) if options.quick else (0.1, 15)
    measures = {
        (name, side): lambda call=call: time_per_call(call, seconds)
        for name, pair in cases.items()
        for side, call in zip(("graphnn", "numpy"), pair, strict=True)
    }
    found = interleaved(measures, rounds)
    rows, figures = [], {}
    for name in cases:
        ours, hand = found[name, "graphnn"] * 1e6, found[name, "numpy"] * 1e6
        rows.append([name, f"{ours:.1f}", f"{hand:.1f}", f"{ours / hand:.2f}"])
        figures[name] = {"graphnn_us": ours, "numpy_us": hand, "ratio": ours / hand}
    print_table(["call", "graphnn us", "numpy us", "ratio"], rows)
    save(__file__, options, figures)
    print("call overhead: " + "; ".join(f"{name} {figure['ratio']:.2f}x" for name, figure in figures.items()))


if __name__ == "__main__":
    main()

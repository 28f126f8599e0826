"""One training step of three networks on the native backend: microseconds a step, and the time to the first result.

python benchmarks/native_steps.py [tiny] [mlp] [wide]
"""

import itertools
import statistics
import sys
import time

import numpy as np

import graphnn as gn

NETWORKS = {"tiny": ([2, 16, 16, 1], 32), "mlp": ([784, 256, 128, 10], 128), "wide": ([1024, 2048, 2048, 1000], 256)}


def step_of(name, backend="native"):
    """A function that trains once, and its arguments."""
    sizes, batch = NETWORKS[name]
    rng = np.random.default_rng(0)
    parameters = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weights = (rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)).astype("f4")
        parameters += [gn.parameter(f"w{i}", weights), gn.parameter(f"b{i}", np.zeros(outputs, "f4"))]
    x = gn.placeholder("x", (batch, sizes[0]))
    y = gn.placeholder("y", (batch,), "int64")
    h = x
    for i in range(0, len(parameters), 2):
        h = h @ parameters[i] + parameters[i + 1]
        if i < len(parameters) - 2:
            h = gn.relu(h)
    if sizes[-1] == 1:
        loss = gn.mean((h[:, 0] - y.astype("float32")) ** 2)
    else:
        loss = gn.losses.cross_entropy(h, y)
    gradients = gn.grad(loss, parameters)
    updates = {p: p - 0.01 * g for p, g in zip(parameters, gradients, strict=True)}
    f = gn.function([x, y], loss, updates=updates, backend=backend)
    data = rng.standard_normal((batch, sizes[0])).astype("f4"), rng.integers(0, max(2, sizes[-1]), batch)
    return f, data


def median(f, data, budget=1.0, rounds=9):
    """Seconds a call: the median of several rounds."""
    for _ in range(3):
        f(*data)
    start = time.perf_counter()
    f(*data)
    count = max(1, int(budget / rounds / (time.perf_counter() - start)))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            f(*data)
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def main():
    for name in sys.argv[1:] or NETWORKS:
        start = time.perf_counter()
        f, data = step_of(name)
        built = time.perf_counter()
        f(*data)
        first = time.perf_counter()
        print(
            f"{name:5} {median(f, data) * 1e6:10.1f} us a step; built in {built - start:.3f} s, "
            f"first result after another {first - built:.3f} s"
        )


if __name__ == "__main__":
    main()

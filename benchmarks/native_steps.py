"""One training step of three networks on the native backend: microseconds a step, and the time to the first result."""

import itertools
import time

import numpy as np
from _common import arguments, interleaved, save, time_per_call

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


def main():
    options = arguments(__doc__)
    figures = {}
    for name in ("tiny", "mlp") if options.quick else NETWORKS:
        start = time.perf_counter()
        f, data = step_of(name)
        f(*data)
        first = time.perf_counter() - start
        measure = {"step": lambda f=f, data=data: time_per_call(lambda: f(*data), 0.02 if options.quick else 0.2)}
        figures[name] = {"first": first, **interleaved(measure, 3 if options.quick else 9)}
        print(f"{name:5} {figures[name]['step'] * 1e6:10.1f} us a step; built and run once in {first:.3f} s")
    save(__file__, options, figures)
    steps = ", ".join(f"{name} {each['step'] * 1e6:.1f} us" for name, each in figures.items())
    print(f"native steps: {steps}")


if __name__ == "__main__":
    main()

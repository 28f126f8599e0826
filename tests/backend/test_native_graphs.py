"""Random graphs on the native backend against NumPy: regions, riders, views, memory and updates in all combinations."""

import os

import numpy as np
import pytest

import graphnn as gn

GRAPHS = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 80
SIZES = (1, 2, 3, 5, 8, 17, 40)
UNARY = [gn.tanh, gn.sin, gn.sigmoid, gn.relu, gn.abs, lambda x: -x, lambda x: gn.exp(-gn.abs(x)), lambda x: x * 0.5]
BINARY = [gn.add, gn.subtract, gn.multiply, gn.maximum, gn.minimum, lambda x, y: gn.where(x > y, x * 0.5, y)]


class Maker:
    """Builds a random graph, step by step, from what is there."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.inputs, self.arrays, self.variables = [], [], []
        self.nodes = [self.leaf() for _ in range(self.rng.integers(1, 4))]
        self.updates = {}

    def shape(self):
        return tuple(int(n) for n in self.rng.choice(SIZES, self.rng.integers(0, 4)))

    def leaf(self, shape=None):
        shape = self.shape() if shape is None else shape
        value = self.rng.standard_normal(shape).astype("float32")
        if self.rng.random() < 0.7:
            node = gn.placeholder(f"x{len(self.inputs)}", shape)
            self.inputs.append(node)
            self.arrays.append(value)
            return node
        node = gn.parameter(f"w{len(self.variables)}", value)
        self.variables.append((node, value))
        return node

    def pick(self, condition=lambda node: True):
        found = [node for node in self.nodes[-8:] if condition(node)]
        return found[self.rng.integers(len(found))] if found else None

    def step(self):
        kind = self.rng.choice(
            ["unary", "binary", "reduce", "norm", "move", "slice", "join", "product", "gather", "leaf"]
        )
        made = getattr(self, kind)()
        if made is not None and made.spec.size < 20_000:
            self.nodes.append(made)

    def unary(self):
        return UNARY[self.rng.integers(len(UNARY))](self.pick())

    def binary(self):
        x = self.pick()
        y = self.pick(lambda n: n.shape == x.shape[x.ndim - n.ndim :] if n.ndim <= x.ndim else False)
        if self.rng.random() < 0.3 and x.ndim:
            y = self.leaf(tuple(1 if self.rng.random() < 0.5 else n for n in x.shape))
        return BINARY[self.rng.integers(len(BINARY))](x, x * 0.3 if y is None else y)

    def axes(self, x):
        count = self.rng.integers(1, x.ndim + 1)
        return tuple(sorted(int(i) for i in self.rng.permutation(x.ndim)[:count]))

    def reduce(self):
        x = self.pick(lambda n: n.ndim)
        if x is None:
            return None
        function = [gn.sum, gn.mean, gn.max, gn.min][self.rng.integers(4)]
        return function(x, axis=self.axes(x), keepdims=bool(self.rng.random() < 0.5))

    def norm(self):
        x = self.pick(lambda n: n.ndim)
        if x is None:
            return None
        axis = int(self.rng.integers(x.ndim))
        if self.rng.random() < 0.5:
            return gn.softmax(x, axis=axis)
        mean = gn.mean(x, axis=axis, keepdims=True)
        return (x - mean) / gn.sqrt(gn.mean(gn.square(x - mean), axis=axis, keepdims=True) + 0.1)

    def move(self):
        x = self.pick()
        if self.rng.random() < 0.5:
            return gn.permute_dims(x, tuple(int(i) for i in self.rng.permutation(x.ndim)))
        if self.rng.random() < 0.5:
            return gn.broadcast_to(x, (int(self.rng.choice(SIZES[:5])), *x.shape))
        cut = int(self.rng.integers(0, x.ndim + 1))
        sizes = (int(np.prod(x.shape[:cut])), int(np.prod(x.shape[cut:])))
        return gn.reshape(x, sizes if self.rng.random() < 0.5 else (-1,))

    def slice(self):
        x = self.pick(lambda n: n.ndim and max(n.shape) > 1)
        if x is None:
            return None
        key = []
        for n in x.shape:
            start = int(self.rng.integers(n))
            key.append(slice(start, int(self.rng.integers(start + 1, n + 1)), int(self.rng.integers(1, 3))))
            if self.rng.random() < 0.3:
                key[-1] = slice(None, None, -1)
        return x[tuple(key)]

    def join(self):
        x = self.pick(lambda n: n.ndim)
        if x is None:
            return None
        if self.rng.random() < 0.5:
            return gn.pad(x, [(int(self.rng.integers(3)), int(self.rng.integers(3))) for _ in x.shape])
        return gn.concat([x, x * 2, -x], axis=int(self.rng.integers(x.ndim)))

    def product(self):
        x = self.pick(lambda n: n.ndim >= 2)
        if x is None:
            return None
        w = self.leaf((x.shape[-1], int(self.rng.choice(SIZES))))
        return x @ w * (1 / np.sqrt(x.shape[-1]))

    def gather(self):
        x = self.pick(lambda n: n.ndim)
        if x is None:
            return None
        axis = int(self.rng.integers(x.ndim))
        index = self.rng.integers(-x.shape[axis], x.shape[axis], int(self.rng.integers(1, 6)))
        return gn.take(x, gn.constant(index), axis=axis)


def build(seed):
    maker = Maker(seed)
    for _ in range(maker.rng.integers(3, 25)):
        maker.step()
    chosen = maker.rng.permutation(len(maker.nodes))[: maker.rng.integers(1, 5)]
    outputs = [maker.nodes[i] for i in chosen]
    loss = sum((gn.mean(gn.tanh(node)) for node in outputs), gn.constant(0.0))
    variables = [w for w, _ in maker.variables]
    if variables and maker.rng.random() < 0.7:
        used = [w for w in variables if w in set(gn.Graph(loss).parameters)]
        for w, g in zip(used, gn.grad(loss, used) if used else [], strict=True):
            maker.updates[w] = w - 0.1 * g
    return maker, outputs


def results(maker, outputs, backend):
    for w, value in maker.variables:
        w.value = value
    f = gn.function(maker.inputs, outputs, updates=maker.updates, backend=backend, on_unused="ignore")
    got = [f(*maker.arrays) for _ in range(3)][-1]
    return [*got, *[w.value for w in maker.updates]]


def check(seed):
    maker, outputs = build(seed)
    mine, other = (results(maker, outputs, backend) for backend in ("native", "numpy"))
    for number, (x, y) in enumerate(zip(mine, other, strict=True)):
        assert x.shape == y.shape
        scale = np.max(np.abs(y), initial=1.0)
        np.testing.assert_allclose(x, y, rtol=3e-4, atol=3e-5 * scale, err_msg=f"seed {seed}, result {number}")


@pytest.mark.parametrize("block", range(4))
def test_random_graphs(block):
    for seed in range(block, GRAPHS, 4):
        check(seed)


@pytest.mark.parametrize("block", range(2))
def test_random_graphs_as_if_they_were_large(block, monkeypatch):
    # What is done for large arrays only, done for all: columns in parts, values computed again, chunks for threads.
    columns, loops, movement, recompute = (
        pytest.importorskip(f"graphnn.backend.native.{name}") for name in ("columns", "loops", "movement", "recompute")
    )
    for module, name, value in (
        (columns, "_LEAST_BYTES", 0), (columns, "_LEAST_ROWS", 2), (columns, "_ROW_BYTES", 256), (columns, "BLOCK", 4),
        (columns, "ALONE", 20), (columns, "CHUNK", 20), (loops, "ALONE", 20), (loops, "CHUNK", 20), (loops, "BLOCK", 4),
        (movement, "_CHUNK", 64), (recompute, "_LEAST_BYTES", 0), (recompute, "_OPERATION", 0.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    for seed in range(20_000 + block, 20_000 + max(GRAPHS // 2, 2), 2):
        check(seed)

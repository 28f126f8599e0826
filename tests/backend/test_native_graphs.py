"""Random graphs on the native backend against NumPy: regions, riders, views, memory and updates in all combinations."""

import contextlib
import os

import numpy as np
import pytest

import graphnn as gn

GRAPHS = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 80
SIZES = (1, 2, 3, 5, 8, 17, 40)
FLOATS, INTEGERS = ("float32", "float64"), ("int32", "int64", "uint8", "int16", "uint64")
UNARY = [
    gn.tanh, gn.sin, gn.sigmoid, gn.relu, gn.abs, lambda x: -x, lambda x: gn.exp(-gn.abs(x)), lambda x: x * 0.5, gn.erf, gn.cos,
    lambda x: gn.log1p(gn.square(x)), lambda x: gn.pow(gn.abs(x) + 0.5, 1.3), lambda x: gn.sqrt(gn.square(x) + 0.1), gn.gelu,
]  # fmt: skip
BINARY = [
    gn.add, gn.subtract, gn.multiply, gn.maximum, gn.minimum,
    # Steps would turn the last bits of their operands into large differences; this has a bend.
    lambda x, y: gn.where(x > y, x - y, (y - x) * 0.5), lambda x, y: x / (gn.square(y) + 0.5),
    lambda x, y: gn.atan2(x, gn.square(y) + 0.5),
]  # fmt: skip
WHOLE = [
    gn.floor_divide, gn.remainder, gn.add, gn.multiply, gn.bitwise_xor, gn.bitwise_right_shift, gn.bitwise_left_shift,
    gn.maximum, lambda x, y: gn.where(x >= y, x, -y), lambda x, y: gn.where(gn.logical_and(x != y, y > 1), y, x + 1),
]  # fmt: skip
KINDS = [
    "unary", "unary", "binary", "binary", "binary", "reduce", "reduce", "norm", "move", "move", "slice", "slice", "join",
    "product", "product", "gather", "gather", "leaf", "whole", "whole", "cast", "running", "order", "loop", "choice",
    "scatter", "parts",
]  # fmt: skip


class Maker:
    """Builds a random graph, step by step, from what is there.

    Attributes
    ----------
    exact : the nodes whose values do not depend on how anything was rounded; only these may become integers or indices
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.inputs, self.arrays, self.variables = [], [], []
        self.exact = set()
        self.nodes = [self.leaf() for _ in range(self.rng.integers(1, 4))]
        self.updates = {}

    def chance(self, share):
        return self.rng.random() < share

    def shape(self):
        shape = [int(n) for n in self.rng.choice(SIZES, self.rng.integers(0, 4))]
        if shape and self.chance(0.04):
            shape[self.rng.integers(len(shape))] = 0
        return tuple(shape)

    def leaf(self, shape=None, dtype=None):
        shape = self.shape() if shape is None else shape
        dtype = dtype or str(self.rng.choice(["float32"] * 7 + ["float64", *INTEGERS[:3]]))
        value = self.rng.standard_normal(shape).astype(dtype)
        if dtype in INTEGERS:
            value = self.rng.integers(-9 if dtype[0] == "i" else 0, 100, shape).astype(dtype)
        if self.chance(0.7) or dtype in INTEGERS:
            node = gn.placeholder(f"x{len(self.inputs)}", shape, dtype)
            self.inputs.append(node)
            self.arrays.append(value)
        else:
            node = gn.parameter(f"w{len(self.variables)}", value)
            self.variables.append((node, value))
        self.exact.add(node)
        return node

    def pick(self, condition=lambda node: True):
        found = [node for node in self.nodes[-8:] if condition(node)]
        return found[self.rng.integers(len(found))] if found else None

    def float(self, axes=0, full=False):
        """A node of floats with so many axes at least."""
        return self.pick(lambda n: n.dtype.name in FLOATS and n.ndim >= axes and not (full and 0 in n.shape))

    def step(self):
        made = getattr(self, str(self.rng.choice(KINDS)))()
        if made is None or made.spec.size >= 20_000:
            return
        operands = made.inputs if made.dtype.name in FLOATS else ()
        moved = (
            len(operands) == 1 and operands[0] in self.exact and made.op.name in ("reshape", "permute_dims", "slice")
        )
        if moved or made.dtype.name in INTEGERS:
            self.exact.add(made)
        self.nodes.append(made)

    def unary(self):
        x = self.float()
        return None if x is None else UNARY[self.rng.integers(len(UNARY))](x)

    def binary(self):
        x = self.float()
        if x is None:
            return None
        y = self.pick(lambda n: n.dtype is x.dtype and n.ndim <= x.ndim and n.shape == x.shape[x.ndim - n.ndim :])
        if self.chance(0.3) and x.ndim:
            y = self.leaf(tuple(1 if self.chance(0.5) else n for n in x.shape), x.dtype.name)
        return BINARY[self.rng.integers(len(BINARY))](x, x * 0.3 if y is None else y)

    def whole(self):
        """Integers with integers: they overflow, are divided by zero and shifted too far."""
        x = self.pick(lambda n: n.dtype.name in INTEGERS)
        if x is None:
            return None
        y = self.pick(lambda n: n.dtype is x.dtype and n.shape == x.shape)
        if y is None or self.chance(0.5):
            y = self.leaf(tuple(1 if self.chance(0.3) else n for n in x.shape), x.dtype.name)
        return WHOLE[self.rng.integers(len(WHOLE))](x, y)

    def cast(self):
        x = self.pick(lambda n: n in self.exact)
        if x is None:
            return None
        if x.dtype.name in INTEGERS and self.chance(0.6):
            return gn.tanh(x.astype(str(self.rng.choice(FLOATS))) * 0.05)
        return x.astype(str(self.rng.choice([*INTEGERS, x.dtype.name])))

    def axes(self, x):
        count = self.rng.integers(1, x.ndim + 1)
        return tuple(sorted(int(i) for i in self.rng.permutation(x.ndim)[:count]))

    def reduce(self):
        x = self.pick(lambda n: n.ndim and 0 not in n.shape)
        if x is None:
            x = self.pick(lambda n: n.ndim)
            return None if x is None else gn.sum(x, axis=self.axes(x))
        functions = [gn.sum, gn.max, gn.min] + ([gn.mean, gn.logsumexp] if x.dtype.name in FLOATS else [gn.prod])
        made = functions[self.rng.integers(len(functions))](x, axis=self.axes(x), keepdims=self.chance(0.5))
        return made

    def norm(self):
        x = self.float(1, full=True)
        if x is None:
            return None
        axis = int(self.rng.integers(x.ndim))
        if self.chance(0.5):
            return gn.softmax(x, axis=axis)
        mean = gn.mean(x, axis=axis, keepdims=True)
        return (x - mean) / gn.sqrt(gn.mean(gn.square(x - mean), axis=axis, keepdims=True) + 0.1)

    def move(self):
        x = self.pick()
        if self.chance(0.5):
            return gn.permute_dims(x, tuple(int(i) for i in self.rng.permutation(x.ndim)))
        if self.chance(0.5):
            return gn.broadcast_to(x, (int(self.rng.choice(SIZES[:5])), *x.shape))
        cut = int(self.rng.integers(0, x.ndim + 1))
        sizes = (int(np.prod(x.shape[:cut])), int(np.prod(x.shape[cut:])))
        return gn.reshape(x, sizes if self.chance(0.5) or 0 in sizes else (-1,))

    def slice(self):
        x = self.pick(lambda n: n.ndim and max(n.shape) > 1 and 0 not in n.shape)
        if x is None:
            return None
        key = []
        for n in x.shape:
            start = int(self.rng.integers(n))
            key.append(slice(start, int(self.rng.integers(start + 1, n + 1)), int(self.rng.integers(1, 3))))
            if self.chance(0.3):
                key[-1] = slice(None, None, -1)
            if self.chance(0.02):
                key[-1] = slice(start, start)
        return x[tuple(key)]

    def join(self):
        x = self.pick(lambda n: n.ndim)
        if x is None:
            return None
        if self.chance(0.5):
            return gn.pad(x, [(int(self.rng.integers(3)), int(self.rng.integers(3))) for _ in x.shape])
        return gn.concat([x, x * 2, -x], axis=int(self.rng.integers(x.ndim)))

    def product(self):
        x = self.pick(lambda n: n.ndim >= 2)
        if x is None:
            return None
        if x.dtype.name in INTEGERS:
            return x @ self.leaf((x.shape[-1], int(self.rng.choice(SIZES[:4]))), x.dtype.name)
        batch = x.shape[:-2] if self.chance(0.3) else ()
        w = self.leaf((*batch, x.shape[-1], int(self.rng.choice(SIZES))), x.dtype.name)
        if self.chance(0.2):
            return gn.matmul(w.mT, x.mT) * 0.3 if w.ndim == x.ndim else gn.einsum("...i,ij->j...", x, w) * 0.3
        made = x @ w * (1 / np.sqrt(max(1, x.shape[-1])))
        return gn.relu(made + self.leaf((w.shape[-1],), x.dtype.name)) if self.chance(0.3) else made

    def indices(self, size, shape):
        """Indices into an axis: constant, given, or computed."""
        index = self.rng.integers(-size, size, shape)
        if self.chance(0.4):
            return gn.constant(index)
        node = gn.placeholder(f"x{len(self.inputs)}", shape, "int64")
        self.inputs.append(node)
        self.arrays.append(index)
        return gn.remainder(node * 3 + 1, size) if self.chance(0.3) else node

    def gather(self):
        x = self.pick(lambda n: n.ndim and 0 not in n.shape)
        if x is None:
            return None
        axis = int(self.rng.integers(x.ndim))
        if self.chance(0.3):
            shape = [n if i != axis else int(self.rng.integers(0, 4)) for i, n in enumerate(x.shape)]
            return gn.take_along_axis(x, self.indices(x.shape[axis], tuple(shape)), axis=axis)
        return gn.take(x, self.indices(x.shape[axis], (int(self.rng.integers(1, 6)),)), axis=axis)

    def scatter(self):
        x = self.pick(lambda n: n.ndim and 0 not in n.shape)
        if x is None:
            return None
        count = int(self.rng.integers(1, 6))
        place = x.at[self.indices(x.shape[0], (count,))]
        values = self.leaf((count, *x.shape[1:]), x.dtype.name)
        return place.add(values) if self.chance(0.7) else x.at[: min(2, x.shape[0])].set(x[:1] * 2)

    def running(self):
        x = self.float(1)
        if x is None:
            return None
        function = [gn.cumulative_sum, gn.cumulative_max, gn.cumulative_logsumexp][self.rng.integers(3)]
        return function(x, axis=int(self.rng.integers(x.ndim)))

    def order(self):
        x = self.pick(lambda n: n.ndim and 0 not in n.shape)
        if x is None:
            return None
        axis = int(self.rng.integers(x.ndim))
        if x in self.exact and self.chance(0.5):
            return (gn.argsort if self.chance(0.5) else gn.argmax)(x, axis=axis)
        return gn.sort(x, axis=axis, descending=self.chance(0.5))

    def loop(self):
        """A scan over the first axis whose step is a small network, forward or backward."""
        x = self.pick(lambda n: n.dtype.name in FLOATS and n.ndim in (1, 2) and n.shape[0] <= 17)
        if x is None:
            return None
        size, kind = (x.shape[1:], x.dtype.name)
        w = self.leaf((*size, *size), kind)
        scale = self.leaf(size, kind)

        def step(carry, each):
            # Small weights: a loop that amplifies differences would show how sums are rounded, and nothing else.
            new = gn.tanh((carry @ w if size else carry * w) * (0.3 / max(1, w.spec.size) ** 0.25) + each * scale)
            if self.chance(0.3):
                new = gn.cond(gn.sum(scale) > 0, lambda: new * 0.5, lambda: gn.sin(new) - each)
            return new, gn.softmax(new) if size and 0 not in size and self.chance(0.5) else new * 2

        last, every = gn.scan(step, gn.zeros(size, dtype=kind), x, reverse=self.chance(0.3))
        return every if self.chance(0.7) else last

    def choice(self):
        x = self.float()
        if x is None:
            return None
        which = self.leaf((), "int64")
        branches = [lambda x: gn.sin(x) * 2, lambda x: gn.square(x) * 0.1, lambda x: -x]
        return gn.switch(gn.remainder(which, 3), branches, x)

    def parts(self):
        x = self.float(1, full=True)
        if x is None:
            return None
        axis = int(self.rng.integers(x.ndim))
        first, second = gn.split(x, [x.shape[axis] // 2], axis=axis)
        return gn.concat([gn.exp(-gn.square(second)), first * 2], axis=axis)


def build(seed):
    maker = Maker(seed)
    for _ in range(maker.rng.integers(3, 25)):
        maker.step()
    chosen = maker.rng.permutation(len(maker.nodes))[: maker.rng.integers(1, 5)]
    outputs = [maker.nodes[i] for i in chosen]
    floats = [node for node in outputs if node.dtype.name in FLOATS and 0 not in node.shape]
    loss = sum((gn.mean(gn.tanh(node)).astype("float32") for node in floats), gn.constant(0.0))
    variables = [w for w, _ in maker.variables]
    if variables and maker.chance(0.7):
        used = [w for w in variables if w in set(gn.Graph(loss).parameters)]
        with contextlib.suppress(gn.DifferentiationError):  # of what is read through integers only
            maker.updates.update(
                {w: w - 0.1 * g for w, g in zip(used, gn.grad(loss, used) if used else [], strict=True)}
            )
    return maker, outputs


def results(maker, outputs, backend):
    for w, value in maker.variables:
        w.value = value
    f = gn.function(maker.inputs, outputs, updates=maker.updates, backend=backend, on_unused="ignore")
    with np.errstate(all="ignore"):
        got = [f(*maker.arrays) for _ in range(3)][-1]
    return [*got, *[w.value for w in maker.updates]]


def check(seed):
    maker, outputs = build(seed)
    mine, other = (results(maker, outputs, backend) for backend in ("native", "numpy"))
    for number, (x, y) in enumerate(zip(mine, other, strict=True)):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        if y.dtype.kind != "f":
            np.testing.assert_array_equal(x, y, err_msg=f"seed {seed}, result {number}")
            continue
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

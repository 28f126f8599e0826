"""What runs around products: sums down columns, values computed again, stages, the order of memory, joins by threads."""

import itertools

import numpy as np
import pytest

import graphnn as gn

pytest.importorskip("llvmlite.binding")

from graphnn.backend.native import pool

RNG = np.random.default_rng(0)


@pytest.fixture
def threads():
    yield pool.set_num_threads
    pool.set_num_threads(None)


def both(build, *arrays):
    """The results of both backends, and the native function."""
    inputs = [gn.placeholder(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(arrays)]
    outputs = build(*inputs)
    f = gn.function(inputs, outputs, backend="native")
    return f(*arrays), gn.function(inputs, outputs, backend="numpy")(*arrays), f


def close(mine, other, tolerance=2e-5):
    for x, y in zip(mine, other, strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * np.max(np.abs(y), initial=1))


# Long and short, with a rest of a vector, cut into parts or not, with a row of accumulators that fits into the cache or not.
SHAPES = [(1031, 37), (17, 5003), (4099, 3), (40, 33, 65), (2, 700, 129), (300, 4, 5, 31), (33, 20_011), (70_001, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("function", [gn.sum, gn.max, gn.prod, gn.mean])
def test_down_the_columns(shape, function):
    x = 1 + RNG.standard_normal(shape).astype("float32") * (0.001 if function is gn.prod else 1)
    axes = [tuple(range(k)) for k in range(1, len(shape))] + [(i,) for i in range(1, len(shape) - 1)]
    mine, other, _ = both(lambda x: [function(x * 0.5 + 0.5, axis=axis) for axis in axes], x)
    close(mine, other, 1e-4 if function is gn.prod else 2e-5)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float64"])
def test_down_the_columns_of_other_types(dtype):
    x = (RNG.standard_normal((3000, 71)) * 3).astype(dtype)
    fold = [gn.any, gn.all] if dtype == "bool" else [gn.sum, gn.max, gn.min]
    mine, other, _ = both(lambda x: [function(x, axis=0) for function in fold], x)
    close(mine, other, 1e-12)


@pytest.mark.parametrize("shape", [(1031, 37), (19, 9001), (64, 14, 14, 32)])
def test_columns_with_what_follows_and_what_is_stored(shape):
    # As the gradient of a bias with its update: rows of a parameter are read in the loops and behind them.
    x, w = RNG.standard_normal(shape).astype("float32"), RNG.standard_normal(shape[-1:]).astype("float32")
    axes = tuple(range(len(shape) - 1))

    def run(backend):
        given, bias = gn.placeholder("x", shape), gn.parameter("w", w)
        y = gn.tanh(given * gn.square(bias))
        f = gn.function([given], [y, gn.sum(y)], updates={bias: bias - 0.1 * gn.sum(y, axis=axes)}, backend=backend)
        return [*f(x), *f(x), bias.value]

    close(run("native"), run("numpy"), 1e-4)


def test_errors_of_long_columns_stay_small():
    x = np.full((200_000, 3), 0.1, "float32")
    mine, _, _ = both(lambda x: [gn.sum(x, axis=0)], x)
    exact = 200_000 * float(np.float32(0.1))
    np.testing.assert_allclose(mine[0], exact, rtol=256 * 2.0**-24)  # as many additions as a block has


def test_nan_and_infinity_of_columns():
    x = RNG.standard_normal((900, 41)).astype("float32")
    x[7, 3], x[600, 5], x[899, 40] = np.nan, np.inf, -np.inf
    mine, other, _ = both(lambda x: [gn.sum(x, axis=0), gn.max(x, axis=0), gn.min(x, axis=0)], x)
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_bits_do_not_depend_on_the_number_of_threads(threads):
    rows, images = (
        RNG.standard_normal((1500, 257)).astype("float32"),
        RNG.standard_normal((16, 28, 28, 12)).astype("float32"),
    )
    table = RNG.standard_normal((64, 50, 41)).astype("float32")
    x, y, z = gn.placeholder("x", rows.shape), gn.placeholder("y", images.shape), gn.placeholder("z", table.shape)
    pooled = gn.max_pool(gn.relu(y), 2)
    a, b = gn.split(z[..., :40], 2, axis=-1)
    loss = gn.sum(gn.gelu(x, approximate="tanh")) + gn.sum(gn.square(pooled)) + gn.sum(gn.softmax(a) * b)
    outputs = [gn.sum(gn.tanh(x), axis=0), gn.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0))), *gn.grad(loss, [x, y, z])]
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append([a.tobytes() for a in gn.function([x, y, z], outputs, backend="native")(rows, images, table)])
    assert found[0] == found[1] == found[2]


# Values that are computed again


def test_an_activation_hands_on_the_least():
    # Its gradient needs the argument and its tanh; all else follows from them.
    x, w = RNG.standard_normal((300, 40)).astype("float32"), RNG.standard_normal((40, 200)).astype("float32")
    v = RNG.standard_normal((200, 30)).astype("float32")

    def build(x, w, v):
        loss = gn.sum(gn.square(gn.gelu(x @ w, approximate="tanh") @ v))
        return [loss, *gn.grad(loss, [x, w, v])]

    mine, other, f = both(build, x, w, v)
    close(mine, other, 1e-4)
    plan = f._plans[next(iter(f._plans))]
    large = [item for group in plan.program.groups for item in group.items if item.stored and item.size == 300 * 200]
    operations = sorted(type(item.node.op).__name__ for item in large)
    assert len(large) <= 5, operations  # argument, tanh, result, and both gradients
    assert "Tanh" in operations
    assert sum(isinstance(i.node.op, type(gn.tanh(gn.placeholder("t", ())).op)) for i in plan.program.items) == 1


@pytest.mark.parametrize("seed", range(12))
def test_values_computed_again_are_the_same(seed):
    # Chains of activations between products, read in several places.
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape).astype("float32") for shape in ((150, 30), (30, 130), (130, 140))]
    functions = [gn.relu, gn.tanh, gn.silu, gn.square, lambda x: gn.gelu(x, approximate="tanh"), gn.softplus]

    def build(x, w, v):
        h = x @ w
        for i in rng.integers(len(functions), size=3):
            h = functions[i](h) * 0.7 + gn.where(h > 0.1, h, -h)
        loss = gn.mean(gn.square(h @ v)) + gn.mean(gn.softmax(h))
        return [loss, h, *gn.grad(loss, [x, w, v])]

    mine, other, _ = both(build, *arrays)
    close(mine, other, 3e-4)


# The order of memory


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_work_on_permuted_arrays(order):
    x = RNG.standard_normal((5, 12, 7)).astype("float32")

    def build(x):
        y = gn.permute_dims(x, order)
        e = gn.exp(y - gn.max(y, axis=1, keepdims=True))
        return [gn.tanh(y), e, gn.sum(e, axis=(0, 2)), gn.sum(e, axis=0, keepdims=True), gn.permute_dims(e, order)]

    mine, other, _ = both(build, x)
    close(mine, other)


@pytest.mark.parametrize("shape", [(1, 8, 1, 6), (3, 1, 1, 1), (2, 4, 6, 0), (1, 1, 1, 1)])
def test_work_on_permuted_arrays_with_axes_of_one_and_none(shape):
    x = RNG.standard_normal(shape).astype("float32")

    def build(x):
        y = gn.permute_dims(x, (3, 1, 0, 2))
        return [y * 2, gn.sum(y, axis=(1, 2)), gn.sum(y * 3, axis=2, keepdims=True)]

    mine, other, _ = both(build, x)
    close(mine, other)


@pytest.mark.parametrize(("side", "size"), [(8, 2), (9, 3), (10, 2), (7, 2)])
def test_pooling_with_its_gradient(side, size):
    x = np.round(RNG.standard_normal((3, side, side, 5)), 1).astype("float32")  # with ties

    def build(x):
        y = gn.max_pool(gn.relu(x + 0.1), size)
        return [y, gn.grad(gn.sum(y * y), x)]

    mine, other, _ = both(build, x)
    close(mine, other)


# Stages


def test_a_softmax_computes_its_exponentials_once():
    x, allowed = RNG.standard_normal((40, 33)).astype("float32"), np.tri(40, 33, dtype=bool)
    mine, other, f = both(lambda x: [gn.masked_softmax(x, gn.constant(allowed))], x)
    close(mine, other)
    # Minus the short part of log(2): once in the loop of full vectors, and once for the rest.
    assert 1 <= sum("0xBFE6300000000000" in line for line in f.llvm.splitlines()) <= 2


# Joins and paddings


@pytest.mark.parametrize("axis", range(3))
def test_large_joins_and_paddings(axis):
    x, y = RNG.standard_normal((41, 30, 131)).astype("float32"), RNG.standard_normal((41, 30, 131)).astype("float32")
    widths = [tuple((1, 2) if i == axis else (0, 0) for i in range(3)), ((0, 0), (2, 1), (3, 0))]

    def build(x, y):
        swapped = gn.permute_dims(y, (1, 0, 2)).reshape((41, 30, 131))
        return [gn.concat([x, swapped, x * 2], axis=axis), *(gn.pad(x, width) for width in widths)]

    mine, other, _ = both(build, x, y)
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_updates_do_not_wait_for_an_index_that_was_checked():
    # The gradient of the table scatters by the indices that the forward pass has gathered with.
    table, w = RNG.standard_normal((9, 16)).astype("float32"), RNG.standard_normal((16, 16)).astype("float32")
    e, v, x = gn.parameter("e", table), gn.parameter("v", w), gn.placeholder("x", (12,), "int64")
    loss = gn.sum(gn.square(gn.tanh(gn.take(e, x, axis=0) @ v)))
    f = gn.function([x], loss, updates=gn.optim.SGD(0.1).updates(loss), backend="native")
    f(np.arange(12) % 9)
    groups = f._plans[next(iter(f._plans))].program.groups
    scatter = next(i for i, g in enumerate(groups) if type(g.items[-1].node.op).__name__ == "ScatterAdd")
    update = next(
        i for i, g in enumerate(groups) if any(item.output >= 0 and item.shape == (16, 16) for item in g.items)
    )
    assert update < scatter
    before = e.value.copy(), v.value.copy()
    with pytest.raises(gn.errors.ExecutionError):
        f(np.array([0] * 11 + [9]))
    np.testing.assert_array_equal(e.value, before[0])
    np.testing.assert_array_equal(v.value, before[1])


@pytest.mark.parametrize("kernel", [gn.cumulative_sum, gn.sort])
@pytest.mark.parametrize("late", [False, True])
def test_a_kernel_between_two_readers_of_a_value_is_no_circle(kernel, late):
    # `where` would have put the sine and the exponential into one group, which the kernel between them waits for.
    x, y = gn.placeholder("x", (4, 4)), gn.placeholder("y", (4, 4))
    first = gn.exp(x)
    chooses = gn.sin(y)
    second = kernel(first, axis=0)
    chosen = gn.where(chooses > 0, first, second) if late else gn.where(chooses > 0, second, first)
    a, b = np.random.default_rng(0).normal(size=(2, 4, 4)).astype("float32")
    np.testing.assert_allclose(gn.function([x, y], chosen)(a, b), gn.evaluate(chosen, {x: a, y: b}), rtol=1e-5)

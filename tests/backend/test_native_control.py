"""Loops and choices in native code against NumPy."""

import numpy as np
import pytest

import graphnn as gn

RNG = np.random.default_rng(0)


def both(inputs, outputs, values):
    """Two calls on each backend give the same; the native one does all of it."""
    results = []
    for backend in ("native", "numpy"):
        f = gn.function(inputs, outputs, backend=backend, on_unused="ignore")
        f(*values)
        results.append(f(*values))
        if backend == "native":
            assert "NumPy runs" not in f.explain()
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=2e-5 * np.max(np.abs(other), initial=0.0))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_recurrent_network_and_its_gradient(length, reverse):
    x, h0 = gn.placeholder("x", (length, 3, 4)), gn.placeholder("h0", (3, 5))
    w = gn.parameter("w", RNG.standard_normal((4, 5)).astype("f4"))
    u = gn.parameter("u", RNG.standard_normal((5, 5)).astype("f4"))

    def step(h, element):
        h = gn.tanh(element @ w + h @ u)
        return h, 2 * h

    last, stack = gn.scan(step, h0, x, reverse=reverse)
    loss = gn.sum(stack * stack) + gn.sum(last)
    values = [RNG.standard_normal(shape).astype("f4") for shape in ((length, 3, 4), (3, 5))]
    both([x, h0], [last, stack, loss, *gn.grad(loss, [w, u, h0, x])], values)


def test_arrays_in_another_order_and_carried_values_that_change_places():
    x = gn.placeholder("x", (3, 6, 4))

    def step(carry, element):
        first, second = carry
        return (second, first + element[0, 0]), first

    (a, b), stack = gn.scan(step, (gn.constant(1.0), gn.constant(2.0)), gn.permute_dims(x, (1, 0, 2)))
    both([x], [a, b, stack], [RNG.standard_normal((3, 6, 4)).astype("f4")])


def test_a_loop_in_a_loop_with_constants():
    x = gn.placeholder("x", (4, 3), "float64")
    table = gn.constant(np.arange(12.0).reshape(4, 3))

    def inner(total, row):
        return total + (row * table).sum(), total

    def outer(carry, row):
        total, steps = gn.scan(inner, carry, table + row)
        return total * 0.01, steps

    last, stack = gn.scan(outer, gn.constant(1.0, "float64"), x)
    both([x], [last, stack], [RNG.standard_normal((4, 3))])


@pytest.mark.parametrize("taken", [True, False])
def test_a_choice(taken):
    p, x = gn.placeholder("p", (), "bool"), gn.placeholder("x", (3, 5))
    chosen = gn.cond(p, lambda v: (gn.exp(v), v.sum()), lambda v: (v * 2, v.max()), x)
    both([p, x], list(chosen), [np.array(taken), RNG.standard_normal((3, 5)).astype("f4")])


def test_an_index_out_of_range_inside_of_a_loop():
    table, i = gn.parameter("table", np.arange(5.0)), gn.placeholder("i", (6,), "int64")
    last, _ = gn.scan(lambda total, k: (total + gn.take(table, k, axis=0), total), gn.constant(0.0, "float64"), i)
    f = gn.function([i], last, backend="native")
    assert f(np.array([0, 1, 2, 3, 4, -1])) == 14
    with pytest.raises(gn.IndexRangeError, match="index 9 is out of bounds for axis 0 with size 5"):
        f(np.array([0, 1, 2, 9, 4, 0]))


def test_a_loop_that_numpy_has_to_take_part_in():
    x = gn.placeholder("x", (4, 3))
    last, stack = gn.scan(lambda c, row: (gn.lgamma(c + row), c), gn.constant(np.zeros(3, "f4")), x)
    value = RNG.standard_normal((4, 3)).astype("f4")
    mine, other = (gn.function([x], [last, stack], backend=name)(value) for name in ("native", "numpy"))
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)

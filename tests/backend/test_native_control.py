"""Loops and choices in native code against NumPy."""

import signal
import subprocess
import sys
import time

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


# --- where stacks lie ---


def before_and_after(h, e):
    new = gn.tanh(h * 0.5 + e)
    return new, (h, new)


def only_before(h, e):
    return gn.tanh(h * 0.5 + e), (h,)


def before_twice(h, e):
    return gn.tanh(h * 0.5 + e), (h, h)


def parts_of_one(h, e):
    z = gn.concat([h + e, h * e, h - e], axis=1)
    a, b, c = gn.split(z, 3, axis=1)
    return gn.tanh(a + b * c), (a, c, gn.permute_dims(b, (1, 0)))


def one_row_of_many(h, e):
    z = gn.concat([h + e, h * e, h - e], axis=0)
    return gn.tanh(z[:3] + z[-3:]), (z[1], z[2])


def element_itself(h, e):
    return h + e, (e, e[:, 1:], e * 2)


def carried_part(h, e):
    z = gn.exp(-gn.abs(gn.concat([h, e], axis=1)))
    return z[:, :4], (z, z[:, 2:6], z[:, :4])


STEPS = [before_and_after, only_before, before_twice, parts_of_one, one_row_of_many, element_itself, carried_part]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("step", STEPS)
def test_what_is_stacked(step, length, reverse):
    x, h0 = gn.placeholder("x", (length, 3, 4)), gn.placeholder("h0", (3, 4))
    last, stacks = gn.scan(step, h0, x, reverse=reverse)
    loss = sum(gn.sum(gn.sin(node)) for node in (last, *stacks))
    values = [RNG.standard_normal(shape).astype("f4") for shape in ((length, 3, 4), (3, 4))]
    both([x, h0], [last, *stacks, loss, *gn.grad(loss, [h0, x])], values)
    both([x, h0], [gn.sum(stacks[-1] * 2, axis=0), last], values)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_elements_are_read_where_they_are(order):
    shape = tuple((5, 3, 4)[order.index(i)] for i in range(3))
    x, w = gn.placeholder("x", shape), gn.parameter("w", RNG.standard_normal((4, 4)).astype("f4"))
    y = gn.permute_dims(x, order)  # (5, 3, 4)
    last, stack = gn.scan(lambda h, e: (gn.tanh(e @ w + h + e[::-1]), h[:, :2] * e[:, 1:3]), gn.zeros((3, 4)), y)
    both([x], [last, stack, *gn.grad(gn.sum(last * 3) + gn.sum(stack), [x, w])], [RNG.normal(size=shape).astype("f4")])


def test_a_state_that_a_loop_moves_on():
    x, h = gn.placeholder("x", (4, 3)), gn.state("h", np.ones(3, "float32"))
    last, stack = gn.scan(lambda h, e: (h * 0.5 + e, h), h, x)
    f = gn.function([x], stack, updates={h: last}, backend="native")
    arrays, state = RNG.standard_normal((3, 4, 3)).astype("f4"), np.ones(3, "f4")
    for array in arrays:
        expected = []
        for row in array:
            expected.append(state)
            state = state * np.float32(0.5) + row
        np.testing.assert_allclose(f(array), expected, rtol=1e-6)
        np.testing.assert_allclose(h.value, state, rtol=1e-6)


def test_gates_are_stacked_as_they_are_computed():
    x, h0 = gn.placeholder("x", (6, 3, 16)), gn.placeholder("h0", (3, 4))
    w = gn.parameter("w", RNG.standard_normal((4, 16)).astype("f4"))

    def cell(carried, z):
        h, c = carried
        i, f, g, o = gn.split(z + h @ w, 4, axis=-1)
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(g)
        h = gn.sigmoid(o) * gn.tanh(c)
        return (h, c), h

    _, hs = gn.scan(cell, (h0, h0), x)
    outputs = gn.grad(gn.sum(hs * hs), [w, h0, x])
    values = [RNG.standard_normal(shape).astype("f4") for shape in ((6, 3, 16), (3, 4))]
    both([x, h0], outputs, values)
    f = gn.function([x, h0], outputs, backend="native")
    f(*values)
    steps = [part for part in f.llvm.split("define") if ".step0(" in part.partition("{")[0]]
    assert len(steps) == 2  # forwards: a product and the gates; backwards the gates and a product
    assert all(step.count("call void @") == 2 for step in steps)


def test_equal_loops_share_their_code():
    x, w, u = gn.placeholder("x", (5, 3, 4)), gn.placeholder("w", (4, 4)), gn.placeholder("u", (4, 4))
    y = x
    for weights in (w, u):
        _, y = gn.scan(lambda h, e, weights=weights: ((h := gn.tanh(e + h @ weights)), h), gn.zeros((3, 4)), y)
    values = [RNG.standard_normal(shape).astype("f4") for shape in ((5, 3, 4), (4, 4), (4, 4))]
    both([x, w, u], [y], values)
    f = gn.function([x, w, u], y, backend="native")
    f(*values)
    assert f.llvm.count("define internal i32 @scan") == 1


# --- loops without a fixed end ---


def doubled(v):
    return gn.while_loop(lambda v: gn.max(v) < 100, lambda v: v * 2 + 1, v)


def newton(a):
    def step(carry):
        i, x, _ = carry
        return i + 1, 0.5 * (x + a / x), x

    def going(carry):
        i, x, before = carry
        return gn.logical_and(i < 50, gn.any(gn.abs(x - before) > 1e-6))

    return gn.while_loop(going, step, (0, a, a + 1))


def fibonacci(v):
    return gn.while_loop(lambda c: gn.sum(c[1]) < 1000, lambda c: (c[1], c[0] + c[1]), (v, v * 2))


def nested(v):
    def step(carry):
        i, t = carry
        t, rows = gn.scan(lambda t, row: (t * 0.5 + row, t), t, gn.stack([t, t + 1, t * 2]))
        t = gn.cond(gn.sum(t) > 3, lambda t: t - 1, lambda t: t + 0.25, t)
        return i + 1, gn.while_loop(lambda t: gn.max(t) > 2, lambda t: t * 0.75, t) + rows[0] * 0.1

    return gn.while_loop(lambda c: c[0] < 7, step, (0, v))


@pytest.mark.parametrize("loop", [doubled, newton, fibonacci, nested])
@pytest.mark.parametrize("start", [0.5, 3.0, 400.0])
def test_a_loop_as_long_as_a_condition_holds(loop, start):
    x = gn.placeholder("x", (3, 4), "float64")
    made = loop(x)
    outputs = list(made) if isinstance(made, tuple) else [made]
    both([x], outputs, [start + np.arange(12.0).reshape(3, 4) / 7])
    both([x], [gn.jvp(outputs[-1], x, gn.ones((3, 4), dtype="float64"))], [start + np.arange(12.0).reshape(3, 4) / 7])


def test_elements_that_leave_a_loop_one_after_the_other():
    x = gn.placeholder("x", (5,), "float64")

    def steps(v):
        return gn.while_loop(lambda c: c[1] < 100, lambda c: (c[0] + 1, c[1] * c[1]), (0, v))

    both([x], list(gn.vmap(steps)(x)), [np.array([1.5, 2.0, 99.0, 100.0, 7.0])])


def test_an_index_out_of_range_in_a_loop_without_a_fixed_end():
    table, i = gn.parameter("table", np.arange(1.0, 6.0)), gn.placeholder("i", (), "int64")
    zero = gn.constant(0.0, "float64")
    made = gn.while_loop(lambda c: c[1] < 50, lambda c: (c[0] + 1, c[1] + gn.take(table, c[0], axis=0)), (i, zero))
    f = gn.function([i], made[1], backend="native")
    with pytest.raises(gn.IndexRangeError, match="index 5 is out of bounds for axis 0 with size 5"):
        f(2)


def test_control_c_ends_a_loop_that_would_not_end():
    code = (
        "import numpy as np, graphnn as gn\n"
        "x = gn.placeholder('x', (3,))\n"
        "f = gn.function([x], gn.while_loop(lambda v: gn.max(v) < 1e9, lambda v: v * 0.5, x), backend='native')\n"
        "f(np.full(3, 2e9, 'float32'))\n"
        "try:\n    print('begun', flush=True)\n    f(np.ones(3, 'float32'))\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30)[0] == "interrupted\n"
        finally:
            process.kill()

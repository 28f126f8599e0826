"""Loops and choices: equal to what the same computation gives when it is written out, in values and all derivatives."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.errors import DifferentiationError, ExecutionError, IndexRangeError
from graphnn.ir.graph import topological
from graphnn.ops.contraction import Contract
from graphnn.rewrite.pipeline import optimize
from graphnn.testing import check_gradients
from graphnn.transform.branches import Switch
from graphnn.transform.loops import Scan
from graphnn.view.dot import dot

RNG = np.random.default_rng(0)


def written_out(step, init, xs, length, reverse=False):
    """What scan does, with one copy of the step for each element; the sizes are numbers."""
    carry, rows = init, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, rows[t] = step(carry, None if xs is None else xs[t])
    return carry, gn.stack(rows)


def agree(left, right, wrt, feeds):
    """Values, gradients, tangents and Hessian-vector products of two scalars are equal."""
    directions = [np.cos(np.arange(np.size(feeds[x]), dtype="float64")).reshape(np.shape(feeds[x])) for x in wrt]
    for of in (
        lambda loss: [loss],
        lambda loss: gn.grad(loss, wrt, allow_unused=True),
        lambda loss: [gn.jvp(loss, wrt, directions, allow_unused=True)],
        lambda loss: [gn.hvp(loss, x, v) for x, v in zip(wrt, directions, strict=True)],
        lambda loss: gn.grad(gn.sum(gn.grad(loss, wrt[0], allow_unused=True) ** 2), wrt, allow_unused=True),
    ):
        for a, b in zip(gn.evaluate(of(left), feeds), gn.evaluate(of(right), feeds), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def elman(w, u):
    def step(h, x):
        h = gn.tanh(h @ w + x @ u)
        return h, h * h

    return step


STEPS = {
    "sum": lambda w: lambda c, x: (c + x, c),
    "product": lambda w: lambda c, x: (c * x, c * c),
    "elman": lambda w: lambda c, x: (gn.tanh(c @ w + x), gn.sin(c)),
    "no carry": lambda w: lambda c, x: (c, x * x @ w),
    "no element": lambda w: lambda c, x: (gn.sin(c @ w), c),
    "normed": lambda w: lambda c, x: (gn.softmax(c + x) @ w, gn.logsumexp(c * x)),
    "invariant": lambda w: lambda c, x: (c @ gn.exp(-w * w) + x, c * gn.sum(w)),
    "where": lambda w: lambda c, x: (gn.where(c > 0, c * x, c - x), gn.where(x > 0, gn.log(abs(x)), 0.0 * x)),
}


@given(
    name=st.sampled_from(sorted(STEPS)),
    length=st.integers(1, 4),
    reverse=st.booleans(),
    use=st.sampled_from(["carry", "stack", "both"]),
    seed=st.integers(0, 99),
)
def test_scan_is_the_loop_written_out(name, length, reverse, use, seed):
    rng = np.random.default_rng(seed)
    w = gn.placeholder("w", (3, 3), "float64")
    init = gn.placeholder("init", (3,), "float64")
    xs = gn.placeholder("xs", (length, 3), "float64")
    feeds = {node: rng.normal(size=node.shape) for node in (w, init, xs)}
    losses = []
    for carry, stacked in (
        gn.scan(STEPS[name](w), init, xs, reverse=reverse),
        written_out(STEPS[name](w), init, xs, length, reverse),
    ):
        parts = {"carry": [carry], "stack": [stacked], "both": [carry, stacked]}[use]
        losses.append(sum(gn.sum(gn.sin(part) * part) for part in (*parts, w, init, xs)))
    agree(*losses, [w, init, xs], feeds)


def test_gradients_of_recurrent_networks():
    w = gn.parameter("w", 0.5 * RNG.normal(size=(3, 3)))
    u = gn.parameter("u", RNG.normal(size=(2, 3)))
    xs, h = gn.placeholder("xs", ("time", "batch", 2), "float64"), gn.placeholder("h", ("batch", 3), "float64")
    last, squares = gn.scan(elman(w, u), h, xs)
    loss = gn.sum(last) + gn.mean(gn.exp(squares))
    feeds = {xs: RNG.normal(size=(5, 4, 2)), h: RNG.normal(size=(4, 3)), w: w.value, u: u.value}
    check_gradients(loss, feeds, order=2)


def test_trees_counters_and_integers():
    def step(carry, x):
        total = carry["total"] + x[0] * gn.astype(carry["count"], "float64")
        return {"total": total, "count": carry["count"] + 1}, (total, [carry["count"]])

    a, b = gn.placeholder("a", ("n",), "float64"), gn.placeholder("b", ("n",), "int32")
    last, (totals, [counts]) = gn.scan(step, {"total": 0.0, "count": 1}, (a, b))
    values = gn.evaluate({"last": last, "totals": totals, "counts": counts}, {a: [1.0, 2.0, 4.0], b: [0, 0, 0]})
    assert values["last"]["total"] == 17.0
    assert values["last"]["count"] == 4
    assert values["totals"].tolist() == [1.0, 5.0, 17.0]
    assert values["counts"].tolist() == [1, 2, 3]
    gradient = gn.evaluate(gn.grad(last["total"], a), {a: [1.0, 2.0, 4.0], b: [0, 0, 0]})
    assert gradient.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_number_of_steps_and_none(length):
    x = gn.placeholder("x", (2,), "float64")
    last, stacked = gn.scan(lambda c, _: (c * x, c), x, length=length)
    loss = gn.sum(last) + gn.sum(stacked)
    values = gn.evaluate([last, stacked, gn.grad(loss, x)], {x: [2.0, 3.0]})
    assert values[0].tolist() == [2.0 ** (length + 1), 3.0 ** (length + 1)]
    assert values[1].shape == (length, 2)
    powers = np.arange(1, length + 2)
    np.testing.assert_allclose(values[2], [np.sum(powers * v ** (powers - 1.0)) for v in (2.0, 3.0)])


def test_the_step_is_built_once_and_stays_a_loop():
    calls = []

    def step(c, x):
        calls.append(1)
        return gn.sin(c) * x, c

    xs = gn.placeholder("xs", ("n",))
    last, stacked = gn.scan(step, 1.0, xs)
    graph = gn.Graph([last, *gn.grad(gn.sum(stacked) + last, [xs])])
    assert len(calls) == 1
    assert len(graph) < 40
    f = gn.function([xs], last)
    for n in (1, 1000):
        expected = 1.0
        for _ in range(n):
            expected = np.sin(expected) * 1.0
        np.testing.assert_allclose(f(np.ones(n, "float32")), expected, rtol=1e-3)


def scans(outputs):
    return [node for node in topological(optimize(outputs)) if isinstance(node.op, Scan)]


def test_nothing_is_computed_twice():
    w, u = gn.parameter("w", np.eye(3)), gn.parameter("u", np.ones((2, 3)))
    xs = gn.placeholder("xs", (5, 2), "float64")
    last, squares = gn.scan(elman(w, u), np.zeros(3), xs)
    loss = gn.sum(last) + gn.sum(squares)
    forward, backward = scans([loss, *gn.grad(loss, [w, u])])
    names = [node.op.name for body in (forward, backward) for node in body.op.body.nodes]
    assert names.count("tanh") == 1
    (both,) = scans([loss, gn.jvp(loss, [w], [np.ones((3, 3))])])  # tangents travel with the values
    assert [node.op.name for node in both.op.body.nodes].count("tanh") == 1


def test_what_nobody_reads_is_not_carried():
    xs = gn.placeholder("xs", (5,), "float64")
    (carry, other, same), (a, b) = gn.scan(
        lambda c, x: ((c[0] + x, c[1] * gn.exp(x), c[2]), (c[0], c[1] + c[2])), (0.0, 1.0, 2.0), xs
    )
    (loop,) = scans([carry])
    assert (loop.op.carries, len(loop.op.body.outputs), len(loop.inputs)) == (1, 1, 2)
    (loop,) = scans([b])
    assert (loop.op.carries, loop.op.consts) == (1, 1)  # what stays the same is no longer carried
    assert gn.evaluate([carry, other, same, a, b], {xs: np.zeros(5)})[2] == 2.0


def test_what_is_the_same_in_every_step_leaves():
    w = gn.parameter("w", np.eye(3))
    xs = gn.placeholder("xs", (5, 3), "float64")
    last, _ = gn.scan(lambda c, x: (gn.tanh(c @ gn.exp(w) + x), None), np.zeros(3), xs)
    for loop in scans([last, gn.grad(gn.sum(last), w)]):
        assert "exp" not in [node.op.name for node in loop.op.body.nodes]


def products_in(loop):
    return [node for node in loop.op.body.nodes if isinstance(node.op, Contract)]


@pytest.mark.parametrize("reverse", [False, True])
def test_products_that_need_not_wait_leave_the_loop(reverse):
    w, u = gn.placeholder("w", (3, 3), "float64"), gn.placeholder("u", (2, 3), "float64")
    b = gn.placeholder("b", (3,), "float64")
    xs, h0 = gn.placeholder("xs", (5, 4, 2), "float64"), gn.placeholder("h0", (4, 3), "float64")

    def step(h, x):
        h = gn.tanh(h @ w + gn.sin(x) @ u + b)
        return h, h @ u.T

    last, stacked = gn.scan(step, h0, xs, reverse=reverse)
    loss = gn.sum(last) + gn.sum(gn.sin(stacked))
    wrt = [w, u, b, xs, h0]
    gradients = gn.grad(loss, wrt)
    forward, backward = scans([loss, *gradients])
    assert len(products_in(forward)) == len(products_in(backward)) == 1  # that with the carried value alone
    assert backward.op.carries == 1  # no gradient of a weight or bias is added up inside
    feeds = {x: RNG.normal(size=x.shape) for x in wrt}
    other = gn.sum(written_out(step, h0, xs, 5, reverse)[0])
    other = other + gn.sum(gn.sin(written_out(step, h0, xs, 5, reverse)[1]))
    agree(loss, other, wrt, feeds)


def test_products_stay_where_a_checkpoint_asks_for_little_memory():
    w = gn.placeholder("w", (3, 3), "float64")
    block = gn.checkpoint(lambda h, x: gn.tanh(h @ w + x @ w))
    xs = gn.placeholder("xs", (5, 3), "float64")
    last, _ = gn.scan(lambda h, x: (block(h, x), None), np.ones(3), xs)
    assert len(products_in(scans([last])[0])) == 2
    check_gradients(gn.sum(last), {w: RNG.normal(size=(3, 3)), xs: RNG.normal(size=(5, 3))})


def test_a_checkpoint_in_the_step_keeps_the_carried_values_only():
    def block(h, x):
        for _ in range(4):
            h = gn.sin(h * x)
        return h

    def stacks(f):
        xs = gn.placeholder("xs", (5, 3), "float64")
        last, _ = gn.scan(lambda h, x: (f(h, x), None), np.ones(3), xs)
        loss = gn.sum(last)
        check_gradients(loss, {xs: RNG.normal(size=(5, 3))}, order=2)
        first = scans([loss, gn.grad(loss, xs)])[0]
        return len(first.op.body.outputs) - first.op.carries

    assert stacks(gn.checkpoint(block)) == 1
    assert stacks(block) == 4  # the products follow from these


def test_nested_loops_and_branches():
    def row(c, xs):
        inner, _ = gn.scan(lambda a, x: (gn.cond(a > 0, lambda: gn.sin(a) * x, lambda: a + x), None), c, xs)
        return inner, inner * c

    m = gn.placeholder("m", ("rows", "columns"), "float64")
    last, stacked = gn.scan(row, 1.0, m)
    loss = last * gn.sum(stacked)
    check_gradients(loss, {m: RNG.normal(size=(3, 4))}, order=2)
    assert len(scans([loss, gn.grad(loss, m)])) == 2


def test_random_numbers_in_a_loop_from_keys():
    def step(key, _):
        return key + np.array([0, 1], "uint64"), gn.random_bits(key, (2,))

    _, bits = gn.scan(step, gn.constant([7, 0], "uint64"), length=3)
    expected = [gn.evaluate(gn.random_bits(gn.constant([7, t], "uint64"), (2,))) for t in range(3)]
    assert gn.evaluate(bits).tolist() == [row.tolist() for row in expected]


def test_map():
    x = gn.placeholder("x", ("n", 3), "float64")
    y = gn.map(lambda row: {"sum": gn.sum(row), "max": gn.max(row)}, x)
    values = RNG.normal(size=(4, 3))
    out = gn.evaluate(y, {x: values})
    np.testing.assert_allclose(out["sum"], values.sum(axis=1))
    np.testing.assert_allclose(out["max"], values.max(axis=1))
    check_gradients(gn.sum(y["sum"] * y["max"]), {x: values}, order=2)


def test_only_the_branch_that_is_taken_runs():
    runs = []

    def noted(array):
        runs.append(1)
        return array

    host = gn.host_op(noted, infer=lambda x: x)
    x = gn.placeholder("x")
    y = gn.cond(x > 0, lambda: host(x), lambda: -x)
    f = gn.function([x], y)
    assert f(-3.0) == 3.0
    assert not runs
    assert f(3.0) == 3.0
    assert len(runs) == 1


def test_derivatives_of_branches():
    p = gn.placeholder("p", (), "float64")
    v = gn.placeholder("v", (3,), "float64")
    y = gn.cond(p > 0, lambda a: {"y": gn.sqrt(p) * gn.sum(a)}, lambda a: {"y": -p}, v)["y"]
    for value in (2.0, -2.0):
        check_gradients(y, {p: value, v: RNG.normal(size=3)}, order=2)
    # The square root of a negative number is never taken, so no NaN comes of it.
    assert gn.evaluate(gn.grad(y, [p, v]), {p: -4.0, v: np.ones(3)})[0] == -1.0
    z = gn.switch(gn.placeholder("i", (), "int32"), [gn.sin, gn.cos, gn.exp], v)
    (i,) = (node for node in gn.Graph(z).inputs if node.name == "i")
    for number in range(3):
        check_gradients(gn.sum(z), {i: np.int32(number), v: RNG.normal(size=3)}, order=2, wrt=[v])


def test_one_choice_for_value_and_gradient():
    p = gn.placeholder("p", (), "float64")
    y = gn.cond(p > 0, lambda: gn.exp(p), lambda: p)
    nodes = topological(optimize([y, gn.grad(y, p)]))
    assert len([node for node in nodes if isinstance(node.op, Switch)]) == 2


def test_while_loop_forward():
    x = gn.placeholder("x", (), "float64")
    root, steps = gn.while_loop(
        lambda c: gn.abs(c[0] * c[0] - x) > 1e-13 * x, lambda c: (0.5 * (c[0] + x / c[0]), c[1] + 1), (x, 0)
    )
    value, count, slope, bend = gn.evaluate(
        [root, steps, gn.jvp(root, [x], [1.0]), gn.jvp(gn.jvp(root, [x], [1.0]), [x], [1.0])], {x: 2.0}
    )
    np.testing.assert_allclose([value, slope, bend], [2**0.5, 0.5 / 2**0.5, -0.25 / 2**1.5], rtol=1e-9)
    assert 3 < count < 10
    with pytest.raises(DifferentiationError, match="number of its steps is known only when it has run"):
        gn.grad(root, x)


def test_a_failure_inside_names_the_line_inside():
    table = gn.placeholder("table", (3,))
    _, out = gn.scan(lambda c, i: (c, gn.take(table, i)), 0.0, gn.constant([0, 5]))
    with pytest.raises(IndexRangeError, match=r"5.*out of") as info:
        gn.evaluate(out, {table: np.ones(3, "float32")})
    assert "gn.take(table, i)" in str(info.value)
    x = gn.placeholder("x", (2,))
    f = gn.function([x], gn.scan(lambda c, x: (c / x, None), 1.0, x)[0], debug="nan")
    with pytest.raises(ExecutionError, match="scan made inf"):
        f([1.0, 0.0])


def test_results_belong_to_the_caller():
    x = gn.placeholder("x", (2,))
    f = gn.function([x], gn.scan(lambda c, _: (c, c), x, length=2))
    given = np.ones(2, "float32")
    last, stacked = f(given)
    last[:] = 5
    stacked[0] = 7
    assert given.tolist() == [1, 1]
    assert stacked[1].tolist() == [1, 1]


def labels(text):
    return set(re.findall(r'label=" ?([^"]*)"', text))


def test_views_show_loops():
    x = gn.placeholder("x", ("n",))
    total, sums = gn.scan(lambda c, x: (c + x, c * x), 0.0, x)
    y = total * gn.sum(sums)
    assert "scan" in gn.text(y)
    assert "operatorname{scan}" in str(gn.latex(y))
    shown = str(gn.trace(y, {x: [1.0, 2.0]}))
    assert "reverse pass" in shown
    assert "scan" in dot(y)
    assert {"scan", "carry(0.0)", "element", "last", "stack", "multiply"} <= labels(dot(y, expand=True))
    chosen = gn.cond(total > 0, lambda: gn.exp(total), lambda: total)
    assert {"switch", "exp", "until done"} <= labels(dot(gn.while_loop(lambda c: c < 3.0, gn.exp, chosen), expand=True))

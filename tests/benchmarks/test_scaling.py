"""Work on a graph is proportional to its size, counted in function calls, which no busy machine can disturb."""

import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.schedule import schedule
from graphnn.ops.contraction import Contract
from graphnn.ops.trigonometric import Sin


def calls_of(run):
    """What `run` gives, and how many functions it calls."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    outer = sys.getprofile()
    sys.setprofile(note)
    try:
        result = run()
    finally:
        sys.setprofile(outer)
    return result, count


def chain(length):
    x = last = gn.placeholder("x")
    for _ in range(length):
        last = gn.sin(last)
    return x, last


def fan(width):
    x = gn.placeholder("x")
    return x, gn.sum(gn.stack([gn.sin(x) for _ in range(width)]))


def parts(width):
    x = gn.placeholder("x", ("n", 2))
    return x, gn.sum(gn.square(gn.concat([x] * width)))


def stages(make, size):
    (x, loss), build = calls_of(lambda: make(size))
    dx, differentiate = calls_of(lambda: gn.grad(loss, x))
    # The native backend looks back a bounded way for what to fuse; its work is proportional from thousands of nodes on.
    f, compile_ = calls_of(lambda: gn.function([x], [loss, dx], backend="numpy"))
    value = np.ones([2 if isinstance(s, gn.Dim) else s for s in x.shape], "float32")
    _, first = calls_of(lambda: f(value))
    _, later = calls_of(lambda: f(value))
    _, text = calls_of(lambda: gn.text([loss, dx]))
    counts = {"build": build, "grad": differentiate, "function": compile_, "plan": first, "call": later, "text": text}
    return {stage: count / size for stage, count in counts.items()}


@pytest.mark.parametrize("make", [chain, fan, parts])
def test_calls_for_each_node_do_not_grow(make):
    stages(make, 50)  # fills the caches
    small, large = stages(make, 300), stages(make, 1500)
    assert {stage: large[stage] / small[stage] for stage in small if large[stage] > 1.1 * small[stage]} == {}


def test_equal_ops_without_fields_are_one_object():
    a, b = gn.placeholder("a"), gn.placeholder("b")
    assert gn.sin(a).op is gn.sin(b).op is Sin()
    assert a.op is b.op
    assert (a * 1.0).op is (b * 2.0).op
    assert hash(Sin()) == hash(Sin())
    assert Contract("ik", "kj", "ij") == (gn.placeholder("m", (2, 2)) @ gn.placeholder("n", (2, 2))).op


def test_nodes_of_one_line_share_their_source():
    nodes = [gn.placeholder(str(i)) for i in range(3)]
    assert nodes[0].source is nodes[1].source is nodes[2].source
    assert gn.placeholder("other").source is not nodes[0].source


def test_values_are_freed_after_their_last_reader():
    x = gn.placeholder("x")
    a = gn.sin(x)
    b = a * a
    c = b + a
    d = gn.exp(b)
    plan = schedule([c, d], [x])
    slot = {step.node: step.slot for step in plan.steps}
    freed = {step.node: step.free for step in plan.steps}
    assert freed == {a: (), b: (), c: (slot[a],), d: (slot[b],)}  # not x, which is the caller's, and no output
    assert [step.node.index for step in plan.steps] == sorted(step.node.index for step in plan.steps)
    assert all(step.free == () for step in schedule([c, d], [x], keep_all=True).steps)


def test_a_bias_behind_relu_needs_no_mask():
    x, b = gn.placeholder("x", ("batch", 3)), gn.parameter("b", [0.0, 1.0, -1.0])
    db = gn.grad(gn.sum(gn.relu(x + b)), b)
    assert "any" not in {node.op.name for node in gn.Graph(db)}
    assert gn.evaluate(db, {x: [[1.0, 0.0, 0.5], [-1.0, 2.0, 3.0]]}).tolist() == [1.0, 2.0, 1.0]


def test_an_infinite_slope_behind_a_broadcast_still_does_not_leak():
    # The mask must live on where something is still to be multiplied: log(b) has an infinite slope at 0.
    x, b = gn.placeholder("x", (3,)), gn.parameter("b", [0.0])
    db = gn.grad(gn.sum(gn.where(x > 0, x * gn.log(b), x)), b)
    assert gn.evaluate(db, {x: [-1.0, -2.0, -3.0]}).tolist() == [0.0]


@pytest.mark.parametrize("sizes", [("n", "m"), (2, 3)])
def test_parts_of_a_concat(sizes):
    a, b = (gn.placeholder(name, (size, 2)) for name, size in zip("ab", sizes, strict=True))
    loss = gn.sum(gn.concat([a, b, a]) ** 3)
    first = gn.grad(loss, [a, b])
    second = gn.grad(gn.sum(first[0] ** 2) + gn.sum(first[1]), [a, b])
    f = gn.function([a, b], [*first, *second])
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 2)).astype("float32"), rng.normal(size=(3, 2)).astype("float32")
    expected = [6 * u**2, 3 * v**2, 144 * u**3, 6 * v]
    for got, wanted in zip(f(u, v), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)

"""checkpoint: equal values and derivatives, computed again in the reverse pass, with less memory."""

import tracemalloc

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backend.numpy import NumpyBackend
from graphnn.backend.schedule import schedule
from graphnn.ir.graph import Graph
from graphnn.rewrite.pipeline import optimize
from graphnn.testing import check_gradients


def block(x):
    for _ in range(6):
        x = gn.sin(gn.exp(-x * x))
    return x


def chain(x, f, parts=6):
    for _ in range(parts):
        x = f(x)
    return gn.sum(x)


def most_live_bytes(outputs, inputs):
    """The peak of the bytes that a plan holds, counting each array once however many steps pass it on."""
    keeps = NumpyBackend().keeps
    plan = schedule(optimize(outputs, keeps), inputs)
    live, most = {}, 0
    source = {}  # the slot whose array a slot shares
    holders = {}
    for step in plan.steps:
        shared = step.node.op.name in ("barrier", "checkpoint")
        root = source.get(step.operands[0], step.operands[0]) if shared else step.slot
        source[step.slot] = root
        holders.setdefault(root, set()).add(step.slot)
        if not shared:
            live[root] = step.node.spec.size * step.node.dtype.bits // 8
        most = max(most, sum(live.values()))
        for slot in step.free:
            root = source.get(slot, slot)
            holders.get(root, set()).discard(slot)
            if not holders.get(root):
                live.pop(root, None)
    return most


def test_the_plan_holds_less():
    x = gn.placeholder("x", (1000,), "float64")
    plain, saving = (gn.grad(chain(x, f), x) for f in (block, gn.checkpoint(block)))
    high, low = most_live_bytes([plain], [x]), most_live_bytes([saving], [x])
    assert high > 6 * 12 * 8000  # every step of the chain keeps at least two arrays for its derivative
    assert low < 0.45 * high


def test_a_call_takes_less_memory():
    x = gn.placeholder("x", (100_000,), "float64")
    point = np.random.default_rng(0).standard_normal(100_000)
    peaks, results = [], []
    for f in (block, gn.checkpoint(block)):
        # By NumPy, where each value is an array of its own; native code makes one loop of this chain.
        compiled = gn.function([x], gn.grad(chain(x, f), x), backend="numpy")
        compiled(point)
        tracemalloc.start()
        try:
            results.append(compiled(point))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    np.testing.assert_array_equal(*results)
    assert peaks[1] < 0.45 * peaks[0]


def test_it_is_computed_twice_and_the_two_are_not_merged():
    x = gn.placeholder("x", (3,), "float64")
    counts = []
    for f in (block, gn.checkpoint(block)):
        outputs = optimize(gn.value_and_grad(chain(x, f, 2), x))
        counts.append(sum(node.op.name == "exp" for node in Graph(outputs)))
    assert counts == [12, 24]


def test_gradients_of_what_is_shared_by_rows_keep_no_mask():
    """It would be read by nobody, and its sum over the rows would stand between a product and its activation."""
    x, w, b = gn.placeholder("x", (5, 4)), gn.parameter("w", np.ones((4, 4))), gn.parameter("b", np.zeros(4))
    y = gn.checkpoint(lambda x: gn.relu(gn.relu(x @ w + b) @ w + b))(x.astype("float64"))
    names = [node.op.name for node in Graph(gn.grad(gn.sum(y), [w, b])).nodes]
    assert names.count("greater") == 2
    assert "any" not in names


def test_derivatives_in_both_modes_and_orders():
    w, x = gn.placeholder("w", (2,), "float64"), gn.placeholder("x", (2,), "float64")
    inner = gn.checkpoint(lambda a, b: gn.sin(a * b) + a)

    @gn.checkpoint
    def outer(a):
        return gn.exp(-inner(a, w)) * inner(a, a) + gn.softplus(a)

    feeds = {w: np.array([0.3, -0.7]), x: np.array([0.5, 1.1])}
    check_gradients(gn.sum(outer(outer(x)) * w), feeds, modes=("reverse", "forward"), order=2)
    check_gradients(outer(x), feeds)
    plain = gn.exp(-(gn.sin(x * w) + x)) * (gn.sin(x * x) + x) + gn.softplus(x)
    for make in (lambda y: gn.grad(gn.sum(y), [x, w]), lambda y: gn.jvp(y, [x], [np.ones(2)])):
        for got, wanted in zip(*gn.evaluate([make(outer(x)), make(plain)], feeds), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-14)


def test_what_the_function_uses_without_taking_it_has_its_derivative():
    x = gn.placeholder("x", ("batch", 3), "float64")
    rng = np.random.default_rng(0)
    w, b = gn.parameter("w", rng.normal(size=(3, 3))), gn.parameter("b", rng.normal(size=3))
    shared = gn.tanh(w)  # made outside, and of parameters only

    def layer(h):
        return gn.tanh(h @ shared + gn.sin(b))

    results = []
    for f in (layer, gn.checkpoint(layer)):
        loss = gn.mean(f(f(x)) ** 2)
        step = gn.function([x], [loss, gn.grad(loss, [w, b, shared])])
        results.append(step(np.arange(12.0).reshape(4, 3) / 10))
    assert results[0][0] == results[1][0]
    for got, wanted in zip(results[1][1], results[0][1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-13)


def test_dropout_draws_the_same_bits_again_and_advances_its_stream_once():
    x = gn.placeholder("x", (50,), "float64")
    results = []
    for wrap in (lambda f: f, gn.checkpoint):
        stream = gn.stream(7)

        def noisy(h, stream=stream):
            dropped = gn.dropout(h, stream, p=0.5)
            return gn.sin(gn.ops.random.advance(dropped, {stream: stream + gn.constant([0, 1], "uint64")}))

        y = wrap(noisy)(x)
        f = gn.function([x], [y, gn.grad(gn.sum(y), x)])
        results.append([*f(np.ones(50)), *f(np.ones(50)), stream.value])
    for got, wanted in zip(results[1], results[0], strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert results[0][4].tolist()[1] == 2


def test_a_module_and_a_training_step():
    x = gn.placeholder("x", ("n", 4), "float32")
    model = nn.Sequential(nn.Linear(4, 8, seed=1), nn.Tanh(), nn.Linear(8, 1, seed=2))
    outputs = []
    for f in (model, gn.checkpoint(model)):
        loss = gn.mean(f(x) ** 2)
        outputs.append(gn.function([x], gn.grad(loss, list(model.parameters())))(np.ones((5, 4), "float32")))
    for got, wanted in zip(*outputs, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_dropout_in_a_module():
    x = gn.placeholder("x", ("n", 6), "float32")
    results = []
    for wrap in (lambda f: f, gn.checkpoint):
        model = nn.Sequential(nn.Linear(6, 8, seed=1), nn.Dropout(0.5, seed=3), nn.Tanh())
        loss = gn.mean(wrap(model)(x, training=True) ** 2)
        step = gn.function([x], gn.value_and_grad(loss, list(model.parameters())))
        point = np.ones((5, 6), "float32")
        results.append([step(point) for _ in range(2)])
    assert results[0][0][0] != results[0][1][0]  # another draw at every call
    for (loss, slopes), (other, others) in zip(*results, strict=True):
        assert loss == other
        for got, wanted in zip(slopes, others, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_a_node_inside_has_no_derivative_of_its_own():
    x = gn.placeholder("x", (2,), "float64")
    inside = []

    @gn.checkpoint
    def f(a):
        inside.append(gn.exp(a).named("inner"))
        return gn.sin(inside[0])

    y = gn.sum(f(x))
    for loss in (y, y + gn.sum(inside[0])):  # read from outside as well
        for allow_unused in (False, True):
            with pytest.raises(gn.DifferentiationError, match="grad: inner is made inside of a checkpoint"):
                gn.grad(loss, inside[0], allow_unused=allow_unused)
    by_x = gn.evaluate(gn.grad(y + gn.sum(inside[0]), x), {x: np.ones(2)})
    np.testing.assert_allclose(by_x, np.e * (np.cos(np.e) + 1), rtol=1e-14)


def test_functions_that_keep_nothing():
    x = gn.placeholder("x", (2,))
    assert gn.checkpoint(lambda x: x)(x) is x
    assert gn.evaluate(gn.checkpoint(lambda: gn.constant([1.0, 2.0]) * 2.0)()).tolist() == [2.0, 4.0]
    with pytest.raises(gn.GraphError, match="the function gives list, not a node"):
        gn.checkpoint(lambda x: [x, x])(x)
    with pytest.raises(gn.GraphError, match="is not a function"):
        gn.checkpoint(x * 2.0)

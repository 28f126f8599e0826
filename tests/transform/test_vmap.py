"""`vmap`: axes, trees, names, sharing, randomness, and together with derivatives. The rules have a file of their own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn import nn
from graphnn.errors import GraphError, RewriteError, ShapeError
from graphnn.ir.rebuild import substitute
from graphnn.testing import assert_close
from graphnn.testing.strategies import graphs
from graphnn.transform.batching import Alone, batch, batch_rule


def run(node, feeds=None):
    return gn.evaluate(node, feeds or {})


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- axes and trees ---


def test_axes_of_arguments_and_results():
    a, b = numbers(2, 4, 3), numbers(3, 5, 4, seed=1)
    expected = np.stack([a[:, i] @ b[:, :, i] for i in range(4)])
    for in_axes in ((1, 2), (-2, -1), [1, 2], (np.int64(1), 2)):
        for out_axes in (0, 1, 2, -1, -3):
            made = gn.vmap(lambda x, y: x @ y, in_axes, out_axes)(a, b)
            np.testing.assert_allclose(run(made), np.moveaxis(expected, 0, out_axes), rtol=1e-13)


@given(data=st.data())
def test_a_composition_equals_its_loop(data):
    """A random graph, with random inputs batched at random axes."""
    drawn = data.draw(graphs(max_nodes=8))
    inputs = list(drawn.feeds)
    axes = [data.draw(st.sampled_from([None, 0, 1, 2, -1])) for _ in inputs]
    if all(axis is None for axis in axes):
        axes[0] = 0
    rng = np.random.default_rng(0)
    rows = [
        [drawn.feeds[x] * (1 + 0.1 * rng.normal() * (axis is not None)) for x, axis in zip(inputs, axes, strict=True)]
        for _ in range(3)
    ]
    f = gn.function(inputs, [drawn.output, gn.grad(drawn.output, inputs)])
    loop = [f(*row) for row in rows]
    arrays = [rows[0][i] if axis is None else np.stack([row[i] for row in rows], axis) for i, axis in enumerate(axes)]

    def again(*nodes):
        nodes = [gn.constant(node) if isinstance(node, np.ndarray) else node for node in nodes]
        output = substitute([drawn.output], dict(zip(inputs, nodes, strict=True)))[0]
        return output, gn.grad(output, nodes)

    value, slopes = run(gn.vmap(again, tuple(axes))(*arrays))
    assert_close(value, np.stack([row[0] for row in loop]), rtol=1e-10, atol=1e-10)
    for i, slope in enumerate(slopes):
        expected = np.stack([row[1][i] for row in loop])
        assert_close(slope, expected, rtol=1e-9, atol=1e-9 * (1 + np.abs(expected).max()))


def test_trees_of_arguments_and_results():
    def f(pair, table, scale):
        x, (y, z) = pair
        return {"sum": x + y * scale, "rest": [z, table["w"] * x]}

    x, y, z = numbers(3, 2), numbers(2, 3, seed=1), numbers(2, seed=2)
    w = numbers(3, seed=3)
    in_axes = ((0, (1, None)), {"w": 0}, None)
    made = gn.vmap(f, in_axes, {"sum": 1, "rest": (None, 0)})([x, (y, z)], {"w": w}, 2.0)
    got = run(made)
    np.testing.assert_allclose(got["sum"], (x + y.T * 2).T, rtol=1e-15)
    np.testing.assert_array_equal(got["rest"][0], z)
    np.testing.assert_allclose(got["rest"][1], w[:, None] * x, rtol=1e-15)
    # One axis for a whole tree, and one for all arguments.
    both = gn.vmap(lambda t, s: t["a"] @ t["b"] + s, 0)({"a": x, "b": x}, w)
    np.testing.assert_allclose(run(both), (x * x).sum(1) + w, rtol=1e-14)


def test_arguments_that_are_not_batched_are_handed_on():
    seen = []

    def f(x, how, options, axis=0):
        seen.append((how, options))
        return gn.sum(x, axis=axis)

    x = numbers(3, 2, 4)
    made = gn.vmap(f, (0, None, None))(x, "text", {"k": [1, "two"], "none": None}, axis=1)
    assert seen == [("text", {"k": [1, "two"], "none": None})]
    np.testing.assert_allclose(run(made), x.sum(2), rtol=1e-14)


def test_results_that_do_not_depend_on_the_batch():
    x, c = numbers(3, 2), np.arange(2.0)
    made = gn.vmap(lambda x: (c, x, 2.0, gn.constant(c)), 0, (0, 0, 0, None))(x)
    first, second, third, fourth = run(made)
    np.testing.assert_array_equal(first, np.broadcast_to(c, (3, 2)))
    np.testing.assert_array_equal(second, x)
    np.testing.assert_array_equal(third, np.full(3, 2.0, "float32"))
    np.testing.assert_array_equal(fourth, c)


@pytest.mark.parametrize("size", [0, 1])
def test_small_batches(size):
    x = numbers(size, 3)
    made = gn.vmap(lambda x: gn.sort(x)[::-1].at[0].set(0.0) @ x)(x)
    assert run(made).shape == (size,)
    twice = gn.vmap(lambda x: Twice()(x))(x)
    np.testing.assert_array_equal(run(twice), 2 * x)


def test_named_sizes_of_the_batch():
    x, w = gn.placeholder("x", (2, "batch"), "float64"), gn.placeholder("w", ("n", 2), "float64")
    y = gn.vmap(lambda x, w: gn.softmax(w @ x), (1, None))(x, w)
    assert y.shape == (gn.Dim("batch"), gn.Dim("n"))
    arrays = numbers(2, 5), numbers(3, 2)
    found = gn.function([x, w], [y, gn.grad(gn.sum(y * y), w)])(*arrays)
    logits = arrays[0].T @ arrays[1].T
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found[0], expected, rtol=1e-13)
    assert found[1].shape == (3, 2)


# --- what the graph looks like ---


def test_what_is_not_batched_stays_as_it_is():
    w = gn.parameter("w", numbers(3, 3))
    inverse = gn.inv(w)
    x = gn.placeholder("x", ("batch", 3), "float64")
    made = gn.vmap(lambda x: gn.exp(inverse) @ x + gn.sum(gn.tanh(w)))(x)
    nodes = gn.Graph(made).nodes
    assert any(node is inverse for node in nodes)
    of_batch = [node for node in nodes if gn.Dim("batch") in node.shape]
    assert {node.op.name for node in of_batch} == {"placeholder", "einsum", "add"}
    assert "broadcast_to" not in {node.op.name for node in nodes}


def test_names_scopes_and_lines_are_those_of_one_element():
    def f(x):
        with gn.scope("layer"):
            h = gn.tanh(x @ w).named("hidden")
        return gn.sum(h)

    w = gn.parameter("w", numbers(3, 2))
    x = gn.placeholder("x", ("batch", 3), "float64")
    with gn.scope("outer"):
        made = gn.vmap(f)(x)
    (hidden,) = [node for node in gn.Graph(made) if node.name == "hidden"]
    assert hidden.scope == ("outer", "layer")
    assert hidden.source.place.endswith("in f")
    assert hidden.source.text.startswith("h = gn.tanh")
    assert hidden.shape == (gn.Dim("batch"), 2)
    # A node of a derivative serves the node for the batch.
    gradient = gn.vmap(lambda x: gn.grad(f(x), x))(x)
    graph = gn.Graph(gradient)
    serving = [node for node in graph if node.origin is not None and gn.Dim("batch") in node.shape]
    assert any(node.origin.node.name == "hidden" for node in serving)
    assert all(gn.Dim("batch") in node.origin.node.shape for node in serving)


def test_composites_stay_single_nodes():
    x = gn.placeholder("x", ("batch", 4, 3), "float64")

    def ops(f, **options):
        return [node.op.name for node in gn.Graph(gn.vmap(f, **options)(x)) if node.inputs]

    assert ops(gn.gelu) == ["gelu"]
    assert ops(lambda x: gn.softmax(x, axis=0)) == ["softmax"]
    assert ops(gn.mean) == ["mean"]
    images = gn.placeholder("images", ("batch", 4, 4, 3))
    same = [gn.vmap(lambda x: gn.global_avg_pool(x[None]))(images) for _ in range(2)]
    assert same[0].op.name == "vmap(global_avg_pool)"
    assert same[0].op == same[1].op
    twice = gn.vmap(gn.vmap(gn.inv))(gn.placeholder("m", (2, 3, 4, 4)))
    assert twice.op.name == "vmap(vmap(inv))"
    assert "vmap(global_avg_pool)" in gn.text(same[0])
    assert gn.latex(twice)


def test_wide_graphs_outside_are_not_walked():
    x = gn.placeholder("x", (3,), "float64")
    long = x
    for _ in range(30_000):
        long = long + 1.0
    made = gn.vmap(lambda a: gn.vmap(lambda b: b * gn.sum(long))(a))(numbers(2, 2))
    assert len(gn.Graph(made)) < 60_100


def test_deep_graphs():
    def chain(x):
        for _ in range(20_000):
            x = gn.sin(x)
        return x

    x = gn.placeholder("x", (2, 3), "float64")
    made = gn.vmap(chain)(x)
    assert len(gn.Graph(made)) == 20_001


def test_a_graph_that_exists_is_batched():
    x, w = gn.placeholder("x", (3,), "float64"), gn.parameter("w", numbers(3, 2))
    h = gn.tanh(x)
    y = gn.placeholder("y", (), "float64")
    z = (h @ w + 1.0) * y
    xs, ys = gn.placeholder("xs", ("batch", 3), "float64"), gn.placeholder("ys", ("batch",), "float64")
    made = batch([z, gn.sum(w), h], {x: xs, y: ys})
    assert [(node.shape, on) for node, on in made] == [(("batch", 2), True), ((), False), (("batch", 3), True)]
    values, factors = numbers(4, 3, seed=1), numbers(4, seed=2)
    got = gn.function([xs, ys], made[0][0])(values, factors)
    np.testing.assert_allclose(got, (np.tanh(values) @ w.value + 1) * factors[:, None], rtol=1e-13)
    ((same, on),) = batch([z], {})
    assert same is z
    assert not on


# --- with derivatives ---


def test_gradients_of_each_example():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=0)
    parameters = model.parameters()
    x, t = gn.placeholder("x", ("batch", 3)), gn.placeholder("t", ("batch",), "int64")

    def loss(x, t):
        return -gn.log_softmax(model(x))[t]

    each = gn.vmap(lambda x, t: gn.grad(loss(x, t), parameters))(x, t)
    values, labels = numbers(5, 3).astype("float32"), np.array([0, 1, 1, 0, 1])
    found = gn.function([x, t], each)(values, labels)
    x1, t1 = gn.placeholder("x", (3,)), gn.placeholder("t", (), "int64")
    one = gn.function([x1, t1], gn.grad(loss(x1, t1), parameters))
    loop = [one(row, label) for row, label in zip(values, labels, strict=True)]
    for i, gradient in enumerate(found):
        np.testing.assert_allclose(gradient, np.stack([row[i] for row in loop]), rtol=1e-5, atol=1e-6)


def test_every_order_of_the_transforms():
    a, xs, v = numbers(3, 3), numbers(4, 3, seed=1), numbers(4, 3, seed=2)

    def f(x):
        return gn.sum(gn.tanh(gn.constant(a) @ x) ** 2)

    def of(x):
        return gn.function([x], [gn.grad(f(x), x), gn.hessian(f(x), x)])

    one = gn.placeholder("x", (3,), "float64")
    loop = [of(one)(row) for row in xs]
    slopes, curves = (np.stack([row[i] for row in loop]) for i in (0, 1))
    x = gn.placeholder("x", (4, 3), "float64")
    outside = gn.grad(gn.sum(gn.vmap(f)(x)), x)
    inside = gn.vmap(lambda x: gn.grad(f(x), x))(x)
    hessians = gn.vmap(lambda x: gn.hessian(f(x), x))(x)
    by_jacfwd = gn.vmap(lambda x: gn.jacfwd(gn.grad(f(x), x), x))(x)
    hessian_of_both = gn.jacrev(gn.vmap(lambda x: gn.grad(f(x), x))(x), x)
    pushed = gn.jvp(gn.vmap(f)(x), [x], [v])
    push_inside = gn.vmap(lambda x, v: gn.jvp(f(x), [x], [v]))(x, gn.constant(v))
    got = gn.function([x], [outside, inside, hessians, by_jacfwd, hessian_of_both, pushed, push_inside])(xs)
    for value in got[:2]:
        np.testing.assert_allclose(value, slopes, rtol=1e-12)
    for value in got[2:4]:
        np.testing.assert_allclose(value, curves, rtol=1e-11, atol=1e-13)
    for i in range(4):
        np.testing.assert_allclose(got[4][i, :, i], curves[i], rtol=1e-11, atol=1e-13)
    for value in got[5:]:
        np.testing.assert_allclose(value, (slopes * v).sum(1), rtol=1e-12)


def test_nested():
    a, b = numbers(4, 3), numbers(5, 3, seed=1)
    table = gn.vmap(gn.vmap(gn.vecdot, (None, 0)), (0, None))(a, b)
    np.testing.assert_allclose(run(table), a @ b.T, rtol=1e-13)
    # The inner batch lies inside of the function of the outer one, and uses its argument.
    deep = gn.vmap(lambda x: gn.vmap(lambda y: gn.max(x * y))(gn.constant(b)), out_axes=1)(a)
    np.testing.assert_allclose(run(deep), (a[:, None] * b).max(-1).T, rtol=1e-15)


def test_a_branch_that_is_not_taken_does_not_matter():
    def f(x):
        return gn.sum(gn.where(x > 0, gn.sqrt(x), 0.0))

    x = np.array([[4.0, 0.0], [-1.0, 0.25]])
    expected = np.array([[0.25, 0.0], [0.0, 1.0]])
    node = gn.placeholder("x", (2, 2), "float64")
    for made in (gn.vmap(lambda x: gn.grad(f(x), x))(node), gn.grad(gn.sum(gn.vmap(f)(node)), node)):
        np.testing.assert_array_equal(run(made, {node: x}), expected)


def test_a_derivative_of_your_own_is_kept():
    calls = []

    @gn.custom_gradient
    def clipped(x, w, /, *, limit=1.0):
        calls.append(x.shape)
        return x * w, lambda g: (gn.clip(g, -limit, limit), None)

    x, w = numbers(4, 3), numbers(3, seed=1)
    node = gn.placeholder("x", (4, 3), "float64")
    made = gn.vmap(lambda x: clipped(x, w, limit=0.5))(node)
    got = run([made, gn.grad(gn.sum(made * 100.0), node)], {node: x})
    np.testing.assert_allclose(got[0], x * w)
    np.testing.assert_array_equal(got[1], np.full((4, 3), 0.5))
    inside = gn.vmap(lambda x: gn.grad(gn.sum(clipped(x, w, limit=0.25) * 100.0), x))(node)
    np.testing.assert_array_equal(run(inside, {node: x}), np.full((4, 3), 0.25))
    assert (4, 3) not in calls  # the function sees one element

    @gn.composite
    def scaled(x, w, /):
        return gn.sum(x * w)

    @scaled.rule
    def _(g, x, w, *, out):
        return gn.Masked(g * w, x > 0), 7 * g * x  # wrong on purpose: to see that it is used

    v = gn.placeholder("w", (3,), "float64")
    by_x, by_w = gn.grad(gn.sum(gn.vmap(scaled, (0, None))(node, v)), [node, v])
    got = run([by_x, by_w], {node: x, v: w})
    np.testing.assert_array_equal(got[0], np.where(x > 0, w, 0.0))
    np.testing.assert_allclose(got[1], 7 * x.sum(0), rtol=1e-14)


def test_checkpoints_compute_again():
    w = gn.parameter("w", numbers(3, 3))
    block = gn.checkpoint(lambda x: gn.tanh(w @ gn.sin(x)))
    plain = gn.vmap(lambda x: gn.tanh(w @ gn.sin(x)))
    x = gn.placeholder("x", (4, 3), "float64")
    y = gn.vmap(block)(x)
    found = gn.grad(gn.sum(y * y), [x, w])
    expected = gn.grad(gn.sum(gn.square(plain(x))), [x, w])
    got = gn.function([x], [found, expected, gn.vmap(lambda x: gn.grad(gn.sum(gn.square(block(x))), w))(x)])(
        numbers(4, 3, seed=1)
    )
    for a, b in zip(got[0], got[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(got[2].sum(0), got[1][1], rtol=1e-12)
    assert sum(node.op.name == "tanh" for node in gn.Graph(found)) == 2


# --- randomness and states ---


def test_keys_of_a_batch_give_what_each_gives_alone():
    keys = np.array([[3, 0], [3, 1], [2**64 - 1, 2**40]], "uint64")
    for draw in (
        lambda key: gn.random_bits(key, (5,), draw=1),
        lambda key: gn.normal(key, (2, 3), dtype="float64"),
        lambda key: gn.permutation(key, 6),
    ):
        loop = np.stack([run(draw(gn.constant(key))) for key in keys])
        np.testing.assert_array_equal(run(gn.vmap(draw)(keys)), loop)
    with pytest.raises(gn.DTypeError, match=r"a stream is uint64\[2\]"):
        gn.random_bits(gn.constant(keys), (5,))


def test_a_stream_gives_all_elements_the_same_numbers_and_advances_once():
    stream = gn.stream(5)
    x = gn.placeholder("x", ("batch", 4))
    y = gn.vmap(lambda x: gn.dropout(x, stream))(x)
    f, ones = gn.function([x], y), np.ones((3, 4), "float32")
    first, second = f(ones), f(ones)
    assert stream.value.tolist() == [5, 2]
    assert (first == first[0]).all()
    assert (first != second).any()


def test_a_state_advances_under_vmap_unless_its_next_value_is_batched():
    count = gn.state("count", 0)
    x = gn.placeholder("x", ("batch",), "int64")
    f = gn.function([x], gn.vmap(lambda x: gn.advance(x + count, {count: count + 1}))(x))
    assert f([1, 2]).tolist() == [1, 2]
    assert f([1, 2]).tolist() == [2, 3]
    with pytest.raises(GraphError, match="the next value of the state count is another one for each element"):
        gn.vmap(lambda x: gn.advance(count, {count: count + x}))(x)


# --- operations from outside ---


def test_functions_of_arrays_are_called_for_each_element():
    shapes = []

    def weighted(x, w):
        shapes.append((x.shape, w.shape))
        return np.sum(x * w, axis=0)

    def rule(g, x, w, *, out):
        return gn.broadcast_to(g * w, x.shape), None

    op = gn.host_op(weighted, infer=lambda x, w: gn.Spec(x.shape[1:], x.dtype), vjp=rule)
    x, w = gn.placeholder("x", ("batch", 5, 2), "float64"), numbers(2)
    made = gn.vmap(lambda x: op(x, w))(x)
    assert made.shape == (gn.Dim("batch"), 2)
    values = numbers(3, 5, 2)
    got, slope = gn.function([x], [made, gn.grad(gn.sum(made), x)])(values)
    np.testing.assert_allclose(got, np.sum(values * w, axis=1), rtol=1e-14)
    np.testing.assert_allclose(slope, np.broadcast_to(w, (3, 5, 2)), rtol=1e-14)
    assert shapes == [((5, 2), (2,))] * 3
    assert gn.function([x], made)(np.zeros((0, 5, 2))).shape == (0, 2)
    assert gn.vmap(lambda x: op(x, w))(x).op == made.op
    silent = gn.vmap(gn.host_op(np.cbrt, infer=lambda x: x))(x)
    with pytest.raises(gn.DifferentiationError, match="has no derivative"):
        gn.grad(gn.sum(silent), x)


class Twice(gn.General):
    """An operation without a batching rule."""

    latex = r"2 {0:20}"

    def infer(self, *specs):
        return specs[0]

    def vjp(self, g, *operands, out):
        return (2 * g,)


class Rotate(gn.Linear):
    """An operation with a rule: its two numbers change places."""

    latex = r"\operatorname{{rotate}}\left({0}\right)"

    def infer(self, *specs):
        return specs[0]

    def transpose(self, g, *operands):
        return (Rotate()(g),)


def register():
    from graphnn.backend.numpy import lower

    lower.register(Twice, lambda op, node: lambda x: 2 * x)
    lower.register(Rotate, lambda op, node: lambda x: x[..., ::-1])


register()


def test_an_operation_without_a_rule_is_a_loop():
    x = gn.placeholder("x", (4, 3), "float64")
    made = gn.vmap(lambda x: Twice()(x) + 1)(x)
    assert sum(isinstance(node.op, Twice) for node in gn.Graph(made)) == 4
    values = numbers(4, 3)
    got = run([made, gn.grad(gn.sum(made), x)], {x: values})
    np.testing.assert_array_equal(got[0], 2 * values + 1)
    np.testing.assert_array_equal(got[1], np.full((4, 3), 2.0))
    jacobian = gn.jacobian(Twice()(x), x)
    np.testing.assert_array_equal(run(jacobian, {x: values}).reshape(12, 12), 2 * np.eye(12))


def test_a_rule_of_your_own():
    wrong = [Alone, lambda made: made]

    def rule(op, call):
        if wrong:
            return wrong[-1](op(call.operands[0][..., :1] if len(wrong) == 2 else call.operands[0]))
        return op(*call.operands)

    batch_rule.register(Rotate, rule)
    x = gn.placeholder("x", ("batch", 2), "float64")
    message = "the batching rule of rotate gives"
    for _ in range(2):
        with pytest.raises(RewriteError, match=message):
            gn.vmap(lambda x: Rotate()(x))(x)
        wrong.pop()
    values = numbers(3, 2)
    made = gn.vmap(lambda x: Rotate()(x))(x)
    np.testing.assert_array_equal(run(made, {x: values}), values[:, ::-1])


# --- mistakes: their texts stand in tests/errors/mistakes.txt; here are those that need no text of their own ---


@pytest.mark.parametrize("axes", [True, "0", 1.0, (0, "a"), ((0, 0), None), {"a": 0}, (0, 0, 0)])
def test_axes_that_are_none(axes):
    x = gn.placeholder("x", (3, 3))
    with pytest.raises((GraphError, ShapeError), match="vmap: "):
        gn.vmap(lambda x, y: x, axes)(x, x)
    with pytest.raises((GraphError, ShapeError), match="vmap: "):
        gn.vmap(lambda x: (x, x), 0, axes)(x)


def test_the_function_is_called_once_and_keeps_its_name():
    calls = []

    def f(x):
        """Text."""
        calls.append(x)
        return x

    g = gn.vmap(f)
    assert (g.__name__, g.__doc__) == ("f", "Text.")
    g(numbers(3))
    assert len(calls) == 1
    assert calls[0].spec == gn.Spec((), gn.float64)


# --- loops and choices ---


def recurrent(w):
    def f(h, xs, k):
        def step(h, x):
            h = gn.tanh(h @ w + x * k)
            return h, {"a": h * k, "b": x}

        return gn.scan(step, h, xs)

    return f


@pytest.mark.parametrize("axes", [(0, 0, 0), (0, None, None), (None, 0, None), (None, None, 0), (0, 1, None)])
def test_loops_carry_a_batch_where_they_must(axes):
    f = recurrent(gn.constant(numbers(3, 3)))
    full = [numbers(4, 3), np.moveaxis(numbers(4, 5, 3, seed=1), 0, axes[1] or 0), numbers(4, seed=2)]
    args = [x if axis is not None else x[0] for x, axis in zip(full, axes, strict=True)]
    last, stacked = run(gn.vmap(f, axes)(*args))
    for i in range(4):
        row = [x if axis is None else np.take(x, i, axis) for x, axis in zip(args, axes, strict=True)]
        expected, rows = run(f(*map(gn.constant, row)))
        assert_close(last[i], expected, rtol=1e-12)
        for key in "ab":
            assert_close(stacked[key][i], rows[key], rtol=1e-12)


def test_derivatives_of_batches_of_loops():
    w = gn.parameter("w", numbers(3, 3))
    f = recurrent(w)
    h, xs = numbers(4, 3), numbers(4, 5, 3, seed=1)

    def loss(h, xs):
        return gn.sum(gn.square(f(h, xs, 0.5)[0]))

    each = run(gn.vmap(lambda h, xs: gn.grad(loss(h, xs), w))(h, xs))
    for i in range(4):
        assert_close(each[i], run(gn.grad(loss(gn.constant(h[i]), gn.constant(xs[i])), w)), rtol=1e-11)
    total = gn.grad(gn.sum(gn.vmap(loss)(gn.constant(h), gn.constant(xs))), w)
    assert_close(run(total), each.sum(0), rtol=1e-11)


def test_each_element_has_its_own_number_of_steps():
    def root(x):
        return gn.while_loop(lambda r: gn.abs(r * r - x) > 1e-12 * x, lambda r: 0.5 * (r + x / r), x)

    assert_close(run(gn.vmap(root)(np.array([2.0, 9.0, 100.0]))), np.sqrt([2.0, 9.0, 100.0]), rtol=1e-11)
    powers = gn.vmap(lambda n: gn.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 2.0), (0, 1.0)))
    counts, values = run(powers(np.array([1, 3, 0])))
    assert (counts.tolist(), values.tolist()) == ([1, 3, 0], [2.0, 8.0, 1.0])


def test_each_element_takes_its_own_branch():
    def f(x):
        return gn.cond(x > 0, lambda: gn.sqrt(x), lambda: -x)

    x = gn.placeholder("x", ("n",), "float64")
    y = gn.vmap(f)(x)
    value, slope = run([y, gn.grad(gn.sum(y), x)], {x: [4.0, -3.0]})
    assert (value.tolist(), slope.tolist()) == ([2.0, 3.0], [0.25, -1.0])  # no NaN comes of the other branch
    one = gn.placeholder("one", (), "bool")
    chosen = gn.vmap(lambda x: gn.cond(one, lambda: x * 2.0, lambda: gn.constant(1.0, "float64")))(x)
    assert run(chosen, {one: False, x: [4.0, 5.0]}).tolist() == [1.0, 1.0]
    switched = gn.vmap(lambda i: gn.switch(i, [lambda: 1.0, lambda: 2.0]))
    assert run(switched(np.array([1, 0, 1]))).tolist() == [2.0, 1.0, 2.0]
    with pytest.raises(gn.IndexRangeError):
        run(switched(np.array([1, -1])))

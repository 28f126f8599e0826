"""Compiled functions: trees in and out, calls by name, simultaneous updates, states, and sizes that change."""

import sys
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.errors import ExecutionError, GraphError, IndexRangeError, LoweringError, ShapeError
from graphnn.testing.strategies import graphs


@given(graphs())
def test_functions_and_evaluate_agree(drawn):
    outputs = {"loss": drawn.output, "gradients": gn.grad(drawn.output, list(drawn.feeds))}
    f = gn.function(list(drawn.feeds), outputs, backend="numpy")  # by which evaluate computes, too
    once, again = f(*drawn.feeds.values()), f(*drawn.feeds.values())
    plain = gn.evaluate(outputs, drawn.feeds)
    for got in (again, plain):
        np.testing.assert_array_equal(once["loss"], got["loss"])
        for a, b in zip(once["gradients"], got["gradients"], strict=True):
            np.testing.assert_array_equal(a, b)


# --- trees ---


def test_one_input_one_output():
    x = gn.placeholder("x", (2,))
    f = gn.function(x, x * 2.0)
    got = f([1.0, 2.0])
    assert type(got) is np.ndarray
    assert got.tolist() == [2.0, 4.0]
    assert f(x=[1.0, 2.0]).tolist() == [2.0, 4.0]


Pair = namedtuple("Pair", "first second")


def test_outputs_of_every_structure():
    x = gn.placeholder("x")
    f = gn.function([x], {"a": [x, (x + 1, None)], "b": None, "c": {}, "d": Pair(x * 2, [x * 3])})
    got = f(1.0)
    assert list(got) == ["a", "b", "c", "d"]
    assert isinstance(got["a"][1], tuple)
    assert (got["a"][0], got["a"][1][0], got["a"][1][1]) == (1.0, 2.0, None)
    assert got["b"] is None
    assert got["c"] == {}
    assert isinstance(got["d"], Pair)
    assert (got["d"].first, got["d"].second[0]) == (2.0, 3.0)
    assert gn.function([x], [x])(1.0) == [1.0]
    assert gn.function([x], (x,))(1.0) == (1.0,)
    assert gn.function([], [])() == []
    assert gn.function([], None)() is None


def test_inputs_by_position_and_by_name():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    f = gn.function([x, y], x - y)
    assert f(3.0, 1.0) == f(3.0, y=1.0) == f(x=3.0, y=1.0) == f(y=1.0, x=3.0) == 2.0


def test_a_dict_of_inputs():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    f = gn.function({"left": x, "right": y}, x - y)
    assert f(left=3.0, right=1.0) == f({"left": 3.0, "right": 1.0}) == f(3.0, 1.0) == 2.0
    assert f({"right": 1.0, "left": 3.0}) == 2.0
    with pytest.raises(GraphError, match="unknown argument 'x'"):
        f(x=1.0, right=2.0)


def test_nested_inputs():
    x, y, z = (gn.placeholder(name) for name in "xyz")
    f = gn.function([x, {"pair": (y, z), "none": None}], x + 10 * y + 100 * z)
    assert f(1.0, {"pair": (2.0, 3.0), "none": None}) == 321.0
    assert f(1.0, OrderedDict(none=None, pair=[2.0, 3.0])) == 321.0
    batch = gn.function({"data": {"x": x, "y": y}, "z": z}, x + 10 * y + 100 * z)
    assert batch(data={"y": 2.0, "x": 1.0}, z=3.0) == 321.0
    assert batch({"data": {"y": 2.0, "x": 1.0}, "z": 3.0}) == 321.0


def test_functions_print_their_signature():
    x, w = gn.placeholder("x", ("n", 3)), gn.parameter("w", np.ones(3, "float32"))
    f = gn.function([x], gn.sum(x @ w), updates={w: w * 2})
    assert repr(f) == "Function(x: float32[n, 3] -> float32[], updates 'w'; backend 'native')"
    assert list(f.updates) == [w]
    assert f.graph.outputs[0].op.name == "sum"
    assert f.backend == "native"
    assert "backend 'numpy'" in repr(gn.function([x], x * 2, backend="numpy"))


# --- updates ---


def test_updates_are_simultaneous():
    a, b = gn.parameter("a", 1.0), gn.parameter("b", 2.0)
    swap = gn.function([], [a, b], updates={a: b, b: a})
    assert swap() == [1.0, 2.0]
    assert (a.value, b.value) == (2.0, 1.0)
    assert swap() == [2.0, 1.0]
    assert (a.value, b.value) == (1.0, 2.0)
    fibonacci = gn.function([], b, updates={a: b, b: a + b})
    assert [float(fibonacci()) for _ in range(6)] == [2.0, 3.0, 5.0, 8.0, 13.0, 21.0]


def test_outputs_are_computed_from_the_old_values():
    w = gn.parameter("w", [1.0, 2.0])
    new = w * 10
    f = gn.function([], {"old": w, "new": new}, updates={w: new})
    got = f()
    assert got["old"].tolist() == [1.0, 2.0]
    assert got["new"].tolist() == w.value.tolist() == [10.0, 20.0]


def test_a_step_of_descent():
    x, t = gn.placeholder("x", ("n", 2), "float64"), gn.placeholder("t", ("n",), "float64")
    w = gn.parameter("w", np.zeros(2))
    loss = gn.mean(gn.square(x @ w - t))
    step = gn.function([x, t], loss, updates={w: w - 0.1 * gn.grad(loss, w)})
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(50, 2))
    ts = xs @ np.array([1.5, -0.5])
    losses = [float(step(xs, ts)) for _ in range(200)]
    np.testing.assert_allclose(w.value, [1.5, -0.5], atol=1e-6)
    assert losses[-1] < 1e-10 < losses[0]
    assert losses == sorted(losses, reverse=True)


def test_numbers_as_updates():
    w = gn.parameter("w", 3.0)
    f = gn.function([], w, updates={w: 0})
    assert f() == 3.0
    assert f() == 0.0


def test_a_parameter_is_shared_between_functions():
    w = gn.parameter("w", 1.0)
    double, read = gn.function([], [], updates={w: w * 2}), gn.function([], w)
    double()
    assert read() == 2.0
    w.value = 7.0
    assert read() == 7.0
    double()
    assert gn.evaluate(w) == 14.0


# --- states ---


def test_states_advance_when_a_function_computes_them():
    count = gn.state("count", 0)
    x = gn.placeholder("x")
    y = gn.advance(x + count.astype("float32"), {count: count + 1})
    f = gn.function([x], y)
    assert list(f.updates) == [count]
    assert [float(f(10.0)) for _ in range(3)] == [10.0, 11.0, 12.0]
    assert count.value == 3
    assert gn.evaluate(y, {x: 10.0}) == 13.0
    assert count.value == 3  # evaluate never moves a state on
    plain = gn.function([x], x + count.astype("float32"))
    assert [float(plain(10.0)) for _ in range(2)] == [13.0, 13.0]


def test_states_advance_in_derivatives_too():
    stream = gn.stream(0)
    x = gn.placeholder("x", (1000,))
    y = gn.dropout(x, stream, p=0.5)
    f = gn.function([x], [y, gn.grad(gn.sum(y), x)])
    ones = np.ones(1000, "float32")
    first, slope = f(ones)
    np.testing.assert_array_equal(first, slope)  # the same mask in both passes
    second, _ = f(ones)
    assert (first != second).any()
    assert stream.value.tolist() == [0, 2]


def test_the_same_seed_gives_the_same_bits():
    def draws(seed):
        f = gn.function([], gn.uniform(gn.stream(seed), (100,)))
        return [f() for _ in range(3)]

    np.testing.assert_array_equal(draws(1), draws(1))
    assert (np.stack(draws(1)) != np.stack(draws(2))).any()


def test_a_state_used_twice_in_the_same_way():
    count = gn.state("count", 0)
    one, two = (gn.advance(count * k, {count: count + 1}) for k in (1, 2))
    f = gn.function([], [one, two])
    assert f() == [0, 0]
    assert f() == [1, 2]


def test_a_state_with_two_next_values():
    count = gn.state("count", 0)
    one, two = gn.advance(count * 1, {count: count + 1}), gn.advance(count * 1, {count: count + 2})
    with pytest.raises(GraphError, match="the state count gets two different next values"):
        gn.function([], [one, two])
    with pytest.raises(GraphError, match="the state count gets two different next values"):
        gn.function([], one, updates={count: count + 2})
    with pytest.raises(GraphError, match="advance: w is not a state"):
        gn.advance(one, {gn.parameter("w", 1): one})


# --- inputs that nothing needs ---


def test_unused_inputs():
    x, y = gn.placeholder("x", ("n",)), gn.placeholder("y", ("n", 2))
    with pytest.raises(GraphError, match="the outputs do not depend on the input 'y'"):
        gn.function([x, y], gn.sum(x))
    f = gn.function([x, y], gn.sum(x), on_unused="ignore")
    assert f([1.0, 2.0], np.zeros((2, 2), "float32")) == 3.0
    with pytest.raises(ShapeError, match="the size 'n' is 2 in argument 'x'"):
        f([1.0, 2.0], np.zeros((3, 2), "float32"))
    with pytest.raises(GraphError, match="on_unused is 'raise' or 'ignore', not 'warn'"):
        gn.function([x], x, on_unused="warn")


def test_an_input_may_be_there_for_its_size_only():
    x = gn.placeholder("x", ("n", 3))
    f = gn.function([x], gn.dim_size(x, 0) + gn.sum(gn.ones(("n",), dtype="int64")))
    assert f(np.zeros((4, 3), "float32")) == 8
    assert gn.evaluate(gn.zeros(("n", 2)), {x: np.zeros((4, 3), "float32")}).shape == (4, 2)


# --- sizes ---


def test_new_sizes_are_planned_anew():
    x = gn.placeholder("x", ("n", "m"))
    f = gn.function([x], [gn.mean(x, axis=0), gn.reshape(x, (-1,)), x.T, gn.arange("n") + gn.dim_size(x, 1)])
    rng = np.random.default_rng(0)
    for shape in ((3, 2), (1, 5), (3, 2), (4, 4), (2, 1)):
        values = rng.normal(size=shape).astype("float32")
        mean, flat, turned, numbers = f(values)
        np.testing.assert_allclose(mean, values.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(flat, values.reshape(-1))
        np.testing.assert_array_equal(turned, values.T)
        np.testing.assert_array_equal(numbers, np.arange(shape[0]) + shape[1])


def test_a_plan_is_made_once_for_each_size():
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], x * 2)
    for n in (3, 4, 3, 3, 4):
        f(np.zeros(n, "float32"))
    assert len(f._plans) == 2
    y = gn.placeholder("y", (3,))
    g = gn.function([y], y * 2)
    g([1.0, 2.0, 3.0])
    g([1.0, 2.0, 3.0])
    assert len(g._plans) == 1


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_call_only_executes(backend):
    x, w = gn.placeholder("x", ("n", 3)), gn.parameter("w", np.ones((3, 2), "float32"))
    loss = gn.mean(gn.softmax(x @ w))
    f = gn.function([x], loss, updates={w: w - gn.grad(loss, w)}, backend=backend)
    values = np.ones((4, 3), "float32")
    f(values)
    entered = set()

    def watch(frame, event, argument):
        path = frame.f_code.co_filename
        if event == "call" and "graphnn" in path and "test_" not in path:
            entered.add(path.partition("graphnn/")[2].replace("\\", "/"))

    sys.setprofile(watch)
    try:
        f(values)
    finally:
        sys.setprofile(None)
    # No graph is walked, no node is made, no spec is inferred: the call checks its arguments and runs the kernels.
    kernels = {path for path in entered if path.startswith("backend/numpy/")}
    assert bool(kernels) == (backend == "numpy")
    assert entered - kernels <= {"compile/function.py", "compile/signature.py", "ir/arrays.py", "ir/leaves.py"}


def test_empty_batches():
    x = gn.placeholder("x", ("batch", 3))
    w = gn.parameter("w", np.ones((3, 2), "float32"))
    h = gn.relu(x @ w)
    f = gn.function([x], {"h": h, "p": gn.softmax(h), "sum": gn.sum(h), "dw": gn.grad(gn.sum(h), w)})
    got = f(np.zeros((0, 3), "float32"))
    assert got["h"].shape == got["p"].shape == (0, 2)
    assert got["sum"] == 0.0
    assert got["dw"].tolist() == [[0.0, 0.0]] * 3
    assert f(np.ones((2, 3), "float32"))["sum"] == 12.0
    mean = gn.function([x], gn.mean(x))
    assert np.isnan(mean(np.zeros((0, 3), "float32")))
    with pytest.raises(ExecutionError, match="max: zero-size array to reduction"):
        gn.function([x], gn.max(x, axis=0))(np.zeros((0, 3), "float32"))


def test_integer_arithmetic_on_sizes():
    x = gn.placeholder("x", ("n",))
    y = x[:-1:2]
    f = gn.function([x], [y, gn.dim_size(y, 0)])
    for n in range(1, 7):
        values = np.arange(n, dtype="float32")
        got, size = f(values)
        np.testing.assert_array_equal(got, values[:-1:2])
        assert size == len(values[:-1:2])


# --- failures leave everything as it was ---


@pytest.mark.parametrize("debug", [None, "nan"])
def test_a_failing_call_changes_nothing(debug):
    x, i = gn.placeholder("x", (3,)), gn.placeholder("i", (), "int64")
    w, count = gn.parameter("w", [1.0, 2.0, 3.0]), gn.state("count", 0)
    y = gn.advance(x[i] * w, {count: count + 1})
    f = gn.function([x, i], y, updates={w: w + gn.sum(y)}, debug=debug)
    with pytest.raises(IndexRangeError):
        f([1.0, 2.0, 3.0], 3)
    assert (w.value.tolist(), count.value) == ([1.0, 2.0, 3.0], 0)
    if debug:
        with pytest.raises(ExecutionError):
            f([1.0, np.nan, 3.0], 1)
        assert (w.value.tolist(), count.value) == ([1.0, 2.0, 3.0], 0)
    f([1.0, 2.0, 3.0], 0)
    assert (w.value.tolist(), count.value) == ([7.0, 8.0, 9.0], 1)


def test_an_index_out_of_range_names_node_and_line():
    x, i = gn.placeholder("x", ("n", 2)), gn.placeholder("i", (2,), "int64")
    picked = x[i]
    f = gn.function([x, i], picked)
    with pytest.raises(IndexRangeError) as caught:
        f(np.zeros((3, 2), "float32"), [0, 3])
    error = caught.value
    assert isinstance(error, IndexError)
    assert "index 3 is out of bounds for axis 0 with size 3" in error.headline
    assert error.headline.startswith("gather: ")
    assert error.at.endswith("picked = x[i]")
    assert [row.spec for row in error.operands] == ["float32[3, 2]", "int64[2]"]
    assert [row.name for row in error.operands] == ["x", "i"]
    assert f(np.zeros((3, 2), "float32"), [0, -3]).shape == (2, 2)


# --- what cannot be compiled ---


def test_names_of_backends():
    x = gn.placeholder("x")
    with pytest.raises(LoweringError, match="there is no backend 'nunpy'") as caught:
        gn.function([x], x, backend="nunpy")
    assert caught.value.hints == ("Did you mean 'numpy'?",)
    with pytest.raises(GraphError, match="debug is None or 'nan', not True"):
        gn.function([x], x, debug=True)


@pytest.mark.parametrize(
    "inputs, outputs, message",
    [
        (lambda x, w: [w], lambda x, w: w, "input .* is not a placeholder"),
        (lambda x, w: [x, x], lambda x, w: x, "the placeholder 'x' is listed twice"),
        (lambda x, w: {"a": x, "b": x}, lambda x, w: x, "the placeholder 'x' is listed twice"),
        (lambda x, w: "x", lambda x, w: x, "the inputs of a function are a node, a list or a dict of nodes, not 'x'"),
        (lambda x, w: ["x"], lambda x, w: x, "is not a placeholder"),
        (lambda x, w: [x], lambda x, w: [x, 3.0], r"output \[1\] is not a node: 3.0"),
        (lambda x, w: [x], lambda x, w: {"y": "x"}, r"output \['y'\] is not a node: 'x'"),
        (lambda x, w: [], lambda x, w: x, "the outputs depend on the placeholder 'x', which is not among the inputs"),
    ],
)
def test_graphs_that_are_no_functions(inputs, outputs, message):
    x, w = gn.placeholder("x"), gn.parameter("w", 1.0)
    with pytest.raises(GraphError, match=message):
        gn.function(inputs(x, w), outputs(x, w))


def test_a_size_that_no_input_determines():
    x = gn.placeholder("x", ("n",))
    y = gn.placeholder("y", (gn.Dim("m") + 1,))
    with pytest.raises(GraphError, match="the size 'm' of y is not determined by any input"):
        gn.function([x, y], gn.sum(x) + gn.sum(y))
    with pytest.raises(GraphError, match=r"the size 'k' of .* is not determined by any input"):
        gn.function([], gn.zeros(("k",)))

"""Forward mode: tangents agree with the reverse mode, through every family of ops and between dependent nodes."""

import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.errors import DifferentiationError, GraphError, ShapeError
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.testing.strategies import graphs


@given(graphs())
def test_inner_products_of_the_modes_agree(drawn):
    rng = np.random.default_rng(0)
    inputs = list(drawn.feeds)
    y = drawn.output
    v = [rng.normal(size=x.shape) for x in inputs]
    u = rng.normal()
    pushed = gn.evaluate(gn.jvp(y, inputs, v), drawn.feeds)
    pulled = gn.evaluate(gn.vjp(y, inputs, u), drawn.feeds)
    left = pushed * u
    right = sum(np.sum(a * b) for a, b in zip(v, pulled, strict=True))
    scale = sum(np.sum(np.abs(a * b)) for a, b in zip(v, pulled, strict=True)) + 1e-30
    assert abs(left - right) <= 1e-12 * max(scale, 1.0)


def test_a_variable_that_depends_on_another():
    # Both modes take d y / d x along all paths, also along the one through h.
    x = gn.placeholder("x", (), "float64")
    h = 2.0 * x
    y = 3.0 * h + x * h
    feeds = {x: np.float64(5.0)}
    by_x, by_h = gn.evaluate(gn.vjp(y, [x, h], 1.0), feeds)
    assert (by_x, by_h) == (6.0 + 20.0, 8.0)
    assert gn.evaluate(gn.jvp(y, [x, h], [1.0, 0.0]), feeds) == by_x
    assert gn.evaluate(gn.jvp(y, [x, h], [0.0, 1.0]), feeds) == by_h
    assert gn.evaluate(gn.jvp(y, [h, x], [10.0, 1.0]), feeds) == by_x + 10 * by_h
    assert gn.evaluate(gn.jvp(y, [x, x], [1.0, 2.0]), feeds) == 3 * by_x
    assert gn.evaluate(gn.jvp(h, [x, h], [1.0, 1.0]), feeds) == 3.0


def test_the_result_has_the_structure_of_the_outputs():
    x = gn.placeholder("x", (2,))
    out = gn.jvp({"a": [x * x, x], "none": None}, [x], [[1.0, 0.0]])
    assert out["none"] is None
    got = gn.evaluate(out["a"], {x: [3.0, 4.0]})
    assert [g.tolist() for g in got] == [[6.0, 0.0], [1.0, 0.0]]


def test_tangents_of_outputs_that_do_not_depend_are_zeros():
    x, z = gn.placeholder("x", (2,)), gn.placeholder("z", (2,))
    out = gn.jvp([x * z, z], [x], [[1.0, 1.0]], allow_unused=True)
    got = gn.evaluate(out, {x: [3.0, 4.0], z: [5.0, 6.0]})
    assert [g.tolist() for g in got] == [[5.0, 6.0], [0.0, 0.0]]
    with pytest.raises(DifferentiationError, match="jvp: z does not depend on x"):
        gn.jvp(z, [x], [[1.0, 1.0]])


def test_tangents_are_nodes_too():
    x, v = gn.placeholder("x", ("n",)), gn.placeholder("v", ("n",))
    out = gn.jvp(gn.sin(x), x, v)
    verify(Graph(out))
    got = gn.evaluate(out, {x: [0.5, 1.0], v: [1.0, 2.0]})
    np.testing.assert_allclose(got, np.cos([0.5, 1.0]) * [1, 2], rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: gn.prod(x, axis=1),
        lambda x: gn.max(x, axis=0),
        lambda x: gn.softmax(x),
        lambda x: gn.logsumexp(x, axis=0),
        lambda x: gn.concat([x, x * x], axis=1),
        lambda x: gn.where(x > 0, x, x * x),
        lambda x: x[::-1, 1:],
        lambda x: x[[0, 1, 0]],
        lambda x: x.at[0].set(x[1] * 2.0),
        lambda x: x.at[:, [0, 0]].add(x[:, 1:]),
        lambda x: gn.pad(x, 1, mode="reflect"),
        lambda x: gn.vector_norm(x, axis=1),
        lambda x: gn.einsum("ij,kj->ik", x, x),
        lambda x: gn.take_along_axis(x, gn.argmax(x, axis=1, keepdims=True), axis=1),
        lambda x: x.astype("float32").astype("float64"),
    ],
)
def test_columns_by_forward_and_rows_by_reverse_agree(make):
    x = gn.placeholder("x", (2, 3), "float64")
    feeds = {x: np.array([[0.3, -1.1, 2.0], [1.4, 0.6, -0.2]])}
    y = make(x)
    rows = [gn.vjp(y, x, unit.reshape(y.shape)) for unit in np.eye(y.spec.size)]
    columns = [gn.jvp(y, x, unit.reshape(x.shape)) for unit in np.eye(6)]
    rows = np.stack(gn.evaluate(rows, feeds)).reshape(y.spec.size, 6)
    columns = np.stack(gn.evaluate(columns, feeds), axis=-1).reshape(y.spec.size, 6)
    np.testing.assert_allclose(rows, columns, rtol=1e-6, atol=1e-12)


def test_wrong_numbers_of_tangents():
    x = gn.placeholder("x", (2,))
    with pytest.raises(ShapeError, match=r"jvp: float32\[2, 2\] does not have the shape of x: float32\[2\]"):
        gn.jvp(x * x, [x], [[1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(GraphError, match="jvp: 1 tangents for 2 nodes"):
        gn.jvp(x * x, [x, x], [[1.0, 1.0]])


def test_integers_have_no_tangents():
    x, i = gn.placeholder("x", (2,)), gn.placeholder("i", (2,), "int64")
    with pytest.raises(DifferentiationError, match="only floating-point numbers have derivatives"):
        gn.jvp(gn.argmax(x), x, [1.0, 1.0])
    with pytest.raises(DifferentiationError, match="only floating-point numbers have derivatives"):
        gn.jvp(x * 2, i, [1, 1])

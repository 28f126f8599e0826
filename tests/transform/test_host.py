"""host_op: NumPy functions as operations, checked against their rule of shapes, with and without derivatives."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import check_gradients


def same(x):
    return x


def test_values_and_derivatives():
    def rule(g, x, y, *, out):
        return g * gn.sin(y), g * x * gn.cos(y)

    op = gn.host_op(lambda x, y: x * np.sin(y), infer=lambda x, y: x, vjp=rule)
    x, y = gn.placeholder("x", (2,), "float64"), gn.placeholder("y", (2,), "float64")
    feeds = {x: np.array([0.5, -1.2]), y: np.array([0.9, 0.4])}
    check_gradients(gn.sum(op(op(x, y), x)), feeds, modes=("reverse", "forward"), order=2)
    check_gradients(op(x, y), feeds)


def test_another_shape_and_type_with_named_sizes():
    def ranks(x):
        return np.sort(x, axis=1)[:, :2].astype("int64")

    op = gn.host_op(ranks, infer=lambda x: gn.Spec((x.shape[0], 2), gn.int64))
    x = gn.placeholder("x", ("batch", 3))
    f = gn.function([x], op(x) + 1)
    assert op(x).op.name == "ranks"
    assert op(x).shape == ("batch", 2)
    assert f([[3.0, 1.0, 2.0]]).tolist() == [[2, 3]]
    assert f(np.zeros((4, 3), "float32")).shape == (4, 2)


def test_without_a_rule_a_derivative_is_an_error():
    op = gn.host_op(np.cbrt, infer=same)
    x = gn.placeholder("x", (2,))
    y = op(x)
    for build in (lambda: gn.grad(gn.sum(y), x), lambda: gn.jvp(y, x, [1.0, 1.0])):
        with pytest.raises(gn.DifferentiationError, match="cbrt has no derivative") as caught:
            build()
        assert "y = op(x)" in str(caught.value)
    got = gn.grad(gn.sum(gn.stop_gradient(y) * x), x)
    np.testing.assert_allclose(gn.evaluate(got, {x: [8.0, 27.0]}), [2.0, 3.0])


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (lambda x: x[:1], r"float32\[1\]"),
        (lambda x: x.astype("float64"), r"float64\[2\]"),
        (lambda x: [1.0, 2.0], r"float64\[2\]"),
        (lambda x: None, r"object\[\]"),
        (lambda x: np.sum(x), r"float32\[\]"),
    ],
)
def test_a_result_that_infer_did_not_promise(function, given):
    x = gn.placeholder("x", (2,))
    y = gn.host_op(function, infer=same)(x)
    with pytest.raises(gn.ExecutionError, match=rf"the function gave {given}, but infer says float32\[2\]") as caught:
        gn.evaluate(y, {x: [1.0, 2.0]})
    assert "y = gn.host_op(function, infer=same)(x)" in str(caught.value)


def test_a_function_that_fails():
    def careful(x):
        raise RuntimeError("no, thanks")

    x = gn.placeholder("x", (2,))
    with pytest.raises(gn.ExecutionError, match="careful: no, thanks") as caught:
        gn.evaluate(gn.host_op(careful, infer=same)(x), {x: [1.0, 2.0]})
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_memory_is_not_shared():
    kept = np.array([1.0, 2.0], "float32")
    x = gn.placeholder("x", (2,))
    f = gn.function([x], gn.host_op(lambda x: kept, infer=same)(x))
    f([0.0, 0.0])[:] = 7.0
    assert kept.tolist() == f([0.0, 0.0]).tolist() == [1.0, 2.0]
    given = np.array([3.0, 4.0], "float32")
    g = gn.function([x], gn.host_op(lambda x: x, infer=same)(x))
    g(given)[:] = 7.0
    assert given.tolist() == [3.0, 4.0]


def test_the_operands_are_read_only():
    def writes(x):
        x[0] = 0.0
        return x

    x = gn.placeholder("x", (2,))
    given = np.array([3.0, 4.0], "float32")
    with pytest.raises(gn.ExecutionError, match=r"writes: .*read-only"):
        gn.function([x], gn.host_op(writes, infer=same)(x))(given)
    assert given.tolist() == [3.0, 4.0]


def test_equal_calls_are_made_once():
    calls = []
    op = gn.host_op(lambda x: calls.append(1) or x + 1, infer=same)
    x = gn.placeholder("x", (2,))
    gn.evaluate(op(x) * op(x), {x: [1.0, 2.0]})
    assert len(calls) == 1


def test_mistakes_when_it_is_made():
    x = gn.placeholder("x", (2,))
    with pytest.raises(gn.GraphError, match="host_op: infer is a function"):
        gn.host_op(np.cbrt, infer=(2,))
    with pytest.raises(gn.GraphError, match="host_op: vjp is a function"):
        gn.host_op(np.cbrt, infer=same, vjp=3)
    with pytest.raises(gn.GraphError, match=r"cbrt: infer gave \(2,\), not a Spec"):
        gn.host_op(np.cbrt, infer=lambda x: (2,))(x)
    with pytest.raises(gn.GraphError, match="cbrt: infer failed"):
        gn.host_op(np.cbrt, infer=lambda x, y: x)(x)
    with pytest.raises(gn.GraphError, match="no operand has the size 'm'"):
        gn.host_op(np.cbrt, infer=lambda x: gn.Spec(("m",), x.dtype))(x)
    with pytest.raises(gn.DTypeError, match="my own"):
        gn.host_op(np.cbrt, infer=lambda x: (_ for _ in ()).throw(gn.DTypeError("my own")))(x)
    with pytest.raises(gn.DifferentiationError, match="its rule gives 2 cotangents for 1 operands"):
        gn.grad(gn.sum(gn.host_op(np.cbrt, infer=same, vjp=lambda g, x, *, out: (g, g))(x)), x)


def test_how_it_is_printed():
    x = gn.placeholder("x", (2,))
    y = gn.host_op(np.cbrt, infer=same)(x)
    assert "cbrt" in gn.text(y)
    assert "host=" not in gn.text(y)
    assert gn.latex(y).endswith(r"\left(x\right)")
    assert str(gn.trace(gn.sum(gn.stop_gradient(y) * x), {x: [1.0, 8.0]})).count("cbrt(γ1)") == 1

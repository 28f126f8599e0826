"""custom_gradient: the given derivative counts, in both modes and in all orders, and mistakes are told."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import check_gradients


@gn.custom_gradient
def product(x, y, /):
    return x * gn.sin(y), lambda g: (g * gn.sin(y), g * x * gn.cos(y))


@gn.custom_gradient
def exponential(x, /, *, rate=1.0):
    value = gn.exp(rate * x)
    return value, lambda g: g * rate * value


@gn.custom_gradient
def clipped(x, /):
    return x, lambda g: gn.clip(g, -1.0, 1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: product(x, y),
        lambda x, y: product(x, x) + y,
        lambda x, y: product(product(x, y), x),
        lambda x, y: product(x[0], y),  # broadcast: the cotangent is summed
        lambda x, y: exponential(product(x, y), rate=0.5),
        lambda x, y: gn.where(x > y, exponential(x), product(x, y)),
    ],
)
def test_a_right_rule_is_the_derivative_in_both_modes_and_orders(make):
    x, y = gn.placeholder("x", (2,), "float64"), gn.placeholder("y", (2,), "float64")
    feeds = {x: np.array([0.5, -1.2]), y: np.array([0.9, 0.4])}
    check_gradients(gn.sum(make(x, y)), feeds, modes=("reverse", "forward"), order=2)
    check_gradients(make(x, y), feeds)


def test_the_given_derivative_counts_and_not_that_of_the_body():
    @gn.custom_gradient
    def wrong(x, /):
        return x * x, lambda g: 100.0 * g

    x = gn.placeholder("x", (), "float64")
    y = wrong(x)
    assert y.op.name == "wrong"
    got = gn.evaluate([y, gn.grad(y, x), gn.jvp(y, x, 2.0)], {x: 3.0})
    assert [float(value) for value in got] == [9.0, 100.0, 200.0]
    assert float(gn.evaluate(gn.grad(3.0 * wrong(2.0 * x), x), {x: 1.0})) == 600.0


def test_in_higher_orders_the_value_has_the_given_derivative_again():
    @gn.custom_gradient
    def tripled(x, /):  # the rule says y' = 3 y, the body alone would say y' = y
        y = gn.exp(x)
        return y, lambda g: 3.0 * g * y

    x = gn.placeholder("x", (), "float64")
    node, wanted = tripled(x), np.exp(0.5)
    for order in range(1, 4):
        node, wanted = gn.grad(node, x), wanted * 3.0
        np.testing.assert_allclose(gn.evaluate(node, {x: 0.5}), wanted, rtol=1e-14, err_msg=str(order))


def test_a_rule_that_clips_serves_reverse_mode_only():
    x = gn.placeholder("x", (3,), "float64")
    loss = gn.sum(clipped(x) * gn.constant([0.5, 5.0, -7.0], "float64"))
    assert gn.evaluate(gn.grad(loss, x), {x: np.zeros(3)}).tolist() == [0.5, 1.0, -1.0]
    with pytest.raises(gn.DifferentiationError, match="clipped: its rule is not linear in the cotangent"):
        gn.jvp(clipped(x), x, np.ones(3))
    assert gn.evaluate(gn.jacrev(clipped(x), x), {x: np.zeros(3)}).tolist() == np.eye(3).tolist()


def test_integer_operands_and_options():
    @gn.custom_gradient
    def picked(x, index, /, *, scale):
        return scale * gn.take(x, index, axis=0), lambda g: (scale * gn.zeros_like(x).at[index].add(g), None)

    x, i = gn.placeholder("x", (3,), "float64"), gn.placeholder("i", (2,), "int64")
    got = gn.evaluate(gn.grad(gn.sum(picked(x, i, scale=2.0)), x), {x: np.ones(3), i: [2, 2]})
    assert got.tolist() == [0.0, 0.0, 4.0]


def test_named_sizes():
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], [exponential(x), gn.grad(gn.sum(exponential(x)), x)])
    for n in (1, 4):
        value, slope = f(np.zeros(n, "float32"))
        assert value.tolist() == slope.tolist() == [1.0] * n


def test_what_is_no_operand_is_refused():
    w = gn.parameter("w", 2.0)
    x = gn.placeholder("x", ())
    hidden = gn.custom_gradient(lambda x, /: (w * x, lambda g: g * w))
    with pytest.raises(gn.GraphError, match="uses w, which is not an operand"):
        hidden(x)
    outer = gn.sin(x)
    with pytest.raises(gn.GraphError, match="uses x, which is not an operand"):
        gn.custom_gradient(lambda y, /: (outer * y, lambda g: g))(x)


def test_functions_that_do_not_fit():
    x = gn.placeholder("x", (2,))
    with pytest.raises(gn.GraphError, match="has no operands"):
        gn.custom_gradient(lambda x: (x, lambda g: g))
    with pytest.raises(gn.GraphError, match="returns Node, not a pair"):
        gn.custom_gradient(lambda x, /: gn.exp(x))(x)


@pytest.mark.parametrize(
    ("pull", "error", "words"),
    [
        (lambda g: (g, g), gn.DifferentiationError, "2 cotangents for 1 operands"),
        (lambda g: gn.argmax(g), gn.DifferentiationError, "as the cotangent of operand 0"),
        (lambda g: gn.stack([g, g, g, g, g], axis=-1), gn.ShapeError, "as the cotangent of operand 0"),
        (lambda g: gn.sum(g), gn.ShapeError, "as the cotangent of operand 0"),
    ],
)
def test_rules_that_do_not_fit(pull, error, words):
    x = gn.placeholder("x", (2,))
    y = gn.custom_gradient(lambda x, /: (gn.exp(x), pull))(x)
    with pytest.raises(error, match=words) as caught:
        gn.grad(gn.sum(y), x)
    assert "test_custom.py" in str(caught.value)

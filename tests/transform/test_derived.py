"""Jacobians, Hessians and their products: against each other, and against known matrices."""

import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.errors import DifferentiationError
from graphnn.testing.strategies import graphs


def test_jacobian_of_a_linear_map_is_its_matrix():
    rng = np.random.default_rng(0)
    for m, n in ((2, 5), (5, 2), (1, 1), (0, 3), (3, 0)):
        matrix = rng.normal(size=(m, n))
        x = gn.placeholder("x", (n,), "float64")
        y = gn.constant(matrix) @ x
        got = gn.evaluate(gn.jacobian(y, x), {x: rng.normal(size=n)})
        assert got.shape == (m, n)
        np.testing.assert_array_equal(got, matrix)


@pytest.mark.parametrize("x_shape", [(), (1,), (2, 3), (2, 0)])
@pytest.mark.parametrize("y_shape", [(), (1,), (4,), (2, 2)])
def test_shapes_of_jacobians(x_shape, y_shape):
    x = gn.placeholder("x", x_shape, "float32")
    y = gn.sum(gn.sin(x)) * gn.ones(y_shape, dtype="float64")
    out = gn.jacobian(y, x)
    assert out.shape == (*y_shape, *x_shape)
    values = np.linspace(0, 1, int(np.prod(x_shape))).reshape(x_shape).astype("float32")
    got = gn.evaluate(out, {x: values})
    np.testing.assert_allclose(got, np.broadcast_to(np.cos(values), out.shape), rtol=1e-6)


@given(graphs(max_nodes=6))
def test_products_with_the_jacobian(drawn):
    rng = np.random.default_rng(0)
    x = next(iter(drawn.feeds))
    y = gn.stack([drawn.output, gn.sin(drawn.output) + gn.sum(x)])
    jacobian, v, u = gn.jacobian(y, x), rng.normal(size=x.shape), rng.normal(size=2)
    full, pushed, pulled = gn.evaluate([jacobian, gn.jvp(y, x, v), gn.vjp(y, x, u)], drawn.feeds)
    np.testing.assert_allclose(np.tensordot(full, v, x.ndim), pushed, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(np.tensordot(u, full, 1), pulled, rtol=1e-10, atol=1e-12)


@given(graphs(max_nodes=6))
def test_products_with_the_hessian(drawn):
    rng = np.random.default_rng(0)
    x = next(iter(drawn.feeds))
    loss = drawn.output
    v = rng.normal(size=x.shape)
    full, product = gn.evaluate([gn.hessian(loss, x), gn.hvp(loss, x, v)], drawn.feeds)
    assert full.shape == (*x.shape, *x.shape)
    n = int(np.prod(x.shape))
    square = full.reshape(n, n)
    scale = np.abs(square).max() + 1
    np.testing.assert_allclose(square, square.T, atol=1e-12 * scale)
    np.testing.assert_allclose(np.tensordot(full, v, x.ndim), product, rtol=1e-10, atol=1e-12 * scale)
    # Reverse over reverse gives the same product.
    again = gn.grad(gn.sum(gn.grad(loss, x) * v), x, allow_unused=True)
    np.testing.assert_allclose(gn.evaluate(again, drawn.feeds), product, rtol=1e-10, atol=1e-12 * scale)


def test_hessian_of_a_quadratic_form():
    a = np.array([[2.0, 1.0, 0.0], [0.5, 3.0, -1.0], [0.0, 2.0, 1.0]])
    x = gn.placeholder("x", (3,), "float64")
    loss = x @ (gn.constant(a) @ x)
    got = gn.evaluate(gn.hessian(loss, x), {x: np.array([1.0, -2.0, 0.5])})
    np.testing.assert_allclose(got, a + a.T, rtol=1e-14)


def test_hessian_of_rosenbrock():
    x = gn.placeholder("x", (2,), "float64")
    loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    a, b = 1.2, 0.8
    wanted = [[2 - 400 * (b - 3 * a * a), -400 * a], [-400 * a, 200.0]]
    np.testing.assert_allclose(gn.evaluate(gn.hessian(loss, x), {x: np.array([a, b])}), wanted, rtol=1e-12)


def test_hessian_of_a_linear_function_is_zero():
    x = gn.placeholder("x", (2,))
    assert gn.evaluate(gn.hessian(gn.sum(3.0 * x), x), {x: [1.0, 2.0]}).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert gn.evaluate(gn.hvp(gn.sum(3.0 * x), x, [1.0, 1.0]), {x: [1.0, 2.0]}).tolist() == [0.0, 0.0]


def test_third_derivatives_by_jacobians():
    x = gn.placeholder("x", (2,), "float64")
    loss = x[0] ** 2 * x[1] + gn.exp(x[1])
    third = gn.jacobian(gn.hessian(loss, x), x)
    got = gn.evaluate(third, {x: np.array([3.0, 0.5])})
    wanted = np.zeros((2, 2, 2))
    wanted[0, 0, 1] = wanted[0, 1, 0] = wanted[1, 0, 0] = 2.0
    wanted[1, 1, 1] = np.exp(0.5)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_jacobians_where_nothing_depends():
    x, z = gn.placeholder("x", (2,)), gn.placeholder("z", (3,))
    for y in (z, gn.sum(z), gn.stack([z, z])):
        with pytest.raises(DifferentiationError, match="jacobian: "):
            gn.jacobian(y, x)
        got = gn.evaluate(gn.jacobian(y, x, allow_unused=True), {x: [1.0, 2.0], z: [1.0, 2.0, 3.0]})
        np.testing.assert_array_equal(got, np.zeros((*y.shape, 2)))


def test_jacobians_need_known_sizes():
    x = gn.placeholder("x", ("n",))
    with pytest.raises(DifferentiationError, match="jacobian: the size of x is not a number yet"):
        gn.jacobian(gn.sum(x), x)
    assert gn.hvp(gn.sum(x**3), x, x).shape == ("n",)
    assert gn.evaluate(gn.hvp(gn.sum(x**3), x, x), {x: [1.0, 2.0]}).tolist() == [6.0, 24.0]


def test_an_error_names_the_function_that_was_called():
    x, z = gn.placeholder("x", (2,)), gn.placeholder("z", (5,))
    for y in (z, gn.sum(z)):
        with pytest.raises(DifferentiationError, match=r"^jacobian: "):
            gn.jacobian(y, x)
    with pytest.raises(DifferentiationError, match=r"^hessian: "):
        gn.hessian(gn.sum(z), x)
    with pytest.raises(DifferentiationError, match=r"^hvp: "):
        gn.hvp(gn.sum(z), x, [1.0, 1.0])
    with pytest.raises(DifferentiationError, match=r"^hessian: the loss is not a scalar"):
        gn.hessian(x * x, x)

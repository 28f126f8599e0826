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


def test_jacobians_of_named_sizes():
    def wave(n):
        x, pairs = gn.placeholder("x", (n,), "float64"), gn.placeholder("pairs", (n, 2), "float64")
        return x, pairs, gn.tanh(pairs) * gn.cumulative_sum(x)[:, None] + gn.flip(x)[:, None]

    arrays = np.linspace(0.1, 0.4, 3), np.linspace(-1.0, 1.0, 6).reshape(3, 2)
    (x, pairs, y), (known_x, known_pairs, known_y) = wave("n"), wave(3)
    for make in (gn.jacobian, gn.jacfwd, gn.jacrev):
        for by, known in ((x, known_x), (pairs, known_pairs)):
            got = make(y, by)
            assert got.shape == (*y.shape, *by.shape)
            expected = gn.function([known_x, known_pairs], make(known_y, known), on_unused="ignore")(*arrays)
            np.testing.assert_array_equal(gn.function([x, pairs], got, on_unused="ignore")(*arrays), expected)
    hessian = gn.hessian(gn.sum(x**3), x)
    assert hessian.shape == (gn.Dim("n"), gn.Dim("n"))
    np.testing.assert_allclose(gn.evaluate(hessian, {x: arrays[0]}), np.diag(6 * arrays[0]), rtol=1e-14)
    assert gn.evaluate(hessian, {x: np.zeros(0)}).shape == (0, 0)
    assert gn.hvp(gn.sum(x**3), x, x).shape == ("n",)
    assert gn.evaluate(gn.hvp(gn.sum(x**3), x, x), {x: [1.0, 2.0]}).tolist() == [6.0, 24.0]


def test_the_shorter_side_of_a_jacobian_chooses_the_mode():
    def role(y, x):
        (found,) = {node.origin.role for node in gn.Graph(gn.jacobian(y, x)) if node.origin}
        return found

    for rows, columns, expected in (
        (2, 3, "reverse"), (3, 2, "forward"), ("n", 3, "forward"), (3, "n", "reverse"), ("n", "n", "reverse"),
    ):  # fmt: skip
        x, w = gn.placeholder("x", (columns,)), gn.placeholder("w", (columns, rows))
        assert role(gn.sin(x @ w), x) == expected


def test_graphs_of_jacobians_do_not_grow_with_the_sizes():
    lengths = set()
    for n in (3, 30):
        x = gn.placeholder("x", (n,))
        y = gn.softmax(gn.tanh(x) * 2.0)
        lengths.add((len(gn.Graph(gn.jacrev(y, x))), len(gn.Graph(gn.jacfwd(y, x)))))
    assert len(lengths) == 1


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


@given(graphs(max_nodes=6))
def test_both_modes_of_the_jacobian_agree(drawn):
    x = next(iter(drawn.feeds))
    y = gn.stack([drawn.output, gn.sin(drawn.output) + gn.sum(x)])
    forward, reverse, either = gn.evaluate([gn.jacfwd(y, x), gn.jacrev(y, x), gn.jacobian(y, x)], drawn.feeds)
    assert forward.shape == reverse.shape == (2, *x.shape)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(either, reverse, rtol=1e-10, atol=1e-12)


def test_the_modes_of_jacobians_are_the_ones_asked_for():
    x, z = gn.placeholder("x", (5,), "float64"), gn.placeholder("z", (2,))
    y = gn.sin(x[:2])
    for make, role in ((gn.jacfwd, "forward"), (gn.jacrev, "reverse")):
        roles = {node.origin.role for node in gn.Graph(make(y, x)) if node.origin}
        assert roles == {role}
        with pytest.raises(DifferentiationError, match=f"^{make.__name__}: "):
            make(y, z)
        assert gn.evaluate(make(y, z, allow_unused=True), {x: np.ones(5)}).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_value_and_grad():
    x, w = gn.placeholder("x", ("n",), "float64"), gn.parameter("w", np.array(2.0))
    loss = gn.sum((w * x) ** 2)
    value, slopes = gn.function([x], gn.value_and_grad(loss, {"w": w, "x": x}))(np.array([1.0, 3.0]))
    assert value == 40.0
    assert slopes["w"] == 40.0
    assert slopes["x"].tolist() == [8.0, 24.0]
    with pytest.raises(DifferentiationError, match=r"^value_and_grad: the loss is not a scalar"):
        gn.value_and_grad(x, x)


@given(graphs(max_nodes=6))
def test_linearize_pushes_what_jvp_gives(drawn):
    rng = np.random.default_rng(0)
    x = next(iter(drawn.feeds))
    y, push = gn.linearize({"a": drawn.output, "b": [gn.sin(drawn.output) * x]}, x)
    for _ in range(2):
        v = rng.normal(size=x.shape)
        got, wanted = gn.evaluate([push(v), gn.jvp(y, x, v)], drawn.feeds)
        np.testing.assert_allclose(got["a"], wanted["a"], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got["b"][0], wanted["b"][0], rtol=1e-12, atol=1e-12)


def test_linearize_shares_its_coefficients():
    x, t = gn.placeholder("x", ("n",), "float64"), gn.placeholder("t", ("n",), "float64")
    y, push = gn.linearize(gn.tanh(gn.sin(x)) * x, [x])
    known = set(gn.Graph([y, push([x])]))
    added = [node for node in gn.Graph(push([t])) if node not in known]
    assert added
    # All that is new depends on the tangent: no coefficient is built a second time.
    carrying = {t}
    for node in added[1:] if added[0] is t else added:
        if node is not t:
            assert any(operand in carrying for operand in node.inputs)
            carrying.add(node)
    z = gn.placeholder("z", (3,))
    for mistake, words in (
        (lambda: gn.linearize(y, z), "^linearize: "),
        (lambda: gn.linearize(gn.argmax(x), x), "^linearize: "),
        (lambda: push([np.ones(7)]), "^linearize: "),
        (lambda: gn.linearize(y * t, [x, t])[1]([t]), "^linearize: 1 tangents for 2 nodes"),
    ):
        with pytest.raises(gn.GraphnnError, match=words):
            mistake()


def test_linearize_by_several_nodes_and_again():
    x, w = gn.placeholder("x", (2,), "float64"), gn.placeholder("w", (), "float64")
    y, push = gn.linearize(gn.exp(w * x), [x, w])
    pushed = push([np.array([1.0, 0.0]), 2.0])
    feeds = {x: np.array([0.5, -1.0]), w: 0.7}
    e = np.exp(0.7 * feeds[x])
    np.testing.assert_allclose(
        gn.evaluate(pushed, feeds), e * (0.7 * np.array([1.0, 0.0]) + 2.0 * feeds[x]), rtol=1e-14
    )
    by_w = gn.evaluate(gn.grad(gn.sum(pushed), w), feeds)
    direct = gn.grad(gn.sum(gn.jvp(y, [x, w], [np.array([1.0, 0.0]), 2.0])), w)
    np.testing.assert_allclose(by_w, gn.evaluate(direct, feeds), rtol=1e-14)

"""Gradients: sums over shared nodes, trees, higher orders, masks, data types, and composites used in every way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.errors import DifferentiationError, GraphError, ShapeError
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.testing import check_gradients
from graphnn.testing.strategies import graphs


def scalar(name="x", dtype="float64"):
    return gn.placeholder(name, (), dtype)


def value(node, feeds):
    return gn.evaluate(node, {x: np.asarray(v, x.dtype.numpy) for x, v in feeds.items()})


# --- accumulation ---


def test_contributions_of_all_readers_are_summed():
    x = scalar()
    y = gn.sin(x)
    z = y * y + y * x + gn.exp(y) - x
    s, c = math.sin(0.7), math.cos(0.7)
    wanted = 2 * s * c + c * 0.7 + s + math.exp(s) * c - 1
    assert value(gn.grad(z, x), {x: 0.7}) == pytest.approx(wanted, rel=1e-14)


def test_an_operand_that_stands_twice():
    x = scalar()
    for make, slope in (
        (lambda a: a * a, 6.0),
        (lambda a: a + a, 2.0),
        (lambda a: a - a, 0.0),
        (lambda a: a / a, 0.0),
        (lambda a: a**a, 27 * (math.log(3) + 1)),
        (lambda a: gn.maximum(a, a), 1.0),
        (lambda a: gn.hypot(a, a), math.sqrt(2)),
        (lambda a: gn.logaddexp(a, a), 1.0),
        (lambda a: gn.where(a > 0, a, a), 1.0),
        (lambda a: gn.atan2(a, a), 0.0),
    ):
        assert value(gn.grad(make(x), x), {x: 3.0}) == pytest.approx(slope, rel=1e-14, abs=1e-14)
        assert value(gn.jvp(make(x), [x], [1.0]), {x: 3.0}) == pytest.approx(slope, rel=1e-14, abs=1e-14)
    v = gn.placeholder("v", (2, 2), "float64")
    for make in (lambda a: a @ a, lambda a: gn.concat([a, a]), lambda a: gn.einsum("ij,jk,ki->i", a, a, a)):
        check_gradients(make(v), {v: np.array([[0.3, -1.2], [0.8, 0.5]])})


def test_a_diamond_of_many_layers_costs_one_node_a_layer():
    # 2**60 paths, if they were counted one by one.
    x = scalar()
    y = x
    for _ in range(60):
        y = y + y
    dx = gn.grad(y, x)
    assert len(Graph(dx)) < 400
    assert value(dx, {x: 1.0}) == 2.0**60


def test_gradients_by_a_node_and_by_what_it_is_made_of():
    x = scalar()
    h = gn.sin(x)
    z = h * h * x
    dx, dh, dz = gn.grad(z, [x, h, z])
    s, c = math.sin(0.4), math.cos(0.4)
    assert value([dx, dh, dz], {x: 0.4}) == pytest.approx([s * s + 2 * s * c * 0.4, 2 * s * 0.4, 1.0])


@given(graphs())
def test_random_graphs_against_finite_differences(drawn):
    check_gradients(drawn.output, drawn.feeds, modes=("reverse", "forward"))


# --- trees ---


def test_the_result_has_the_structure_of_wrt():
    x, w, b = gn.placeholder("x", (3,)), gn.parameter("w", np.ones(3, "float32")), gn.parameter("b", 1.0)
    loss = gn.sum(x * w) * b
    assert isinstance(gn.grad(loss, w), gn.Node)
    out = gn.grad(loss, {"layer": [w, (b, None)], "x": x, "none": None, "empty": []})
    assert list(out) == ["layer", "x", "none", "empty"]
    assert out["none"] is None
    assert out["empty"] == []
    assert isinstance(out["layer"][1], tuple)
    assert out["layer"][1][1] is None
    assert [out["layer"][0].shape, out["layer"][1][0].shape, out["x"].shape] == [(3,), (), (3,)]
    assert gn.grad(loss, []) == []
    twice = gn.grad(loss, [w, w])
    assert twice[0] is not None
    np.testing.assert_array_equal(*gn.evaluate(twice, {x: [1.0, 2.0, 3.0]}))


def test_gradients_verify_and_have_the_spec_of_their_variables():
    x = gn.placeholder("x", ("n", 3), "float16")
    w = gn.parameter("w", np.ones((3, 2)))
    h = gn.placeholder("h", (1, 1), "float32")
    loss = gn.mean(gn.softmax(x @ w) * h)
    for node, derivative in zip((x, w, h), gn.grad(loss, [x, w, h]), strict=True):
        assert derivative.spec == node.spec
        verify(Graph(derivative))


# --- higher orders ---

CLOSED_FORMS = {
    "sin": (gn.sin, lambda x, n: math.sin(x + n * math.pi / 2)),
    "cos": (gn.cos, lambda x, n: math.cos(x + n * math.pi / 2)),
    "exp": (gn.exp, lambda x, n: math.exp(x)),
    "exp2": (gn.exp2, lambda x, n: math.log(2) ** n * 2**x),
    "log": (gn.log, lambda x, n: (-1) ** (n - 1) * math.factorial(n - 1) / x**n),
    "reciprocal": (gn.reciprocal, lambda x, n: (-1) ** n * math.factorial(n) / x ** (n + 1)),
    "divide": (lambda x: 1 / x, lambda x, n: (-1) ** n * math.factorial(n) / x ** (n + 1)),
    "sqrt": (gn.sqrt, lambda x, n: math.prod(0.5 - k for k in range(n)) * x ** (0.5 - n)),
    "power": (lambda x: x**2.5, lambda x, n: math.prod(2.5 - k for k in range(n)) * x ** (2.5 - n)),
    "cube": (lambda x: x**3, lambda x, n: math.prod(3 - k for k in range(n)) * x ** max(3 - n, 0)),
    "square": (gn.square, lambda x, n: [x * x, 2 * x, 2.0][n] if n < 3 else 0.0),
    "product": (lambda x: x * x * x * x, lambda x, n: math.prod(4 - k for k in range(n)) * x ** max(4 - n, 0)),
    "sinh": (gn.sinh, lambda x, n: math.cosh(x) if n % 2 else math.sinh(x)),
    "exponent": (lambda x: 3.0**x, lambda x, n: math.log(3) ** n * 3**x),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_higher_orders(name):
    function, closed = CLOSED_FORMS[name]
    x = scalar()
    y = function(x)
    wanted, found = [], []
    for order in range(1, 7):
        if not any(node is x for node in Graph(y)):  # a polynomial has become a constant
            y = y * x * 0.0 if order > 1 else y
        y = gn.grad(y, x)
        found.append(y)
        wanted.append(closed(0.8, order))
    np.testing.assert_allclose(value(found, {x: 0.8}), wanted, rtol=1e-11)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "gelu", "silu", "erf", "elu", "atan", "log1p"])
def test_fifth_derivatives_agree_between_the_modes(name):
    x = scalar()
    reverse = forward = getattr(gn, name)(x)
    for _ in range(5):
        reverse = gn.grad(reverse, x)
        forward = gn.jvp(forward, x, 1.0)
    np.testing.assert_allclose(value(reverse, {x: 0.3}), value(forward, {x: 0.3}), rtol=1e-9)
    # The fourth derivative, differentiated once more by a central difference of high order.
    fourth = getattr(gn, name)(x)
    for _ in range(4):
        fourth = gn.grad(fourth, x)
    h = 1e-3
    around = [value(fourth, {x: 0.3 + k * h}) for k in (-3, -2, -1, 1, 2, 3)]
    slope = np.dot([-1 / 60, 3 / 20, -3 / 4, 3 / 4, -3 / 20, 1 / 60], around) / h
    np.testing.assert_allclose(value(reverse, {x: 0.3}), slope, rtol=1e-7)


def test_mixed_orders():
    x, y = scalar("x"), scalar("y")
    z = gn.sin(x * y) * gn.exp(x)
    dxy = gn.grad(gn.grad(z, x), y)
    dyx = gn.grad(gn.grad(z, y), x)
    a, b = value([dxy, dyx], {x: 0.3, y: 1.1})
    assert a == pytest.approx(b, rel=1e-14)
    dxyxy = gn.grad(gn.grad(dxy, x), y)
    assert np.isfinite(value(dxyxy, {x: 0.3, y: 1.1}))


# --- un-broadcasting ---


@given(st.data())
def test_cotangents_of_broadcast_operands_are_summed(data):
    from hypothesis.extra import numpy as hnp

    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3, min_side=0))
    nodes = [gn.placeholder(f"x{i}", shape, "float64") for i, shape in enumerate(shapes.input_shapes)]
    a, b, c = nodes
    loss = gn.sum(a * b + gn.where(c > 0.0, a, b) * 2.0)
    rng = np.random.default_rng(0)
    feeds = {node: rng.normal(size=node.shape) for node in nodes}
    full = shapes.result_shape
    va, vb, vc = (np.broadcast_to(feeds[n], full) for n in nodes)
    for node, per_element in ((a, vb + 2.0 * (vc > 0)), (b, va + 2.0 * (vc <= 0))):
        expected = np.broadcast_to(per_element, full)
        extra = tuple(range(len(full) - node.ndim))
        expected = expected.sum(axis=extra)
        ones = tuple(i for i, size in enumerate(node.shape) if size == 1)
        expected = expected.sum(axis=ones, keepdims=True)
        got = gn.evaluate(gn.grad(loss, node), feeds)
        assert got.shape == node.shape
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_unbroadcasting_of_named_sizes():
    x, b = gn.placeholder("x", ("batch", 3)), gn.placeholder("b", (3,))
    scale = gn.placeholder("scale", ("batch", 1))
    loss = gn.sum((x + b) * scale)
    db, ds = gn.grad(loss, [b, scale])
    assert (db.shape, ds.shape) == ((3,), ("batch", 1))
    feeds = {x: np.ones((4, 3), "float32"), b: np.zeros(3, "float32"), scale: np.full((4, 1), 2, "float32")}
    got = gn.evaluate([db, ds], feeds)
    assert got[0].tolist() == [8.0] * 3
    assert got[1].tolist() == [[3.0]] * 4


# --- masks: the branch that is not taken does not matter ---

POISON = np.array([-1.0, 0.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: gn.where(x > 0, gn.log(x), 0),
        lambda x: gn.where(x > 0, gn.sqrt(x), x),
        lambda x: gn.where(x > 0, 1 / x, 0) * x,
        lambda x: gn.where(x > 0, x**-0.5, 1.0),
        lambda x: gn.where(x <= 0, 0, gn.log(gn.sqrt(x))),
        lambda x: gn.where((x > 0)[:, None], gn.log(x)[:, None] * gn.constant([1.0, 2.0], "float64"), 0),
        lambda x: gn.where(x > 0, gn.log(x).reshape(2, 2).reshape(4), 0),
        lambda x: gn.where(x[::-1] > 0, gn.log(x)[::-1], 0),
        lambda x: gn.where(gn.concat([x, x]) > 0, gn.concat([gn.log(x), gn.sqrt(x)]), 0),
        lambda x: gn.where((x > 0).reshape(2, 2), gn.log(x.reshape(2, 2)), 0).T,
        lambda x: gn.where(x > 0, gn.where(x > 3, gn.log(x - 3), gn.sqrt(x)), 0),
        lambda x: gn.where(x > 0, gn.softplus(gn.log(x)), 0),
        lambda x: gn.where(x > 0, gn.log(x).astype("float32"), 0),
        lambda x: gn.relu(gn.where(x > 0, gn.log(x), -1)),
        lambda x: gn.where(x > 0, gn.pad(gn.log(x), 1)[1:-1], 0),
        lambda x: gn.where(gn.any(x > 100), gn.log(-(x**2)).sum(), 1.0) * x,
        lambda x: gn.where(x > 0, gn.expand_dims(gn.log(x), axis=0).sum(axis=0), 0),
    ],
)
def test_the_branch_not_taken_does_not_poison(make):
    x = gn.placeholder("x", (4,), "float64")
    loss = gn.sum(make(x).astype("float64"))
    first = gn.evaluate(gn.grad(loss, x), {x: POISON})
    assert np.isfinite(first).all(), first
    forward = [gn.evaluate(gn.jvp(loss, x, unit), {x: POISON}) for unit in np.eye(4)]
    np.testing.assert_allclose(first[2:], forward[2:], rtol=1e-6)
    second = gn.evaluate(gn.grad(gn.sum(gn.grad(loss, x)[2:]), x, allow_unused=True), {x: POISON})
    assert np.isfinite(second[2:]).all()
    # At the points where a branch with a derivative is taken, differences agree with it.
    h, tolerance = 1e-4, 5e-3 if any(node.dtype is gn.float32 for node in Graph(loss)) else 1e-6
    for i in (2, 3):
        step = h * np.eye(4)[i]
        slope = (gn.evaluate(loss, {x: POISON + step}) - gn.evaluate(loss, {x: POISON - step})) / (2 * h)
        assert first[i] == pytest.approx(slope, rel=tolerance, abs=1e-8)


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 1), (2, 3)])
def test_conditions_with_fewer_axes_than_the_branches(shape):
    condition = gn.placeholder("c", shape, "bool")
    x = gn.placeholder("x", (6,), "float64")
    spread = gn.where(condition, gn.log(x).reshape(2, 3), 0)
    mask = np.resize([True, False, True, True], shape)
    values = np.where(np.broadcast_to(mask, (2, 3)).reshape(6), 2.0, -1.0)
    got = gn.evaluate(gn.grad(gn.sum(spread), x), {x: values, condition: mask})
    np.testing.assert_array_equal(got, np.where(values > 0, 0.5, 0.0))


# --- stop_gradient ---


def test_stop_gradient():
    x = scalar()
    h = gn.sin(x)
    z = h * gn.stop_gradient(h) + x
    assert value(gn.grad(z, x), {x: 0.5}) == pytest.approx(math.cos(0.5) * math.sin(0.5) + 1)
    assert value(z, {x: 0.5}) == pytest.approx(math.sin(0.5) ** 2 + 0.5)
    assert value(gn.jvp(z, x, 1.0), {x: 0.5}) == pytest.approx(math.cos(0.5) * math.sin(0.5) + 1)
    assert value(gn.grad(gn.stop_gradient(h) * 2.0, x, allow_unused=True), {x: 0.5}) == 0.0
    inner = gn.stop_gradient(h)
    assert value(gn.grad(inner * inner, inner), {x: 0.5}) == pytest.approx(2 * math.sin(0.5))


# --- what cannot be differentiated ---


def test_unused_nodes():
    x, y = gn.placeholder("x", (3,)), gn.placeholder("y", ("n", 2), "float16")
    loss = gn.sum(x * x)
    with pytest.raises(DifferentiationError, match=r"grad: sum.* does not depend on y"):
        gn.grad(loss, [x, y])
    dx, dy = gn.grad(loss, [x, y], allow_unused=True)
    assert dy.spec == y.spec
    got = gn.evaluate([dx, dy], {x: [1.0, 2.0, 3.0], y: np.ones((2, 2), "float16")})
    assert got[0].tolist() == [2.0, 4.0, 6.0]
    assert got[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_paths_through_integers_carry_no_derivative():
    x = gn.placeholder("x", (3,))
    for cut in (gn.argmax(x), x.astype("int64")[0], gn.sum(x > 0, dtype="int64")):
        loss = cut.astype("float32") * 2.0
        with pytest.raises(DifferentiationError, match="depends on x only through"):
            gn.grad(loss, x)
        assert gn.evaluate(gn.grad(loss, x, allow_unused=True), {x: [1.0, 2.0, 3.0]}).tolist() == [0.0] * 3
        mixed = loss + gn.sum(x)
        assert gn.evaluate(gn.grad(mixed, x), {x: [1.0, 2.0, 3.0]}).tolist() == [1.0] * 3


def test_indices_of_the_largest_are_constants():
    x = gn.placeholder("x", (3,))
    loss = x[gn.argmax(x)] * 2.0
    assert gn.evaluate(gn.grad(loss, x), {x: [1.0, 5.0, 3.0]}).tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize("wrong", [3, "x", None, np.ones(3)])
def test_a_loss_that_is_no_node(wrong):
    with pytest.raises(GraphError, match="grad: the loss is a node"):
        gn.grad(wrong, gn.placeholder("x"))


def test_wrt_that_is_no_node():
    x = gn.placeholder("x")
    with pytest.raises(GraphError, match="grad: derivatives are with respect to nodes, not 'x'"):
        gn.grad(x * x, "x")


# --- data types ---


@pytest.mark.parametrize("a", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("b", ["float16", "float32", "float64", "bfloat16"])
def test_each_gradient_has_the_type_of_its_variable(a, b):
    x, y = gn.placeholder("x", (2,), a), gn.placeholder("y", (2,), b)
    loss = gn.sum(x * y + gn.exp(x) / (1 + y * y))
    feeds = {x: np.array([0.5, 1.0], x.dtype.numpy), y: np.array([2.0, 0.25], y.dtype.numpy)}
    dx, dy = gn.evaluate(gn.grad(loss, [x, y]), feeds)
    assert (dx.dtype, dy.dtype) == (x.dtype.numpy, y.dtype.numpy)
    vx, vy = (v.astype("float64") for v in feeds.values())
    rough = {"float16": 3e-3, "bfloat16": 3e-2, "float32": 1e-6, "float64": 1e-14}
    tolerance = max(rough[a], rough[b]) * 2
    np.testing.assert_allclose(dx.astype("float64"), vy + np.exp(vx) / (1 + vy**2), rtol=tolerance)
    np.testing.assert_allclose(
        dy.astype("float64"), vx - np.exp(vx) * 2 * vy / (1 + vy**2) ** 2, rtol=tolerance, atol=tolerance
    )
    for order in (x, y):
        out = gn.jvp(loss, order, np.ones(2, order.dtype.numpy))
        assert out.dtype is loss.dtype


def test_casts_pass_the_gradient_on():
    x = gn.placeholder("x", (), "float16")
    loss = (x.astype("float64") * 1e-9).astype("float32") * 1e9
    dx = gn.grad(loss, x)
    assert dx.dtype is gn.float16
    assert value(dx, {x: 1.0}) == pytest.approx(1.0, rel=1e-3)


# --- vector-Jacobian products ---


def test_vjp_with_several_outputs():
    x = gn.placeholder("x", (2,), "float64")
    a, b = gn.sin(x), gn.sum(x * x)
    out = gn.vjp([a, b], [x], [np.array([1.0, 2.0]), np.float64(3.0)])
    got = gn.evaluate(out, {x: np.array([0.5, 1.5])})[0]
    np.testing.assert_allclose(got, np.cos([0.5, 1.5]) * [1, 2] + 3 * 2 * np.array([0.5, 1.5]))
    same = gn.evaluate(gn.vjp([a, a], x, [np.ones(2), np.ones(2)]), {x: np.zeros(2)})
    assert same.tolist() == [2.0, 2.0]


def test_vjp_takes_nodes_as_cotangents():
    x, g = gn.placeholder("x", (2,)), gn.placeholder("g", (2,))
    out = gn.vjp(x * x, x, g)
    assert gn.evaluate(out, {x: [1.0, 2.0], g: [10.0, 100.0]}).tolist() == [20.0, 400.0]
    # It is linear in g, and its derivative by g is the Jacobian-vector product.
    assert gn.evaluate(gn.grad(gn.sum(out), g), {x: [1.0, 2.0]}).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2, 1)])
def test_the_list_around_a_single_cotangent_may_be_left_out(shape):
    x = gn.placeholder("x", shape, "float64")
    g = np.full(shape, 3.0)
    for given_as in (g, [g], (g,), g.tolist(), [g.tolist()]):
        np.testing.assert_array_equal(gn.evaluate(gn.vjp(x * 2, x, given_as)), 2 * g)
        np.testing.assert_array_equal(gn.evaluate(gn.jvp(x * 2, x, given_as)), 2 * g)


def test_cotangents_of_the_wrong_shape_or_number():
    x = gn.placeholder("x", (2,))
    with pytest.raises(ShapeError, match=r"vjp: float32\[3\] does not have the shape of sin\(…\): float32\[2\]"):
        gn.vjp(gn.sin(x), x, [1.0, 2.0, 3.0])
    with pytest.raises(GraphError, match="vjp: 1 cotangents for 2 nodes"):
        gn.vjp([gn.sin(x), gn.cos(x)], x, [[1.0, 2.0]])

"""The conventions at kinks and special points, as docs/ops.md promises them, each to the bit."""

import math

import numpy as np
import pytest

import graphnn as gn

INF = math.inf


def derivatives(build, *points):
    """The gradients of the sum, by reverse and by forward mode, which must agree."""
    points = [np.asarray(p, np.float64) for p in points]
    xs = [gn.placeholder(f"x{i}", p.shape, "float64") for i, p in enumerate(points)]
    feeds = dict(zip(xs, points, strict=True))
    y = build(*xs)
    reverse = gn.evaluate(gn.grad(gn.sum(y), xs), feeds)
    for x, found in zip(xs, reverse, strict=True):
        for place in np.ndindex(x.shape):
            unit = np.zeros(x.shape)
            unit[place] = 1.0
            forward = gn.evaluate(gn.sum(gn.jvp(y, [x], [gn.constant(unit)])), feeds)
            assert forward == found[place] or (np.isnan(forward) and np.isnan(found[place])), (place, forward, found)
    return [value.tolist() for value in reverse]


WEIGHTS = np.array([[2.0, 3.0], [5.0, 7.0]])
ONE, ZERO = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]

UNARY = [
    ("abs", gn.abs, [-2.0, -0.0, 0.0, 3.0], [-1.0, 0.0, 0.0, 1.0]),
    ("relu", gn.relu, [-1.0, -0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 1.0]),
    ("leaky_relu", lambda x: gn.leaky_relu(x, negative_slope=0.25), [-1.0, 0.0, 2.0], [0.25, 0.25, 1.0]),
    ("elu", lambda x: gn.elu(x, alpha=0.5), [0.0, 1.0], [0.5, 1.0]),
    ("selu", gn.selu, [0.0, 1.0], [1.0507009873554805 * 1.6732632423543772, 1.0507009873554805]),
    ("prelu", lambda x: gn.prelu(x, gn.constant(0.25, "float64")), [-1.0, 0.0, 2.0], [0.25, 0.25, 1.0]),
    ("celu", lambda x: gn.celu(x, alpha=0.5), [0.0, 1.0], [1.0, 1.0]),
    ("softsign", gn.softsign, [-1.0, 0.0, 1.0], [0.25, 1.0, 0.25]),
    ("hard_sigmoid", lambda x: gn.hard_sigmoid(x, slope=0.25), [-3.0, -2.0, 2.0, 3.0], [0.0, 0.25, 0.25, 0.0]),
    ("masked_softmax", lambda x: gn.masked_softmax(x, x < 2.0)[:1], [0.0, INF, 0.0, math.nan], [0.25, 0.0, -0.25, 0.0]),
    ("softplus", gn.softplus, [0.0], [0.5]),
    ("sigmoid", gn.sigmoid, [0.0], [0.25]),
    ("gelu", gn.gelu, [0.0], [0.5]),
    ("silu", gn.silu, [0.0], [0.5]),
    ("sqrt", gn.sqrt, [0.0], [INF]),
    ("log", gn.log, [0.0], [INF]),
    ("sign", gn.sign, [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
    ("floor", gn.floor, [1.0, 1.5], [0.0, 0.0]),
    ("ceil", gn.ceil, [1.0, 1.5], [0.0, 0.0]),
    ("trunc", gn.trunc, [1.0, 0.0], [0.0, 0.0]),
    ("round", gn.round, [0.5, 1.5], [0.0, 0.0]),
    ("clip", lambda x: gn.clip(x, 0.0, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0], [0.0, 1.0, 1.0, 1.0, 0.0]),
    ("stop_gradient", lambda x: x * gn.stop_gradient(x), [3.0], [3.0]),
    ("x**0", lambda x: x**0.0, [0.0, 2.0, -1.0], [0.0, 0.0, 0.0]),
    ("x**1", lambda x: x**1.0, [0.0, 2.0], [1.0, 1.0]),
    ("x**2", lambda x: x**2.0, [0.0, 2.0], [0.0, 4.0]),
    ("x**3", lambda x: x**3.0, [0.0, -2.0], [0.0, 12.0]),
    ("max", gn.max, [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
    ("max of equals", gn.max, [2.0, 2.0, 2.0, 2.0], [0.25] * 4),
    ("min", gn.min, [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]),
    ("prod, one zero", gn.prod, [2.0, 0.0, 3.0], [0.0, 6.0, 0.0]),
    ("prod, two zeros", gn.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    ("sort", lambda x: gn.sort(x) * gn.constant([1.0, 2.0, 3.0], "float64"), [1.0, 0.0, 1.0], [2.0, 1.0, 3.0]),
    ("sort down", lambda x: gn.sort(x, descending=True)[:2], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]),
    ("top_k", lambda x: gn.top_k(x, 2).values, [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]),
    ("median", gn.median, [2.0, 2.0, 2.0], [0.0, 1.0, 0.0]),
    ("median of two", gn.median, [2.0, 2.0], [0.5, 0.5]),
    ("unique_values", lambda x: gn.unique_values(x, size=2), [3.0, 1.0, 3.0], [1.0, 1.0, 0.0]),
    ("cumulative_max", gn.cumulative_max, [1.0, 2.0, 2.0, 1.0], [1.0, 3.0, 0.0, 0.0]),
    ("cumulative_min", gn.cumulative_min, [1.0, 1.0, 0.0, 0.0], [2.0, 0.0, 2.0, 0.0]),
    ("cumulative_prod, one zero", gn.cumulative_prod, [2.0, 0.0, 3.0], [1.0, 8.0, 0.0]),
    ("cumulative_prod, two zeros", gn.cumulative_prod, [2.0, 0.0, 0.0, 3.0], [1.0, 2.0, 0.0, 0.0]),
    ("cumulative_logsumexp", gn.cumulative_logsumexp, [-INF, 0.0, 0.0], [0.0, 1.5, 0.5]),
    ("cumulative_logsumexp of nothing", gn.cumulative_logsumexp, [-INF, -INF], [0.0, 0.0]),
    ("vector_norm", gn.vector_norm, [0.0, 0.0], [0.0, 0.0]),
    ("vector_norm 1", lambda x: gn.vector_norm(x, ord=1), [0.0, -2.0], [0.0, -1.0]),
    ("vector_norm 3", lambda x: gn.vector_norm(x, ord=3), [0.0, 0.0], [0.0, 0.0]),
    ("vector_norm inf", lambda x: gn.vector_norm(x, ord=INF), [1.0, -1.0], [0.5, -0.5]),
    ("std", gn.std, [2.0, 2.0, 2.0, 2.0], [0.0] * 4),
    ("std of a sample", lambda x: gn.std(x, correction=1), [2.0, 2.0], [0.0, 0.0]),
    ("matrix_norm", gn.matrix_norm, [[0.0, 0.0]], [[0.0, 0.0]]),
    ("eigh, equal eigenvalues", lambda x: gn.eigh(x).eigenvectors * WEIGHTS, ONE, ZERO),
    ("eigvalsh, equal eigenvalues", lambda x: gn.eigvalsh(x) * WEIGHTS[0], ONE, [[2.0, 0.0], [0.0, 3.0]]),
    ("eigvalsh, their sum", gn.eigvalsh, ONE, ONE),
    ("svd, equal singular values, U", lambda x: gn.svd(x).U * WEIGHTS, ONE, [[0.0, -0.5], [0.5, 0.0]]),
    ("svd, equal singular values, Vh", lambda x: gn.svd(x).Vh * WEIGHTS, ONE, [[0.0, -0.5], [0.5, 0.0]]),
    ("svd, singular values 0", lambda x: gn.svd(x, full_matrices=False).U * WEIGHTS, ZERO, ZERO),
    ("svdvals, singular values 0", gn.svdvals, ZERO, ONE),
    ("logsumexp", gn.logsumexp, [-INF, 0.0, 0.0], [0.0, 0.5, 0.5]),
    ("logsumexp of nothing but -inf", gn.logsumexp, [-INF, -INF], [0.0, 0.0]),
    ("where log", lambda x: gn.where(x > 0, gn.log(x), 0.0), [0.0, 2.0], [0.0, 0.5]),
]


@pytest.mark.parametrize(("build", "point", "expected"), [row[1:] for row in UNARY], ids=[row[0] for row in UNARY])
def test_one_operand(build, point, expected):
    assert derivatives(build, point) == [expected]


BINARY = [
    ("maximum", gn.maximum, [1.0, 2.0, 3.0], 2.0, [0.0, 0.5, 1.0], 1.5),
    ("minimum", gn.minimum, [1.0, 2.0, 3.0], 2.0, [1.0, 0.5, 0.0], 1.5),
    ("clip by its bound", lambda x, low: gn.clip(x, low, 9.0), [0.0, 1.0, 2.0], 1.0, [0.0, 1.0, 1.0], 1.0),
    ("clip, bounds crossed", lambda x, high: gn.clip(x, 5.0, high), [4.0, 6.0], 1.0, [0.0, 0.0], 2.0),
    ("hypot", gn.hypot, [0.0], 0.0, [0.0], 0.0),
    ("atan2", gn.atan2, [0.0], 0.0, [0.0], 0.0),
    ("x**y at 0**0", gn.pow, [0.0], 0.0, [0.0], 0.0),
    ("0**y", gn.pow, [0.0], 2.0, [0.0], 0.0),
    ("x**y at y = 1", gn.pow, [0.0], 1.0, [1.0], 0.0),
    ("xlogy", gn.xlogy, [0.0], 0.0, [0.0], 0.0),
    ("xlog1py", gn.xlog1py, [0.0], -1.0, [0.0], 0.0),
    ("floor_divide", gn.floor_divide, [4.0, 5.0], 2.0, [0.0, 0.0], 0.0),
    ("remainder", gn.remainder, [4.0, 5.0], 2.0, [1.0, 1.0], -4.0),
    ("copysign", gn.copysign, [0.0, 1.0, -1.0], -1.0, [0.0, -1.0, 1.0], 0.0),
    ("x * x", lambda x, y: gn.maximum(x, x) + 0.0 * y, [1.0], 1.0, [1.0], 0.0),
]


@pytest.mark.parametrize(
    ("build", "x", "y", "by_x", "by_y"), [row[1:] for row in BINARY], ids=[row[0] for row in BINARY]
)
def test_two_operands(build, x, y, by_x, by_y):
    found_x, found_y = derivatives(build, x, y)
    assert found_x == by_x
    assert found_y == pytest.approx(by_y, abs=0.0)


def test_elu_is_smooth_for_alpha_1():
    assert derivatives(gn.elu, [0.0]) == [[1.0]]


def test_a_value_written_over_has_no_influence():
    index = np.array([1, 1, 2])
    by_x, by_v = derivatives(lambda x, v: gn.square(x.at[index].set(v)), [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0])
    assert by_x == [2.0, 0.0, 0.0, 8.0]
    assert by_v == [0.0, 12.0, 14.0]


def test_values_added_at_one_place_both_count():
    by_x, by_v = derivatives(lambda x, v: gn.square(x.at[[1, 1]].add(v)), [1.0, 2.0], [5.0, 6.0])
    assert by_x == [2.0, 26.0]
    assert by_v == [26.0, 26.0]


def test_a_maximum_at_one_place_is_shared():
    index = np.array([0, 0, 1])
    by_x, by_v = derivatives(lambda x, v: x.at[index].max(v), [2.0, 1.0, 5.0], [2.0, 2.0, 0.0])
    assert by_x == [1 / 3, 1.0, 1.0]
    assert by_v == [1 / 3, 1 / 3, 0.0]
    by_x, by_v = derivatives(lambda x, v: x.at[index].min(v), [2.0, 1.0, 5.0], [2.0, 1.0, 1.0])
    assert by_x == [0.0, 0.5, 1.0]
    assert by_v == [0.0, 1.0, 0.5]


def test_a_maximum_under_a_mask_is_shared():
    mask = np.array([True, False, True])
    by_x, by_v = derivatives(lambda x, v: x.at[mask].max(v), [2.0, 2.0, 5.0], [2.0, 2.0, 6.0])
    assert by_x == [0.5, 1.0, 0.0]
    assert by_v == [0.5, 0.0, 1.0]


def test_values_multiplied_at_one_place_may_be_zero():
    index = np.array([0, 0, 0, 1])
    by_x, by_v = derivatives(lambda x, v: x.at[index].multiply(v), [3.0, 0.0], [2.0, 0.0, 5.0, 7.0])
    assert by_x == [0.0, 7.0]
    assert by_v == [0.0, 30.0, 0.0, 0.0]


def test_second_derivative_of_a_power_at_the_exponent_0():
    # d2/dx dy of x**y is x**(y - 1) (1 + y log x), which is 1/x at y = 0.
    x, y = (gn.placeholder(name, (), "float64") for name in "xy")
    mixed = gn.grad(gn.grad(x**y, x), y)
    assert gn.evaluate(mixed, {x: 1.25, y: 0.0}) == pytest.approx(0.8, rel=1e-15)
    assert gn.evaluate(gn.grad(gn.grad(x**y, y), x), {x: 1.25, y: 0.0}) == pytest.approx(0.8, rel=1e-15)


def test_second_derivatives_at_kinks_are_finite():
    x = gn.placeholder("x", (), "float64")
    for build in (gn.abs, gn.relu, lambda x: x**2.0, lambda x: x**3.0, lambda x: gn.maximum(x, 0.0), gn.softplus):
        second = gn.evaluate(gn.grad(gn.grad(build(x), x), x, allow_unused=True), {x: 0.0})
        assert np.isfinite(second)

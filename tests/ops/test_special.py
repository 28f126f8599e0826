"""Special functions at their edges: tails, poles, roots, and the conventions at 0 log 0."""

import math

import numpy as np
import pytest
import scipy.special

import graphnn as gn
from graphnn.testing import assert_close, check_gradients

INF, NAN = math.inf, math.nan


def values(build, *points):
    arrays = [np.asarray(p, np.float64) for p in points]
    nodes = [gn.placeholder(f"x{i}", array.shape, "float64") for i, array in enumerate(arrays)]
    return gn.evaluate(build(*nodes), dict(zip(nodes, arrays, strict=True)))


def derivative(build, points, order=1):
    def derived(x):
        y = build(x)
        for _ in range(order):
            y = gn.grad(gn.sum(y), x)
        return y

    return values(derived, points)


SPECIAL = np.array([-INF, -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, INF, NAN])


BY_SCIPY = {
    "erfc": gn.erfc, "erfinv": gn.erfinv, "psi": gn.digamma, "gammaln": gn.lgamma, "i0": gn.i0, "i1": gn.i1,
    "logit": gn.logit, "log_expit": gn.log_sigmoid,
}  # fmt: skip


@pytest.mark.parametrize("name", BY_SCIPY)
def test_special_values_as_in_scipy(name):
    with np.errstate(all="ignore"):
        expected = getattr(scipy.special, name)(SPECIAL)
    assert_close(values(BY_SCIPY[name], SPECIAL), expected, rtol=1e-14)


def test_tails_keep_their_digits():
    x = np.array([5.0, 10.0, 25.0])
    assert_close(values(gn.erfc, x), scipy.special.erfc(x), rtol=1e-14)
    assert_close(derivative(gn.erfc, x), -2 / np.sqrt(np.pi) * np.exp(-x * x), rtol=1e-14)
    # log(1 - exp(-x)) is -exp(-x) far out and log(x) near 0.
    assert_close(values(gn.log1mexp, [50.0, 700.0]), -np.exp([-50.0, -700.0]), rtol=1e-14)
    assert_close(values(gn.log1mexp, [1e-20, 1e-300]), np.log([1e-20, 1e-300]), rtol=1e-14)
    assert derivative(gn.log1mexp, [1e4]).tolist() == [0.0]
    for points in ([-1e4, -750.0, 750.0, 1e4], [-1e-9, 0.0, 1e-9]):
        sigma = scipy.special.expit(-np.array(points))
        assert_close(derivative(gn.log_sigmoid, points), sigma, rtol=1e-14)


def test_logit_near_one_half():
    # log(x / (1 - x)) is 4 (x - 1/2) there; the difference of two logarithms would have lost half of the digits.
    x = 0.5 + np.array([-1e-9, 0.0, 1e-12])
    assert_close(values(gn.logit, x), 4.0 * (x - 0.5), rtol=1e-14)
    for points in ([0.25, 0.75], np.nextafter([0.25, 0.75], 0.5), [1e-300, 1 - 1e-16]):
        assert_close(values(gn.logit, points), scipy.special.logit(points), rtol=1e-14)


@pytest.mark.parametrize(("build", "zero"), [(gn.xlogy, 0.0), (gn.xlog1py, -1.0)], ids=["xlogy", "xlog1py"])
def test_zero_times_the_logarithm_of_zero(build, zero):
    x, y = [0.0, 0.0, 2.0, 0.0], [zero, 3.0, 3.0, NAN]
    found = values(build, x, y)
    assert found[:2].tolist() == [0.0, 0.0]
    assert found[2] == 2.0 * math.log(3.0 - zero)
    assert np.isnan(found[3])
    by_x, by_y = values(lambda a, b: gn.grad(gn.sum(build(a, b)), [a, b]), x[:3], y[:3])
    assert by_x.tolist() == [0.0, math.log(3.0 - zero), math.log(3.0 - zero)]
    assert_close(by_y, np.array([0.0, 0.0, 2.0 / (3.0 - zero)]), rtol=1e-15)
    # At x = 0 the mixed derivative 1/y must not be lost, though the first one is 0 there.
    mixed = values(lambda a, b: gn.grad(gn.sum(gn.grad(gn.sum(build(a, b)), b)), a), [0.0], [3.0])
    assert_close(mixed, np.array([1.0 / (3.0 - zero)]), rtol=1e-15)


def test_all_derivatives_of_sinc_at_zero():
    # sin(pi x)/(pi x) = 1 - (pi x)**2/6 + (pi x)**4/120 - ...
    for order, expected in enumerate([1.0, 0.0, -(math.pi**2) / 3, 0.0, math.pi**4 / 5]):
        assert_close(derivative(gn.sinc, [0.0], order), np.array([expected]), rtol=1e-14)
    tiny = np.array([-1e-6, 1e-6])
    assert_close(derivative(gn.sinc, tiny), -(math.pi**2) / 3 * tiny, rtol=1e-11)


def test_all_derivatives_of_i1_at_zero():
    # I1(x) = x/2 + x**3/16 + ...
    for order, expected in enumerate([0.0, 0.5, 0.0, 0.375, 0.0]):
        assert_close(derivative(gn.i1, [0.0], order), np.array([expected]), rtol=1e-14)


def test_polygamma_on_both_sides():
    points = np.array([-1.5, -0.5, 0.25, 3.0, 1e5])
    # Reflection and recurrence: psi1(x) = psi1(x + 1) + 1/x**2.
    found, shifted = values(lambda x: gn.polygamma(1, x), points), values(lambda x: gn.polygamma(1, x), points + 1)
    assert_close(found, shifted + 1 / points**2, rtol=1e-13)
    for order in range(4):
        assert_close(
            values(lambda x, n=order: gn.polygamma(n, x), [1.0]), scipy.special.polygamma(order, [1.0]), rtol=1e-14
        )
        assert_close(derivative(gn.digamma, [2.5], order), scipy.special.polygamma(order, [2.5]), rtol=1e-14)
    for order in (-1, 1.0, True, gn.constant(1)):
        with pytest.raises(gn.GraphError, match="polygamma: the order is an int from 0"):
            gn.polygamma(order, 1.0)


def test_betainc_has_its_derivative_by_x_only():
    a, b, x = (gn.placeholder(name, (), "float64") for name in "abx")
    y = gn.betainc(a, b, x)
    feeds = {a: 2.0, b: 3.0, x: 0.25}
    assert_close(np.asarray(gn.evaluate(gn.grad(y, x), feeds)), np.asarray(12 * 0.25 * 0.75**2), rtol=1e-14)
    assert_close(np.asarray(gn.evaluate(gn.jvp(y, [x], [1.0]), feeds)), np.asarray(12 * 0.25 * 0.75**2), rtol=1e-14)
    for name, p in (("a", a), ("b", b)):
        for build in (lambda p: gn.grad(y, p), lambda p: gn.jvp(y, [p], [1.0])):
            with pytest.raises(
                gn.DifferentiationError, match=f"betainc: its derivative by {name} is not known"
            ) as caught:
                build(p)
            assert "test_special.py" in str(caught.value)
    # Both are constants where the program says so; and the derivative of the density by them is known.
    fixed = gn.betainc(gn.stop_gradient(a), b, x) * a
    assert gn.evaluate(gn.grad(fixed, a), feeds) == gn.evaluate(y, feeds)
    check_gradients(lambda a, b: gn.grad(gn.betainc(a, b, x_fixed), x_fixed), [np.array(2.0), np.array(3.0)])


x_fixed = gn.constant(0.25, "float64")


def test_betainc_at_the_ends():
    a, b = gn.constant([1.0, 2.0], "float64"), gn.constant([2.0, 1.0], "float64")
    assert values(lambda x: gn.betainc(a, b, x), [0.0, 1.0]).tolist() == [0.0, 1.0]
    assert_close(derivative(lambda x: gn.betainc(a, b, x), [0.0, 1.0]), np.array([2.0, 2.0]), rtol=1e-14)


def test_float32_stays_float32():
    x = gn.placeholder("x", (2,), "float32")
    point = {x: np.array([0.25, 0.75], np.float32)}
    for build in (
        gn.erfc, gn.erfinv, gn.lgamma, gn.digamma, lambda x: gn.polygamma(2, x), gn.i0, gn.i1, gn.sinc, gn.logit,
        gn.log_sigmoid, gn.log1mexp, lambda x: gn.betaln(x, x), lambda x: gn.xlogy(x, x), lambda x: gn.xlog1py(x, x),
        lambda x: gn.betainc(2.0, 3.0, x),
    ):  # fmt: skip
        found = gn.evaluate(
            [build(x), gn.grad(gn.sum(build(x)), x), gn.grad(gn.sum(gn.grad(gn.sum(build(x)), x)), x)], point
        )
        assert [array.dtype for array in found] == [np.float32] * 3
        assert np.isfinite(found).all()

"""Far out and at the edges: large arguments, branches not taken, infinities, NaN, and integers as NumPy has them."""

import math

import numpy as np
import pytest
import scipy.special

import graphnn as gn
from graphnn.testing import assert_close, assert_same_bits, check_gradients

INF, NAN = math.inf, math.nan
FAR = np.array([-1e4, -750.0, -100.0, -40.0, -1e-3, 1e-3, 40.0, 100.0, 750.0, 1e4])


def value_and_derivative(build, points):
    x = gn.placeholder("x", points.shape, str(points.dtype))
    y = build(x)
    return gn.evaluate([y, gn.grad(gn.sum(y), x), gn.jvp(y, [x], [np.ones_like(points)])], {x: points})


def elu(x, alpha=1.0, scale=1.0):
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_slope(x, alpha=1.0, scale=1.0):
    return scale * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def normal(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def sigma(x):
    return scipy.special.expit(x)


A, S = 1.6732632423543772, 1.0507009873554805
ACTIVATIONS = [
    ("relu", gn.relu, lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    ("leaky_relu", gn.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01)),
    ("elu", gn.elu, elu, elu_slope),
    ("selu", gn.selu, lambda x: elu(x, A, S), lambda x: elu_slope(x, A, S)),
    ("sigmoid", gn.sigmoid, sigma, lambda x: sigma(x) * sigma(-x)),
    ("silu", gn.silu, lambda x: x * sigma(x), lambda x: sigma(x) + x * sigma(x) * sigma(-x)),
    ("softplus", gn.softplus, lambda x: np.logaddexp(x, 0), sigma),
    ("tanh", gn.tanh, np.tanh, lambda x: 4 * sigma(2 * x) * sigma(-2 * x)),
    (
        "gelu",
        gn.gelu,
        lambda x: x * scipy.special.ndtr(x),
        lambda x: scipy.special.ndtr(x) + x * normal(x),
    ),
]


@pytest.mark.parametrize(("build", "f", "slope"), [row[1:] for row in ACTIVATIONS], ids=[row[0] for row in ACTIVATIONS])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_activations_far_out(build, f, slope, dtype):
    points = FAR.astype(dtype)
    value, reverse, forward = value_and_derivative(build, points)
    tolerance = 1e-14 if dtype == "float64" else 2e-6
    wide = points.astype(np.float64)
    for name, found, expected in (
        ("value", value, f(wide)),
        ("grad", reverse, slope(wide)),
        ("jvp", forward, slope(wide)),
    ):
        assert np.isfinite(found).all()
        assert_close(found, expected.astype(dtype), rtol=tolerance, atol=tolerance, what=name)


def test_small_results_keep_their_digits():
    # Not only near zero in the absolute sense: the tails are right in all digits.
    x = np.array([-700.0, -40.0, -20.0])
    for build, expected in (
        (gn.sigmoid, sigma(x)),
        (gn.softplus, np.log1p(np.exp(x))),
        (gn.silu, x * sigma(x)),
        (lambda x: gn.grad(gn.sum(gn.softplus(x)), x), sigma(x)),
        (lambda x: gn.grad(gn.sum(gn.sigmoid(x)), x), sigma(x) * sigma(-x)),
    ):
        p = gn.placeholder("x", (3,), "float64")
        assert_close(gn.evaluate(build(p), {p: x}), expected, rtol=1e-14)


ROWS = [
    [0.0, 1e4, -1e4],
    [1e4, 1e4, 1e4],
    [-1e4, -1e4, -1e4],
    [1e300, 0.0, -1e300],
    [750.0, 749.0, 0.0],
    [-750.0, -749.0, -1000.0],
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_normalised_exponentials_far_out(row):
    x = np.array(row)
    soft = scipy.special.softmax(x)
    value, reverse, forward = value_and_derivative(gn.logsumexp, x)
    assert_close(value, np.asarray(scipy.special.logsumexp(x)), rtol=1e-14)
    assert_close(reverse, soft, rtol=1e-14, atol=1e-300)
    assert_close(forward, np.asarray(1.0), rtol=1e-14)
    p = gn.placeholder("x", (3,), "float64")
    g = np.array([1.0, -2.0, 0.5])
    s, by_s, ls, by_ls = gn.evaluate(
        [gn.softmax(p), gn.vjp(gn.softmax(p), p, g), gn.log_softmax(p), gn.vjp(gn.log_softmax(p), p, g)], {p: x}
    )
    assert_close(s, soft, rtol=1e-14)
    assert_close(by_s, soft * (g - g @ soft), rtol=1e-13, atol=1e-16)
    assert_close(ls, scipy.special.log_softmax(x), rtol=1e-14)
    assert_close(by_ls, g - soft * g.sum(), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("row", [[1e4, 1e4 + 1, 1e4 - 2], [-1e4, -1e4 + 1, -1e4 - 2]], ids=str)
def test_normalised_exponentials_in_float32(row):
    x = np.array(row, np.float32)
    soft = scipy.special.softmax(x.astype(np.float64))
    p = gn.placeholder("x", (3,))
    found = gn.evaluate([gn.softmax(p), gn.grad(gn.logsumexp(p), p), 0 - gn.grad(gn.log_softmax(p)[0], p)], {p: x})
    for value, expected in zip(found, (soft, soft, soft - np.array([1.0, 0.0, 0.0])), strict=True):
        assert_close(value, expected.astype(np.float32), rtol=1e-6, atol=1e-7)


def test_log_softmax_of_small_probabilities():
    x = gn.placeholder("x", (2,), "float64")
    found = gn.evaluate(gn.log_softmax(x), {x: np.array([0.0, 5000.0])})
    assert found.tolist() == [-5000.0, 0.0]


def test_infinite_elements():
    x = gn.placeholder("x", (3,), "float64")
    point = {x: np.array([-INF, 0.0, 0.0])}
    assert gn.evaluate(gn.softmax(x), point).tolist() == [0.0, 0.5, 0.5]
    assert gn.evaluate(gn.logsumexp(x), point) == math.log(2.0)
    assert gn.evaluate(gn.logsumexp(x), {x: np.array([-INF, -INF, -INF])}) == -INF
    assert gn.evaluate(gn.logsumexp(x), {x: np.array([INF, 0.0, 0.0])}) == INF
    assert gn.evaluate(gn.grad(gn.sum(gn.square(gn.softmax(x))), x), point)[0] == 0.0


# --- the branch that is not taken ---

# Each has an infinite or undefined derivative at some x <= 0.
BAD = {
    "log": gn.log,
    "sqrt": gn.sqrt,
    "divide": lambda x: 1.0 / x,
    "exp overflow": lambda x: gn.exp(-1e6 * x),
    "pow": lambda x: x**-1.5,
    "asin": lambda x: gn.asin(1.0 - x / 4.0),
    "log of sum": lambda x: gn.log(x + gn.sum(gn.zeros_like(x))),
    "norm": lambda x: gn.sqrt(gn.square(x)),
}

# What stands between the bad value and the choice; each keeps the shape [2, 3].
BETWEEN = {
    "nothing": lambda y: y,
    "times 2": lambda y: 2.0 * y,
    "reshape": lambda y: y.reshape(6).reshape(3, 2).reshape(2, 3),
    "transpose": lambda y: y.T.T,
    "concat": lambda y: gn.concat([y, y], axis=0)[:2],
    "slice": lambda y: gn.concat([y[:1], y[1:]], axis=0),
    "reversed": lambda y: y[::-1, ::-1][::-1, ::-1],
    "pad": lambda y: gn.pad(y, 1)[1:-1, 1:-1],
    "stack": lambda y: gn.stack([y, y])[0],
    "composite": lambda y: gn.tanh(y),
    "where": lambda y: gn.where(gn.constant(True), y, 0.0),
}

POINT = np.array([[-1.0, 0.0, 2.0], [0.5, 0.0, -3.0]])


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("bad", BAD)
def test_where_is_not_poisoned(bad, between):
    x = gn.placeholder("x", (2, 3), "float64")
    good = gn.placeholder("good", (2, 3), "float64")
    function = lambda x: BETWEEN[between](BAD[bad](x))  # noqa: E731
    loss = gn.sum(gn.where(x > 0, function(x), 3.0 * x))
    clean = gn.sum(function(good))
    found = gn.evaluate(gn.grad(loss, x), {x: POINT})
    inside = gn.evaluate(gn.grad(clean, good), {good: np.where(POINT > 0, POINT, 1.0)})
    assert_close(found, np.where(POINT > 0, inside, 3.0), rtol=1e-14)


@pytest.mark.parametrize("bad", BAD)
def test_where_is_not_poisoned_in_second_order(bad):
    x = gn.placeholder("x", (2, 3), "float64")
    good = gn.placeholder("good", (2, 3), "float64")
    v = np.arange(6.0).reshape(2, 3) - 2.5
    loss = gn.sum(gn.where(x > 0, BAD[bad](x), 0.0) * x)
    clean = gn.sum(BAD[bad](good) * good)
    inside = np.where(POINT > 0, POINT, 1.0)
    for build in (lambda y, x: gn.hvp(y, x, v), lambda y, x: gn.grad(gn.sum(gn.grad(y, x) * v), x)):
        found = gn.evaluate(build(loss, x), {x: POINT})
        expected = gn.evaluate(build(clean, good), {good: inside})
        assert_close(found, np.where(POINT > 0, expected, 0.0), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("bad", BAD)
def test_where_is_not_poisoned_in_forward_mode(bad):
    x = gn.placeholder("x", (2, 3), "float64")
    found = gn.evaluate(gn.jvp(gn.where(x > 0, BAD[bad](x), 0.0), [x], [np.ones((2, 3))]), {x: POINT})
    assert np.isfinite(found).all()
    assert (found[POINT <= 0] == 0).all()


def test_where_under_reductions_products_and_broadcasts():
    x = gn.placeholder("x", (2, 3), "float64")
    w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    safe = gn.where(x > 0, gn.log(x), 0.0)
    slopes = np.where(POINT > 0, 1.0 / np.where(POINT > 0, POINT, 1.0), 0.0)
    for loss, factor in (
        (gn.sum(safe @ gn.constant(w)), w.sum(1)),
        (gn.mean(safe), 1 / 6),
        (gn.sum(gn.mean(safe, axis=0)), 1 / 2),
        (gn.sum(gn.broadcast_to(safe, (4, 2, 3))), 4.0),
        (gn.sum(safe[:, None] * gn.constant(np.ones((5, 3)))), 5.0),
        (gn.sum(gn.concat([safe, safe], axis=1)), 2.0),
    ):
        assert_close(gn.evaluate(gn.grad(loss, x), {x: POINT}), slopes * factor, rtol=1e-14)


def test_masks_that_broadcast():
    # The mask has another shape than the operand, and then a change of shape follows.
    x = gn.placeholder("x", (2, 3), "float64")
    column = gn.constant(np.array([[True], [False]]))
    y = gn.log(gn.reshape(x, (6,)))
    loss = gn.sum(gn.where(column, gn.reshape(y, (2, 3)), 0.0))
    point = np.array([[1.0, 2.0, 4.0], [0.0, -1.0, 0.0]])
    assert gn.evaluate(gn.grad(loss, x), {x: point}).tolist() == [[1.0, 0.5, 0.25], [0.0, 0.0, 0.0]]
    scalar = gn.placeholder("s", (), "float64")
    loss = gn.sum(gn.where(gn.constant([False, False]), 1.0 / scalar, 2.0))
    assert gn.evaluate(gn.grad(loss, scalar), {scalar: 0.0}) == 0.0
    loss = gn.sum(gn.where(gn.constant([True, False]), gn.log(scalar) * 1.0, 2.0))
    assert gn.evaluate(gn.grad(loss, scalar), {scalar: 2.0}) == 0.5


def test_both_branches_of_nested_choices():
    x = gn.placeholder("x", (4,), "float64")
    y = gn.where(x > 0, gn.where(x > 1, gn.log(x - 1), gn.sqrt(1 - x)), gn.where(x < -1, gn.sqrt(-1 - x), 0.0))
    found = gn.evaluate(gn.grad(gn.sum(y), x), {x: np.array([2.0, 0.75, -0.5, -5.0])})
    assert found.tolist() == [1.0, -1.0, 0.0, -0.25]


def test_relu_does_not_let_infinities_through():
    x = gn.placeholder("x", (2,), "float64")
    assert gn.evaluate(gn.grad(gn.sum(gn.relu(gn.log(x))), x), {x: np.array([0.0, 4.0])}).tolist() == [0.0, 0.25]


# --- infinities and NaN come through ---


@pytest.mark.parametrize("build", [gn.maximum, gn.minimum, gn.add, gn.multiply, gn.hypot, gn.logaddexp, gn.atan2])
def test_nan_comes_through(build):
    x, y = (gn.placeholder(name, (2,), "float64") for name in "xy")
    found = gn.evaluate(build(x, y), {x: np.array([NAN, 1.0]), y: np.array([1.0, NAN])})
    assert np.isnan(found).all()


@pytest.mark.parametrize("build", [gn.sum, gn.prod, gn.max, gn.min, gn.mean, gn.logsumexp])
def test_reductions_of_nan(build):
    x = gn.placeholder("x", (3,), "float64")
    assert np.isnan(gn.evaluate(build(x), {x: np.array([1.0, NAN, 2.0])}))


SPECIAL = np.array([-INF, -1.0, -0.0, 0.0, 1.0, INF, NAN])
BY_NUMPY = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "tanh": np.tanh, "atan": np.arctan,
    "sign": np.sign, "abs": np.abs, "floor": np.floor, "round": np.rint, "reciprocal": np.reciprocal, "square": np.square,
    "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "sin": np.sin,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "signbit": np.signbit, "erf": scipy.special.erf,
}  # fmt: skip


@pytest.mark.parametrize("name", BY_NUMPY)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_as_in_numpy(name, dtype):
    points = SPECIAL.astype(dtype)
    x = gn.placeholder("x", points.shape, dtype)
    with np.errstate(all="ignore"):
        expected = BY_NUMPY[name](points)
    found = gn.evaluate(getattr(gn, name)(x), {x: points})
    assert_same_bits(np.where(np.isnan(found), NAN, found), np.where(np.isnan(expected), NAN, expected))


@pytest.mark.parametrize(
    "name", ["add", "divide", "remainder", "floor_divide", "pow", "atan2", "copysign", "nextafter"]
)
def test_special_pairs_as_in_numpy(name):
    first, second = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    x, y = (gn.placeholder(n, first.shape, "float64") for n in "xy")
    numpy_name = {"pow": "power", "atan2": "arctan2"}.get(name, name)
    with np.errstate(all="ignore"):
        expected = getattr(np, numpy_name)(first, second)
    found = gn.evaluate(getattr(gn, name)(x, y), {x: first, y: second})
    assert_same_bits(np.where(np.isnan(found), NAN, found), np.where(np.isnan(expected), NAN, expected))


def test_no_warnings(recwarn):
    x = gn.placeholder("x", (2,), "float64")
    gn.evaluate([gn.log(x), 1.0 / x, gn.exp(x * 1e6)], {x: np.array([0.0, 1.0])})
    i = gn.placeholder("i", (2,), "int64")
    gn.evaluate([i // 0, i % 0], {i: np.array([1, 2])})
    assert len(recwarn) == 0


# --- integers ---

SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", SIGNED + UNSIGNED)
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_integer_division(name, dtype):
    limits = np.iinfo(dtype)
    first = np.array([limits.min, limits.min, limits.max, 7, 0, 7, limits.min], dtype)
    second = np.array([0, limits.max, 0, 0, 0, 2, 1], dtype)
    if dtype in SIGNED:
        # The one quotient that does not fit: the smallest number by -1.
        first = np.append(first, np.array([limits.min, -7, 7], dtype))
        second = np.append(second, np.array([-1, 2, -2], dtype))
    x, y = (gn.placeholder(n, first.shape, dtype) for n in "xy")
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(first, second)
    assert_same_bits(gn.evaluate(getattr(gn, name)(x, y), {x: first, y: second}), expected)
    assert (expected[second == 0] == 0).all()


@pytest.mark.parametrize("dtype", SIGNED + UNSIGNED)
def test_shifts_by_the_width_and_more(dtype):
    bits = np.iinfo(dtype).bits
    first = np.array([1, 3, 100, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    x, y = (gn.placeholder(n, first.shape, dtype) for n in "xy")
    for by in (0, 1, bits - 1, bits, bits + 1, 127):
        second = np.full(first.shape, by, dtype)
        left, right = gn.evaluate([x << y, x >> y], {x: first, y: second})
        assert_same_bits(left, np.left_shift(first, second))
        assert_same_bits(right, np.right_shift(first, second))
        if by >= bits:
            assert (left == 0).all()
            assert (right == np.where(first < 0, -1, 0)).all()


@pytest.mark.parametrize("dtype", SIGNED)
def test_integer_overflow_wraps(dtype):
    limits = np.iinfo(dtype)
    x = gn.placeholder("x", (2,), dtype)
    point = np.array([limits.min, limits.max], dtype)
    plus, times, minus, size = gn.evaluate([x + 1, x * 2, -x, gn.abs(x)], {x: point})
    assert plus.tolist() == [limits.min + 1, limits.min]
    assert times.tolist() == [0, -2]
    assert minus.tolist() == [limits.min, -limits.max]
    assert size.tolist() == [limits.min, limits.max]


def test_integer_powers():
    x, y = (gn.placeholder(n, (4,), "int64") for n in "xy")
    found = gn.evaluate(x**y, {x: np.array([2, 0, -3, 7]), y: np.array([10, 0, 3, 1])})
    assert found.tolist() == [1024, 1, -27, 7]


def test_small_integers_are_summed_in_64_bits():
    x = gn.placeholder("x", (300,), "int8")
    total = gn.sum(x)
    assert total.dtype == "int64"
    assert gn.evaluate(total, {x: np.full(300, 127, np.int8)}) == 38100


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_nextafter_in_every_float(dtype):
    x = gn.placeholder("x", (), dtype)
    one = np.array(1, x.dtype.numpy)
    step = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}[dtype]
    found = gn.evaluate(gn.nextafter(x, gn.constant(2.0, dtype)), {x: one})
    assert float(found) == 1.0 + step


def test_sums_of_16_bit_floats_keep_their_digits():
    # 4096 ones in float16: a running sum in float16 would stop at 2048.
    for dtype in ("float16", "bfloat16"):
        x = gn.placeholder("x", (4096,), dtype)
        ones = np.ones(4096, x.dtype.numpy)
        assert float(gn.evaluate(gn.sum(x), {x: ones})) == 4096.0
        assert float(gn.evaluate(gn.mean(x), {x: ones})) == 1.0


def test_far_out_gradients_pass_the_check():
    x = np.array([1000.0, 1001.0, 999.5])
    check_gradients(lambda x: [gn.logsumexp(x), gn.softmax(x), gn.log_softmax(x)], [x], order=2)
    check_gradients(lambda x: gn.softplus(x), [np.array([-30.0, 30.0])], order=1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_means_of_many_halves(dtype):
    x = gn.placeholder("x", (70000,), dtype)
    twos = np.full(70000, 2).astype(x.dtype.numpy)
    mean, var, slope = gn.evaluate([gn.mean(x), gn.var(x), gn.grad(gn.mean(x), x)], {x: twos})
    assert float(mean) == 2.0
    assert float(var) == 0.0
    assert 0 < float(slope[0]) < 1e-4

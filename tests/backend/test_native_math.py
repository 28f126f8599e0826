"""The functions of the native backend against mpmath, in units in the last place; special values as IEEE has them."""

import math
import os

import mpmath
import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native.emit import Module
from graphnn.backend.native.target import Target

POINTS = 3000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 25
FUNCTIONS = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": mpmath.log10,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "sqrt": mpmath.sqrt,
}
OF_TWO = {"pow": mpmath.power, "atan2": mpmath.atan2, "hypot": mpmath.hypot}
BOUND = {"erf": 4, "pow": 4, "atan2": 3}
DOMAIN = {
    "log": (0, math.inf), "log2": (0, math.inf), "log10": (0, math.inf), "sqrt": (0, math.inf), "log1p": (-1, math.inf),
    "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "acosh": (1, math.inf),
}  # fmt: skip
DIGITS = {"float32": (24, -126), "float64": (53, -1022)}


def points(name, dtype):
    """All sizes of numbers, and densely where something happens: near 0 and 1, at turns, where results overflow."""
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**63, POINTS, dtype=np.uint64).view(np.float64)
    if dtype == "float32":
        bits = rng.integers(0, 2**32, POINTS, dtype=np.uint64).astype(np.uint32).view(np.float32)
    spread = [bits, *(rng.uniform(-top, top, POINTS) for top in (1, 10, 110, 750, 1e5))]
    spread += [np.exp(rng.uniform(-80, 3, POINTS)) * rng.choice([-1, 1], POINTS), 1 + rng.uniform(-0.3, 0.3, POINTS)]
    spread += [np.arange(1, 40) * np.pi / 2, 2.0 ** rng.uniform(15, 40, POINTS)]
    with np.errstate(all="ignore"):
        x = np.concatenate([part.astype(dtype) for part in spread])
    x = x[np.isfinite(x)]
    low, high = DOMAIN.get(name, (-math.inf, math.inf))
    return x[(x > low) & (x < high)]


def pairs(name, dtype):
    """Of all sizes; for powers such that most results are numbers: also near 1, where exponents are large."""
    rng, info, n = np.random.default_rng(2), np.finfo(dtype), 2 * POINTS
    top = math.log(float(info.max))
    x = np.concatenate([
        np.exp(rng.uniform(-9, 9, n)), np.exp(rng.uniform(-top, top, n)), rng.uniform(0.7, 1.42, n),
        1 + rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-14, -1, n), rng.uniform(1, 8, n) * float(info.smallest_subnormal),
    ])  # fmt: skip
    with np.errstate(all="ignore"):
        y = x * rng.choice([-1, 1], len(x)) * np.exp(rng.uniform(-3, 3, len(x)))
        if name == "pow":
            y = rng.uniform(-1.05, 1.05, len(x)) * top / np.maximum(np.abs(np.log(x)), 1e-300)
        x, y = x.astype(dtype), y.astype(dtype)
    if name != "pow":
        x = x * rng.choice([-1, 1], len(x)).astype(dtype)
    usable = np.isfinite(x) & np.isfinite(y) & (x != 0)
    return x[usable], y[usable]


def run(name, *arrays):
    nodes = [gn.placeholder(f"x{i}", x.shape, x.dtype.name) for i, x in enumerate(arrays)]
    return gn.function(nodes, getattr(gn, name)(*nodes), backend="native")(*arrays)


def check_ulps(name, function, results, *arrays):
    digits, lowest = DIGITS[results.dtype.name]
    largest = mpmath.mpf(float(np.finfo(results.dtype).max))
    with mpmath.workprec(160):
        for got, *given in zip(results.tolist(), *[x.tolist() for x in arrays], strict=True):
            exact = function(*map(mpmath.mpf, given))
            if abs(exact) > largest:
                assert math.isinf(got) or abs(got) == largest, (given, got)
                continue
            exponent = max(mpmath.frexp(exact)[1] - 1, lowest)
            error = abs(mpmath.mpf(got) - exact) / mpmath.mpf(2) ** (exponent - digits + 1)
            assert error <= BOUND.get(name, 2), (given, got, float(error))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ulps(name, dtype):
    x = points(name, dtype)
    check_ulps(name, FUNCTIONS[name], run(name, x), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OF_TWO)
def test_ulps_of_two(name, dtype):
    x, y = pairs(name, dtype)
    check_ulps(name, OF_TWO[name], run(name, x, y), x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ulps_where_nothing_is_fused(dtype, monkeypatch):
    # Processors without fused operations split the factors of an exact product instead.
    monkeypatch.setattr(Target, "module", lambda self: Module(self.vector_bytes, self.registers, False, self.splat))
    for name in ("log2", "log10", "sinh", "asin"):
        x = points(name, dtype)
        check_ulps(name, FUNCTIONS[name], run(name, x), x)
    for name, function in OF_TWO.items():
        x, y = pairs(name, dtype)
        check_ulps(name, function, run(name, x, y), x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1.0, 0.3, 7.7, -2.5])
def test_ulps_of_powers(exponent, dtype):
    x = np.exp(np.random.default_rng(0).uniform(-9, 9, 4 * POINTS)).astype(dtype)
    node = gn.placeholder("x", x.shape, dtype)
    power = mpmath.mpf(float(np.dtype(dtype).type(exponent)))
    check_ulps("pow", lambda v: v**power, gn.function([node], node**exponent, backend="native")(x), x)


INF, NAN = math.inf, math.nan
POWERS = [  # C99, annex F.9.4.4, and IEEE 754, 9.2.1
    *[(zero, odd, math.copysign(INF, zero)) for zero in (0.0, -0.0) for odd in (-1.0, -3.0, -2.0**24 + 1)],
    *[(zero, y, INF) for zero in (0.0, -0.0) for y in (-2.0, -0.5, -2.5, -(2.0**60), -INF)],
    *[(zero, odd, zero) for zero in (0.0, -0.0) for odd in (1.0, 3.0, 2.0**24 - 1)],
    *[(zero, y, 0.0) for zero in (0.0, -0.0) for y in (2.0, 0.5, 2.5, 2.0**60, INF)],
    *[(-1.0, y, 1.0) for y in (INF, -INF, 2.0**60, 2.0, -4.0)],
    *[(-1.0, y, -1.0) for y in (1.0, -3.0, 2.0**24 - 1)],
    *[(1.0, y, 1.0) for y in (NAN, INF, -INF, 0.5, -3.0, 0.0)],
    *[(x, zero, 1.0) for zero in (0.0, -0.0) for x in (NAN, INF, -INF, 0.0, -0.0, -2.5, 7.0)],
    *[(x, y, NAN) for x in (-2.0, -0.5, -1.0, -1e30) for y in (0.5, -1.5, 2.25)],
    *[(NAN, y, NAN) for y in (1.0, -0.5, INF, NAN)], *[(x, NAN, NAN) for x in (0.0, -1.0, INF, 2.0)],
    *[(x, -INF, INF) for x in (0.5, -0.5, 1e-30, 0.999)], *[(x, -INF, 0.0) for x in (1.001, -2.0, 1e30, INF, -INF)],
    *[(x, INF, 0.0) for x in (0.5, -0.5, 1e-30, 0.999)], *[(x, INF, INF) for x in (1.001, -2.0, 1e30, INF, -INF)],
    *[(-INF, y, -0.0) for y in (-1.0, -5.0)], *[(-INF, y, 0.0) for y in (-2.0, -0.5, -2.5)],
    *[(-INF, y, -INF) for y in (1.0, 5.0)], *[(-INF, y, INF) for y in (2.0, 0.5, 2.5)],
    (INF, -0.5, 0.0), (INF, 0.5, INF), (-2.0, 3.0, -8.0), (-2.0, -3.0, -0.125), (-2.0, 4.0, 16.0), (2.0, 1e30, INF),
    (2.0, -1e30, 0.0), (-3.0, 2.0**24 - 1, -INF), (-3.0, -(2.0**24) + 1, -0.0), (-3.0, 2.0**60, INF), (0.5, 1e30, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_powers(dtype):
    x, y, expected = (np.array(column, dtype) for column in zip(*POWERS, strict=True))
    together = run("pow", x, y)
    alone = np.concatenate([run("pow", x[i : i + 1], y[i : i + 1]) for i in range(0, len(x), 9)])
    for got, wanted in ((together, expected), (alone, expected[::9])):
        np.testing.assert_array_equal(got, wanted)
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # for minus infinity, minus one, minus zero, zero, infinity, NaN
        ("exp", [0.0, math.exp(-1), 1.0, 1.0, math.inf, math.nan]),
        ("expm1", [-1.0, math.expm1(-1), -0.0, 0.0, math.inf, math.nan]),
        ("log", [math.nan, math.nan, -math.inf, -math.inf, math.inf, math.nan]),
        ("log1p", [math.nan, -math.inf, -0.0, 0.0, math.inf, math.nan]),
        ("tanh", [-1.0, math.tanh(-1), -0.0, 0.0, 1.0, math.nan]),
        ("erf", [-1.0, math.erf(-1), -0.0, 0.0, 1.0, math.nan]),
        ("sin", [math.nan, math.sin(-1), -0.0, 0.0, math.nan, math.nan]),
        ("cos", [math.nan, math.cos(-1), 1.0, 1.0, math.nan, math.nan]),
        ("sqrt", [math.nan, math.nan, -0.0, 0.0, math.inf, math.nan]),
        ("log2", [math.nan, math.nan, -math.inf, -math.inf, math.inf, math.nan]),
        ("log10", [math.nan, math.nan, -math.inf, -math.inf, math.inf, math.nan]),
        ("tan", [math.nan, math.tan(-1), -0.0, 0.0, math.nan, math.nan]),
        ("asin", [math.nan, -math.pi / 2, -0.0, 0.0, math.nan, math.nan]),
        ("acos", [math.nan, math.pi, math.pi / 2, math.pi / 2, math.nan, math.nan]),
        ("atan", [-math.pi / 2, -math.pi / 4, -0.0, 0.0, math.pi / 2, math.nan]),
        ("sinh", [-math.inf, math.sinh(-1), -0.0, 0.0, math.inf, math.nan]),
        ("cosh", [math.inf, math.cosh(1), 1.0, 1.0, math.inf, math.nan]),
        ("asinh", [-math.inf, math.asinh(-1), -0.0, 0.0, math.inf, math.nan]),
        ("acosh", [math.nan, math.nan, math.nan, math.nan, math.inf, math.nan]),
        ("atanh", [math.nan, -math.inf, -0.0, 0.0, math.nan, math.nan]),
        ("sigmoid", [0.0, 1 / (1 + math.e), 0.5, 0.5, 1.0, math.nan]),
    ],
)
def test_special_values(name, expected, dtype):
    # Each alone and in a vector that has all of them: a lane does not disturb its neighbours.
    given = np.array([-math.inf, -1.0, -0.0, 0.0, math.inf, math.nan], dtype)
    wanted = np.array(expected, dtype)
    for x, y in [(given, wanted), *((given[i : i + 1], wanted[i : i + 1]) for i in range(len(given)))]:
        got = run(name, x)
        np.testing.assert_allclose(got, y, rtol=3e-7)
        number = ~np.isnan(y)
        assert np.array_equal(np.signbit(got[number]), np.signbit(y[number]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "reference"), [("atan2", np.arctan2), ("hypot", np.hypot)])
def test_special_values_of_two(name, reference, dtype):
    x = np.array([-math.inf, -1.0, -0.0, 0.0, 2.0, math.inf, math.nan], dtype)
    first, second = (np.ascontiguousarray(grid) for grid in np.meshgrid(x, x))
    got, wanted = run(name, first, second), reference(first, second)
    np.testing.assert_allclose(got, wanted, rtol=3e-7)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))

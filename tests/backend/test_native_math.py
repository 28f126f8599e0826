"""The functions of the native backend against mpmath, in units in the last place; special values as IEEE has them."""

import math
import os

import mpmath
import numpy as np
import pytest

import graphnn as gn

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
    "sqrt": mpmath.sqrt,
}
BOUND = {"erf": 4}
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
    if name in ("log", "log2", "log10", "sqrt"):
        x = np.abs(x[x != 0])
    return x[x > -1] if name == "log1p" else x


def run(name, x):
    node = gn.placeholder("x", x.shape, x.dtype.name)
    return gn.function([node], getattr(gn, name)(node), backend="native")(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ulps(name, dtype):
    x = points(name, dtype)
    digits, lowest = DIGITS[dtype]
    largest = mpmath.mpf(float(np.finfo(dtype).max))
    with mpmath.workprec(160):
        for given, got in zip(x.tolist(), run(name, x).tolist(), strict=True):
            exact = FUNCTIONS[name](mpmath.mpf(given))
            if abs(exact) > largest:
                assert math.isinf(got) or abs(got) == largest, (given, got)
                continue
            exponent = max(mpmath.frexp(exact)[1] - 1, lowest)
            error = abs(mpmath.mpf(got) - exact) / mpmath.mpf(2) ** (exponent - digits + 1)
            assert error <= BOUND.get(name, 2), (given, got, float(error))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [2, 3, 0.5, -1.0, 0.3, 7.7, -2.5])
def test_ulps_of_powers(exponent, dtype):
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-9, 9, 4 * POINTS)).astype(dtype)
    node = gn.placeholder("x", x.shape, dtype)
    digits = DIGITS[dtype][0]
    power = float(np.dtype(dtype).type(exponent))
    values = gn.function([node], node**exponent, backend="native")(x)
    with mpmath.workprec(160):
        for given, got in zip(x.tolist(), values.tolist(), strict=True):
            exact = mpmath.mpf(given) ** mpmath.mpf(power)
            unit = mpmath.mpf(2) ** (mpmath.frexp(exact)[1] - digits)
            assert abs(mpmath.mpf(got) - exact) / unit <= 4, (given, got)


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

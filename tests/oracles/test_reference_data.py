"""Values from outside: the reference data that SciPy and NumPy bring along for their own tests.

SciPy's were computed by the Boost authors with many digits; NumPy's by a correctly rounded library. Neither is installed by
every distribution, so what is missing is skipped.
"""

import csv
import pathlib

import numpy as np
import pytest
import scipy.special

import graphnn as gn
from graphnn.ops.special import BesselI, SphericalJ

BOOST = pathlib.Path(scipy.special.__file__).parent / "tests" / "data" / "boost.npz"
UMATH = pathlib.Path(np.__file__).parent / "_core" / "tests" / "data"

TOLERANCE = 1e-13
SHARE = 0.999
"""At least so many of all rows are within the tolerance."""


def relative_errors(found, expected):
    """The relative error of each row, 0 where both are the same infinity or NaN."""
    with np.errstate(all="ignore"):
        errors = np.abs(found - expected) / np.where(expected == 0, 1.0, np.abs(expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return np.where(same, 0.0, np.where(np.isnan(errors), np.inf, errors))


def values(build, *columns):
    nodes = [gn.placeholder(f"x{i}", column.shape, str(column.dtype)) for i, column in enumerate(columns)]
    return gn.evaluate(build(*nodes), dict(zip(nodes, columns, strict=True)))


# The set, the function, the columns of its operands and that of its result, and how the result is told.
SETS = [
    *((f"erf_{name}data", build, (0,), place) for name in ("", "small_", "large_") for build, place in
      ((gn.erf, 1), (gn.erfc, 2))),
    ("erf_inv_data", gn.erfinv, (0,), 1),
    *((f"digamma_{name}data", gn.digamma, (0,), 1) for name in ("", "neg_", "root_", "small_")),
    *((f"test_gamma_data_ipp-{name}", gn.lgamma, (0,), 2)
      for name in ("factorials", "near_0", "near_1", "near_2", "near_m10", "near_m55")),
    ("log1p_expm1_data", gn.log1p, (0,), 1),
    ("log1p_expm1_data", gn.expm1, (0,), 2),
    ("sinc_data", lambda x: SphericalJ(0)(x), (0,), 1),
    *((f"ibeta_{name}data", gn.betainc, (0, 1, 2), 5) for name in ("", "int_", "small_", "large_")),
]  # fmt: skip


def boost(name):
    if not BOOST.exists():
        pytest.skip("this SciPy comes without its test data")
    return np.load(BOOST)[name if "ipp" in name else f"{name}_ipp-{name}"]


def boost_errors():
    """The errors of all rows, by set and function."""
    found = {}
    for name, build, operands, result in SETS:
        rows = boost(name)
        computed = values(build, *(np.ascontiguousarray(rows[:, i]) for i in operands))
        found[f"{name}:{result}"] = relative_errors(computed, rows[:, result])
    for name in ("beta_exp_data", "beta_med_data"):
        rows = boost(name)
        found[name] = relative_errors(values(gn.betaln, rows[:, 0].copy(), rows[:, 1].copy()), np.log(rows[:, 2]))
    for name, family, last in (("bessel_i_int_data", BesselI, 40), ("sph_bessel_data", SphericalJ, 10)):
        rows = boost(name)
        for order in range(last + 1):
            part = rows[rows[:, 0] == order]
            if len(part):
                found[f"{name} {order}"] = relative_errors(values(family(order), part[:, 1].copy()), part[:, 2])
    return found


def test_special_functions_by_boost():
    found = boost_errors()
    everything = np.concatenate(list(found.values()))
    assert everything.size > 8000
    bad = {name: f"{np.sum(errors > TOLERANCE)} of {errors.size}, worst {errors.max():.1e}"
           for name, errors in found.items() if (errors > TOLERANCE).any()}  # fmt: skip
    assert np.mean(everything <= TOLERANCE) >= SHARE, bad
    for name, errors in found.items():
        assert np.mean(errors <= TOLERANCE) >= 0.99, (name, bad[name])


UFUNCS = {
    "exp": gn.exp, "exp2": gn.exp2, "expm1": gn.expm1, "log": gn.log, "log1p": gn.log1p, "log2": gn.log2, "log10": gn.log10,
    "sin": gn.sin, "cos": gn.cos, "tan": gn.tan, "arcsin": gn.asin, "arccos": gn.acos, "arctan": gn.atan,
    "sinh": gn.sinh, "cosh": gn.cosh, "tanh": gn.tanh, "arcsinh": gn.asinh, "arccosh": gn.acosh, "arctanh": gn.atanh,
}  # fmt: skip


def umath_rows(name, dtype):
    """Operands and correctly rounded results, from the bits written in hexadecimal."""
    path = UMATH / f"umath-validation-set-{name}.csv"
    if not path.exists():
        pytest.skip("this NumPy comes without its test data")
    bits = {"float32": np.uint32, "float64": np.uint64}[dtype]
    with path.open(newline="") as lines:
        rows = [row for row in csv.reader(lines) if row and row[0].strip() == f"np.{dtype}"]
    assert len(rows) > 100
    return (np.array([int(row[i], 16) for row in rows], bits).view(dtype) for i in (1, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UFUNCS)
def test_elementary_functions_by_numpy(name, dtype):
    x, expected = umath_rows(name, dtype)
    found = values(UFUNCS[name], x)
    assert found.dtype == expected.dtype
    tolerance = TOLERANCE if dtype == "float64" else 4 * float(np.finfo(np.float32).eps)
    # A result below the smallest normal number has fewer digits: there the distance counts.
    errors = relative_errors(found.astype(np.float64), expected.astype(np.float64))
    tiny = np.abs(expected) < np.finfo(dtype).tiny
    step = np.finfo(dtype).smallest_subnormal
    errors[tiny] = np.where(np.abs(found[tiny] - expected[tiny]) <= step, 0.0, errors[tiny])
    assert np.mean(errors <= tolerance) >= SHARE, (np.sum(errors > tolerance), errors.max())

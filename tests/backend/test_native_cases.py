"""Every operation and function on the native backend against NumPy, driven by the table of OpCases."""

import itertools
import os

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import all_cases, assert_close

CASES = all_cases()
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EXTREMES = {
    "f": [
        0.0,
        -0.0,
        np.nan,
        np.inf,
        -np.inf,
        1.0,
        -1.0,
        0.5,
        -2.5,
        1e-45,
        1e-310,
        3e38,
        1e308,
        88.8,
        -104.0,
        1e-8,
        17.0,
    ],
    "i": [0, -1, 1, 2, -3, "min", "max", 7, 31, 63, 64, 8],
    "u": [0, 1, 2, 3, "max", 7, 31, 63, 64, 8, 200],
    "b": [False, True],
}


def calls(case):
    """All samples in one data type, the larger ones in all; in the nightly run all in all."""
    pairs = list(itertools.product(enumerate(case.samples), enumerate(case.dtypes)))
    for number, ((place, sample), (kind, dtype)) in enumerate(pairs):
        if NIGHTLY or kind == len(case.dtypes) - 1 or place == min(3, len(case.samples) - 1):
            node, operands = case.node(sample, dtype)
            yield node, operands, case.arrays(np.random.default_rng(number), sample, dtype)


def both(operands, nodes, arrays):
    with np.errstate(all="ignore"):
        return [gn.function(operands, nodes, backend=name, on_unused="ignore")(*arrays) for name in ("native", "numpy")]


def compare(native, expected, what):
    """The same bits for whole numbers; for floats the error of another order of summation, and of two math libraries."""
    for number, (x, y) in enumerate(zip(native, expected, strict=True)):
        wide = np.asarray(y).astype(np.float64)
        largest = float(np.max(np.abs(wide), initial=0.0, where=np.isfinite(wide)))
        unit = 2.0 ** -{"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}.get(y.dtype.name, 60)
        assert_close(x, y, rtol=16 * unit, atol=16 * unit * largest, what=f"{what}, call {number}")


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_native_equals_numpy(case):
    # All samples in all data types as one function: many kernels, that may share loops, in one module.
    nodes, operands, arrays = [], [], []
    for node, inputs, values in calls(case):
        nodes.append(node)
        operands += [gn.placeholder(f"{x.name}_{len(operands)}", x.shape, x.dtype) for x in inputs]
        nodes[-1] = case.build(*operands[len(operands) - len(inputs) :])
        arrays += values
    native, expected = both(operands, nodes, arrays)
    compare(native, expected, case.name)


def extremes(dtype):
    """Values that break careless kernels."""
    values = EXTREMES[np.dtype(dtype).kind]
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        values = [
            getattr(limits, v) if isinstance(v, str) else v for v in values if isinstance(v, str) or v <= limits.max
        ]
    with np.errstate(all="ignore"):
        return np.array(values).astype(dtype)


@pytest.mark.parametrize("case", [case for case in CASES if case.broadcasts], ids=repr)
def test_extremes(case):
    # Each value beside each other one: the operands broadcast to a grid.
    nodes, operands, arrays = [], [], []
    for dtype in case.dtypes:
        if case.function == "pow" and not dtype.startswith("float"):
            continue  # a negative integer power is an error in NumPy
        given = [extremes(domain.dtype or dtype) for domain in case.domains]
        n = len(given)
        grids = [np.ascontiguousarray(v.reshape((-1,) + (1,) * (n - 1 - i))) for i, v in enumerate(given)]
        made = [gn.placeholder(f"x{len(operands) + i}", g.shape, g.dtype.name) for i, g in enumerate(grids)]
        nodes.append(case.build(*made))
        operands += made
        arrays += grids
    native, expected = both(operands, nodes, arrays)
    compare(native, expected, case.name)

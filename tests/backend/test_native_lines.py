"""What works along an axis, natively and by NumPy: running sums and extremes, places of extremes, sorting, binary search."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native.build import items_of
from graphnn.rewrite.pipeline import optimize

pytest.importorskip("llvmlite.binding")

DTYPES = ["float32", "float64", "int8", "uint8", "int32", "int64", "uint64", "bool"]


def example(rng, dtype):
    """An array with ties, in an order of axes of its own, and with every special number."""
    shape = tuple(rng.integers(1, 40, rng.integers(1, 4)).tolist())
    x = (rng.standard_normal(shape) * 4).round(rng.integers(0, 2)).astype(dtype)
    if x.dtype.kind == "f" and rng.integers(2):
        for special in (np.nan, -0.0, np.inf, np.nan, -np.inf):
            x.flat[rng.integers(x.size)] = special
    return x, tuple(rng.permutation(len(shape)).tolist()), int(rng.integers(len(shape)))


def both(inputs, outputs, *values):
    """The results of both backends; no node is left to NumPy."""
    items, _, _ = items_of(optimize(outputs), inputs)
    assert not [item.node.op.name for item in items if item.role == "host"]
    return zip(
        *[gn.function(inputs, outputs, backend=backend)(*values) for backend in ("numpy", "native")], strict=True
    )


def same(expected, found):
    assert expected.dtype == found.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_order(dtype):
    rng = np.random.default_rng(0)
    for _ in range(3):
        values, order, axis = example(rng, dtype)
        x = gn.placeholder("x", values.shape, dtype)
        turned = gn.permute_dims(x, order)
        outputs = [
            gn.argsort(turned, axis=axis),
            gn.argsort(turned, axis=axis, descending=True),
            gn.sort(turned, axis=axis),
        ]
        if dtype != "bool":
            outputs += [gn.argmax(turned, axis=axis), gn.argmin(turned, axis=axis, keepdims=True), gn.argmax(turned)]
        for expected, found in both([x], outputs, values):
            same(expected, found)


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "bool"])
def test_running(dtype):
    rng = np.random.default_rng(1)
    for reverse in (False, True):
        for exclusive in (False, True):
            values, order, axis = example(rng, dtype)
            x = gn.placeholder("x", values.shape, dtype)
            turned = gn.permute_dims(x, order)
            how = {"axis": axis, "reverse": reverse, "exclusive": exclusive}
            outputs = [
                gn.cumulative_sum(turned, **how),
                gn.cumulative_prod(turned, **how),
                gn.cumulative_max(turned, axis=axis),
                gn.cumulative_min(turned, axis=axis),
            ]
            with np.errstate(all="ignore"):
                for expected, found in both([x], outputs, values):
                    same(expected, found)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_binary_search(dtype, side):
    rng = np.random.default_rng(2)
    for n in (1, 2, 7, 8, 100):
        table = np.sort(rng.integers(-20, 20, n).astype(dtype))
        values = np.arange(-22, 23).astype(dtype)
        if dtype == "float32":
            table[n - n // 5 :] = np.nan
            values = np.append(values, [np.nan, np.inf, -np.inf, -0.0]).astype(dtype)
        x, v = gn.placeholder("x", table.shape, dtype), gn.placeholder("v", values.shape, dtype)
        for expected, found in both([x, v], [gn.searchsorted(x, v, side=side)], table, values):
            same(expected, found)


def test_overlapping_windows_add_up():
    rng = np.random.default_rng(3)
    for stride, dilation in ((1, 1), (2, 1), (1, 2), (3, 2)):
        values = rng.integers(-9, 9, (2, 5, 4, 3, 3, 2)).astype(np.float32)
        x = gn.placeholder("x", values.shape)
        lengths = [(n - 1) * stride + (k - 1) * dilation + 1 for n, k in ((5, 3), (4, 2))]
        y = gn.fold_windows(x, lengths, axis=(1, 2), stride=stride, dilation=dilation)
        for expected, found in both([x], [y], values):
            same(expected, found)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_nothing_of_something(dtype):
    # The operand is an empty part of an array that is not empty.
    x = gn.placeholder("x", (4, 3), dtype)
    none = x[2:2]
    outputs = [gn.sum(none, axis=0), gn.prod(none), none @ x.T, none.T @ none, gn.sum(none * none, axis=1)]
    values = np.arange(12).reshape(4, 3).astype(dtype)
    results = [gn.function([x], outputs, backend=backend)(values) for backend in ("numpy", "native")]
    for expected, found in zip(*results, strict=True):
        same(expected, found)

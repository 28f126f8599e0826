"""Products of few rows that read a large matrix once, against NumPy in double precision."""

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding")

import graphnn as gn
from graphnn.backend.native import pool, streaming
from graphnn.backend.native.products import Epilogue, Product

from .test_native_products import KINDS, TARGETS, Padded, bias_and_row, check, compiled, strides


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setattr(streaming, "_LARGE", 0)
    monkeypatch.setattr(streaming, "_SUMS_BYTES", 1 << 40)


@pytest.fixture
def in_ranges(monkeypatch):
    monkeypatch.setattr(streaming, "_LARGE", 0)
    monkeypatch.setattr(streaming, "_SUMS_BYTES", 0)
    monkeypatch.setattr(streaming, "_RUN_BYTES", 256)
    monkeypatch.setattr(streaming, "_NEAR_BYTES", 4096)


SHAPES = [(1, 64, 64), (1, 100, 65), (2, 129, 130), (3, 200, 1000), (4, 577, 96), (1, 70, 3000), (4, 66, 1500)]


def run(target, shape, kind):
    m, k, n = shape
    make, dtype = Padded(k + n), KINDS[kind]
    a, b, c = (make.matrix(dtype, (), *size) for size in ((m, k), (k, n), (m, n)))
    turned = make.matrix(dtype, (), m, k, turned=True)
    bias = make.rng.standard_normal(n).astype(dtype)
    products = [
        Product(kind, m, n, k, strides(a), strides(b), strides(c)),
        Product(kind, m, n, k, strides(turned), strides(b), strides(c), (), Epilogue("ride", 1, bias_and_row)),
    ]
    assert all(streaming.streams(p) for p in products)
    plain, riding = compiled(products, TARGETS[target]())
    before = np.isnan(c.base).sum()
    check(plain(a, b, c), a, b, dtype)
    rows = np.arange(m)[:, None]
    check(riding(turned, b, c, bias), turned, b, dtype, (bias.astype(float), rows.astype(float)), 0.5)
    assert np.isnan(c.base).sum() == before  # nothing leaks in, nothing is written outside


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_the_depth(in_parts, target, shape, kind):
    run(target, shape, kind)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_ranges_of_columns(in_ranges, target, shape, kind):
    run(target, shape, kind)


@pytest.mark.parametrize("n", [520, 40_000])
def test_as_a_user_calls_it(n):
    # Large enough by itself; a layer in a function, with any number of threads.
    rng = np.random.default_rng(0)
    k = 2 * 10**6 // n
    x, w, b = rng.standard_normal((2, k)), rng.standard_normal((k, n)), rng.standard_normal(n)
    node = gn.placeholder("x", (2, k), "float32")
    f = gn.function(
        [node],
        gn.relu(node @ gn.parameter("w", w.astype("float32")) + gn.parameter("b", b.astype("float32"))),
        backend="native",
    )
    try:
        found = []
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            found.append(f(x.astype("float32")))
    finally:
        pool.set_num_threads(None)
    np.testing.assert_allclose(found[0], np.maximum(x @ w + b, 0), rtol=1e-3, atol=1e-3 * k**0.5)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)

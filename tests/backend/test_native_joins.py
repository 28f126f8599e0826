"""Arrays put together of computed parts: one loop nest stores the parts where they belong."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing.compare import same_bits

X, Y = gn.placeholder("x", (6, 8)), gn.placeholder("y", (6, 8))
B = gn.placeholder("b", (8,))
LONG = gn.placeholder("l", (600, 128))


def run(inputs, outputs, backend="native"):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=x.shape).astype(x.dtype.numpy) for x in inputs]
    f = gn.function(inputs, outputs, backend=backend)
    return f, [np.array(value) for value in f(*arrays)]


CASES = {
    "rows": ([X, Y], lambda: [gn.concat([X * 2, X + Y])], True),
    "columns": ([X, Y], lambda: [gn.concat([X * 2, X + Y, X - Y], axis=1)], True),
    "inner axis": ([X, Y], lambda: [gn.stack([X * 2, X + Y], axis=2)], True),
    "one value twice": ([X], lambda: [gn.concat([gn.abs(X), gn.abs(X)], axis=1)], True),
    "a part is a result": ([X, Y], lambda: [gn.concat([X * 2, X + Y], axis=1), X + Y], True),
    "two of them": ([X, Y], lambda: [gn.concat([X * 2, X + Y]), gn.concat([X + Y, X * 2], axis=1)], True),
    "bools": ([X, Y], lambda: [gn.concat([X > 0, X > Y], axis=1)], True),
    "a part with repeated rows": ([X, B], lambda: [gn.concat([X * 2, X + B], axis=1)], True),
    "read on": ([X, Y], lambda: [gn.sum(gn.concat([X * 2, X + Y], axis=1) ** 2, axis=0)], True),
    "multiplied": ([X, Y], lambda: [gn.concat([X * 2, X + Y], axis=1) @ gn.ones((16, 8))], True),
    "beside a sum": ([X, Y], lambda: [gn.concat([X - gn.sum(X * Y, axis=1, keepdims=True), X * Y], axis=1)], None),
    "shared by threads": ([LONG], lambda: [gn.concat([gn.tanh(LONG), gn.exp(LONG)], axis=1)], True),
    "an input": ([X, Y], lambda: [gn.concat([X, X + Y], axis=1)], False),
    "different shapes": ([X, Y], lambda: [gn.concat([X[:2] * 2, X + Y])], False),
    "a row and rows": ([X, B], lambda: [gn.concat([X * 2, (B * 2)[None]])], False),
    "needed again": ([X], lambda: [gn.concat([gn.tanh(X), X * 2], axis=1), gn.softmax(gn.tanh(X), axis=1)], None),
    "half of it read": ([X, Y], lambda: [gn.concat([X * 2, X + Y], axis=1)[:, 4:12] * 3], None),
}


@pytest.mark.parametrize("case", CASES)
def test_parts_are_stored_in_place(case):
    inputs, outputs, joined = CASES[case]
    f, found = run(inputs, outputs())
    _, expected = run(inputs, outputs(), "numpy")
    assert all(np.allclose(a, b, rtol=3e-6, atol=1e-6) for a, b in zip(found, expected, strict=True))
    if joined is not None:
        assert ("@assemble" not in f.llvm) == joined


def test_results_do_not_depend_on_threads():
    try:
        found = []
        for threads in (1, 2, 3):
            gn.set_num_threads(threads)
            found.append(run([LONG], CASES["shared by threads"][1]())[1][0])
    finally:
        gn.set_num_threads(None)
    assert all(same_bits(found[0], other) for other in found)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_variable_is_not_written_over_before_it_is_read(axis):
    start = np.arange(64.0, dtype="float32").reshape(8, 8)
    p = gn.parameter("p", start)
    first, second = gn.split(p, 2, axis=axis)
    f = gn.function([], [], updates={p: gn.concat([second * 2, second + first], axis=axis)}, backend="native")
    expected = start
    for _ in range(3):
        a, b = np.split(expected, 2, axis=axis)
        expected = np.concatenate([b * 2, b + a], axis=axis)
        f()
    assert same_bits(p.value, expected)


def test_the_gradient_of_a_split_is_put_together_at_once():
    a, b, c, d = gn.split(LONG, 4, axis=1)
    loss = gn.sum(gn.sigmoid(a) * gn.tanh(b) + gn.exp(c) * d)
    f, (found,) = run([LONG], [gn.grad(loss, LONG)])
    _, (expected,) = run([LONG], [gn.grad(loss, LONG)], "numpy")
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert "@assemble" not in f.llvm


def test_values_are_computed_again_beside_parts_that_are_put_together(monkeypatch):
    # Items are put into groups twice then: the second time as if it were the first.
    recompute = pytest.importorskip("graphnn.backend.native.recompute")
    monkeypatch.setattr(recompute, "_LEAST_BYTES", 0)
    monkeypatch.setattr(recompute, "_OPERATION", 0.0)
    w = gn.placeholder("w", (8, 8))
    v = gn.tanh(X)
    h = v * 2 + 1
    k = gn.exp(h * (v @ w) * 0.01)
    outputs = [v, gn.sort(gn.concat([k * 3, k - 1], axis=1), axis=0)]
    f, found = run([X, w], outputs)
    _, expected = run([X, w], outputs, "numpy")
    assert all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(found, expected, strict=True))
    assert "@assemble" not in f.llvm

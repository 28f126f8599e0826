"""Functions of so many kernels that their calls are data."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import graphnn as gn
from graphnn.backend.native import interrupts, program

RNG = np.random.default_rng(0)
DEPTH = 120


def network(indices=None):
    """Layers that each are a kernel or two; the gather in their midst may fail."""
    x = y = gn.placeholder("x", (6, 8))
    rows = gn.placeholder("rows", (6,), "int64")
    for i in range(DEPTH):
        w = gn.parameter(f"w{i}", np.random.default_rng(i).normal(size=(8, 8)) * 0.4, dtype="float32")
        y = gn.tanh(y @ w + gn.constant(np.arange(8), "float32") / 50)
        if i == DEPTH // 2:
            y = gn.take(y, rows, axis=0)
    loss = gn.sum(y * y)
    return gn.function([x, rows], loss, updates=gn.optim.SGD(0.01).updates(loss))


def ran(f, x, rows):
    losses = [f(x, rows) for _ in range(3)]
    return [*losses, *[variable.value for variable in f.updates]]


X, ROWS = RNG.normal(size=(6, 8)).astype("float32"), np.array([5, 0, 1, 1, 2, 4])


def test_results_are_those_of_calls_as_code(monkeypatch):
    f = network()
    found = ran(f, X, ROWS)
    assert "segment0.call.0" in f.llvm
    monkeypatch.setattr(program, "_AS_CODE", 10**9)
    f = network()
    wanted = ran(f, X, ROWS)
    assert "segment0.call.0" not in f.llvm
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_kernel_that_fails_is_named_and_nothing_is_updated():
    f = network()
    f(X, ROWS)
    before = [variable.value for variable in f.updates]
    with pytest.raises(gn.errors.ExecutionError, match=r"take|gather"):
        f(X, ROWS + 1)
    for variable, value in zip(f.updates, before, strict=True):
        np.testing.assert_array_equal(variable.value, value)
    f(X, ROWS)


def test_it_asks_whether_to_stop(monkeypatch):
    wanted = ran(network(), X, ROWS)
    monkeypatch.setattr(interrupts, "PATIENCE", 1.0)
    f = network()
    for one, other in zip(ran(f, X, ROWS), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert interrupts.CALL in f.llvm
    assert "segment0.call.0" in f.llvm

"""Random graphs of all operations: what rewriting makes of them computes the same, derivatives included."""

import numpy as np
from hypothesis import given, settings

import graphnn as gn
from graphnn.backend.numpy import NumpyBackend
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.rewrite import only_exact, optimize
from graphnn.testing.cases import all_cases
from graphnn.testing.compare import same_bits
from graphnn.testing.strategies import case_graphs, graphs

CASES = all_cases()


def with_gradients(drawn):
    wrt = [x for x in drawn.feeds if x.dtype.is_floating]
    return [*drawn.outputs, drawn.total, *(gn.grad(drawn.total, wrt, allow_unused=True) if wrt else [])]


def near(a, b, rtol):
    """Equal up to rounding, beside the largest element: what is infinite or NaN must be so in both."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind != "f":
        return same_bits(a, b)
    finite = np.isfinite(a)
    scale = np.abs(a[finite]).max(initial=0.0)
    return np.array_equal(a[~finite], b[~finite], equal_nan=True) and bool(
        (np.abs(a[finite] - b[finite]) <= rtol * (scale + 1e-6)).all()
    )


@settings(max_examples=60)
@given(case_graphs(CASES))
def test_graphs_of_all_operations(drawn):
    outputs = with_gradients(drawn)
    expected = gn.evaluate(outputs, drawn.feeds)
    rewritten = optimize(outputs, compute=NumpyBackend.compute)
    verify(Graph(rewritten))
    for old, new in zip(expected, gn.evaluate(rewritten, drawn.feeds), strict=True):
        assert near(old, new, 1e-9)


@settings(max_examples=40)
@given(case_graphs(CASES, dtype="float32"))
def test_exact_rules_alone(drawn):
    # Not to the bit: NumPy adds numbers in another order where they lie in memory in another way.
    outputs = with_gradients(drawn)
    expected = gn.evaluate(outputs, drawn.feeds)
    rewritten = optimize(outputs, passes=only_exact(), compute=NumpyBackend.compute)
    for old, new in zip(expected, gn.evaluate(rewritten, drawn.feeds), strict=True):
        assert near(old, new, 1e-5)


@settings(max_examples=40)
@given(graphs(max_nodes=20))
def test_dense_graphs(drawn):
    output, feeds = drawn
    outputs = [output, *gn.grad(output, list(feeds))]
    expected = gn.evaluate(outputs, feeds)
    rewritten = optimize(outputs, compute=NumpyBackend.compute)
    verify(Graph(rewritten))
    assert Graph(optimize(rewritten, compute=NumpyBackend.compute)) == Graph(rewritten)
    for old, new in zip(expected, gn.evaluate(rewritten, feeds), strict=True):
        assert near(old, new, 1e-9)

"""Graphs of 100,000 nodes and nodes with 5,000 operands, at the default recursion limit and on a small stack."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ir.rebuild import substitute
from graphnn.ir.verify import verify

LENGTH, WIDTH = 100_000, 5_000
NEAR_ONE = 1.0 - 1e-5


@pytest.fixture(autouse=True)
def default_limit():
    assert sys.getrecursionlimit() <= 3000  # the default, or what the test runner makes of it
    yield
    gc.collect()


def chain(length=LENGTH):
    x = gn.placeholder("x", (), "float64")
    y = x
    for _ in range(length // 2):
        y = y * NEAR_ONE + 1e-6
    return x, y


def expected(x, length=LENGTH):
    slope = 1.0
    for _ in range(length // 2):
        x, slope = x * NEAR_ONE + 1e-6, slope * NEAR_ONE
    return x, slope


@pytest.fixture(scope="module")
def long_chain():
    return chain()


def test_a_long_chain(long_chain):
    x, y = long_chain
    assert len(Graph(y)) > LENGTH
    value, slope = expected(2.0)
    results = gn.evaluate([y, gn.grad(y, x), gn.jvp(y, x, 1.0)], {x: np.float64(2.0)})
    np.testing.assert_allclose(results, [value, slope, slope], rtol=1e-12)


def test_a_long_chain_is_printed(long_chain):
    _, y = long_chain
    graph = Graph(y)
    assert len(repr(y)) < 200
    assert len(repr(graph)) < 300
    assert len(gn.text(graph).splitlines()) >= len(graph)


def test_a_long_chain_is_compared_and_rebuilt(long_chain):
    x, y = long_chain
    verify(Graph(y))
    z = gn.placeholder("z", (), "float64")
    (moved,) = substitute([y], {x: z})
    (back,) = substitute([moved], {z: x})
    assert Graph(back) == Graph(y)
    assert Graph(moved) != Graph(y)


def test_a_chain_in_networkx():
    _, y = chain(WIDTH)
    graph = Graph(y)
    assert Graph.from_networkx(graph.to_networkx()) == graph


def test_a_long_chain_is_freed():
    x, y = chain()
    middle = y.inputs[0].inputs[0]
    last = [weakref.ref(node) for node in (x, middle, y)]
    del x, middle, y
    gc.collect()
    assert [ref() for ref in last] == [None] * 3


def test_a_wide_node():
    parts = [gn.placeholder(f"x{i}", (2,), "float64") for i in range(WIDTH)]
    joined = gn.concat(parts)
    loss = gn.sum(joined * joined)
    values = {x: np.full(2, float(i)) for i, x in enumerate(parts)}
    gradients = gn.evaluate(gn.grad(loss, parts), values)
    np.testing.assert_array_equal([g[0] for g in gradients], 2.0 * np.arange(WIDTH))
    out = gn.jvp(loss, parts, [np.ones(2)] * WIDTH)
    assert gn.evaluate(out, values) == 4.0 * sum(range(WIDTH))
    assert len(repr(joined)) < 200
    assert len(gn.text(loss)) > WIDTH
    assert Graph(loss) == Graph.from_networkx(Graph(loss).to_networkx())


def test_a_node_with_many_readers():
    x = gn.placeholder("x", (), "float64")
    y = gn.sin(x)
    total = y
    for i in range(1, WIDTH):
        total = total + y * float(i)
    slope = 1 + sum(range(1, WIDTH))
    results = gn.evaluate([gn.grad(total, x), gn.jvp(total, x, 1.0)], {x: np.float64(0.5)})
    np.testing.assert_allclose(results, [slope * np.cos(0.5)] * 2, rtol=1e-12)


def test_a_long_chain_of_composites():
    x = gn.placeholder("x", (), "float64")
    y = x
    for _ in range(2_000):
        y = gn.silu(y) + x
    assert np.isfinite(gn.evaluate(gn.grad(y, x), {x: np.float64(0.1)}))


def test_on_a_small_stack():
    failures = []

    def work():
        try:
            x, y = chain(10_000)
            value, slope = expected(2.0, 10_000)
            results = gn.evaluate([y, gn.grad(y, x), gn.jvp(y, x, 1.0)], {x: np.float64(2.0)})
            np.testing.assert_allclose(results, [value, slope, slope], rtol=1e-12)
            assert Graph(y) == Graph(chain(10_000)[1])
            gn.text(y)
            del x, y
            gc.collect()
        except BaseException as error:  # whatever it is, the main thread reports it
            failures.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert not failures

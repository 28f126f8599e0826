"""One function, many threads: the first call is planned once, results never mix, and no update is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import graphnn as gn
from graphnn.compile.function import BACKENDS

THREADS = 16


def together(work, count=THREADS):
    """Run `work(i)` in many threads that start at the same moment."""
    barrier = threading.Barrier(count)

    def start(i):
        barrier.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


@pytest.mark.parametrize("name", ["native", "numpy"])
def test_the_first_call_is_planned_once(monkeypatch, name):
    x = gn.placeholder("x", ("n", 3))
    w = gn.parameter("w", np.ones((3, 2), "float32"))
    loss = gn.mean(gn.softmax(x @ w) * gn.dim_size(x, 0, dtype="float32"))
    f = gn.function([x], [loss, gn.grad(loss, w)], backend=name)
    planned = []
    backend = type(BACKENDS[name])
    compile_ = backend.compile
    monkeypatch.setattr(backend, "compile", lambda self, *a: planned.append(1) or compile_(self, *a))
    values = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    results = together(lambda i: f(values))
    assert len(planned) == 1
    for loss_value, slope in results[1:]:
        np.testing.assert_array_equal(loss_value, results[0][0])
        np.testing.assert_array_equal(slope, results[0][1])


def test_sizes_of_different_threads_do_not_mix():
    x = gn.placeholder("x", ("n", "m"))
    f = gn.function([x], [gn.sum(x, axis=0) * gn.dim_size(x, 1, dtype="float32"), x.T])

    def work(i):
        values = np.full((i % 4 + 1, i % 3 + 1), float(i), "float32")
        for _ in range(20):
            total, turned = f(values)
            assert total.tolist() == [float(i) * values.shape[0] * values.shape[1]] * values.shape[1]
            assert (turned == i).all()
        return i

    assert together(work) == list(range(THREADS))


def test_no_update_is_lost():
    count, total = gn.state("count", 0), gn.parameter("total", 0.0)
    x = gn.placeholder("x")
    y = gn.advance(x, {count: count + 1})
    f = gn.function([x], [y, count * 1], updates={total: total + x})
    seen = together(lambda i: [int(f(1.0)[1]) for _ in range(50)])
    assert count.value == THREADS * 50
    assert total.value == THREADS * 50
    assert sorted(n for row in seen for n in row) == list(range(THREADS * 50))


def test_two_variables_are_never_seen_half_updated():
    a, b = gn.parameter("a", 0.0), gn.parameter("b", 0.0)
    f = gn.function([], [a, b], updates={a: a + 1, b: b + 1})
    for first, second in (pair for row in together(lambda i: [f() for _ in range(50)]) for pair in row):
        assert first == second


def test_graphs_are_built_and_differentiated_in_parallel():
    def work(i):
        with gn.scope(f"thread {i}"):
            x = gn.placeholder("x", ("n",))
            y = gn.sum(gn.gelu(x * float(i + 1)))
            dx = gn.grad(y, x)
        assert {node.scope for node in gn.Graph(y)} == {(f"thread {i}",)}
        return gn.evaluate(dx, {x: np.array([0.5], "float32")})[0]

    results = together(work)
    again = [work(i) for i in range(THREADS)]
    assert results == again


def test_an_error_in_one_thread_leaves_the_others_alone():
    x, i = gn.placeholder("x", (3,)), gn.placeholder("i", (), "int64")
    w = gn.parameter("w", 0.0)
    f = gn.function([x, i], x[i], updates={w: w + 1})

    def work(k):
        good = 0
        for n in range(20):
            try:
                f([1.0, 2.0, 3.0], 5 if (n + k) % 2 else 1)
                good += 1
            except gn.IndexRangeError:
                pass
        return good

    assert sum(together(work)) == w.value == THREADS * 10

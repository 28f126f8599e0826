"""One function, many callers: threads that share the pool with one another, and forked children after it has run."""

import os
import threading

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native import pool

pytest.importorskip("llvmlite.binding")

MANY = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1


@pytest.fixture(scope="module")
def shared():
    """A function whose products and loops are large enough for the pool, inputs, and the results on one thread."""
    rng = np.random.default_rng(0)
    x = gn.placeholder("x", (96, 80))
    w = gn.parameter("w", rng.standard_normal((80, 160)).astype(np.float32))
    v = gn.parameter("v", rng.standard_normal((160, 96)).astype(np.float32))
    h = gn.relu(x @ w)
    f = gn.function([x], [h @ v, gn.sum(gn.exp(-h * h), axis=1)], backend="native")
    inputs = [rng.standard_normal((96, 80)).astype(np.float32) for _ in range(16)]
    gn.set_num_threads(1)
    expected = [f(each) for each in inputs]
    gn.set_num_threads(None)
    return f, inputs, expected


@pytest.fixture(autouse=True)
def usual_size():
    yield
    gn.set_num_threads(None)


def right(f, value, expected):
    return all(a.tobytes() == b.tobytes() for a, b in zip(f(value), expected, strict=True))


def test_sixteen_threads(shared):
    f, inputs, expected = shared
    gn.set_num_threads(4)
    wrong = []

    def caller(number):
        for i in range(250 * MANY):
            place = (number + i) % 16
            if not right(f, inputs[place], expected[place]):
                wrong.append((number, i))

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(16)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_while_threads_call(shared):
    f, inputs, expected = shared
    gn.set_num_threads(3)
    assert right(f, inputs[0], expected[0])
    stop = threading.Event()

    def caller():
        while not stop.is_set():
            f(inputs[1])

    others = [threading.Thread(target=caller) for _ in range(2)]
    for each in others:
        each.start()
    try:
        for number in range(20 * MANY):
            child = os.fork()
            if child == 0:
                alive = all(right(f, inputs[i], expected[i]) for i in range(4))
                os._exit(0 if alive and len(pool._helpers) <= 2 else 1)
            assert os.waitpid(child, 0)[1] == 0, number
    finally:
        stop.set()
        for each in others:
            each.join()

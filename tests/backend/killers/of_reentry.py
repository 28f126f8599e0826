"""Calls from within calls: host operations and what they may do, signals, finalizers, deep stacks."""

import gc
import signal
import sys
import threading

import numpy as np
from killers import error_of, main, outcome, row, rows, same

import graphnn as gn

F = np.float32


def native(*args, **options):
    return gn.function(*args, backend="native", **options)


def host(function, infer=lambda x: x):
    return gn.host_op(function, infer=infer)


class Unhappy(Exception):
    pass


@row
def an_error_in_a_host_operation():
    def fails(x):
        raise Unhappy("not today")

    def quits(x):
        raise SystemExit(3)

    error_of(lambda x: gn.exp(host(fails)(x * 2)) + 1, np.ones(3), kind=gn.ExecutionError, text="not today")
    error_of(lambda x: gn.scan(lambda c, e: (c + host(fails)(e), c), x[0], x)[1], np.ones(3), text="not today")
    error_of(lambda x: gn.cond(x[0] > 0, lambda: host(fails)(x), lambda: x), np.ones(3), text="not today")
    x = gn.placeholder("x", (3,))
    f = native([x], host(quits)(x * 2))
    for _ in range(2):
        try:
            f(np.ones(3, F))
        except SystemExit as error:
            assert error.code == 3
        else:
            raise AssertionError("it went on")


WRONG_RESULTS = {
    "another shape": lambda x: x[:1],
    "a larger one": lambda x: np.zeros(10**6),
    "another type": lambda x: x.astype("int8"),
    "nothing": lambda x: None,
    "its operand": lambda x: x,
    "a view": lambda x: x[::-1],
    "a text": lambda x: "text",
}


@rows("a host operation that gives", WRONG_RESULTS)
def _(name):
    same(lambda x: gn.exp(host(WRONG_RESULTS[name])(x * 2)) + 1, np.ones(4), rtol=1e-12)


@row
def a_host_operation_that_writes_into_its_operand():
    def writes(x):
        x[...] = 7
        return x + 1

    w = gn.parameter("w", np.ones(4))
    for build in (lambda x: host(writes)(x), lambda x: host(writes)(x * 2) + x, lambda x: host(writes)(w) + w + x):
        try:
            outcome("native", build, [np.ones(4)])
        finally:
            assert w.value.tolist() == [1] * 4
        same(build, np.ones(4))


@row
def a_host_operation_that_calls_its_function():
    state = gn.state("n", 0)
    x = gn.placeholder("x", (3,))
    depth = []

    def calls(value):
        if len(depth) < 3:
            depth.append(1)
            f(value)
        return value

    f = native([x], gn.exp(host(calls)(x * 2)), updates={state: state + 1})
    assert np.allclose(f(np.zeros(3, F)), 1)
    assert len(depth) == 3

    def forever(value):
        return g(value)

    g = native([x], host(forever)(x * 2))
    try:
        g(np.zeros(3, F))
    except (RecursionError, gn.GraphnnError):
        return
    raise AssertionError("it came back")


@row
def a_host_operation_with_side_effects():
    def changes(value):
        gn.set_num_threads(2)
        gc.collect()
        w.value = np.zeros((64, 64), F)
        other = gn.placeholder("o", (64, 64))
        return native([other], other @ other)(value)

    w = gn.parameter("w", np.ones((64, 64)), dtype="float32")
    x = gn.placeholder("x", (64, 64))
    f = native([x], host(changes)(x @ w) @ w)
    for _ in range(2):
        assert np.isfinite(f(np.ones((64, 64), F))).all()
    gn.set_num_threads(None)


@row
def a_call_in_a_signal_handler():
    n = gn.state("n", 0)
    x = gn.placeholder("x", (1000,))
    f = native([x], gn.sum(gn.exp(x)), updates={n: n + 1})
    a = np.zeros(1000, F)
    f(a)
    before = signal.signal(signal.SIGALRM, lambda *_: f(a))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(20_000):
            assert f(a) == 1000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@row
def a_call_in_a_finalizer():
    x = gn.placeholder("x", (8,))
    f = native([x], x * 2)
    seen = []

    class Last:
        def __del__(self):
            seen.append(f(np.ones(8, F)).sum())

    for _ in range(3):
        Last()
    cycle = [Last()]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert seen == [16.0] * 4


@row
def an_interrupted_call():
    def interrupts(value):
        signal.raise_signal(signal.SIGINT)
        return value

    n = gn.state("n", 0)
    x = gn.placeholder("x", (8,))
    f = native([x], host(interrupts)(x * 2), updates={n: n + 1})
    for _ in range(3):
        try:
            f(np.ones(8, F))
        except KeyboardInterrupt:
            continue
        raise AssertionError("it went on")
    assert n.value == 0
    g = native([x], x * 2, updates={n: n + 1})
    g(np.ones(8, F))
    assert n.value == 1


@row
def deep_recursion_of_the_caller():
    x = gn.placeholder("x", (8,))
    f = native([x], gn.sum(x))
    a = np.ones(8, F)

    def down(n):
        return f(a) if n == 0 else down(n - 1)

    assert down(900) == 8
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        assert down(4500) == 8
        assert native([x], x + gn.exp(x))(a).shape == (8,)
    finally:
        sys.setrecursionlimit(limit)


@row
def little_stack():
    x = gn.placeholder("x", (64, 64))
    found = []
    before = threading.stack_size(256 * 1024)
    try:
        f = native([x], gn.sum(gn.sort(gn.softmax(x @ x @ x))))

        def work():
            found.append(float(f(np.ones((64, 64), F))))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert len(found) == 1


if __name__ == "__main__":
    main()

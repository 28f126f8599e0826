"""Many threads that call one function, and many forks from a process whose pool runs: no wrong result, no dead child.

    python tests/stress/calls.py [--calls N] [--forks N]

`make stress` runs it in full: 16 threads with 100,000 calls each of three functions, and 100 forks.
"""

import argparse
import os
import threading
import time

import numpy as np

import graphnn as gn

THREADS = 16


def inference():
    """A small network, one example at a time."""
    rng = np.random.default_rng(0)
    x = gn.placeholder("x", (1, 8))
    h = x
    for i, n in enumerate((16, 16)):
        h = gn.tanh(h @ gn.parameter(f"w{i}", rng.standard_normal((h.shape[1], n)).astype("float32") / 4) + 0.1)
    f = gn.function([x], [gn.softmax(h), gn.sum(h)], backend="native")
    inputs = [rng.standard_normal((1, 8)).astype("float32") for _ in range(THREADS)]
    expected = [f(each) for each in inputs]

    def call(number, i):
        place = (number + i) % THREADS
        return all(a.tobytes() == b.tobytes() for a, b in zip(f(inputs[place]), expected[place], strict=True))

    return call, lambda calls: True


def counting():
    """A parameter that every call writes over: no update is lost, and none is seen by halves."""
    w, n = gn.parameter("w", np.zeros(64), dtype="float64"), gn.state("n", 0)
    x = gn.placeholder("x", (), "float64")
    f = gn.function([x], [gn.max(w), gn.min(w)], updates={w: w + x, n: n + 1}, backend="native")
    one = np.array(1.0)
    f(one)

    def call(number, i):
        high, low = f(one)
        return high == low

    return call, lambda calls: n.value == calls + 1 and (w.value == calls + 1).all()


def shared():
    """Products and loops that the pool has a part in."""
    rng = np.random.default_rng(0)
    x = gn.placeholder("x", (48, 64))
    w = gn.parameter("w", rng.standard_normal((64, 96)).astype("float32"))
    f = gn.function([x], [gn.relu(x @ w) @ w.T, gn.sum(gn.exp(-x * x), axis=1)], backend="native")
    inputs = [rng.standard_normal((48, 64)).astype("float32") for _ in range(THREADS)]
    gn.set_num_threads(1)
    expected = [f(each) for each in inputs]
    gn.set_num_threads(4)

    def call(number, i):
        place = (number + i) % THREADS
        return all(a.tobytes() == b.tobytes() for a, b in zip(f(inputs[place]), expected[place], strict=True))

    return call, lambda calls: True


def together(make, calls):
    """So many calls in each of the threads; the number of wrong results."""
    call, at_the_end = make()
    wrong = []

    def work(number):
        for i in range(calls):
            if not call(number, i):
                wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return len(wrong) + (not at_the_end(THREADS * calls))


def forks(count):
    """Children of a process in which threads call; the number of those that failed."""
    call, _ = shared()
    update, _ = counting()
    stop, failed = threading.Event(), 0

    def work(one):
        i = 0
        while not stop.is_set():
            i += 1
            one(0, i)

    others = [threading.Thread(target=work, args=(one,)) for one in (call, update)]
    for each in others:
        each.start()
    try:
        for number in range(count):
            child = os.fork()
            if child == 0:
                x = gn.placeholder("x", (5,))
                new = gn.function([x], x * number, backend="native")(np.ones(5, "float32"))
                good = all(call(number, i) for i in range(20)) and all(update(0, i) for i in range(20))
                os._exit(0 if good and new[0] == number else 1)
            failed += os.waitpid(child, 0)[1] != 0
    finally:
        stop.set()
        for each in others:
            each.join()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100_000, help="in each of the 16 threads")
    parser.add_argument("--forks", type=int, default=100)
    given = parser.parse_args()
    bad = 0
    for make in (inference, counting, shared):
        start, cpu = time.perf_counter(), time.process_time()
        wrong = together(make, given.calls)
        bad += wrong
        print(
            f"{make.__name__}: {THREADS} threads, {given.calls:,} calls each: {wrong} wrong; "
            f"{time.perf_counter() - start:.1f} s, {time.process_time() - cpu:.1f} CPU s",
            flush=True,
        )
    if hasattr(os, "fork"):
        start = time.perf_counter()
        failed = forks(given.forks)
        bad += failed
        print(f"{given.forks} forks while threads call: {failed} failed; {time.perf_counter() - start:.1f} s")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()

"""Threads, forks, the end of the interpreter, and little memory."""

import contextlib
import multiprocessing
import os
import resource
import sys
import threading
import time
from pathlib import Path

import numpy as np
from killers import child, main, own_cache, row, rows

import graphnn as gn

F = np.float32
A = np.random.default_rng(0).standard_normal((160, 160)).astype(F)


def native(*args, **options):
    return gn.function(*args, backend="native", **options)


def pooled():
    """A function whose work is shared by the pool, and a check of its result."""
    x = gn.placeholder("x", (160, 160))
    f = native([x], [x @ x @ x, gn.sum(gn.exp(x), axis=0)])
    expected = f(A)
    return lambda: all(np.array_equal(p, q) for p, q in zip(f(A), expected, strict=True))


def training():
    x, w = gn.placeholder("x", (16, 16)), gn.parameter("w", np.eye(16), dtype="float32")
    return native([x], gn.sum(x @ w), updates={w: w * 0.5 + x})


@contextlib.contextmanager
def busy(work, count=2):
    """Threads that call it again and again."""
    stop = threading.Event()

    def again():
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=again) for _ in range(count)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join()


@row
def the_end_while_helpers_look_for_work():
    def work():
        gn.set_num_threads(4)
        assert pooled()()

    child(work)


@row
def the_end_while_daemons_call():
    def work():
        gn.set_num_threads(3)
        right = pooled()

        def forever():
            while True:
                right()

        for _ in range(3):
            threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.05)

    for _ in range(2):
        child(work)


@row
def the_end_while_a_thread_still_calls():
    def work():
        right = pooled()

        def long():
            for _ in range(200):
                assert right()

        threading.Thread(target=long).start()

    child(work)


@row
def the_end_while_a_thread_compiles():
    def work():
        def forever():
            while True:
                compile_another()

        threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.1)

    for _ in range(2):
        child(work)


@row
def the_end_by_an_error():
    def work():
        assert pooled()()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.exit("an error")

    child(work, status=1)


@row
def a_call_at_the_very_end():
    def work():
        import atexit

        right = pooled()
        atexit.register(lambda: right() or os._exit(7))
        atexit._run_exitfuncs()  # the pool ends here
        right() or os._exit(8)

    child(work)


@row
def a_fork_in_a_thread():
    right = pooled()
    errors = []

    def work():
        try:
            for _ in range(5):
                child(lambda: os._exit(0 if right() else 5))  # a forked thread is not the main one, and ends nothing
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors, errors


COUNT = iter(range(10**9))


def compile_another():
    x = gn.placeholder("x", (9,))
    return native([x], x * float(next(COUNT)) + os.getpid())(np.ones(9, F))


@row
def forks_while_others_compile():
    folder, os.environ["GRAPHNN_CACHE"] = os.environ["GRAPHNN_CACHE"], "off"
    try:
        with busy(compile_another):
            for _ in range(8):
                child(lambda: os._exit(0 if compile_another().shape == (9,) else 5))
    finally:
        os.environ["GRAPHNN_CACHE"] = folder


@row
def forks_while_others_update():
    f = training()
    x = np.zeros((16, 16), F)
    f(x)
    with busy(lambda: (f(x), f(x=x))):
        for _ in range(6):
            child(lambda: os._exit(0 if np.isfinite(f(x)) else 5))


@row
def forks_while_others_call():
    right = pooled()
    with busy(right):
        for _ in range(6):
            child(lambda: os._exit(0 if right() else 5))


@row
def a_fork_in_the_middle_of_a_call():
    children = []

    def forks(value):
        number = os.fork()
        children.append(number)
        return value + 1

    x, w = gn.placeholder("x", (160, 160)), gn.parameter("w", np.zeros((160, 160)), dtype="float32")
    f = native([x], gn.host_op(forks, infer=lambda s: s)(x @ x) @ x, updates={w: w + 1})
    result = f(A)
    if children == [0]:
        children.clear()
        f(A)  # and once more, in the child
        sys.exit(0 if np.isfinite(result).all() and w.value.max() == 2 else 9) if children != [0] else os._exit(0)
    assert os.waitpid(children[0], 0)[1] == 0


@row
def a_child_of_a_child():
    right = pooled()
    child(lambda: child(lambda: child(lambda: right() or os._exit(5))))


def double(value):
    x = gn.placeholder("x", (3,))
    return native([x], x * 2)(np.full(3, value, F)).tolist()


@rows("multiprocessing by", ["fork", "spawn"])
def _(method):
    pooled()()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(double, range(4)) == [[2 * i] * 3 for i in range(4)]


@row
def another_interpreter():
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        return  # each Python has it elsewhere, and newer ones do not let NumPy in

    code = """
import graphnn as gn
x = gn.placeholder('x', (3,))
print(gn.function([x], x * 2, backend='native')([1.0, 2.0, 3.0]))
"""

    def work():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        pooled()()
        one = interpreters.create()
        with contextlib.suppress(Exception):
            interpreters.run_string(one, code)
        assert pooled()()

    child(work)


@row
def no_more_threads():
    def work():
        def refuses(self):
            raise RuntimeError("can't start new thread")

        threading.Thread.start = refuses
        gn.set_num_threads(4)
        assert pooled()()

    child(work)


def in_little_memory(more, work):
    def limited():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        work()

    child(limited)


def refused(f, *args):
    for _ in range(3):
        try:
            f(*args)
        except gn.ExecutionError as error:
            assert "out of memory" in str(error), error
        else:
            raise AssertionError("there was memory")


@row
def no_memory_between_the_kernels():
    def work():
        x = gn.placeholder("x", ("n",))
        f = native([x], gn.sum(gn.cumulative_sum(gn.sort(gn.broadcast_to(x[:, None], ("n", 2**20)), axis=0), axis=1)))
        assert np.isfinite(f(np.ones(2, F)))
        refused(f, np.ones(200, F))
        assert np.isfinite(f(np.ones(2, F)))

    in_little_memory(2**28, work)


@row
def no_memory_for_results():
    def work():
        x = gn.placeholder("x", ("n",))
        f = native([x], [gn.broadcast_to(x[:, None], ("n", 2**20)) * 2, x + 1, gn.sum(x)])
        f(np.ones(2, F))
        refused(f, np.ones(200, F))
        assert len(f(np.ones(2, F))) == 3

    in_little_memory(2**28, work)


@row
def no_memory_to_sort_in():
    def work():
        x = gn.placeholder("x", ("n",))
        f = native([x], gn.argsort(x)[:3])
        f(np.ones(2, F))
        refused(f, np.ones(2**23, F))
        assert f(np.arange(4, dtype=F)).tolist() == [0, 1, 2]

    in_little_memory(2**27, work)


@row
def no_memory_for_the_new_value_of_a_parameter():
    def work():
        w = gn.parameter("w", np.zeros(2**22), dtype="float32")
        f = native([], gn.sum(w), updates={w: w[::-1] + 1})
        for _ in range(3):
            with contextlib.suppress(gn.ExecutionError):
                f()
        held = [np.ones(2**20, F) for _ in range(3)]
        for _ in range(3):
            with contextlib.suppress(gn.ExecutionError):
                f()
        assert w.value.max() == w.value.min()
        del held

    in_little_memory(2**26, work)


if __name__ == "__main__":
    with own_cache():
        main()

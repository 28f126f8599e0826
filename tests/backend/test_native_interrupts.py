"""Long calls of native functions: Ctrl-C in the midst of them, and what other threads do and see meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native import plan
from graphnn.ir.leaves import Taken

PARTS = {
    # The loops would take days, the kernels some seconds.
    "a loop": "y = gn.scan(lambda c, _: (gn.tanh(c @ w), None), x, length=2**40)[0]",
    "a loop in a loop": (
        "inner = lambda c, _: (gn.tanh(c + 1), None)\n"
        "y = gn.scan(lambda c, _: (gn.scan(inner, c, length=100)[0], None), x, length=2**36)[0]"
    ),
    "kernels one after the other": "y = x\nfor _ in range(300): y = gn.tanh(gn.cumulative_sum(y @ w, axis=0) @ w)",
}
CODE = """
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background jobs ignore it
import numpy as np
import graphnn as gn
n = {size}
x = gn.placeholder("x", (n, n))
w = gn.parameter("w", np.full((n, n), 1 / n, "float32"))
count = gn.state("count", 0)
{part}
f = gn.function([x], gn.sum(y), updates={{w: w + x, count: count + 1}})
g = gn.function([x], gn.sum(x))
value = np.ones((n, n), "float32")
g(value)
before = w.value
def when(begun):
    while not begun():
        time.sleep(0.01)
    time.sleep(0.3)
    print("called", flush=True)
# The first call goes by way of Python, the second jumps into native code and takes the parameter out of its cell.
for begun in (lambda: f._plans, lambda: type(w.cell.held) is not np.ndarray):
    threading.Thread(target=when, args=(begun,), daemon=True).start()
    try:
        f(value)
    except KeyboardInterrupt:
        print("stopped", np.array_equal(w.value, before), int(count.value), float(g(value)) == n * n, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are other ones there")
@pytest.mark.parametrize("part", PARTS)
def test_control_c_stops_a_call_and_changes_nothing(part):
    code = CODE.format(part=PARTS[part], size=1024 if "kernels" in part else 160)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    watch = threading.Timer(100, process.kill)
    watch.start()
    try:
        for _ in range(2):
            assert process.stdout.readline() == "called\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped True 0 True\n"
        assert process.wait(60) == 0
    finally:
        watch.cancel()
        process.kill()


HANDLER = """
import signal
import numpy as np
import graphnn as gn
x = gn.placeholder("x", (160, 160))
w = gn.parameter("w", np.ones((160, 160), "float32"))
f = gn.function([x], gn.sum(gn.scan(lambda c, _: (gn.tanh(c + w), None), x, length=20_000)[0]), updates={w: w + x})
value = np.zeros((160, 160), "float32")
expected = f(value)
during = []
signal.signal(signal.SIGALRM, lambda *_: during.append(f._taken.owner != 0))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
print(f(value) == expected, any(during))
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, lambda *_: w.value)
signal.setitimer(signal.ITIMER_REAL, 0.02)
try:
    f(value)
except gn.ExecutionError as error:
    print(error.headline)
print(w.value.max())
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_handlers_run_in_the_midst_of_a_call():
    done = subprocess.run([sys.executable, "-c", HANDLER], capture_output=True, text=True, timeout=100, check=False)
    headline = "the value is about to be written over by the call that is interrupted here"
    assert done.stdout == f"True True\n{headline}\n1.0\n", done.stderr


@pytest.fixture
def eager(monkeypatch):
    """Calls that are as short as those of tests let other threads run, too."""
    monkeypatch.setattr(plan, "_TURN", 0.0)
    monkeypatch.setattr(plan, "_LONG", 0)


def together(count, work):
    """Run ``work(number)`` in so many threads; errors are raised here."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_no_thread_sees_half_of_an_update(eager):
    a, b = (gn.parameter(name, np.zeros(500_000)) for name in "ab")
    shift = gn.placeholder("shift", (), "float64")
    step = gn.function([shift], gn.sum(a), updates={a: a + shift, b: b + shift})
    other = gn.function([shift], [], updates={b: b - shift, a: a - shift})
    reader = gn.function([], [a[0] - b[-1], gn.max(abs(a - b))])
    slow = gn.function([], [a - b], debug="nan")  # by way of Python
    one, calls = np.array(1.0), 100

    def work(number):
        for _ in range(calls):
            if number == 0:
                step(one)
            elif number == 1:
                other(2 * one)
            elif number == 2:
                assert [float(each) for each in reader()] == [0, 0]
            elif number == 3:
                assert not np.any(slow()[0])
            else:
                value = a.value
                assert value.min() == value.max()

    together(5, work)
    assert np.array_equal(a.value, b.value)
    assert type(a.cell.held) is np.ndarray


def long_call():
    """A function that takes some tenths of a second, its parameter and state, and a thread that has called it."""
    w, count = gn.parameter("w", np.ones((160, 160))), gn.state("count", np.zeros(10_000))
    y = gn.scan(lambda c, _: (gn.tanh(c + w), None), gn.zeros((160, 160), dtype="float64"), length=8_000)[0]
    f = gn.function([], gn.sum(y), updates={w: w + 1, count: count + 1})
    f()
    thread = threading.Thread(target=f)
    thread.start()
    while thread.is_alive() and type(w.cell.held) is not Taken:
        time.sleep(0.001)
    assert thread.is_alive(), "the call was over before it was looked at"
    return f, w, count, thread


def test_who_reads_waits_for_the_end_of_the_call():
    _, w, count, thread = long_call()
    assert w.value.max() == 3
    assert count.value.min() == 2
    thread.join()


def test_what_is_set_meanwhile_stays():
    f, w, count, thread = long_call()
    w.value = np.full((160, 160), 7.0)
    assert thread.is_alive()
    assert w.value.max() == 7
    thread.join()
    assert w.value.max() == 7
    assert count.value.max() == 2
    f()
    assert w.value.min() == 8


def test_other_functions_wait_too():
    _, w, _, thread = long_call()
    assert gn.function([], gn.max(w))() == 3
    assert gn.evaluate(w[0, 0]) == 3
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_forked_meanwhile_does_not_wait_for_ever():
    _, w, _, thread = long_call()
    child = os.fork()
    if child == 0:
        try:
            _ = w.value
        except gn.ExecutionError as error:
            w.value = np.full((160, 160), 5.0)
            os._exit(0 if "forked while a call wrote over the value" in str(error) and w.value.max() == 5 else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()

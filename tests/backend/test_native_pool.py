"""The work-sharing pool: every index once, whoever calls, however many, after fork, while its size changes, at the end."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

pytest.importorskip("llvmlite.binding")

from graphnn.backend.native import jit, pool, target
from graphnn.backend.native.sharing import runtime_text
from graphnn.errors import GraphError

MANY = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1

# `count(data, times, indices)` shares a job that adds 1 to data[index], many times; `nested` does it from inside a job.
TEXT = """
declare void @graphnn_parallel(ptr, ptr, i64)
define internal void @one(ptr %data, i64 %index) {
  %p = getelementptr i64, ptr %data, i64 %index
  %old = load i64, ptr %p
  %new = add i64 %old, 1
  store i64 %new, ptr %p
  ret void
}
define void @count(ptr %data, i64 %times, i64 %indices) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  call void @graphnn_parallel(ptr @one, ptr %data, i64 %indices)
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %times
  br i1 %more, label %loop, label %out
out:
  ret void
}
define internal void @inner(ptr %data, i64 %index) {
  %at = mul i64 %index, 9
  %p = getelementptr i64, ptr %data, i64 %at
  call void @graphnn_parallel(ptr @one, ptr %p, i64 9)
  ret void
}
define void @nested(ptr %data, i64 %indices) {
  call void @graphnn_parallel(ptr @inner, ptr %data, i64 %indices)
  ret void
}
"""


@pytest.fixture(scope="module")
def library():
    pool.register()
    return jit.compile(TEXT)


@pytest.fixture(scope="module")
def count(library):
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(library.address("count"))

    def call(times, indices):
        data = np.zeros(indices, np.int64)
        run(data.ctypes.data, times, indices)
        return (data == times).all()

    return call


@pytest.fixture(autouse=True)
def usual_size():
    yield
    pool.set_num_threads(None)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_index_once(count, threads):
    pool.set_num_threads(threads)
    for indices in (1, 2, 3, 64, 1000):
        assert count(max(200, 20_000 // indices) * MANY, indices)


def test_helpers_are_made_by_the_first_job(count):
    pool.set_num_threads(3)
    before = threading.active_count()
    assert count(1, 4)
    assert threading.active_count() == before + 2


def test_jobs_inside_a_job_are_done_by_its_thread(library):
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(library.address("nested"))
    data = np.zeros(9 * 50, np.int64)
    for _ in range(100):
        run(data.ctypes.data, 50)
    assert (data == 100).all()


def test_sixteen_callers_while_the_size_changes(count):
    right = []

    def caller():
        right.append(all(count(200, 7) for _ in range(10 * MANY)))

    callers = [threading.Thread(target=caller) for _ in range(16)]
    for each in callers:
        each.start()
    while any(each.is_alive() for each in callers):
        pool.set_num_threads(2)
        time.sleep(0.002)
        pool.set_num_threads(4)
    assert right == [True] * 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_make_helpers_of_their_own(count):
    pool.set_num_threads(2)
    assert count(10, 10)
    for _ in range(10 * MANY):
        child = os.fork()
        if child == 0:
            before = threading.active_count()
            right = count(200, 10) and threading.active_count() == before + 1
            os._exit(0 if right else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert count(10, 10)


def test_idle_helpers_sleep(count):
    pool.set_num_threads(3)
    assert count(10, 10)
    time.sleep(0.05)
    start = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - start < 0.05
    assert count(10, 10)  # they can be woken


@pytest.mark.parametrize("way", ["", "posix"])
def test_a_process_ends_with_helpers_in_it(way):
    if way == "posix" and sys.platform == "win32":
        pytest.skip("there are no POSIX threads here")
    program = textwrap.dedent("""
        import ctypes, sys, threading
        from graphnn.backend.native import jit, pool

        way, text = sys.argv[1:]
        if way:
            pool._system = lambda: (way, {})
        pool.set_num_threads(4)
        pool.register()
        library = jit.compile(text)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
        data = (ctypes.c_int64 * 16)()
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(library.address("count"))
        run(ctypes.addressof(data), 3000, 16)
        print(min(data) == max(data) == 3000)
        # A caller that goes on while the interpreter ends.
        more = ctypes.create_string_buffer(128)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(more))
        threading.Thread(target=run, args=(ctypes.addressof(more), 10**9, 16), daemon=True).start()
    """)
    done = subprocess.run([sys.executable, "-c", program, way, TEXT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_the_number_of_threads(monkeypatch):
    pool.set_num_threads(3)
    assert pool.num_threads() == 3
    pool.set_num_threads(None)
    monkeypatch.setenv("GRAPHNN_NUM_THREADS", "5")
    assert pool.num_threads() == 5
    monkeypatch.setenv("GRAPHNN_NUM_THREADS", "many")
    assert pool.num_threads() >= 1
    for wrong in (0, -1, 2.0, True, "2"):
        with pytest.raises(GraphError, match="no number of threads"):
            pool.set_num_threads(wrong)


def test_threads_without_measure_are_not_made(monkeypatch):
    # A million was taken at its word: some twenty thousand threads, and the next product ended the process.
    with pytest.raises(GraphError, match="at most 1024 threads share work, 1000000 are wanted"):
        pool.set_num_threads(10**6)
    monkeypatch.setenv("GRAPHNN_NUM_THREADS", "1000000")
    assert pool.num_threads() == 1024


def test_the_runtime_can_be_written_for_every_system():
    for way in ("futex", "posix", "windows"):
        llvm = target.binding()
        llvm.parse_assembly(runtime_text(way)).verify()


class _Job:
    """A job of a few parts in Python, which notes the thread of each; `slow` is done by a helper for each of its parts."""

    def __init__(self, library):
        address = library.address("graphnn_parallel")
        self.run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)
        self.part = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self._part)
        self.threads, self.slow = set(), 0.0

    def _part(self, data, index):
        mine = threading.current_thread() is threading.main_thread()
        self.threads.add(mine)
        time.sleep(0.001 if mine else self.slow)

    def shared(self, parts=8, slow=0.0):
        """Whether a helper took part in the job."""
        self.threads.clear()
        self.slow = slow
        self.run(ctypes.cast(self.part, ctypes.c_void_p), None, parts)
        return False in self.threads


def test_a_helper_that_keeps_the_caller_waiting_is_left_alone_for_a_while_and_then_asked_again():
    job = _Job(pool._runtime_of_process().library)
    pool.set_num_threads(2)
    end = time.monotonic() + 60
    # A part that takes the helper far longer than the caller is what a core taken away looks like.
    while not (job.shared(slow=0.1) and not job.shared()):
        assert time.monotonic() < end, "the job after the slow one was shared each time"
    end = time.monotonic() + 60
    while not job.shared():
        assert time.monotonic() < end, "the helper was never asked again"

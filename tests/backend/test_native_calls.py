"""Calls of native functions: what is checked, who owns the memory, updates in place, threads, forks, errors."""

import gc
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import graphnn as gn


def native(*args, **options):
    return gn.function(*args, backend="native", **options)


def twice():
    x = gn.placeholder("x", (3,))
    return native([x], 2 * x)


def test_results_belong_to_the_caller():
    f = twice()
    x = np.ones(3, np.float32)
    first, second = f(x), f(x)
    assert not np.shares_memory(first, second)
    assert first.flags.owndata
    assert first.flags.writeable
    first[:] = 7
    assert f(x).tolist() == [2, 2, 2]


def test_what_is_returned_is_let_go():
    f = twice()
    x = np.ones(3, np.float32)
    f(x)
    result = f(x)
    assert sys.getrefcount(result) == 2
    gone = weakref.ref(result)
    del result
    gc.collect()
    assert gone() is None
    before = sys.getrefcount(x)
    for _ in range(100):
        f(x)
    assert sys.getrefcount(x) == before


@pytest.mark.parametrize(
    "value",
    [
        [1.0, 2.0, 3.0],
        np.ones(6, np.float32)[::2],
        np.ones(3, ">f4"),
        np.frombuffer(b"\0" + np.ones(3, np.float32).tobytes(), np.uint8)[1:].view(np.float32),
        np.ones((3, 1), np.float32)[:, 0],
    ],
)
def test_unusual_arguments_take_the_longer_way(value):
    f = twice()
    f(np.zeros(3, np.float32))
    assert f(value).tolist() == (2 * np.asarray(value, np.float32)).tolist()
    assert f(x=value).tolist() == (2 * np.asarray(value, np.float32)).tolist()


def test_wrong_arguments_are_errors_after_the_first_call_too():
    f = twice()
    f(np.zeros(3, np.float32))
    with pytest.raises(gn.ShapeError, match="expected float32"):
        f(np.zeros(4, np.float32))
    with pytest.raises(gn.ShapeError, match="expected float32"):
        f(np.zeros((3, 1), np.float32))
    with pytest.raises(gn.DTypeError, match="expected float32"):
        f(np.zeros(3, np.float64))
    with pytest.raises(gn.GraphError, match="missing argument"):
        f()
    with pytest.raises(gn.GraphError, match="2 arguments are given"):
        f(np.zeros(3, np.float32), 1)


def test_named_sizes_change_from_call_to_call():
    x = gn.placeholder("x", ("n", 2))
    f = native([x], gn.sum(x, axis=0))
    for n in (1, 5, 5, 0, 1):
        assert f(np.ones((n, 2), np.float32)).tolist() == [n, n]


def test_trees_of_results():
    x = gn.placeholder("x", (2,))
    f = native([x], {"a": x + 1, "b": [x, x.sum()]})
    for _ in range(2):
        out = f(np.array([1.0, 2.0], np.float32))
        assert out["a"].tolist() == [2, 3]
        assert out["b"][0].tolist() == [1, 2]
        assert out["b"][1] == 3


def updated(backend):
    """Updates that read each other, are swapped, reduced, or given away."""
    a, b = gn.parameter("a", np.arange(6.0).reshape(2, 3)), gn.parameter("b", np.ones((2, 3)))
    c, d = gn.parameter("c", np.full(3, 2.0)), gn.state("d", 0)
    x = gn.placeholder("x", (2, 3), "float64")
    outputs = [a, (a * b).sum(), gn.advance(x + c, {d: d + 1})]
    updates = {a: b, b: a + x, c: c - gn.sum(a * x, axis=0)}
    f = gn.function([x], outputs, updates=updates, backend=backend)
    return f, [a, b, c, d]


def test_updates_equal_those_of_numpy():
    (f, mine), (g, theirs) = updated("native"), updated("numpy")
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.standard_normal((2, 3))
        for p, q in zip(f(x), g(x), strict=True):
            np.testing.assert_allclose(p, q, rtol=1e-12)
        for v, w in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(v.value, w.value, rtol=1e-12)


def test_an_update_is_written_in_place_only_where_nobody_holds_the_array():
    w = gn.parameter("w", np.ones(4))
    f = native([], w.sum(), updates={w: w + 1})
    f()
    before = w.cell.array.ctypes.data
    f()
    assert w.cell.array.ctypes.data == before
    held = w.cell.array
    f()
    assert held.tolist() == [3, 3, 3, 3]
    assert w.value.tolist() == [4, 4, 4, 4]


def test_an_index_out_of_range_changes_nothing():
    w = gn.parameter("w", np.ones((3, 2)))
    i = gn.placeholder("i", (2,), "int64")
    rows = gn.take(w, i, axis=0)
    f = native([i], rows.sum(), updates={w: w - gn.grad(rows.sum(), w)})
    assert f(np.array([0, 2])) == 4
    for _ in range(2):
        with pytest.raises(gn.IndexRangeError, match="index 3 is out of bounds for axis 0 with size 3") as caught:
            f(np.array([1, 3]))
        assert "test_native_calls.py" in str(caught.value)
    assert w.value.tolist() == [[0, 0], [1, 1], [0, 0]]
    assert f(np.array([-1, 0])) == 0


def test_threads_share_a_function():
    x = gn.placeholder("x", (40, 30))
    w = gn.parameter("w", np.random.default_rng(0).standard_normal((30, 20)).astype(np.float32))
    f = native([x], [gn.softmax(x @ w), gn.sum(x)])
    arrays = [np.random.default_rng(i).standard_normal((40, 30)).astype(np.float32) for i in range(16)]
    expected = [f(a) for a in arrays]
    wrong = []

    def work(number):
        for _ in range(100):
            got = f(arrays[number])
            if not all(np.array_equal(p, q) for p, q in zip(got, expected[number], strict=True)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_call_may_outlive_its_function():
    table = np.arange(1000.0)
    x = gn.placeholder("x", (1000,), "float64")
    f = native([x], gn.exp(x * 1e-3) + table)
    f(table)
    direct, expected = f._direct, f(table)
    del f
    gc.collect()
    assert np.array_equal(direct(table), expected)


def test_no_update_is_lost_between_threads():
    n = gn.state("n", 0)
    f = native([], n, updates={n: n + 1})
    f()
    threads = [threading.Thread(target=lambda: [f() for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert n.value == 4001


def test_what_does_not_fit_into_memory_is_an_error():
    x = gn.placeholder("x", ("n",))
    n = 2**22
    table = gn.broadcast_to(gn.exp(x)[:, None], ("n", 2**38))
    for outputs in (table, gn.sum(gn.cumulative_sum(table, axis=0))):
        f = native([x], outputs)
        for _ in range(2):
            with pytest.raises(gn.ExecutionError, match="out of memory"):
                f(np.zeros(n, np.float32))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_children_work():
    code = """
import os, warnings
import numpy as np
import graphnn as gn
warnings.simplefilter("ignore")
x = gn.placeholder("x", (64, 64))
f = gn.function([x], x @ x + gn.exp(x), backend="native")
a = np.random.default_rng(0).standard_normal((64, 64)).astype("f4")
expected = f(a)
for _ in range(10):
    child = os.fork()
    if child == 0:
        same = np.array_equal(f(a), expected)
        new = gn.function([x], x * 2, backend="native")(a)
        os._exit(0 if same and np.array_equal(new, a * 2) else 1)
    assert os.waitpid(child, 0)[1] == 0
print("all children worked")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "all children worked\n", done.stderr


def test_without_llvmlite_numpy_takes_over():
    code = """
import sys
sys.modules["llvmlite"] = None
import graphnn as gn
x = gn.placeholder("x", (2,))
f = gn.function([x], x + 1)
print(f([1.0, 2.0]).tolist())
print(f.explain().splitlines()[2])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    result, explained = done.stdout.splitlines()
    assert result == "[2.0, 3.0]", done.stderr
    assert explained.startswith("NumPy runs 1 kernels, one after the other: llvmlite cannot be imported: ")


def test_numpy_runs_what_native_code_would_only_move():
    x, y = gn.placeholder("x", (3, 3)), gn.placeholder("y", (4,), "float16")
    for given, output in ((x, gn.inv(x.T)), (y, gn.exp(y)[::2])):
        f = gn.function([given], output)
        f(np.eye(3, dtype=np.float32) if given is x else np.ones(4, np.float16))
        assert "one after the other: native code would only move elements between them" in f.explain()
        with pytest.raises(gn.GraphError, match="has no LLVM module") as caught:
            _ = f.llvm
        assert "NumPy runs this function: native code would only move elements" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_kernels_of_numpy_between_native_ones_read_views(dtype):
    x, a = gn.placeholder("x", (4, 6)), np.arange(24, dtype=np.float32).reshape(4, 6)
    turned = (x + 1).T[::-1, 1:3].astype(dtype)
    f, g = (
        gn.function([x], [gn.polygamma(1, turned[:, 0]), turned + turned, x * 2], backend=name)
        for name in ("native", "numpy")
    )
    for _ in range(2):
        for found, expected in zip(f(a), g(a), strict=True):
            assert found.tobytes() == expected.tobytes()


def test_importing_graphnn_leaves_llvmlite_alone():
    code = "import sys, graphnn; print([name for name in sys.modules if name.startswith('llvmlite')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "[]\n"

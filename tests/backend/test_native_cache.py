"""The cache of object code: a second process reads what the first made; what is not right is ignored."""

import ctypes
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native import cache, jit

CODE = """
import graphnn as gn
x = gn.placeholder("x", (7,))
f = gn.function([x], gn.exp(x) + 3, backend="native")
print(f([0.0] * 7)[0])
print(f.explain())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "code"
    monkeypatch.setenv("GRAPHNN_CACHE", str(place))
    return place


def run():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.startswith("4.0\n"), done.stderr
    return done.stdout


def test_a_second_process_reads_what_the_first_made(folder):
    assert "compiled: not in the cache on disk" in run()
    assert "read from the cache on disk" in run()
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_files_that_were_changed_or_cut_off_are_ignored(folder):
    run()
    for path in folder.iterdir():
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "compiled: its file in the cache on disk is damaged" in run()
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    assert "compiled: its file in the cache on disk is damaged" in run()
    assert "read from the cache on disk" in run()


@pytest.mark.skipif(os.name != "posix", reason="who may write is told by bits there")
def test_a_folder_that_others_may_write_to_is_not_used(folder):
    run()
    folder.chmod(0o777)
    assert f"compiled: others may write to the folder of the cache, {folder} " in run()


def test_a_folder_that_cannot_be_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GRAPHNN_CACHE", str(tmp_path / "file"))
    assert f"compiled: there is no folder for the cache, {tmp_path / 'file'} " in run()
    monkeypatch.setenv("GRAPHNN_CACHE", "off")
    assert "compiled: the cache on disk is off " in run()


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv("GRAPHNN_CACHE", "off")
    assert cache.folder() is None
    assert cache.load("x") is None
    cache.store("x", b"code")


def test_a_name_tells_all_parts_apart():
    assert cache.name_of("ab", "c") != cache.name_of("a", "bc")


def test_what_is_stored_is_loaded(folder):
    cache.store("name", b"some code")
    assert cache.load("name") == b"some code"
    assert cache.load("other") is None
    assert len(list(folder.iterdir())) == 1


def test_explain_and_llvm():
    x, w = gn.placeholder("x", (8, 16)), gn.parameter("w", np.ones((16, 4)))
    f = gn.function([x], gn.sum(gn.relu(x.astype("float64") @ w)), updates={w: w * 2}, backend="native")
    assert "It was not called yet" in f.explain()
    with pytest.raises(gn.GraphError, match="has no LLVM module yet"):
        _ = f.llvm
    f(np.ones((8, 16), np.float32))
    text = f.explain()
    for part in (
        "backend 'native'",
        "rewriting: merge ",
        "simplify ",
        "compiling: ",
        "machine code: ",
        "1.02 kFLOP",
        "memory: ",
    ):
        assert part in text, text
    assert "test_native_cache.py" in text
    assert "define i32 @segment0(ptr %table)" in f.llvm


def test_explain_tells_what_numpy_runs():
    x = gn.placeholder("x", (3, 3))
    f = gn.function([x], gn.lgamma(x) + 1, backend="native")
    f(np.eye(3, dtype=np.float32))
    assert "it has no native lowering for this" in f.explain()
    g = gn.function([x], x + 1, backend="numpy")
    g(np.eye(3, dtype=np.float32))
    with pytest.raises(gn.GraphError, match="has no LLVM module") as caught:
        _ = g.llvm
    assert "backend='native'" in str(caught.value)


def test_explain_looks_into_loops_and_choices():
    x = gn.placeholder("x", ("t", 64))
    last, _ = gn.scan(lambda h, r: (gn.tanh(h + r), None), gn.zeros((64,)), x)
    f = gn.function([x], last)
    f(np.ones((20, 64), np.float32))
    (row,) = [line for line in f.explain().splitlines() if " scan." in line]
    assert "2.56 kFLOP" in row  # two operations for each of 20 * 64 elements
    assert "20 steps: add, tanh" in row
    assert "test_native_cache.py" in row
    assert "20 steps: add, tanh" in f.profile(np.ones((20, 64), np.float32), rounds=1)
    n = gn.placeholder("n", (64,))
    g = gn.function([n], gn.while_loop(lambda v: gn.max(v) > 1, lambda v: v * 0.5, n))
    g(np.ones(64, np.float32))
    assert "each step, which is what is counted: max, greater, multiply" in g.explain()
    h = gn.function([n], gn.cond(gn.sum(n) > 0, lambda: gn.exp(n), lambda: gn.sin(n) * 2))
    h(np.ones(64, np.float32))
    (row,) = [line for line in h.explain().splitlines() if " switch." in line]
    assert "128 FLOP" in row
    assert "one of: " in row
    assert "exp" in row
    assert "sin, multiply" in row


def test_profile():
    x, w = gn.placeholder("x", ("n", 16)), gn.parameter("w", np.ones((16, 4), np.float32))
    f = gn.function([x], gn.sum(gn.lgamma(gn.exp(x @ w))), updates={w: w * 2}, backend="native")
    text = f.profile(np.ones((8, 16), np.float32), rounds=2)
    for part in ("NumPy: lgamma", "product", "matmul", "FLOP/s", "%", "test_native_cache.py"):
        assert part in text, text
    assert w.value.max() == 1
    with pytest.raises(gn.GraphError, match="profile measures the kernels of the native backend"):
        gn.function([x], x + 1, backend="numpy").profile(np.ones((8, 16), np.float32))
    for wrong in (0, -1, 2.5, "many"):  # of none the shortest time would be infinite
        with pytest.raises(gn.GraphError, match="profile: rounds is an int from 1"):
            f.profile(np.ones((8, 16), np.float32), rounds=wrong)


@pytest.mark.parametrize("on_disk", [True, False])
def test_modules_made_by_several_threads_are_those_made_by_one(folder, monkeypatch, on_disk):
    monkeypatch.setenv("GRAPHNN_CACHE", str(folder) if on_disk else "off")
    texts = [
        f"define double @f(double %x) {{\n%y = fmul double %x, {number}.0\n%z = fadd double %y, %x\nret double %z\n}}\n"
        for number in range(20)
    ]
    modules = [(text, number % 3, number % 2 == 0) for number, text in enumerate(texts)]
    alone = [jit.object_code(*module) for module in modules]
    jit.prepare(modules, 4)
    assert [jit._ready[jit._name(*module)][0] for module in modules] == alone
    for number, module in enumerate(modules):
        library = jit.compile(*module)
        assert library.origin.startswith("compiled: ")
        assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("f"))(2.0) == 2.0 * number + 2.0
    assert not {jit._name(*module) for module in modules} & set(jit._ready)
    jit.prepare(modules, 4)
    assert jit.compile(*modules[0]).origin.startswith("read from the cache" if on_disk else "compiled: ")
    jit._ready.clear()


def test_a_finalizer_that_runs_in_a_helper_may_compile(folder, monkeypatch):
    compiled = []

    def store(name, code, keep=cache.store):
        keep(name, code)
        text = f"define i32 @g() {{ ret i32 {len(compiled)} }}"
        compiled.append(jit.load(jit.object_code(text)) if threading.current_thread() is not caller else None)

    caller = threading.current_thread()
    modules = [(f"define i32 @f() {{ ret i32 {number} }}", 1, True) for number in range(40)]
    monkeypatch.setattr(cache, "store", store)
    jit.prepare(modules, 3)
    assert len(compiled) == 40
    for module in modules:
        jit.compile(*module)


def test_what_no_thread_can_compile_is_told_by_compile(folder):
    wrong = [(f"define double @f{number}() {{ nonsense }}", 1, True) for number in range(3)]
    jit.prepare(wrong, 2)
    for module in wrong:
        with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
            jit.compile(*module)

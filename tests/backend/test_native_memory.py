"""What stays in memory after a compilation, and what the first call leaves behind."""

import ctypes
import itertools
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native import memory, target
from graphnn.backend.native.items import Item
from graphnn.ir.dtype import float32


def code_of_llvm():
    """Bytes of LLVM's machine code in the memory of this process."""
    text = Path("/proc/self/smaps").read_text()
    mappings = re.findall(r"^\w+-\w+ r-xp .*libllvmlite.*\n(?:.*\n)*?Rss: +(\d+) kB", text, re.MULTILINE)
    assert mappings
    return 1024 * sum(map(int, mappings))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is in memory")
def test_llvm_is_out_of_memory_after_a_compilation_and_comes_back():
    x = gn.placeholder("x", (3,))
    for number in range(3):
        f = gn.function([x], gn.sin(x) * number, backend="native")
        np.testing.assert_allclose(f(np.ones(3, "f4")), number * np.sin(np.ones(3)), rtol=1e-6)
        assert code_of_llvm() < 1 << 20
        assert target.binding().get_host_cpu_name() == target.host().cpu
        assert code_of_llvm() > 0


def test_parts_that_were_written_to_stay():
    """What was relocated is read-only, too; it must not come back as the file has it."""
    kept = [(start, start + size) for start, size in target._pages()]
    if not sys.platform.startswith("linux"):
        assert kept == []
        return
    assert kept
    text = Path("/proc/self/smaps").read_text()
    for start, end, copied in re.findall(r"^(\w+)-(\w+) .*libllvmlite.*\n(?:.*\n)*?Anonymous: +(\d+) kB", text, re.M):
        if copied != "0":
            assert not any(first < int(end, 16) and last > int(start, 16) for first, last in kept)


def test_the_first_call_writes_in_place_too_however_it_is_called():
    w, x = gn.parameter("w", np.ones(4)), gn.placeholder("x", (4,), "float64")
    f = gn.function([x], gn.sum(w), updates={w: w + x}, backend="native")
    place = w.cell.array.ctypes.data
    assert f(np.ones(4)) == 4
    assert f(x=np.ones(4)) == 8
    assert f([1.0, 1.0, 1.0, 1.0]) == 12
    assert w.value.tolist() == [4, 4, 4, 4]
    assert w.cell.array.ctypes.data == place


def test_an_index_out_of_range_in_the_first_call_is_an_error_and_changes_nothing():
    w, i = gn.parameter("w", np.ones(3)), gn.placeholder("i", (2,), "int64")
    f = gn.function([i], gn.sum(gn.take(w, i)), updates={w: w + gn.sum(gn.take(w, i))}, backend="native")
    with pytest.raises(gn.IndexRangeError, match="index 3 is out of bounds for axis 0 with size 3"):
        f(np.array([1, 3]))
    assert w.value.tolist() == [1, 1, 1]
    assert f(np.array([0, 1])) == 2


def some_lives(rng):
    """Arrays of a training step: made forward, read last at some time later."""
    first = np.sort(rng.integers(0, 20, 30)).tolist()
    return [
        memory.Life(Item(i, "element", None, (), float32), 64 * int(rng.integers(1, 50)), at, at + int(rng.integers(8)))
        for i, at in enumerate(first)
    ]


@pytest.mark.parametrize("plan", [memory._as_they_come, memory._by_size])
def test_arrays_that_are_there_at_the_same_time_do_not_overlap(plan):
    rng = np.random.default_rng(0)
    for _ in range(100):
        lives = some_lives(rng)
        offsets, size = plan(lives)
        assert memory._most_at_once(lives) <= size <= sum(life.size for life in lives)
        for a, b in itertools.combinations(lives, 2):
            if a.first <= b.last and b.first <= a.last:
                start, end = offsets[a.item], offsets[a.item] + a.size
                assert end <= offsets[b.item] or offsets[b.item] + b.size <= start
        assert max(offsets[life.item] + life.size for life in lives) == size


def test_large_arrays_first_leaves_few_gaps():
    rng = np.random.default_rng(0)
    waste = np.zeros(2)
    for _ in range(100):
        lives = some_lives(rng)
        least = memory._most_at_once(lives)
        waste += [plan(lives)[1] / least - 1 for plan in (memory._as_they_come, memory._by_size)]
    assert waste[1] < waste[0] / 2
    assert waste[1] / 100 < 0.05


def memory_between_kernels(block, layers=16, width=32, rows=256):
    """Bytes of the arena of a training step of a deep network, in blocks of so many layers, and the first losses."""
    rng = np.random.default_rng(0)
    weights = [gn.parameter(f"w{i}", rng.standard_normal((width, width)).astype("f4") / 4) for i in range(layers)]
    biases = [gn.parameter(f"b{i}", np.zeros(width, "f4")) for i in range(layers)]
    y = x = gn.placeholder("x", (rows, width))
    for first in range(0, layers, block or layers):

        def part(y, first=first):
            for w, b in list(zip(weights, biases, strict=True))[first : first + (block or layers)]:
                y = gn.relu(y @ w + b)
            return y

        y = gn.checkpoint(part)(y) if block else part(y)
    loss = gn.mean(y**2)
    f = gn.function([x], loss, updates=gn.optim.SGD(0.01).updates(loss), backend="native")
    point = rng.standard_normal((rows, width)).astype("f4")
    losses = [float(f(point)) for _ in range(3)]
    number, unit = re.search(r"memory: ([\d.]+) (\w*)B between kernels", f.explain()).groups()
    return float(number) * {"k": 1e3, "M": 1e6}[unit], losses


def test_checkpoints_halve_the_memory_between_kernels():
    (much, plain), (little, again) = memory_between_kernels(0), memory_between_kernels(4)
    assert little < much / 2
    assert again == plain


def test_a_layer_keeps_its_activation_and_nothing_else_for_the_backward_pass():
    """One array for each layer, the gradient that arrives at one and the one that leaves it; no masks."""
    layers, width, rows = 24, 32, 2048
    kept, _ = memory_between_kernels(0, layers, width, rows)
    assert kept < (layers + 2.2) * rows * width * 4


def test_a_mask_is_stored_where_the_activation_is_not_needed_later():
    """Weights that are not trained need no activations: a mask of one byte is less than they are."""
    layers, width, rows = 8, 32, 4096
    rng = np.random.default_rng(0)
    y = x = gn.placeholder("x", (rows, width))
    for _ in range(layers):
        y = gn.relu(y @ rng.standard_normal((width, width)).astype("f4"))
    f = gn.function([x], gn.grad(gn.sum(y), x), backend="native")
    f(np.ones((rows, width), "f4"))
    megabytes = float(re.search(r"memory: ([\d.]+) MB between kernels", f.explain()).group(1))
    assert megabytes * 1e6 < (layers + 2 * 4 + 1) * rows * width


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is in memory")
def test_what_was_freed_goes_back_to_the_system():
    c = ctypes.CDLL(None)
    if not hasattr(c, "malloc_trim"):
        pytest.skip("only glibc gives memory back when asked to")
    c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    c.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    # Pieces that are too small for mappings of their own; the last one keeps the others from the end of the heap.
    pieces = [c.malloc(60_000) for _ in range(400)]
    for piece in pieces:
        c.memset(piece, 1, 60_000)
    for piece in pieces[:-1]:
        c.free(piece)
    before = resident()
    target.rest()
    assert resident() < before - 10e6
    c.free(pieces[-1])


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_explain_tells_where_the_largest_arrays_lie_and_how_long():
    x = gn.placeholder("x", (64, 64))
    h = x
    for _ in range(12):
        h = gn.relu(h @ h)
    f = gn.function([x], gn.sum(h))
    f(np.zeros((64, 64), "float32"))
    text = f.explain().split("memory: ")[1]
    rows = re.findall(r"^ +16\.4 kB at ([\d,]+) +kernels (\d+) to (\d+) +\[64, 64\] \w+$", text, re.MULTILINE)
    # Two arrays take turns: each is there until the next one is made of it.
    assert len(rows) == 8
    assert {int(place.replace(",", "")) for place, _, _ in rows} == {0, 64 * 64 * 4}
    assert [(int(first), int(last)) for _, first, last in rows] == [(n, n + 1) for n in range(8)]
    assert re.search(r"^  and \d+ more, none of them larger$", text, re.MULTILINE)

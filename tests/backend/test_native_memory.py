"""What stays in memory after a compilation, and what the first call leaves behind."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.native import target


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


def memory_between_kernels(block, layers=16, width=32):
    """Bytes of the arena of a training step of a deep network, in blocks of so many layers, and the first losses."""
    rng = np.random.default_rng(0)
    weights = [gn.parameter(f"w{i}", rng.standard_normal((width, width)).astype("f4") / 4) for i in range(layers)]
    biases = [gn.parameter(f"b{i}", np.zeros(width, "f4")) for i in range(layers)]
    y = x = gn.placeholder("x", (256, width))
    for first in range(0, layers, block or layers):

        def part(y, first=first):
            for w, b in list(zip(weights, biases, strict=True))[first : first + (block or layers)]:
                y = gn.relu(y @ w + b)
            return y

        y = gn.checkpoint(part)(y) if block else part(y)
    loss = gn.mean(y**2)
    f = gn.function([x], loss, updates=gn.optim.SGD(0.01).updates(loss), backend="native")
    point = rng.standard_normal((256, width)).astype("f4")
    losses = [float(f(point)) for _ in range(3)]
    number, unit = re.search(r"memory: ([\d.]+) (\w*)B between kernels", f.explain()).groups()
    return float(number) * {"k": 1e3, "M": 1e6}[unit], losses


def test_checkpoints_halve_the_memory_between_kernels():
    (much, plain), (little, again) = memory_between_kernels(0), memory_between_kernels(4)
    assert little < much / 2
    assert again == plain

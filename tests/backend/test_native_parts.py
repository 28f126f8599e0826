"""Modules in parts: what is put where, and that the parts run as the whole does."""

import ctypes
import re

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import graphnn as gn
from graphnn.backend.native import jit, parts, plan, target
from graphnn.backend.native.parts import Part


def module(*bodies):
    made = target.host().module()
    made.declare("declare i32 @llvm.smax.i32(i32, i32)")
    for body in bodies:
        made.add(body)
    return made


def test_kernels_stay_with_what_they_mention_and_numbers_are_in_each_part(monkeypatch):
    monkeypatch.setattr(parts, "_LENGTH", 150)
    found = parts.parts(
        module(
            "@n.0 = internal constant [1 x i32] [i32 7]",
            "define internal i32 @help.1(i32 %x) {\n%y = call i32 @llvm.smax.i32(i32 %x, i32 1)\nret i32 %y\n}",
            "define internal i32 @one.2() {\n%x = load i32, ptr @n.0\n%y = call i32 @help.1(i32 %x)\nret i32 %y\n}",
            "define internal i32 @two.3() {\n%x = load i32, ptr @n.0\nret i32 %x\n}",
            "define internal i32 @segment0.1(i32 %a) {\n%b = call i32 @two.3()\n%c = add i32 %a, %b\nret i32 %c\n}",
            "define i32 @segment0() {\n%a = call i32 @one.2()\n%b = call i32 @segment0.1(i32 %a)\nret i32 %b\n}",
        )
    )
    assert len(found) == 3
    assert [sorted(set(re.findall(r"@(\w+)\.\d\(", part.text))) for part in found[:2]] == [["help", "one"], ["two"]]
    assert all("@n.0 = " in part.text for part in found[:2])
    assert "smax" in found[0].text
    assert "smax" not in found[1].text
    assert (found[2].level, found[2].passes) == (0, False)
    library = jit.together(found)
    assert ctypes.CFUNCTYPE(ctypes.c_int32)(library.address("segment0"))() == 14


@pytest.mark.parametrize("length", [1, 10**9])
def test_results_are_those_of_one_module(monkeypatch, length):
    def whole(made):
        return [Part(made.text)]

    wanted = _run(monkeypatch, plan, "parts", whole)
    monkeypatch.setattr(parts, "_LENGTH", length)
    for one, other in zip(wanted, _run(monkeypatch, plan, "parts", parts.parts), strict=True):
        np.testing.assert_array_equal(one, other)


def _network():
    rng = np.random.default_rng(0)
    x, labels = gn.placeholder("x", (48, 40)), rng.integers(0, 30, 48)
    y = x
    for i in range(3):
        w = gn.parameter(f"w{i}", rng.standard_normal((40, 40)), dtype="float32")
        y = gn.softmax(gn.tanh(y @ w), axis=-1)
    loss = gn.losses.cross_entropy(y, gn.constant(labels))
    x0 = rng.standard_normal((48, 40)).astype("float32")
    return gn.function([x], loss, updates=gn.optim.SGD(0.1, momentum=0.5).updates(loss)), x0


def _run(monkeypatch, where, name, value):
    monkeypatch.setattr(where, name, value)
    f, x = _network()
    losses = [f(x) for _ in range(3)]
    return [*losses, *[variable.value for variable in f.updates]]


def test_equal_functions_are_emitted_once_under_one_name():
    made = module()
    text = "define internal i32 @{0}() {{\nret i32 {1}\n}}"
    names = [made.once(("f", i), lambda name, i=i: text.format(name, i % 2)) for i in range(4)]
    assert names == ["f.0", "f.1", "f.0", "f.1"]
    assert len(made.bodies) == 2
    # Names that begin with its own are others.
    inner = "define internal i32 @{0}() {{\n%x = call i32 @{0}{1}()\nret i32 %x\n}}"
    one, other = (made.once(("g", i), lambda name, i=i: inner.format(name, ".part" if i else "1")) for i in range(2))
    third = made.once(("g", 2), lambda name: inner.format(name, ".part"))
    assert len({one, other, third}) == 3

"""What a loop reads of another one: stacked, or computed again."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.graph import topological
from graphnn.rewrite import BASIC, optimize
from graphnn.testing.compare import assert_close
from graphnn.transform.loops import Scan

X, H = gn.placeholder("x", (5, 3), "float64"), gn.placeholder("h", (3,), "float64")


def scans(outputs):
    return [node for node in topological(optimize(outputs)) if isinstance(node.op, Scan)]


def gradient(step):
    last, stack = gn.scan(step, H, X)
    return gn.grad(gn.sum(stack * stack) + gn.sum(last), [X, H])


def check(outputs):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3)), rng.normal(size=3)
    for backend in ("numpy", "native"):
        plain = gn.function([X, H], outputs, passes=BASIC)(*values)
        for a, b in zip(gn.function([X, H], outputs, backend=backend)(*values), plain, strict=True):
            assert_close(a, b, rtol=1e-12, atol=1e-13)


def stacked(scan):
    return len(scan.op.body.outputs) - scan.op.carries


@pytest.mark.parametrize(
    "step, count",
    [
        # of sigmoid(z) only z is stacked: its exponential is needed anyway; beside it h as a result
        (lambda h, e: (2 * (new := gn.sigmoid(h + e)), new), 2),
        (lambda h, e: (2 * (new := gn.tanh(h + e)), new), 1),  # of tanh(z) the value is all that is needed
        (lambda h, e: ((new := gn.exp(h + e) * gn.sin(h - e) * 0.1), new), 4),  # dear functions are not done again
    ],
)
def test_what_is_stacked(step, count):
    outputs = gradient(step)
    forward, _ = scans(outputs)
    assert stacked(forward) == count
    check(outputs)


def test_elements_and_fixed_values_count_as_known():
    w = gn.placeholder("w", (3,), "float64")

    def step(h, e):
        z = e * w  # for free in the loop backwards, which has both
        return gn.tanh(z * h), z

    last, _ = gn.scan(step, H, X)
    (forward, backward) = scans(gn.grad(gn.sum(last), [X, H, w]))
    assert stacked(forward) == len(backward.op.body.inputs) - backward.op.consts - backward.op.carries - 1
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=3)
    outputs = gn.grad(gn.sum(last), [X, H, w])
    results = [gn.function([X, H, w], outputs, passes=passes)(*values) for passes in (gn.rewrite.PASSES, BASIC)]
    for a, b in zip(*results, strict=True):
        assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_loops_of_other_lengths_share_no_elements():
    _, stack = gn.scan(lambda h, e: (h + e, gn.sigmoid(h)), H, X)
    last, _ = gn.scan(lambda h, e: (h * e + 1, h), H, stack[1:])
    check([last, *gn.grad(gn.sum(last), [X, H])])

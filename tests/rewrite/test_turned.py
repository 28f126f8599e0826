"""Matrices that a loop would read by columns in every step are transposed once, before it."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.graph import topological
from graphnn.ops.contraction import Contract
from graphnn.ops.movement import PermuteDims
from graphnn.rewrite import BASIC, only_exact, optimize
from graphnn.testing.compare import assert_close
from graphnn.transform.loops import Scan

W = gn.placeholder("w", (64, 80), "float64")


def loop(step, length=5, rows=16):
    h, x = gn.placeholder("h", (rows, 64), "float64"), gn.placeholder("x", (length, rows, 80), "float64")
    last, _ = gn.scan(lambda h, e: (gn.tanh(step(h, e)), h[0]), h, x)
    return [h, x, W], last


def turned(outputs, **options):
    scans = [node for node in topological(optimize(outputs, **options)) if isinstance(node.op, Scan)]
    return [sum(isinstance(x.op, PermuteDims) for x in scan.inputs[: scan.op.consts]) for scan in scans]


def by_columns(h, e):
    return gn.einsum("ij,kj->ik", gn.sin(e) + gn.sum(h), W)


@pytest.mark.parametrize(
    "step, length, rows, count",
    [
        (by_columns, 5, 16, 1),
        (lambda h, e: gn.einsum("kj,ij->ik", W, gn.sin(e) + gn.sum(h)), 5, 16, 1),
        (lambda h, e: by_columns(h, e) + gn.sum(W) + by_columns(h * 2, e), 5, 16, 1),  # once for both products
        (lambda h, e: by_columns(h, gn.sin(e) + h @ W), 5, 16, 1),  # and as it is
        (by_columns, 3, 16, 0),  # not worth it for so few steps,
        (by_columns, 5, 3, 0),  # for rows that need no packing,
        (by_columns, 5, 200, 0),  # for so many
        (lambda h, e: h + gn.sum(h @ W), 5, 16, 0),  # read by rows already
    ],
)
def test_when_a_matrix_is_transposed_before_the_loop(step, length, rows, count):
    inputs, last = loop(step, length, rows)
    assert turned([last]) == [count]
    rng = np.random.default_rng(0)
    values = [rng.normal(size=x.shape) * 0.1 for x in inputs]
    expected = gn.function(inputs, last, passes=BASIC)(*values)
    for backend in ("numpy", "native"):
        assert_close(gn.function(inputs, last, backend=backend)(*values), expected, rtol=1e-11, atol=1e-13)


def test_the_reverse_pass_of_a_loop_reads_its_weights_by_rows():
    inputs, last = loop(lambda h, e: h + gn.sum(e) + (h @ W)[:, :64])
    grads = gn.grad(gn.sum(last), inputs)
    assert turned(grads) == [0, 1]
    scans = [node for node in topological(optimize(grads)) if isinstance(node.op, Scan)]
    for scan in scans:
        fixed = set(scan.op.body.inputs[: scan.op.consts])
        for node in scan.op.body.nodes:
            if isinstance(node.op, Contract) and node.inputs[1] in fixed:
                assert node.op.right[-1] in node.op.result


def test_it_rounds_differently_and_can_be_left_out():
    _, last = loop(by_columns)
    assert turned([last], passes=only_exact()) == [0]

"""Every pass keeps a graph legal and its values as they were, for every operation and its gradient."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.numpy import NumpyBackend
from graphnn.ir.dtype import as_dtype
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.ops.composite import Composite
from graphnn.rewrite import PASSES, Context, only_exact, optimize
from graphnn.rewrite.passes import expand_composites, intern
from graphnn.testing.case import OpCase
from graphnn.testing.cases import all_cases
from graphnn.testing.compare import same_bits

CASES = [case for case in all_cases() if case.samples[-1]]


def keep_none(op):
    return False


def graph_of(case: OpCase):
    sample = case.samples[0]
    node, operands = case.node(sample, case.dtypes[0])
    outputs = [node]
    wrt = [x for i, x in enumerate(operands) if x.dtype.is_floating and (case.wrt is None or i in case.wrt)]
    if node.dtype.is_floating and wrt:
        total = gn.sum(node)
        outputs += gn.grad(total, wrt, allow_unused=True)
    arrays = case.arrays(np.random.default_rng(0), sample, case.dtypes[0])
    return outputs, dict(zip(operands, arrays, strict=True))


def agree(a, b, exact):
    """Equal bits, or nearly equal: within what another order of the same sums may do."""
    a, b = np.asarray(a), np.asarray(b)
    if exact or not as_dtype(a.dtype).is_floating:
        return same_bits(a, b)
    eps = 2.0 ** -{"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}[a.dtype.name]
    scale = np.abs(a.astype("float64"), where=np.isfinite(a), out=np.ones(a.shape)).max(initial=1e-6)
    return np.allclose(a.astype("float64"), b.astype("float64"), rtol=64 * eps, atol=256 * eps * scale, equal_nan=True)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_pass_keeps_graphs_legal_and_values_equal(case):
    outputs, feeds = graph_of(case)
    before = gn.evaluate(outputs, feeds)
    for stages, exact in ((only_exact(), True), (PASSES, False)):
        nodes, context = outputs, Context(compute=NumpyBackend.compute)
        for stage in stages:
            nodes = stage(nodes, context)
            verify(Graph(nodes))
            assert [node.spec for node in nodes] == [node.spec for node in outputs]
        for old, new in zip(before, gn.evaluate(nodes, feeds), strict=True):
            assert agree(old, new, exact), stage.name
        assert not Graph(nodes).of_kind(Composite)
        once = optimize(outputs, passes=stages, compute=NumpyBackend.compute)
        again = optimize(once, passes=stages, compute=NumpyBackend.compute)
        assert Graph(again) == Graph(once)  # there is nothing left to do


def test_equal_nodes_become_one():
    x = gn.placeholder("x", (3,))
    (out,) = intern([gn.sin(x) * gn.sin(x)], Context())
    assert out.inputs[0] is out.inputs[1]


def test_inputs_and_variables_stay_apart():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    w, v = gn.parameter("w", 1.0), gn.parameter("w", 1.0)
    (out,) = intern([x + y + w + v], Context())
    assert len(Graph(out).inputs) == 2
    assert len(Graph(out).parameters) == 2


def test_composites_can_be_kept():
    x = gn.placeholder("x", (3,))
    (out,) = expand_composites([gn.softmax(gn.relu(x))], lambda op: op.name == "relu")
    kept = Graph(out).of_kind(Composite)
    assert [node.op.name for node in kept] == ["relu"]


def test_a_pass_keeps_lines_and_scopes():
    x = gn.placeholder("x", (3,))
    with gn.scope("head"):
        y = gn.softmax(x)
    (out,) = expand_composites([y], keep_none)
    inside = [node for node in Graph(out) if node is not x]
    assert {node.scope for node in inside} == {("head",)}
    assert {node.source for node in inside} == {y.source}

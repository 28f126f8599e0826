"""Every pass keeps a graph legal and its values as they were, for every operation and its gradient."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.ops.composite import Composite
from graphnn.rewrite.pipeline import PASSES, expand_composites, intern, optimize
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


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_pass_keeps_graphs_legal_and_values_equal(case):
    outputs, feeds = graph_of(case)
    before = gn.evaluate(outputs, feeds)
    nodes = outputs
    for step in PASSES:
        nodes = step(nodes, keep_none)
        verify(Graph(nodes))
        assert [node.spec for node in nodes] == [node.spec for node in outputs]
        for old, new in zip(before, gn.evaluate(nodes, feeds), strict=True):
            assert same_bits(old, new)
    assert not Graph(nodes).of_kind(Composite)
    again = optimize(nodes)
    assert Graph(again) == Graph(nodes)  # there is nothing left to do


def test_equal_nodes_become_one():
    x = gn.placeholder("x", (3,))
    (out,) = intern([gn.sin(x) * gn.sin(x)], keep_none)
    assert out.inputs[0] is out.inputs[1]


def test_inputs_and_variables_stay_apart():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    w, v = gn.parameter("w", 1.0), gn.parameter("w", 1.0)
    (out,) = intern([x + y + w + v], keep_none)
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

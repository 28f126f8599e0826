"""The trace: both passes over the sorted graph, step by step, with the example z = x1 x2 + sin(x1)."""

import math
import textwrap

import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.errors import DifferentiationError, GraphError
from graphnn.ir.graph import Graph
from graphnn.testing.strategies import graphs


@pytest.fixture
def example():
    x, y = gn.placeholder("x1"), gn.placeholder("x2")
    return x, y, (x * y + gn.sin(x)).named("z")


def test_text_of_the_example(example):
    x, y, z = example
    assert str(gn.trace(z, {x: 2.0, y: 3.0})) == textwrap.dedent("""\
        forward pass
           1  γ1      = x1                 = 2
           2  γ2      = x2                 = 3
           3  γ3      = γ1 * γ2            = 6
           4  γ4      = sin(γ1)            = 0.909297
           5  γ5      = γ3 + γ4            = 6.9093

        reverse pass of z = γ5
           6  ∂z/∂γ5  = 1                  (seed)
           7  ∂z/∂γ4  += ∂z/∂γ5 * 1        = 1
              ∂z/∂γ4                       = 1
           8  ∂z/∂γ3  += ∂z/∂γ5 * 1        = 1
              ∂z/∂γ3                       = 1
           9  ∂z/∂γ2  += ∂z/∂γ3 * γ1       = 2
              ∂z/∂γ2                       = 2
          10  ∂z/∂γ1  += ∂z/∂γ4 * cos(γ1)  = -0.416147
          11  ∂z/∂γ1  += ∂z/∂γ3 * γ2       = 3
              ∂z/∂γ1                       = 2.58385""")


def test_latex_of_the_example(example):
    x, y, z = example
    trace = gn.trace(z, {x: 2.0, y: 3.0})
    assert trace.latex() == textwrap.dedent(r"""
        \begin{aligned}
        \gamma_{1} &= x_{1} \\
        \gamma_{2} &= x_{2} \\
        \gamma_{3} &= \gamma_{1}\, \gamma_{2} \\
        \gamma_{4} &= \sin\left(\gamma_{1}\right) \\
        \gamma_{5} &= \gamma_{3} + \gamma_{4} \\
        \frac{\partial z}{\partial \gamma_{5}} &= 1 \\
        \frac{\partial z}{\partial \gamma_{4}} &= \frac{\partial z}{\partial \gamma_{5}} \cdot 1 \\
        \frac{\partial z}{\partial \gamma_{3}} &= \frac{\partial z}{\partial \gamma_{5}} \cdot 1 \\
        \frac{\partial z}{\partial \gamma_{2}} &= \frac{\partial z}{\partial \gamma_{3}}\, \gamma_{1} \\
        """).strip() + "\n" + (
        r"\frac{\partial z}{\partial \gamma_{1}} &= \frac{\partial z}{\partial \gamma_{4}}\, \cos\left(\gamma_{1}\right)"
        r" + \frac{\partial z}{\partial \gamma_{3}}\, \gamma_{2}" "\n\\end{aligned}"
    )  # fmt: skip
    assert trace._repr_latex_() == f"$\\displaystyle {trace.latex()}$"


def test_steps_of_the_example(example):
    x, y, z = example
    trace = gn.trace(z, {x: 2.0, y: 3.0})
    assert [step.node for step in trace.forward] == list(Graph(z).nodes)
    assert [step.number for step in trace.forward] == [1, 2, 3, 4, 5]
    assert [step.symbol for step in trace.forward] == [f"γ{i}" for i in range(1, 6)]
    assert [step.node.index for step in trace.reverse] == [node.index for node in reversed(Graph(z).nodes)]
    assert [term.number for step in trace.reverse for term in step.terms] == [6, 7, 8, 9, 10, 11]
    # As the text prints them: dz/dγ2 = γ1 and dz/dγ1 = γ2 + cos(γ1).
    assert trace.gradient(y) == trace.value(x) == 2.0
    assert trace.gradient(x) == pytest.approx(3.0 + math.cos(2.0), rel=1e-6)
    assert trace.loss is z
    last = trace.reverse[-1]
    assert [term.reader.op.name for term in last.terms] == ["sin", "multiply"]


@given(graphs())
def test_every_trace_adds_up(drawn):
    trace = gn.trace(drawn.output, drawn.feeds)
    numbers = [step.number for step in trace.forward] + [t.number for s in trace.reverse for t in s.terms]
    assert numbers == list(range(1, len(numbers) + 1))
    for step in trace.reverse:
        total = sum(np.asarray(term.value, dtype="float64") for term in step.terms)
        np.testing.assert_allclose(step.value, total, rtol=1e-12, atol=1e-12)
        assert step.value.shape == step.terms[0].value.shape
    gradients = gn.evaluate(gn.grad(drawn.output, list(drawn.feeds)), drawn.feeds)
    for node, wanted in zip(drawn.feeds, gradients, strict=True):
        np.testing.assert_array_equal(trace.gradient(node), wanted)
        np.testing.assert_array_equal(trace.value(node), drawn.feeds[node])
    assert len(str(trace).splitlines()) >= len(numbers)
    assert len(trace.latex().splitlines()) == len(trace.forward) + len(trace.reverse) + 2
    assert trace.latex().count("{") == trace.latex().count("}")


def test_arrays_and_named_sizes():
    x = gn.placeholder("X", ("n", 2))
    w, b = gn.parameter("W", [[1.0], [2.0]]), gn.parameter("b", [0.5])
    loss = gn.mean(gn.square(x @ w + b))
    trace = gn.trace(loss, {x: [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]}, wrt=[w, b])
    lines = [" ".join(line.split()) for line in str(trace).splitlines()]
    assert lines == [
        "forward pass",
        "1 γ1 = X = [[1., 0.], [0., 1.], [1., 1.]]",
        "2 γ2 = W = [[1.], [2.]]",
        "3 γ3 = b = [0.5]",
        "4 γ4 = γ1 @ γ2 = [[1.], [2.], [3.]]",
        "5 γ5 = γ4 + γ3 = [[1.5], [2.5], [3.5]]",
        "6 γ6 = γ5 ** 2 = [[ 2.25], [ 6.25], [12.25]]",
        "7 γ7 = mean(γ6) = 6.91667",
        "",
        "reverse pass of z = γ7",
        "8 ∂z/∂γ7 = 1 (seed)",
        "9 ∂z/∂γ6 += broadcast_to(reshape(∂z/∂γ7 * 1.0 / n, shape=(1, 1)), shape=(n, 1)) = [[0.3333], [0.3333], [0.3333]]",
        "∂z/∂γ6 = [[0.3333], [0.3333], [0.3333]]",
        "10 ∂z/∂γ5 += ∂z/∂γ6 * 2.0 * γ5 = [[1. ], [1.6667], [2.3333]]",
        "∂z/∂γ5 = [[1. ], [1.6667], [2.3333]]",
        "11 ∂z/∂γ4 += ∂z/∂γ5 * 1 = [[1. ], [1.6667], [2.3333]]",
        "∂z/∂γ4 = [[1. ], [1.6667], [2.3333]]",
        "12 ∂z/∂γ3 += reshape(sum(∂z/∂γ5, axis=0), shape=(1,)) = [5.]",
        "∂z/∂γ3 = [5.]",
        "13 ∂z/∂γ2 += γ1.T @ ∂z/∂γ4 = [[3.3333], [4. ]]",
        "∂z/∂γ2 = [[3.3333], [4. ]]",
    ]
    assert "n" in trace.latex()


def test_large_arrays_are_abbreviated():
    x = gn.placeholder("x", (50, 50))
    text = str(gn.trace(gn.sum(x * 2.0), {x: np.ones((50, 50), "float32")}))
    assert "[[1., 1., ..., 1., 1.], [1., 1., ..., 1., 1.], ..., " in text
    assert len(text) < 2000


def test_composites_stay_closed_or_are_opened():
    x = gn.placeholder("x", (3,), "float64")
    hidden = gn.softmax(x)
    loss = gn.sum(hidden * gn.constant([1.0, 2.0, 3.0], "float64"))
    feeds = {x: np.array([0.1, 0.2, 0.3])}
    closed, opened = gn.trace(loss, feeds), gn.trace(loss, feeds, expand=True, wrt=[x, hidden])
    assert [step.node.op.name for step in closed.forward] == ["placeholder", "softmax", "multiply", "sum"]
    names = [step.node.op.name for step in opened.forward]
    assert "softmax" not in names
    assert {"max", "stop_gradient", "subtract", "exp", "sum", "divide"} <= set(names)
    np.testing.assert_allclose(opened.gradient(x), closed.gradient(x), rtol=1e-12)
    # The user's own node finds its place in the opened trace.
    np.testing.assert_allclose(opened.gradient(hidden), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(opened.value(hidden), closed.value(hidden), rtol=1e-15)


def test_the_loss_may_be_the_variable_itself():
    x = gn.placeholder("x")
    trace = gn.trace(x, {x: 2.0})
    assert trace.gradient(x) == 1.0
    assert str(trace) == ("forward pass\n  1  γ1      = x  = 2\n\nreverse pass of x = γ1\n  2  ∂x/∂γ1  = 1  (seed)")


def test_another_letter():
    x = gn.placeholder("x")
    trace = gn.trace((x + x).named("loss"), {x: 2.0}, symbol="v")
    assert "  3  ∂loss/∂v2  = 1               (seed)" in str(trace)
    assert r"\frac{\partial \mathrm{loss}}{\partial v_{1}}" in trace.latex()


def test_names_are_escaped():
    x = gn.placeholder("x")
    trace = gn.trace((x * 2.0).named("100 %\n{_"), {x: 2.0})
    assert r"\partial \mathrm{100\ \%\backslash n\{\_}" in trace.latex()
    assert "reverse pass of 100 %\\n{_ = γ2" in str(trace)


def test_masked_contributions_are_shown_as_they_count():
    x = gn.placeholder("x")
    trace = gn.trace(gn.where(x > 0, gn.log(x), 0.0), {x: -1.0})
    assert trace.gradient(x) == 0.0
    assert "where(γ2, ∂z/∂γ4 * 1.0 / γ1, 0.0)" in str(trace)


def test_parameters_and_integers():
    w, i = gn.parameter("w", [1.0, 2.0, 3.0]), gn.placeholder("i", (), "int64")
    trace = gn.trace(w[i] * 2.0, {i: 1})
    assert trace.gradient(w).tolist() == [0.0, 2.0, 0.0]
    with pytest.raises(GraphError, match="trace: i has no adjoint in this trace"):
        trace.gradient(i)
    assert trace.value(i) == 1


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda x, w: gn.trace(x * 2, {}), DifferentiationError, "the loss is not a floating-point scalar: multiply"),
        (lambda x, w: gn.trace(gn.argmax(x)), DifferentiationError, "the loss is not a floating-point scalar: argmax"),
        (lambda x, w: gn.trace(2.0), GraphError, "trace: the loss is a node, not 2.0"),
        (lambda x, w: gn.trace(gn.constant(2.0) * 3), DifferentiationError, "depends on no floating-point input"),
        (lambda x, w: gn.trace(gn.sum(x)), GraphError, "no value for 'x'"),
        (lambda x, w: gn.trace(gn.sum(x), {x: [1.0] * 3}, wrt=w), DifferentiationError, "sum.* does not depend on w"),
        (lambda x, w: gn.trace(gn.sum(x), {x: [1.0] * 3}).value(w), GraphError, "trace: w is not in this trace"),
    ],
)
def test_mistakes(make, error, message):
    x, w = gn.placeholder("x", (3,)), gn.parameter("w", 1.0)
    with pytest.raises(error, match=message):
        make(x, w)

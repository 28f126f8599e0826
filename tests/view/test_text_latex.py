import re
from pathlib import Path

import numpy as np
import pytest
from view_helpers import EVIL, evil_graph, network

import graphnn as gn
from graphnn import nn


def columns_but_the_last(table):
    return re.sub(r" +test_\w+\.py:\d+| +view_helpers\.py:\d+| +line$", "", table, flags=re.M)


def test_text_is_a_table_of_all_nodes():
    loss, _ = network()
    assert columns_but_the_last(gn.text(loss)) == "\n".join(
        [
            " #  name  op           inputs  spec               scope",
            " 0  x     placeholder          float32[batch, 4]",
            " 1  t     placeholder          float32[batch, 2]",
            " 2  W1    parameter            float32[4, 3]      net.hidden",
            " 3  b1    parameter            float32[3]         net.hidden",
            " 4        matmul       x, W1   float32[batch, 3]  net.hidden",
            " 5        add          #4, b1  float32[batch, 3]  net.hidden",
            " 6        tanh         #5      float32[batch, 3]  net.hidden",
            " 7  W2    parameter            float32[3, 2]      net.out",
            " 8        matmul       #6, W2  float32[batch, 2]  net.out",
            " 9        subtract     #8, t   float32[batch, 2]",
            "10        square       #9      float32[batch, 2]",
            "11  loss  mean         #10     float32[]",
            "",
            "output: loss",
        ]
    )


def test_text_tells_the_line_of_each_node():
    x = gn.placeholder("x")
    line = int(gn.text(x).splitlines()[1].rpartition(":")[2])
    assert "x = gn.placeholder" in Path(__file__).read_text("utf-8").splitlines()[line - 1]


def test_text_shows_passes_updates_fields_and_sizes():
    x, w = gn.placeholder("x", ("n", 2)), gn.parameter("w", [[1.0, 2.0]])
    loss = gn.sum(gn.mean(x * w, axis=0)).named("loss")
    table = gn.text(gn.Graph(loss, [(w, w - gn.grad(loss, w))]))
    assert "mean(axis=0)" in table
    assert "dim_size(n)" in table
    assert "reverse of loss" in table
    assert re.search(r"^update: w <- #\d+$", table, re.M)


def test_text_keeps_every_name_on_its_line():
    graph = evil_graph()
    table = gn.text(graph)
    assert len(table.splitlines()) == len(graph) + 3 + len(EVIL)
    assert table.isprintable() or set(table) - {"\n"} == {c for c in table if c.isprintable()}
    assert max(map(len, table.splitlines())) < 400


def test_nodes_of_one_name_are_called_by_number():
    a, b = gn.placeholder("x"), gn.placeholder("x")
    assert "#0, #1" in gn.text(a + b)


def test_long_graphs_are_printed():
    node = gn.placeholder("x")
    for _ in range(100_000):
        node = gn.sin(node)
    many = gn.concat([gn.reshape(gn.placeholder("y"), (1,)) for _ in range(5000)])
    assert len(gn.text(node).splitlines()) == 100_004
    assert gn.latex(node).count("&=") == 100_000 // 8
    assert gn.latex(many).count("reshape") == 5000
    assert "… 4994 more" in gn.text(many)


def test_latex_of_one_expression():
    x, w, b = gn.placeholder("x", ("batch", 4)), gn.placeholder("W1", (4, 3)), gn.placeholder("b_1", (3,))
    assert gn.latex(gn.relu(x @ w + b)) == r"\operatorname{relu}\left(x\, W_{1} + b_{1}\right)"
    assert gn.latex(x) == "x"


def test_latex_binds_what_is_named_or_read_twice():
    loss, _ = network()
    shared = gn.tanh(gn.placeholder("s") + 1.0)
    assert gn.latex([loss, shared * gn.exp(shared)]) == "\n".join(
        [
            r"\begin{aligned}",
            r"v_{1} &= \tanh\left(s + 1\right) \\",
            r"\mathrm{loss} &= \operatorname{mean}\left("
            r"\left(\tanh\left(x\, W_{1} + b_{1}\right)\, W_{2} - t\right)^{2}\right) \\",
            r"y &= v_{1}\, e^{v_{1}}",
            r"\end{aligned}",
        ]
    )


def test_latex_of_gradients_never_writes_a_value_twice():
    loss, parameters = network()
    lines = gn.latex([loss, *gn.grad(loss, parameters)]).splitlines()
    assert sum(r"\tanh" in line for line in lines) == 1
    left = [line.partition(" &= ")[0] for line in lines[1:-1]]
    assert len(set(left)) == len(left)
    assert left[-3:] == ["y_{1}", "y_{2}", "y_{3}"]


def test_latex_writes_updates():
    w, x = gn.parameter("w", 1.0), gn.placeholder("x")
    f = gn.function([x], w * x, updates={w: w - 0.5 * x})
    assert gn.latex(f) == "\n".join(
        [r"\begin{aligned}", r"y &= w\, x \\", r"w &\leftarrow w - 0.5\, x", r"\end{aligned}"]
    )


def test_latex_names_large_constants():
    x = gn.placeholder("x", (3,))
    assert gn.latex(gn.constant(np.ones((2, 3), "float32")) @ x) == r"C_{1}\, x"


def test_latex_of_evil_names_is_balanced():
    text = gn.latex(evil_graph())
    bare = re.sub(r"\\[{}\\]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.isascii() or "重み" in text
    assert not re.search(r"(?<!\\)[$%#]", text)
    assert all(c.isprintable() or c == "\n" for c in text)


def test_latex_is_shown_by_notebooks():
    assert gn.latex(gn.sin(gn.placeholder("x")))._repr_latex_() == r"$\displaystyle \sin\left(x\right)$"


def test_views_take_trees_modules_and_functions():
    x = gn.placeholder("x", ("batch", 3))
    y = gn.sin(x)
    assert gn.text({"a": [y], "b": x}) == gn.text(gn.Graph([y, x]))
    assert gn.text(gn.function([x], y)) == gn.text(y)
    assert "tanh" in gn.latex(nn.Sequential(nn.Linear(3, 2), nn.Tanh()))


@pytest.mark.parametrize("wrong", [3, "loss", None, [], {"a": 1}, [gn.placeholder("x"), 2.0]])
def test_what_is_no_graph_is_refused(wrong):
    with pytest.raises(gn.GraphError, match="a view takes"):
        gn.text(wrong)

import re
import warnings

import numpy as np
import pygraphviz
import pytest
from view_helpers import EVIL, evil_graph, network

import graphnn as gn
from graphnn.ops.composite import Composite
from graphnn.view.dot import dot
from graphnn.view.palette import CURVES, INK, LOOKS, PAPER, QUIET, contrast
from graphnn.view.subject import opened as open_all


def read_back(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pygraphviz.AGraph(string=text)


def statement(text, label):
    """The line of the node with this label."""
    (line,) = [line for line in text.splitlines() if re.match(rf'\s*n\d+ \[label="{re.escape(label)}"', line)]
    return line


def edges(text):
    return re.findall(r'^  (\w+) -> (\w+) \[label=" ([^"]*)"', text, re.M)


def test_dot_of_a_small_graph():
    x = gn.placeholder("x", ("batch", 3))
    text = dot(gn.tanh(x * 2.0).named("y"))
    text = re.sub(r'tooltip="(\\.|[^"\\])*"', "tooltip", text)
    assert text == "\n".join(
        [
            "digraph graphnn {",
            '  graph [rankdir=TB, bgcolor="#FFFFFF", fontname="Helvetica,Arial,sans-serif", fontsize=11, nodesep=0.3, '
            "ranksep=0.35, pad=0.2, splines=true]",
            '  node [fontname="Helvetica,Arial,sans-serif", fontsize=12, fontcolor="#1B1F24", height=0.36, '
            'margin="0.14,0.06"]',
            '  edge [fontname="Helvetica,Arial,sans-serif", fontsize=9, fontcolor="#57606A", color="#57606A", '
            "arrowsize=0.6]",
            '  n0 [label="x", shape=box, style="rounded,filled", fillcolor="#B3DDF5", color="#387597", tooltip]',
            '  n2 [label="· * 2.0", shape=ellipse, style="filled", fillcolor="#FFFFFF", color="#57606A", tooltip]',
            '  n3 [label="y\\ntanh", shape=box, style="filled", fillcolor="#B2E2D5", color="#00674B", peripheries=2, '
            "tooltip]",
            '  n0 -> n2 [label=" [batch, 3]"]',
            '  n2 -> n3 [label=" [batch, 3]"]',
            "}",
            "",
        ]
    )


def test_tooltips_are_sentences():
    with gn.scope("head"):
        y = gn.tanh(gn.placeholder("x", ("n", 3)) * 2.0).named("y")
    tip = re.search(r'tooltip="(Node 3.*)"\]', dot(y))[1]
    assert re.sub(r":\d+ in", ":60 in", tip).startswith(
        "Node 3: y is tanh(x * 2.0), float32[n, 3], in head; test_dot.py:60 in test_tooltips_are_sentences    y = gn.tanh"
    )


def test_scopes_are_boxes_and_parameters_stand_in_them():
    loss, _ = network()
    graph = read_back(dot(loss))
    boxes = {box.graph_attr["label"]: box for box in graph.subgraphs()}
    assert set(boxes) == {"net"}
    inner = {box.graph_attr["label"]: box for box in boxes["net"].subgraphs()}
    assert set(inner) == {"hidden", "out"}
    labels = {graph.get_node(name).attr["label"] for name in inner["hidden"].nodes()}
    assert labels == {"W1", "b1", "matmul", "add", "tanh"}


def test_a_parameter_without_a_scope_stands_beside_its_readers():
    x, w = gn.placeholder("x", ("batch", 4)), gn.parameter("w", np.ones((4, 2), "float32"))
    with gn.scope("layer"):
        y = x @ w
    graph = read_back(dot(y))
    (box,) = graph.subgraphs()
    assert {graph.get_node(name).attr["label"] for name in box.nodes()} == {"w", "matmul"}


def test_every_kind_has_a_shape_and_a_colour_of_its_own():
    x, t = gn.placeholder("x", (2,)), gn.state("steps", np.zeros(2, "float32"))
    w, c = gn.parameter("w", np.ones(2, "float32")), gn.constant(np.arange(6, dtype="float32").reshape(3, 2))
    y = gn.sum(gn.relu(x * w + t + c)).named("total")
    text = dot([y, gn.grad(y, w)])
    for label, kind in (
        ("x", "input"),
        ("w", "parameter"),
        ("steps", "state"),
        ("constant[3, 2]", "constant"),
        ("relu", "composite"),
    ):
        look = LOOKS[kind]
        assert f'shape={look.shape}, style="{look.style}", fillcolor="{look.fill}"' in statement(text, label)
    assert "peripheries=2" in statement(text, "total\\nsum")
    assert 'style="filled,dashed"' in statement(text, "· > 0.0")
    kinds = ("input", "parameter", "state", "constant", "op", "composite")
    assert len({LOOKS[kind][:2] for kind in kinds}) == len({LOOKS[kind].fill for kind in kinds}) == len(kinds)


def test_colours_have_enough_contrast():
    for look in LOOKS.values():
        assert contrast(INK, look.fill) >= 4.5
        assert contrast(look.line, PAPER) >= 3
    assert contrast(QUIET, PAPER) >= 4.5
    assert all(contrast(colour, PAPER) >= 3 for colour, _ in CURVES)


def test_edges_carry_shapes_and_data_types():
    i, x = gn.placeholder("i", (3,), "int64"), gn.placeholder("x", ())
    text = dot(gn.sum(i.astype("float32") * x))
    assert {shape for _, _, shape in edges(text)} == {"int64[3]", "[3]", "scalar"}


def test_updates_are_edges_to_the_variable():
    x, w = gn.placeholder("x"), gn.parameter("w", 1.0)
    text = dot(gn.function([x], w * x, updates={w: w + x}))
    assert re.search(r'n3 -> n1 \[label=" new value".*constraint=false', text), text
    assert 'label="update"' in text


def deep_network(layers):
    h, parameters = gn.placeholder("x", ("batch", 8)), []
    for i in range(layers):
        w = gn.parameter(f"w{i}", np.ones((8, 8), "float32"))
        parameters.append(w)
        with gn.scope(f"layer {i}"):
            h = gn.tanh(h @ w)
    loss = gn.mean(h).named("loss")
    return gn.Graph([loss, *gn.grad(loss, parameters)])


def test_long_edges_into_the_reverse_pass_are_cut():
    graph = deep_network(12)
    text = dot(graph)
    number = {f"n{i}": node for i, node in enumerate(graph.nodes)}
    stubs = dict(re.findall(r'(s\d+_\d+) \[label="↑ ([^"]*)"', text))
    assert len(stubs) > 12
    assert "w3" in stubs.values()
    forward = sum(node.origin is None for node in graph.nodes)
    for start, end, _ in edges(text):
        if start not in number:
            assert number[end].origin is not None
            assert start.endswith(f"_{end[1:]}")
        elif number[start].origin is None and number[end].origin is not None:
            assert int(start[1:]) > forward - 8, "only edges near the loss are drawn"
    for called in stubs.values():  # what a stub calls can be found in the picture
        if called.startswith("#"):
            assert f'\\n{called.split()[0]}"' in text


def test_every_edge_of_the_graph_is_drawn_once():
    graph = deep_network(12)
    text = dot(graph)
    drawn = set(re.findall(r"^\s*n(\d+) \[label", text, re.M))
    assert drawn == {str(i) for i, node in enumerate(graph.nodes) if not _inlined(node)}
    assert len(edges(text)) == sum(not _inlined(operand) for node in graph.nodes for operand in node.inputs)


def _inlined(node):
    return not node.inputs and node.name is None and node.shape == ()


def test_composites_open_on_demand():
    x = gn.placeholder("x", (3,))
    with gn.scope("head"):
        y = gn.softmax(x, axis=0).named("p") + gn.softmax(x * 2.0, axis=0)
    closed, text = dot(y), dot(y, expand=True)
    assert statement(closed, "softmax")
    graph = read_back(text)
    (head,) = graph.subgraphs()
    assert {box.graph_attr["label"] for box in head.subgraphs()} == {"p", "softmax"}
    assert not any(isinstance(node.op, Composite) for node in open_all(gn.Graph(y)).nodes)
    feeds = {x: np.array([1.0, 2.0, 3.0], "float32")}
    np.testing.assert_allclose(gn.evaluate(open_all(gn.Graph(y)).outputs[0], feeds), gn.evaluate(y, feeds), rtol=1e-6)


@pytest.mark.parametrize("name", EVIL, ids=range(len(EVIL)))
def test_evil_names_are_only_text(name):
    x = gn.placeholder(name, (2,))
    with gn.scope(name):
        y = gn.tanh(x).named(name)
    text = dot(y)
    graph = read_back(text)
    assert len(graph.nodes()) == 2
    assert len(graph.subgraphs()) == 1
    assert text.count("\n") == 3 + 1 + 1 + 2 + 1 + 1 + 2
    assert len(text) < 6000


def test_a_whole_graph_of_evil_names_is_read_back():
    source = evil_graph()
    text = dot(source)
    graph = read_back(text)
    declared = re.findall(r"^\s*([nsu][\d_]+) \[label", text, re.M)
    assert len(declared) == len(set(declared)) == len(graph.nodes())
    assert sum(name.startswith("n") for name in declared) == sum(not _inlined(node) for node in source.nodes)


def test_text_depends_on_the_graph_alone():
    first, second = network()[0], network()[0]
    cut = re.compile(r"; view_helpers.*?\"")
    assert cut.sub("", dot(first)) == cut.sub("", dot(second))
    assert not re.search(r"0x[0-9a-f]{6}", dot(first))


def test_five_thousand_nodes_have_straight_edges():
    graph = deep_network(560)
    assert len(graph) > 5000
    text = dot(graph)
    assert "splines=line" in text


def test_deep_scopes_and_chains_need_no_recursion():
    node = gn.placeholder("x")
    for _ in range(20_000):
        node = gn.sin(node)
    assert dot(node).count("->") == 20_000

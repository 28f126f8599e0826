"""Graphs: topological order, equality by structure, and the way to networkx and back."""

import networkx
import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.errors import GraphError, LoweringError, RewriteError, ShapeError
from graphnn.ir.graph import Graph, topological
from graphnn.ir.node import build
from graphnn.ir.spec import Spec
from graphnn.ir.verify import check_names, verify
from graphnn.testing.strategies import graphs


def network(order="xw"):
    """``relu(x w + b)``, its mean, and an update; the leaves are built in either order."""
    made = {}
    for name in order:
        made[name] = gn.placeholder("x", ("batch", 3)) if name == "x" else gn.parameter("w", np.ones((3, 2)))
    x, w = made["x"].astype("float64"), made["w"]
    b = gn.parameter("b", np.zeros(2))
    loss = gn.mean(gn.relu(x @ w + b))
    dw, db = gn.grad(loss, [w, b])
    return Graph([loss, x], {w: w - 0.1 * dw, b: b - db}.items())


@given(graphs())
def test_inputs_come_before_users(drawn):
    loss = drawn.output
    graph = Graph([loss, *gn.grad(loss, list(drawn.feeds))])
    verify(graph)
    position = {node: i for i, node in enumerate(graph)}
    assert len(position) == len(graph) == len(graph.nodes)
    for node in graph:
        assert all(position[operand] < position[node] for operand in node.inputs)
    users = graph.users()
    assert sum(map(len, users.values())) == sum(len(node.inputs) for node in graph)
    for node in users:
        assert all(any(operand is node for operand in user.inputs) for user in users[node])


@given(graphs())
def test_round_trip_through_networkx(drawn):
    loss = drawn.output
    graph = Graph([loss, *gn.grad(loss, list(drawn.feeds))])
    back = Graph.from_networkx(graph.to_networkx())
    assert back == graph
    assert hash(back) == hash(graph)
    verify(back)
    feeds = {node: drawn.feeds[old] for node, old in zip(back.inputs, graph.inputs, strict=True)}
    for old, new in zip(
        gn.evaluate(list(graph.outputs), drawn.feeds), gn.evaluate(list(back.outputs), feeds), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def test_topological_stops_where_told():
    x = gn.placeholder("x")
    y = gn.sin(x)
    z = gn.cos(y) + y
    assert [n.op.name for n in topological([z], stop={y})] == ["sin", "cos", "add"]
    assert topological([]) == ()
    assert [n.op.name for n in topological([z, x, z])] == ["placeholder", "sin", "cos", "add"]


def test_parts_of_a_graph():
    graph = network()
    assert [n.label for n in graph.inputs] == ["x"]
    assert [n.label for n in graph.parameters] == ["w", "b"]
    assert graph.states == ()
    assert {float(n.op.payload.array) for n in graph.constants} >= {0.1}
    assert repr(graph).startswith(f"Graph({len(graph)} nodes, 1 inputs, 2 parameters -> mean(…): float64[], ")
    with pytest.raises(GraphError, match="a graph is made of nodes, not of 3"):
        Graph([graph.outputs[0], 3])


# --- equality ---


def test_equality_does_not_ask_in_which_order_things_were_built():
    assert network("xw") == network("wx")
    assert hash(network("xw")) == hash(network("wx"))


def test_equality_does_not_ask_in_which_order_updates_are_listed():
    x, w, v = gn.placeholder("x"), gn.parameter("w", 1.0), gn.parameter("v", 2.0)
    for outputs in ([w * v], [], [x]):
        first = Graph(outputs, {w: v * x, v: w}.items())
        second = Graph(outputs, {v: w, w: v * x}.items())
        assert first == second
        assert hash(first) == hash(second)


def changed_graphs():
    def graph(name="x", shape=("n", 3), dtype="float32", op=gn.sin, number=2.0, swap=False, twice=False, label="y"):
        x, z = gn.placeholder(name, shape, dtype), gn.placeholder("z", shape, dtype)
        a, b = (z, x) if swap else (x, z)
        y = (op(a) - number * b).named(label)
        return Graph([y, y] if twice else [y])

    yield graph()
    yield graph(name="other")
    yield graph(shape=("m", 3))
    yield graph(shape=(2, 3))
    yield graph(dtype="float64")
    yield graph(op=gn.cos)
    yield graph(number=2.5)
    yield graph(swap=True)
    yield graph(twice=True)
    yield graph(label="other")
    x = gn.placeholder("x", ("n", 3))
    yield Graph([gn.sum(x, axis=0)])
    yield Graph([gn.sum(x, axis=1)])
    yield Graph([gn.sum(x, axis=1, keepdims=True)])
    yield Graph([gn.softmax(x, axis=0)])
    yield Graph([gn.softmax(x, axis=1)])
    w = gn.parameter("w", 1.0)
    yield Graph([w])
    yield Graph([w], [(w, w + 1)])
    yield Graph([w], [(w, w + 2)])
    yield Graph([])


def test_graphs_that_differ_in_one_thing_are_unequal():
    first, second = list(changed_graphs()), list(changed_graphs())
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            assert (a == b) is (i == j), (a, b)
    assert first[0] != "graph"


def test_sharing_matters():
    x = gn.placeholder("x")
    shared = gn.sin(x)
    assert Graph(shared + shared) != Graph(gn.sin(x) + gn.sin(x))


def test_constants_are_compared_by_their_bits():
    x = gn.placeholder("x")
    assert Graph(x + float("nan")) == Graph(x + float("nan"))
    assert Graph(x + 0.0) != Graph(x + -0.0)
    big = np.arange(1000.0)
    assert Graph(gn.constant(big)) == Graph(gn.constant(big.copy()))
    assert Graph(gn.constant(big)) != Graph(gn.constant(big[::-1]))


# --- networkx ---


def test_attributes_of_networkx():
    with gn.scope("model"):
        x = gn.placeholder("x", ("batch", 3))
        w = gn.parameter("w", [1.0, 2.0, 3.0])
        y = x @ w
    loss = gn.sum(y).named("loss")
    graph = Graph([loss, y], [(w, w - gn.grad(loss, w))])
    out = graph.to_networkx()
    assert isinstance(out, networkx.MultiDiGraph)
    assert list(out) == list(range(len(graph)))
    assert networkx.is_directed_acyclic_graph(out)
    assert all(start < end for start, end in out.edges())
    number = {node: i for i, node in enumerate(graph)}
    row = out.nodes[number[y]]
    assert row["op"] == y.op
    assert row["kind"] == "matmul"
    assert (row["name"], row["label"], row["shape"], row["dtype"]) == (None, "matmul(…)", ("batch",), gn.float32)
    assert (row["scope"], row["source"], row["pass_"]) == (("model",), y.source, "forward")
    assert row["output"] == (1,)
    assert out.nodes[number[loss]]["output"] == (0,)
    assert out.nodes[number[x]]["output"] == ()
    assert [out.nodes[number[n]]["update_of"] for n in (graph.updates[0][1], loss)] == [(number[w],), ()]
    assert {row["pass_"] for _, row in out.nodes(data=True)} == {"forward", "reverse"}
    positions = {start: row["position"] for start, _, row in out.in_edges(number[y], data=True)}
    assert positions == {number[x]: 0, number[w]: 1}


def test_two_edges_where_a_node_is_read_twice():
    x = gn.placeholder("x")
    graph = Graph(x * x)
    out = graph.to_networkx()
    assert sorted(data["position"] for *_, data in out.edges(data=True)) == [0, 1]
    back = Graph.from_networkx(out)
    assert back == graph
    (y,) = back.outputs
    assert y.inputs[0] is y.inputs[1]


@pytest.mark.parametrize("outputs", ["none", "one", "repeated", "inputs"])
def test_round_trip_with_updates(outputs):
    x, w, v = gn.placeholder("x"), gn.parameter("w", 1.0), gn.parameter("v", 2.0)
    s = gn.state("s", 0)
    y = gn.advance(x * w, {s: s + 1})
    ends = {"none": [], "one": [y], "repeated": [y, w, y], "inputs": [x]}[outputs]
    # The new value of one is built after that of the other, and one value serves twice.
    new = w + v
    later = v * x
    for updates in ({w: new, v: later}, {w: later, v: new}, {w: v, v: w}, {w: new, v: new}, {w: w}):
        graph = Graph(ends, updates.items())
        back = Graph.from_networkx(graph.to_networkx())
        assert back == graph
        assert len(back.outputs) == len(ends)
        assert len(back.updates) == len(updates)


def test_variables_keep_their_values_on_the_way():
    w = gn.parameter("w", [1.0, 2.0])
    back = Graph.from_networkx(Graph(w * 2).to_networkx())
    (copy,) = back.parameters
    assert copy.value.tolist() == [1.0, 2.0]
    gn.function([], [], updates={w: w + 1})()
    assert copy.value.tolist() == [2.0, 3.0]  # the value stays one and the same


def test_edits_in_networkx():
    x = gn.placeholder("x", (3,))
    out = Graph(gn.sin(x) + 1.0).to_networkx()
    sine = next(n for n, row in out.nodes(data=True) if row["kind"] == "sin")
    out.nodes[sine]["op"] = gn.cos(x).op
    back = Graph.from_networkx(out)
    assert back == Graph(gn.cos(x) + 1.0)
    # A node more, read by the last one in the place of another.
    last = next(n for n, row in out.nodes(data=True) if row["output"])
    out.add_node("new", op=gn.negative(x).op)
    out.add_edge(sine, "new", position=0)
    out.remove_edge(sine, last)
    out.add_edge("new", last, position=0)
    back = Graph.from_networkx(out)
    assert back == Graph(-gn.cos(x) + 1.0)
    assert gn.evaluate(back.outputs[0], {back.inputs[0]: [0.0, 0.0, 0.0]}).tolist() == [0.0, 0.0, 0.0]


def test_specs_are_inferred_anew_after_edits():
    x = gn.placeholder("x", (3, 4))
    out = Graph(gn.sum(gn.sin(x), axis=0)).to_networkx()
    row = next(row for _, row in out.nodes(data=True) if row["kind"] == "sum")
    row["op"] = gn.sum(x, axis=1).op
    assert Graph.from_networkx(out).outputs[0].shape == (3,)
    row["op"] = gn.sum(gn.placeholder("z", (1, 1, 1)), axis=2).op
    with pytest.raises(ShapeError, match=r"sum: \[3, 4\] has no axis 2"):
        Graph.from_networkx(out)


def test_a_graph_from_elsewhere_ends_where_nothing_reads_on():
    x = gn.placeholder("x")
    out = networkx.DiGraph()
    out.add_node("x", op=x.op, node=x, name="x")
    out.add_node("s", op=gn.sin(x).op)
    out.add_edge("x", "s", position=0)
    assert Graph.from_networkx(out) == Graph(gn.sin(x))


def broken(change):
    x = gn.placeholder("x")
    out = Graph(gn.sin(x) * x + x).to_networkx()
    change(out)
    return out


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda g: g.add_edge(3, 1, position=1), "from_networkx: the graph has a cycle: 1 -> 2 -> 3 -> 1"),
        (lambda g: g.nodes[1].pop("op"), "from_networkx: node 1 has no attribute 'op' that is a graphnn op"),
        (lambda g: g.nodes[1].update(op="sin"), "from_networkx: node 1 has no attribute 'op' that is a graphnn op"),
        (lambda g: g.nodes[0].pop("node"), "from_networkx: the leaf 0 has no attribute 'node'"),
        (lambda g: g.edges[0, 1, 0].pop("position"), "from_networkx: the operands of node 1 have the positions [None]"),
        (lambda g: g.edges[0, 1, 0].update(position=1), "from_networkx: the operands of node 1 have the positions [1]"),
        (lambda g: g.edges[0, 1, 0].update(position=-1), "from_networkx: the operands of node 1 have the positions [-1]"),
        (lambda g: g.add_node("c", op=gn.constant(1.0).op), None),
        (lambda g: (g.add_node("c", op=gn.constant(1.0).op), g.add_edge(0, "c", position=0)),
         "from_networkx: the leaf 'c' has operands"),
    ],
)  # fmt: skip
def test_graphs_that_cannot_be_read(change, message):
    out = broken(change)
    if message is None:
        Graph.from_networkx(out)
        return
    with pytest.raises(GraphError) as caught:
        Graph.from_networkx(out)
    assert caught.value.headline == message


def test_operands_that_are_gone():
    out = broken(lambda g: g.remove_node(1))
    with pytest.raises(GraphError, match="the operands of node 2 have the positions"):
        Graph.from_networkx(out)


@pytest.mark.parametrize(
    "op, count",
    [
        (lambda x: (x + x).op, 0),
        (lambda x: (x @ x).op, 1),
        (lambda x: gn.where(x > 0, x, x).op, 2),
        (lambda x: gn.sum(x).op, 2),
        (lambda x: x[:, 1:].op, 0),
    ],
)
def test_a_wrong_number_of_operands(op, count):
    x = gn.placeholder("x", (2, 2))
    out = networkx.MultiDiGraph()
    out.add_node("x", op=x.op, node=x, name="x")
    out.add_node("y", op=op(x))
    for position in range(count):
        out.add_edge("x", "y", position=position)
    with pytest.raises(GraphError, match=rf"from_networkx: \w+ \(node 'y'\) does not take {count} operands"):
        Graph.from_networkx(out)


def test_a_third_operand_of_a_sum_is_not_written_to():
    x = gn.placeholder("x", (2,))
    out = Graph(x + x).to_networkx()
    out.add_edge(0, 1, position=2)
    y = Graph.from_networkx(out).outputs[0]
    with pytest.raises(LoweringError, match="add takes 2 operands, not 3"):
        gn.evaluate(y, {y.inputs[0]: [1.0, 2.0]})


# --- verify ---


def test_verify_accepts_what_operations_build():
    verify(network())


def test_verify_finds_a_wrong_spec():
    x = gn.placeholder("x", (3,))
    wrong = build(gn.sin(x).op, (x,), Spec((4,), gn.float32))
    with pytest.raises(RewriteError, match=r"sin\(…\) has the spec float32\[4\], but its op infers float32\[3\]"):
        verify(Graph(wrong))


def test_two_inputs_of_one_name():
    a, b = gn.placeholder("x", (3,)), gn.placeholder("x", (3,))
    check_names(Graph(a + a))
    with pytest.raises(GraphError) as caught:
        check_names(Graph(a + b))
    assert caught.value.headline == "two different placeholders have the name 'x'"
    assert [row.name for row in caught.value.operands] == ["x", "x"]
    assert caught.value.operands[0].where.startswith("test_graph.py:")

"""Where nodes come from: the user's line, the scope, and for derived nodes the node that they serve."""

import doctest
import inspect
import sys
import threading

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.source import apart, on_behalf_of, serving


def here(offset=0):
    """The line number of the caller."""
    return sys._getframe(1).f_lineno + offset


def test_line_of_a_node():
    x = gn.placeholder("x", (3,))
    line = here(-1)
    assert (x.source.line, x.source.function) == (line, "test_line_of_a_node")
    assert x.source.file == __file__
    assert x.source.place == f"test_source.py:{line} in test_line_of_a_node"
    assert x.source.text == 'x = gn.placeholder("x", (3,))'
    assert str(x.source) == f"{x.source.place}    {x.source.text}"


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x + 1,
        lambda x: 1 + x,
        lambda x: np.ones(3, "float32") * x,
        lambda x: x[1:],
        lambda x: x.sum(),
        lambda x: x.at[0].set(1.0),
        lambda x: gn.softmax(x),
        lambda x: gn.einsum("i,i->", x, x),
        lambda x: gn.grad(gn.sum(x * x), x),
        lambda x: gn.jacobian(x * x, x),
        lambda x: gn.stack([x, x]),
        lambda x: gn.dropout(x, gn.stream(0)),
        lambda x: (x * 2).named("twice"),
        lambda x: gn.pad(x, 1, mode="reflect"),
        lambda x: gn.arange(3),
        lambda x: gn.constant(1.0),
        lambda x: gn.parameter("w", lambda shape, rng: np.zeros(shape), (3,)),
        lambda x: gn.state("s", 0),
    ],
)
def test_every_way_to_make_a_node_knows_the_line(make):
    x = gn.placeholder("x", (3,))
    first = here(-1)
    node = make(x)
    for made in gn.Graph(node):
        assert made.source.file == __file__
        assert made.source.line in (first, make.__code__.co_firstlineno), made


def test_the_innermost_line_outside_the_package_counts():
    def layer(x):
        return gn.relu(x * 2)

    def model(x):
        return layer(layer(x))

    out = model(gn.placeholder("x", (3,)))
    line = inspect.getsourcelines(layer)[1] + 1
    for node in gn.Graph(out).nodes[1:]:
        assert (node.source.line, node.source.function) == (line, "layer")


def test_layers_of_the_package_belong_to_the_line_that_calls_them():
    layer = gn.nn.Linear(3, 2)
    out = layer(gn.placeholder("x", ("batch", 3)))
    line = here(-1)
    assert out.source.line == line
    assert {n.source.line for n in gn.Graph(out)} <= {line, line - 1}


def test_code_without_a_file():
    space = {"gn": gn}
    exec("def make():\n    return gn.placeholder('x', (3,))\n\nx = make()\ny = x * 2", space)
    assert space["x"].source.place == "<string>:2 in make"
    assert space["x"].source.text == ""
    assert str(space["x"].source) == "<string>:2 in make"
    assert space["y"].source.place == "<string>:5"


def test_code_of_a_doctest():
    text = '>>> x = gn.placeholder("x", (3,))\n>>> (x * 2).source.line, x.source.line\n(1, 1)\n'
    test = doctest.DocTestParser().get_doctest(text, {"gn": gn}, "sample", None, None)
    runner = doctest.DocTestRunner(verbose=False)
    assert runner.run(test, clear_globs=False).failed == 0
    assert "doctest sample" in test.globs["x"].source.file


def test_comprehensions_and_lambdas():
    x = gn.placeholder("x", (3,))
    many = [x * i for i in (1.0, 2.0)]
    assert {node.source.line for node in many} == {here(-1)}
    double = lambda v: v + v  # noqa: E731
    node = double(x)
    assert node.source.line == here(-2)
    assert node.source.place == f"test_source.py:{here(-3)}"


# --- scopes ---


def test_scopes_nest():
    with gn.scope("encoder"):
        x = gn.placeholder("x", (3,))
        with gn.scope("layer 1"):
            y = x * 2
        z = y + 1
    out = z - 1
    assert [n.scope for n in (x, y, z, out)] == [("encoder",), ("encoder", "layer 1"), ("encoder",), ()]


def test_a_scope_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), gn.scope("inside"):
        1 / 0
    assert gn.placeholder("x").scope == ()


def test_threads_have_scopes_of_their_own():
    found = {}

    def work(name):
        with gn.scope(name):
            barrier.wait()
            found[name] = gn.placeholder("x").scope

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"t{i}": (f"t{i}",) for i in range(4)}


# --- derived nodes ---


def test_nodes_of_the_reverse_pass_know_whom_they_serve():
    with gn.scope("model"):
        x = gn.placeholder("x", (3,))
        h = gn.sin(x)
        line = here(-1)
    loss = gn.sum(h * h)
    (dx,) = gn.grad(loss, [x])
    derived = [node for node in gn.Graph(dx) if node.origin is not None]
    assert {node.origin.role for node in derived} == {"reverse"}
    assert {node.origin.node for node in derived} <= set(gn.Graph(loss))
    cosine = next(node for node in derived if node.op.name == "cos")
    assert cosine.origin.node is h
    assert (cosine.source.line, cosine.scope) == (line, ("model",))
    assert all(node.origin is None for node in gn.Graph(loss))


def test_nodes_of_the_forward_pass_know_whom_they_serve():
    x = gn.placeholder("x", (3,))
    h = gn.sin(x)
    out = gn.jvp(h, [x], [np.ones(3, "float32")])
    cosine = next(node for node in gn.Graph(out) if node.op.name == "cos")
    assert cosine.origin == ("forward", h)


def test_second_derivatives_serve_nodes_of_the_first():
    x = gn.placeholder("x")
    first = gn.grad(gn.sin(x), x)
    second = gn.grad(first, x)
    sine = next(node for node in gn.Graph(second) if node.op.name == "sin")
    assert sine.origin.role == "reverse"
    assert sine.origin.node.op.name == "cos"
    assert sine.origin.node.origin.node.op.name == "sin"


def test_contexts():
    x = gn.placeholder("x")
    with gn.scope("a"):
        y = x * 2
    with serving(y, "reverse"):
        g = x * 3
    assert (g.source, g.scope, g.origin) == (y.source, ("a",), ("reverse", y))
    with on_behalf_of(g):
        part = x * 4
    assert (part.source, part.scope, part.origin) == (g.source, g.scope, g.origin)
    with gn.scope("b"), apart():
        assert gn.placeholder("z").scope == ()


def test_rewritten_nodes_keep_line_scope_and_name():
    with gn.scope("net"):
        x = gn.placeholder("x", ("n",))
        y = gn.softmax(x).named("probabilities")
    kept = gn.Graph(y).nodes[-1]
    from graphnn.ir.rebuild import bind_sizes
    from graphnn.rewrite.pipeline import optimize

    (bound,) = bind_sizes([y], {"n": 3}, {})
    assert (bound.name, bound.source, bound.scope) == ("probabilities", kept.source, ("net",))
    (opened,) = optimize([bound])
    assert {n.scope for n in gn.Graph(opened)} <= {("net",), ()}
    assert opened.source == kept.source

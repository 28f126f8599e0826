"""Graph in, graph out: substitution, inlining, and binding of named sizes."""

import numpy as np
from hypothesis import given

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ir.rebuild import bind_sizes, inline, substitute, transform
from graphnn.ir.verify import verify
from graphnn.rewrite import Context, optimize
from graphnn.rewrite.passes import expand, expand_composites, intern
from graphnn.testing.strategies import graphs


def test_substitute_shares_what_does_not_change():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    kept = gn.sin(y)
    out = gn.cos(x).named("c") + kept
    (new,) = substitute([out], {x: y * 2})
    assert Graph(new) == Graph(gn.cos(y * 2).named("c") + kept)
    assert new.inputs[1] is kept
    assert new.source == out.source
    assert new.inputs[0].name == "c"
    (same,) = substitute([out], {})
    assert same is out
    (whole,) = substitute([out], {out: x})
    assert whole is x


def test_substitute_does_not_look_behind_what_is_replaced():
    x, y = gn.placeholder("x"), gn.placeholder("y")
    h = gn.sin(x)
    (new,) = substitute([h * 2], {h: y})
    assert [n.name for n in Graph(new).inputs] == ["y"]


def test_substitute_infers_shapes_anew():
    x = gn.placeholder("x", (3,))
    (new,) = substitute([gn.sum(gn.sin(x))], {x: gn.placeholder("z", ("n",), "float64")})
    assert new.inputs[0].shape == ("n",)
    assert new.dtype is gn.float64


def test_transform_sees_every_node_once_with_its_new_inputs():
    x = gn.placeholder("x")
    y = gn.sin(x)
    out = y * y
    seen = []

    def visit(node, inputs):
        seen.append(node)
        return gn.cos(*inputs) if node is y else None

    new = transform([out], visit)
    assert [node.index for node in seen] == [node.index for node in Graph(out)]
    assert Graph(new[out]) == Graph((lambda c: c * c)(gn.cos(x)))


def test_inline_copies_the_body_for_every_use():
    a = gn.placeholder("a", (3,))
    body = gn.exp(a) + 1.0
    x = gn.placeholder("x", (3,))
    with gn.scope("there"):
        (first,) = inline([body], [a], [x])
    (second,) = inline([body], [a], [first])
    assert Graph(second) == Graph(gn.exp(gn.exp(x) + 1.0) + 1.0)
    assert first.scope == ("there",)
    assert first.source.function == "test_inline_copies_the_body_for_every_use"


@given(graphs())
def test_passes_keep_the_values(drawn):
    outputs = [drawn.output, *gn.grad(drawn.output, list(drawn.feeds))]
    expected = gn.evaluate(outputs, drawn.feeds)
    for step in (expand, intern):
        changed = step(outputs, Context())
        verify(Graph(changed))
        for value, wanted in zip(gn.evaluate(changed, drawn.feeds), expected, strict=True):
            np.testing.assert_array_equal(value, wanted)
    once = optimize(outputs)
    verify(Graph(once))
    assert Graph(optimize(once)) == Graph(once)
    assert len(Graph(intern(outputs, Context()))) <= len(Graph(outputs))


def test_intern_makes_one_node_of_equal_ones():
    x, y = gn.placeholder("x", (2,)), gn.placeholder("y", (2,))
    a, b = gn.sin(x) * 2.0, gn.sin(x) * 2.0
    (out,) = intern([a + b], Context())
    assert out.inputs[0] is out.inputs[1]
    (out,) = intern([gn.sin(x) + gn.sin(y)], Context())
    assert out.inputs[0] is not out.inputs[1]
    (out,) = intern([gn.sum(x, keepdims=True) + gn.sum(x)], Context())
    assert out.inputs[0] is not out.inputs[1]


def test_intern_never_joins_inputs_or_variables():
    a, b = gn.parameter("w", 1.0), gn.parameter("w", 1.0)
    (out,) = intern([a + b], Context())
    assert out.inputs == (a, b) or (out.inputs[0] is a and out.inputs[1] is b)


def test_intern_tells_zeros_of_both_signs_apart():
    x = gn.placeholder("x")
    out = intern([x * 0.0, x * -0.0], Context())
    assert out[0] is not out[1]


def test_composites_inside_composites_are_opened():
    x = gn.placeholder("x", (2, 3))
    (out,) = expand_composites([gn.std(gn.log_softmax(x), axis=0)], lambda op: False)
    names = {node.op.name for node in Graph(out)}
    assert names.isdisjoint({"std", "var", "mean", "log_softmax", "logsumexp"})
    (kept,) = expand_composites([gn.std(gn.log_softmax(x), axis=0)], lambda op: op.name == "mean")
    assert "mean" in {node.op.name for node in Graph(kept)}


def test_bind_sizes():
    x = gn.placeholder("x", ("batch", "n"))
    w = gn.parameter("w", np.ones(4, "float32"))
    y = gn.mean(gn.pad(x, [(0, 0), (1, 2)])[:, 1:-1], axis=0) + gn.dim_size(x, 0, dtype="float32") + gn.sum(w)
    leaves = {}
    (bound,) = bind_sizes([y], {"batch": 5, "n": 4}, leaves)
    graph = Graph(bound)
    verify(graph)
    assert all(not node.spec.names and not node.op.size_names() for node in optimize([bound]))
    assert bound.shape == (5,)
    assert set(leaves) == {x}
    assert leaves[x].shape == (5, 4)
    assert graph.parameters[0] is w


def test_bind_sizes_to_other_names():
    x = gn.placeholder("x", ("n", "m"))
    leaves = {}
    (bound,) = bind_sizes([gn.reshape(x, (-1,))], {"m": gn.Dim("n") + 1}, leaves)
    assert leaves[x].shape == ("n", "n + 1")
    assert bound.shape == ("n + n**2",)

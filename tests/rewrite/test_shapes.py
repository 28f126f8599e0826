"""Index arithmetic of the shape rules, over all the ways to cut, join and repeat."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ir.verify import verify
from graphnn.ops.movement import Pad, Part, Slice
from graphnn.rewrite import Pass, optimize
from graphnn.rewrite.rules.reductions import REDUCTIONS
from graphnn.rewrite.rules.shapes import SHAPES

ONLY = [Pass("shapes", SHAPES + REDUCTIONS)]
bounds = st.none() | st.integers(-9, 9)
cuts = st.tuples(bounds, bounds, st.sampled_from([1, 1, 2, 3, -1, -2]))


def same(node, x, array):
    """The graph after the rules, checked to be legal and to give the same numbers."""
    (out,) = optimize([node], passes=ONLY)
    verify(Graph(out))
    np.testing.assert_array_equal(gn.evaluate(out, {x: array}), gn.evaluate(node, {x: array}))
    assert Graph(optimize([out], passes=ONLY)) == Graph(out)
    return out


@settings(max_examples=150)
@given(st.integers(0, 7), cuts, cuts, cuts)
def test_slices_of_slices(size, a, b, c):
    x = gn.placeholder("x", (size, 2), "int64")
    whole = (None, None, 1)
    node = Slice((c, whole))(Slice((b, (None, None, -1)))(Slice((a, whole))(x)))
    out = same(node, x, np.arange(2 * size).reshape(size, 2))
    assert len(Graph(out)) <= 2


@settings(max_examples=100)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), cuts, st.data())
def test_slices_and_parts_of_joined_arrays(sizes, cut, data):
    x = gn.placeholder("x", (max(sizes),), "int64")
    joined = gn.concat([x[:size] for size in sizes])
    array = np.arange(max(sizes))
    same(Slice((cut,))(joined), x, array)
    total = sum(sizes)
    start = data.draw(st.integers(0, total))
    length = data.draw(st.integers(0, total - start))
    same(Part(0, start, length)(joined), x, array)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.permutations(range(5)))
def test_joined_parts(sizes, order):
    x = gn.placeholder("x", (sum(sizes),), "int64")
    starts = np.cumsum([0, *sizes])
    pieces = [Part(0, int(start), size)(x) for start, size in zip(starts, sizes, strict=False)]
    same(gn.concat([pieces[i] for i in order if i < len(pieces)]), x, np.arange(sum(sizes)))
    assert same(gn.concat(pieces), x, np.arange(sum(sizes))) is x


@settings(max_examples=60)
@given(st.integers(0, 3), *[st.integers(0, 2)] * 4, st.data())
def test_zeros_around(size, a, b, c, d, data):
    x = gn.placeholder("x", (size, 2), "int64")
    padded = Pad(((a, b), (0, 0)))(Pad(((c, d), (1, 0)))(x))
    total = size + a + b + c + d
    start = data.draw(st.integers(0, total))
    part = Part(0, start, data.draw(st.integers(0, total - start)))(padded)
    same(part, x, np.arange(2 * size).reshape(size, 2))
    assert len(Graph(same(Part(0, a + c, size)(Part(1, 1, 2)(padded)), x, np.arange(2 * size).reshape(size, 2)))) <= 4


shapes = st.sampled_from([(2, 3), (1, 3), (2, 1), (3,), (1,), (1, 1), ()])


@settings(max_examples=100)
@given(shapes, shapes, st.sampled_from(["add", "where", "exp"]), st.data())
def test_repeated_operands_and_reductions_of_them(first, second, kind, data):
    x = gn.placeholder("x", (2, 3), "float64")
    a, b = (gn.reshape(gn.sum(x), ()) + gn.zeros(shape, dtype="float64") for shape in (first, second))
    a = gn.broadcast_to(a, data.draw(st.sampled_from([a.shape, (2, 3), (4, 2, 3)]).filter(lambda s: _fits(first, s))))
    b = gn.broadcast_to(b, data.draw(st.sampled_from([b.shape, (2, 3), (4, 2, 3)]).filter(lambda s: _fits(second, s))))
    node = {"add": lambda: a + b, "where": lambda: gn.where(a > b, a, b * 2), "exp": lambda: gn.exp(a)}[kind]()
    axes = tuple(i for i in range(node.ndim) if data.draw(st.booleans()))
    reduce = data.draw(st.sampled_from([gn.sum, gn.max, gn.min, gn.prod]))
    wide = gn.broadcast_to(node, (5, 4, 2, 3)) if data.draw(st.booleans()) else node
    reduced = reduce(wide, axis=axes, keepdims=data.draw(st.booleans()))
    twice = reduce(reduced, axis=0) if reduced.ndim else reduced
    array = np.arange(6.0).reshape(2, 3) / 64
    for end in (node, reduced, twice, gn.reshape(reduced, (-1,))):
        (out,) = optimize([end], passes=ONLY)
        verify(Graph(out))
        np.testing.assert_allclose(gn.evaluate(out, {x: array}), gn.evaluate(end, {x: array}), rtol=1e-13)
        assert Graph(optimize([out], passes=ONLY)) == Graph(out)


def _fits(shape, wide):
    try:
        return np.broadcast_shapes(shape, wide) == wide
    except ValueError:
        return False

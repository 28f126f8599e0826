"""Domains and strategies: they give what they promise, and little is thrown away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.testing import all_cases, check_gradients, domains
from graphnn.testing.strategies import Discards, arrays, broadcastable, graphs, laid_out, raw_arrays, samples, shapes

anywhere = raw_arrays((4,))


@given(anywhere)
def test_points_keep_away_from_kinks(raw):
    assert (np.abs(domains.away_from(0.0).map(raw)) >= 0.25).all()
    assert (np.abs(domains.away_from(0.0, gap=0.5).map(raw)) >= 0.5).all()
    both = domains.away_from(-1.0, 1.0).map(raw)
    assert (np.abs(np.abs(both) - 1.0) >= 0.25).all()
    assert (domains.POSITIVE.map(raw) > 0).all()
    assert (domains.above(1.0, gap=0.25).map(raw) > 1.25).all()
    assert (np.abs(domains.inside(-1.0, 1.0).map(raw)) < 0.86).all()


@given(raw_arrays((3, 4)))
def test_distinct_points_are_distinct(raw):
    ordered = np.sort(domains.distinct(0.5).map(raw).ravel())
    assert (np.diff(ordered) >= 0.25 - 1e-9).all()


@given(anywhere, anywhere)
def test_grids_never_meet(first, second):
    a, b = domains.near_grid(0.0).map(first), domains.near_grid(0.5).map(second)
    assert np.abs(a[:, None] - b).min() >= 0.2


@given(anywhere, st.sampled_from(["int8", "uint8", "int64", "float32"]))
def test_whole_numbers(raw, dtype):
    found = domains.integers(-2, 3).values(raw, dtype)
    assert found.dtype == dtype
    assert set(found.tolist()) <= set(range(-2, 4))
    index = domains.indices(3).values(raw, "float32")
    assert index.dtype == np.int64
    assert set(index.tolist()) <= set(range(-3, 3))


def test_every_number_of_a_range_comes():
    raw = np.linspace(-3, 3, 1000)
    assert set(domains.integers(-2, 3).values(raw, "int64").tolist()) == set(range(-2, 4))


@given(st.data())
def test_arrays_of_a_spec(data):
    shape = data.draw(shapes())
    spec = gn.Spec(shape, gn.float32)
    found = data.draw(arrays(spec, domains.POSITIVE))
    assert (found.shape, found.dtype) == (shape, np.float32)
    turned = data.draw(laid_out(spec))
    assert turned.shape == shape


@given(broadcastable(3))
def test_shapes_broadcast(found):
    assert len(found) == 3
    np.broadcast_shapes(*found)


@given(st.data(), st.sampled_from(all_cases()))
def test_samples_of_a_case_build(data, case):
    sample, points = data.draw(samples(case, case.dtypes[0]))
    node, operands = case.node(sample, case.dtypes[0])
    for operand, point in zip(operands, points, strict=True):
        assert (operand.shape, operand.dtype) == (point.shape, point.dtype)
    assert gn.evaluate(node, dict(zip(operands, points, strict=True))).shape == node.shape


@settings(max_examples=40)
@given(graphs())
def test_random_graphs_have_right_gradients(drawn):
    output, feeds = drawn
    report = check_gradients(output, feeds, order=2, raises=False)
    assert report.wrong == []
    assert report.broken == []
    DISCARDS.assume(report.inconclusive == [])


DISCARDS = Discards(limit=0.05)


def test_few_random_graphs_are_thrown_away():
    # Counted by the test above, which runs first in this file; alone, there is nothing to bound.
    DISCARDS.check()


@settings(max_examples=40)
@given(graphs(dtype="float32"))
def test_random_graphs_run_alike_named_and_unnamed(drawn):
    output, feeds = drawn
    first = gn.evaluate(output, feeds)
    f = gn.function(list(feeds), output, backend="numpy", passes=gn.rewrite.BASIC)
    assert first.tobytes() == f(*feeds.values()).tobytes()


def test_discards_are_bounded():
    discards = Discards(limit=0.1)

    @settings(max_examples=100, database=None)
    @given(st.integers(0, 4))
    def throws(number):
        discards.assume(number != 3)

    throws()
    assert 0 < discards.thrown < discards.tried
    discards.tried, discards.thrown = 100, 20
    with pytest.raises(AssertionError, match="20 of 100 examples were thrown away, more than 10%"):
        discards.check()
    discards.tried = 200
    discards.check()

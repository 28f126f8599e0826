"""Every operation under `vmap`, driven by the table of OpCases: the same as a loop over the elements of the batch."""

import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.ir.dtype import as_dtype
from graphnn.ir.leaves import Leaf
from graphnn.ir.op import Op
from graphnn.ops import all_ops
from graphnn.ops.composite import Composite
from graphnn.ops.results import Result
from graphnn.testing import all_cases, assert_close
from graphnn.testing.strategies import broadcastable
from graphnn.transform.batching import batch_rule
from graphnn.transform.batching.composite import ALONG_AXES
from graphnn.transform.checkpoint import Checkpoint

CASES = [case for case in all_cases() if case.samples[0]]
each_case = pytest.mark.parametrize("case", CASES, ids=repr)
SIZE = 3

# What a float64 result may differ from the loop by, relative to its largest element: sums in another order.
RTOL = 1e-12


def data_type(case):
    return "float64" if "float64" in case.dtypes else case.dtypes[-1]


def subsets(count):
    """Which operands are batched: all, the first alone, the last alone."""
    every = [(True,) * count, (True,) + (False,) * (count - 1), (False,) * (count - 1) + (True,)]
    return list(dict.fromkeys(every))


def stacked(case, generator, sample, dtype, batched, places):
    """Arrays for a call: of the batched operands several, stacked along an axis; and the operands of each element."""
    draws = [case.arrays(generator, sample, dtype) for _ in range(SIZE)]
    rows = [[draw[i] if on else draws[0][i] for i, on in enumerate(batched)] for draw in draws]
    arrays = [
        np.stack([row[i] for row in rows], axis=place) if on else rows[0][i]
        for i, (on, place) in enumerate(zip(batched, places, strict=True))
    ]
    return arrays, rows


def calls(case, dtype):
    """Samples with subsets of batched operands, at different axes of the operands and of the result."""
    number = 0
    for sample in case.samples:
        for batched in subsets(len(sample)):
            number += 1
            in_axes = tuple(
                (number + i) % (len(shape) + 1) if on else None
                for i, (shape, on) in enumerate(zip(sample, batched, strict=True))
            )
            arrays, rows = stacked(case, np.random.default_rng(number), sample, dtype, batched, in_axes)
            yield sample, in_axes, number, arrays, rows


def close(value, expected, what):
    if as_dtype(expected.dtype).is_floating:
        largest = float(np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected)))
        tolerance = RTOL if expected.dtype == np.float64 else 4e-6
        assert_close(value, expected, rtol=tolerance, atol=tolerance * largest, what=what)
    else:
        np.testing.assert_array_equal(value, expected, err_msg=what)
        assert value.dtype == expected.dtype


@each_case
def test_a_batch_is_a_loop(case):
    dtype = data_type(case)
    for sample, in_axes, number, arrays, rows in calls(case, dtype):
        one, operands = case.node(sample, dtype)
        f = gn.function(operands, one, on_unused="ignore")
        expected = [f(*row) for row in rows]
        out_axis = number % (one.ndim + 1)
        whole = [gn.placeholder(f"x{i}", array.shape, as_dtype(array.dtype)) for i, array in enumerate(arrays)]
        made = gn.vmap(case.build, in_axes, out_axis)(*whole)
        value = gn.function(whole, made, on_unused="ignore")(*arrays)
        close(value, np.stack(expected, axis=out_axis), f"{sample} in_axes={in_axes} out_axes={out_axis}")


BROADCASTING = [case for case in CASES if case.broadcasts]


@given(data=st.data())
def test_shapes_that_broadcast(data):
    """Any shapes that broadcast, batched at any axes, with any size of the batch."""
    case = data.draw(st.sampled_from(BROADCASTING))
    dtype, count = data_type(case), len(case.samples[0])
    sample = data.draw(broadcastable(count))
    batched = data.draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    in_axes = [
        data.draw(st.integers(-len(shape) - 1, len(shape))) if on else None
        for shape, on in zip(sample, batched, strict=True)
    ]
    size = data.draw(st.integers(0, 3))
    draws = [case.arrays(np.random.default_rng(number), sample, dtype) for number in range(size + 1)]
    rows = [[draws[n if on else 0][i] for i, on in enumerate(batched)] for n in range(1, size + 1)]
    arrays = [
        draws[0][i]
        if axis is None
        else np.stack([row[i] for row in rows], axis)
        if rows
        else np.expand_dims(draws[0][i], axis).take([], axis)
        for i, axis in enumerate(in_axes)
    ]
    one, operands = case.node(sample, dtype)
    out_axis = data.draw(st.integers(-one.ndim - 1, one.ndim))
    f = gn.function(operands, one, on_unused="ignore")
    expected = np.stack([f(*row) for row in rows], out_axis) if rows else None
    value = gn.evaluate(gn.vmap(case.build, in_axes, out_axis)(*arrays))
    if expected is None:
        assert value.shape == np.expand_dims(np.empty(one.shape), out_axis).take([], out_axis).shape
    else:
        close(value, expected, f"{case} {sample} in_axes={in_axes} out_axes={out_axis}")


@pytest.mark.parametrize("case", [case for case in CASES if not case.unnamed], ids=repr)
def test_the_size_of_the_batch_may_be_a_name(case):
    dtype = data_type(case)
    for sample, batched in zip(case.samples, itertools.cycle(subsets(len(case.samples[0]))), strict=False):
        arrays, rows = stacked(case, np.random.default_rng(0), sample, dtype, batched, (0,) * len(sample))
        one, operands = case.node(sample, dtype)
        f = gn.function(operands, one, on_unused="ignore")
        named, _ = case.named_sample(sample)
        whole = [
            gn.placeholder(f"x{i}", ("batch", *shape) if on else shape, as_dtype(array.dtype))
            for i, (shape, on, array) in enumerate(zip(named, batched, arrays, strict=True))
        ]
        made = gn.vmap(case.build, tuple(0 if on else None for on in batched))(*whole)
        assert made.shape[0] == gn.Dim("batch")
        value = gn.function(whole, made, on_unused="ignore")(*arrays)
        close(value, np.stack([f(*row) for row in rows]), f"{sample} {batched}")


def has_derivative(case):
    return "float64" in case.dtypes and bool(case.differentiable(*case.node(case.samples[0], "float64")))


@pytest.mark.parametrize("case", [case for case in CASES if has_derivative(case)], ids=repr)
def test_the_derivative_of_a_batch_is_a_loop(case):
    """Both ways round: of the gradient a batch, and the gradient of a batch."""
    for sample, in_axes, _, arrays, rows in itertools.islice(calls(case, "float64"), 0, None, 2):
        one, operands = case.node(sample, "float64")
        wrt = case.differentiable(one, operands)
        places = [place for place, x in enumerate(operands) if any(x is y for y in wrt)]
        g = np.random.default_rng(1).standard_normal((SIZE, *one.shape)).astype(one.dtype.numpy)
        cotangent = gn.placeholder("g", one.shape, one.dtype)
        pulled = gn.function([*operands, cotangent], gn.vjp(one, wrt, cotangent, allow_unused=True), on_unused="ignore")
        loop = [pulled(*row, h) for row, h in zip(rows, g, strict=True)]

        def pull(*nodes, places=places):
            *xs, h = nodes
            return gn.vjp(case.build(*xs), [xs[i] for i in places], h, allow_unused=True)

        whole = [gn.placeholder(f"x{i}", array.shape, as_dtype(array.dtype)) for i, array in enumerate(arrays)]
        batch_g = gn.placeholder("g", g.shape, one.dtype)
        inside = gn.vmap(pull, (*in_axes, 0))(*whole, batch_g)
        outside = gn.vjp(gn.vmap(case.build, in_axes)(*whole), [whole[i] for i in places], batch_g, allow_unused=True)
        f = gn.function([*whole, batch_g], [inside, outside], on_unused="ignore")
        inside, outside = f(*arrays, g)
        for number, place in enumerate(places):
            expected = np.stack([row[number] for row in loop])
            close(inside[number], expected, f"vmap of vjp {sample} in_axes={in_axes} by {place}")
            axis = in_axes[place]
            total = expected.sum(0) if axis is None else np.moveaxis(expected, 0, axis)
            close(outside[number], total, f"vjp of vmap {sample} in_axes={in_axes} by {place}")


# Operations of graphnn that are computed one element after the other under vmap, and why there is no better way.
FALLBACK: dict[str, str] = {}


def test_every_operation_has_a_rule():
    def below(base):
        for op in base.__subclasses__():
            yield op
            yield from below(op)

    inside = {op for op in below(Op) if op.__module__.startswith("graphnn.") and not op.__subclasses__()}
    ops = {*inside, *all_ops()} - set(below(Leaf))  # what has no operands is never batched
    ops.remove(Result)  # it is batched with what has the results
    ops = {op for op in ops if not op.__module__.startswith("graphnn.view.")}  # pictures, which nothing computes
    general = batch_rule.dispatch(Op)
    missing = sorted(op.__name__ for op in ops if batch_rule.dispatch(op) is general)
    assert missing == sorted(FALLBACK)
    assert {Composite, Checkpoint} <= ops
    assert len(ops) >= 100


def test_every_composite_along_axes_is_one_that_moves_its_axis():
    """What is listed as such must have the option `axis`, and nothing else that counts axes."""
    for definition in ALONG_AXES:
        options = set(inspect.signature(definition.function).parameters) - set(definition.operands)
        assert "axis" in options
        assert options <= {"axis", "keepdims", "correction", "ord"}
        assert len(definition.operands) == 1

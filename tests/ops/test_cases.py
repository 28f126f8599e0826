"""Every operation and function, driven by the table of OpCases."""

import functools
import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.ir.dims import Dim
from graphnn.ir.dtype import as_dtype
from graphnn.testing import (
    LAYOUTS,
    GradientChecker,
    all_cases,
    assert_close,
    assert_same_bits,
    in_layout,
)
from graphnn.testing.strategies import samples

CASES = all_cases()
each_case = pytest.mark.parametrize("case", CASES, ids=repr)


def selected(condition):
    return pytest.mark.parametrize("case", [case for case in CASES if condition(case)], ids=repr)


def has_derivative(case):
    return "float64" in case.dtypes and case.differentiable(*case.node(case.samples[0], "float64"))


def calls(case, dtypes=None):
    """All samples in all data types, with random arrays."""
    for number, (sample, dtype) in enumerate(itertools.product(case.samples, dtypes or case.dtypes)):
        node, operands = case.node(sample, dtype)
        yield sample, dtype, node, operands, case.arrays(np.random.default_rng(number), sample, dtype)


def as_expected(case, arrays, dtype, node):
    """The reference in the data type of the node; whole numbers must be the same kind already."""
    expected = case.expected(arrays, dtype)
    if as_dtype(expected.dtype).is_floating or node.dtype.is_floating:
        return expected.astype(node.dtype.numpy)
    assert as_dtype(expected.dtype) is node.dtype
    return expected


def test_names_are_unique():
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


@each_case
def test_samples_hold_the_small_shapes(case):
    shapes = [shape for sample in case.samples for shape in sample]
    assert () in shapes or case.no_scalar, "no sample has no axes"
    assert any(0 in shape for shape in shapes) or case.no_empty, "no sample has the size 0"


@each_case
def test_infer_and_reference(case):
    for sample, dtype, node, operands, arrays in calls(case):
        value = gn.evaluate(node, dict(zip(operands, arrays, strict=True)))
        assert type(value) is np.ndarray
        assert (value.shape, as_dtype(value.dtype)) == (node.shape, node.dtype), (sample, dtype)
        expected = as_expected(case, arrays, dtype, node)
        tolerance = case.rtol if dtype == "float64" else 4e-6
        largest = float(np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected)))
        assert_close(value, expected, rtol=tolerance, atol=tolerance * largest, what=f"{sample} {dtype}")
        assert not any(np.shares_memory(value, array) for array in arrays)


@each_case
def test_named_sizes(case):
    for sample, dtype, node, operands, arrays in calls(case, case.dtypes[-1:]):
        shapes, names = case.named_sample(sample)
        if case.unnamed and names:
            with pytest.raises(gn.GraphnnError, match=case.unnamed):
                case.node(shapes, dtype)
            continue
        named, inputs = case.node(shapes, dtype)
        concrete = gn.evaluate(node, dict(zip(operands, arrays, strict=True)))
        f = gn.function(inputs, named, backend="numpy", on_unused="ignore")
        bound = f(*arrays)
        assert_same_bits(bound, concrete, f"{sample} {dtype}")
        assert named.spec.substitute(names) == node.spec


@selected(has_derivative)
def test_named_sizes_in_derivatives(case):
    for sample, dtype, node, operands, arrays in calls(case, ["float64"]):
        shapes, names = case.named_sample(sample)
        if case.unnamed and names:
            continue
        named, inputs = case.node(shapes, dtype)
        g = np.random.default_rng(0).standard_normal(node.shape).astype(node.dtype.numpy)
        results = []
        for y, xs in ((node, operands), (named, inputs)):
            cotangent = gn.placeholder("g", y.shape, y.dtype)
            wrt = case.differentiable(y, xs)
            pulled = gn.vjp(y, wrt, cotangent, allow_unused=True)
            sized = [size for size in y.shape if isinstance(size, Dim)]
            listed = [*xs, cotangent] if all(size.names for size in sized) else xs
            f = gn.function(listed, pulled, backend="numpy", on_unused="ignore")
            results.append(f(*arrays, g))
        for concrete, bound in zip(*results, strict=True):
            assert_close(bound, concrete, rtol=1e-12, atol=1e-12, what=str(sample))


@functools.cache
def checker_of(case, sample):
    """The compiled check of a case: hypothesis tries many points of the same shapes."""
    node, operands = case.node(sample, "float64")
    zeros = {x: np.zeros(x.shape, x.dtype.numpy) for x in operands}
    return GradientChecker([node], zeros, wrt=case.differentiable(node, operands), order=2), operands


@selected(has_derivative)
@given(data=st.data())
def test_gradients(case, data):
    sample, arrays = data.draw(samples(case))
    checker, operands = checker_of(case, sample)
    checker.check(dict(zip(operands, arrays, strict=True))).raise_for()


@selected(lambda case: case.wrt == ())
def test_what_has_no_derivative_is_a_constant(case):
    x = gn.placeholder("x", (3,), "float64")
    g = gn.evaluate(gn.grad(gn.sum(case.build(x) * gn.sin(x)), x), {x: np.array([0.1, 0.2, 0.3])})
    assert_close(g, np.array([0.1, 0.2, 0.3]) * np.cos([0.1, 0.2, 0.3]), rtol=1e-12)


@each_case
def test_latex(case):
    text = gn.latex(case.node(case.samples[-1], case.dtypes[-1])[0])
    assert text.strip()
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        assert depth >= 0, text
    assert depth == 0, text


@each_case
def test_memory_layouts_give_the_same_bits(case):
    for sample, dtype, node, operands, arrays in calls(case, case.dtypes[:2]):
        f = gn.function(operands, node, on_unused="ignore")
        for layout in LAYOUTS:
            turned = [in_layout(array, layout) for array in arrays]
            copies = [np.array(array, dtype=array.dtype.newbyteorder("="), order="C") for array in turned]
            of_turned, of_copies = outcome(f, turned), outcome(f, copies)
            if isinstance(of_copies, str):
                assert layout == "stride 0"
                assert of_turned == of_copies
            else:
                assert_same_bits(of_turned, of_copies, f"{sample} {dtype} {layout}")


def outcome(f, arrays):
    """What a function gives, or how it fails: "stride 0" changes the values, it may make a matrix singular."""
    try:
        return f(*arrays)
    except gn.ExecutionError as error:
        return str(error).splitlines()[0]


@selected(lambda case: case.broadcasts and "float32" in case.dtypes)
@pytest.mark.parametrize(("dtype", "digits"), [("bfloat16", 8), ("float16", 11)])
def test_sixteen_bits(case, dtype, digits):
    for sample, _, node, operands, arrays in calls(case, [dtype]):
        value = gn.evaluate(node, dict(zip(operands, arrays, strict=True)))
        assert as_dtype(value.dtype) is node.dtype
        wide = [array.astype(np.float32) if as_dtype(array.dtype).is_floating else array for array in arrays]
        in_32, spread = case.node(sample, "float32")
        expected = gn.evaluate(in_32, dict(zip(spread, wide, strict=True))).astype(node.dtype.numpy)
        # One rounding of the result, and one more inside for the composites and for float16.
        assert_close(value, expected, rtol=2.0 ** (2 - digits), atol=2.0 ** (1 - digits), what=f"{sample} {dtype}")


@selected(lambda case: case.broadcasts and len(case.samples[0]) == 2 and {"float32", "float64"} <= set(case.dtypes))
def test_mixed_data_types(case):
    names = [d for d in case.dtypes if as_dtype(d).is_numeric]
    pairs = [p for p in itertools.permutations(names, 2) if as_dtype(p[0]).is_floating == as_dtype(p[1]).is_floating]
    assert pairs
    for first, second in pairs:
        generator = np.random.default_rng(0)
        arrays = [d.random(generator, (2, 3), t) for d, t in zip(case.domains, (first, second), strict=True)]
        operands = [gn.placeholder(f"x{i}", (2, 3), t) for i, t in enumerate((first, second))]
        node = case.build(*operands)
        value = gn.evaluate(node, dict(zip(operands, arrays, strict=True)))
        assert as_dtype(value.dtype) is node.dtype
        wide = np.result_type(*arrays)
        expected = np.asarray(case.reference(*[array.astype(wide) for array in arrays]))
        assert_close(value, expected.astype(node.dtype.numpy), rtol=1e-6, atol=1e-6)

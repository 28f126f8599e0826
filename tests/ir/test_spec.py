"""Shapes: broadcasting as in NumPy, for numbers and names, and how axes are named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import graphnn as gn
from graphnn.errors import ShapeError
from graphnn.ir.dims import Dim
from graphnn.ir.spec import Spec, as_shape, broadcast, normalize_axes, normalize_axis

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)


@given(st.lists(shapes, min_size=1, max_size=4))
def test_broadcast_agrees_with_numpy(drawn):
    try:
        expected = np.broadcast_shapes(*drawn)
    except ValueError:
        with pytest.raises(ShapeError):
            broadcast("add", *drawn)
    else:
        assert broadcast("add", *drawn) == expected


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_dims=4))
def test_shapes_that_broadcast_do(drawn):
    assert broadcast("add", *drawn.input_shapes) == drawn.result_shape


@given(st.lists(st.lists(st.sampled_from(["n", "m", 1, 4]), max_size=3), min_size=1, max_size=3))
def test_what_broadcasts_by_name_broadcasts_for_every_binding(drawn):
    specs = [Spec(shape, gn.float32) for shape in drawn]
    try:
        result = broadcast("add", *(spec.shape for spec in specs))
    except ShapeError:
        return
    for n, m in ((1, 1), (2, 3), (0, 5), (4, 4)):
        bound = [spec.substitute({"n": n, "m": m}).shape for spec in specs]
        assert np.broadcast_shapes(*bound) == Spec(result, gn.float32).substitute({"n": n, "m": m}).shape


def test_two_names_do_not_broadcast():
    with pytest.raises(ShapeError) as caught:
        broadcast("add", (Dim("n"), 3), (Dim("m"), 3))
    assert str(caught.value) == (
        "add: shapes [n, 3] and [m, 3] do not broadcast: n != m\n\n"
        "  Whether n equals m is not known before the call. Give both inputs the same size name, or the same number."
    )


def test_a_name_and_a_number_do_not_broadcast():
    with pytest.raises(ShapeError, match="n != 3"):
        broadcast("add", (Dim("n"),), (3,))
    assert broadcast("add", (Dim("n"),), (1,)) == ("n",)


def test_a_missing_axis_is_pointed_at():
    with pytest.raises(ShapeError, match=r"add an axis: x\[:, None\]"):
        broadcast("add", (5, 3), (5,))


def test_spec():
    spec = Spec(("batch", 784), gn.float32)
    assert repr(spec) == "float32[batch, 784]"
    assert (spec.ndim, str(spec.size), spec.names) == (2, "784*batch", {"batch"})
    assert spec == Spec((Dim("batch"), 784), gn.float32)
    assert hash(spec) == hash(Spec((Dim("batch"), 784), gn.float32))
    assert spec != Spec(("batch", 784), gn.float64)
    assert spec != Spec((784, "batch"), gn.float32)
    assert spec != "float32[batch, 784]"
    assert spec.substitute({"batch": 3}) == Spec((3, 784), gn.float32)
    assert spec.substitute({"other": 3}) == spec
    assert spec.with_dtype(gn.int8) == Spec(("batch", 784), gn.int8)
    assert Spec((), gn.float32).size == 1
    assert Spec((3, 0), gn.float32).size == 0


@pytest.mark.parametrize(
    "value, shape",
    [
        (3, (3,)),
        ("n", ("n",)),
        (Dim("n") + 1, ("n + 1",)),
        (np.int64(3), (3,)),
        ((), ()),
        ([2, "n"], (2, "n")),
        ((np.int32(2), 3), (2, 3)),
        (np.array([2, 3]).tolist(), (2, 3)),
    ],
)
def test_as_shape(value, shape):
    assert as_shape(value) == shape


@pytest.mark.parametrize("value", [2.0, None, (2.0,), (None,), (-1,), (2, (3,))])
def test_what_is_no_shape(value):
    with pytest.raises(ShapeError):
        as_shape(value)


@pytest.mark.parametrize("ndim", range(4))
def test_axes(ndim):
    for axis in range(-ndim, ndim):
        assert normalize_axis("sum", axis, ndim) == axis % ndim
        assert normalize_axis("sum", np.int64(axis), ndim) == axis % ndim
    for axis in (-ndim - 1, ndim):
        with pytest.raises(ShapeError, match=f"sum: axis {axis} is out of range for "):
            normalize_axis("sum", axis, ndim)
    assert normalize_axes("sum", None, ndim) == tuple(range(ndim))


@pytest.mark.parametrize("axis", [1.0, "0", None, True])
def test_what_is_no_axis(axis):
    with pytest.raises(ShapeError, match="sum: an axis is an int"):
        normalize_axis("sum", axis, 2)


def test_an_axis_twice():
    with pytest.raises(ShapeError, match=r"sum: an axis is named twice: \(1, 1\)"):
        normalize_axes("sum", (1, -1), 2)
    with pytest.raises(ShapeError, match="sum: axes are an int, a tuple of ints or None"):
        normalize_axes("sum", 1.5, 2)

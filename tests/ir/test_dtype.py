"""Data types: the promotion table of the Array API standard, weak Python scalars, and what the errors say."""

import copy
import pickle

import ml_dtypes
import numpy as np
import pytest

import graphnn as gn
from graphnn.errors import DTypeError
from graphnn.ir.dtype import ALL, BY_NAME, as_dtype, promote, result_dtype

# The table of the standard, "Type Promotion Rules", row by row; "-" stands for what it leaves undefined and graphnn
# refuses. bfloat16 is not in the standard: with float16 it gives float32, the smallest type that holds both.
ORDER = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
ORDER += ["float16", "bfloat16", "float32", "float64"]
TABLE = """
bool -     -     -     -     -      -      -      -      -        -        -       -
-    int8  int16 int32 int64 int16  int32  int64  -      -        -        -       -
-    int16 int16 int32 int64 int16  int32  int64  -      -        -        -       -
-    int32 int32 int32 int64 int32  int32  int64  -      -        -        -       -
-    int64 int64 int64 int64 int64  int64  int64  -      -        -        -       -
-    int16 int16 int32 int64 uint8  uint16 uint32 uint64 -        -        -       -
-    int32 int32 int32 int64 uint16 uint16 uint32 uint64 -        -        -       -
-    int64 int64 int64 int64 uint32 uint32 uint32 uint64 -        -        -       -
-    -     -     -     -     uint64 uint64 uint64 uint64 -        -        -       -
-    -     -     -     -     -      -      -      -      float16  float32  float32 float64
-    -     -     -     -     -      -      -      -      float32  bfloat16 float32 float64
-    -     -     -     -     -      -      -      -      float32  float32  float32 float64
-    -     -     -     -     -      -      -      -      float64  float64  float64 float64
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
PAIRS = [(a, b, ROWS[i][j]) for i, a in enumerate(ORDER) for j, b in enumerate(ORDER)]


def test_the_table_has_all_types():
    assert [dtype.name for dtype in ALL] == ORDER
    assert [len(row) for row in ROWS] == [len(ORDER)] * len(ORDER)


@pytest.mark.parametrize("a, b, expected", PAIRS)
def test_promotion(a, b, expected):
    joined = promote(BY_NAME[a], BY_NAME[b])
    assert (joined.name if joined else "-") == expected
    x, y = gn.placeholder("x", (2,), a), gn.placeholder("y", (2,), b)
    if expected == "-":
        with pytest.raises(DTypeError, match=f"where: {a} and {b} do not mix"):
            gn.where(gn.constant([True, False]), x, y)
    else:
        node = gn.where(gn.constant([True, False]), x, y)
        assert node.dtype.name == expected
        one = {n: np.ones(2, n.dtype.numpy) for n in (x, y)}
        assert gn.evaluate(node, one).dtype == node.dtype.numpy


@pytest.mark.parametrize("a, b, expected", [row for row in PAIRS if "bool" not in row[:2] and row[2] != "-"])
def test_arithmetic_runs_in_the_promoted_type(a, b, expected):
    x, y = gn.placeholder("x", (2,), a), gn.placeholder("y", (2,), b)
    feeds = {x: np.array([3, 5], x.dtype.numpy), y: np.array([2, 1], y.dtype.numpy)}
    values = gn.evaluate([x + y, x * y, gn.maximum(x, y)], feeds)
    for value, wanted in zip(values, ([5, 6], [6, 5], [3, 5]), strict=True):
        assert value.dtype == as_dtype(expected).numpy
        assert value.astype("float64").tolist() == wanted


@pytest.mark.parametrize("name", ORDER)
def test_every_type_agrees_with_numpy(name):
    dtype = as_dtype(name)
    expected = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
    assert dtype.numpy == expected
    assert as_dtype(expected) is dtype
    assert as_dtype(expected.type) is dtype
    assert dtype.bits == expected.itemsize * 8
    assert dtype == name
    assert dtype == expected
    assert getattr(gn, name) is dtype
    assert repr(dtype) == str(dtype) == name
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert copy.deepcopy(dtype) is dtype


def test_kinds():
    assert {d.name for d in ALL if d.is_floating} == {"float16", "bfloat16", "float32", "float64"}
    assert {d.name for d in ALL if d.is_integer} == {n for n in ORDER if "int" in n}
    assert {d.name for d in ALL if not d.is_numeric} == {"bool"}


def test_python_types_and_byte_order():
    assert as_dtype(float) is gn.float32
    assert as_dtype(int) is gn.int64
    assert as_dtype(bool) is gn.bool
    assert as_dtype(np.dtype(">f8")) is gn.float64
    assert gn.float32 == np.dtype(">f4")


@pytest.mark.parametrize("value", [None, "float", "complex64", np.complex128, "datetime64", object, {}, [], 3, "f4"])
def test_what_is_no_data_type(value):
    with pytest.raises(DTypeError, match="there is no data type"):
        as_dtype(value)
    assert all(dtype != value for dtype in ALL)


def test_a_misspelt_type_is_recognised():
    with pytest.raises(DTypeError, match="Did you mean 'float32'"):
        gn.placeholder("x", (), "flot32")


# --- weak Python scalars ---

SCALARS = [(True, "bool"), (3, "numeric"), (2.5, "floating")]


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("scalar, kind", SCALARS)
def test_python_scalars_never_change_an_array(name, scalar, kind):
    x = gn.placeholder("x", (2,), name)
    fits = {"bool": x.dtype is gn.bool, "numeric": x.dtype.is_numeric, "floating": x.dtype.is_floating}[kind]
    for make in (lambda: gn.equal(x, scalar), lambda: gn.equal(scalar, x)):
        if fits:
            assert all(operand.dtype is x.dtype for operand in make().inputs)
        else:
            with pytest.raises(DTypeError, match=f"the Python {type(scalar).__name__} {scalar} does not fit {name}"):
                make()


@pytest.mark.parametrize("name", [n for n in ORDER if "int" in n])
def test_python_ints_must_fit(name):
    x = gn.placeholder("x", (2,), name)
    limits = np.iinfo(name)
    for value in (int(limits.min), int(limits.max)):
        assert (x + value).dtype is x.dtype
    for value in (int(limits.min) - 1, int(limits.max) + 1):
        with pytest.raises(DTypeError, match=f"the Python int {value} does not fit {name}, which holds"):
            x + value


def test_constants_of_python_numbers_are_weak_and_arrays_are_not():
    x = gn.placeholder("x", (2,), "float64")
    assert (x * gn.constant(3.0)).dtype is gn.float64
    assert (gn.constant(3) * x).dtype is gn.float64
    half = gn.placeholder("h", (), "float16")
    assert (half + 1.5).dtype is gn.float16
    assert (half + np.float32(1.5)).dtype is gn.float32
    assert (half + np.array(1.5)).dtype is gn.float64
    with pytest.raises(DTypeError, match="float16 and int64 do not mix"):
        half + np.array(1)


def test_numbers_alone_have_the_default_types():
    assert gn.add(1, 2).dtype is gn.int64
    assert gn.add(1, 2.0).dtype is gn.float32
    assert gn.logical_and(True, False).dtype is gn.bool
    assert gn.constant([1.0, 2.0]).dtype is gn.float32
    assert gn.constant([1, 2]).dtype is gn.int64
    assert gn.constant(np.array([1.0])).dtype is gn.float64
    assert gn.constant(1.0, "float16").dtype is gn.float16


def test_a_python_int_too_large_for_any_float():
    x = gn.placeholder("x")
    with pytest.raises(DTypeError, match="add: the Python int of 401 digits does not fit float32"):
        x + 10**400


@pytest.mark.parametrize(
    "a, b, hint",
    [
        ("int64", "uint64", "No integer type holds both. Cast one: x.astype('int64')."),
        ("int32", "float32", "Cast the integer operand: x.astype('float32')."),
        ("bool", "float64", "Cast the mask, mask.astype('float64'), or choose with gn.where(mask, x, 0)."),
        ("int8", "bool", "Cast the mask, mask.astype('int8'), or choose with gn.where(mask, x, 0)."),
    ],
)
def test_error_says_how_to_cast(a, b, hint):
    with pytest.raises(DTypeError) as caught:
        result_dtype("multiply", as_dtype(a), as_dtype(b))
    assert str(caught.value) == f"multiply: {a} and {b} do not mix\n\n  {hint}"
    # What the hint says works.
    if "mask" in hint:
        x = gn.placeholder("x", (2,), b if a == "bool" else a)
        mask = gn.placeholder("mask", (2,), "bool")
        assert (mask.astype(x.dtype) * x).dtype is x.dtype
        assert gn.where(mask, x, 0).dtype is x.dtype

"""Comparisons and memory layouts."""

import ml_dtypes
import numpy as np
import pytest

from graphnn.testing import LAYOUTS, ComparisonError, assert_close, assert_same_bits, in_layout, same_bits, ulp_distance

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", FLOATS)
def test_ulp_distance_counts_the_numbers_between(dtype):
    start = np.array([-2.0, -1.0, -0.0, 0.0, 1.0, 3.0], dtype)
    moved = start
    for steps in range(1, 5):
        moved = np.nextafter(moved, np.array(np.inf, dtype))
        assert ulp_distance(start, moved).tolist() == [steps] * 6
        assert ulp_distance(moved, start).tolist() == [steps] * 6


def test_ulp_distance_at_special_points():
    tiny = np.nextafter(0.0, 1.0)
    assert ulp_distance(0.0, -0.0) == 0
    assert ulp_distance(tiny, -tiny) == 2
    assert ulp_distance(np.nan, np.nan) == 0
    assert ulp_distance(np.nan, 1.0) == 2**64 - 1
    assert ulp_distance(np.finfo(np.float64).max, np.inf) == 1
    assert ulp_distance(-np.inf, np.inf) == 2 * ulp_distance(0.0, np.inf)
    with pytest.raises(ComparisonError, match="floats of one data type"):
        ulp_distance(np.float32(1), np.float64(1))


def test_same_bits():
    assert same_bits(np.array([1, 2]), np.array([1, 2]))
    assert not same_bits(np.array([1, 2]), np.array([1, 3]))
    assert not same_bits(np.array([1, 2]), np.array([[1, 2]]))
    assert not same_bits(np.array([1], np.int32), np.array([1], np.int64))
    assert not same_bits(np.float32(0.0), np.float32(-0.0))
    assert same_bits(np.arange(4.0)[::-1], np.array([3.0, 2.0, 1.0, 0.0], ">f8"))
    with pytest.raises(ComparisonError) as error:
        assert_same_bits(np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]]), "result")
    assert "result: 1 of 2 elements differ in their bits" in str(error.value)
    assert "[0, 1]" in str(error.value)


@pytest.mark.parametrize(
    ("actual", "desired", "options"),
    [
        ([1.0], [1.1], {"rtol": 0.05}),
        ([1.0], [1.1], {"atol": 0.05}),
        ([np.nan], [1.0], {"rtol": 1.0}),
        ([1.0], [np.nan], {"rtol": 1.0}),
        ([np.inf], [1e308], {"rtol": 1.0}),
        ([np.inf], [-np.inf], {"atol": 1.0}),
        ([1.0], [1.0 + 1e-15], {"ulps": 3}),
        ([1], [2], {"rtol": 1.0}),
        ([1.0], [[1.0]], {}),
        (np.float32([1.0]), [1.0], {}),
    ],
)
def test_assert_close_refuses(actual, desired, options):
    with pytest.raises(ComparisonError):
        assert_close(actual, desired, **options)


def test_assert_close_accepts():
    assert_close([1.0, np.nan, np.inf], [1.05, np.nan, np.inf], rtol=0.1)
    assert_close([1.0], [1.0 + 1e-15], ulps=5)
    assert_close(np.zeros((0, 3)), np.zeros((0, 3)))
    assert_close([1, 2], [1, 2])


def test_assert_close_shows_the_worst():
    with pytest.raises(ComparisonError) as error:
        assert_close(np.array([1.0, 2.0, 3.0]), np.array([1.1, 2.5, 3.1]), rtol=1e-3, what="case")
    assert str(error.value).startswith("case: 3 of 3 elements are not close")
    assert "worst at [1]" in str(error.value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool", "uint64"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (0, 2), (2, 1, 3)])
def test_layouts_keep_the_values(layout, dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    turned = in_layout(array, layout)
    assert turned.shape == array.shape
    if layout == "stride 0":
        assert (turned == array[:1] if array.ndim else turned == array).all()
    else:
        assert (turned == array).all()


def test_layouts_are_what_they_say():
    x = np.arange(12.0).reshape(3, 4)
    assert in_layout(x, "Fortran order").flags.f_contiguous
    assert in_layout(x, "reversed strides").strides == (-32, -8)
    assert in_layout(x, "every second element").strides == (128, 16)
    assert not in_layout(x, "read-only").flags.writeable
    assert in_layout(x, "big-endian").dtype.byteorder == ">"
    assert in_layout(x, "stride 0").strides == (0, 8)
    assert not in_layout(x, "unaligned").flags.aligned

"""Sorting, running sums and indexing beyond the table: special numbers, refusals, and what happens when it runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.testing import assert_same_bits, check_gradients

NAN, INF = np.nan, np.inf
WHOLE = st.lists(st.integers(-3, 3), max_size=12)


def value(node):
    return gn.evaluate(node)


def array(node):
    return value(node).tolist()


# --- order ---


def test_nan_comes_last_in_both_directions():
    x = [NAN, 1.0, -INF, NAN, INF, 0.0]
    assert array(gn.argsort(x)) == [2, 5, 1, 4, 0, 3]
    assert array(gn.argsort(x, descending=True)) == [4, 1, 5, 2, 0, 3]
    np.testing.assert_array_equal(value(gn.sort(x, descending=True)), [INF, 1.0, 0.0, -INF, NAN, NAN])
    np.testing.assert_array_equal(value(gn.top_k(x, 2).values), [INF, 1.0])


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "bfloat16", "bool"])
def test_sorting_down_keeps_the_order_of_equals(dtype):
    x = gn.constant(np.array([1, 0, 1, 0, 1]), dtype)
    assert array(gn.argsort(x, descending=True)) == [0, 2, 4, 1, 3]
    assert value(gn.sort(x)).dtype == x.dtype.numpy


def test_the_least_integer_is_the_last_one_down():
    assert array(gn.sort(np.array([-128, 127, 0], np.int8), descending=True)) == [127, 0, -128]
    assert array(gn.sort(np.array([0, 2**64 - 1, 1], np.uint64), descending=True)) == [2**64 - 1, 1, 0]


def test_top_k_refuses_more_than_there_are():
    with pytest.raises(gn.ShapeError, match=r"^top_k: 4 elements of an axis of 3"):
        gn.top_k([1.0, 2.0, 3.0], 4)
    x = gn.placeholder("x", ("n",))
    f = gn.function([x], gn.top_k(x, 3).values)
    assert f([1.0, 3.0, 2.0, 4.0]).tolist() == [4.0, 3.0, 2.0]
    with pytest.raises(gn.IndexRangeError):
        f([1.0, 2.0])


def test_quantile_of_nan_and_infinity():
    assert np.isnan(value(gn.median([1.0, NAN, 2.0])))
    assert array(gn.quantile([1.0, 2.0, INF], 0.5)) == 2.0
    assert array(gn.quantile([-INF, 2.0, 3.0], [0.0, 0.5])) == [-INF, 2.0]
    np.testing.assert_array_equal(value(gn.median([[1.0, NAN], [1.0, 3.0]], axis=1)), [NAN, 2.0])


@pytest.mark.parametrize("q", [-0.1, 1.5, NAN, [[0.5]]])
def test_quantile_refuses(q):
    with pytest.raises(gn.ShapeError, match=r"^quantile: q is a number from 0 to 1"):
        gn.quantile([1.0, 2.0], q)


def test_quantile_refuses_integers_and_nothing():
    with pytest.raises(gn.DTypeError, match=r"^quantile takes floating-point arrays, not int64"):
        gn.quantile([1, 2], 0.5)
    with pytest.raises(gn.ShapeError, match=r"^quantile of no elements"):
        gn.median(gn.zeros((0,)))


def test_searchsorted_with_nan_and_infinity():
    x = np.array([-INF, 0.0, INF, NAN])
    for side in ("left", "right"):
        values = np.array([-INF, INF, NAN])
        assert array(gn.searchsorted(x, values, side=side)) == np.searchsorted(x, values, side).tolist()


def test_searchsorted_refuses():
    with pytest.raises(gn.ShapeError, match=r"^searchsorted: the sorted elements are a vector, not \[1, 2\]"):
        gn.searchsorted([[1, 2]], 1)
    with pytest.raises(gn.ShapeError, match=r"^searchsorted: side is 'left' or 'right'"):
        gn.searchsorted([1, 2], 1, side="middle")
    with pytest.raises(gn.DTypeError):
        gn.searchsorted(np.array([1.5]), np.array([1]))


def test_isin_never_finds_nan():
    assert array(gn.isin([NAN, 1.0, INF], [NAN, INF])) == [False, False, True]


@given(x=WHOLE, size=st.integers(0, 9))
def test_unique_is_that_of_numpy(x, size):
    x = np.array(x, np.int64)
    found = gn.unique_all(x, size=size, fill_value=-9)
    values, indices, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    more = max(size - values.size, 0)
    for node, expected, fill in zip(found, (values, indices, inverse, counts), (-9, 0, None, 0), strict=True):
        if fill is not None:
            expected = np.concatenate([expected[:size], np.full(more, fill)])
        assert array(node) == expected.tolist()


def test_each_nan_is_a_value_of_its_own():
    found = gn.unique_all([NAN, 1.0, NAN, 1.0], size=4)
    np.testing.assert_array_equal(value(found.values), [1.0, NAN, NAN, 0.0])
    assert array(found.counts) == [2, 1, 1, 0]


def test_unique_needs_a_size():
    with pytest.raises(gn.ShapeError, match=r"^unique: the number of values must be given"):
        gn.unique_values([1, 2])
    with pytest.raises(gn.DTypeError, match=r"^unique: the Python float 0.5 does not fit int64"):
        gn.unique_values([1, 2], size=2, fill_value=0.5)


# --- running sums ---


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_single(dtype):
    ones = gn.full((4096,), 1.0, dtype=dtype)
    assert float(value(gn.cumulative_sum(ones))[-1]) == 4096.0  # in 16 bits, adding 1 to 256 or 2048 changes nothing


def test_running_extremes_with_nan():
    np.testing.assert_array_equal(value(gn.cumulative_max([1.0, NAN, 2.0])), [1.0, NAN, NAN])
    np.testing.assert_array_equal(value(gn.cumulative_min([1.0, NAN, 0.0])), [1.0, NAN, NAN])


def test_running_logsumexp_is_stable():
    x = np.array([-1e4, 0.0, 1e4, 1e4 - 1.0])
    expected = np.logaddexp.accumulate(x)
    named = gn.placeholder("x", ("n",), "float64")
    for node, feeds in ((gn.cumulative_logsumexp(x), {}), (gn.cumulative_logsumexp(named), {named: x})):
        np.testing.assert_allclose(gn.evaluate(node, feeds), expected, rtol=1e-15)
    found = gn.evaluate(gn.grad(gn.sum(gn.cumulative_logsumexp(named)), named), {named: x})
    weights = np.tril(np.exp(np.minimum(x - expected[:, None], 0.0)))
    np.testing.assert_allclose(found, weights.sum(0), rtol=1e-11)
    assert array(gn.cumulative_logsumexp([-INF, -INF, 0.0])) == [-INF, -INF, 0.0]


def test_axis_may_be_left_out_for_vectors_only():
    for function in (gn.cumulative_sum, gn.cumulative_prod, gn.cumulative_max, gn.cumulative_logsumexp):
        with pytest.raises(gn.ShapeError, match=r"an array with the axes \[2, 2\] needs to know which one is meant"):
            function(gn.zeros((2, 2)))
        with pytest.raises(gn.ShapeError):
            function(gn.zeros(()), axis=0)


def test_running_sums_refuse():
    with pytest.raises(gn.ShapeError, match=r"^cumulative_sum: include_initial and exclusive exclude each other"):
        gn.cumulative_sum([1.0], include_initial=True, exclusive=True)
    with pytest.raises(gn.DTypeError, match=r"^cumulative_sum takes numeric arrays, not bool"):
        gn.cumulative_sum([True])
    with pytest.raises(gn.ShapeError, match=r"^diff: n is an int from 0"):
        gn.diff([1, 2], n=-1)


def test_cumsum_is_the_synonym():
    assert gn.cumsum is gn.cumulative_sum
    assert gn.cumprod is gn.cumulative_prod


# --- indices ---


def test_a_mask_as_an_index_says_what_to_write():
    x = gn.placeholder("x", ("n", 3))
    for attempt in (lambda: x[x > 0], lambda: x[:, [True, False, True]], lambda: gn.take(x, x > 0, axis=0)):
        with pytest.raises(gn.DTypeError) as caught:
            attempt()
        assert "gn.where(mask, x, y)" in str(caught.value)
        assert "gn.nonzero(mask, size=n)" in str(caught.value)


@given(x=WHOLE, size=st.integers(0, 15))
def test_nonzero_is_that_of_numpy(x, size):
    (places,) = np.nonzero(x)
    expected = [*places.tolist(), *[-1] * size][:size]
    assert array(gn.nonzero(np.array(x, np.int64), size=size, fill_value=-1)[0]) == expected


def test_nonzero_takes_a_filling_for_each_axis():
    rows, columns = gn.nonzero([[0, 1], [0, 0]], size=2, fill_value=(7, 8))
    assert (array(rows), array(columns)) == ([0, 7], [1, 8])


def test_nonzero_refuses():
    with pytest.raises(gn.ShapeError, match=r"^nonzero: the size of the result must be given"):
        gn.nonzero([1, 0])
    with pytest.raises(gn.ShapeError, match=r"^nonzero: a scalar has no axes"):
        gn.nonzero(1, size=1)
    with pytest.raises(gn.ShapeError, match=r"^nonzero: 1 fill values for the 2 axes"):
        gn.nonzero([[1]], size=1, fill_value=(0,))


def test_out_of_range_raises_unless_a_mode_is_given():
    x, i = gn.placeholder("x", ("n",)), gn.placeholder("i", (2,), "int64")
    feeds = {x: [1.0, 2.0, 3.0], i: [3, -4]}
    with pytest.raises(gn.IndexRangeError):
        gn.evaluate(gn.take(x, i), feeds)
    assert gn.evaluate(gn.take(x, i, mode="clip"), feeds).tolist() == [3.0, 1.0]
    assert gn.evaluate(gn.take(x, i, mode="wrap"), feeds).tolist() == [1.0, 3.0]
    assert np.isnan(gn.evaluate(gn.take(x, i, mode="fill"), feeds)).all()
    assert gn.evaluate(gn.take(x, i, mode="fill", fill_value=-1.0), {**feeds, i: [-1, 5]}).tolist() == [3.0, -1.0]


def test_large_unsigned_indices_are_beyond_the_end():
    far = np.array([2**64 - 1, 1], np.uint64)
    assert array(gn.take([1, 2, 3], far, mode="clip")) == [3, 2]
    assert array(gn.take([1, 2, 3], far, mode="fill", fill_value=0)) == [0, 2]
    assert array(gn.take([1, 2, 3], np.array([200], np.uint8), mode="clip")) == [3]


def test_modes_refuse():
    with pytest.raises(gn.ShapeError, match=r"^take: mode is 'raise', 'clip', 'wrap' or 'fill', not 'nearest'"):
        gn.take([1, 2], [0], mode="nearest")
    with pytest.raises(gn.DTypeError, match=r"^take: mode 'fill' needs a fill_value for int64"):
        gn.take([1, 2], [0], mode="fill")
    with pytest.raises(gn.DTypeError, match=r"^take_along_axis: the Python float 0.5 does not fit int64"):
        gn.take_along_axis([1, 2], [0], mode="fill", fill_value=0.5)
    with pytest.raises(gn.DTypeError, match=r"^take: an index is float32, not an integer"):
        gn.take([1, 2], [0.0], mode="clip")


def test_index_vectors_refuse():
    x = gn.placeholder("x", (3, 4))
    with pytest.raises(gn.ShapeError, match=r"^gather_nd: index vectors of 3 numbers for \[3, 4\]"):
        gn.gather_nd(x, [[0, 0, 0]])
    with pytest.raises(gn.ShapeError, match=r"^gather_nd: the last axis of the indices"):
        gn.gather_nd(x, gn.placeholder("i", (2, "k"), "int64"))
    with pytest.raises(gn.ShapeError, match=r"^gather_nd: the first 1 sizes"):
        gn.gather_nd(x, gn.placeholder("i", (2, 1), "int64"), batch_dims=1)
    with pytest.raises(gn.ShapeError, match=r"^gather_nd: batch_dims is an int from 0 to 1"):
        gn.gather_nd(x, [[0, 0]], batch_dims=2)
    with pytest.raises(gn.DTypeError, match=r"^scatter_nd: the indices are float32"):
        gn.scatter_nd(x, [[0.0]], 1.0)
    with pytest.raises(gn.ShapeError, match=r"^scatter_nd: mode is"):
        gn.scatter_nd(x, [[0]], 1.0, mode="sub")
    with pytest.raises(gn.IndexRangeError):
        gn.evaluate(gn.gather_nd([1, 2], [[2]]))


def test_updates_refuse():
    x = gn.placeholder("x", (3, 4))
    with pytest.raises(gn.ShapeError, match=r"^at.multiply: values of shape \[5\] do not fill \[2, 4\]"):
        x.at[:2].multiply(gn.zeros((5,)))
    with pytest.raises(gn.ShapeError, match=r"^at: a mask of shape \[4\] does not fit \[3, 4\]"):
        x.at[gn.placeholder("m", (4,), "bool")]
    with pytest.raises(gn.ShapeError, match=r"^at.set: values of shape \[5\] do not broadcast to \[3, 4\]"):
        x.at[x > 0].set(gn.zeros((5,)))
    with pytest.raises(gn.DTypeError, match=r"^at.max: float32 and int64 do not mix"):
        x.at[0].max(gn.zeros((4,), dtype="int64"))


def test_updates_know_nan():
    x = gn.constant([1.0, 2.0])
    np.testing.assert_array_equal(value(x.at[[0]].max(gn.constant([NAN]))), [NAN, 2.0])
    np.testing.assert_array_equal(value(x.at[0].min(NAN)), [NAN, 2.0])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 20])
def test_many_values_multiplied_into_few_places(count):
    generator = np.random.default_rng(count)
    index = generator.integers(-3, 3, count)
    values = np.where(generator.random(count) < 0.3, 0.0, generator.uniform(0.5, 1.5, count))
    x, v = gn.placeholder("x", (3,), "float64"), gn.placeholder("v", (count,), "float64")
    check_gradients(x.at[index].multiply(v), {x: [1.0, 2.0, -1.0], v: values}, order=2)
    # Named and known sizes take different ways to the same derivative.
    named = gn.placeholder("v", ("m",), "float64")
    feeds = [np.array([1.0, 2.0, -1.0]), values, index]
    i, j = gn.placeholder("i", ("m",), "int64"), gn.placeholder("i", (count,), "int64")
    found = [
        gn.function([x, w, k], gn.grad(gn.sum(gn.square(x.at[k].multiply(w))), w))(*feeds)
        for w, k in ((v, j), (named, i))
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-13)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("exclusive", [False, True])
def test_running_products_of_any_length(count, exclusive):
    generator = np.random.default_rng(count)
    point = np.where(generator.random(count) < 0.3, 0.0, generator.uniform(0.5, 1.5, count))
    x, named = gn.placeholder("x", (count,), "float64"), gn.placeholder("x", ("n",), "float64")
    check_gradients(gn.cumulative_prod(x, exclusive=exclusive, reverse=True), {x: point}, order=2)
    found = [
        gn.evaluate(gn.grad(gn.sum(gn.sin(gn.cumulative_prod(y, exclusive=exclusive))), y), {y: point})
        for y in (x, named)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-13, atol=1e-15)


# --- shapes ---


def test_splits_refuse():
    with pytest.raises(gn.ShapeError, match=r"^split: axis 0 of \[5\] is not divided by 2"):
        gn.split(gn.zeros((5,)), 2)
    with pytest.raises(gn.ShapeError, match="is not divided by 0"):
        gn.split(gn.zeros((5,)), 0)
    with pytest.raises(gn.ShapeError, match=r"^unstack: how many slices there are along the named size n"):
        gn.unstack(gn.placeholder("x", ("n",)))
    with pytest.raises(gn.ShapeError, match=r"^roll: several shifts need an axis each"):
        gn.roll(gn.zeros((5,)), (1, 2))
    with pytest.raises(gn.ShapeError, match=r"^roll: 1 shifts for 2 axes"):
        gn.roll(gn.zeros((5, 5)), (1,), axis=(0, 1))
    with pytest.raises(gn.ShapeError, match=r"^meshgrid: indexing is 'xy' or 'ij'"):
        gn.meshgrid([1], indexing="yx")
    with pytest.raises(gn.ShapeError, match=r"^meshgrid takes vectors, not \[1, 1\]"):
        gn.meshgrid([[1]])
    with pytest.raises(gn.ShapeError, match=r"^tril takes a matrix, or a stack of them, not \[2\]"):
        gn.tril([1, 2])


def test_split_of_a_named_size_that_is_a_multiple():
    x = gn.placeholder("x", ("n", 6))
    parts = gn.split(gn.reshape(x, (2 * gn.Dim("n"), 3)), 2)
    assert [part.shape for part in parts] == [(gn.Dim("n"), 3)] * 2
    data = np.arange(12.0, dtype="float32").reshape(2, 6)
    assert_same_bits(gn.evaluate(parts[1], {x: data}), data.reshape(4, 3)[2:])


def test_nothing_to_join():
    assert gn.broadcast_arrays() == ()
    assert gn.meshgrid() == ()
    assert len(gn.split(gn.zeros((3,)), [])) == 1

"""Pooling and resizing where the table of cases does not go: ties, padding that must not win, oracles, errors."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import assert_close, assert_same_bits


def normal(*shape):
    return np.random.default_rng(list(shape)).standard_normal(shape)


def test_padding_never_wins():
    x = np.full((1, 3, 1), -5.0)
    assert (gn.evaluate(gn.max_pool(x, size=3, stride=1, padding=1)) == -5.0).all()
    low = np.full((1, 3, 1), np.iinfo(np.int8).min, np.int8)
    assert (gn.evaluate(gn.max_pool(low, size=3, stride=1, padding="same")) == -128).all()


def test_equal_elements_share_the_derivative():
    x = gn.placeholder("x", (1, 4, 1), "float64")
    slope = gn.grad(gn.sum(gn.max_pool(x, size=2)), x)
    point = np.array([1.0, 1.0, 3.0, 2.0]).reshape(1, 4, 1)
    assert gn.evaluate(slope, {x: point}).ravel().tolist() == [0.5, 0.5, 1.0, 0.0]
    # An adaptive window that is shorter than others counts no element twice.
    x = gn.placeholder("x", (1, 5, 1), "float64")
    slope = gn.evaluate(gn.grad(gn.sum(gn.adaptive_max_pool(x, size=3)), x), {x: np.zeros((1, 5, 1))})
    assert slope.ravel().tolist() == pytest.approx([1 / 2, 1 / 2 + 1 / 3, 1 / 3, 1 / 3 + 1 / 2, 1 / 2])


def test_nan_passes_a_max_pool():
    found = gn.evaluate(gn.max_pool(np.array([1.0, np.nan, 2.0, 3.0]).reshape(1, 4, 1), size=2))
    assert np.isnan(found[0, 0, 0])
    assert found[0, 1, 0] == 3.0


def test_adaptive_pools_of_equal_parts_are_plain_pools():
    x = normal(2, 6, 9, 3)
    plain = [gn.avg_pool(x, size=(2, 3)), gn.max_pool(x, size=(2, 3))]
    adaptive = [gn.adaptive_avg_pool(x, size=3), gn.adaptive_max_pool(x, size=3)]
    for one, other in zip(gn.evaluate(plain), gn.evaluate(adaptive), strict=True):
        assert_close(one, other, rtol=1e-13, atol=1e-14)
    assert_close(*gn.evaluate([gn.adaptive_avg_pool(x, size=1)[:, 0, 0], gn.global_avg_pool(x)]), rtol=1e-13)


def test_lp_pool_lies_between_sum_and_maximum():
    x = np.abs(normal(1, 8, 1))
    total, length, largest = gn.evaluate([gn.lp_pool(x, size=2, ord=p) for p in (1.0, 4.0, np.inf)])
    assert_close(total, 2 * gn.evaluate(gn.avg_pool(x, size=2)), rtol=1e-13)
    assert_close(largest, gn.evaluate(gn.max_pool(x, size=2)), rtol=1e-13)
    assert (largest < length).all()
    assert (length < total).all()


@pytest.mark.parametrize("size", [(5, 13), (3, 4), (1, 1), (10, 14)])
@pytest.mark.parametrize("align_corners", [False, True])
def test_scipy_interpolates_alike(size, align_corners):
    ndimage = pytest.importorskip("scipy.ndimage")
    image = normal(5, 7)
    places = [
        np.arange(k) * (n - 1) / max(k - 1, 1) if align_corners else (np.arange(k) + 0.5) * n / k - 0.5
        for n, k in zip(image.shape, size, strict=True)
    ]
    expected = ndimage.map_coordinates(image, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")
    found = gn.evaluate(gn.resize(image[..., None], size=size, align_corners=align_corners))[..., 0]
    assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_interpolation_keeps_constants_and_sizes(method):
    line = normal(12)
    assert_close(gn.evaluate(gn.resize(np.ones((12, 1)), size=(31,), method=method)), np.ones((31, 1)), rtol=1e-12)
    assert_close(gn.evaluate(gn.resize(line[:, None], size=(12,), method=method))[:, 0], line, rtol=0)


def test_nearest_repeats_whole_factors():
    x = normal(2, 3, 2, 1)
    found = gn.evaluate(gn.resize(x, size=(9, 4), method="nearest"))
    assert_same_bits(found, x.repeat(3, axis=1).repeat(2, axis=2))


def test_unshuffled_pixels_are_shuffled_back():
    x = gn.placeholder("x", ("n", 6, 9, "c"), "float64")
    array = normal(2, 6, 9, 4)
    there = gn.pixel_unshuffle(x, 3)
    assert there.shape[1:3] == (2, 3)
    assert_same_bits(gn.evaluate(gn.pixel_shuffle(there, 3), {x: array}), array)


@pytest.mark.parametrize(
    "build, text",
    [
        (lambda x: gn.max_pool(x, size=(2, 2, 2, 2)), "too few axes"),
        (lambda x: gn.max_pool(x, size=9), "has 4 elements, a window spans 9"),
        (lambda x: gn.avg_pool(x.astype("int64"), size=2), "avg_pool takes floating-point arrays"),
        (lambda x: gn.adaptive_avg_pool(x, size=0), "size is an int from 1"),
        (lambda x: gn.resize(x, size=(0, 1)), "size is an int from 1"),
        (lambda x: gn.resize(x, size=2, method="area"), "method is 'nearest', 'linear' or 'cubic', not 'area'"),
        (lambda x: gn.resize(gn.placeholder("y", ("b", "h", 4, 1)), size=2), "must be known numbers from 1, not h"),
        (lambda x: gn.pixel_shuffle(x, 2), r"the 3 channels of \[2, 4, 5, 3\] \(channels last\) are no multiple of 4"),
        (lambda x: gn.pixel_unshuffle(x, 2), "the 5 columns of"),
        (lambda x: gn.pixel_shuffle(x, 0), "the factor is an int from 1, not 0"),
        (lambda x: gn.global_avg_pool(gn.placeholder("y", (3, 4))), "too few axes"),
    ],
)
def test_errors(build, text):
    with pytest.raises(gn.GraphnnError, match=text):
        build(gn.placeholder("x", (2, 4, 5, 3)))

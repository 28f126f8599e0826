"""Convolution against SciPy, as an inner product of patches, and beside its transpose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn.backend.numpy import lower
from graphnn.ops.contraction import Contract
from graphnn.ops.windows import FoldWindows, Windows
from graphnn.testing import assert_close, assert_same_bits

CONV = {1: gn.conv1d, 2: gn.conv2d, 3: gn.conv3d}
TRANSPOSED = {1: gn.conv_transpose1d, 2: gn.conv_transpose2d, 3: gn.conv_transpose3d}


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def placeholders(*arrays):
    return [gn.placeholder(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(arrays)]


@pytest.mark.parametrize("shape, kernel", [((9,), (4,)), ((7, 6), (3, 2)), ((5, 4, 6), (2, 3, 3))])
def test_scipy_gives_the_same_values_and_gradients(shape, kernel):
    signal = pytest.importorskip("scipy.signal")
    batch, channels, outputs = 2, 3, 4
    image, weight = normal(batch, *shape, channels), normal(*kernel, channels, outputs)
    x, w = placeholders(image, weight)
    y = CONV[len(shape)](x, w)
    cotangent = normal(*y.shape, seed=1)
    value, by_x, by_w = gn.evaluate([y, *gn.vjp(y, [x, w], cotangent)], {x: image, w: weight})
    for b in range(batch):
        for o in range(outputs):
            expected = sum(signal.correlate(image[b, ..., c], weight[..., c, o], "valid") for c in range(channels))
            assert_close(value[b, ..., o], expected, rtol=1e-12, atol=1e-12)
        for c in range(channels):
            expected = sum(signal.convolve(cotangent[b, ..., o], weight[..., c, o], "full") for o in range(outputs))
            assert_close(by_x[b, ..., c], expected, rtol=1e-12, atol=1e-12)
    for c in range(channels):
        for o in range(outputs):
            expected = sum(signal.correlate(image[b, ..., c], cotangent[b, ..., o], "valid") for b in range(batch))
            assert_close(by_w[..., c, o], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size, kernel", [(8, 3), (9, 4), (7, 2)])
def test_scipy_same_padding(size, kernel):
    ndimage = pytest.importorskip("scipy.ndimage")
    image, weight = normal(1, size, size, 1), normal(kernel, kernel, 1, 1)
    found = gn.evaluate(gn.conv2d(image, weight, padding="same"))
    # SciPy puts the odd one of an even kernel in front unless it is shifted.
    shift = -1 if kernel % 2 == 0 else 0
    expected = ndimage.correlate(image[0, ..., 0], weight[..., 0, 0], mode="constant", origin=shift)
    assert_close(found[0, ..., 0], expected, rtol=1e-12, atol=1e-12)


def test_a_convolution_is_an_inner_product_of_patches():
    image, weight = normal(2, 6, 5, 3), normal(3, 2, 3, 4)
    x, w = placeholders(image, weight)
    rows = gn.unfold(x, (3, 2), stride=2, padding=1)
    as_product = rows @ gn.reshape(w, (3 * 2 * 3, 4))
    found, expected = gn.evaluate([gn.conv2d(x, w, stride=2, padding=1), as_product], {x: image, w: weight})
    assert_same_bits(found, expected)
    patch, kernel = image[1, 1:4, 1:3], weight[..., 2]
    assert found[1, 1, 1, 2] == pytest.approx(np.vdot(patch, kernel), rel=1e-13)


def test_the_body_of_a_convolution_is_windows_and_a_product():
    x, w = gn.placeholder("x", ("batch", "h", "w", 3)), gn.parameter("w", normal(3, 3, 3, 8))
    y = gn.conv2d(x, w)
    body = gn.Graph(y.op.expand(x, w))
    kinds = [type(node.op) for node in body.nodes if node.inputs]
    assert kinds.count(Windows) == 1
    assert kinds.count(Contract) == 1
    assert body.outputs[0].op.is_matmul
    assert y.op.name == "conv2d"


def test_a_kernel_finds_its_own_pattern():
    pattern = np.array([[1.0, -1.0], [-1.0, 1.0]])
    image = 0.1 * normal(1, 8, 8, 1)
    image[0, 5:7, 2:4, 0] += pattern
    found = gn.evaluate(gn.conv2d(image, pattern[..., None, None]))[0, ..., 0]
    assert np.unravel_index(found.argmax(), found.shape) == (5, 2)


@st.composite
def convolutions(draw):
    count = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 2))
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(count))
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(count))
    shape = tuple(dilation * (k - 1) + 1 + draw(st.integers(0, 4)) for k in kernel)
    channels, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    options = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups}
    return (2, *shape, channels), (*kernel, channels // groups, outputs), options


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_the_transposed_convolution_is_the_derivative_by_the_input(drawn):
    shape, kernel, options = drawn
    image, weight = normal(*shape), normal(*kernel)
    x, w = placeholders(image, weight)
    count = len(shape) - 2
    y = CONV[count](x, w, **options)
    g = gn.placeholder("g", y.shape, "float64")
    # Several input sizes give one output size; output_padding tells which.
    stride, dilation, pads = options["stride"], options["dilation"], options["padding"]
    more = tuple(
        n + sum(pad) - (m - 1) * stride - dilation * (k - 1) - 1
        for n, m, k, pad in zip(shape[1:-1], y.shape[1:-1], kernel[:-2], pads, strict=True)
    )
    back = gn.vjp(y, x, g)
    feeds = {x: image, w: weight, g: normal(*y.shape, seed=1)}
    spread = TRANSPOSED[count](g, w, output_padding=more, **options)
    value, pulled, found = gn.evaluate([y, back, spread], feeds)
    assert_close(found, pulled, rtol=1e-12, atol=1e-12)
    assert np.vdot(value, feeds[g]) == pytest.approx(np.vdot(pulled, image), rel=1e-10, abs=1e-10)


def test_depthwise_channels_do_not_meet():
    image, weight = normal(1, 5, 5, 3), normal(2, 2, 1, 6)
    found = gn.evaluate(gn.conv2d(image, weight, groups=3))
    for channel in range(6):
        alone = gn.evaluate(gn.conv2d(image[..., channel // 2, None], weight[..., channel, None]))
        assert_close(found[..., channel], alone[..., 0], rtol=1e-13, atol=1e-13)


def test_layouts_differ_in_the_order_of_axes_only():
    image, weight = normal(2, 5, 6, 3), normal(3, 3, 3, 4)
    last = gn.evaluate(gn.conv2d(image, weight, padding="same", layout="NHWC"))
    first = gn.evaluate(gn.conv2d(np.moveaxis(image, -1, 1), weight, padding="same", layout="NCHW"))
    assert_same_bits(np.moveaxis(first, 1, -1).copy(), last)


def test_one_function_serves_all_sizes():
    x = gn.placeholder("x", ("batch", "h", "w", 2), "float64")
    weight = normal(3, 3, 2, 4)
    y = gn.max_pool(gn.conv2d(x, weight, stride=2, padding="same"), size=2)
    f = gn.function([x], [y, gn.grad(gn.sum(y), x)])
    for batch, h, w in ((1, 8, 9), (3, 5, 4), (2, 16, 4)):
        value, slope = f(normal(batch, h, w, 2))
        assert value.shape == (batch, -(-h // 2) // 2, -(-w // 2) // 2, 4)
        assert slope.shape == (batch, h, w, 2)
    with pytest.raises(gn.ShapeError, match="window"):
        f(normal(1, 2, 2, 2))


def test_windows_are_views_without_a_copy():
    x = gn.placeholder("x", (100, 100), "float64")
    node = gn.windows(x, (11, 11))
    array = normal(100, 100)
    view = lower(node.op, node)(array)
    assert view.shape == (90, 90, 11, 11)
    assert np.shares_memory(view, array)
    assert not view.flags.writeable
    back = gn.fold_windows(node, (100, 100))
    assert isinstance(back.op, FoldWindows)
    assert gn.evaluate(back, {x: np.ones((100, 100))}).max() == 121


def test_masks_pass_windows_in_both_directions():
    point = np.array([4.0, 0.0, 1.0, 2.0])
    x = gn.placeholder("x", (4,), "float64")
    seen = gn.windows(x, 2)
    y = gn.sum(gn.where(seen > 0, gn.log(seen), 0.0))
    assert gn.evaluate(gn.grad(y, x), {x: point}).tolist() == [0.25, 0.0, 2.0, 0.5]
    spread = gn.placeholder("spread", (2, 2), "float64")
    total = gn.fold_windows(spread, 3)
    y = gn.sum(gn.where(total > 0, gn.log(total), 0.0))
    slope = gn.evaluate(gn.grad(y, spread), {spread: np.array([[2.0, 1.0], [-1.0, 4.0]])})
    assert slope.tolist() == [[0.5, 0.0], [0.0, 0.25]]


def test_patches_overlap_as_often_as_they_are_counted():
    ones = gn.constant(np.ones((1, 5, 5, 1)))
    times = gn.evaluate(gn.fold(gn.unfold(ones, 3), (5, 5), 3))[0, ..., 0]
    assert times[0].tolist() == [1, 2, 3, 2, 1]
    assert times[2].tolist() == [3, 6, 9, 6, 3]


def x_of(*shape):
    return gn.placeholder("x", shape, "float64")


@pytest.mark.parametrize(
    "build, text",
    [
        (lambda: gn.conv2d(x_of("b", 8, 8, 3), normal(3, 3, 4, 2)), r"x has 3 channels, the weight \[3, 3, 4, 2\] takes 4"),
        (lambda: gn.conv2d(x_of("b", 3, 8, 8), normal(3, 3, 3, 2)), "Did you mean layout='channels_first'?"),
        (lambda: gn.conv2d(x_of(8, 3), normal(3, 3, 3, 2)), "too few axes"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 3), normal(3, 3, 2)), r"the weight has 4 axes \[\*kernel, inputs, outputs\]"),
        (lambda: gn.conv2d(x_of(1, 2, 8, 3), normal(3, 3, 3, 2)), "has 2 elements, a window spans 3"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 3), normal(3, 3, 3, 2), padding="full"), "padding is 'valid', 'same' or numbers"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 3), normal(3, 3, 3, 2), padding=-1), "padding is 'valid', 'same' or numbers"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 3), normal(3, 3, 3, 2), stride=0), "stride is an int from 1"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 3), normal(3, 3, 3, 2), stride=(1, 2, 3)), "3 values of stride for 2 axes"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 3), normal(3, 3, 3, 2), layout="NWHC"), "layout is"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 4), normal(3, 3, 2, 3), groups=2), "3 outputs cannot be divided into 2 groups"),
        (lambda: gn.conv2d(x_of(1, 8, 8, 4), normal(3, 3, 2, 3), groups=0), "groups is an int from 1"),
        (lambda: gn.conv_transpose2d(x_of(1, 8, 8, 4), normal(3, 3, 2, 3)), "x has 4 channels"),
        (
            lambda: gn.conv_transpose1d(x_of(1, 8, 3), normal(2, 2, 3), stride=2, output_padding=2),
            "output_padding is a number from 0, less than stride or dilation, not 2",
        ),
        (lambda: gn.conv_transpose1d(x_of(1, 1, 3), normal(2, 2, 3), padding=2), "axis 1 of the result would have the size -2"),
        (lambda: gn.windows(x_of(3), 4), "axis 0 of .3. has 3 elements, a window spans 4"),
        (lambda: gn.windows(x_of(3), 0), "a window of no elements"),
        (lambda: gn.fold_windows(x_of(3, 2), 5), "counts 3 windows of 2, but 4 fit into 5"),
        (lambda: gn.fold(x_of(1, 2, 2, 5), (3, 3), 2), "vectors of 5 elements are no patches"),
    ],
)  # fmt: skip
def test_errors(build, text):
    with pytest.raises(gn.ShapeError, match=text):
        build()

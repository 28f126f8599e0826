"""Imported operators of networks, where the node suite of ONNX does not reach: each beside its definition in NumPy."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import assert_close

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from graphnn.interop.onnx import load  # noqa: E402

RNG = np.random.default_rng(0)


def model(op, inputs, outputs, attributes=None, *, opset=22, constants=()):
    """A model of one node; inputs are name -> array or shape, an empty name for one that is left out."""
    named = {name: value for name, value in inputs.items() if not name.startswith("-")}
    infos = []
    for name, value in named.items():
        dtype = np.asarray(value).dtype if isinstance(value, np.ndarray) else np.dtype("float64")
        shape = list(value.shape) if isinstance(value, np.ndarray) else list(value)
        if name not in constants:
            infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape))
    kept = [onnx.numpy_helper.from_array(np.asarray(named[name]), name) for name in constants]
    names = ["" if name.startswith("-") else name for name in inputs]
    results = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in outputs if name]
    node = helper.make_node(op, names, outputs, name="it", **(attributes or {}))
    graph = helper.make_graph([node], "graph", infos, results, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def with_output(made, i, element):
    """The model with another data type of output i."""
    made.graph.output[i].type.tensor_type.elem_type = element
    return made


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# --- recurrent networks: by the definition, sequence by sequence ---


def lstm(x, w, r, b, p, h, c, clip, coupled):
    n = h.size
    out = []
    limited = (lambda v: np.clip(v, -clip, clip)) if clip else (lambda v: v)
    for item in x:
        i, o, f, g = np.split(w @ item + r @ h + b[: 4 * n] + b[4 * n :], 4)
        into = sigmoid(limited(i + p[:n] * c))
        keep = 1 - into if coupled else sigmoid(limited(f + p[2 * n :] * c))
        c = keep * c + into * np.tanh(limited(g))
        h = sigmoid(limited(o + p[n : 2 * n] * c)) * np.tanh(limited(c))
        out.append(h)
    return out, h, c


def gru(x, w, r, b, h, clip, late):
    n = h.size
    out = []
    limited = (lambda v: np.clip(v, -clip, clip)) if clip else (lambda v: v)
    wz, wr, wh = np.split(w, 3)
    rz, rr, rh = np.split(r, 3)
    bz, br, bh, cz, cr, ch = np.split(b, 6)
    for item in x:
        z = sigmoid(limited(wz @ item + rz @ h + bz + cz))
        q = sigmoid(limited(wr @ item + rr @ h + br + cr))
        inner = q * (rh @ h + ch) if late else rh @ (q * h) + ch
        h = (1 - z) * np.tanh(limited(wh @ item + inner + bh)) + z * h
        out.append(h)
    assert out[-1].shape == (n,)
    return out, h


STEPS, BATCH, WIDTH, SIZE = 4, 3, 2, 3
LENGTHS = np.array([2, 4, 1], np.int32)


def along(x, lengths, backwards, function):
    """Each sequence of a batch by itself; zeros behind its end."""
    out = np.zeros((STEPS, BATCH, SIZE))
    last = []
    for k, length in enumerate(lengths):
        part = x[:length, k][::-1] if backwards else x[:length, k]
        found, *state = function(k, part)
        out[:length, k] = found[::-1] if backwards else found
        last.append(state)
    return out, [np.array(column) for column in zip(*last, strict=True)]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("clip", "coupled", "layout"), [(0.0, 0, 0), (0.5, 1, 0), (0.5, 0, 1)])
def test_lstm(direction, clip, coupled, layout):
    if layout and direction == "bidirectional":
        direction = "reverse"
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    d = len(backwards)
    x, w, r = (RNG.normal(size=s) for s in [(STEPS, BATCH, WIDTH), (d, 4 * SIZE, WIDTH), (d, 4 * SIZE, SIZE)])
    b, h, c, p = (RNG.normal(size=s) for s in [(d, 8 * SIZE), (d, BATCH, SIZE), (d, BATCH, SIZE), (d, 3 * SIZE)])
    turned = [np.ascontiguousarray(np.swapaxes(array, 0, 1)) if layout else array for array in (x, h, c)]
    arrays = {"x": turned[0], "w": w, "r": r, "b": b, "n": LENGTHS, "h": turned[1], "c": turned[2], "p": p}
    attributes = {"hidden_size": SIZE, "direction": direction, "clip": clip, "input_forget": coupled, "layout": layout}
    f = load(model("LSTM", arrays, ["y", "yh", "yc"], attributes))
    y, yh, yc = f(*arrays.values())
    for i, back in enumerate(backwards):
        expected, (last_h, last_c) = along(
            x, LENGTHS, back, lambda k, part, i=i: lstm(part, w[i], r[i], b[i], p[i], h[i, k], c[i, k], clip, coupled)
        )
        got = (y[:, :, i].swapaxes(0, 1), yh[:, i], yc[:, i]) if layout else (y[:, i], yh[i], yc[i])
        for found, wanted in zip(got, (expected, last_h, last_c), strict=True):
            assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(("late", "clip"), [(0, 0.0), (1, 0.5)])
def test_gru(direction, late, clip):
    backwards = [False, True] if direction == "bidirectional" else [False]
    d = len(backwards)
    x, w, r = (RNG.normal(size=s) for s in [(STEPS, BATCH, WIDTH), (d, 3 * SIZE, WIDTH), (d, 3 * SIZE, SIZE)])
    b, h = RNG.normal(size=(d, 6 * SIZE)), RNG.normal(size=(d, BATCH, SIZE))
    arrays = {"x": x, "w": w, "r": r, "b": b, "n": LENGTHS, "h": h}
    attributes = {"hidden_size": SIZE, "direction": direction, "clip": clip, "linear_before_reset": late}
    y, yh = load(model("GRU", arrays, ["y", "yh"], attributes))(*arrays.values())
    for i, back in enumerate(backwards):
        expected, (last,) = along(
            x, LENGTHS, back, lambda k, part, i=i: gru(part, w[i], r[i], b[i], h[i, k], clip, late)
        )
        assert_close(y[:, i], expected, rtol=1e-12, atol=1e-12)
        assert_close(yh[i], last, rtol=1e-12, atol=1e-12)


def test_long_sequences_and_those_of_a_named_size_are_scans():
    x, w, r = (RNG.normal(size=s) for s in [(40, 2, WIDTH), (1, 4 * SIZE, WIDTH), (1, 4 * SIZE, SIZE)])
    attributes = {"hidden_size": SIZE, "direction": "reverse"}
    b, h, c, p = np.zeros((1, 8 * SIZE)), np.zeros((1, 2, SIZE)), np.zeros((1, 2, SIZE)), np.zeros((1, 3 * SIZE))
    found = [lstm(x[::-1, k], w[0], r[0], b[0], p[0], h[0, k], c[0, k], 0.0, False) for k in range(2)]
    expected = np.stack([np.array(out)[::-1] for out, _, _ in found], axis=1)[:, None]
    for length in (40, "n"):
        f = load(model("LSTM", {"x": (length, 2, WIDTH), "w": w, "r": r}, ["y"], attributes, constants=("w", "r")))
        assert len(f.graph.nodes) < 200
        assert_close(f(x), expected, rtol=1e-12, atol=1e-12)
    assert f(x[:1]).shape == (1, 1, 2, SIZE)


def test_rnn_with_an_activation_of_its_own():
    x, w, r = RNG.normal(size=(2, 1, 1)), RNG.normal(size=(1, 1, 1)), RNG.normal(size=(1, 1, 1))
    attributes = {"hidden_size": 1, "activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.25]}
    f = load(model("RNN", {"x": x, "w": w, "r": r}, ["y"], attributes))
    first = 0.5 * x[0] * w[0] + 0.25
    assert_close(f(x, w, r)[:, 0], [first, 0.5 * (x[1] * w[0] + first * r[0]) + 0.25], rtol=1e-12)


# --- transforms ---


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12, 16, 22, 49, 96, 101])
def test_fourier_transforms(n):
    """Lengths with all kinds of factors, against NumPy; input that is shorter is filled up with zeros, longer is cut."""
    for inverse, onesided, parts, there in [
        (0, 0, 2, n), (0, 0, 1, n + 2), (0, 1, 1, max(n - 3, 1)), (1, 0, 2, n), (1, 1, 2, n // 2 + 1),
    ]:  # fmt: skip
        x = RNG.normal(size=(2, there, 2, parts))
        inputs = {"x": x, "n": np.array(n), "axis": np.array(1)}
        attributes = {"inverse": inverse, "onesided": onesided}
        found = load(model("DFT", inputs, ["y"], attributes, constants=("n", "axis")))(x)
        signal = x[..., 0] + 1j * x[..., 1] if parts == 2 else x[..., 0]
        functions = {(0, 0): np.fft.fft, (0, 1): np.fft.rfft, (1, 0): np.fft.ifft, (1, 1): np.fft.irfft}
        expected = functions[inverse, onesided](signal, n, axis=1)
        pairs = np.stack([expected.real, expected.imag], -1) if np.iscomplexobj(expected) else expected[..., None]
        assert_close(found, pairs, rtol=1e-11, atol=1e-12)
        if parts == 1:  # what is real, is so without any rounding
            assert (found[:, 0, :, 1] == 0).all()


# --- moved convolutions ---


@pytest.mark.parametrize(("lengths", "kernel"), [((7,), (3,)), ((5, 6), (2, 3)), ((3, 4, 3), (2, 1, 2))])
def test_a_deformed_convolution_without_offsets_is_a_convolution(lengths, kernel):
    count = len(lengths)
    x, w = RNG.normal(size=(2, 4, *lengths)), RNG.normal(size=(6, 2, *kernel))
    strides, dilations = [2, 1, 1][:count], [1, 2, 1][:count]
    pads = [1] * count + [0] * count
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": 2}
    expected = load(model("Conv", {"x": x, "w": w}, ["y"], attributes))(x, w)
    offset = np.zeros((2, 2 * int(np.prod(kernel)) * count, *expected.shape[2:]))
    inputs = {"x": x, "w": w, "offset": offset}
    f = load(model("DeformConv", inputs, ["y"], {**attributes, "offset_group": 2}))
    assert_close(f(*inputs.values()), expected, rtol=1e-12, atol=1e-12)
    # All places moved by one element along the last axis are those of an image that is moved the other way.
    offset.reshape(2, -1, count, *expected.shape[2:])[:, :, -1] = 1.0
    left = np.concatenate([x[..., 1:], np.zeros_like(x[..., :1])], axis=-1)
    inner = (..., slice(1, None))  # at the left border the padding differs
    assert_close(f(x, w, offset)[inner], f(left, w, 0 * offset)[inner], rtol=1e-12, atol=1e-12)


# --- small integers ---


def test_a_convolution_of_stored_numbers():
    """Per channel, with a bias and a border: near the same convolution of real numbers."""
    x, w = RNG.integers(0, 256, (1, 2, 5, 5), np.uint8), RNG.integers(-128, 128, (3, 2, 3, 3), np.int8)
    scales = RNG.uniform(0.01, 0.02, 3).astype(np.float32)
    zeros, bias = np.array([3, -5, 0], np.int8), np.array([100, -2000, 7], np.int32)
    arrays = {
        "x": x, "xs": np.float32(0.5), "xz": np.uint8(130), "w": w, "ws": scales, "wz": zeros,
        "ys": np.float32(2.0), "yz": np.uint8(120), "b": bias,
    }  # fmt: skip
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    made = model("QLinearConv", arrays, ["y"], {"pads": [1, 1, 1, 1]}, constants=tuple(arrays)[1:])
    y = load(with_output(made, 0, TensorProto.UINT8))(x)
    real_x = (x.astype(np.float64) - 130) * 0.5
    real_w = (w.astype(np.float64) - zeros[:, None, None, None]) * scales[:, None, None, None]
    real = gn.evaluate(gn.conv2d(real_x, real_w.transpose(2, 3, 1, 0), padding=1, layout="NCHW"))
    real = real + (bias * 0.5 * scales)[:, None, None]
    assert_close(y.astype(np.float64), np.clip(real / 2.0 + 120, 0, 255), atol=0.51)
    assert len(np.unique(y)) > 20


def test_a_scale_for_each_block():
    x = RNG.normal(size=(2, 5)).astype(np.float32)
    scale = np.array([[0.1, 0.2, 0.5], [1.0, 0.01, 0.02]], np.float32)
    inputs = {"x": x, "scale": scale}
    made = model("QuantizeLinear", inputs, ["y"], {"axis": 1, "block_size": 2, "output_dtype": 3}, opset=21)
    y = load(with_output(made, 0, TensorProto.INT8))(x, scale)
    spread = np.repeat(scale, 2, axis=1)[:, :5]
    assert y.tolist() == np.clip(np.rint(x / spread), -128, 127).astype(int).tolist()
    stored = {"y": y, "scale": scale}
    made = model("DequantizeLinear", stored, ["back"], {"axis": 1, "block_size": 2}, opset=21)
    back = load(with_output(made, 0, TensorProto.FLOAT))(y, scale)
    assert_close(back, y * spread, rtol=1e-6)


# --- dropout ---


def test_dropout_in_training():
    x = np.ones((40, 50))
    flag = np.array(True)
    inputs = {"x": x, "ratio": np.array(0.25), "training": flag}
    made = model("Dropout", inputs, ["y", "mask"], constants=("ratio", "training"))
    f = load(with_output(made, 1, TensorProto.BOOL))
    (first, mask), (second, _) = f(x), f(x)
    assert set(np.unique(first)) == {0.0, 1 / 0.75}
    assert ((first != 0) == mask).all()
    assert 0.7 < mask.mean() < 0.8
    assert (first != second).any()


# --- named sizes, and sizes that must be numbers ---


def test_a_convolution_keeps_the_names_of_sizes():
    w = RNG.normal(size=(4, 3, 3, 3))
    inputs = {"x": ("batch", 3, "h", "w"), "weight": w}
    f = load(model("Conv", inputs, ["y"], {"pads": [1, 1, 1, 1], "strides": [1, 2]}, constants=("weight",)))
    assert str(f.outputs[0].shape) == "(batch, 4, h, (w + 1)//2)"
    assert f(np.ones((2, 3, 5, 7))).shape == (2, 4, 5, 4)


def test_pooling_by_ceil_mode_is_built_for_each_size():
    f = load(model("MaxPool", {"x": (1, 1, "n")}, ["y"], {"kernel_shape": [2], "strides": [2], "ceil_mode": 1}))
    assert f.static_sizes == ("n",)
    for n, count in ((4, 2), (5, 3), (6, 3)):
        x = np.arange(n, dtype=np.float64)[None, None]
        assert f(x)[0, 0].tolist() == [min(2 * i + 1, n - 1) for i in range(count)]


def test_places_of_overlapping_windows_in_columns():
    x = RNG.permutation(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(np.float64)
    attributes = {"kernel_shape": [2, 2], "strides": [1, 2], "storage_order": 1}
    f = load(with_output(model("MaxPool", {"x": x}, ["y", "places"], attributes), 1, TensorProto.INT64))
    y, places = f(x)
    for n, c, i, j in np.ndindex(y.shape):
        column, row = divmod(places[n, c, i, j] - (n * 3 + c) * 20, 4)
        assert x[n, c, row, column] == y[n, c, i, j] == x[n, c, i : i + 2, 2 * j : 2 * j + 2].max()


# --- errors ---


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        (
            "Conv",
            {"x": (1, 3, 5), "w": (2, 3, 3)},
            {"kernel_shape": [2]},
            "kernel_shape is [2], but the weight has [3]",
        ),
        ("Conv", {"x": (1, 3, 5), "w": (2, 3, 3)}, {"strides": [0]}, "'strides' has 1 numbers from 1, not [0]"),
        ("MaxPool", {"x": (1, 3)}, {"kernel_shape": [1]}, "an input [batch, channels, *spatial] is needed"),
        ("LSTM", {"x": (1, 2, 3), "w": (1, 4, 3), "r": (1, 4, 2)}, {"hidden_size": 2}, "do not fit 4 gates of 2"),
        ("GRU", {"x": (1, 2, 3), "w": (1, 3, 3), "r": (1, 3, 1)}, {"activations": ["Sigmoid"]}, "2 activations are"),
        (
            "GroupNormalization",
            {"x": (2, 4), "s": (4,), "b": (4,)},
            {"num_groups": 3},
            "cannot be divided into 3 groups",
        ),
        ("NegativeLogLikelihoodLoss", {"x": (2, 4), "t": np.zeros(3, np.int64)}, {}, "the labels int64[3] do not fit"),
        ("DFT", {"x": (2, 4, 3)}, {}, "the last axis holds the real part"),
    ],
)
def test_errors(op, inputs, attributes, message):
    with pytest.raises((gn.ModelError, gn.UnsupportedError)) as raised:
        load(model(op, inputs, ["y"], attributes))
    text = str(raised.value).splitlines()[0]
    assert message in text
    assert text.startswith(f"{op} (ai.onnx, opset 22), node 'it': ")

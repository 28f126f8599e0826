"""Saving graphs as ONNX models."""

import numpy as np
import onnx
import pytest

import graphnn as gn
from graphnn.errors import GraphError, ModelError, UnsupportedError
from graphnn.interop.onnx import load, save

# --- what is saved ---


def test_a_function_with_named_sizes():
    x = gn.placeholder("x", ("batch", "time", 4))
    w = gn.parameter("w", np.arange(12, dtype=np.float32).reshape(4, 3))
    y = gn.reshape(x, (gn.Dim("batch") * gn.Dim("time"), 4)) @ w + gn.dim_size(x, 0, dtype="float32")
    f = gn.function([x], y)
    proto = save(f)
    onnx.checker.check_model(proto, full_check=True)
    assert [item.name for item in proto.graph.initializer][:1] == ["w"]
    assert [dim.dim_param for dim in proto.graph.input[0].type.tensor_type.shape.dim] == ["batch", "time", ""]
    value = np.random.default_rng(0).standard_normal((2, 5, 4), np.float32)
    np.testing.assert_allclose(load(proto)(value), f(value), rtol=1e-6)


def test_modules_are_saved_as_they_are_used(tmp_path):
    net = gn.nn.Sequential(
        gn.nn.Conv2d(1, 2, 3, padding="same"), gn.nn.ReLU(), gn.nn.MaxPool2d(2), gn.nn.Flatten(), gn.nn.Linear(3)
    )
    x = gn.placeholder("image", ("batch", 6, 6, 1))
    save(net, tmp_path / "net.onnx", inputs=x)
    again = load(tmp_path / "net.onnx")
    assert {"Conv", "Relu", "MaxPool"} <= {item.op_type for item in onnx.load(tmp_path / "net.onnx").graph.node}
    value = np.random.default_rng(0).standard_normal((2, 6, 6, 1), np.float32)
    np.testing.assert_allclose(again(value), gn.function([x], net(x))(value), rtol=1e-5, atol=1e-6)


def test_several_outputs_and_their_names():
    x = gn.placeholder("x", (3,))
    y = gn.exp(x).named("y")
    proto = save([y, x, y * 2, y])
    names = [item.name for item in proto.graph.output]
    assert (names[0], len(set(names))) == ("y", 4)
    results = load(proto)(np.float32([0, 1, 2]))
    np.testing.assert_allclose(results[2], 2 * results[0])
    np.testing.assert_allclose(results[3], results[0])


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_layouts(layout):
    shape = (1, 5, 5, 4) if layout == "channels_last" else (1, 4, 5, 5)
    x = gn.placeholder("x", shape)
    w = np.random.default_rng(1).standard_normal((3, 3, 2, 6), np.float32)
    v = np.random.default_rng(2).standard_normal((2, 2, 3, 6), np.float32)
    y = gn.conv2d(x, w, stride=2, padding=1, groups=2, layout=layout)
    z = gn.conv_transpose2d(y, v, stride=2, groups=2, layout=layout)
    pooled = gn.avg_pool(z, 2, stride=1, padding=1, count_include_pad=False, layout=layout)
    resized = gn.resize(pooled, size=(4, 9), layout=layout)
    f = gn.function([x], gn.max_pool(resized, (2, 3), layout=layout))
    proto = save(f)
    kinds = [item.op_type for item in proto.graph.node]
    assert [kinds.count(kind) for kind in ("Conv", "ConvTranspose", "AveragePool", "Resize", "MaxPool")] == [1] * 5
    value = np.random.default_rng(3).standard_normal(shape, np.float32)
    np.testing.assert_allclose(load(proto)(value), f(value), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_saved():
    x = gn.placeholder("x", (2, 2))
    with pytest.raises(UnsupportedError, match="ONNX has no operator for random_bits"):
        save(gn.function([x], x + gn.uniform(gn.stream(0), (2, 2))))
    with pytest.raises(UnsupportedError, match="ONNX has no operator for cholesky"):
        save(gn.cholesky(x))
    w = gn.parameter("w", 1.0)
    with pytest.raises(UnsupportedError, match="updates 'w', which ONNX cannot express"):
        save(gn.function([x], x * w, updates={w: w + 1}))
    with pytest.raises(GraphError, match="save takes a function, a module or nodes"):
        save(3)


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        save(gn.placeholder("x", (2,)) + 1, tmp_path / "nowhere" / "m.onnx")


def test_derivatives_are_saved_too():
    x = gn.placeholder("x", (3,))
    f = gn.function([x], gn.grad(gn.sum(gn.tanh(x) * gn.sigmoid(x)), x))
    value = np.float32([-1, 0.5, 2])
    np.testing.assert_allclose(load(save(f))(value), f(value), rtol=1e-6)

"""Convolution and pooling layers: what they compute, their sizes and printed forms, and a network that learns digits."""

import numpy as np
import pytest

import graphnn as gn
from graphnn import data, losses, metrics, nn, optim
from graphnn.errors import GraphError, ShapeError, UnknownNameError


def normal(*shape):
    return np.random.default_rng(list(shape)).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("kind, shape", [(nn.Conv1d, (7,)), (nn.Conv2d, (6, 7)), (nn.Conv3d, (4, 5, 3))])
def test_a_layer_is_its_function_plus_a_bias(kind, shape):
    function = {nn.Conv1d: gn.conv1d, nn.Conv2d: gn.conv2d, nn.Conv3d: gn.conv3d}[kind]
    layer = kind(4, 6, 3, stride=2, padding=1, groups=2, seed=1)
    layer.bias.value = normal(6)
    assert layer.weight.shape == (*(3,) * len(shape), 2, 6)
    array = normal(2, *shape, 4)
    expected = function(array, layer.weight.value, stride=2, padding=1, groups=2) + layer.bias.value
    found, wanted = gn.evaluate([layer(gn.constant(array)), expected])
    np.testing.assert_array_equal(found, wanted)
    first = kind(4, 6, 3, stride=2, padding=1, groups=2, layout="channels_first")
    first.weight.value, first.bias.value = layer.weight.value, layer.bias.value
    turned = gn.evaluate(first(gn.constant(np.moveaxis(array, -1, 1))))
    np.testing.assert_array_equal(np.moveaxis(turned, 1, -1), found)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_transposed_layer_is_its_function_plus_a_bias(count):
    layer = getattr(nn, f"ConvTranspose{count}d")(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, seed=1)
    layer.bias.value = normal(6)
    assert layer.weight.shape == (*(3,) * count, 3, 4)
    array = normal(2, *(3,) * count, 4)
    function = getattr(gn, f"conv_transpose{count}d")
    expected = function(array, layer.weight.value, stride=2, padding=1, output_padding=1, groups=2) + layer.bias.value
    found, wanted = gn.evaluate([layer(gn.constant(array)), expected])
    assert found.shape == (2, *(6,) * count, 6)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pools_are_their_functions(count):
    array = normal(2, *(6,) * count, 3)
    for layer, function in (("MaxPool", gn.max_pool), ("AvgPool", gn.avg_pool)):
        made = getattr(nn, f"{layer}{count}d")(3, stride=2, padding=1)
        expected = function(array, size=(3,) * count, stride=2, padding=1)
        found, wanted = gn.evaluate([made(gn.constant(array)), expected])
        np.testing.assert_array_equal(found, wanted)


def test_input_channels_from_the_first_call():
    layer = nn.Conv2d(8, 3)
    assert repr(layer) == "Conv2d(8, 3)"
    with pytest.raises(GraphError, match="do not exist yet"):
        layer.weight.value
    assert layer(gn.placeholder("x", ("batch", "h", 9, 2))).shape == ("batch", gn.Dim("h") - 2, 7, 8)
    assert repr(layer) == "Conv2d(2, 8, 3)"
    with pytest.raises(ShapeError, match=r"Conv2d\(2, 8, 3\) takes 2 channels, not \[batch, 9, 9\]"):
        layer(gn.placeholder("x", ("batch", 9, 9)))
    with pytest.raises(ShapeError, match="cannot take its input channels from"):
        nn.Conv2d(8, 3)(gn.placeholder("x", ("batch", 9, 9, "c")))


def test_names_and_printed_forms():
    assert repr(nn.Conv2d(in_channels=1, out_channels=8, kernel_size=3)) == "Conv2d(1, 8, 3)"
    assert repr(nn.Conv2d(out_channels=8, kernel_size=(3, 1))) == "Conv2d(8, (3, 1))"
    shown = "Conv2d(2, 8, 3, stride=2, padding='same', groups=2, bias=False)"
    assert repr(nn.Conv2d(2, 8, 3, stride=2, padding="same", groups=2, bias=False)) == shown
    assert repr(nn.Conv1d(2, 8, 3, padding=((1, 0),), seed=4)) == "Conv1d(2, 8, 3, padding=((1, 0),), seed=4)"
    assert repr(nn.Conv2d(2, 8, 3, padding=1, layout="NCHW")) == "Conv2d(2, 8, 3, padding=1, layout='NCHW')"
    shown = "ConvTranspose2d(8, 2, 4, stride=2, padding='same', output_padding=1)"
    assert repr(nn.ConvTranspose2d(8, 2, 4, stride=2, padding="same", output_padding=[1, 1])) == shown
    assert repr(nn.ConvTranspose2d(2, 4)) == "ConvTranspose2d(2, 4)"
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2)"
    assert repr(nn.MaxPool2d((2, 3), stride=1, padding="same")) == "MaxPool2d((2, 3), stride=1, padding='same')"
    assert repr(nn.GlobalAvgPool(layout="NCHW")) == "GlobalAvgPool(layout='NCHW')"


def test_first_values_keep_the_variance():
    layer = nn.Conv2d(64, 128, 3, seed=0)
    assert layer.weight.value.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    assert not layer.bias.value.any()
    turned = nn.ConvTranspose2d(64, 128, 3, seed=0)
    assert turned.weight.value.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)


@pytest.mark.parametrize(
    "build, error, text",
    [
        (lambda: nn.Conv2d(3), GraphError, "takes inputs, outputs and the size of the kernel"),
        (lambda: nn.Conv2d(1, 2, 3, 4), GraphError, "takes inputs, outputs and the size of the kernel"),
        (lambda: nn.Conv2d(0, 2, 3), ShapeError, "a whole number from 1, not 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ShapeError, "3 channels cannot be divided into 2 groups"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ShapeError, "3 values of kernel_size for 2 axes"),
        (lambda: nn.Conv2d(3, 4, 3, padding="SAME"), ShapeError, "padding is 'valid', 'same' or numbers"),
        (lambda: nn.Conv2d(3, 4, 3, layout="NCW"), ShapeError, "layout is"),
        (lambda: nn.Conv2d(3, 4, 3, init=0.1), GraphError, "init is a function"),
        (lambda: nn.Conv2d(3, filters=8), UnknownNameError, "takes no argument 'filters'"),
        (lambda: nn.MaxPool2d(2, strides=2), UnknownNameError, "takes no argument 'strides'"),
        (lambda: nn.MaxPool2d(0), ShapeError, "size is an int from 1"),
    ],
)
def test_errors(build, error, text):
    with pytest.raises(error, match=text):
        build()


def test_a_convolutional_network_learns_the_digits():
    images, labels = data.digits()
    images = images[..., None].astype("float32") / 16
    x_train, x_test, y_train, y_test = data.train_test_split(images, labels, test=0.25, seed=0)
    model = nn.Sequential(
        nn.Conv2d(16, 3, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(10),
        seed=0,
    )
    trainer = gn.Trainer(model, loss=losses.cross_entropy, optimizer=optim.Adam(3e-3), metrics=[metrics.accuracy])
    before = trainer.evaluate(x_test, y_test)["accuracy"]
    trainer.fit(x_train, y_train, epochs=6, batch_size=32, verbose=False)
    after = trainer.evaluate(x_test, y_test)["accuracy"]
    assert before < 0.5
    assert after > 0.95

"""Convolutions as products that read arrays in place: the same numbers, without copies of patches."""

import os

import numpy as np
import pytest

import graphnn as gn

pytest.importorskip("llvmlite.binding")

from graphnn.backend.native.convolution import groups_of, products
from graphnn.ir.graph import topological
from graphnn.rewrite.pipeline import optimize

MANY = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1


def example(rng):
    """A random convolution and its gradients, as optimised nodes."""
    count = int(rng.integers(1, 4))
    sizes, kernel = rng.integers(3, 8, count).tolist(), rng.integers(1, 4, count).tolist()
    groups, stride, dilation = (int(rng.choice(given)) for given in ([1, 1, 1, 2], [1, 1, 2], [1, 1, 2]))
    inputs, outputs = (int(rng.integers(1, 4)) * groups for _ in range(2))
    fits = all((k - 1) * dilation < n for k, n in zip(kernel, sizes, strict=True))
    padding = str(rng.choice(["same", "valid"])) if fits else "same"
    last = bool(rng.integers(2))
    x = gn.parameter("x", rng.standard_normal((2, *sizes, inputs) if last else (2, inputs, *sizes)))
    w = gn.parameter("w", rng.standard_normal((*kernel, inputs // groups, outputs)))
    convolve = (gn.conv1d, gn.conv2d, gn.conv3d)[count - 1]
    layout = "channels_last" if last else "channels_first"
    y = convolve(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout)
    weights = gn.constant(rng.standard_normal(y.shape))
    return optimize([y, *gn.grad(gn.sum(y * y * weights), [x, w])]), groups == 1


@pytest.mark.parametrize("seed", range(12 * MANY))
def test_the_numbers_stay(seed):
    nodes, plain = example(np.random.default_rng(seed))
    made = products(nodes)
    for old, new in zip(nodes, made, strict=True):
        assert old.spec == new.spec
        np.testing.assert_allclose(gn.evaluate(new), gn.evaluate(old), rtol=1e-10, atol=1e-10)
    if plain:
        assert not any(node.op.name == "fold_windows" for node in topological(made))


@pytest.mark.parametrize("count, start, size", [(1, 2, 2), (1, 0, 4), (2, 2, 3), (2, 1, 5), (2, 4, 1), (1, 3, 1)])
def test_parts_of_overlapping_sums(count, start, size):
    # Also where nothing but the zeros behind the last window is wanted.
    rng = np.random.default_rng(0)
    g, w = (gn.parameter(name, rng.standard_normal(shape)) for name, shape in (("g", (count, 2)), ("w", (2, 2))))
    length = (count - 1) * 3 + 4
    fold = gn.fold_windows(gn.reshape(g @ w, (count, 2)), length, axis=0, stride=3, dilation=1)
    nodes = [fold, fold[start : start + size], gn.split(fold, [start, start + size])[1]]
    for old, new in zip(nodes, products(nodes), strict=True):
        assert old.spec == new.spec
        np.testing.assert_allclose(gn.evaluate(new), gn.evaluate(old), rtol=1e-12, atol=1e-12)


def test_patches_are_not_laid_out():
    x = gn.parameter("x", np.ones((2, 6, 6, 3), np.float32))
    w = gn.parameter("w", np.ones((3, 3, 3, 4), np.float32))
    y = gn.conv2d(x, w, padding="same")
    nodes = topological(products(optimize([y, *gn.grad(gn.sum(y * y), [x, w])])))
    # Whatever is reshaped is no array of patches: their axes stay apart.
    assert not any(node.op.name == "reshape" and node.inputs[0].ndim > 4 and node.shape[-1] == 27 for node in nodes)
    contractions = [node for node in nodes if node.op.name in ("einsum", "matmul")]
    assert [len(node.op.left) for node in contractions].count(6) == 3
    # The border that padding added has no gradient: only what is inside is computed.
    assert any(node.shape == (2, 6, 6, 3) for node in contractions)


@pytest.mark.parametrize(
    "size, stride, length", [(2, 2, 8), (2, 2, 9), (2, 3, 9), (2, 3, 8), (1, 2, 7), (3, 3, 10), (3, 2, 7)]
)
def test_windows_that_do_not_overlap_are_put_side_by_side(size, stride, length):
    x = gn.parameter("x", np.random.default_rng(0).standard_normal((2, length, length, 3)))
    patches = gn.windows(x, (size, size), axis=(1, 2), stride=stride)
    y = gn.fold_windows(patches * patches, (length, length), axis=(1, 2), stride=stride)
    (made,) = products([y])
    assert (gn.evaluate(made) == gn.evaluate(y)).all()
    assert any(node.op.name == "fold_windows" for node in topological([made])) == (size > stride)


def test_a_product_that_is_used_elsewhere_stays():
    x = gn.parameter("x", np.arange(12.0).reshape(3, 4))
    patches = gn.matmul(x, gn.constant(np.arange(8.0).reshape(4, 2)))
    y = gn.fold_windows(patches, 4, axis=0)
    nodes = [y, patches + 1, y[1:3]]
    for old, new in zip(nodes, products(nodes), strict=True):
        assert (gn.evaluate(new) == gn.evaluate(old)).all()


def test_groups_of_axes():
    assert groups_of((12, 5), (3, 4, 5)) == [(3, 4), (5,)]
    assert groups_of((4,), (2, 2, 1)) == [(2, 2, 1)]
    assert groups_of((1, 4), (1, 4)) == [(1,), (4,)]
    assert groups_of((4, 3), (3, 4)) is None
    assert groups_of((0,), (0,)) is None
    assert groups_of((6,), (2, 2)) is None


@pytest.mark.parametrize("stride", [1, 2])
def test_training_a_convolution(stride):
    # Bias, relu, mask and update ride on the products; two steps of both backends give the same parameters.
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 9, 8, 2)).astype(np.float32)
    trained = []
    for backend in ("numpy", "native"):
        rng = np.random.default_rng(1)
        w = gn.parameter("w", rng.standard_normal((3, 3, 2, 20)).astype(np.float32))
        v = gn.parameter("v", rng.standard_normal((2, 2, 20, 5)).astype(np.float32))
        b = gn.parameter("b", rng.standard_normal(20).astype(np.float32))
        x = gn.placeholder("x", data.shape)
        h = gn.max_pool(gn.relu(gn.conv2d(x, w, padding="same", stride=stride) + b), 2)
        loss = gn.mean(gn.square(gn.conv2d(h, v)))
        parameters = [w, v, b]
        updates = {p: p - 0.001 * g for p, g in zip(parameters, gn.grad(loss, parameters), strict=True)}
        step = gn.function([x], loss, updates=updates, backend=backend)
        losses = [step(data) for _ in range(2)]
        trained.append([*losses, *[p.value for p in parameters]])
    for expected, found in zip(*trained, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())

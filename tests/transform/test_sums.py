"""Gradients of parts of one array: joined where they lie side by side, else padded and added."""

import numpy as np
import pytest

import graphnn as gn


def names(node):
    return [n.op.name for n in gn.Graph(node).nodes]


@pytest.mark.parametrize(
    ("cuts", "pads"),
    [
        ([(0, 2), (2, 3), (5, 4)], 0),  # all of it
        ([(5, 4), (0, 2), (2, 3)], 0),  # in any order
        ([(1, 2), (3, 3)], 1),  # side by side, zeros beside them
        ([(0, 2), (4, 2)], 2),  # a gap
        ([(0, 5), (3, 6)], 2),  # an overlap
        ([(0, 4), (0, 4), (4, 5)], 1),  # one twice: the other is joined
        ([(0, 9), (9, 0)], None),  # one of no size
    ],
)
def test_parts(cuts, pads):
    x = gn.placeholder("x", (3, 9), "float64")
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((3, size)) for _, size in cuts]
    parts = [gn.ops.movement.Part(1, start, size)(x) for start, size in cuts]
    loss = sum(
        (gn.sum(part * weight) for part, weight in zip(parts, weights, strict=True)), gn.constant(0.0, "float64")
    )
    gradient = gn.grad(loss, x)
    expected = np.zeros((3, 9))
    for (start, size), weight in zip(cuts, weights, strict=True):
        expected[:, start : start + size] += weight
    np.testing.assert_allclose(gn.function([x], gradient, on_unused="ignore")(np.zeros((3, 9))), expected, rtol=1e-14)
    if pads is not None:
        assert names(gradient).count("pad") == pads


def test_parts_along_several_axes():
    x = gn.placeholder("x", (4, 6), "float64")
    a, b = gn.split(x, 2, axis=0)
    c, d = gn.split(x, 2, axis=1)
    gradient = gn.grad(gn.sum(a * 2 + b) + gn.sum(gn.square(c) * d), x)
    assert names(gradient).count("concat") == 2
    assert "pad" not in names(gradient)
    value = np.arange(24.0).reshape(4, 6)
    left, right = value[:, :3], value[:, 3:]
    expected = np.repeat([[2.0], [2.0], [1.0], [1.0]], 6, axis=1) + np.concatenate([2 * left * right, left**2], axis=1)
    np.testing.assert_allclose(gn.function([x], gradient)(value), expected)

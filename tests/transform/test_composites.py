"""Composites, with a derivative rule of their own and without, used in every place and with one operand twice."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.testing import check_gradients


def scalar(name="x", dtype="float64"):
    return gn.placeholder(name, (), dtype)


def value(node, feeds):
    return gn.evaluate(node, {x: np.asarray(v, x.dtype.numpy) for x, v in feeds.items()})


@gn.composite(latex="f({0}, {1})")
def bilinear(x, y, /):
    return gn.sin(x) * y * y


@gn.composite(latex="g({0}, {1})", elementwise=True)
def ruled(x, y, /, *, scale=2.0):
    return scale * x * y


@ruled.rule
def _(g, x, y, *, out, scale):
    return g * scale * y, g * scale * x


@gn.composite(latex="h({0})")
def identity(x, /):
    return x


@gn.composite(latex="k({0}, {1})")
def first_only(x, y, /):
    return x * 2.0


@gn.composite(latex="m({0})")
def nested(x, /):
    return bilinear(x, gn.softplus(x)) + identity(x)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: bilinear(x, y),
        lambda x, y: bilinear(x, x) * y,
        lambda x, y: bilinear(x * y, x * y),
        lambda x, y: bilinear(x, x + y),
        lambda x, y: ruled(x, y),
        lambda x, y: ruled(x, x, scale=3.0) + y,
        lambda x, y: ruled(ruled(x, y), x),
        lambda x, y: identity(x) * identity(y),
        lambda x, y: identity(identity(x)) * y,
        lambda x, y: first_only(x, y) + y,
        lambda x, y: first_only(x * y, x * y),
        lambda x, y: nested(x) * nested(y),
        lambda x, y: nested(nested(x)) + y,
        lambda x, y: gn.where(x > y, bilinear(x, y), ruled(x, y)),
    ],
)
def test_composites_with_and_without_rules_in_every_place(make):
    x, y = gn.placeholder("x", (2,), "float64"), gn.placeholder("y", (2,), "float64")
    feeds = {x: np.array([0.5, -1.2]), y: np.array([0.9, 0.4])}
    check_gradients(gn.sum(make(x, y)), feeds, modes=("reverse", "forward"), order=2)
    check_gradients(make(x, y), feeds)


def test_a_composite_does_not_depend_on_an_operand_that_its_body_ignores():
    x, y = scalar("x"), scalar("y")
    out = first_only(x, y)
    assert value(gn.grad(out, y, allow_unused=True), {x: 1.0, y: 1.0}) == 0.0
    assert value(gn.grad(out, x), {x: 1.0, y: 1.0}) == 2.0

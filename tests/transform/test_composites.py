"""Composites, with a derivative rule of their own and without, used in every place and with one operand twice."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.algebra import expression
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


# --- how they are defined ---


def test_the_decorator_needs_no_parentheses_and_no_template():
    @gn.composite
    def my_square(x, /):
        return x * x

    @gn.composite()
    def shifted(x, y, /, *, by=1.0):
        return x + y + by

    x = gn.placeholder("x", (2,))
    assert gn.evaluate(my_square(x), {x: [2.0, 3.0]}).tolist() == [4.0, 9.0]
    assert gn.evaluate(shifted(x, x, by=2.0), {x: [2.0, 3.0]}).tolist() == [6.0, 8.0]
    assert gn.latex(my_square(x)) == r"\operatorname{my\_square}\left(x\right)"
    assert gn.latex(shifted(x, x)) == r"\operatorname{shifted}\left(x, x\right)"


@pytest.mark.parametrize("latex", [r"\operatorname{sw}({0})", "{0", "{1}", "{}", "{0!r}", "{0:wide}", "{0.name}", "0}"])
def test_a_template_is_checked_at_the_definition(latex):
    with pytest.raises(gn.GraphError, match="latex template of sw"):

        @gn.composite(latex=latex)
        def sw(x, /, *, axis=0):
            return x


def test_templates_that_are_right():
    @gn.composite(latex=r"{{{0:20}}}_{{{axis}}} + {args}", python="sw({0}, {args}, {axis})")
    def sw(x, y, /, *, axis=0):
        return x + y

    x = gn.placeholder("x", (2,))
    assert gn.latex(sw(x, x)) == "{x}_{0} + x"


def test_what_is_no_composite():
    for function in (lambda: 1.0, lambda x: x, lambda *x: x[0], lambda x, /, **options: x):
        with pytest.raises(gn.GraphError, match=r"^composite: "):
            gn.composite(function)
    with pytest.raises(gn.GraphError, match="a function with a name, not of str"):
        gn.composite("f({0})")


def test_an_option_is_no_node():
    @gn.composite
    def scaled(x, /, factor):
        return x * factor

    x = gn.placeholder("x")
    for factor in (x, [x, 1.0]):
        with pytest.raises(gn.GraphError, match="the option factor is a node") as caught:
            scaled(x, factor=factor)
        assert caught.value.hints == ("Operands stand before a slash: def scaled(x, factor, /).",)


def test_a_body_uses_its_operands_only():
    w, s, outer = gn.parameter("w", 1.0), gn.state("s", 1.0), gn.placeholder("outer")
    x = gn.placeholder("x")
    for other, name in ((w, "w"), (s, "s"), (outer, "outer"), (gn.sin(outer), "outer")):

        @gn.composite
        def closing(x, /, *, other=name, node=lambda other=other: other):
            return x * node()

        with pytest.raises(gn.GraphError, match=f"the body of closing uses {name}, which is not one of its operands"):
            closing(x)


@pytest.mark.parametrize("result", [None, 2.0, (1, 2)])
def test_a_body_returns_a_node(result):
    @gn.composite
    def strange(x, /):
        return result

    with pytest.raises(gn.GraphError, match=f"the body of strange returns {type(result).__name__}, not a node"):
        strange(gn.placeholder("x"))


@gn.composite
def scaled_and_moved(x, factor=None, offset=None, /, *, power=1.0):
    out = x**power
    out = out if factor is None else out * factor
    return out if offset is None else out + offset


@gn.composite
def scaled_by_rule(x, factor=None, /):
    return x * 2.0 if factor is None else x * factor


@scaled_by_rule.rule
def _(g, x, factor, *, out):
    return (g * 2.0, None) if factor is None else (g * factor, g * x)


def test_operands_may_be_left_out():
    x, a, b = scalar(), scalar("a"), scalar("b")
    feeds = {x: 3.0, a: 5.0, b: 7.0}
    assert value(scaled_and_moved(x), feeds) == 3.0
    assert value(scaled_and_moved(x, a), feeds) == 15.0
    assert value(scaled_and_moved(x, None, b), feeds) == 10.0
    assert value(scaled_and_moved(x, a, b, power=2.0), feeds) == 52.0
    assert value(gn.grad(scaled_and_moved(x, None, b), [x, b]), feeds) == [1.0, 1.0]
    assert len(scaled_and_moved(x, None, b).inputs) == 2
    assert expression(scaled_and_moved(x, None, b)) == "scaled_and_moved(x, None, b)"
    assert expression(scaled_and_moved(x, a)) == "scaled_and_moved(x, a)"


def test_a_rule_gets_none_for_what_is_left_out():
    x, a = scalar(), scalar("a")
    feeds = {x: 3.0, a: 5.0}
    assert value(gn.grad(scaled_by_rule(x), x), feeds) == 2.0
    assert value(gn.grad(scaled_by_rule(x, a), [x, a]), feeds) == [5.0, 3.0]


def test_none_for_an_operand_that_is_needed():
    with pytest.raises(gn.DTypeError, match="cannot make a node of NoneType"):
        scaled_and_moved(None)

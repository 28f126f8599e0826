"""One table for all rules: the exact graph, equal numbers with everything switched off, idempotence, equal gradients."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.verify import verify
from graphnn.rewrite import PASSES, Pass, rule, var
from graphnn.rewrite.pipeline import all_of
from graphnn.rewrite.rule import example_inputs
from graphnn.testing.compare import assert_close, same_bits

RULES = list({rule.name: rule for stage in all_of(PASSES) for rule in stage.rules}.values())
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324, 0.5, -2.0, 3.5]


def example_of(rule):
    """The node of its example, what should become of it, and the inputs of both."""
    before, after = rule.shown_example()
    return before, after, list(gn.Graph([before, after]).inputs)


def moderate(spec, seed):
    """Points where every example is defined: between 0.1 and 0.9, for matrices far from singular."""
    rng = np.random.default_rng(seed)
    if spec.dtype is gn.bool:
        return rng.random(spec.shape) < 0.5
    if spec.dtype.is_integer:
        return rng.integers(-9, 9, spec.shape)
    return rng.uniform(0.1, 0.9, spec.shape).astype(spec.dtype.numpy)


def special(spec, seed):
    rng = np.random.default_rng(seed)
    if not spec.dtype.is_floating:
        return moderate(spec, seed)
    with np.errstate(over="ignore"):
        return rng.choice(np.array(SPECIAL), spec.shape).astype(spec.dtype.numpy)


def values(outputs, inputs, points):
    return gn.evaluate(outputs, dict(zip(inputs, points, strict=True)))


def test_names_tell_rules_apart():
    everywhere = {id(rule): rule for stage in all_of(PASSES) for rule in stage.rules}
    # The rules of one group may be in several passes, as equal objects.
    assert len({rule.name for rule in everywhere.values()}) == len(RULES) == len({r.run for r in everywhere.values()})
    assert all(rule.group for rule in RULES)


def check_graph(rule):
    """The exact graph, legal, and a second run finds nothing to do."""
    before, expected, _ = example_of(rule)
    only = Pass("only", [rule])
    log = []
    result = gn.rewrite.optimize([before], lambda op: True, [only], log=log)
    assert gn.Graph(result) == gn.Graph(expected)
    assert rule.name in {step.rule for step in log}
    verify(gn.Graph(result))
    assert only(result)[0] is result[0]


def check_numbers(rule):
    before, _, inputs = example_of(rule)
    (after,) = Pass("only", [rule])([before])
    for seed in range(3):
        points = [moderate(x.spec, 10 * seed + i) for i, x in enumerate(inputs)]
        a, b = values([before, after], inputs, points)
        assert_close(b, a, rtol=1e-13, atol=1e-15, what=rule.name)


def check_bits(rule):
    """For an exact rule, the same bits for infinities, NaN, both zeros and numbers at the ends of the range."""
    before, _, inputs = example_of(rule)
    (after,) = Pass("only", [rule])([before])
    for seed in range(30):
        points = [special(x.spec, 100 * seed + i) for i, x in enumerate(inputs)]
        a, b = (np.asarray(value) for value in values([before, after], inputs, points))
        if before.dtype.is_floating:  # what is NaN must be NaN, whichever of the many it is
            assert np.array_equal(np.isnan(a), np.isnan(b))
            a, b = (np.where(np.isnan(x), 0, x) for x in (a, b))
        assert same_bits(a, b), f"{rule.name} of {points}: {a} became {b}"


def check_gradients(rule):
    before, _, inputs = example_of(rule)
    (after,) = Pass("only", [rule])([before])
    wrt = [x for x in inputs if x.dtype.is_floating]
    if not (before.dtype.is_floating and wrt):
        return
    weights = gn.constant(np.random.default_rng(0).normal(size=before.shape))
    old, new = (gn.grad(gn.sum(node * weights), wrt, allow_unused=True) for node in (before, after))
    points = [moderate(x.spec, i) for i, x in enumerate(inputs)]
    for a, b in zip(values(old, inputs, points), values(new, inputs, points), strict=True):
        assert_close(b, a, rtol=1e-12, atol=1e-14, what=rule.name)


TABLE = [(rule, check) for rule in RULES for check in (check_graph, check_numbers)]
TABLE += [(rule, check_bits) for rule in RULES if rule.exact]
TABLE += [(rule, check_gradients) for rule in RULES if rule.gradients]


@pytest.mark.parametrize("rule, check", TABLE, ids=[f"{rule.name}-{check.__name__}" for rule, check in TABLE])
def test_rule(rule, check):
    check(rule)


def elsewhere(rule, shape):
    """The node of an example for inputs of another shape; None where it cannot be built for this one."""
    inputs = {name: gn.placeholder(name, shape, x.dtype) for name, x in example_inputs(rule.example).items()}
    try:
        return rule.example(**inputs)[0], list(inputs.values())
    except (ValueError, TypeError, IndexError):  # ops that are made by hand do not check all that functions check
        return None, []


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (1, 1), (1, 3), (4, 2, 3)])
def test_rules_hold_for_other_shapes_too(shape):
    # Nothing to sum, nothing to choose from, axes of size 1: where a rule does not hold it must not match.
    fitting = [one for one in RULES if elsewhere(one, shape)[0] is not None]
    assert len(fitting) > len(RULES) // 2
    for one in fitting:
        before, inputs = elsewhere(one, shape)
        (after,) = Pass("only", [one])([before])
        verify(gn.Graph(after))
        a, b = values([before, after], inputs, [moderate(x.spec, i) for i, x in enumerate(inputs)])
        assert_close(b, a, rtol=1e-13, atol=1e-15, what=one.name)


X, Y = var("x"), var("y")
WRONG = [
    (rule("r", X + 0.0, X, example=lambda x: (x + 0.0, x)), check_bits),
    (rule("r", X * 0, 0 * gn.abs(X), example=lambda x: (x * 0.0, 0 * gn.abs(x))), check_bits),
    (rule("r", X - X, lambda out: gn.zeros_like(out), example=lambda x: (x - x, gn.zeros_like(x))), check_bits),
    (rule("r", X / X, gn.exp(0 * X), example=lambda x: (x / x, gn.exp(0 * x))), check_bits),
    (rule("r", -(X - Y), Y - X, example=lambda x, y: (-(x - y), y - x)), check_bits),
    (rule("r", X**0.5, gn.sqrt(X), example=lambda x: (x**0.5, gn.sqrt(x))), check_bits),
    (
        rule("r", gn.exp(X) * gn.exp(Y), gn.exp(X + Y), example=lambda x, y: (gn.exp(x) * gn.exp(y), gn.exp(x + y))),
        check_bits,
    ),
    (rule("r", gn.log(1 + X), X - X * X / 2, example=lambda x: (gn.log(1 + x), x - x * x / 2)), check_numbers),
    (rule("r", gn.stop_gradient(X), X, example=lambda x: (gn.stop_gradient(x), x)), check_gradients),
    (rule("r", gn.sin(X), gn.cos(X), example=lambda x: (gn.sin(x), gn.tan(x))), check_graph),
    (rule("r", gn.sin(X), gn.cos(X), example=lambda x: (gn.tan(x), gn.tan(x))), check_graph),
]


@pytest.mark.parametrize("wrong, check", WRONG)
def test_the_checks_find_wrong_rules(wrong, check):
    with pytest.raises((AssertionError, gn.RewriteError)):
        check(wrong)

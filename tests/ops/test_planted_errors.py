"""A relative error of 1e-8, planted in one rule after the other, does not escape the gradient check of its OpCase."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import constant
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise, General, Linear, Masked, Multi
from graphnn.ops import all_ops
from graphnn.ops.composite import Composite
from graphnn.ops.results import Result
from graphnn.testing import GradientCheckError, all_cases, check_gradients
from graphnn.transform.loops import While  # without a derivative in reverse mode, so not for gradient checks

FACTOR = 1.0 + 1e-8

# Operations whose results are whole numbers or bools, or constant between jumps: all their derivatives are None.
FLAT = {
    "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd", "LogicalOr", "LogicalXor",
    "LogicalNot", "Isnan", "Isinf", "Isfinite", "Signbit", "FloorDivide", "Sign", "Floor", "Ceil", "Trunc", "Round",
    "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseInvert", "BitwiseLeftShift", "BitwiseRightShift", "StopGradient",
    "All", "Any_", "Argmax", "Argmin", "Argsort", "Searchsorted", "RandomBits", "DetSign",
}  # fmt: skip


def planted(value):
    """What a rule gave, off by 1e-8."""
    if value is None or isinstance(value, gn.DifferentiationError):
        return value
    if isinstance(value, Masked):
        return Masked(planted(value.value), value.mask)
    if isinstance(value, Node):
        return value * FACTOR if value.dtype.is_floating else value  # masks pass through transposes too
    return constant(value * FACTOR, "float64")


def plant(monkeypatch, owner, method, place):
    """Make the entry `place` of what a rule gives wrong; the list returned tells whether there was one to make wrong."""
    if method.endswith("of result"):
        return plant_in_result(monkeypatch, owner, method, place)
    right, seen = getattr(owner, method), []

    def wrong(*args, **kwargs):
        given = right(*args, **kwargs)
        if given is None or given is NotImplemented:
            return given
        if method == "jvp":
            seen.append(place)
            return planted(given)
        if place < len(given) and not isinstance(given[place], gn.DifferentiationError | None):
            seen.append(place)
        return tuple(planted(value) if i == place else value for i, value in enumerate(given))

    monkeypatch.setattr(owner, method, wrong)
    return seen


def plant_in_result(monkeypatch, owner, method, place):
    """Make wrong what a rule makes of the cotangent of one of several results, or the tangent of one of them."""
    forward = method.startswith("jvp")
    right, seen = owner.jvp if forward else owner.vjp, []

    def one_wrong(values):
        if values[place] is not None:
            seen.append(place)
        return tuple(planted(value) if i == place else value for i, value in enumerate(values))

    def wrong(op, given, *operands, outs):
        if forward:
            return one_wrong(right(op, given, *operands, outs=outs))
        return right(op, one_wrong(given), *operands, outs=outs)

    monkeypatch.setattr(owner, "jvp" if forward else "vjp", wrong)
    return seen


def check(case):
    """Check all samples; give what they raised."""
    raised = []
    dtype = "float64" if "float64" in case.dtypes else case.dtypes[-1]
    for number, sample in enumerate(case.samples):
        node, operands = case.node(sample, dtype)
        wrt = case.differentiable(node, operands)
        if not wrt:
            continue
        arrays = case.arrays(np.random.default_rng(number), sample, dtype)
        try:
            check_gradients(node, dict(zip(operands, arrays, strict=True)), wrt=wrt)
        except GradientCheckError as error:
            raised.append(error)
    return raised


def rules(case):
    """The rules of the op of a case: the object that holds one, its name, and the operands it serves."""
    node = case.node(case.samples[0], case.dtypes[-1])[0]
    op, places = node.op, range(len(node.inputs))
    if isinstance(op, Composite):
        if op.definition.derivative is not None:
            yield from ((op.definition, "derivative", place) for place in places)
    elif isinstance(op, Elementwise):
        yield from ((type(op), "partials", place) for place in places)
    elif isinstance(op, Linear):
        yield from ((type(op), "transpose", place) for place in places)
    elif isinstance(op, General):
        yield from ((type(op), "vjp", place) for place in places)
        if type(op).jvp is not General.jvp:
            yield type(op), "jvp", 0
    for inner in Graph(node):
        if isinstance(inner.op, Multi) and not isinstance(inner.op, While):
            results = range(len(inner.spec.parts))
            yield from ((type(inner.op), "vjp", i) for i in range(len(inner.inputs)))
            yield from ((type(inner.op), "vjp of result", i) for i in results)
            if type(inner.op).jvp is not Multi.jvp:
                yield from ((type(inner.op), "jvp of result", i) for i in results)


def name_of(owner):
    return owner.__name__ if isinstance(owner, type) else owner.name


def plantings():
    """For each rule and operand, the cases that can show an error in it."""
    found = {}
    for case in all_cases():
        for owner, method, place in rules(case):
            found.setdefault((name_of(owner), method, place), (owner, []))[1].append(case)
    return found


PLANTINGS = plantings()


@pytest.mark.parametrize("key", [k for k in PLANTINGS if k[0] not in FLAT], ids=lambda k: f"{k[0]}.{k[1]}[{k[2]}]")
def test_an_error_of_1e8_is_caught(key, monkeypatch):
    owner, cases = PLANTINGS[key]
    seen = plant(monkeypatch, owner, key[1], key[2])
    for case in cases:
        caught = check(case)
        if caught:
            assert "finite difference" in str(caught[0]) or "disagree" in str(caught[0])
            return
    # Nothing was raised: then the rule must have nothing to give for this operand, such as the index of a gather.
    assert not seen, f"the planted error in {key} was not caught by {cases}"
    assert key in NOTHING_FOR, f"{key} gives no derivative"


# Operands without a derivative of operations that have others.
NOTHING_FOR = {
    ("Advance", "partials", 1),
    ("Advance", "partials", 2),
    ("Copysign", "partials", 1),
    ("Nextafter", "partials", 1),
    ("Where", "transpose", 0),
    ("Gather", "transpose", 1),
    ("Gather", "transpose", 2),
    ("ScatterAdd", "transpose", 1),
    ("ScatterAdd", "transpose", 2),
    ("ScatterSet", "transpose", 2),
    ("Switch", "vjp", 0),  # the choice
    ("While", "vjp", 0),  # forward mode only
    ("While", "vjp of result", 0),
    ("Betainc", "partials", 0),
    ("Betainc", "partials", 1),
    ("ScatterReduce", "vjp", 2),
    ("Barrier", "transpose", 1),
    ("Checkpoint", "vjp", 0),
    ("Lu", "vjp of result", 0),
    ("Switch", "vjp", 0),
    ("masked_softmax", "derivative", 1),
}


def test_every_rule_is_planted_or_flat():
    planted_names = {key[0] for key in PLANTINGS}
    missing = [op.__name__ for op in all_ops() if op.__name__ not in planted_names and op is not Result]
    assert missing == []
    assert {op.__name__ for op in all_ops()} >= FLAT


@pytest.mark.parametrize("name", sorted(FLAT))
def test_flat_rules_give_only_none(name):
    asked = 0
    for (owner_name, method, _), (owner, cases) in PLANTINGS.items():
        if owner_name != name:
            continue
        for case in cases:
            node, _ = case.node(case.samples[0], case.dtypes[-1])
            assert type(node.op) is owner
            rule, asked = getattr(node.op, method), asked + 1
            if method == "jvp":
                assert rule(node.inputs, *node.inputs, out=node) is None
                continue
            given = rule(*([node] if method == "vjp" else []), *node.inputs, out=node)
            assert len(given) == len(node.inputs)
            assert all(value is None for value in given)
    assert asked

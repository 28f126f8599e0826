"""The engine: what it carries on, what it refuses, and that it comes to an end. Errors are tested as whole texts."""

import linecache
import sys

import pytest

import graphnn as gn
from graphnn.errors import GraphError, RewriteError
from graphnn.ops.arithmetic import Add, Multiply
from graphnn.ops.exponential import Exp
from graphnn.ops.trigonometric import Cos, Sin
from graphnn.rewrite import PASSES, Pass, Step, group, optimize, rewrites, rule, var, without

X, Y = var("x"), var("y")
SIN_TO_COS = rule("to_cos", gn.sin(X), gn.cos(X))
COS_TO_SIN = rule("to_sin", gn.cos(X), gn.sin(X))


def apply(rules, *outputs, log=None):
    return optimize(outputs, lambda op: True, [Pass("mine", rules)], log=log)


@pytest.fixture
def x():
    program = 'x = gn.placeholder("x", (3,))\ny = gn.sin(x)\n'
    linecache.cache["model.py"] = (len(program), None, program.splitlines(keepends=True), "model.py")
    names = {"gn": gn, "__name__": "model"}
    exec(compile(program, "model.py", "exec"), names)
    yield names["y"]
    del linecache.cache["model.py"]


def message(rules, node):
    with pytest.raises(RewriteError) as found:
        apply(rules, node)
    return str(found.value)


# --- errors, as whole texts ---


def test_a_rule_that_changes_the_spec(x):
    wrong = rule("wrong", gn.sin(X), lambda x: gn.sum(x))
    assert message([wrong], x) == (
        "the rule 'wrong' makes float32[] of float32[3]\n\n"
        "  operand   x   float32[3]   placeholder   model.py:1\n\n"
        "  at model.py:2    y = gn.sin(x)\n"
        "  It rewrites sin(x) to sum(x).\n"
        "  The error is in the rule, not in your graph. Leave the rule out: take 'wrong' from the list of its pass."
    )


def test_a_rule_of_a_group_is_left_out_by_without(x):
    (wrong,) = group("trigonometry", rule("wrong", gn.sin(X), lambda x: gn.sum(x)))
    assert message([wrong], x).endswith("Leave the rule out: passes=rewrite.without('wrong').")


def test_a_rule_that_fails(x):
    @rewrites(Sin)
    def broken(node):
        return node.inputs[1]

    assert message([broken], x) == (
        "the rule 'broken' failed on sin(…): IndexError: tuple index out of range\n\n"
        "  operand   x   float32[3]   placeholder   model.py:1\n\n"
        "  at model.py:2    y = gn.sin(x)\n"
        "  It rewrites sin(x).\n"
        "  The error is in the rule, not in your graph. Leave the rule out: take 'broken' from the list of its pass."
    )


def test_a_rule_that_builds_something_illegal(x):
    wrong = rule("wrong", gn.sin(X), lambda x: x @ gn.constant([1.0, 2.0], "float32"))
    assert message([wrong], x).startswith("the rule 'wrong' failed on sin(…): matmul: inner sizes differ: 3 != 2\n")


def test_two_rules_that_undo_each_other(x):
    assert message([SIN_TO_COS, COS_TO_SIN], x) == (
        "the rules 'to_cos' and 'to_sin' undo each other: there is no end to it\n\n"
        "  operand   x   float32[3]   placeholder   model.py:1\n\n"
        "  at model.py:2    y = gn.sin(x)\n"
        "  They go round: sin(x) -> cos(x) -> sin(x).\n"
        "  Leave one of them out: take 'to_sin' from the list of its pass."
    )


def test_a_rule_that_undoes_itself(x):
    again = rule("again", gn.sin(X), lambda x: gn.sin(x))
    assert message([again], x) == (
        "the rule 'again' undoes itself: there is no end to it\n\n"
        "  operand   x   float32[3]   placeholder   model.py:1\n\n"
        "  at model.py:2    y = gn.sin(x)\n"
        "  They go round: sin(x) -> sin(x).\n"
        "  Leave it out: take 'again' from the list of its pass."
    )


def test_a_rule_that_gives_back_what_it_got(x):
    same = rule("same", gn.sin(X), lambda out: out)
    assert message([same], x).startswith("the rule 'same' gives back the node that it should replace\n")


def test_a_rule_that_gives_no_node(x):
    number = rule("number", gn.sin(X), lambda: 1.0)
    assert message([number], x).startswith("the rule 'number' gives float, not a node\n")


def test_a_rule_without_end_meets_the_budget(x):
    grows = rule("grows", gn.sin(X), lambda x: gn.sin(gn.cos(x)))
    assert message([grows], x) == (
        "the pass 'mine' took more than 1040 rewrites\n\n"
        "  operand   cos(…)   float32[3]   cos   model.py:2\n\n"
        "  at model.py:2    y = gn.sin(x)\n"
        "  It rewrites sin(cos(cos(cos(cos(cos(cos(cos(cos(…))))))))) to sin(cos(cos(cos(cos(cos(cos(cos(cos(…))))))))).\n"
        "  The error is in the rule, not in your graph. Leave the rule out: take 'grows' from the list of its pass."
    )


def test_passes_that_undo_each_other(x):
    both = Pass("both", [Pass("there", [SIN_TO_COS]), Pass("back", [COS_TO_SIN])])
    with pytest.raises(RewriteError) as found:
        optimize([x], passes=[both])
    assert str(found.value) == (
        "the passes in 'both' did not come to an end in 20 rounds\n\n"
        "  At last 'there' still had work to do; do they undo each other?"
    )


def test_passes_that_make_a_graph_grow(x):
    there = rule("there", gn.sin(X), lambda x: gn.cos(gn.exp(x)))
    back = rule("back", gn.cos(X), lambda x: gn.sin(gn.exp(x)))
    both = Pass("both", [Pass("there", [there]), Pass("back", [back])])
    with pytest.raises(RewriteError, match="did not come to an end in 20 rounds"):
        optimize([x], passes=[both])


def test_what_takes_many_rounds_is_no_circle():
    # Each layer is simple only when the one below is merged: 60 rounds, which were taken for passes without end.
    p, q = gn.placeholder("p", (3,)), gn.placeholder("q", (3,), "bool")
    one, other = p, gn.where(q, p, p)
    for _ in range(60):
        one, other = gn.exp(one), gn.where(q, gn.exp(one), gn.exp(other))
    assert gn.Graph(optimize([other])) == gn.Graph(optimize([one]))


def test_what_takes_more_rounds_than_it_is_worth_is_left():
    p, q = gn.placeholder("p", (3,)), gn.placeholder("q", (3,), "bool")
    one, other = p, gn.where(q, p, p)
    for _ in range(260):
        one, other = gn.sin(one), gn.where(q, gn.sin(one), gn.sin(other))
    feeds = {p: [0.1, 0.5, 1.0], q: [True, False, True]}
    assert (gn.evaluate(optimize([other])[0], feeds) == gn.evaluate(one, feeds)).all()


def test_a_pass_that_changes_the_outputs(x):
    with pytest.raises(RewriteError) as found:
        optimize([x], passes=[Pass("half", lambda outputs, context: [gn.sum(node) for node in outputs])])
    assert str(found.value) == (
        "the pass 'half' changes the outputs from float32[3] to float32[]\n\n"
        "  A pass gives one node of the same shape and data type for each output."
    )


def test_equal_nodes_side_by_side_are_no_circle():
    p = gn.placeholder("p", (3,))
    many = rule("many", gn.tan(X), lambda x: sum((gn.sin(x) for _ in range(200)), gn.exp(x)))
    log = []
    apply([many, SIN_TO_COS], gn.tan(p), log=log)
    assert len(log) == 201


def test_patterns_of_many_operands():
    @gn.composite
    def five(a, b, c, d, e, /):
        return a + b + c + d + e

    @gn.composite
    def ten(a, b, c, d, e, f, g, h, i, j, /):
        return a + b + c + d + e + f + g + h + i + j

    p, q = gn.placeholder("p", (3,)), gn.placeholder("q", (3,))
    for function, count in ((five, 5), (ten, 10)):
        pattern = function(*[X] * (count - 1), gn.sin(Y))
        rules = [rule("r", pattern, lambda x, y: x + y)]
        (out,) = apply(rules, function(*[p] * (count - 1), gn.sin(q)))
        assert gn.Graph(out) == gn.Graph(p + q)
        for other in (function(*[p] * (count - 1), gn.cos(q)), function(q, *[p] * (count - 2), gn.sin(q))):
            assert apply(rules, other)[0] is other


@pytest.mark.parametrize(
    ("wrong", "headline", "hint"),
    [
        (lambda: rule("r", X, X), "rule 'r': the pattern is no operation", "Its root must be one, such as gn.exp(x)."),
        (lambda: rule("r", gn.sin(X), Y), "rule 'r': after uses 'y', which the pattern does not have", "It has x."),
        (
            lambda: rule("r", gn.sin(X), X, where=lambda shape: True),
            "rule 'r': where uses 'shape', which the pattern does not have",
            "It has x.",
        ),
        (
            lambda: rule("r", gn.sin(gn.placeholder("p")), X),
            "a pattern is made of variables, numbers and operations, not of the placeholder p",
            'Variables are made by rewrite.var("x").',
        ),
        (lambda: rewrites(), "rewrites takes the classes of the ops", "Write @rewrites(Reshape) over def name(node)."),
        (
            lambda: Pass("p", [lambda node: node]).rules,
            "pass 'p': ",
            "Rules are made by rewrite.rule(...) and @rewrite.rewrites(...).",
        ),
        (lambda: without("algebr"), "without: there is no pass, group or rule 'algebr'", "Did you mean 'algebra'?"),
        (
            lambda: gn.function([], gn.constant(1.0), passes="all"),
            "passes is a list of rewrite.Pass, not 'all'",
            'Begin with the usual ones: passes=[*rewrite.PASSES, rewrite.Pass("mine", [my_rule])].',
        ),
    ],
)
def test_what_is_refused(wrong, headline, hint):
    with pytest.raises(GraphError) as found:
        wrong()
    assert found.value.headline.startswith(headline)
    assert found.value.hints == (hint,)


# --- matching ---


def changes(before, node, **options):
    """Whether a rule with this pattern matches a node."""
    log = []
    apply([rule("r", before, lambda out: gn.copysign(out, out), **options)], node, log=log)
    return bool(log)


class TestMatching:
    p, q = gn.placeholder("p", (2, 3), "float32"), gn.placeholder("q", (3,), "float32")

    def test_any_shape_and_data_type(self):
        half, whole = gn.placeholder("h", (), "float16"), gn.placeholder("n", ("n", 1), "int32")
        for node in (self.p, half):
            assert changes(gn.exp(X), gn.exp(node))
        (out,) = apply([rule("r", abs(X), X)], abs(whole) + 1)
        assert gn.Graph(out) == gn.Graph(whole + 1)

    def test_commutative_operations_match_both_ways(self):
        pattern = gn.sin(X) + gn.cos(Y)
        assert changes(pattern, gn.sin(self.p) + gn.cos(self.q))
        assert changes(pattern, gn.cos(self.q) + gn.sin(self.p))
        assert not changes(pattern, gn.sin(self.p) + gn.sin(self.q))
        assert not changes(gn.sin(X) - gn.cos(Y), gn.cos(self.p) - gn.sin(self.q))

    def test_the_order_that_fits_is_found_also_deep_inside(self):
        pattern = (X * gn.sin(Y)) - (X + gn.cos(Y))
        a, b = gn.sin(self.p), gn.sin(self.q)
        assert changes(pattern, (a * b) - (gn.cos(self.q) + a))  # x is a; the first order tried would be the other
        assert changes(pattern, (a * b) - (gn.cos(self.p) + b))
        assert not changes(pattern, (a * b) - (gn.cos(self.p) + a))

    def test_the_same_variable_is_the_same_node(self):
        pattern = gn.atan2(X, X)
        assert changes(pattern, gn.atan2(self.q, self.q))
        assert not changes(pattern, gn.atan2(self.q, gn.placeholder("q", (3,), "float32")))
        assert changes(pattern, gn.atan2(gn.constant(1.0, "float32"), gn.constant(1.0, "float32")))

    def test_numbers_match_by_value(self):
        assert changes(X - 1, self.p - 1.0)
        assert changes(X - 0.1, self.p - 0.1)  # each rounded to its data type
        assert not changes(X - 1, self.p - 2.0)
        assert not changes(X - 1, self.p - gn.constant([1.0, 1.0, 1.0], "float32"))
        assert not changes(X - 0.0, self.p - (-0.0))
        assert not changes(X - (-0.0), self.p - 0.0)
        assert not changes(X - 1, gn.placeholder("w", (), "float32") - gn.constant(1.0, "float64"))  # it widens w

    def test_fields_must_be_equal_unless_they_are_free(self):
        rows = var("x", ("m", "n"))
        node = gn.sum(gn.exp(self.p), axis=1)
        assert not changes(gn.sum(gn.exp(rows), axis=0), node)
        assert changes(gn.sum(gn.exp(rows), axis=1), node)
        assert changes(gn.sum(gn.exp(rows), axis=0), node, free=("axes",))
        assert not changes(gn.sum(gn.exp(rows), axis=0), gn.sum(gn.exp(self.p), axis=1, keepdims=True), free=("axes",))
        twice = gn.sum(X) - gn.sum(Y)
        a, b = gn.sum(self.p, axis=0), gn.sum(self.p, axis=1, keepdims=True)
        assert changes(twice, a - a, free=("axes", "keepdims"))
        assert not changes(twice, a - b, free=("axes", "keepdims"))

    def test_conditions(self):
        seen = []
        where = lambda x, out: seen.append((x, out)) or x.ndim == 1  # noqa: E731
        assert not changes(gn.exp(X), gn.exp(self.p), where=where)
        assert changes(gn.exp(X), gn.exp(self.q), where=where)
        assert [(x.ndim, out.op.name) for x, out in seen] == [(2, "exp"), (1, "exp")]

    def test_options_of_composites(self):
        pattern = gn.leaky_relu(X, negative_slope=0.5)
        assert changes(pattern, gn.leaky_relu(self.p, negative_slope=0.5))
        assert not changes(pattern, gn.leaky_relu(self.p))
        taken = rule("r", gn.log(gn.softmax(var("x", ("n",)))), gn.log_softmax(var("x", ("n",))), free=("axis",))
        (out,) = apply([taken], gn.log(gn.softmax(self.p, axis=0)))
        assert gn.Graph(out) == gn.Graph(gn.log_softmax(self.p, axis=0))

    def test_numbers_on_the_right_side_take_the_data_type(self):
        for dtype in ("float16", "float64"):
            z = gn.placeholder("z", (2,), dtype)
            (out,) = apply([rule("r", gn.tan(X), gn.sin(X) * 2 + gn.where(X > 0, 0.0, X))], gn.tan(z))
            assert gn.Graph(out) == gn.Graph(gn.sin(z) * 2.0 + gn.where(z > 0, 0.0, z))


# --- what is carried on ---


def test_lines_scopes_names_and_origins_are_carried_on():
    p = gn.placeholder("p", (3,))
    with gn.scope("head"):
        y = gn.tan(p).named("tangent")
    quotient = rule("tan", gn.tan(X), gn.sin(X) / gn.cos(X))
    (out,) = apply([quotient], y)
    inside = [node for node in gn.Graph(out) if node is not p]
    assert len(inside) == 3
    assert {node.scope for node in inside} == {("head",)}
    assert {node.source for node in inside} == {y.source}
    assert out.name == "tangent"
    assert {node.name for node in inside} == {"tangent", None}
    dp = gn.grad(gn.sum(gn.tan(y)), p)
    made = set(gn.Graph(dp).of_kind(Cos)) | set(gn.Graph(apply([quotient], dp)).of_kind(Cos))
    assert made
    served = {node.origin.node.op.name for node in gn.Graph(apply([quotient], dp)).of_kind(Cos) if node.origin}
    assert served <= {"tan", "sum"}


def test_a_node_that_stays_keeps_its_own_name():
    p = gn.placeholder("p", (3,))
    inner = gn.sin(p).named("inner")
    (out,) = optimize([(inner * 1.0).named("outer")])
    assert out is inner


def test_the_log():
    p = gn.placeholder("p", (3,))
    log = []
    node = gn.sin(p) + gn.cos(p)
    (out,) = apply([SIN_TO_COS], node, log=log)
    assert [(step.stage, step.rule) for step in log] == [("mine", "to_cos")]
    assert log[0].before is node.inputs[0]
    assert log[0].after is out.inputs[0]
    assert str(log[0]) == "mine: to_cos: sin(p) -> cos(p)"
    assert isinstance(log[0], Step)


def test_what_a_rule_builds_is_rewritten_too():
    p = gn.placeholder("p", (3,))
    rules = [rule("tan", gn.tan(X), gn.sin(X) / gn.cos(X)), rule("sin", gn.sin(X), gn.exp(X) * gn.tanh(X))]
    rules.append(rule("tanh", gn.tanh(X), gn.sinh(X) / gn.cosh(X)))
    (out,) = apply(rules, gn.tan(p))
    assert {node.op.name for node in gn.Graph(out)} == {
        "placeholder",
        "exp",
        "sinh",
        "cosh",
        "divide",
        "multiply",
        "cos",
    }


def test_rules_see_operands_that_are_done():
    p = gn.placeholder("p", (3,))
    seen = []

    @rewrites(Exp)
    def watch(node):
        """Only looks"""
        seen.append(node.inputs[0].op)

    apply([watch, SIN_TO_COS], gn.exp(gn.sin(p)))
    assert seen == [Cos()]
    assert watch.text == "Only looks"


def test_subclasses_belong_to_the_rules_of_their_class():
    p = gn.placeholder("p", (3,))
    count = []

    @rewrites(gn.Elementwise, reading=Add)
    def watch(node):
        count.append(node.op)

    apply([watch], gn.sin(p + 1.0) * gn.cos(p + 2.0) + gn.exp(p))
    assert count == [Sin(), Cos()]


def test_nothing_recurses_and_long_chains_take_linear_time():
    p = node = gn.placeholder("p")
    for _ in range(3 * sys.getrecursionlimit()):
        node = gn.negative(-(node * 1.0))
    assert optimize([node])[0] is p


def test_a_shared_node_is_rewritten_once():
    p = gn.placeholder("p", (3,))
    shared = gn.sin(p)
    log = []
    out, other = apply([SIN_TO_COS], shared * shared, gn.exp(shared), log=log)
    assert len(log) == 1
    assert out.inputs[0] is out.inputs[1] is other.inputs[0]


def test_groups_and_without():
    rules = group("mine", SIN_TO_COS, COS_TO_SIN)
    assert [r.group for r in rules] == ["mine", "mine"]
    passes = [*PASSES, Pass("mine too", rules)]
    assert without("mine", passes=passes)[-1].name == "improve"
    assert without("to_cos", passes=passes)[-1].rules == (rules[1],)
    assert [p.name for p in PASSES if p not in without("improve", "merge")] == ["merge", "merge", "improve"]
    left = [r.group for p in without("stability", "algebra")[-1].passes for r in p.rules]
    assert set(left) == {"canonical", "shapes", "selection", "reductions", "products", "gathers"}


def test_a_rule_for_one_class_is_not_asked_about_others():
    p = gn.placeholder("p", (3,))
    asked = []

    @rewrites(Multiply)
    def watch(node):
        asked.append(node.op)

    apply([watch], gn.sin(p) + p * 2.0)
    assert asked == [Multiply()]

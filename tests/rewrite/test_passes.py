"""The passes that see the whole graph, what rewriting is good for, and how functions are told about it."""

import functools
import math
from itertools import pairwise

import numpy as np
import pytest

import graphnn as gn
from graphnn.backend.numpy import NumpyBackend
from graphnn.errors import ExecutionError, IndexRangeError
from graphnn.ir.leaves import Constant
from graphnn.ops.contraction import Contract
from graphnn.rewrite import BASIC, PASSES, Context, Pass, only_exact, optimize, rule, var, without
from graphnn.rewrite.chains import order_chains
from graphnn.rewrite.passes import FOLD_LIMIT, fold_constants, intern


def fold(*outputs):
    return fold_constants(outputs, Context(compute=NumpyBackend.compute))


def kinds(nodes):
    return sorted(node.op.name for node in gn.Graph(nodes))


class TestFolding:
    x = gn.placeholder("x", (3,))

    def test_what_depends_on_constants_only_is_computed(self):
        c = gn.constant([1.0, 2.0, 3.0], "float32")
        (out,) = fold(self.x + gn.sqrt(c * c + 1))
        assert kinds([out]) == ["add", "constant", "placeholder"]
        np.testing.assert_allclose(out.inputs[1].op.payload.array, np.sqrt([2.0, 5.0, 10.0]), rtol=1e-6)
        assert out.inputs[1].source == out.source

    def test_outputs_and_index_tables(self):
        out, table = fold(gn.constant(2.0) * 3.0, gn.tril(gn.ones((4, 4))))
        assert isinstance(out.op, Constant)
        assert isinstance(table.op, Constant)
        assert table.op.payload.array.tolist() == np.tril(np.ones((4, 4))).tolist()

    def test_repeating_is_left_to_the_call(self):
        (out,) = fold(self.x * gn.broadcast_to(gn.exp(gn.constant(1.0)), (3,)))
        assert kinds([out]) == ["broadcast_to", "constant", "multiply", "placeholder"]

    def test_there_is_a_limit_of_size(self):
        n = math.isqrt(FOLD_LIMIT)
        line = gn.arange(n, dtype="float32")
        small, large = (
            line[:, None] * line,
            gn.arange(n + 1, dtype="float32")[:, None] * gn.arange(n + 1, dtype="float32"),
        )
        assert [type(node.op) is Constant for node in fold(small, large)] == [True, False]
        big = gn.constant(np.arange(2.0 * FOLD_LIMIT))
        assert isinstance(fold(big + 1)[0].op, Constant)  # no larger than what it is made of

    def test_what_is_random_or_from_outside_is_not_computed(self):
        def fails(x):
            raise AssertionError("it ran when it should not")

        host = gn.host_op(fails, infer=lambda x: x)(gn.constant([1.0]))
        bits = gn.random_bits(gn.constant([1, 0], "uint64"), (2,))
        state = gn.state("s", 1.0)
        for node in (host + 1, bits + bits, state + 1.0):
            (out,) = fold(node)
            assert out is node

    def test_infinities_and_nan_stay_where_they_are_made(self):
        for bad in (gn.log(gn.constant(0.0)), gn.sqrt(gn.constant([-1.0, 4.0]))):
            (out,) = fold(bad)
            assert out is bad
        f = gn.function([self.x], self.x + gn.log(gn.constant(0.0)), debug="nan")
        with pytest.raises(ExecutionError, match=r"^log made -inf"):
            f([1.0, 2.0, 3.0])

    def test_what_fails_fails_at_the_call_with_its_own_error(self):
        good = gn.constant([1.0, 2.0]) * 2
        bad = gn.take(gn.constant([1.0, 2.0]), gn.constant([5]))
        a, b = fold(good, bad)
        assert isinstance(a.op, Constant)
        assert b is bad
        with pytest.raises(IndexRangeError, match="take"):
            gn.function([], bad)()

    def test_without_a_backend_nothing_is_computed(self):
        node = gn.constant(1.0) + gn.constant(2.0)
        assert fold_constants([node], Context()) == [node]


class TestMerging:
    def test_sums_and_products_merge_in_both_orders(self):
        a, b = gn.placeholder("a"), gn.placeholder("b")
        plus, times, minus, top = intern([(a + b) * (b + a), (a * b) + (b * a), (a - b) / (b - a), gn.maximum(
            gn.maximum(a, b), gn.maximum(b, a))], Context())  # fmt: skip
        assert plus.inputs[0] is plus.inputs[1]
        assert times.inputs[0] is times.inputs[1]
        assert minus.inputs[0] is not minus.inputs[1]
        assert top.inputs[0] is not top.inputs[1]  # of 0.0 and -0.0 NumPy may take either


def matrices(*shapes):
    return [gn.placeholder(f"m{i}", shape, "float64") for i, shape in enumerate(shapes)]


def multiplications(nodes):
    total = 0
    for node in gn.Graph(nodes).of_kind(Contract):
        sizes = dict(zip(node.op.left + node.op.right, node.inputs[0].shape + node.inputs[1].shape, strict=True))
        total += math.prod(sizes.values())
    return total


CHAINS = [
    (lambda a, b, c: (a @ b) @ c, [(40, 2), (2, 40), (40, 3)], 480),
    (lambda a, b, c: (a @ b) @ c, [(40, 30), (30, 20), (20,)], 1800),
    (lambda a, b, c: a @ (b @ c), [(40,), (40, 30), (30, 20)], 1800),
    (lambda a, b, c: gn.vecdot(a @ b, c), [(9,), (9, 8), (8,)], 80),
    (lambda a, b, c: (a @ b).T @ c, [(20, 2), (2, 30), (20, 3)], 300),
    (lambda a, b, c: a.T @ (b @ c.T), [(30, 2), (30, 40), (50, 40)], 6400),
    (lambda a, b, c, d: ((a @ b) @ c) @ d, [(30, 35), (35, 15), (15, 5), (5, 10)], 9375),
    (lambda a, b, c: (c @ (a @ b)).T, [(40, 2), (2, 40), (3, 40)], 480),
]


class TestChains:
    @pytest.mark.parametrize(("build", "shapes", "fewest"), CHAINS)
    def test_the_cheapest_order(self, build, shapes, fewest):
        inputs = matrices(*shapes)
        node = build(*inputs)
        (out,) = optimize([node])
        assert multiplications([out]) == fewest < multiplications([node]) or multiplications([node]) == fewest
        rng = np.random.default_rng(0)
        feeds = {x: rng.normal(size=x.shape) for x in inputs}
        np.testing.assert_allclose(gn.evaluate(out, feeds), gn.evaluate(node, feeds), rtol=1e-12)
        assert gn.Graph(optimize([out])) == gn.Graph(out)

    def test_the_best_order_of_a_textbook(self):
        # Cormen et al., figure 14.5: six matrices of these sizes take 15,125 multiplications.
        sizes = [30, 35, 15, 5, 10, 20, 25]
        inputs = matrices(*pairwise(sizes))
        node = inputs[0]
        for x in inputs[1:]:
            node = node @ x
        (out,) = order_chains([node.named("product")], Context())
        assert multiplications([out]) == 15125
        assert out.name == "product"

    def test_a_product_that_others_read_stays(self):
        a, b, c = matrices((40, 2), (2, 40), (40, 3))
        inner = a @ b
        for outputs in ([inner @ c, inner], [inner @ c + gn.sum(inner)]):
            assert order_chains(outputs, Context()) == outputs

    def test_unknown_sizes_stay(self):
        a, b, c = matrices(("n", 2), (2, "n"), ("n", 3))
        node = (a @ b) @ c
        assert order_chains([node], Context())[0] is node
        f = gn.function([a, b, c], node)
        f(np.ones((40, 2)), np.ones((2, 40)), np.ones((40, 3)))
        assert "order" in {step.rule for step in f.rewrites}

    def test_nested_chains_and_other_readers(self):
        a, b, c, d = matrices((40, 2), (2, 40), (40, 3), (3, 40))
        node = gn.sin((a @ b) @ c) @ d @ (a @ b)
        (out,) = optimize([node])
        assert multiplications([out]) < multiplications([node])
        feeds = {x: np.random.default_rng(1).normal(size=x.shape) for x in (a, b, c, d)}
        np.testing.assert_allclose(gn.evaluate(out, feeds), gn.evaluate(node, feeds), rtol=1e-11)


class TestStability:
    """What the formulas would give by themselves, and what they give."""

    @pytest.mark.parametrize(
        ("build", "point", "plain", "exact"),
        [
            (lambda x: gn.log(1 + x), 1e-20, 0.0, 1e-20),
            (lambda x: gn.log(1 - x), 1e-20, 0.0, -1e-20),
            (lambda x: gn.exp(x) - 1, 1e-20, 0.0, 1e-20),
            (lambda x: 1 - gn.exp(x), 1e-20, 0.0, -1e-20),
            (lambda x: gn.log(1 + gn.exp(x)), 1000.0, np.inf, 1000.0),
            (lambda x: gn.log(1 - gn.exp(x)), -1e-20, -np.inf, math.log(1e-20)),
            (lambda x: gn.log(gn.sigmoid(x)), -1000.0, -np.inf, -1000.0),
            (lambda x: 1 - gn.sigmoid(x), 100.0, 0.0, math.exp(-100)),
            (lambda x: gn.log(1 - gn.sigmoid(x)), 1000.0, -np.inf, -1000.0),
            (lambda x: gn.log1p(-gn.sigmoid(x)), 1000.0, -np.inf, -1000.0),
            (lambda x: gn.log(1 / (1 + gn.exp(-x))), -1000.0, -np.inf, -1000.0),
            (lambda x: 1 - 1 / (1 + gn.exp(-x)), 100.0, 0.0, math.exp(-100)),
            (lambda x: gn.exp(x) + (-1), 1e-20, 0.0, 1e-20),
            (lambda x: 1 - gn.erf(x), 10.0, 0.0, math.erfc(10)),
            (lambda x: gn.log(gn.exp(x)), 1000.0, np.inf, 1000.0),
            (lambda x: gn.log(gn.sum(gn.exp(gn.stack([x, x])))), 1000.0, np.inf, 1000.0 + math.log(2)),
            (lambda x: gn.log(gn.softmax(gn.stack([x, 0 * x])))[1], 1000.0, -np.inf, -1000.0),
            (lambda x: gn.mean(gn.square(x + gn.constant([0.0, 1.0]))) - gn.square(gn.mean(x + gn.constant([0.0, 1.0]))),
             1e9, 0.0, 0.25),
        ],
    )  # fmt: skip
    def test_digits_are_saved(self, build, point, plain, exact):
        x = gn.placeholder("x", (), "float64")
        node = build(x) if build(x).dtype is x.dtype else build(x).astype("float64")
        assert gn.evaluate(node, {x: point}) == plain
        assert gn.function([x], node, passes=without("stability"))(point) == plain
        assert gn.function([x], node)(point) == pytest.approx(
            exact, rel=1e-13, abs=0
        )  # else all small numbers were equal

    def test_a_sigmoid_by_hand_that_overflows(self):
        x = gn.placeholder("x", (), "float64")
        node = gn.exp(x) / (gn.exp(x) + 1)
        assert np.isnan(gn.evaluate(node, {x: 1000.0}))
        assert gn.function([x], node)(1000.0) == 1.0

    @pytest.mark.parametrize("squared", [gn.square, lambda x: x * x, lambda x: x**2])
    @pytest.mark.parametrize("keepdims", [False, True])
    def test_a_variance_is_known_however_its_squares_are_written(self, squared, keepdims):
        x = gn.placeholder("x", ("n", 3), "float64")
        mean = functools.partial(gn.mean, axis=0, keepdims=keepdims)
        f = gn.function([x], mean(squared(x)) - squared(mean(x)))
        points = 1e9 + np.arange(6.0).reshape(2, 3)
        assert np.array_equal(f(points), np.var(points, axis=0, keepdims=keepdims))

    def test_a_softmax_by_hand_with_its_own_shift_is_not_shifted_twice(self):
        x = gn.placeholder("x", (4, 5), "float64")
        weights = gn.exp(x - gn.max(x, axis=1, keepdims=True))
        (out,) = optimize([weights / gn.sum(weights, axis=1, keepdims=True)])
        assert kinds([out]).count("max") == 1
        assert gn.Graph(out) == gn.Graph(optimize([gn.softmax(x, axis=1)]))

    def test_the_gradient_of_a_cross_entropy_by_hand(self):
        x = gn.placeholder("x", (2, 3), "float64")
        loss = -gn.sum(gn.log(gn.exp(x) / gn.sum(gn.exp(x), axis=1, keepdims=True))[:, 0])
        f = gn.function([x], loss)
        assert f([[1000.0, 0.0, 0.0], [0.0, 0.0, 0.0]]) == pytest.approx(math.log(3))


class TestFunctions:
    x = gn.placeholder("x", ("n", 3), "float64")

    def test_passes_are_chosen(self):
        a = var("a")
        mine = Pass("mine", [rule("halve", gn.sin(a), gn.sin(a / 2), exact=False)])
        point = np.ones((1, 3))
        f = gn.function([self.x], gn.sin(self.x), passes=[mine.__class__("other", []), *PASSES])
        np.testing.assert_array_equal(f(point), np.sin(point))
        once = rule("to_tanh", gn.sin(a), gn.tanh(a), exact=False)
        g = gn.function([self.x], gn.sin(self.x), passes=[Pass("mine", [once]), *PASSES])
        np.testing.assert_array_equal(g(point), np.tanh(point))
        assert [str(step) for step in g.rewrites] == ["mine: to_tanh: sin(x) -> tanh(x)"]

    @pytest.mark.parametrize("passes", [(), BASIC, only_exact(), without("improve"), PASSES], ids=str)
    def test_all_of_them_run_composites_and_loops(self, passes):
        last, _ = gn.scan(lambda c, row: (gn.softplus(c) + gn.gelu(row), None), gn.zeros((3,), dtype="float64"), self.x)
        loss = gn.sum(gn.log_softmax(last))
        outputs = [loss, gn.grad(loss, self.x)]
        points = np.linspace(-1, 1, 12).reshape(4, 3)
        expected = gn.evaluate(outputs, {self.x: points})
        for got, wanted in zip(gn.function([self.x], outputs, passes=passes)(points), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)

    def test_random_numbers_and_states_are_the_same(self):
        def run(passes):
            stream, steps = gn.stream(3), gn.state("steps", 0)
            noise = gn.dropout(self.x * 1.0, stream) + 0.0
            following = {steps: steps + 1, stream: stream + gn.constant([0, 1], "uint64")}
            f = gn.function([self.x], gn.advance(gn.sum(noise, axis=1), following), passes=passes)
            values = [f(np.ones((5, 3))) for _ in range(3)]
            return values, steps.value, stream.value

        (a, steps, stream), (b, other_steps, other_stream) = run(PASSES), run(BASIC)
        assert np.array_equal(a, b)
        assert not np.array_equal(a[0], a[1])
        assert steps == other_steps == 3
        assert np.array_equal(stream, other_stream)

    def test_updates_that_change_nothing_give_own_arrays(self):
        w = gn.parameter("w", np.ones(3))
        f = gn.function([], w * 1.0, updates={w: w - 0.0})
        result = f()
        result += 1
        assert w.value.tolist() == [1.0, 1.0, 1.0]

    def test_checkpoints_still_compute_twice(self):
        w = gn.parameter("w", np.full(3, 0.5))
        block = gn.checkpoint(lambda x: gn.sin(gn.exp(x) * 1.0))
        loss = gn.sum(block(block(w)))
        out = optimize([loss, gn.grad(loss, w)])
        assert kinds(out).count("exp") == 4

    def test_nothing_of_the_graph_changes(self):
        loss = gn.sum(gn.log(1 + self.x) * 1.0)
        before = gn.text(loss)
        f = gn.function([self.x], loss)
        f(np.ones((2, 3)))
        assert gn.text(loss) == before == gn.text(f.graph.outputs[0])


def test_nodes_that_are_merged_are_steps_too():
    x = gn.placeholder("x", (3,))
    first, second = gn.exp(x), gn.exp(x)
    steps = []
    optimize([first + gn.sin(second)], log=steps)
    assert [(step.stage, step.rule) for step in steps] == [("merge", "equal")]
    assert steps[0].before is second
    assert steps[0].after is first

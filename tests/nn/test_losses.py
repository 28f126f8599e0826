"""Losses and metrics: against references and their own laws, at the edges, and the mix-ups that people make."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

import graphnn as gn
from graphnn import losses, metrics, nn
from graphnn.errors import DTypeError, GraphError, IndexRangeError, ShapeError, UnknownNameError

NUMBERS = st.floats(-30, 30, width=64)


@st.composite
def logits_and_labels(draw, one_of=None):
    shape = draw(st.tuples(st.integers(1, 5), st.integers(2, 6)))
    logits = draw(hnp.arrays(np.float64, shape, elements=NUMBERS))
    labels = draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    return logits, labels


@st.composite
def pairs(draw):
    shape = draw(hnp.array_shapes(max_dims=3, max_side=4))
    return tuple(draw(hnp.arrays(np.float64, shape, elements=NUMBERS)) for _ in range(2))


def nodes(*arrays):
    return [gn.placeholder(f"a{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]


def value(loss, *arrays, **options):
    inputs = nodes(*arrays)
    return gn.evaluate(loss(*inputs, **options), dict(zip(inputs, arrays, strict=True)))


def gradient(loss, *arrays, **options):
    inputs = nodes(*arrays)
    return gn.evaluate(gn.grad(loss(*inputs, **options), inputs[0]), dict(zip(inputs, arrays, strict=True)))


class TestCrossEntropy:
    @given(logits_and_labels(), st.sampled_from([0.0, 0.1, 1.0]))
    def test_reference(self, data, smoothing):
        x, t = data
        target = (1 - smoothing) * np.eye(x.shape[1])[t] + smoothing / x.shape[1]
        expected = special.logsumexp(x, axis=1) - (target * x).sum(1)
        got = value(losses.cross_entropy, x, t, reduction="none", label_smoothing=smoothing)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)

    @given(logits_and_labels(), st.sampled_from([0.0, 0.1]))
    def test_class_numbers_are_one_hot_probabilities(self, data, smoothing):
        x, t = data
        rows = np.eye(x.shape[1])[t]
        for of in (value, gradient):
            a = of(losses.cross_entropy, x, t, label_smoothing=smoothing)
            b = of(losses.cross_entropy, x, rows, label_smoothing=smoothing)
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)

    @given(logits_and_labels())
    def test_gradient_is_softmax_minus_target(self, data):
        x, t = data
        expected = (special.softmax(x, axis=1) - np.eye(x.shape[1])[t]) / len(x)
        np.testing.assert_allclose(gradient(losses.cross_entropy, x, t), expected, rtol=1e-11, atol=1e-14)

    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("whole", [True, False])
    def test_its_own_rule_is_that_of_its_body(self, reduction, smoothing, whole):
        rng = np.random.default_rng(0)
        x = gn.placeholder("x", ("batch", 4, 3), "float64")
        arrays = {x: rng.normal(size=(2, 4, 3))}
        if whole:
            t = gn.placeholder("t", ("batch", 4), "int64")
            arrays[t] = rng.integers(0, 3, (2, 4))
        else:
            t = gn.placeholder("t", ("batch", 4, 3), "float64")
            arrays[t] = rng.uniform(size=(2, 4, 3))  # need not sum to 1
        loss = losses.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing)
        body = loss.op.expand(*loss.inputs)
        wrt = [x] if whole else [x, t]
        own, derived = (gn.grad(gn.sum(gn.sin(y)), wrt) for y in (loss, body))
        for a, b in zip(gn.evaluate(own, arrays), gn.evaluate(derived, arrays), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)

    @given(logits_and_labels(), st.floats(-1e4, 1e4))
    def test_shifting_all_logits_changes_nothing(self, data, shift):
        x, t = data
        a, b = (value(losses.cross_entropy, logits, t) for logits in (x, x + shift))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_extreme_logits(self, dtype):
        x = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [1e4, 1e4, 1e4]], dtype)
        t = np.array([0, 1, 2])
        np.testing.assert_allclose(value(losses.cross_entropy, x, t, reduction="none"), [0, 2e4, np.log(3)], rtol=1e-6)
        expected = np.array([[0, 0, 0], [1, -1, 0], [1 / 3, 1 / 3, -2 / 3]]) / 3
        np.testing.assert_allclose(gradient(losses.cross_entropy, x, t), expected, rtol=1e-6)

    def test_impossible_classes_cost_nothing(self):
        x = np.array([[0.0, -np.inf]])
        assert value(losses.cross_entropy, x, np.array([[1.0, 0.0]])) == 0
        assert value(losses.cross_entropy, x, np.array([0])) == 0
        np.testing.assert_array_equal(gradient(losses.cross_entropy, x, np.array([[1.0, 0.0]])), [[0, 0]])

    @pytest.mark.parametrize("label", [-1, 3])
    def test_class_numbers_out_of_range(self, label):
        with pytest.raises(IndexRangeError):
            value(losses.cross_entropy, np.zeros((1, 3)), np.array([label]))

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
    def test_any_integer_will_do(self, dtype):
        x, t = np.random.default_rng(0).normal(size=(2, 300)), np.array([3, 100])
        for of in (value, gradient):
            np.testing.assert_array_equal(of(losses.cross_entropy, x, t.astype(dtype)), of(losses.cross_entropy, x, t))

    @pytest.mark.parametrize(
        "logits, labels, dtype, error, headline, hint",
        [
            ((4, 3), (4, 1), "int64", ShapeError, "class numbers [4, 1] do not fit logits [4, 3]", "labels[:, 0]"),
            ((4, 3), (4, 3), "int64", ShapeError, "class numbers [4, 3] do not fit", "One-hot labels are floating"),
            ((4, 3), (4,), "float32", DTypeError, "class numbers are integers, not float32", "labels.astype('int64')"),
            ((4, 3), (5,), "int64", ShapeError, "class numbers [5] do not fit", "Class numbers are integers [batch]"),
            ((4, 3), (4, 2), "float32", ShapeError, "probabilities [4, 2] do not fit", "the shape of the logits"),
            ((4, 3), (4,), "bool", DTypeError, "not bool", "binary_cross_entropy"),
            ((4,), (4,), "int64", ShapeError, "class numbers [4] do not fit", "binary_cross_entropy"),
            ((), (), "int64", ShapeError, "logits need an axis of classes", "[batch, classes]"),
        ],
    )
    def test_mix_ups(self, logits, labels, dtype, error, headline, hint):
        with pytest.raises(error) as caught:
            losses.cross_entropy(gn.placeholder("x", logits), gn.placeholder("t", labels, dtype))
        assert headline in str(caught.value).splitlines()[0]
        assert hint in str(caught.value)

    def test_integer_logits(self):
        with pytest.raises(DTypeError, match="logits are floating-point"):
            losses.cross_entropy(gn.placeholder("t", (4, 3), "int64"), gn.placeholder("x", (4,)))

    @pytest.mark.parametrize("smoothing", [-0.1, 1.5])
    def test_wrong_smoothing(self, smoothing):
        with pytest.raises(GraphError, match="label_smoothing is from 0 to 1"):
            losses.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), label_smoothing=smoothing)

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
    @pytest.mark.parametrize("padding", [-100, 1, 7])
    def test_ignored_labels_are_as_if_they_were_not_there(self, smoothing, reduction, padding):
        rng = np.random.default_rng(0)
        x, t = rng.normal(size=(2, 3, 4)), np.array([[0, 2, 3], [3, 0, 2]])
        kept = np.array([[True, False, True], [True, True, False]])
        labels = np.where(kept, t, padding)
        options = {"reduction": reduction, "label_smoothing": smoothing}
        got = value(losses.cross_entropy, x, labels, ignore_index=padding, **options)
        expected = value(losses.cross_entropy, x[kept], t[kept], **options)
        np.testing.assert_allclose(got[kept] if reduction == "none" else got, expected, rtol=1e-12)
        if reduction == "none":
            assert (got[~kept] == 0).all()
            return
        found = gradient(losses.cross_entropy, x, labels, ignore_index=padding, **options)
        np.testing.assert_allclose(found[kept], gradient(losses.cross_entropy, x[kept], t[kept], **options), rtol=1e-11)
        assert (found[~kept] == 0).all()

    def test_its_rule_with_ignored_labels_is_that_of_its_body(self):
        x = np.random.default_rng(0).normal(size=(3, 4))
        node, t = gn.placeholder("x", x.shape, "float64"), gn.constant([1, -1, 2])
        for reduction in ("mean", "none"):
            y = losses.cross_entropy(node, t, reduction=reduction, ignore_index=-1, label_smoothing=0.1)
            body = y.op.expand(*y.inputs)
            a, b = (gn.evaluate(gn.grad(gn.sum(z), node), {node: x}) for z in (y, body))
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)

    def test_nothing_but_ignored_labels(self):
        x = np.ones((2, 3))
        assert value(losses.cross_entropy, x, np.array([5, 5]), ignore_index=5) == 0
        assert (gradient(losses.cross_entropy, x, np.array([5, 5]), ignore_index=5) == 0).all()

    def test_ignored_probabilities(self):
        with pytest.raises(GraphError, match="ignore_index is for labels that are class numbers"):
            losses.cross_entropy(gn.ones((2, 3)), gn.ones((2, 3)), ignore_index=0)
        with pytest.raises(GraphError, match=r"ignore_index is a class number, not 1\.5"):
            losses.cross_entropy(gn.ones((2, 3)), gn.constant([0, 1]), ignore_index=1.5)


class TestHuber:
    @given(pairs(), st.floats(0.1, 10))
    def test_reference(self, data, delta):
        y, t = data
        expected = special.huber(delta, y - t)
        got = value(losses.huber, y, t, delta=delta, reduction="none")
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)
        slope = gradient(losses.huber, y, t, delta=delta, reduction="sum")
        np.testing.assert_allclose(slope, np.clip(y - t, -delta, delta), rtol=1e-12, atol=1e-300)

    @pytest.mark.parametrize("delta", [0, -1.0, True, float("inf")])
    def test_wrong_delta(self, delta):
        with pytest.raises(GraphError, match="delta is a positive number"):
            losses.huber([1.0], [2.0], delta=delta)


class TestBinaryCrossEntropy:
    @given(pairs())
    def test_reference(self, data):
        x, t = data[0], special.expit(data[1])
        expected = np.logaddexp(0, x) - t * x
        np.testing.assert_allclose(
            value(losses.binary_cross_entropy, x, t, reduction="none"), expected, rtol=1e-11, atol=1e-13
        )
        np.testing.assert_allclose(
            gradient(losses.binary_cross_entropy, x, t, reduction="sum"), special.expit(x) - t, rtol=1e-9, atol=1e-13
        )

    def test_extreme_logits_keep_their_digits(self):
        x = np.array([1e4, 1e4, -1e4, -1e4, 30.0])
        t = np.array([1, 0, 1, 0, 1])
        got = value(losses.binary_cross_entropy, x, t, reduction="none")
        np.testing.assert_allclose(got, [0, 1e4, 1e4, 0, np.log1p(np.exp(-30.0))], rtol=1e-14)
        slope = gradient(losses.binary_cross_entropy, x, t, reduction="sum")
        np.testing.assert_allclose(slope, [0, 1, -1, 0, -special.expit(-30.0)], rtol=1e-14)

    def test_bools_are_targets_too(self):
        x = np.array([0.5, -2.0])
        a = value(losses.binary_cross_entropy, x, np.array([True, False]))
        assert a == value(losses.binary_cross_entropy, x, np.array([1.0, 0.0]))

    def test_two_classes_are_one_logit(self):
        x, t = np.array([0.3, -1.2, 4.0]), np.array([0, 1, 1])
        two = np.stack([np.zeros(3), x], axis=1)
        np.testing.assert_allclose(
            value(losses.binary_cross_entropy, x, t), value(losses.cross_entropy, two, t), rtol=1e-12
        )


class TestSquaresAndDistances:
    @given(pairs())
    def test_reference(self, data):
        y, t = data
        np.testing.assert_allclose(value(losses.mse, y, t), np.mean((y - t) ** 2), rtol=1e-12)
        np.testing.assert_allclose(value(losses.mae, y, t), np.mean(np.abs(y - t)), rtol=1e-12)
        np.testing.assert_allclose(value(metrics.mean_squared_error, y, t), value(losses.mse, y, t), rtol=1e-15)
        np.testing.assert_allclose(value(metrics.mean_absolute_error, y, t), value(losses.mae, y, t), rtol=1e-15)

    def test_whole_targets(self):
        assert value(losses.mse, np.array([1.0, 2.0]), np.array([1, 4])) == 2


@pytest.mark.parametrize("loss", [losses.mse, losses.mae, losses.huber, losses.binary_cross_entropy])
class TestPairs:
    @given(data=pairs())
    def test_reductions(self, loss, data):
        y, t = data[0], special.expit(data[1])
        each = value(loss, y, t, reduction="none")
        assert each.shape == y.shape
        np.testing.assert_allclose(value(loss, y, t, reduction="sum"), each.sum(), rtol=1e-12)
        np.testing.assert_allclose(value(loss, y, t), each.mean(), rtol=1e-12)

    @given(data=pairs())
    def test_gradients_of_reductions(self, loss, data):
        y, t = data[0], special.expit(data[1])
        total = gradient(loss, y, t, reduction="sum")
        np.testing.assert_allclose(gradient(loss, y, t) * y.size, total, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize(
        "shapes, hint", [((("n", 1), ("n",)), "outputs[:, 0]"), ((("n",), ("n", 1)), "targets[:, 0]")]
    )
    def test_nothing_is_broadcast(self, loss, shapes, hint):
        with pytest.raises(ShapeError) as caught:
            loss(gn.placeholder("y", shapes[0]), gn.placeholder("t", shapes[1]))
        assert "differ in shape" in str(caught.value).splitlines()[0]
        assert hint in str(caught.value)

    def test_scalars_are_not_broadcast_either(self, loss):
        with pytest.raises(ShapeError, match="differ in shape"):
            loss(gn.placeholder("y", (3,)), gn.placeholder("t", ()))

    def test_wrong_reduction(self, loss):
        with pytest.raises(GraphError, match="reduction is 'mean', 'sum' or 'none', not 'average'"):
            loss(gn.placeholder("y", (3,)), gn.placeholder("t", (3,)), reduction="average")

    def test_the_wrong_way_round(self, loss):
        with pytest.raises(DTypeError, match="takes floating-point outputs, not int64"):
            loss(gn.placeholder("t", (3,), "int64"), gn.placeholder("y", (3,)))


class TestPenalties:
    def test_values_and_gradients(self):
        w, b = gn.parameter("w", np.array([[1.0, -2.0]])), gn.parameter("b", np.array([3.0]))
        assert gn.evaluate(losses.l1_penalty([w, b], 0.5)) == 3
        assert gn.evaluate(losses.l2_penalty([w, b], 0.5)) == 3.5
        np.testing.assert_allclose(gn.evaluate(gn.grad(losses.l2_penalty([w, b], 0.5), w)), [[0.5, -1.0]])
        np.testing.assert_allclose(gn.evaluate(gn.grad(losses.l1_penalty({"b": b, "w": w}, 0.5), w)), [[0.5, -0.5]])

    def test_of_a_module_or_a_node(self):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        expected = sum((a.astype("float64") ** 2).sum() for a in model.get_values().values()) / 2
        assert gn.evaluate(losses.l2_penalty(model)) == pytest.approx(expected, rel=1e-6)
        assert gn.evaluate(losses.l1_penalty(gn.constant([1.0, -1.0]))) == 2

    def test_of_nothing(self):
        with pytest.raises(GraphError, match="there are no parameters"):
            losses.l1_penalty([])


class TestMetrics:
    @given(logits_and_labels())
    def test_accuracy(self, data):
        x, t = data
        expected = np.mean(x.argmax(1) == t)
        assert value(metrics.accuracy, x, t) == pytest.approx(expected, abs=1e-6)
        assert value(metrics.accuracy, x, np.eye(x.shape[1])[t]) == pytest.approx(expected, abs=1e-6)

    def test_binary_accuracy(self):
        x = np.array([2.0, -1.0, 0.0, 3.0])
        assert value(metrics.binary_accuracy, x, np.array([1, 0, 0, 0])) == 0.75
        assert value(metrics.binary_accuracy, x, np.array([True, True, False, True])) == 0.75
        assert value(metrics.binary_accuracy, x, np.array([1.0, 0, 0, 1]), threshold=2.5) == 0.75
        assert value(metrics.binary_accuracy, x, np.array([0.6, 0.4, 0.1, 0.9])) == 1

    @pytest.mark.parametrize(
        "metric, outputs, targets, dtype, message",
        [
            (metrics.accuracy, (4, 3), (4, 1), "int64", "targets[:, 0]"),
            (metrics.accuracy, (4, 3), (4,), "float32", "use binary_accuracy"),
            (metrics.accuracy, (4, 1), (4,), "int64", "use binary_accuracy"),
            (metrics.accuracy, (4, 1), (4, 1), "float32", "every answer would be right"),
            (losses.cross_entropy, (4, 1), (4,), "int64", "use binary_cross_entropy"),
            (losses.cross_entropy, (4, 1), (4, 1), "float32", "one class only"),
            (metrics.accuracy, (4, 3), (5,), "int64", "do not fit outputs"),
            (metrics.binary_accuracy, (4, 1), (4,), "int64", "nothing is broadcast"),
            (metrics.mean_squared_error, (4, 1), (4,), "float32", "nothing is broadcast"),
        ],
    )
    def test_mix_ups(self, metric, outputs, targets, dtype, message):
        with pytest.raises((ShapeError, DTypeError)) as caught:
            metric(gn.placeholder("y", outputs), gn.placeholder("t", targets, dtype))
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "module, name, hint",
    [
        (losses, "CrossEntropyLoss", "losses.cross_entropy(logits, labels)"),
        (losses, "categorical_crossentropy", "no softmax before it"),
        (losses, "BCEWithLogitsLoss", "losses.binary_cross_entropy"),
        (losses, "mean_squared_error", "losses.mse"),
        (losses, "cros_entropy", "Did you mean 'cross_entropy'?"),
        (metrics, "Accuracy", "metrics.accuracy"),
        (metrics, "accuracy_score", "metrics.accuracy"),
    ],
)
def test_names_from_elsewhere(module, name, hint):
    with pytest.raises(UnknownNameError) as caught:
        getattr(module, name)
    assert hint in str(caught.value)


def test_the_order_of_a_batch_changes_no_gradient():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(4, 5, dtype="float64"), nn.Tanh(), nn.Linear(5, 3, dtype="float64"))
    x, t = gn.placeholder("x", ("batch", 4), "float64"), gn.placeholder("t", ("batch",), "int64")
    f = gn.function([x, t], gn.grad(losses.cross_entropy(model(x), t), model.parameters()))
    xs, ts = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    order = rng.permutation(20)
    for a, b in zip(f(xs, ts), f(xs[order], ts[order]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14)


def test_one_hot_of_narrow_integers_with_many_classes():
    rows = gn.evaluate(gn.one_hot(np.array([3, 255], "uint8"), 300))
    np.testing.assert_array_equal(rows, np.eye(300)[[3, 255]])

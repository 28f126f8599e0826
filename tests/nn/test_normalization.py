"""Layers of normalisation, embedding and attention: formulas, running statistics, messages."""

import copy

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import DTypeError, GraphError, ShapeError, UnknownNameError
from graphnn.testing import assert_close, check_gradients

RNG = np.random.default_rng(0)


def standard(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def filled(layer):
    """The layer with other values than ones and zeros."""
    layer.set_values({path: RNG.normal(size=value.shape) for path, value in layer.get_values().items()})
    return layer


def run(layer, array, **options):
    x = gn.placeholder("x", ("batch", *array.shape[1:]), array.dtype)
    return gn.evaluate(layer(x, **options), {x: array})


class TestByExample:
    """Those whose statistics come from each example by itself."""

    def test_layer_norm(self):
        x = RNG.normal(size=(2, 3, 4))
        layer = filled(nn.LayerNorm((3, 4), eps=0.1, dtype="float64"))
        expected = standard(x, (1, 2), 0.1) * layer.weight.value + layer.bias.value
        assert_close(run(layer, x), expected, rtol=1e-12)
        plain = nn.LayerNorm(4, weight=False)
        assert plain.parameters() == []
        assert_close(run(plain, x), standard(x, 2), rtol=1e-12)

    def test_rms_norm(self):
        x = RNG.normal(size=(2, 3, 4))
        layer = filled(nn.RMSNorm(4, dtype="float64"))
        expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * layer.weight.value
        assert_close(run(layer, x), expected, rtol=1e-12)

    @pytest.mark.parametrize("layout", ["channels_last", "NCHW"])
    def test_group_norm(self, layout):
        x = RNG.normal(size=(2, 3, 5, 4))
        layer = filled(nn.GroupNorm(2, 4, layout=layout, dtype="float64"))
        groups = np.concatenate([standard(x[..., :2], (1, 2, 3)), standard(x[..., 2:], (1, 2, 3))], axis=-1)
        expected = groups * layer.weight.value + layer.bias.value
        turn = (0, 3, 1, 2) if layout == "NCHW" else (0, 1, 2, 3)
        assert_close(run(layer, x.transpose(turn)), expected.transpose(turn), rtol=1e-12)

    def test_training_makes_no_difference(self):
        x = gn.placeholder("x", ("batch", 4))
        for layer in (nn.LayerNorm(4), nn.RMSNorm(4), nn.GroupNorm(2, 4)):
            assert gn.Graph(layer(x)) == gn.Graph(layer(x, training=True))


class TestBatchNorm:
    @pytest.mark.parametrize(
        ("layer", "shape", "place"),
        [
            (nn.BatchNorm1d(3, dtype="float64"), (5, 3), 1),
            (nn.BatchNorm1d(3, layout="NCW", dtype="float64"), (5, 3), 1),
            (nn.BatchNorm1d(3, layout="NCW", dtype="float64"), (5, 3, 4), 1),
            (nn.BatchNorm2d(3, eps=0.1, momentum=0.25, dtype="float64"), (2, 4, 5, 3), 3),
            (nn.BatchNorm3d(3, weight=False, dtype="float64"), (2, 2, 2, 2, 3), 4),
        ],
    )
    def test_training_and_use(self, layer, shape, place):
        x = RNG.normal(size=shape)
        axes = tuple(i for i in range(x.ndim) if i != place)
        node = gn.placeholder("x", ("batch", *shape[1:]), "float64")
        f = gn.function([node], layer(node, training=True))
        assert_close(f(x), standard(x, axes, layer.eps), rtol=1e-12)
        m = layer.momentum
        running_mean, running_var = m * x.mean(axes), (1 - m) + m * x.var(axes, ddof=1)
        assert_close(layer.running_mean.value, running_mean, rtol=1e-12)
        assert_close(layer.running_var.value, running_var, rtol=1e-12)
        f(x)
        assert_close(layer.running_mean.value, (1 - m) * running_mean + m * x.mean(axes), rtol=1e-12)

        at = (slice(None), *(None,) * (x.ndim - 1 - place))
        kept_mean, kept_var = layer.running_mean.value[at], layer.running_var.value[at]
        g = gn.function([node], layer(node))
        assert g.updates == {}
        assert_close(g(x), (x - kept_mean) / np.sqrt(kept_var + layer.eps), rtol=1e-12)

    def test_derivatives_go_through_the_statistics(self):
        layer = filled(nn.BatchNorm1d(2, dtype="float64"))
        x = gn.placeholder("x", (4, 2), "float64")
        arrays = {x: RNG.normal(size=(4, 2))}
        y = layer(x, training=True)
        check_gradients(y, {**arrays, layer.weight: layer.weight.value, layer.bias: layer.bias.value})
        of_sum = gn.evaluate(gn.grad(gn.sum(y), x), arrays)
        assert_close(of_sum, np.zeros((4, 2)), atol=1e-12)

    def test_a_batch_of_one_keeps_its_statistics_finite(self):
        layer = nn.BatchNorm1d(2)
        x = gn.placeholder("x", ("batch", 2))
        f = gn.function([x], layer(x, training=True))
        assert f(np.ones((1, 2), "float32")).tolist() == [[0.0, 0.0]]
        assert layer.running_var.value.tolist() == pytest.approx([0.9, 0.9])

    def test_it_trains(self):
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1), seed=0)
        x = RNG.normal(size=(256, 8)).astype("float32") * 100 + 300
        y = np.sign(x[:, :1] - 300)
        trainer = gn.Trainer(model, loss=gn.losses.mse, optimizer=optim.Adam(0.01))
        history = trainer.fit(x, y, epochs=8, batch_size=32, verbose=False)
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        assert abs(model[1].running_mean.value).max() > 10
        # In use, the statistics of all batches serve: what is predicted does not depend on the others of a batch.
        assert_close(trainer.predict(x)[:3], trainer.predict(x[:3]), rtol=1e-4, atol=1e-4)
        assert trainer.evaluate(x, y)["loss"] < 0.5

    def test_used_twice_in_training(self):
        layer = nn.BatchNorm1d(2)
        x, y = gn.placeholder("x", (4, 2)), gn.placeholder("y", (4, 2))
        with pytest.raises(GraphError, match="gets two different next values"):
            gn.function([x, y], layer(x, training=True) + layer(y, training=True))

    def test_copies_have_states_of_their_own(self):
        layer = nn.BatchNorm1d(2)
        twin = copy.deepcopy(layer)
        layer.running_mean.value = np.ones(2, "float32")
        assert twin.running_mean.value.tolist() == [0.0, 0.0]
        assert list(layer.get_values()) == ["weight", "bias", "running_mean", "running_var"]

    def test_the_summary_counts_states_apart(self):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        summary = gn.summary(model, (8, 8, 1))
        assert summary.total == 4 * 9 + 4 + 8
        assert "States" in str(summary)

    def test_paths_name_the_states(self):
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        assert list(model.named_states()) == ["1.running_mean", "1.running_var"]
        assert model[1].running_mean.name == "1.running_mean"


class TestEmbedding:
    def test_rows(self):
        layer = nn.Embedding(5, 3, seed=0)
        tokens = gn.placeholder("tokens", ("batch", "length"), "int32")
        f = gn.function([tokens], layer(tokens))
        array = np.array([[0, 4], [2, 2]], np.int32)
        np.testing.assert_array_equal(f(array), layer.weight.value[array])
        for wrong in (-1, 5):
            with pytest.raises(gn.IndexRangeError):
                f(np.array([[wrong]], np.int32))

    def test_the_derivative_adds_up_repeated_rows(self):
        layer = nn.Embedding(3, 2, dtype="float64")
        loss = gn.sum(layer(gn.constant([1, 1, 2])))
        assert gn.evaluate(gn.grad(loss, layer.weight)).tolist() == [[0, 0], [2, 2], [1, 1]]

    def test_numbers_that_are_not_whole(self):
        with pytest.raises(DTypeError, match=r"Embedding\(3, 2\) takes whole numbers, not float32"):
            nn.Embedding(3, 2)(gn.placeholder("x", (4,)))


def attention(layer, q, k, v, mask):
    """Head by head, by the definition."""
    maps = {name: module for name, module in layer.named_modules().items() if name}

    def applied(name, x):
        return x @ maps[name].weight.value + maps[name].bias.value

    size, sharing = layer.head_dim, layer.num_heads // layer.num_kv_heads
    queries, keys, values = applied("q_proj", q), applied("k_proj", k), applied("v_proj", v)
    parts = []
    for head in range(layer.num_heads):
        own, shared = (slice(h * size, (h + 1) * size) for h in (head, head // sharing))
        scores = queries[..., own] @ keys[..., shared].swapaxes(-1, -2) / np.sqrt(size)
        scores = np.where(mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        parts.append(weights / weights.sum(-1, keepdims=True) @ values[..., shared])
    return applied("out_proj", np.concatenate(parts, axis=-1))


class TestMultiheadAttention:
    @pytest.mark.parametrize("shared", [None, 2, 1])
    def test_formula(self, shared):
        layer = filled(nn.MultiheadAttention(8, 4, num_kv_heads=shared, dtype="float64"))
        q, k, v = (RNG.normal(size=(2, n, 8)) for n in (3, 5, 5))
        mask = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], bool)
        nodes = [gn.placeholder(name, ("batch", f"n{name}", 8), "float64") for name in "qk"]
        nodes.append(gn.placeholder("v", ("batch", "nk", 8), "float64"))
        allowed = gn.placeholder("mask", ("nq", "nk"), "bool")
        f = gn.function([*nodes, allowed], layer(*nodes, mask=allowed))
        assert_close(f(q, k, v, mask), attention(layer, q, k, v, mask), rtol=1e-12, atol=1e-12)

    def test_attention_to_itself(self):
        layer = filled(nn.MultiheadAttention(4, 2, dtype="float64"))
        x = RNG.normal(size=(2, 3, 4))
        assert_close(run(layer, x, causal=True), attention(layer, x, x, x, np.tri(3, dtype=bool)), rtol=1e-12)
        assert_close(run(layer, x), attention(layer, x, x, x, True), rtol=1e-12, atol=1e-12)


def test_prelu_learns_its_slope():
    layer = nn.PReLU(2, init=0.5)
    x = gn.constant([[-2.0, 4.0], [-6.0, -8.0]])
    assert gn.evaluate(layer(x)).tolist() == [[-1.0, 4.0], [-3.0, -4.0]]
    assert gn.evaluate(gn.grad(gn.sum(layer(x)), layer.weight)).tolist() == [-8.0, -8.0]


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (nn.LayerNorm(4), "LayerNorm(4)"),
        (nn.LayerNorm((3, 4), eps=0.1, bias=False), "LayerNorm((3, 4), eps=0.1, bias=False)"),
        (nn.RMSNorm(4, weight=False), "RMSNorm(4, weight=False)"),
        (nn.GroupNorm(2, 4, layout="NCHW"), "GroupNorm(2, 4, layout='NCHW')"),
        (nn.BatchNorm1d(4, momentum=0.5, dtype="float64"), "BatchNorm1d(4, dtype='float64', momentum=0.5)"),
        (nn.Embedding(5, 3, seed=1), "Embedding(5, 3, seed=1)"),
        (
            nn.MultiheadAttention(8, 4, num_kv_heads=2, bias=False),
            "MultiheadAttention(8, 4, num_kv_heads=2, bias=False)",
        ),
        (nn.PReLU(), "PReLU()"),
        (nn.CELU(2.0), "CELU(alpha=2.0)"),
    ],
)
def test_printed(layer, shown):
    assert repr(layer) == shown
    if layer.parameters():  # it stays so once its parameters exist
        assert repr(layer) == shown


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LayerNorm(0), ShapeError, "nn.LayerNorm: a size is a whole number from 1, not 0"),
        (lambda: nn.LayerNorm(4, eps=-1), GraphError, "nn.LayerNorm: eps is a number from 0, not -1"),
        (lambda: nn.LayerNorm(4, affine=False), UnknownNameError, "Write weight=False"),
        (lambda: nn.LayerNorm(4)(gn.ones((2, 5))), ShapeError, r"LayerNorm(4) takes inputs whose last sizes are [4]"),
        (lambda: nn.GroupNorm(3, 4), ShapeError, "4 channels cannot be divided into 3 groups"),
        (lambda: nn.GroupNorm(2, 4)(gn.ones((2, 5))), ShapeError, "GroupNorm(2, 4) takes 4 channels, not [2, 5]"),
        (lambda: nn.BatchNorm2d(3, momentum=2), GraphError, "nn.BatchNorm2d: momentum is from 0 to 1, not 2"),
        (lambda: nn.BatchNorm2d(3)(gn.ones((2, 3))), ShapeError, "BatchNorm2d(3) takes inputs with 4 axes, not [2, 3]"),
        (lambda: nn.BatchNorm2d(3)(gn.ones((2, 3, 8, 8))), ShapeError, "Did you mean layout='channels_first'?"),
        (lambda: nn.MultiheadAttention(8, 3), ShapeError, "8 elements cannot be divided into 3 heads"),
        (lambda: nn.MultiheadAttention(8, 4, num_kv_heads=3), ShapeError, "4 heads of queries cannot share 3"),
        (lambda: nn.MultiheadAttention(8, 2)(gn.ones((3, 4))), ShapeError, "takes inputs [..., length, 8], not [3, 4]"),
        (lambda: nn.PReLU(0), ShapeError, "the number of slopes is a whole number from 1, not 0"),
        (lambda: nn.BatchNormalization, UnknownNameError, "It is called BatchNorm1d, BatchNorm2d or BatchNorm3d"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)

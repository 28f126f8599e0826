"""Layers: the formulas, the sizes they take from calls, the laws of Dropout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn import nn
from graphnn.errors import DTypeError, GraphError, ShapeError, UnknownNameError


class TestLinear:
    @given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 5), st.booleans())
    def test_formula(self, shape, outputs, bias):
        rng = np.random.default_rng(0)
        layer = nn.Linear(shape[-1], outputs, bias=bias, dtype="float64", seed=1)
        if bias:
            layer.bias.value = rng.normal(size=outputs)
        x = gn.placeholder("x", tuple(shape), "float64")
        array = rng.normal(size=shape)
        expected = array @ layer.weight.value + (layer.bias.value if bias else 0)
        np.testing.assert_allclose(gn.evaluate(layer(x), {x: array}), expected, rtol=1e-12)

    def test_kaiming_by_default_and_zero_bias(self):
        layer = nn.Linear(1000, 400)
        assert layer.weight.value.std() == pytest.approx(np.sqrt(2 / 1000), rel=0.01)
        assert abs(layer.weight.value.mean()) < 3e-4
        assert not layer.bias.value.any()

    def test_input_size_from_the_first_call(self):
        layer = nn.Linear(3)
        assert repr(layer) == "Linear(3)"
        layer(gn.placeholder("x", ("batch", 5)))
        assert repr(layer) == "Linear(5, 3)"
        assert layer.weight.shape == (5, 3)
        with pytest.raises(ShapeError, match=r"Linear\(5, 3\) takes inputs whose last size is 5, not \[batch, 4\]"):
            layer(gn.placeholder("x", ("batch", 4)))

    def test_sizes_by_name(self):
        assert repr(nn.Linear(in_features=2, out_features=3)) == "Linear(2, 3)"
        assert repr(nn.Linear(out_features=3)) == "Linear(3)"

    def test_images_need_flatten(self):
        with pytest.raises(ShapeError) as caught:
            nn.Linear(64, 10)(gn.placeholder("images", ("batch", 8, 8)))
        assert "Linear(64, 10) takes inputs whose last size is 64, not [batch, 8, 8]" in str(caught.value)
        assert "nn.Flatten()" in str(caught.value)
        assert "images" in str(caught.value)

    def test_a_named_size_cannot_be_taken(self):
        with pytest.raises(ShapeError, match="cannot take its input size from"):
            nn.Linear(3)(gn.placeholder("x", ("batch", "features")))

    def test_integers_are_refused_with_advice(self):
        with pytest.raises(DTypeError, match="astype"):
            nn.Linear(2, 2)(gn.placeholder("x", ("batch", 2), "int64"))

    @pytest.mark.parametrize("sizes", [(), (1, 2, 3)])
    def test_wrong_number_of_sizes(self, sizes):
        with pytest.raises(GraphError, match="one or two sizes"):
            nn.Linear(*sizes)

    @pytest.mark.parametrize("size", [0, -1, 2.5, "8", True])
    def test_wrong_sizes(self, size):
        with pytest.raises(ShapeError, match="a size is a whole number from 1"):
            nn.Linear(size)

    def test_arguments_from_elsewhere(self):
        with pytest.raises(UnknownNameError) as caught:
            nn.Linear(10, activation="relu")
        assert "nn.Linear takes no argument 'activation'" in str(caught.value)
        assert "nn.Sequential(nn.Linear(784, 128), nn.ReLU())" in str(caught.value)
        with pytest.raises(GraphError, match="init is a function of shape and generator"):
            nn.Linear(10, init="he")

    def test_without_bias(self):
        layer = nn.Linear(2, 3, bias=False)
        assert layer.bias is None
        assert list(layer.named_parameters()) == ["weight"]


class TestDropout:
    def run(self, model, training=True, size=1000):
        x = gn.placeholder("x", ("batch", size))
        return gn.function([x], model(x, training=training))

    def test_is_the_identity_in_use(self):
        x = gn.placeholder("x", (3,))
        assert nn.Dropout(0.5)(x) is x
        assert nn.Dropout(0.0)(x, training=True) is x

    @given(st.floats(0.05, 0.95), st.integers(0, 2**32))
    def test_zero_or_scaled_and_the_mean_stays(self, p, seed):
        out = self.run(nn.Dropout(p, seed=seed), size=20000)(np.ones((1, 20000), "float32"))
        kept = np.float32(1) / np.float32(1 - p)
        assert np.all((out == 0) | np.isclose(out, kept, rtol=1e-6))
        assert abs((out == 0).mean() - p) < 6 * np.sqrt(p * (1 - p) / 20000)
        assert abs(out.mean() - 1) < 6 * np.sqrt(p / (1 - p) / 20000)

    def test_everything_dropped(self):
        assert not self.run(nn.Dropout(1.0))(np.ones((2, 1000), "float32")).any()

    def test_every_call_draws_anew_and_seeds_fix_the_bits(self):
        ones = np.ones((4, 1000), "float32")
        runs = []
        for seed in (5, 5, 6):
            f = self.run(nn.Dropout(0.5, seed=seed))
            runs.append([f(ones), f(ones)])
        (a, b), (c, d), (e, _) = runs
        assert np.array_equal(a, c)
        assert np.array_equal(b, d)
        assert not np.array_equal(a, b)
        assert not np.array_equal(a, e)

    def test_layers_of_a_model_draw_apart(self):
        model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
        out = self.run(model)(np.ones((1, 1000), "float32"))
        assert 0.65 < (out == 0).mean() < 0.85  # 3/4 where independent, 1/2 were they the same

    def test_one_layer_used_twice_draws_twice(self):
        layer = nn.Dropout(0.5)
        out = self.run(nn.Sequential(layer, layer))(np.ones((1, 1000), "float32"))
        assert 0.65 < (out == 0).mean() < 0.85

    def test_one_layer_used_twice_in_a_row_outside_of_a_model(self):
        layer = nn.Dropout(0.5, seed=1)
        x = gn.placeholder("x", (1000,))
        out = gn.function([x], layer(layer(x, training=True), training=True))(np.ones(1000, "float32"))
        assert 0.65 < (out == 0).mean() < 0.85

    def test_building_the_graph_again_gives_the_same_graph(self):
        model = nn.Sequential(nn.Dropout(0.5, seed=1), nn.Linear(2, 2))
        x = gn.placeholder("x", ("batch", 2))
        assert gn.Graph(model(x, training=True)) == gn.Graph(model(x, training=True))

    def test_the_gradient_is_the_mask(self):
        layer = nn.Dropout(0.5, seed=2)
        x = gn.placeholder("x", (50,))
        y = layer(x, training=True)
        out, gradient = gn.function([x], [y, gn.grad(gn.sum(y), x)])(np.ones(50, "float32"))
        assert np.array_equal(out, gradient)

    def test_the_stream_is_a_state_by_path(self):
        model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
        assert list(model.named_states()) == ["1.stream"]
        assert "1.stream" not in model.named_parameters()

    def test_set_values_takes_it_up_where_it_stood(self):
        ones = np.ones((2, 1000), "float32")
        first, second = (nn.Sequential(nn.Dropout(0.5)) for _ in range(2))
        f, g = self.run(first), self.run(second)
        f(ones)
        second.set_values(first.get_values())
        assert np.array_equal(f(ones), g(ones))

    @pytest.mark.parametrize("p", [-0.1, 1.1, True, "a", float("nan")])
    def test_wrong_probabilities(self, p):
        with pytest.raises(GraphError, match="p is a probability from 0 to 1"):
            nn.Dropout(p)


class TestSequential:
    def test_is_the_composition(self):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        x = gn.placeholder("x", ("batch", 3))
        array = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        by_hand = model[2](gn.tanh(model[0](x)))
        np.testing.assert_array_equal(gn.evaluate(model(x), {x: array}), gn.evaluate(by_hand, {x: array}))

    def test_is_a_sequence(self):
        layers = [nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)]
        model = nn.Sequential(layers)
        assert len(model) == 3
        assert [a is b for a, b in zip(model, layers, strict=True)] == [True] * 3
        assert model[-1] is layers[2]
        longer = nn.Sequential(*model[:2], nn.Linear(2, 5))
        assert longer[0].weight is model[0].weight
        assert len(longer) == 3

    def test_empty_is_the_identity(self):
        x = gn.placeholder("x", (3,))
        assert nn.Sequential()(x) is x

    def test_what_is_no_layer(self):
        with pytest.raises(GraphError) as caught:
            nn.Sequential(nn.Linear(2, 2), nn.ReLU)
        assert "layer 1 is not a module but the class ReLU" in str(caught.value)
        assert "with parentheses" in str(caught.value)
        with pytest.raises(GraphError, match="layer 0 is not a module"):
            nn.Sequential(gn.relu)


@pytest.mark.parametrize(
    "layer, function",
    [
        (nn.ReLU(), gn.relu),
        (nn.LeakyReLU(0.2), lambda x: gn.leaky_relu(x, negative_slope=0.2)),
        (nn.ELU(0.5), lambda x: gn.elu(x, alpha=0.5)),
        (nn.SELU(), gn.selu),
        (nn.GELU(), gn.gelu),
        (nn.GELU("tanh"), lambda x: gn.gelu(x, approximate="tanh")),
        (nn.SiLU(), gn.silu),
        (nn.Softplus(), gn.softplus),
        (nn.Sigmoid(), gn.sigmoid),
        (nn.Tanh(), gn.tanh),
        (nn.Softmax(), gn.softmax),
        (nn.Softmax(axis=0), lambda x: gn.softmax(x, axis=0)),
        (nn.LogSoftmax(), gn.log_softmax),
        (nn.Flatten(), lambda x: x.reshape(4, 6)),
        (nn.Identity(), lambda x: x),
    ],
)
def test_modules_are_their_functions(layer, function):
    x = gn.placeholder("x", (4, 2, 3))
    array = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    np.testing.assert_array_equal(gn.evaluate(layer(x), {x: array}), gn.evaluate(function(x), {x: array}))
    assert not layer.parameters()


class TestInitializers:
    SHAPES = ((300, 200), (3, 3, 40, 60))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize(
        "init, variance",
        [
            (nn.init.kaiming_normal, lambda i, o: 2 / i),
            (nn.init.kaiming_normal(negative_slope=1.0), lambda i, o: 1 / i),
            (nn.init.kaiming_uniform, lambda i, o: 2 / i),
            (nn.init.xavier_normal, lambda i, o: 2 / (i + o)),
            (nn.init.xavier_uniform(gain=2.0), lambda i, o: 8 / (i + o)),
            (nn.init.lecun_normal, lambda i, o: 1 / i),
            (nn.init.normal(std=0.3), lambda i, o: 0.09),
            (nn.init.uniform(low=-1.0, high=1.0), lambda i, o: 1 / 3),
        ],
    )
    def test_mean_and_variance(self, shape, init, variance):
        field = int(np.prod(shape[:-2]))
        expected = variance(field * shape[-2], field * shape[-1])
        array = init(shape, np.random.default_rng(0))
        assert array.shape == shape
        assert abs(array.mean()) < 6 * np.sqrt(expected / array.size)
        assert array.var() == pytest.approx(expected, rel=0.05)

    def test_uniform_ones_keep_their_limits(self):
        array = nn.init.kaiming_uniform((50, 1000), np.random.default_rng(0))
        limit = np.sqrt(6 / 50)
        assert -limit <= array.min() < -0.99 * limit
        assert 0.99 * limit < array.max() <= limit

    def test_fixed_ones(self):
        rng = np.random.default_rng(0)
        assert (nn.init.constant(0.5)((2, 3), rng) == 0.5).all()
        assert not nn.init.zeros((4,), rng).any()
        assert nn.init.ones((4,), rng).all()

    def test_as_it_is_or_called(self):
        for init in (nn.init.ones, nn.init.ones()):
            np.testing.assert_array_equal(gn.parameter("w", init, (2,)).value, [1, 1])

    def test_a_bias_has_no_fan(self):
        with pytest.raises(ShapeError, match="has no fan_in and fan_out"):
            nn.init.kaiming_normal((3,), np.random.default_rng(0))

    def test_the_generator_is_needed(self):
        with pytest.raises(GraphError, match="a generator of random numbers is missing"):
            nn.init.normal((3,))

    def test_equal_generators_equal_bits(self):
        a, b = (nn.init.kaiming_normal((5, 5), np.random.default_rng(4)) for _ in range(2))
        assert np.array_equal(a, b)

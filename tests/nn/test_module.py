"""Modules: paths, sharing, seeds, freezing, values, scopes and the errors of everyday mistakes."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import DTypeError, GraphError, GraphnnError, ShapeError, UnknownNameError


class Block(nn.Module):
    def __init__(self, size):
        self.inner = nn.Linear(size, size)
        self.scale = nn.Parameter(nn.init.ones, (size,))
        self.count = gn.state("count", np.zeros(size, "float32"))

    def forward(self, x):
        return self.inner(x) * self.scale + self.count


class Net(nn.Module):
    def __init__(self):
        self.blocks = [Block(3), Block(3)]
        self.heads = {"a": nn.Linear(3, 2), "b": (nn.Linear(3, 1, bias=False),)}
        self._parent_of_nothing = nn.Linear(9, 9)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return {"a": self.heads["a"](x), "b": self.heads["b"][0](x)}


def batch(size=3):
    return gn.placeholder("x", ("batch", size))


def values_of(model):
    return {path: array.tolist() for path, array in model.get_values().items()}


class TestPaths:
    def test_attributes_lists_tuples_and_dicts(self):
        net = Net()
        assert list(net.named_parameters()) == [
            "blocks.0.scale",
            "blocks.0.inner.weight",
            "blocks.0.inner.bias",
            "blocks.1.scale",
            "blocks.1.inner.weight",
            "blocks.1.inner.bias",
            "heads.a.weight",
            "heads.a.bias",
            "heads.b.0.weight",
        ]
        assert list(net.named_states()) == ["blocks.0.count", "blocks.1.count"]
        assert list(net.named_modules()) == [
            "",
            "blocks.0",
            "blocks.0.inner",
            "blocks.1",
            "blocks.1.inner",
            "heads.a",
            "heads.b.0",
        ]

    def test_parameters_are_named_by_their_path(self):
        assert all(w.name == path for path, w in Net().named_parameters().items())

    def test_names_do_not_depend_on_who_asks_first(self):
        net = Net()
        assert net.blocks[1].inner.weight.name == "blocks.1.inner.weight"
        assert net.heads["b"][0].weight is net.named_parameters()["heads.b.0.weight"]

    def test_a_shared_module_is_listed_once(self):
        shared = nn.Linear(3, 3)
        model = nn.Sequential(shared, nn.ReLU(), shared)
        assert list(model.named_parameters()) == ["0.weight", "0.bias"]
        every = model.named_parameters(remove_duplicate=False)
        assert list(every) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert every["2.weight"] is every["0.weight"]
        assert list(model.named_modules()) == ["", "0", "1"]
        assert list(model.named_modules(remove_duplicate=False)) == ["", "0", "1", "2"]

    def test_a_shared_parameter_is_listed_once(self):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        assert list(model.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
        assert list(model.named_parameters(remove_duplicate=False)) == ["0.weight", "0.bias", "1.bias", "1.weight"]
        assert model[1].weight is model[0].weight

    def test_gradients_of_a_shared_parameter_add_up(self):
        shared = nn.Linear(3, 3, dtype="float64")
        x = gn.placeholder("x", (2, 3), "float64")
        gradient = gn.grad(gn.sum(shared(gn.tanh(shared(x)))), shared.weight)
        a, b = gn.parameter("a", shared.weight.value), gn.parameter("b", shared.weight.value)
        apart = gn.sum(gn.tanh(x @ a + shared.bias) @ b + shared.bias)
        feeds = {x: np.random.default_rng(0).normal(size=(2, 3))}
        expected = sum(gn.evaluate(gn.grad(apart, [a, b]), feeds))
        np.testing.assert_allclose(gn.evaluate(gradient, feeds), expected, rtol=1e-12)

    def test_a_module_inside_itself_is_an_error(self):
        net = Net()
        net.blocks[0].outer = net
        with pytest.raises(GraphError, match="contains itself"):
            net.parameters()


class TestSeeds:
    def test_layers_of_a_model_differ(self):
        model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.Linear(128, 128))
        values = model.get_values()
        assert not np.array_equal(values["2.weight"], values["3.weight"])
        assert abs(np.corrcoef(values["2.weight"].ravel(), values["3.weight"].ravel())[0, 1]) < 0.03

    def test_layers_in_layers_differ(self):
        inner = [nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2)]
        model = nn.Sequential(nn.Sequential(*inner), nn.Linear(3, 3), *[Block(3) for _ in range(2)])
        weights = [w.value for path, w in model.named_parameters().items() if path.endswith("weight")]
        assert len({w.tobytes() for w in weights}) == len(weights) == 7

    def test_equal_models_have_equal_bits(self):
        assert values_of(Net()) == values_of(Net())

    def test_another_seed_gives_other_values(self):
        first, second = (nn.Sequential(nn.Linear(4, 4), seed=seed) for seed in (0, 1))
        assert not np.array_equal(first[0].weight.value, second[0].weight.value)
        assert np.array_equal(first[0].weight.value, nn.Sequential(nn.Linear(4, 4))[0].weight.value)

    def test_values_do_not_depend_on_who_asks_first(self):
        asked, called, inside = Net(), Net(), Net()
        asked.parameters()
        called(batch())
        _ = inside.heads["a"].bias, inside.blocks[1].inner.weight
        assert values_of(asked) == values_of(called) == values_of(inside)

    def test_a_size_taken_from_the_call_changes_nothing(self):
        late, early = nn.Sequential(nn.Linear(3), nn.Linear(2)), nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        late(batch(4))
        assert values_of(late) == values_of(early)

    def test_a_seed_inside_a_model_counts_paths_from_there(self):
        inner = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), seed=7)
        outer = nn.Sequential(nn.Linear(3, 3), inner, seed=1)
        alone = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), seed=7)
        assert values_of(inner) == values_of(alone)
        assert list(outer.named_parameters())[2] == "1.0.weight"

    def test_layers_outside_of_a_model_differ(self):
        first, second = nn.Linear(4, 4), nn.Linear(4, 4)
        assert not np.array_equal(first.weight.value, second.weight.value)
        assert np.array_equal(nn.Linear(4, 4, seed=3).weight.value, nn.Linear(4, 4, seed=3).weight.value)

    def test_the_bits_are_those_of_any_other_process(self):
        program = (
            "import hashlib\nfrom graphnn import nn\n"
            "model = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 3), seed=11)\n"
            "lone = [nn.Linear(4, 4), nn.Linear(4, 4)]\n"
            "arrays = [*model.get_values().values(), *(layer.weight.value for layer in lone)]\n"
            "print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())\n"
        )
        digests = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in (1, 2)
        }
        assert len(digests) == 1

    def test_pinned_bits(self):
        # A change here means that models of the same seed begin elsewhere than before: say so in the changelog.
        model = nn.Sequential(nn.Linear(2, 2, dtype="float64"))
        expected = np.random.default_rng(int.from_bytes(_sha(b"0:0.weight")[:16], "little")).normal(0, 1, (2, 2))
        np.testing.assert_array_equal(model[0].weight.value, expected)

    @pytest.mark.parametrize("seed", [-1, 1.5, True, "a"])
    def test_a_seed_that_is_none(self, seed):
        with pytest.raises(GraphError, match="a seed is a whole number from 0"):
            _ = nn.Linear(2, 2, seed=seed).weight


def _sha(text):
    import hashlib

    return hashlib.sha256(text).digest()


class TestCalls:
    def test_scopes_are_the_paths(self):
        net = Net()
        out = net(batch())
        scopes = {node.scope for node in gn.Graph([out["a"], out["b"]]) if node.inputs}
        assert ("Net", "blocks.1: Block", "inner") in scopes
        assert ("Net", "heads.a") in scopes

    def test_parameters_have_the_same_scope_asked_or_called(self):
        asked, called = Net(), Net()
        asked.parameters()
        called(batch())
        for a, b in zip(asked.parameters(), called.parameters(), strict=True):
            assert a.scope == b.scope

    def test_specs_of_the_last_call(self):
        net = Net()
        assert net.output_spec is None
        net(batch())
        assert str(net.output_spec["a"]) == "float32[batch, 2]"
        assert str(net.blocks[0].output_spec) == str(net.blocks[0].input_spec) == "float32[batch, 3]"

    def test_two_calls_share_parameters(self):
        model = nn.Sequential(nn.Linear(3, 2))
        a, b = model(batch()), model(batch(), training=True)
        assert set(gn.Graph(a).parameters) == set(gn.Graph(b).parameters) == set(model.parameters())
        assert gn.Graph(a) == gn.Graph(b)

    def test_training_reaches_the_inner_modules_and_ends_with_the_call(self):
        seen = []

        class Probe(nn.Module):
            def forward(self, x):
                seen.append(nn.is_training())
                return x

        model = nn.Sequential(Probe(), nn.Sequential(Probe()))
        model(batch(), training=True)
        model(batch())
        assert seen == [True, True, False, False]
        assert not nn.is_training()

    def test_training_can_be_switched_off_inside(self):
        class Half(nn.Module):
            def __init__(self):
                self.drop = nn.Dropout(0.5)

            def forward(self, x):
                return self.drop(x, training=False)

        x = batch()
        assert Half()(x, training=True) is x

    def test_the_call_ends_when_forward_fails(self):
        class Broken(nn.Module):
            def forward(self, x):
                raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            Broken()(batch(), training=True)
        assert not nn.is_training()
        assert gn.placeholder("y", ()).scope == ()

    def test_to_graph(self):
        model = nn.Sequential(nn.Flatten(), nn.Linear(4), nn.ReLU())
        with pytest.raises(GraphError, match="the shape of the inputs of Sequential is not known"):
            model.to_graph()
        graph = model.to_graph(input_shape=(2, 3))
        assert str(graph.inputs[0].spec) == "float32[batch, 2, 3]"
        assert model.to_graph() == graph
        assert str(nn.Sequential(nn.ReLU(), nn.Linear(5, 2)).to_graph().outputs[0].spec) == "float32[batch, 2]"

    def test_modules_are_not_parameters_of_a_network_that_is_alone(self):
        class Empty(nn.Module):
            pass

        with pytest.raises(GraphError, match="Empty has no forward"):
            Empty()(batch())

    def test_forward_without_return(self):
        class Forgetful(nn.Module):
            def forward(self, x):
                gn.relu(x)

        with pytest.raises(GraphError, match=r"Forgetful\.forward gave None"):
            Forgetful()(batch())


class TestFreeze:
    def test_optimisers_skip_what_is_frozen(self):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        model[0].freeze()
        loss = gn.mean(model(batch()))
        assert {w.name for w in optim.SGD(0.1).updates(loss)} == {"1.weight", "1.bias"}
        assert len(gn.Graph(loss).parameters) == 4
        assert model.unfreeze() is model
        assert len(optim.SGD(0.1).updates(loss)) == 4


class TestValues:
    def test_round_trip(self):
        source, target = Net(), Net()
        source.blocks[0].scale.value = np.array([1, 2, 3], "float32")
        target.set_values(source.get_values())
        assert values_of(target) == values_of(source)

    def test_values_are_copies(self):
        net = Net()
        net.get_values()["heads.a.bias"][:] = 9
        assert values_of(net)["heads.a.bias"] == [0, 0]

    def test_all_or_none(self):
        net = Net()
        before = values_of(net)
        values = {**net.get_values(), "heads.a.bias": np.ones(3, "float32")}
        values["blocks.0.scale"] = np.zeros(3, "float32")
        with pytest.raises(ShapeError, match=r"the value of 'heads.a.bias' must have the shape \[2\], got \[3\]"):
            net.set_values(values)
        assert values_of(net) == before

    def test_missing_unknown_and_wrong_type(self):
        net = Net()
        values = net.get_values()
        del values["heads.a.bias"]
        with pytest.raises(GraphError, match=r"missing 'heads\.a\.bias'"):
            net.set_values(values)
        with pytest.raises(GraphError, match="unknown 'extra'"):
            net.set_values({**net.get_values(), "extra": 1})
        with pytest.raises(DTypeError, match="must be float32, got float64"):
            net.set_values({**net.get_values(), "heads.a.bias": np.zeros(2)})


class TestMistakes:
    def test_a_parameter_replaced_by_an_array(self):
        layer = nn.Linear(2, 2)
        with pytest.raises(GraphError, match=r"module.weight.value = array"):
            layer.weight = np.zeros((2, 2))

    def test_a_declared_parameter_in_a_list(self):
        class Listed(nn.Module):
            def __init__(self):
                self.w = [nn.Parameter(nn.init.zeros, (2,))]

        with pytest.raises(GraphError, match=r"gn.parameter\(name, array\)"):
            Listed()

    def test_parameters_before_their_size_is_known(self):
        layer = nn.Linear(3)
        for ask in (lambda: layer.weight, lambda: nn.Sequential(layer).parameters(), layer.freeze):
            with pytest.raises(GraphError, match="do not exist yet: it takes its input size from its first call"):
                ask()

    def test_a_parameter_without_shape(self):
        with pytest.raises(GraphError, match="an initializer needs the shape"):
            nn.Parameter(nn.init.zeros)

    def test_arguments_that_a_module_does_not_take(self):
        with pytest.raises(GraphError, match="ReLU takes no arguments, but was given inplace=True"):
            nn.ReLU(inplace=True)

    @pytest.mark.parametrize(
        "name, hint",
        [
            ("train", "model(x, training=True)"),
            ("eval", "model(x) is the model in use"),
            ("backward", "gn.grad(loss, model.parameters())"),
            ("zero_grad", "nothing is accumulated"),
            ("compile", "gn.Trainer(model, loss=..., optimizer=...)"),
            ("fit", "gn.Trainer(model, loss=..., optimizer=...).fit(x, y, epochs=5)"),
            ("predict", "trainer.predict(x)"),
            ("summary", "gn.summary(model)"),
            ("add", "nn.Sequential(*model, layer)"),
            ("state_dict", "model.get_values()"),
            ("load_state_dict", "model.set_values({path: array})"),
            ("trainable_weights", "w.trainable"),
            ("get_value", "Did you mean 'get_values'?"),
        ],
    )
    def test_names_from_elsewhere(self, name, hint):
        model = nn.Sequential(nn.Linear(2, 2))
        with pytest.raises(UnknownNameError) as caught:
            getattr(model, name)
        assert str(caught.value).startswith(f"the module Sequential has no {name!r}")
        assert hint in str(caught.value)
        assert not hasattr(model, name)

    @pytest.mark.parametrize(
        "name, hint",
        [
            ("Dense", "nn.Linear(inputs, outputs)"),
            ("Conv2D", ""),
            ("Input", "gn.placeholder"),
            ("ModuleList", "plain list"),
            ("CrossEntropyLoss", "losses.cross_entropy"),
            ("functional", "gn.relu(x)"),
            ("Droput", "Did you mean 'Dropout'?"),
        ],
    )
    def test_layers_from_elsewhere(self, name, hint):
        with pytest.raises(UnknownNameError) as caught:
            getattr(nn, name)
        assert f"graphnn.nn has no {name!r}" in str(caught.value)
        assert hint in str(caught.value)

    def test_every_name_in_the_tables_is_unknown_here(self):
        from graphnn.nn import elsewhere

        for name in elsewhere.LAYERS:
            with pytest.raises(UnknownNameError):
                getattr(nn, name)
        module = nn.Identity()
        for name in elsewhere.MODULE:
            with pytest.raises(GraphnnError):
                getattr(module, name)


class TestRepr:
    def test_short_and_long(self):
        assert repr(nn.Sequential(nn.Linear(2), nn.ReLU(), seed=3)) == "Sequential(Linear(2), ReLU(), seed=3)"
        model = nn.Sequential(nn.Linear(784, 128, bias=False), nn.LeakyReLU(0.2), nn.Dropout(0.25), nn.Linear(128, 10))
        assert repr(model) == (
            "Sequential(\n  Linear(784, 128, bias=False),\n  LeakyReLU(negative_slope=0.2),\n"
            "  Dropout(0.25),\n  Linear(128, 10),\n)"
        )

    def test_modules_of_the_user(self):
        assert repr(Block(3)) == "Block(inner=Linear(3, 3))"
        assert repr(nn.Linear(2, 3, init=nn.init.uniform(low=-1), dtype="float64", seed=1)) == (
            "Linear(2, 3, init=uniform(low=-1), dtype='float64', seed=1)"
        )


class TestCopy:
    def test_a_copy_has_parameters_of_its_own(self):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(2))
        x = gn.placeholder("x", ("batch", 3))
        array = np.ones((2, 3), "float32")
        model(x, training=True)
        twin = copy.deepcopy(model)
        np.testing.assert_array_equal(gn.evaluate(twin(x), {x: array}), gn.evaluate(model(x), {x: array}))
        assert list(twin.named_parameters()) == list(model.named_parameters())
        assert not set(twin.parameters()) & set(model.parameters())
        assert not set(twin.states()) & set(model.states())
        before = twin[0].weight.value
        model[0].weight.value = np.zeros((3, 4), "float32")
        np.testing.assert_array_equal(twin[0].weight.value, before)

    def test_what_is_shared_stays_shared_and_what_is_frozen_stays_frozen(self):
        layer = nn.Linear(3, 3).freeze()
        twin = copy.deepcopy(nn.Sequential(layer, nn.Tanh(), layer))
        assert twin[0] is twin[2] is not layer
        assert not twin[0].weight.trainable

    def test_a_copy_before_the_first_use_begins_as_the_model_does(self):
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), seed=7)
        twin = copy.deepcopy(model)
        for path, array in model.get_values().items():
            np.testing.assert_array_equal(twin.get_values()[path], array)

    def test_a_layer_is_copied_without_the_model_around_it(self):
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        model.parameters()
        twin = copy.deepcopy(model[1])
        assert twin._parent is None
        np.testing.assert_array_equal(twin.weight.value, model[1].weight.value)


def test_models_with_one_seed_begin_equal_and_with_two_seeds_not():
    one, two, three = (nn.Sequential(nn.Linear(3, 4), seed=seed) for seed in (None, 0, 1))
    np.testing.assert_array_equal(one[0].weight.value, two[0].weight.value)
    assert not np.array_equal(one[0].weight.value, three[0].weight.value)

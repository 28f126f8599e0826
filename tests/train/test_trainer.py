"""The trainer: what it computes, what it casts, what it shows, and that the same program gives the same bits."""

import os
import subprocess
import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn import data, losses, metrics, nn, optim
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError, UnknownNameError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4))
LABELS = (X[:, 0] + X[:, 1] > 0).astype("int64")
Y = X @ [[1.0], [-2.0], [0.5], [0.0]] + 0.3


def mlp(p=0.0, seed=None):
    dropout = [nn.Dropout(p)] if p else []
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), *dropout, nn.Linear(8, 2), seed=seed)


def classifier(p=0.0, **options):
    settings = {"loss": losses.cross_entropy, "optimizer": optim.Adam(0.02), "metrics": [metrics.accuracy]}
    return gn.Trainer(mlp(p), **{**settings, **options})


def regression(model=None, optimizer=None, **options):
    return gn.Trainer(model or nn.Linear(4, 1), loss=losses.mse, optimizer=optimizer or optim.SGD(0.1), **options)


def bits(trainer):
    return {path: array.tobytes() for path, array in trainer.model.get_values().items()}


class TestFit:
    def test_learns(self):
        trainer = classifier()
        history = trainer.fit(X, LABELS, epochs=30, batch_size=10, verbose=False)
        assert history["accuracy"][-1] > 0.95
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        assert history is trainer.history

    def test_full_batch_steps_are_those_of_numpy(self):
        trainer = regression(nn.Linear(4, 1, dtype="float64"))
        w, b = (trainer.model.weight.value, trainer.model.bias.value)
        trainer.fit(X, Y, epochs=20, batch_size=50, verbose=False)
        for _ in range(20):
            slope = 2 * (X @ w + b - Y) / len(X)
            w, b = w - 0.1 * X.T @ slope, b - 0.1 * slope.sum(0)
        np.testing.assert_allclose(trainer.model.weight.value, w, rtol=1e-10)
        np.testing.assert_allclose(trainer.model.bias.value, b, rtol=1e-10)

    def test_mini_batches_are_those_of_the_seed_and_the_epoch(self):
        trainer = regression(nn.Linear(4, 1, dtype="float64"), seed=3)
        w, b = (trainer.model.weight.value, trainer.model.bias.value)
        trainer.fit(X, Y, epochs=3, batch_size=16, verbose=False)
        for epoch in (1, 2, 3):
            for xb, yb in data.batches(X, Y, batch_size=16, seed=(3, epoch)):
                slope = 2 * (xb @ w + b - yb) / len(xb)
                w, b = w - 0.1 * xb.T @ slope, b - 0.1 * slope.sum(0)
        np.testing.assert_allclose(trainer.model.weight.value, w, rtol=1e-10)

    def test_the_loss_of_an_epoch_is_the_mean_over_examples(self):
        still = optim.SGD(1e-300)  # parameters do not move, so every batch sees the same model
        trainer = regression(nn.Linear(4, 1, dtype="float64"), still, metrics=[metrics.mean_absolute_error])
        history = trainer.fit(X, Y, epochs=1, batch_size=16, verbose=False)  # batches of 16, 16, 16 and 2
        whole = trainer.evaluate(X, Y)
        assert history["loss"][0] == pytest.approx(whole["loss"], rel=1e-12)
        assert history["mean_absolute_error"][0] == pytest.approx(whole["mean_absolute_error"], rel=1e-12)
        expected = np.mean((trainer.predict(X) - Y) ** 2)
        assert whole["loss"] == pytest.approx(expected, rel=1e-12)

    def test_without_shuffling(self):
        seen = []

        class Spy(nn.Module):
            def __init__(self):
                self.layer = nn.Linear(4, 1)

            def forward(self, x):
                return self.layer(x)

        trainer = regression(Spy())
        step = trainer.prepare(X, Y).train_step
        calls = lambda x, t: (seen.append(x[0, 0]), step(x, t))[1]  # noqa: E731
        trainer._steps = dict.fromkeys(trainer._steps, calls)
        trainer.fit(X, Y, epochs=2, batch_size=20, shuffle=False, verbose=False)
        np.testing.assert_array_equal(seen, np.tile(X[[0, 20, 40], 0], 2).astype("float32"))

    def test_again_is_on(self):
        once, twice = classifier(p=0.3), classifier(p=0.3)
        once.fit(X, LABELS, epochs=5, batch_size=16, verbose=False)
        twice.fit(X, LABELS, epochs=2, batch_size=16, verbose=False)
        twice.fit(X, LABELS, epochs=3, batch_size=16, verbose=False)
        assert bits(once) == bits(twice)
        assert dict(once.history) == dict(twice.history)
        assert twice.history.epochs == [1, 2, 3, 4, 5]

    def test_validation_data_and_split(self):
        trainer = classifier()
        history = trainer.fit(X[:40], LABELS[:40], epochs=3, validation_data=(X[40:], LABELS[40:]), verbose=False)
        assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
        assert history["val_loss"][-1] == pytest.approx(trainer.evaluate(X[40:], LABELS[40:])["loss"], rel=1e-12)
        other = classifier()
        other.fit(X, LABELS, epochs=3, validation_split=0.2, verbose=False)
        kept = data.train_test_split(X.astype("float32"), LABELS, test=0.2, seed=0)
        assert other.history["val_loss"][-1] == pytest.approx(other.evaluate(kept[1], kept[3])["loss"], rel=1e-12)

    def test_dropout_is_on_in_training(self):
        trainer = classifier(p=0.9)
        trainer.fit(X, LABELS, epochs=3, batch_size=25, verbose=False)
        (stream,) = trainer.model.states()
        assert stream.value[1] == 6  # one draw a step
        assert trainer.history["loss"][-1] != classifier().fit(X, LABELS, 3, 25, verbose=False)["loss"][-1]

    def test_dropout_is_off_in_use(self):
        trainer = classifier(p=0.5)
        trainer.fit(X, LABELS, epochs=1, verbose=False)
        before = bits(trainer)
        np.testing.assert_array_equal(trainer.predict(X), trainer.predict(X))
        assert trainer.evaluate(X, LABELS) == trainer.evaluate(X, LABELS)
        assert bits(trainer) == before

    def test_freezing_between_two_fits(self):
        trainer = classifier()
        trainer.fit(X, LABELS, epochs=1, verbose=False)
        trainer.model[0].freeze()
        frozen, free = trainer.model[0].weight.value, trainer.model[2].weight.value
        trainer.fit(X, LABELS, epochs=1, verbose=False)
        np.testing.assert_array_equal(trainer.model[0].weight.value, frozen)
        assert not np.array_equal(trainer.model[2].weight.value, free)
        trainer.model.freeze()
        assert trainer.evaluate(X, LABELS)["accuracy"] > 0
        with pytest.raises(GraphError, match="all are frozen"):
            trainer.fit(X, LABELS, verbose=False)

    def test_a_penalty_in_the_loss(self):
        model = nn.Linear(4, 1)
        trainer = gn.Trainer(
            model, loss=lambda y, t: losses.mse(y, t) + losses.l2_penalty(model, 10.0), optimizer=optim.SGD(0.05)
        )
        trainer.fit(X, Y, epochs=20, verbose=False)
        assert np.abs(model.weight.value).max() < 0.3

    def test_the_step_is_a_function_to_look_into(self):
        trainer = classifier()
        with pytest.raises(GraphError, match="the training step does not exist yet"):
            _ = trainer.train_step
        step = trainer.prepare(X, LABELS).train_step
        assert [node.name for node in step.graph.inputs] == ["x", "t"]
        assert set(trainer.model.parameters()) < set(step.updates)
        assert {"loss", "accuracy"} == set(step(X.astype("float32"), LABELS))
        assert trainer.history.epochs == []

    def test_a_model_that_takes_its_sizes_from_the_data(self):
        model = nn.Sequential(nn.Flatten(), nn.Linear(5), nn.ReLU(), nn.Linear(3))
        trainer = gn.Trainer(model, loss=losses.cross_entropy, optimizer=optim.SGD(0.1))
        trainer.fit(RNG.normal(size=(6, 2, 4)), [0, 1, 2, 0, 1, 2], verbose=False)
        assert model[1].weight.shape == (8, 5)

    def test_predict_in_parts(self):
        trainer = classifier()
        whole = trainer.predict(X)
        np.testing.assert_allclose(trainer.predict(X, batch_size=7), whole, rtol=1e-6)
        assert whole.shape == (50, 2)
        assert whole.dtype == np.float32


class TestData:
    def test_lists_and_whole_numbers(self):
        trainer = gn.Trainer(
            nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)),
            loss=losses.cross_entropy,
            optimizer=optim.Adam(0.1),
            metrics=[metrics.accuracy],
        )
        history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=100, batch_size=4, verbose=False)
        assert history["accuracy"][-1] == 1
        assert trainer.predict([[True, False]]).argmax() == 1

    def test_a_model_that_takes_whole_numbers_gets_them(self):
        class Table(nn.Module):
            def __init__(self):
                self.rows = nn.Parameter(nn.init.normal, (10, 3))

            def forward(self, x):
                return gn.take(self.rows, x, axis=0)

        trainer = gn.Trainer(Table(), loss=losses.cross_entropy, optimizer=optim.SGD(5.0))
        history = trainer.fit(np.arange(10, dtype="int32"), np.arange(10) % 3, epochs=30, verbose=False)
        assert history["loss"][-1] < 0.5

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "bfloat16"])
    def test_floating_point_types(self, dtype):
        x = X.astype(gn.bfloat16.numpy if dtype == "bfloat16" else dtype)
        assert np.isfinite(regression().fit(x, Y, verbose=False)["loss"][0])

    def test_layout_changes_no_bit(self):
        plain, strided = classifier(), classifier()
        plain.fit(X, LABELS, epochs=2, verbose=False)
        wide = np.zeros((100, 8))
        wide[::2, ::-2] = X
        strided.fit(wide[::2, ::-2], LABELS.astype(">i2"), epochs=2, verbose=False)
        assert bits(plain) == bits(strided)

    def test_inputs_are_not_changed(self):
        x, y = X.copy(), LABELS.copy()
        x.flags.writeable = y.flags.writeable = False
        classifier().fit(x, y, verbose=False)
        np.testing.assert_array_equal(x, X)

    @pytest.mark.parametrize(
        "x, y, error, message",
        [
            ([], [], DataError, "x, the inputs, is empty"),
            (X, [], DataError, "y, the targets, is empty"),
            (X, LABELS[:-1], DataError, "50 inputs but 49 targets"),
            ([[1.0, 2.0], [3.0]], [0, 1], DataError, "x, the inputs, is made of rows of different lengths"),
            (3.0, 1, DataError, "x, the inputs, is a single number"),
            (["a", "b"], [0, 1], DTypeError, "x, the inputs, must be an array of numbers"),
            ((row for row in X), LABELS, DTypeError, "must be an array of numbers, not generator"),
            (X + 0j, LABELS, DTypeError, "must be an array of numbers, not complex128"),
            (gn.placeholder("x", (3,)), LABELS, DTypeError, "must be an array, not the node x"),
            (X[:, :3], LABELS, ShapeError, "Linear(4, 8) takes inputs whose last size is 4, not [batch, 3]"),
            (X, LABELS[:, None], ShapeError, "class numbers [batch, 1] do not fit logits [batch, 2]"),
            (X, LABELS.astype(float), DTypeError, "class numbers are integers, not float32"),
        ],
    )
    def test_mistakes(self, x, y, error, message):
        trainer = classifier()
        with pytest.raises(error) as caught:
            trainer.fit(x, y, verbose=False)
        assert message in str(caught.value)
        assert trainer.history.epochs == []

    def test_targets_of_another_shape(self):
        with pytest.raises(ShapeError) as caught:
            regression().fit(X, Y[:, 0], verbose=False)
        assert "outputs [batch, 1] and targets [batch] differ in shape" in str(caught.value)


class TestMistakes:
    @pytest.mark.parametrize(
        "options, message",
        [
            ({"epochs": 0}, "epochs is a whole number from 1, not 0"),
            ({"epochs": 2.5}, "epochs is a whole number from 1, not 2.5"),
            ({"batch_size": 0}, "batch_size must be a whole number above 0"),
            ({"validation_data": (X,)}, "validation_data is a pair (x, y)"),
            ({"validation_data": (X, LABELS), "validation_split": 0.2}, "not both"),
            ({"validation_split": 1.5}, "cannot keep test=1.5"),
            ({"verbose": "loud"}, "verbose is True or 'auto', 'lines' or False, not 'loud'"),
        ],
    )
    def test_fit(self, options, message):
        with pytest.raises((GraphError, DataError)) as caught:
            classifier().fit(X, LABELS, **{"verbose": False, **options})
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"optimizer": "adam"}, "optimizer is an optimiser, not 'adam'"),
            ({"loss": "mse"}, "loss is a function of outputs and targets, not 'mse'"),
            ({"metrics": ["accuracy"]}, "a metric is a function of outputs and targets, not 'accuracy'"),
            ({"metrics": [lambda y, t: gn.mean(y)]}, "a metric needs a name of its own"),
            ({"metrics": [metrics.accuracy] * 2}, "a metric needs a name of its own, not 'accuracy'"),
            ({"seed": -1}, "a seed is a whole number from 0"),
            ({"learning_rate": 0.1}, "It belongs to the optimizer"),
            ({"criterion": losses.mse}, "It is called loss."),
        ],
    )
    def test_settings(self, options, message):
        with pytest.raises((GraphError, UnknownNameError)) as caught:
            classifier(**options)
        assert message in str(caught.value)

    def test_the_model_is_a_module(self):
        with pytest.raises(GraphError, match="the model is a module"):
            gn.Trainer(lambda x: x, loss=losses.mse, optimizer=optim.SGD(0.1))

    def test_a_loss_for_each_example(self):
        trainer = classifier(loss=lambda y, t: losses.cross_entropy(y, t, reduction="none"))
        with pytest.raises(GraphError, match=r"loss is not a scalar but float32\[batch\]"):
            trainer.fit(X, LABELS, verbose=False)

    @pytest.mark.parametrize(
        "name, hint",
        [
            ("compile", "arguments of gn.Trainer"),
            ("train", "trainer.fit(x, y, epochs=5)"),
            ("score", "trainer.evaluate(x, y)"),
            ("predict_proba", "gn.softmax(model(x))"),
            ("evalute", "Did you mean 'evaluate'?"),
        ],
    )
    def test_names_from_elsewhere(self, name, hint):
        with pytest.raises(UnknownNameError) as caught:
            getattr(classifier(), name)
        assert hint in str(caught.value)

    def test_arguments_of_fit_from_elsewhere(self):
        with pytest.raises(UnknownNameError, match="fit takes no argument 'callbacks'"):
            classifier().fit(X, LABELS, callbacks=[])

    def test_metrics_by_name(self):
        trainer = classifier(metrics={"share": lambda y, t: metrics.accuracy(y, t)})
        assert list(trainer.evaluate(X, LABELS)) == ["loss", "share"]


class TestInterrupt:
    def test_history_and_model_stay_usable(self, monkeypatch, capsys):
        trainer = classifier()
        monkeypatch.setattr("builtins.print", _interrupting_print(after=2))
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, LABELS, epochs=10, verbose="lines")
        monkeypatch.undo()
        assert trainer.history.epochs == [1, 2]
        trainer.fit(X, LABELS, epochs=1, verbose=False)
        other = classifier()
        other.fit(X, LABELS, epochs=3, verbose=False)
        assert bits(trainer) == bits(other)


def _interrupting_print(after):
    calls = []

    def show(*args, **kwargs):
        calls.append(args)
        if len(calls) == after:
            raise KeyboardInterrupt

    return show


class TestReproducible:
    def test_in_one_process(self):
        runs = [classifier(p=0.2, seed=seed) for seed in (4, 4, 5)]
        for trainer in runs:
            trainer.fit(X, LABELS, epochs=3, batch_size=16, verbose=False)
        assert bits(runs[0]) == bits(runs[1])
        assert bits(runs[0]) != bits(runs[2])

    def test_a_lone_layer_takes_the_seed_of_its_trainer(self):
        first, second = regression(), regression()
        assert bits(first) == bits(second)

    def test_the_model_keeps_a_seed_of_its_own(self):
        trainers = [
            gn.Trainer(mlp(seed=9), loss=losses.cross_entropy, optimizer=optim.Adam(), seed=seed) for seed in (1, 2)
        ]
        assert bits(trainers[0]) == bits(trainers[1])

    def test_in_fresh_processes(self):
        program = (
            "import hashlib, numpy as np, graphnn as gn\n"
            "from graphnn import losses, metrics, nn, optim\n"
            "rng = np.random.default_rng(0)\n"
            "x, y = rng.normal(size=(70, 6)), rng.integers(0, 3, 70)\n"
            "model = nn.Sequential(nn.Linear(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(3))\n"
            "rate = optim.exponential_decay(0.01, 1e-2)\n"
            "trainer = gn.Trainer(model, loss=losses.cross_entropy, optimizer=optim.Adam(rate), seed=5)\n"
            "trainer.fit(x, y, epochs=3, batch_size=16, verbose=False)\n"
            "arrays = {**model.get_values(), **{n: s.value for n, s in trainer.optimizer.named_states().items()}}\n"
            "print(hashlib.sha256(b''.join(k.encode() + a.tobytes() for k, a in arrays.items())).hexdigest())\n"
            "print([loss.hex() for loss in trainer.history['loss']])\n"
        )
        outputs = set()
        for hash_seed in ("1", "77"):
            done = subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                check=True,
            )
            outputs.add(done.stdout)
        assert len(outputs) == 1

    @pytest.mark.parametrize("stop", [1, 2, 3])
    @pytest.mark.parametrize(
        "optimizer",
        [
            lambda: optim.SGD(0.1),
            lambda: optim.SGD(optim.exponential_decay(0.1, 0.01), momentum=0.9, nesterov=True),
            lambda: optim.Adam(0.02, weight_decay=1e-3),
        ],
        ids=["sgd", "nesterov", "adam"],
    )
    def test_values_and_states_are_all_there_is(self, optimizer, stop):
        """A new trainer that is given the values, the states and the number of the epoch goes on to the bit."""
        whole = classifier(p=0.3, optimizer=optimizer())
        whole.fit(X, LABELS, epochs=4, batch_size=16, verbose=False)
        first = classifier(p=0.3, optimizer=optimizer())
        first.fit(X, LABELS, epochs=stop, batch_size=16, verbose=False)
        second = classifier(p=0.3, optimizer=optimizer())
        second.prepare(X, LABELS)
        second.model.set_values(first.model.get_values())
        for name, state in second.optimizer.named_states().items():
            state.value = first.optimizer.named_states()[name].value
        second.history = first.history
        second.fit(X, LABELS, epochs=4 - stop, batch_size=16, verbose=False)
        assert bits(second) == bits(whole)


class TestShow:
    def test_a_line_for_each_epoch(self, capsys):
        classifier().fit(X, LABELS, epochs=3)
        out = capsys.readouterr().out.splitlines()
        assert [text.split("  ")[0] for text in out] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
        assert all("loss" in text and "accuracy" in text and text.endswith(" s") for text in out)

    def test_nothing(self, capsys):
        classifier().fit(X, LABELS, epochs=2, verbose=False)
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""

    def test_epochs_count_on(self, capsys):
        trainer = classifier()
        trainer.fit(X, LABELS, epochs=1, verbose=False)
        trainer.fit(X, LABELS, epochs=2, verbose="lines")
        assert [text.split("  ")[0] for text in capsys.readouterr().out.splitlines()] == ["epoch 2/3", "epoch 3/3"]

    def test_a_bar_on_a_terminal(self, monkeypatch, capsys):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        classifier().fit(X, LABELS, epochs=2)
        out = capsys.readouterr().out
        assert "epoch 1/2  loss" in out
        assert "epoch 2/2  loss" in out

    def test_the_bar_is_closed_when_interrupted(self, monkeypatch, capsys):
        from graphnn.train import progress

        stopped = []
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(progress.Bar, "end", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        leave = progress.Bar.__exit__
        monkeypatch.setattr(progress.Bar, "__exit__", lambda *args: (stopped.append(True), leave(*args))[1])
        with pytest.raises(KeyboardInterrupt):
            classifier().fit(X, LABELS, epochs=2)
        assert stopped == [True]


class TestNaN:
    def test_debug_names_the_node(self):
        class Log(nn.Module):
            def __init__(self):
                self.layer = nn.Linear(4, 2)

            def forward(self, x):
                return gn.log(self.layer(x))

        trainer = gn.Trainer(Log(), loss=losses.cross_entropy, optimizer=optim.SGD(0.1), debug="nan")
        with pytest.raises(gn.ExecutionError, match="log"):
            trainer.fit(X, LABELS, verbose=False)


class TestHistory:
    def test_best(self):
        history = gn.History()
        for loss, accuracy in ((3.0, 0.1), (1.0, float("nan")), (2.0, 0.4), (1.0, 0.4)):
            history.add({"loss": loss, "val_accuracy": accuracy})
        assert history.best() == 1.0
        assert history.best_epoch() == 2
        assert history.best("val_accuracy") == 0.4
        assert history.best_epoch("val_accuracy") == 3
        assert history.best("loss", mode="max") == 3.0
        with pytest.raises(GraphError, match="mode is"):
            history.best("loss", mode="lowest")

    def test_epochs_without_validation_stand_as_nan(self):
        history = gn.History()
        history.add({"loss": 1.0})
        history.add({"loss": 0.5, "val_loss": 0.7})
        history.add({"loss": 0.4})
        np.testing.assert_array_equal(history["val_loss"], [np.nan, 0.7, np.nan])
        assert {len(column) for column in history.values()} == {3}

    def test_unknown_names(self):
        history = gn.History()
        history.add({"loss": 1.0, "val_loss": 2.0})
        with pytest.raises(KeyError) as caught:
            history["validation_loss"]
        assert str(caught.value).startswith("the history has no 'validation_loss'")
        assert "It has 'loss', 'val_loss'." in str(caught.value)
        assert history.get("accuracy") is None
        assert "accuracy" not in history
        with pytest.raises(UnknownNameError, match=r"history\['loss'\]"):
            _ = history.history

    def test_repr(self):
        history = gn.History()
        history.add({"loss": 0.123456})
        assert repr(history) == "History(1 epochs; last: loss 0.1235)"


@pytest.mark.parametrize("seed", [0, 1])
def test_digits(seed):
    images, labels = data.digits()
    x = images.reshape(len(images), 64) / 16
    x_train, x_test, y_train, y_test = data.train_test_split(x, labels, test=360, seed=0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
    trainer = gn.Trainer(
        model, loss=losses.cross_entropy, optimizer=optim.Adam(3e-3), metrics=[metrics.accuracy], seed=seed
    )
    trainer.fit(x_train, y_train, epochs=20, validation_data=(x_test, y_test), verbose=False)
    assert trainer.evaluate(x_test, y_test)["accuracy"] >= 0.96
    assert (trainer.predict(x_test).argmax(1) == y_test).mean() >= 0.96


class TestWhatBelongsToTheModel:
    class Inside(nn.Module):
        def forward(self, x):
            return nn.Linear(1)(x)

    class Hidden(nn.Module):
        def __init__(self):
            self._layer = nn.Linear(4, 1)

        def forward(self, x):
            return self._layer(x)

    class InASet(nn.Module):
        def __init__(self):
            self.layers = {nn.Linear(4, 1)}

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    class OnlyInTraining(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(4, 1)

        def forward(self, x):
            return nn.Linear(1, 1, seed=0)(self.layer(x)) if nn.is_training() else self.layer(x)

    @pytest.mark.parametrize("kind", [Inside, Hidden, InASet, OnlyInTraining])
    def test_layers_that_are_not_found_are_refused(self, kind):
        with pytest.raises(GraphError) as caught:
            regression(kind()).fit(X, Y, verbose=False)
        assert f"the parameter 'weight' is used but is not part of the model {kind.__name__}" in str(caught.value)
        assert "assign them to attributes" in str(caught.value)

    def test_in_prediction_too(self):
        with pytest.raises(GraphError, match="is not part of the model Inside"):
            regression(self.Inside()).predict(X)

    def test_a_random_stream_that_is_not_found(self):
        class Noisy(nn.Module):
            def __init__(self):
                self.layer = nn.Linear(4, 1)

            def forward(self, x):
                return nn.Dropout(0.5)(self.layer(x))

        with pytest.raises(GraphError, match="the state 'stream' is used but is not part of the model Noisy"):
            regression(Noisy()).fit(X, Y, verbose=False)

    def test_a_layer_made_in_the_loss(self):
        def loss(outputs, targets):
            return losses.mse(nn.Linear(1, 1, seed=0)(outputs), targets)

        trainer = gn.Trainer(nn.Linear(4, 1), loss=loss, optimizer=optim.SGD(0.1))
        with pytest.raises(GraphError, match="the parameter 'weight' is used but is not part of the model Linear"):
            trainer.fit(X, Y, verbose=False)

    def test_a_parameter_of_the_loss_may_be_kept_by_the_model_or_be_frozen(self):
        model = nn.Linear(4, 1)
        model.factor = gn.parameter("factor", 1.0)
        fixed = gn.parameter("fixed", 2.0)
        fixed.trainable = False

        def loss(outputs, targets):
            return losses.mse(outputs * model.factor, targets * fixed)

        gn.Trainer(model, loss=loss, optimizer=optim.SGD(0.1)).fit(X, Y, verbose=False)
        assert model.factor.value != 1
        assert fixed.value == 2


class TestChangesAfterTheFirstFit:
    class Net(nn.Module):
        def __init__(self):
            self.hidden, self.act, self.out = nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)

        def forward(self, x):
            return self.out(self.act(self.hidden(x)))

    def fitted(self):
        trainer = regression(self.Net())
        trainer.fit(X, Y, verbose=False)
        return trainer

    def expected(self, model):
        x = gn.placeholder("x", ("batch", 4))
        return gn.evaluate(model(x), {x: X.astype("float32")})

    @pytest.mark.parametrize(
        "change",
        [
            lambda model: setattr(model, "out", nn.Linear(8, 1, seed=5)),
            lambda model: setattr(model, "act", nn.ReLU()),
            lambda model: setattr(model.out, "bias", gn.parameter("bias", [3.0])),
        ],
        ids=["layer", "activation", "parameter"],
    )
    def test_a_part_of_the_model_is_replaced(self, change):
        trainer = self.fitted()
        trainer.evaluate(X, Y)
        change(trainer.model)
        np.testing.assert_allclose(trainer.predict(X), self.expected(trainer.model), rtol=1e-5, atol=1e-6)
        loss = np.mean((self.expected(trainer.model) - Y) ** 2)
        assert trainer.evaluate(X, Y)["loss"] == pytest.approx(loss, rel=1e-5)
        before = trainer.model.out.bias.value
        trainer.fit(X, Y, verbose=False)
        assert trainer.model.out.bias.value != before

    def test_the_optimiser_is_replaced_and_its_settings_are_fixed(self):
        trainer = self.fitted()
        with pytest.raises(GraphError, match="lr cannot be changed any more"):
            trainer.optimizer.lr = 0.01
        trainer.optimizer = optim.SGD(1e-30)
        before = bits(trainer)
        trainer.fit(X, Y, verbose=False)
        assert bits(trainer) == before

    def test_nothing_is_built_again_where_nothing_changed(self):
        trainer = self.fitted()
        step = trainer.train_step
        trainer.predict(X)
        trainer.evaluate(X, Y)
        trainer.fit(X, Y, verbose=False)
        assert trainer.train_step is step


class TestArguments:
    def test_by_their_place(self):
        with pytest.raises(GraphError, match=r"takes only the model by its place") as caught:
            gn.Trainer(nn.Linear(4, 1), losses.mse, optim.Adam())
        assert "gn.Trainer(model, loss=..., optimizer=" in str(caught.value)

    def test_left_out(self):
        with pytest.raises(GraphError, match="optimizer is an optimiser, not None"):
            gn.Trainer(nn.Linear(4, 1), loss=losses.mse)
        with pytest.raises(GraphError, match="loss is a function of outputs and targets, not None"):
            gn.Trainer(nn.Linear(4, 1), optimizer=optim.Adam())

    @pytest.mark.parametrize("several", [(X, X), [X, X, X], {"a": X, "b": X}])
    def test_several_inputs(self, several):
        trainer = regression()
        for use in (trainer.fit, trainer.evaluate):
            with pytest.raises(DataError, match="a trainer takes models with one input"):
                use(several, Y)

    def test_examples_in_a_tuple_are_one_input(self):
        rows, targets = zip(*zip(X, Y, strict=True), strict=True)
        regression().fit(rows, targets, verbose=False)

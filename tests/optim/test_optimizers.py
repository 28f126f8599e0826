"""Optimisers against loops written by hand in NumPy, their states, and what they refuse."""

import inspect
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn import losses, nn, optim
from graphnn.errors import DifferentiationError, GraphError, UnknownNameError

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(30, 4)), RNG.normal(size=30)
W0, C0 = RNG.normal(size=4), np.float64(0.3)
STEPS = 50


def problem(dtype="float64"):
    """A smooth loss that is not quadratic, of a vector and a scalar."""
    w, c = gn.parameter("w", W0, dtype=dtype), gn.parameter("c", C0, dtype=dtype)
    residual = gn.constant(A, dtype) @ w + c - gn.constant(B, dtype)
    return gn.mean(gn.square(gn.tanh(residual))), [w, c]


def gradients(w, c):
    residual = A @ w + c - B
    slope = 2 * np.tanh(residual) * (1 - np.tanh(residual) ** 2) / len(B)
    return [A.T @ slope, slope.sum()]


def trained(optimizer, steps=STEPS):
    loss, params = problem()
    step = gn.function([], loss, updates=optimizer.updates(loss))
    for _ in range(steps):
        step()
    return [p.value for p in params]


def sgd(rate, momentum=0.0, nesterov=False, decay=0.0):
    values = [W0.copy(), C0.copy()]
    velocity = [0.0, 0.0]
    for i in range(STEPS):
        for k, g in enumerate(gradients(*values)):
            g = g + decay * values[k]
            velocity[k] = momentum * velocity[k] - rate(i) * g
            step = momentum * velocity[k] - rate(i) * g if nesterov else velocity[k]
            if k == 0:
                first = values[0] + step
            else:
                values = [first, values[1] + step]
    return values


def adam(rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    values, m, v = [W0.copy(), C0.copy()], [0.0, 0.0], [0.0, 0.0]
    for i in range(STEPS):
        new = []
        for k, g in enumerate(gradients(*values)):
            g = g + decay * values[k]
            m[k] = beta1 * m[k] + (1 - beta1) * g
            v[k] = beta2 * v[k] + (1 - beta2) * g**2
            m_hat, v_hat = m[k] / (1 - beta1 ** (i + 1)), v[k] / (1 - beta2 ** (i + 1))
            new.append(values[k] - rate(i) * m_hat / (np.sqrt(v_hat) + eps))
        values = new
    return values


def decay_of(lr, rate):
    return lambda i: lr * math.exp(-rate * i)


@pytest.mark.parametrize(
    "optimizer, reference",
    [
        (optim.SGD(0.5), sgd(lambda i: 0.5)),
        (optim.SGD(0.5, weight_decay=0.1), sgd(lambda i: 0.5, decay=0.1)),
        (optim.SGD(0.2, momentum=0.9), sgd(lambda i: 0.2, 0.9)),
        (optim.SGD(0.2, momentum=0.9, nesterov=True), sgd(lambda i: 0.2, 0.9, True)),
        (optim.SGD(0.2, momentum=0.8, nesterov=True, weight_decay=0.05), sgd(lambda i: 0.2, 0.8, True, 0.05)),
        (optim.SGD(optim.constant(0.5)), sgd(lambda i: 0.5)),
        (optim.SGD(optim.exponential_decay(0.5, 0.05)), sgd(decay_of(0.5, 0.05))),
        (optim.SGD(optim.exponential_decay(0.5, 0.05), momentum=0.9), sgd(decay_of(0.5, 0.05), 0.9)),
        (optim.SGD(lambda i: 0.5 / (1 + i)), sgd(lambda i: 0.5 / (1 + i))),
        (optim.Adam(), adam(lambda i: 1e-3)),
        (optim.Adam(0.05), adam(lambda i: 0.05)),
        (optim.Adam(0.05, betas=(0.8, 0.95), eps=1e-4), adam(lambda i: 0.05, 0.8, 0.95, 1e-4)),
        (optim.Adam(0.05, betas=(0.0, 0.9)), adam(lambda i: 0.05, 0.0, 0.9)),
        (optim.Adam(0.05, weight_decay=0.2), adam(lambda i: 0.05, decay=0.2)),
        (optim.Adam(optim.exponential_decay(0.1, 0.02)), adam(decay_of(0.1, 0.02))),
    ],
)
def test_fifty_steps_as_by_hand(optimizer, reference):
    for got, expected in zip(trained(optimizer), reference, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert np.abs(reference[0] - W0).max() > 0.01  # they went somewhere


class TestRelations:
    def test_weight_decay_is_the_penalty_of_its_strength(self):
        loss, params = problem()
        step = gn.function([], loss, updates=optim.SGD(0.3).updates(loss + losses.l2_penalty(params, 0.1)))
        for _ in range(STEPS):
            step()
        for got, expected in zip([p.value for p in params], trained(optim.SGD(0.3, weight_decay=0.1)), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12)

    def test_the_first_step_of_adam_is_the_learning_rate(self):
        before = [W0, C0]
        for got, start, g in zip(trained(optim.Adam(0.01), 1), before, gradients(*before), strict=True):
            np.testing.assert_allclose(got, start - 0.01 * np.sign(g), rtol=1e-5)

    @given(st.floats(1e-3, 0.5), st.floats(0, 0.5), st.integers(0, 1000))
    def test_decay_formula(self, lr, rate, step):
        schedule = optim.exponential_decay(lr, rate)
        got = gn.evaluate(schedule(gn.constant(float(step), "float64")))
        assert got == pytest.approx(lr * math.exp(-rate * step), rel=1e-12)

    def test_corrections_keep_their_digits_in_single_precision(self):
        w = gn.parameter("w", 1.0)
        step = gn.function([], w, updates=optim.Adam(1.0, betas=(0.9, 0.9999), eps=0).updates(w * 1e-3))
        step()  # m_hat / sqrt(v_hat) is 1 but for rounding, however small 1 - beta2 is
        assert float(w.value) == pytest.approx(0.0, abs=1e-6)


class TestStates:
    def test_names(self):
        model = nn.Sequential(nn.Linear(3, 2))
        loss = gn.mean(model(gn.placeholder("x", ("batch", 3))))
        adam, momentum = optim.Adam(), optim.SGD(0.1, momentum=0.9)
        adam.updates(loss)
        momentum.updates(loss)
        assert set(adam.named_states()) == {
            "adam/step", "adam/m/0.weight", "adam/v/0.weight", "adam/m/0.bias", "adam/v/0.bias",
        }  # fmt: skip
        assert set(momentum.named_states()) == {"sgd/v/0.weight", "sgd/v/0.bias"}

    def test_plain_descent_keeps_nothing(self):
        loss, params = problem()
        optimizer = optim.SGD(0.1)
        assert set(optimizer.updates(loss)) == set(params)
        assert optimizer.named_states() == {}

    @pytest.mark.parametrize(
        "make", [lambda: optim.Adam(0.05), lambda: optim.SGD(0.1, momentum=0.9)], ids=["adam", "sgd"]
    )
    def test_a_second_function_goes_on_where_the_first_stopped(self, make):
        optimizer = make()
        loss, params = problem()
        for _ in range(5):
            step = gn.function([], loss, updates=optimizer.updates(loss))
            for _ in range(10):
                step()
        for got, expected in zip([p.value for p in params], trained(make()), strict=True):
            np.testing.assert_array_equal(got, expected)

    def test_states_have_the_type_of_their_parameter(self):
        loss, (w, c) = problem("float32")
        updates = optim.Adam(optim.exponential_decay(0.1, 0.1)).updates(loss, [w, c])
        assert {str(v.dtype) for v in updates} == {"float32", "int64"}

    def test_half_types_with_a_schedule(self):
        w = gn.parameter("w", 1.0, dtype="float16")
        optimizer = optim.SGD(optim.exponential_decay(0.25, 1e-5))
        step = gn.function([], w, updates=optimizer.updates(w * w))
        step()
        assert float(w.value) == 0.5
        optimizer.named_states()["sgd/step"].value = 70_000  # more than float16 can hold
        step()
        assert float(w.value) == pytest.approx(0.5 - 0.25 * math.exp(-0.7), abs=1e-3)

    def test_adam_counts_its_steps_even_where_it_is_given_two_types(self):
        w, v = gn.parameter("w", 1.0), gn.parameter("v", 1.0, dtype="float64")
        loss = w * w + (v * v).astype("float32")
        adam = optim.Adam(0.1)
        step = gn.function([], loss, updates=adam.updates(loss))
        step()
        step()
        assert int(adam.named_states()["adam/step"].value) == 2
        assert float(w.value) == pytest.approx(float(v.value), rel=1e-6)


class TestTwoModels:
    def test_the_states_have_names_of_their_own(self):
        adam = optim.Adam(0.1)
        models = [nn.Sequential(nn.Linear(2, 1), seed=seed) for seed in (0, 1)]
        for model in models:
            adam.updates(gn.mean(model(gn.placeholder("x", ("batch", 2)))))
        slots = [f"adam/{slot}/0.{w}{n}" for n in ("", "#2") for w in ("weight", "bias") for slot in ("m", "v")]
        assert set(adam.named_states()) == {"adam/step", "adam/step#2", *slots}

    def test_each_counts_its_own_steps(self):
        adam = optim.Adam(0.05)
        problems = [problem(), problem()]
        steps = [gn.function([], loss, updates=adam.updates(loss)) for loss, _ in problems]
        for _ in range(STEPS):
            steps[0]()
        for _ in range(STEPS):
            steps[1]()
        for _, params in problems:
            for got, expected in zip([p.value for p in params], trained(optim.Adam(0.05)), strict=True):
                np.testing.assert_array_equal(got, expected)

    def test_a_parameter_that_is_thawed_begins_with_a_full_step(self):
        loss, (_, c) = problem()
        adam = optim.Adam(0.01)
        c.trainable = False
        first = gn.function([], loss, updates=adam.updates(loss))
        for _ in range(20):
            first()
        c.trainable = True
        before = c.value
        gn.function([], loss, updates=adam.updates(loss))()
        assert abs(float(c.value - before)) == pytest.approx(0.01, rel=1e-5)
        assert [int(s.value) for n, s in adam.named_states().items() if "step" in n] == [21, 1]

    def test_a_schedule_follows_the_oldest_count(self):
        w, v = gn.parameter("w", 1.0), gn.parameter("v", 1.0)
        sgd = optim.SGD(lambda step: 0.5 / (1 + step))
        gn.function([], w, updates=sgd.updates(w * 1.0))()
        gn.function([], w, updates=sgd.updates(w + v))()
        assert float(w.value) == pytest.approx(1 - 0.5 - 0.25)
        assert float(v.value) == pytest.approx(1 - 0.25)


class TestSettings:
    @pytest.mark.parametrize("name", ["lr", "weight_decay", "momentum", "nesterov"])
    def test_they_are_fixed_after_the_first_use(self, name):
        loss, _ = problem()
        optimizer = optim.SGD(0.5)
        optimizer.lr = 0.1
        optimizer.updates(loss)
        with pytest.raises(GraphError, match=f"SGD.{name} cannot be changed any more") as caught:
            setattr(optimizer, name, 0.2)
        assert "Make a new optimizer" in str(caught.value)
        assert optimizer.lr == 0.1

    def test_the_advice_for_a_rate_that_changes(self):
        rate, w = gn.state("rate", 0.5), gn.parameter("w", 1.0)
        step = gn.function([], w, updates=optim.SGD(lambda step: rate).updates(w * 1.0))
        step()
        rate.value = 0.25
        step()
        assert float(w.value) == 0.25

    def test_a_name_from_elsewhere(self):
        with pytest.raises(UnknownNameError, match="It is called lr"):
            optim.SGD(0.1).learning_rate = 0.2

    def test_a_node_is_no_rate(self):
        with pytest.raises(GraphError, match="not the node 'rate'"):
            optim.SGD(gn.state("rate", 0.1))

    @pytest.mark.parametrize("make", [optim.SGD, optim.Adam])
    def test_parameters_are_not_given_here(self, make):
        model = nn.Linear(2, 1)
        for params in (model.parameters(), model, model.named_parameters(), iter(model.parameters())):
            for call in (lambda p: make(p, lr=0.1), lambda p: make(p, 0.1), lambda p: make(p)):
                with pytest.raises(GraphError, match=f"optim.{make.__name__} takes no parameters"):
                    call(params)

    def test_the_signature_is_that_of_the_class(self):
        assert list(inspect.signature(optim.SGD).parameters)[:2] == ["lr", "momentum"]


class TestGraphs:
    def test_nodes_serve_their_parameter_in_the_update_pass(self):
        loss, (w, c) = problem()
        updates = optim.Adam(0.1).updates(loss)
        for variable in (w, c):
            node = updates[variable]
            assert node.origin.role == "update"
            assert node.origin.node is variable
            assert node.scope[-1] == "adam"

    def test_frozen_parameters_are_left_out(self):
        loss, (w, c) = problem()
        w.trainable = False
        assert set(optim.SGD(0.1).updates(loss)) == {c}
        assert set(optim.SGD(0.1).updates(loss, [w, c])) == {c}
        c.trainable = False
        with pytest.raises(GraphError) as caught:
            optim.SGD(0.1).updates(loss)
        assert "the loss has no parameters to train, all are frozen: 'w', 'c'" in str(caught.value)
        assert "model.unfreeze()" in str(caught.value)

    def test_params_in_any_form(self):
        model = nn.Linear(3, 1, seed=0)
        loss = gn.mean(model(gn.placeholder("x", ("batch", 3))))
        everything = set(model.parameters())
        for params in (None, model, model.parameters(), model.named_parameters(), tuple(model.parameters())):
            assert set(optim.SGD(0.1).updates(loss, params)) == everything
        assert set(optim.SGD(0.1).updates(loss, model.bias)) == {model.bias}
        assert set(optim.SGD(0.1).updates(loss, [model.bias, model.bias])) == {model.bias}

    def test_groups_by_two_optimisers(self):
        loss, (w, c) = problem()
        updates = {**optim.SGD(0.5).updates(loss, w), **optim.Adam(0.1).updates(loss, c)}
        step = gn.function([], loss, updates=updates)
        assert float(step()) > float(step())


class TestMistakes:
    @pytest.mark.parametrize(
        "make, message",
        [
            (lambda: optim.SGD("fast"), "sgd: lr is a number above 0, or a schedule, not 'fast'"),
            (lambda: optim.SGD(0), "lr is a number above 0"),
            (lambda: optim.SGD(float("nan")), "lr is a number above 0"),
            (lambda: optim.SGD(0.1, momentum=1.0), "momentum is a number from 0 to below 1, not 1.0"),
            (lambda: optim.SGD(0.1, nesterov=True), "nesterov needs momentum"),
            (lambda: optim.SGD(0.1, weight_decay=-1), "weight_decay is a number from 0, not -1"),
            (lambda: optim.Adam(betas=0.9), "betas is a pair of numbers from 0 to below 1"),
            (lambda: optim.Adam(betas=(0.9, 1.0)), "betas is a pair of numbers from 0 to below 1, not 1.0"),
            (lambda: optim.Adam(eps=-1e-8), "eps is a number from 0"),
            (lambda: optim.exponential_decay(-1, 0.1), "exponential_decay: lr is a number above 0"),
            (lambda: optim.exponential_decay(0.1, -0.1), "exponential_decay: rate is a number from 0"),
            (lambda: optim.constant("a"), "constant: lr is a number above 0"),
        ],
    )
    def test_settings(self, make, message):
        with pytest.raises(GraphError) as caught:
            make()
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        "make, hint",
        [
            (lambda: optim.Adam(learning_rate=1e-3), "It is called lr."),
            (lambda: optim.Adam(beta_1=0.9), "betas=(0.9, 0.999)"),
            (lambda: optim.Adam(epsilon=1e-7), "It is called eps."),
            (lambda: optim.SGD(momentun=0.9), "Did you mean 'momentum'?"),
            (lambda: optim.SGD(0.1).step(), "gn.function([x, t], loss, updates=optimizer.updates(loss))"),
            (lambda: optim.SGD(0.1).zero_grad(), "nothing is accumulated"),
            (lambda: optim.SGD(0.1).minimize, "optimizer.updates(loss)"),
            (lambda: optim.lr_scheduler, "optim.exponential_decay(0.1, 1e-3)"),
            (lambda: optim.Adm, "Did you mean 'Adam'?"),
        ],
    )
    def test_names_from_elsewhere(self, make, hint):
        with pytest.raises(UnknownNameError) as caught:
            make()
        assert hint in str(caught.value)

    def test_what_cannot_be_trained(self):
        loss, (w, _) = problem()
        with pytest.raises(GraphError, match=r"only parameters can be trained, not add"):
            optim.SGD(0.1).updates(loss, [w + 1])
        with pytest.raises(GraphError, match="keeps its own next value"):
            optim.SGD(0.1).updates(loss, [gn.state("s", 0.0)])
        with pytest.raises(GraphError, match="the loss is a node"):
            optim.SGD(0.1).updates(3.0)
        with pytest.raises(GraphError, match="it has none"):
            optim.SGD(0.1).updates(gn.sum(gn.placeholder("x", (3,))))

    def test_the_loss_must_be_a_scalar_that_depends_on_them(self):
        w, other = gn.parameter("w", np.ones(3)), gn.parameter("other", 1.0)
        with pytest.raises(DifferentiationError, match="not a scalar"):
            optim.SGD(0.1).updates(w * 2)
        with pytest.raises(DifferentiationError, match="other"):
            optim.SGD(0.1).updates(gn.sum(w), [w, other])

    def test_a_schedule_gives_a_scalar(self):
        w = gn.parameter("w", 1.0)
        with pytest.raises(GraphError, match="a schedule gives a scalar"):
            optim.SGD(lambda step: gn.stack([step, step])).updates(w * w)


def test_without_states_no_zeros_are_made():
    w = gn.parameter("w", np.ones(1 << 20), dtype="float32")
    loss = gn.sum(w * w)
    tracemalloc.start()
    optim.SGD(0.1).updates(loss)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_repr_is_the_call():
    assert repr(optim.SGD(0.1, momentum=0.9, nesterov=True)) == "SGD(lr=0.1, momentum=0.9, nesterov=True)"
    assert repr(optim.Adam(optim.exponential_decay(0.1, 1e-3))) == "Adam(lr=exponential_decay(0.1, 0.001))"

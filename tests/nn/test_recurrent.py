"""Recurrent layers against their formulas, step by step in NumPy."""

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import GraphError, ShapeError, UnknownNameError
from graphnn.testing import assert_close

RNG = np.random.default_rng(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(p, state, x):
    return (np.tanh(x @ p["weight_ih"] + p["bias"] + state[0] @ p["weight_hh"]),)


def lstm(p, state, x):
    i, f, g, o = np.split(x @ p["weight_ih"] + p["bias"] + state[0] @ p["weight_hh"], 4, axis=-1)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(p, state, x):
    rx, zx, nx = np.split(x @ p["weight_ih"] + p["bias"], 3, axis=-1)
    rh, zh, nh = np.split(state[0] @ p["weight_hh"], 3, axis=-1)
    r, z = sigmoid(rx + rh), sigmoid(zx + zh)
    n = np.tanh(nx + r * (nh + p["bias_hn"]))
    return ((1 - z) * n + z * state[0],)


LAYERS = {"RNN": (nn.RNN, elman, 1), "LSTM": (nn.LSTM, lstm, 2), "GRU": (nn.GRU, gru, 1)}


def run(step, cells, x, states, layers, ways):
    """Layers of recurrent networks, written out."""
    sequence, ends = x, []
    for layer in range(layers):
        outs = []
        for way in range(ways):
            state, rows = states[layer * ways + way], []
            for t in range(x.shape[1])[:: -1 if way else 1]:
                state = step(cells[layer * ways + way], state, sequence[:, t])
                rows.append(state[0])
            outs.append(np.stack(rows[:: -1 if way else 1], axis=1))
            ends.append(state)
        sequence = np.concatenate(outs, axis=-1)
    return sequence, ends


@pytest.mark.parametrize("layers, bidirectional", [(1, False), (2, False), (1, True), (2, True)])
@pytest.mark.parametrize("kind", LAYERS)
def test_formulas(kind, layers, bidirectional):
    make, step, held = LAYERS[kind]
    layer = make(3, 4, num_layers=layers, bidirectional=bidirectional, dtype="float64")
    x = gn.placeholder("x", ("batch", "time", 3), "float64")
    made = layer(x)
    values = RNG.normal(size=(2, 5, 3))
    sequence, state = gn.evaluate(made, {x: values})
    ways = 1 + bidirectional
    cells = [
        {key: node.value for key, node in layer._cell(i, way).items()} for i in range(layers) for way in range(ways)
    ]
    zeros = [(np.zeros((2, 4)),) * held] * (layers * ways)
    expected, ends = run(step, cells, values, zeros, layers, ways)
    assert_close(sequence, expected, rtol=1e-12)
    listed = [state] if layers * ways == 1 else state
    for mine, end in zip(listed, ends, strict=True):
        for a, b in zip(mine if held > 1 else [mine], end, strict=True):
            assert_close(a, b, rtol=1e-12)
    last = make(3, 4, num_layers=layers, bidirectional=bidirectional, dtype="float64", output="last")
    assert last(x).spec == gn.Spec(("batch", 4 * ways), gn.float64)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_state_goes_on(kind):
    layer = LAYERS[kind][0](3, 4, dtype="float64")
    x = gn.constant(RNG.normal(size=(2, 6, 3)))
    whole, end = layer(x)
    first, state = layer(x[:, :2])
    second, last = layer(x[:, 2:], state)
    got = gn.evaluate([gn.concat([first, second], axis=1), whole, last, end])
    assert_close(got[0], got[1], rtol=1e-13)
    for a, b in zip(np.ravel(got[2]), np.ravel(got[3]), strict=True):
        assert_close(a, b, rtol=1e-13)


def test_parameters_have_names_and_no_bias_if_none_is_wanted():
    assert list(nn.GRU(3, 4).named_parameters()) == [
        "weight_ih_l0", "weight_hh_l0", "bias_l0", "bias_hn_l0",
    ]  # fmt: skip
    assert list(nn.LSTM(3, 4, bias=False).named_parameters()) == ["weight_ih_l0", "weight_hh_l0"]
    assert repr(nn.RNN(3, 4, bias=False, output="last", activation=gn.relu)) == (
        "RNN(3, 4, bias=False, output='last', activation=relu)"
    )
    widest = max(np.abs(p.value).max() for p in nn.LSTM(3, 16).parameters())
    assert 0.2 < widest <= 0.25


def test_it_learns_to_remember():
    """The sign of the first element, told at the end of the sequence."""
    x = RNG.normal(size=(256, 12, 1)).astype("float32")
    y = (x[:, 0, 0] > 0).astype("int64")
    model = nn.Sequential(nn.LSTM(1, 8, output="last"), nn.Linear(8, 2))
    trainer = gn.Trainer(model, loss=gn.losses.cross_entropy, optimizer=optim.Adam(0.03), metrics=[gn.metrics.accuracy])
    trainer.fit(x, y, epochs=40, batch_size=64, verbose=False)
    assert trainer.evaluate(x, y)["accuracy"] > 0.95


def test_mistakes():
    x = gn.placeholder("x", ("batch", "time", 5))
    with pytest.raises(ShapeError, match=r"LSTM\(3, 4\) takes \[batch, time, 3\], not \[batch, time, 5\]"):
        nn.LSTM(3, 4)(x)
    with pytest.raises(ShapeError, match="a size is a whole number from 1, not 0"):
        nn.GRU(0, 4)
    with pytest.raises(GraphError, match="output is 'both', 'sequence' or 'last', not 'all'"):
        nn.GRU(3, 4, output="all")
    with pytest.raises(UnknownNameError, match="takes no argument 'return_sequences'") as info:
        nn.LSTM(3, 4, return_sequences=True)
    assert "output='sequence'" in str(info.value)
    with pytest.raises(GraphError, match="takes 2 states, one for each layer and direction, not 1"):
        nn.RNN(5, 4, num_layers=2)(x, [gn.zeros((1, 4))])

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


def perceptron():
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))


def rows(table):
    """The cells of the lines between the rules."""
    return [line.split() for line in str(table).splitlines() if line.startswith(" ")]


def test_the_table_of_a_perceptron():
    table = gn.summary(perceptron())
    assert str(table) == "\n".join(
        [
            "Sequential",
            "───────────────────────────────────────────",
            " Layer   Kind     Output        Parameters",
            "───────────────────────────────────────────",
            " 0       Linear   [batch, 32]          672",
            " 1       ReLU     [batch, 32]            0",
            " 2       Linear   [batch, 32]        1,056",
            " 3       ReLU     [batch, 32]            0",
            " 4       Linear   [batch, 1]            33",
            "───────────────────────────────────────────",
            " Total                               1,761   7.0 kB",
            " Trainable                           1,761",
            " Non-trainable                           0",
        ]
    )
    assert (table.total, table.trainable, table.non_trainable, table.bytes) == (1761, 1761, 0, 7044)
    assert repr(table) == str(table)


def test_frozen_layers_are_not_trainable():
    model = perceptron()
    model[2].freeze()
    table = gn.summary(model)
    assert (table.total, table.trainable, table.non_trainable) == (1761, 705, 1056)
    assert "1,056   frozen" in table


def test_shared_parameters_are_counted_once():
    layer = nn.Linear(4, 4)
    table = gn.summary(nn.Sequential(layer, nn.ReLU(), layer))
    assert table.total == 20
    assert ["2", "Linear", "[batch,", "4]", "0", "2", "shared,", "counted", "above"] in rows(table)


def test_layers_whose_sizes_are_not_known_yet():
    model = nn.Sequential(nn.Linear(32), nn.Linear(1))
    table = gn.summary(model)
    assert ["0", "Linear", "-", "?"] in rows(table)
    assert "input_shape=" in table
    table = gn.summary(model, input_shape=(20,))
    assert table.total == 20 * 32 + 32 + 33
    assert ["0", "Linear", "[batch,", "32]", "672"] in rows(table)


def test_parameters_of_a_module_with_inner_modules_are_its_own_row():
    class Scaled(nn.Module):
        def __init__(self):
            self.scale = gn.parameter("scale", np.ones(4, "float32"))
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return self.inner(x) * self.scale

    table = gn.summary(nn.Sequential(Scaled()), input_shape=(4,))
    assert table.total == 24
    assert ["0", "Scaled", "[batch,", "4]", "4"] in rows(table)
    assert ["0.inner", "Linear", "[batch,", "4]", "20"] in rows(table)


def test_states_are_told_apart_from_parameters():
    table = gn.summary(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)))
    assert table.total == 20
    assert any(row[:2] == ["States", "2"] for row in rows(table))


def test_graphs_list_their_parameters():
    x, w = gn.placeholder("x", ("n", 3)), gn.parameter("w", np.ones((3, 2), "float64"))
    with gn.scope("head"):
        b = gn.parameter("b", np.ones(2, "float64"))
    table = gn.summary(x.astype("float64") @ w + b)
    assert ["w", "parameter", "float64[3,", "2]", "6"] in rows(table)
    assert ["head.b", "parameter", "float64[2]", "2"] in rows(table)
    assert (table.total, table.bytes) == (8, 64)
    assert gn.summary(x).total == 0


def test_totals_add_up_to_the_rows():
    table = gn.summary(nn.Sequential(perceptron(), nn.Linear(1, 3)))
    counted = [int(row[-1].replace(",", "")) for row in rows(table)[1:-3]]
    assert sum(counted) == table.total == 1761 + 6


def test_html_is_escaped():
    table = gn.summary(gn.parameter("<b>", 1.0))
    assert "&lt;b&gt;" in table._repr_html_()
    assert gn.summary(gn.parameter("two\nlines", 1.0)).count("\n") == gn.summary(gn.parameter("w", 1.0)).count("\n")


def test_what_has_no_parameters_is_refused():
    with pytest.raises(gn.GraphError, match="a view takes"):
        gn.summary(3)
    with pytest.raises(gn.GraphError, match="input_shape is for modules"):
        gn.summary(gn.placeholder("x"), input_shape=(3,))

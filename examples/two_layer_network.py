"""A network with one hidden layer, written twice: with matrices by hand, and with layers.

    H = f(X W + b)         hidden layer: every unit is a regression of its own, bent by f
    y = f2(H W2 + b2)      output layer: a regression on the hidden units

A layer of `gn.nn` is nothing but this. Here both forms get the same numbers, and give the same values and gradients.

    python examples/two_layer_network.py
"""

import numpy as np

import graphnn as gn
from graphnn import nn

INPUTS, HIDDEN, OUTPUTS = 4, 8, 3


def main() -> dict[str, float]:
    rng = np.random.default_rng(0)
    X = gn.placeholder("X", ("batch", INPUTS))

    # 1. By hand: four parameters, two lines.
    W = gn.parameter("W", rng.normal(0, 0.5, (INPUTS, HIDDEN)).astype("float32"))
    b = gn.parameter("b", rng.normal(0, 0.5, HIDDEN).astype("float32"))
    W2 = gn.parameter("W2", rng.normal(0, 0.5, (HIDDEN, OUTPUTS)).astype("float32"))
    b2 = gn.parameter("b2", rng.normal(0, 0.5, OUTPUTS).astype("float32"))

    H = gn.tanh(X @ W + b)
    y = gn.sigmoid(H @ W2 + b2)
    print("by hand:      y =", gn.latex(y))

    # 2. With layers. A model makes its own parameters; here they are given the numbers of those above.
    model = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, OUTPUTS), nn.Sigmoid())
    hidden, output = model[0], model[2]
    model.set_values({"0.weight": W.value, "0.bias": b.value, "2.weight": W2.value, "2.bias": b2.value})
    y_model = model(X)
    print("with layers:  y =", gn.latex(y_model))
    print()
    print(gn.summary(model))

    # The values agree ...
    batch = rng.normal(size=(5, INPUTS)).astype("float32")
    first, second = gn.evaluate([y, y_model], {X: batch})
    print("\nby hand, first row:     ", first[0])
    print("with layers, first row: ", second[0])

    # ... and so do the derivatives: both are graphs of the same operations.
    slopes = gn.grad(gn.mean(y * y), [W, b, W2, b2])
    slopes_model = gn.grad(gn.mean(y_model * y_model), [hidden.weight, hidden.bias, output.weight, output.bias])
    pairs = gn.evaluate(list(zip(slopes, slopes_model, strict=True)), {X: batch})
    largest = max(float(np.abs(one - other).max()) for one, other in pairs)
    print(f"largest difference of values {np.abs(first - second).max()}, of gradients {largest}")
    return {"values": float(np.abs(first - second).max()), "gradients": largest}


if __name__ == "__main__":
    main()

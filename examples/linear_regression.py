"""Linear regression: a straight line through points, found by walking downhill.

This is the whole of machine learning in its smallest form: a model with parameters, a loss that says how wrong it is,
the gradient of the loss, and small steps against it. Least squares also has an exact solution, so the answer can be checked.

    python examples/linear_regression.py
"""

import numpy as np

import graphnn as gn


def main() -> dict[str, np.ndarray]:
    # Points near the line y = 3 x + 2. The noise is what makes the best line differ a little from that one.
    rng = np.random.default_rng(0)
    x_data = rng.uniform(-1, 1, (200, 1)).astype("float32")
    y_data = (3 * x_data + 2 + rng.normal(0, 0.1, (200, 1))).astype("float32")

    # The graph. A placeholder is given at every call; "points" is a size that nobody knows before.
    x = gn.placeholder("x", ("points", 1))
    y = gn.placeholder("y", ("points", 1))
    # A parameter keeps its value between calls. The line begins flat, at zero.
    w = gn.parameter("w", [[0.0]])
    b = gn.parameter("b", [0.0])

    guess = x @ w + b
    loss = gn.mean((guess - y) ** 2)

    # The gradients are nodes like all others: formulas that belong to the same graph.
    dw, db = gn.grad(loss, [w, b])
    print(gn.text([loss, dw, db]), "\n")

    # A compiled step computes the loss and then moves both parameters at once, against their gradients.
    step = gn.function([x, y], loss, updates={w: w - 0.3 * dw, b: b - 0.3 * db})
    print(" step      loss       w       b")
    for i in range(101):
        value = step(x_data, y_data)
        if i % 20 == 0:
            print(f"{i:5}  {value:8.5f}  {w.value.item():6.4f}  {b.value.item():6.4f}")

    # The same by algebra: least squares on the matrix with a column of ones for b.
    exact = np.linalg.lstsq(np.hstack([x_data, np.ones_like(x_data)]), y_data, rcond=None)[0].ravel()
    learned = np.array([w.value.item(), b.value.item()])
    print(f"\nlearned by steps:     y = {learned[0]:.5f} x + {learned[1]:.5f}")
    print(f"solved in one go:     y = {exact[0]:.5f} x + {exact[1]:.5f}")
    return {"learned": learned, "exact": exact}


if __name__ == "__main__":
    main()

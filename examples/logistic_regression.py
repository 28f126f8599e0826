"""Logistic regression: is this digit a 3 or an 8?

The straight line of linear_regression.py becomes a weighted sum of 64 pixels, and its result a probability. Nothing else
changes: a loss, its gradient, small steps. The pictures are real: 357 small scans of handwriting.

    python examples/logistic_regression.py
"""

import numpy as np

import graphnn as gn
from graphnn import data

NO, YES = 3, 8  # the digits to tell apart; 3 and 8 share most of their ink


def main() -> dict[str, float]:
    images, labels = data.digits()
    chosen = (labels == NO) | (labels == YES)
    pixels = images[chosen].reshape(-1, 64).astype("float32") / 16  # ink from 0 to 1
    answers = (labels[chosen] == YES).astype("float32")  # 1 for an eight, 0 for a three
    # What was learned must be tested on digits that were not seen while learning.
    x_train, x_test, t_train, t_test = data.train_test_split(pixels, answers, test=0.25, seed=0)

    x = gn.placeholder("x", ("images", 64))
    t = gn.placeholder("t", ("images",))
    w = gn.parameter("w", np.zeros(64, "float32"))
    b = gn.parameter("b", 0.0)

    logit = x @ w + b  # any number: above 0 speaks for YES, below for NO
    probability = gn.sigmoid(logit)  # squeezed into 0 ... 1

    # -log(probability of the right answer). log(sigmoid(z)) would overflow for large |z|; softplus says the same safely:
    # -log(sigmoid(z)) = softplus(-z) and -log(1 - sigmoid(z)) = softplus(z).
    loss = gn.mean(t * gn.softplus(-logit) + (1 - t) * gn.softplus(logit))

    params = [w, b]
    updates = {p: p - 0.5 * g for p, g in zip(params, gn.grad(loss, params), strict=True)}
    step = gn.function([x, t], loss, updates=updates)
    predict = gn.function([x], probability)

    def accuracy(pixels: np.ndarray, answers: np.ndarray) -> float:
        return float(np.mean((predict(pixels) > 0.5) == answers))

    print(f"{len(x_train)} digits to learn from, {len(x_test)} to be tested on\n")
    print(" step     loss   right in training   right in test")
    for i in range(301):
        value = step(x_train, t_train)
        if i % 60 == 0:
            print(f"{i:5}  {value:7.4f}  {accuracy(x_train, t_train):18.1%}  {accuracy(x_test, t_test):14.1%}")

    # The weights are a picture too: where ink speaks for an eight (+) and where for a three (-).
    print(f"\nwhere ink speaks for {YES} (+ #) or for {NO} (- =):")
    for row in w.value.reshape(8, 8):
        print("   " + " ".join("=-.+#"[np.digitize(weight, [-1, -0.3, 0.3, 1])] for weight in row))
    return {"train": accuracy(x_train, t_train), "test": accuracy(x_test, t_test), "loss": float(value)}


if __name__ == "__main__":
    main()

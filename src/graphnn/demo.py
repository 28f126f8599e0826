"""The demonstration behind ``graphnn demo``: a small graph step by step, then a network that reads digits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from graphnn import data, losses, metrics, nn, optim
from graphnn.compile.function import function
from graphnn.compile.trace import trace
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import placeholder
from graphnn.ops.trigonometric import sin
from graphnn.train.history import History
from graphnn.train.trainer import Trainer
from graphnn.view.chart import history_chart
from graphnn.view.render import render
from graphnn.view.summary import summary


def digits_model(seed: int = 0) -> nn.Sequential:
    """The network of the demonstration: 8 x 8 pixels in, one score for each of the ten digits out."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10), seed=seed)


def train_digits(epochs: int = 20, seed: int = 0, verbose: bool | str = "auto") -> tuple[Trainer, History, float]:
    """Train it on 1,437 of the 1,797 digits and test it on the other 360, split by a fixed shuffle.

    Returns
    -------
    trainer, history, accuracy
        The accuracy is that on the 360 test images.
    """
    x_train, x_test, y_train, y_test = _digits()
    trainer = Trainer(
        digits_model(seed), loss=losses.cross_entropy, optimizer=optim.Adam(2e-3), metrics=[metrics.accuracy], seed=seed
    )
    history = trainer.fit(
        x_train, y_train, epochs=epochs, batch_size=32, validation_data=(x_test, y_test), verbose=verbose
    )
    return trainer, history, trainer.evaluate(x_test, y_test)["accuracy"]


def _digits() -> list[NDArray[Any]]:
    """Images and labels, each to learn from and to be tested on: x_train, x_test, y_train, y_test."""
    images, labels = data.digits()
    return data.train_test_split((images / 16.0).astype("float32"), labels, test=360, seed=0)


def run(out: Path, epochs: int = 20, seed: int = 0) -> float:
    """Run the demonstration, print what it shows, and leave its pictures in `out`. Gives the test accuracy."""
    start = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)

    print("A neural network is not a black box. First a graph of five nodes, z = x1 x2 + sin(x1), both passes:\n")
    x1, x2 = placeholder("x1"), placeholder("x2")
    print(trace((x1 * x2 + sin(x1)).named("z"), {x1: 2.0, x2: 3.0}))

    print("\nNow a network in the same way: 1,797 handwritten digits, 1,437 to learn from and 360 to be tested on.\n")
    trainer, history, accuracy = train_digits(epochs, seed)
    print()
    print(summary(trainer.model))

    x = placeholder("image", ("batch", 8, 8))
    label = placeholder("label", ("batch",), "int64")
    loss = losses.cross_entropy(trainer.model(x), label).named("loss")
    pictures = [render(Graph(loss), out / "digits.svg"), history_chart(history, out / "history.svg")]

    predict = function([x], trainer.model(x))
    _, x_test, _, y_test = _digits()
    print(f"\nThe first of the test digits is a {y_test[0]}; the network says {predict(x_test[:1]).argmax()}.")
    print(f"Test accuracy {100 * accuracy:.2f} %, after {time.perf_counter() - start:.1f} s.")
    print("Pictures: " + ", ".join(str(path) for path in pictures))
    return accuracy

"""MNIST: handwritten digits of 28 x 28 pixels, read by a network with one hidden layer.

Here the library takes over what the other examples do by hand: layers, mini-batches, the optimiser, the loop.

    python examples/mnist.py FOLDER            or: GRAPHNN_DATA=FOLDER python examples/mnist.py

The folder holds the four files of MNIST under their usual names (train-images-idx3-ubyte.gz and so on). Where it holds only
the test files, t10k-..., the first 8,000 of these are learned from and the last 2,000 are the test.
"""

import os
import sys

import numpy as np

import graphnn as gn
from graphnn import data, losses, metrics, nn, optim


def load(folder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images and labels to learn from, images and labels to test with."""
    x_test, y_test = data.mnist(folder, split="test")
    if any(name.startswith("train-images") for name in os.listdir(folder)):
        return *data.mnist(folder, split="train"), x_test, y_test
    # In the order of the files, so that everybody who runs this has the same split.
    return x_test[:8000], y_test[:8000], x_test[-2000:], y_test[-2000:]


def main(folder: str | None = None, epochs: int = 10) -> dict[str, float]:
    folder = folder or os.environ.get("GRAPHNN_DATA")
    if not folder:
        sys.exit("Where is MNIST? python examples/mnist.py FOLDER, or set GRAPHNN_DATA.")
    x_train, y_train, x_test, y_test = load(folder)
    print(f"{len(x_train):,} images to learn from, {len(x_test):,} to be tested on\n")

    # Grey values from 0 to 1: with numbers around 1 the steps of the optimiser have a sensible length.
    x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255

    model = nn.Sequential(
        nn.Flatten(),  # 28 x 28 pixels in one row
        nn.Linear(784, 128),
        nn.ReLU(),
        nn.Dropout(0.2),  # in training every fifth unit is left out, so that none can rely on another
        nn.Linear(128, 10),  # one score for each digit
    )
    trainer = gn.Trainer(model, loss=losses.cross_entropy, optimizer=optim.Adam(1e-3), metrics=[metrics.accuracy])
    trainer.fit(x_train, y_train, epochs=epochs, batch_size=64, validation_data=(x_test, y_test))
    result = trainer.evaluate(x_test, y_test)
    print(f"\ntest accuracy: {result['accuracy']:.2%}\n")
    print(gn.summary(model))

    # Every network is wrong sometimes; the mistakes say most. Here is the one that it was surest of.
    scores = trainer.predict(x_test)
    guesses = scores.argmax(axis=1)
    wrong = np.flatnonzero(guesses != y_test)
    if len(wrong):
        worst = wrong[scores[wrong].max(axis=1).argmax()]
        print(f"\nits surest mistake: it took this {y_test[worst]} for a {guesses[worst]}")
        for row in x_test[worst][::2]:  # every second row: letters are twice as high as wide
            if row.any():
                print("  " + "".join(" .+#"[min(int(ink * 4), 3)] for ink in row).rstrip())
    return result


if __name__ == "__main__":
    main(*sys.argv[1:2])

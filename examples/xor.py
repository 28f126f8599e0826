"""XOR: the smallest thing that a straight line cannot do, and a hidden layer can.

No line separates {01, 10} from {00, 11}; this is why networks have hidden layers. We train a small one, print what it has
learned as a truth table, look at one step from inside, and draw the graph into out/xor.svg.

    python examples/xor.py
"""

from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import losses, nn, optim

QUESTIONS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
ANSWERS = np.array([[0], [1], [1], [0]], "float32")


def main(out: str | Path = "out") -> dict[str, Any]:
    x = gn.placeholder("x", ("batch", 2))
    t = gn.placeholder("t", ("batch", 1))

    # Four hidden units; two would do, but then an unlucky beginning can end in a valley with one answer wrong.
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), seed=0)
    logit = model(x)
    # The loss takes logits, the numbers before the sigmoid: only so can it be exact for very sure answers.
    loss = losses.binary_cross_entropy(logit, t).named("loss")

    # An optimiser is a function of the graph: from the loss to the next values of all parameters.
    step = gn.function([x, t], loss, updates=optim.Adam(0.05).updates(loss, model))
    for i in range(401):
        value = step(QUESTIONS, ANSWERS)
        if i % 100 == 0:
            print(f"step {i:3}   loss {value:.4f}")

    yes = gn.function([x], gn.sigmoid(logit))(QUESTIONS).ravel()
    print("\n a  b   a xor b   the network says")
    for (a, b), answer, probability in zip(QUESTIONS, ANSWERS.ravel(), yes, strict=True):
        print(f" {a:.0f}  {b:.0f}      {answer:.0f}          {probability:.3f} -> {int(probability > 0.5)}")

    # What is inside one step? The trace shows both passes for the first question: every value on the way forward, and on
    # the way back what each node adds to the derivatives of those it was made from.
    print("\none question, step by step:\n")
    trace = gn.trace(loss, {x: QUESTIONS[:1], t: ANSWERS[:1]}, wrt=model.parameters())
    print(trace)

    # And the same graph as a picture: the layers are boxes, the sizes stand on the arrows.
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = gn.render(loss, folder / "xor.svg")
    print(f"\npicture: {picture}")
    return {"probabilities": yes, "loss": float(value), "trace": trace, "picture": picture}


if __name__ == "__main__":
    main()

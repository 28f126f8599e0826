"""XOR: the smallest thing that a straight line cannot do, and a hidden layer can.

No line separates {01, 10} from {00, 11}; this is why networks have hidden layers. We look at one small network from inside,
train it, print what it has learned as a truth table, and draw its graph into out/xor.svg.

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
    # Four hidden units. Two would do, but then many beginnings end in a valley with an answer wrong.
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), seed=0)

    # First one question, 1 xor 0, in slow motion. The loss is -log(probability of the right answer), as in
    # logistic_regression.py. The trace shows both passes over the sorted graph: every value on the way forward, and on the way
    # back what each node adds to the derivatives of those that it was made from. The score (γ11) is read twice, so two
    # contributions come back to it.
    question, answer = gn.placeholder("question", (2,)), gn.placeholder("answer", (1,))
    score = model(question)
    surprise = gn.sum(gn.softplus(score) - answer * score)
    trace = gn.trace(surprise, {question: QUESTIONS[2], answer: ANSWERS[2]}, wrt=model.parameters())
    print(trace)

    # Now all four questions at once, as rows of a matrix. The model is called again and uses the same parameters again.
    x, t = gn.placeholder("x", ("batch", 2)), gn.placeholder("t", ("batch", 1))
    scores = model(x)
    loss = losses.binary_cross_entropy(scores, t).named("loss")

    # An optimiser goes from the loss to the next values of all parameters: it is a function of the graph, too.
    step = gn.function([x, t], loss, updates=optim.Adam(0.05).updates(loss, model))
    print()
    for i in range(401):
        value = step(QUESTIONS, ANSWERS)
        if i % 100 == 0:
            print(f"step {i:3}   loss {value:.4f}")

    yes = gn.function([x], gn.sigmoid(scores))(QUESTIONS).ravel()
    print("\n a  b   a xor b   the network says")
    for (a, b), right, probability in zip(QUESTIONS, ANSWERS.ravel(), yes, strict=True):
        print(f" {a:.0f}  {b:.0f}      {right:.0f}          {probability:.3f} -> {int(probability > 0.5)}")

    # The same graph as a picture: the layers are boxes, the sizes stand on the arrows.
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = gn.render(loss, folder / "xor.svg")
    print(f"\npicture: {picture}")
    return {"probabilities": yes, "loss": float(value), "trace": trace, "picture": picture}


if __name__ == "__main__":
    main()

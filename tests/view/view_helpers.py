"""What the tests of the views share."""

import numpy as np

import graphnn as gn

EVIL = [
    'a "quoted" name',
    "back\\slash and \\N and \\l",
    "two\nlines\r\nand a tab\t",
    "<b>bold</b> & &lt; &#65;",
    "<<table><tr><td>x</td></tr></table>>",
    "{left|right}",
    "]]; } subgraph cluster_0 {",
    "$x^2$ % # _ ~ ^ {}",
    "naïve 重み 🤖 γ",
    "\u202eright to left",
    "nul\x00 and escape \x1b[31m",
    "lone \ud800 surrogate",
    "--> <!-- ]]> <script>alert(1)</script>",
    "long " * 2000,
]


def network():
    """Two layers in scopes, and a loss; the names are those of a textbook."""
    x = gn.placeholder("x", ("batch", 4))
    t = gn.placeholder("t", ("batch", 2))
    with gn.scope("net"), gn.scope("hidden"):
        w1 = gn.parameter("W1", np.ones((4, 3), "float32"))
        b1 = gn.parameter("b1", np.zeros(3, "float32"))
        h = gn.tanh(x @ w1 + b1)
    with gn.scope("net"), gn.scope("out"):
        w2 = gn.parameter("W2", np.ones((3, 2), "float32"))
        y = h @ w2
    loss = gn.mean(gn.square(y - t)).named("loss")
    return loss, [w1, b1, w2]


def evil_graph():
    """Every name of the list as an input, a value, a parameter and a scope, with a gradient and an update."""
    total = gn.placeholder("start", ())
    parameters = []
    for name in EVIL:
        with gn.scope(name):
            w = gn.parameter(name, np.float32(1.0))
            parameters.append(w)
            total = (total * gn.placeholder(name + " in", ()) + w).named(name)
    gradients = gn.grad(total, parameters)
    updates = [(w, w - 0.1 * g) for w, g in zip(parameters, gradients, strict=True)]
    return gn.Graph(total, updates)

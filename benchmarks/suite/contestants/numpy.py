"""NumPy by hand: forward and backward pass written out, each thing computed once, weights updated in place.

The networks are those of linear layers; derivatives of the others are not what one writes by hand.
"""

import math

import numpy as np

from .. import workloads
from ..work import ADAM, RATE, Data, Unsupported, Work, direction
from ..workloads import scalar


def load(variant):
    return np.__version__


def prepare(work: Work, data: Data):
    if work.workload in SPECIAL:
        return SPECIAL[work.workload](work, data)
    if work.task == "checkpoint":
        raise Unsupported("keeps what it computes")
    if workloads.family(work.workload) != "mlp":
        raise Unsupported("not written by hand")
    layers = len(data.params) // 2
    weights, biases = ([data.params[f"{kind}{i}"] for i in range(layers)] for kind in "wb")
    x, labels = data.inputs
    if work.task == "infer":
        return lambda: forward(weights, biases, x)[-1]
    if work.task == "hvp":
        v = direction(data.params)
        return lambda: hessian_product(weights, biases, v, x, labels)
    update = sgd if work.task == "sgd" else adam([*weights, *biases])

    def run():
        values = forward(weights, biases, x)
        value, g = loss_and_gradient(values[-1], labels)
        dw, db = backward(weights, values, g)
        update([*weights, *biases], [*dw, *db])
        return value

    return run


def forward(weights, biases, x):
    """What each layer reads, and the logits."""
    values = [x]
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = values[-1] @ w
        z += b
        if i < len(weights) - 1:
            np.maximum(z, 0, out=z)
        values.append(z)
    return values


def loss_and_gradient(z, labels):
    """The mean loss of logits, and its gradient by them: squared error for one output, else cross-entropy."""
    batch = len(z)
    if z.shape[1] == 1:
        g = z - labels[:, None].astype(z.dtype)
        return np.mean(g * g), g * z.dtype.type(2 / batch)
    rows = np.arange(batch)
    z = z - z.max(axis=1, keepdims=True)
    g = np.exp(z)
    total = g.sum(axis=1, keepdims=True)
    value = np.mean(np.log(total[:, 0]) - z[rows, labels])
    g /= total
    g[rows, labels] -= 1
    g *= z.dtype.type(1 / batch)
    return value, g


def backward(weights, values, g):
    dw, db = [], []
    for i in reversed(range(len(weights))):
        dw.append(values[i].T @ g)
        db.append(g.sum(axis=0))
        if i:
            g = g @ weights[i].T
            g *= values[i] > 0
    return dw[::-1], db[::-1]


def sgd(params, gradients):
    for p, g in zip(params, gradients, strict=True):
        g *= p.dtype.type(RATE)
        p -= g


def adam(params):
    (beta1, beta2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]
    means, squares = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    count = 0

    def update(params, gradients):
        nonlocal count
        count += 1
        rate, root = lr / (1 - beta1**count), 1 / math.sqrt(1 - beta2**count)
        for p, g, m, v in zip(params, gradients, means, squares, strict=True):
            number = p.dtype.type
            m *= number(beta1)
            m += number(1 - beta1) * g
            v *= number(beta2)
            v += number(1 - beta2) * (g * g)
            step = np.sqrt(v)
            step *= number(root)
            step += number(eps)
            np.divide(m, step, out=step)
            step *= number(rate)
            p -= step

    return update


def hessian_product(weights, biases, v, x, labels):
    """The derivative of the gradient in the direction v: a tangent beside each value of both passes."""
    layers, batch = len(weights), len(x)
    values = forward(weights, biases, x)
    tangents = [None]  # of what each layer reads; x has none
    for i in range(layers):
        t = values[i] @ v[f"w{i}"]
        t += v[f"b{i}"]
        if i:
            t += tangents[i] @ weights[i]
        if i < layers - 1:
            t *= values[i + 1] > 0
        tangents.append(t)
    _, g = loss_and_gradient(values[-1], labels)
    t = tangents[-1]
    if t.shape[1] == 1:
        dg = t * t.dtype.type(2 / batch)
    else:
        p = g.copy()
        p[np.arange(batch), labels] += p.dtype.type(1 / batch)  # softmax / batch
        pt = p * t
        dg = pt - (p * t.dtype.type(batch)) * pt.sum(axis=1, keepdims=True)
    out = {}
    for i in reversed(range(layers)):
        dw = values[i].T @ dg
        if i:
            dw += tangents[i].T @ g
        out[f"w{i}"], out[f"b{i}"] = dw, dg.sum(axis=0)
        if i:
            mask = values[i] > 0
            dg = (dg @ weights[i].T + g @ v[f"w{i}"].T) * mask
            g = (g @ weights[i].T) * mask
    return [out[name] for name in v]


def _chain(work, data):
    x = data.params["x"]
    y, z = np.empty_like(x), np.empty_like(x)

    def run():
        np.multiply(x, 0.9, out=y)
        np.add(y, 0.1, out=y)
        np.abs(y, out=y)
        np.multiply(x, 0.5, out=z)
        np.subtract(y, z, out=y)
        np.multiply(y, y, out=z)
        np.add(z, 1.0, out=z)
        np.divide(y, z, out=x)
        return x

    return run


def _softmax(work, data):
    return lambda: loss_and_gradient(*data.inputs)


def _scalar(work, data):
    """Python's numbers and a loop over the program, forward and back."""
    steps, start = scalar.program(work), [float(x) for x in data.inputs[0]]
    functions = {"add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b}

    def run():
        values = start.copy()
        for kind, i, j in steps:
            values.append(math.tanh(values[i]) if kind == "tanh" else functions[kind](values[i], values[j]))
        adjoints = [0.0] * len(values)
        adjoints[-1] = 1.0
        for k in reversed(range(len(steps))):
            kind, i, j = steps[k]
            g = adjoints[len(start) + k]
            if kind == "tanh":
                adjoints[i] += g * (1 - values[len(start) + k] ** 2)
            elif kind == "multiply":
                adjoints[i] += g * values[j]
                adjoints[j] += g * values[i]
            else:
                adjoints[i] += g
                adjoints[j] += g if kind == "add" else -g
        return [values[-1], *adjoints[: len(start)]]

    return run


def _call(work, data):
    x, one = data.inputs[0], np.float32(1)
    return lambda: x + one


SPECIAL = {"chain": _chain, "softmax": _softmax, "scalar": _scalar, "call": _call}


def fetch(result):
    return [np.asarray(array) for array in (result if isinstance(result, (list, tuple)) else [result])]

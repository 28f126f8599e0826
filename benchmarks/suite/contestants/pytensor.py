"""PyTensor, with the linker it chooses (Numba since version 3), parameters as shared variables that are updated in place."""

import numpy as np

from .. import workloads
from ..work import ADAM, RATE, Data, Unsupported, Work, direction
from ..workloads import scalar

pytensor = pt = None


def load(variant):
    global pytensor, pt
    import pytensor
    import pytensor.tensor as pt

    # Constants of Python must not make float64 of float32.
    pytensor.config.floatX = "float32"
    return pytensor.__version__


def number(value, dtype):
    return np.asarray(value, dtype)[()]


def mlp(p, x):
    layers = len(p) // 2
    for i in range(layers):
        x = x @ p[f"w{i}"] + p[f"b{i}"]
        if i < layers - 1:
            x = pt.maximum(x, number(0, x.dtype))
    return x


def cross_entropy(y, labels):
    return -pt.special.log_softmax(y, axis=1)[pt.arange(labels.shape[0]), labels].mean()


def prepare(work: Work, data: Data):
    arrays = data.inputs
    if work.workload in SPECIAL:
        return SPECIAL[work.workload](work, data)
    if work.task == "checkpoint":
        raise Unsupported("recomputes only in its loops")
    if workloads.family(work.workload) != "mlp":
        raise Unsupported("written for networks of linear layers only")
    # Static sizes, as for everybody else.
    x, labels = (pt.tensor(f"input{i}", shape=array.shape, dtype=str(array.dtype)) for i, array in enumerate(arrays))
    p = {name: pytensor.shared(array, name=name, borrow=True, shape=array.shape) for name, array in data.params.items()}
    y = mlp(p, x)
    if work.task == "infer":
        f = pytensor.function([x], y)
        return lambda: f(arrays[0])
    if data.params[f"b{len(p) // 2 - 1}"].shape == (1,):
        loss = ((y[:, 0] - labels.astype(work.dtype)) ** 2).mean()
    else:
        loss = cross_entropy(y, labels)
    wrt = list(p.values())
    if work.task == "hvp":
        vectors = [pt.constant(array) for array in direction(data.params).values()]
        slope = sum((g * v).sum() for g, v in zip(pytensor.grad(loss, wrt), vectors, strict=True))
        f = pytensor.function([x, labels], pytensor.grad(slope, wrt))
    elif work.training:
        gradients = pytensor.grad(loss, wrt)
        updates = (sgd if work.task == "sgd" else adam)(wrt, gradients, work.dtype)
        f = pytensor.function([x, labels], loss, updates=updates)
    else:
        raise Unsupported(f"no task {work.task}")
    return lambda: f(*arrays)


def sgd(params, gradients, dtype):
    return [(p, p - number(RATE, dtype) * g) for p, g in zip(params, gradients, strict=True)]


def adam(params, gradients, dtype):
    def num(value):
        return number(value, dtype)

    (beta1, beta2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]
    count = pytensor.shared(num(0), name="count")
    updates = [(count, count + num(1))]
    t = count + num(1)
    rate, root = num(lr) / (num(1) - num(beta1) ** t), num(1) / pt.sqrt(num(1) - num(beta2) ** t)
    for p, g in zip(params, gradients, strict=True):
        m, v = (pytensor.shared(np.zeros_like(p.get_value()), shape=p.type.shape) for _ in range(2))
        m_new = num(beta1) * m + num(1 - beta1) * g
        v_new = num(beta2) * v + num(1 - beta2) * g * g
        updates += [(m, m_new), (v, v_new), (p, p - rate * m_new / (pt.sqrt(v_new) * root + num(eps)))]
    return updates


def _chain(work, data):
    x = pytensor.shared(data.params["x"], shape=data.params["x"].shape)
    y = pt.abs(x * number(0.9, work.dtype) + number(0.1, work.dtype)) - x * number(0.5, work.dtype)
    f = pytensor.function([], [], updates=[(x, y / (y * y + number(1, work.dtype)))])

    def run():
        f()
        return x

    return run


def _softmax(work, data):
    x, labels = (pt.tensor(f"x{i}", shape=a.shape, dtype=str(a.dtype)) for i, a in enumerate(data.inputs))
    loss = cross_entropy(x, labels)
    f = pytensor.function([x, labels], [loss, pytensor.grad(loss, x)])
    return lambda: f(*data.inputs)


def _scalar(work, data):
    x = [pt.scalar(f"x{i}", dtype=work.dtype) for i in range(scalar.INPUTS)]
    functions = {"add": pt.add, "subtract": pt.sub, "multiply": pt.mul, "tanh": pt.tanh}
    value = scalar.result(scalar.program(work), x, functions)
    f = pytensor.function(x, [value, *pytensor.grad(value, x)])
    numbers = list(data.inputs[0])
    return lambda: f(*numbers)


def _call(work, data):
    x = pt.tensor("x", shape=data.inputs[0].shape, dtype=work.dtype)
    f = pytensor.function([x], x + number(1, work.dtype))
    return lambda: f(data.inputs[0])


SPECIAL = {"chain": _chain, "softmax": _softmax, "scalar": _scalar, "call": _call}


def fetch(result):
    if hasattr(result, "get_value"):
        result = result.get_value(borrow=True)
    return [np.asarray(array) for array in (result if isinstance(result, (list, tuple)) else [result])]

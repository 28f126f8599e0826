"""graphnn; the variant is the name of a backend."""

import numpy as np

from .. import workloads
from ..work import ADAM, RATE, Data, Unsupported, Work, direction
from ..workloads import chain, cnn, scalar

gn = None
backend = ""


def load(variant):
    global gn, backend
    import graphnn as gn

    known = backends()
    if variant not in known:
        raise Unsupported(f"graphnn has no backend {variant!r}; it has {', '.join(known)}")
    backend = variant
    return gn.__version__


def backends():
    from graphnn.compile.function import BACKENDS

    return list(BACKENDS)


def prepare(work: Work, data: Data):
    module = workloads.FAMILIES[work.workload]
    if module is cnn:
        data = cnn.channels_last(data)
    params, arrays = data.params, data.inputs
    if work.workload in SPECIAL:
        return SPECIAL[work.workload](work, params, arrays)
    variables = {name: gn.parameter(name, array) for name, array in params.items()}
    inputs = [gn.placeholder(f"input{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
    if work.task == "infer":
        f = gn.function(inputs[:1], module.logits(gn, variables, inputs[0]), backend=backend)
        return lambda: f(arrays[0])
    if work.task == "checkpoint":
        loss = module.loss(gn, variables, *inputs, model=module.recomputed)
    else:
        loss = module.loss(gn, variables, *inputs)
    if work.training:
        optimizer = gn.optim.Adam(**ADAM) if work.task == "adam" else gn.optim.SGD(RATE)
        f = gn.function(inputs, loss, updates=optimizer.updates(loss), backend=backend)
    elif work.task == "hvp":
        wrt = list(variables.values())
        vectors = [gn.constant(array) for array in direction(params).values()]
        f = gn.function(inputs, gn.jvp(gn.grad(loss, wrt), wrt, vectors), backend=backend)
    else:
        raise Unsupported(f"no task {work.task}")
    return lambda: f(*arrays)


def _chain(work, params, arrays):
    x = gn.state("x", params["x"])
    f = gn.function([], [], updates={x: chain.step(gn.abs, x)}, backend=backend)

    def run():
        f()
        return x

    return run


def _softmax(work, params, arrays):
    inputs = [gn.placeholder(f"input{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
    loss = workloads.FAMILIES["softmax"].loss(gn, params, *inputs)
    f = gn.function(inputs, [loss, gn.grad(loss, inputs[0])], backend=backend)
    return lambda: f(*arrays)


def _scalar(work, params, arrays):
    inputs = [gn.placeholder(f"x{i}", (), work.dtype) for i in range(scalar.INPUTS)]
    functions = {name: getattr(gn, name) for name in ("add", "subtract", "multiply", "tanh")}
    value = scalar.result(scalar.program(work), inputs, functions)
    f = gn.function(inputs, [value, *gn.grad(value, inputs)], backend=backend)
    numbers = list(arrays[0])
    return lambda: f(*numbers)


def _call(work, params, arrays):
    x = gn.placeholder("x", arrays[0].shape, arrays[0].dtype)
    f = gn.function([x], x + 1, backend=backend)
    return lambda: f(arrays[0])


SPECIAL = {"chain": _chain, "softmax": _softmax, "scalar": _scalar, "call": _call}


def fetch(result):
    if isinstance(result, gn.Node):  # the state of the chain
        result = result.value
    return [np.asarray(array) for array in (result if isinstance(result, (list, tuple)) else [result])]

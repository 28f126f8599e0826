"""tinygrad on the CPU: the whole step under `TinyJit`. It needs clang on the path to compile for a CPU."""

import numpy as np

from .. import workloads
from ..work import ADAM, RATE, Data, Unsupported, Work, direction
from ..workloads import chain, scalar, transformer

Tensor = TinyJit = None


def load(variant):
    global Tensor, TinyJit
    import os
    from importlib.metadata import version

    os.environ["DEV"] = "CPU"
    from tinygrad import Tensor, TinyJit

    (Tensor([1.0]) + 1).numpy()  # tells at once if there is no compiler
    return version("tinygrad")


def tensor(array):
    return Tensor(array.astype("int32") if array.dtype.kind == "i" else array)


def mlp(p, x):
    layers = len(p) // 2
    for i in range(layers):
        x = x @ p[f"w{i}"] + p[f"b{i}"]
        if i < layers - 1:
            x = x.relu()
    return x


def cnn(p, x):
    h = x.conv2d(p["k0"], p["b0"], padding=1).relu().max_pool2d(2)
    h = h.conv2d(p["k1"], p["b1"], padding=1).relu().max_pool2d(2)
    return (h.flatten(1) @ p["d0"] + p["b2"]).relu() @ p["d1"] + p["b3"]


def gpt(p, x):
    def heads(t):
        return t.reshape(batch, time, transformer.HEADS, -1).transpose(1, 2)

    h = p["embedding"][x] + p["positions"]
    batch, time, width = h.shape
    for i in range(transformer.BLOCKS):
        z = (h.layernorm(eps=1e-5) * p[f"{i}.ln1"] + p[f"{i}.b1"]) @ p[f"{i}.qkv"]
        q, k, v = (heads(t) for t in z.split(width, -1))
        seen = q.scaled_dot_product_attention(k, v, is_causal=True)
        h = h + seen.transpose(1, 2).reshape(batch, time, width) @ p[f"{i}.o"]
        z = (h.layernorm(eps=1e-5) * p[f"{i}.ln2"] + p[f"{i}.b2"]) @ p[f"{i}.f1"] + p[f"{i}.fb1"]
        h = h + z.gelu() @ p[f"{i}.f2"] + p[f"{i}.fb2"]
    return h @ p["out"]


MODELS = {"mlp": mlp, "cnn": cnn, "transformer": gpt}


def cross_entropy(y, labels):
    return y.reshape(-1, y.shape[-1]).sparse_categorical_crossentropy(labels.reshape(-1))


def prepare(work: Work, data: Data):
    if work.dtype != "float32":
        raise Unsupported("written for float32")
    if work.workload in SPECIAL:
        return SPECIAL[work.workload](work, data)
    if work.task == "checkpoint":
        raise Unsupported("has no checkpoints")
    family = workloads.family(work.workload)
    if family not in MODELS:
        raise Unsupported("has no loop: every step would be written out")
    x, labels = (tensor(array).realize() for array in data.inputs)
    p = {name: Tensor(array).contiguous().realize() for name, array in data.params.items()}
    model = MODELS[family]
    if work.task == "infer":
        f = TinyJit(lambda x: model(p, x).realize())
        return lambda: done(f(x))
    if work.task == "hvp":
        return _hvp(p, model, x, labels, direction(data.params))
    if not work.training:
        raise Unsupported(f"no task {work.task}")
    update = sgd if work.task == "sgd" else adam(p)

    @TinyJit
    def step(x, labels):
        y = model(p, x)
        loss = ((y[:, 0] - labels) ** 2).mean() if y.shape[-1] == 1 else cross_entropy(y, labels)
        gradients = loss.gradient(*p.values())
        return loss.realize(*update(p, gradients))

    return lambda: step(x, labels).item()


def _hvp(p, model, x, labels, vectors):
    v = [Tensor(array).contiguous().realize() for array in vectors.values()]

    @TinyJit
    def f(x, labels):
        gradients = cross_entropy(model(p, x), labels).gradient(*p.values())
        slope = sum((g * d).sum() for g, d in zip(gradients, v, strict=True))
        out = slope.gradient(*p.values())
        Tensor.realize(*out)
        return out

    def run():
        out = f(x, labels)
        done(out[0])
        return out

    return run


def sgd(p, gradients):
    return [t.assign(t - RATE * g) for t, g in zip(p.values(), gradients, strict=True)]


def adam(p):
    (beta1, beta2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]
    means, squares = ([Tensor.zeros(*t.shape).contiguous().realize() for t in p.values()] for _ in range(2))
    powers = [Tensor([1.0]).contiguous().realize() for _ in range(2)]

    def update(p, gradients):
        out = [power.assign(power * beta) for power, beta in zip(powers, (beta1, beta2), strict=True)]
        rate, root = lr / (1 - powers[0]), 1 / (1 - powers[1]).sqrt()
        for t, g, m, v in zip(p.values(), gradients, means, squares, strict=True):
            m.assign(beta1 * m + (1 - beta1) * g)
            v.assign(beta2 * v + (1 - beta2) * g * g)
            out += [m, v, t.assign(t - rate * m / (v.sqrt() * root + eps))]
        return out

    return update


def done(t):
    """Wait for a result on the device."""
    from tinygrad import Device

    Device[t.device].synchronize()
    return t


def _chain(work, data):
    x = Tensor(data.params["x"]).contiguous().realize()
    f = TinyJit(lambda: x.assign(chain.step(Tensor.abs, x)).realize())
    return lambda: done(f())


def _softmax(work, data):
    x, labels = (tensor(array).realize() for array in data.inputs)

    @TinyJit
    def f(x, labels):
        loss = cross_entropy(x, labels)
        g = loss.gradient(x)[0]
        return loss.realize(g), g

    def run():
        loss, g = f(x, labels)
        return done(loss), g

    return run


def _scalar(work, data):
    x = [Tensor(array).contiguous().realize() for array in np.split(data.inputs[0], scalar.INPUTS)]
    functions = {"add": Tensor.add, "subtract": Tensor.sub, "multiply": Tensor.mul, "tanh": Tensor.tanh}
    steps = scalar.program(work)

    @TinyJit
    def f(*x):
        value = scalar.result(steps, x, functions).sum()
        gradients = value.gradient(*x)
        value.realize(*gradients)
        return [value, *gradients]

    def run():
        out = f(*x)
        done(out[0])
        return out

    return run


def _call(work, data):
    x = tensor(data.inputs[0]).realize()
    f = TinyJit(lambda x: (x + 1).realize())
    return lambda: done(f(x))


SPECIAL = {"chain": _chain, "softmax": _softmax, "scalar": _scalar, "call": _call}


def fetch(result):
    if isinstance(result, float):
        return [np.asarray(result)]
    return [t.numpy() for t in (result if isinstance(result, (list, tuple)) else [result])]

"""JAX: `jax.jit` of the whole step, with the old parameters donated to the new ones."""

import functools
import os

import numpy as np

from .. import workloads
from ..work import ADAM, RATE, Data, Unsupported, Work, direction
from ..workloads import chain, scalar, transformer
from ..workloads import cnn as cnn_arrays
from ..workloads import mlp as mlp_parts

jax = jnp = None


def load(variant):
    global jax, jnp
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", False)
    if os.environ.get("SUITE_CACHE"):  # JAX keeps compiled code on disk only where it is told to
        jax.config.update("jax_compilation_cache_dir", os.environ["SUITE_CACHE"])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.devices()  # what JAX sets up at its first use belongs to its import
    return jax.__version__


def layers(p, x, first, last):
    for i in range(first, last):
        x = x @ p[f"w{i}"] + p[f"b{i}"]
        if i < len(p) // 2 - 1:
            x = jax.nn.relu(x)
    return x


def mlp(p, x):
    return layers(p, x, 0, len(p) // 2)


def recomputed(p, x):
    for first, last in mlp_parts.parts(p):
        x = jax.checkpoint(functools.partial(layers, first=first, last=last))(p, x)
    return x


def cnn(p, x):
    """Channels last, which is the faster layout of XLA on a CPU."""

    def convolve(h, kernel):
        return jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def pool(h):
        return jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    h = pool(jax.nn.relu(convolve(x, p["k0"]) + p["b0"]))
    h = pool(jax.nn.relu(convolve(h, p["k1"]) + p["b1"]))
    h = jax.nn.relu(h.reshape(h.shape[0], -1) @ p["d0"] + p["b2"])
    return h @ p["d1"] + p["b3"]


def lstm(p, x):
    """Logits [time, batch, vocabulary]."""
    z = (p["embedding"][x] @ p["wx"] + p["b"]).transpose(1, 0, 2)

    def cell(carried, z):
        h, c = carried
        i, f, g, o = jnp.split(z + h @ p["wh"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((x.shape[0], p["wh"].shape[0]), z.dtype)
    _, hs = jax.lax.scan(cell, (start, start), z)
    return hs @ p["wo"] + p["bo"]


def gpt(p, x):
    def norm(h, weight, bias):
        return (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + 1e-5) * weight + bias

    def heads(t):
        return t.reshape(batch, time, transformer.HEADS, -1).transpose(0, 2, 1, 3)

    h = p["embedding"][x] + p["positions"]
    batch, time, width = h.shape
    mask = jnp.tril(jnp.ones((time, time), bool))
    for i in range(transformer.BLOCKS):
        q, k, v = (heads(t) for t in jnp.split(norm(h, p[f"{i}.ln1"], p[f"{i}.b1"]) @ p[f"{i}.qkv"], 3, -1))
        scores = jnp.where(mask, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]).astype(h.dtype), -1e30)
        h = h + (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(batch, time, width) @ p[f"{i}.o"]
        z = norm(h, p[f"{i}.ln2"], p[f"{i}.b2"]) @ p[f"{i}.f1"] + p[f"{i}.fb1"]
        h = h + jax.nn.gelu(z) @ p[f"{i}.f2"] + p[f"{i}.fb2"]
    return h @ p["out"]


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": gpt}


def cross_entropy(y, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(y), labels[..., None], -1).mean()


def loss_of(family, model):
    def loss(p, x, labels):
        y = model(p, x)
        if family == "mlp" and y.shape[1] == 1:
            return ((y[:, 0] - labels) ** 2).mean()
        return cross_entropy(y, labels.T if family == "lstm" else labels)

    return loss


def sgd_step(loss):
    def step(p, x, labels):
        value, g = jax.value_and_grad(loss)(p, x, labels)
        return jax.tree.map(lambda p, g: p - RATE * g, p, g), value

    return step


def adam_step(loss):
    (beta1, beta2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]

    def step(state, x, labels):
        p, m, v, count = state
        value, g = jax.value_and_grad(loss)(p, x, labels)
        count = count + 1
        t = count.astype(value.dtype)
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
        rate, root = lr / (1 - beta1**t), 1 / jnp.sqrt(1 - beta2**t)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + eps), p, m, v)
        return (p, m, v, count), value

    return step


def prepare(work: Work, data: Data):
    jax.config.update("jax_enable_x64", work.dtype == "float64")
    if work.workload == "cnn":
        data = cnn_arrays.channels_last(data)
    arrays = [jnp.asarray(array) for array in data.inputs]
    if work.workload in SPECIAL:
        return SPECIAL[work.workload](work, data, arrays)
    family = workloads.family(work.workload)
    p = {name: jnp.asarray(array) for name, array in data.params.items()}
    if work.task == "infer":
        model = MODELS[family]
        f = jax.jit(lambda p, x: model(p, x).swapaxes(0, 1) if family == "lstm" else model(p, x))
        return lambda: f(p, arrays[0]).block_until_ready()
    loss = loss_of(family, recomputed if work.task == "checkpoint" else MODELS[family])
    if work.task == "hvp":
        v = {name: jnp.asarray(array) for name, array in direction(data.params).items()}
        f = jax.jit(lambda p, v, *arrays: jax.jvp(lambda p: jax.grad(loss)(p, *arrays), (p,), (v,))[1])

        def product():
            found = jax.block_until_ready(f(p, v, *arrays))
            return [found[name] for name in data.params]  # JAX sorts the names

        return product
    if not work.training:
        raise Unsupported(f"no task {work.task}")
    step = jax.jit((adam_step if work.task == "adam" else sgd_step)(loss), donate_argnums=0)
    state = p
    if work.task == "adam":
        state = (p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), jnp.zeros((), "int32"))

    def run():
        nonlocal state
        state, value = step(state, *arrays)
        return value.block_until_ready()

    return run


def _chain(work, data, arrays):
    x = jnp.asarray(data.params["x"])
    f = jax.jit(lambda x: chain.step(jnp.abs, x), donate_argnums=0)

    def run():
        nonlocal x
        x = f(x).block_until_ready()
        return x

    return run


def _softmax(work, data, arrays):
    f = jax.jit(jax.value_and_grad(cross_entropy))
    return lambda: jax.block_until_ready(f(*arrays))


def _scalar(work, data, arrays):
    functions = {name: getattr(jnp, name) for name in ("add", "subtract", "multiply", "tanh")}
    steps = scalar.program(work)
    f = jax.jit(jax.value_and_grad(lambda x: scalar.result(steps, [x[i] for i in range(scalar.INPUTS)], functions)))
    return lambda: jax.block_until_ready(f(arrays[0]))


def _call(work, data, arrays):
    f = jax.jit(lambda x: x + 1)
    return lambda: f(arrays[0]).block_until_ready()


SPECIAL = {"chain": _chain, "softmax": _softmax, "scalar": _scalar, "call": _call}


def fetch(result):
    return [np.asarray(array) for array in (result if isinstance(result, (list, tuple)) else [result])]

"""PyTorch; the variant is "eager" or "compile" (the loss through `torch.compile`)."""

import os

import numpy as np

from .. import workloads
from ..work import ADAM, RATE, Data, Unsupported, Work, direction
from ..workloads import chain, scalar, transformer
from ..workloads import mlp as mlp_parts

torch = F = None
compiled = False


def load(variant):
    global torch, F, compiled
    import torch
    import torch.utils.checkpoint

    F = torch.nn.functional
    compiled = variant == "compile"
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 0)) or torch.get_num_threads())
    return torch.__version__


def made(function):
    """Compiled, where this contestant is the compiled one; each is compiled for itself, for the sizes it has."""
    if not compiled:
        return function
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def layers(p, x, first, last):
    for i in range(first, last):
        x = torch.addmm(p[f"b{i}"], x, p[f"w{i}"])
        if i < len(p) // 2 - 1:
            x = F.relu(x)
    return x


def mlp(p, x):
    return layers(p, x, 0, len(p) // 2)


def recomputed(p, x):
    for first, last in mlp_parts.parts(p):
        x = torch.utils.checkpoint.checkpoint(layers, p, x, first, last, use_reentrant=False)
    return x


def cnn(p, x):
    h = F.max_pool2d(F.relu(F.conv2d(x, p["k0"], p["b0"], padding=1)), 2)
    h = F.max_pool2d(F.relu(F.conv2d(h, p["k1"], p["b1"], padding=1)), 2)
    return F.relu(h.flatten(1) @ p["d0"] + p["b2"]) @ p["d1"] + p["b3"]


def lstm(p, x):
    return p["layer"](p["embedding"][x])[0] @ p["wo"] + p["bo"]


def gpt(p, x):
    h = p["embedding"][x] + p["positions"]
    batch, time, width = h.shape

    def heads(t):
        return t.view(batch, time, transformer.HEADS, -1).transpose(1, 2)

    for i in range(transformer.BLOCKS):
        z = F.layer_norm(h, (width,), p[f"{i}.ln1"], p[f"{i}.b1"]) @ p[f"{i}.qkv"]
        q, k, v = (heads(t) for t in z.split(width, -1))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + seen.transpose(1, 2).reshape(batch, time, width) @ p[f"{i}.o"]
        z = F.layer_norm(h, (width,), p[f"{i}.ln2"], p[f"{i}.b2"]) @ p[f"{i}.f1"] + p[f"{i}.fb1"]
        h = h + F.gelu(z, approximate="tanh") @ p[f"{i}.f2"] + p[f"{i}.fb2"]
    return h @ p["out"]


MODELS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": gpt}


def cross_entropy(y, labels):
    return F.cross_entropy(y.reshape(-1, y.shape[-1]), labels.reshape(-1))


def loss_of(model):
    def loss(p, x, labels):
        y = model(p, x)
        return ((y[:, 0] - labels) ** 2).mean() if y.shape[-1] == 1 else cross_entropy(y, labels)

    return loss


def parameters(family, arrays):
    """The parameters by name; the library's own LSTM has transposed weights, and a second bias, which stays zero."""
    p = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in arrays.items()}
    if family == "lstm":
        wx, wh, b = (p.pop(name).detach() for name in ("wx", "wh", "b"))
        layer = p["layer"] = torch.nn.LSTM(wx.shape[0], wh.shape[0], batch_first=True).to(wx.dtype)
        with torch.no_grad():
            layer.weight_ih_l0.copy_(wx.T)
            layer.weight_hh_l0.copy_(wh.T)
            layer.bias_ih_l0.copy_(b)
            layer.bias_hh_l0.zero_()
        layer.bias_hh_l0.requires_grad_(False)
    return p


def leaves(p):
    tensors = [t for value in p.values() for t in ([value] if isinstance(value, torch.Tensor) else value.parameters())]
    return [t for t in tensors if t.requires_grad]


def prepare(work: Work, data: Data):
    arrays = [torch.tensor(array) for array in data.inputs]
    if work.workload in SPECIAL:
        return SPECIAL[work.workload](work, data, arrays)
    family = workloads.family(work.workload)
    p = parameters(family, data.params)
    if work.task == "infer":
        f = made(MODELS[family])

        def infer():
            with torch.inference_mode():
                return f(p, arrays[0])

        return infer
    loss = made(loss_of(recomputed if work.task == "checkpoint" else MODELS[family]))
    if work.task == "hvp":
        return _hvp(p, loss, [torch.tensor(array) for array in direction(data.params).values()], arrays)
    if not work.training:
        raise Unsupported(f"no task {work.task}")
    params = leaves(p)
    # The fused forms are the fastest that PyTorch has for a CPU.
    if work.task == "adam":
        optimizer = torch.optim.Adam(params, **ADAM, fused=True)
    else:
        optimizer = torch.optim.SGD(params, lr=RATE, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = loss(p, *arrays)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def _hvp(p, loss, vectors, arrays):
    """Twice in reverse, as torch.autograd.functional.hvp does."""
    if compiled:
        raise Unsupported("torch.compile has no second derivatives")
    params = leaves(p)

    def run():
        gradients = torch.autograd.grad(loss(p, *arrays), params, create_graph=True)
        return torch.autograd.grad(gradients, params, vectors)

    return run


def _chain(work, data, arrays):
    x = torch.tensor(data.params["x"])
    f = made(lambda x: chain.step(torch.abs, x))
    spare = torch.empty_like(x)

    def eager():
        y = torch.mul(x, 0.9, out=spare).add_(0.1).abs_().sub_(x, alpha=0.5)
        torch.mul(y, y, out=x)
        x.add_(1.0)
        torch.div(y, x, out=x)
        return x

    def run():
        nonlocal x
        x = f(x)
        return x

    return torch.inference_mode()(run if compiled else eager)


def _softmax(work, data, arrays):
    x, labels = arrays[0].requires_grad_(), arrays[1]
    loss = made(cross_entropy)

    def run():
        value = loss(x, labels)
        return value, torch.autograd.grad(value, x)[0]

    return run


def _scalar(work, data, arrays):
    functions = {"add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "tanh": torch.tanh}
    steps = scalar.program(work)
    f = made(lambda *x: scalar.result(steps, x, functions))
    x = [torch.tensor(float(number), requires_grad=True) for number in data.inputs[0]]

    def run():
        value = f(*x)
        return value, *torch.autograd.grad(value, x)

    return run


def _call(work, data, arrays):
    f, x = made(lambda x: x + 1), arrays[0]
    return torch.inference_mode()(lambda: f(x))


SPECIAL = {"chain": _chain, "softmax": _softmax, "scalar": _scalar, "call": _call}


def fetch(result):
    if isinstance(result, float):
        return [np.asarray(result)]
    several = result if isinstance(result, (list, tuple)) else [result]
    return [array.detach().numpy() for array in several]

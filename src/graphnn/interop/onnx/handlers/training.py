"""Training inside a model: derivatives, and steps of optimisers."""

from __future__ import annotations

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.node import Node
from graphnn.ir.rebuild import substitute

_DOMAIN = "ai.onnx.preview.training"


@onnx_op("Gradient", domain=_DOMAIN)
def gradient(call: Call, *inputs: Node) -> tuple[Node, ...]:
    """The derivatives of the value y by the values xs, where xs and zs are replaced by the inputs."""
    xs, zs = call.texts("xs"), call.texts("zs", ())
    if len(inputs) != len(xs) + len(zs):
        raise call.error(f"{len(inputs)} inputs for {len(xs)} names in xs and {len(zs)} in zs")
    y = call.named(call.text("y"))
    places = [call.named(name) for name in (*xs, *zs)]
    if len(set(places)) < len(places):
        raise call.error("a value is named twice in xs and zs")
    # Where an input is another value than the one it stands for, y is computed anew from it.
    replaced = {place: given for place, given in zip(places, inputs, strict=True) if place is not given}
    if replaced:
        (y,) = substitute([y], replaced)
    (*pulled,) = gn.vjp(y, list(inputs[: len(xs)]), gn.ones(y.shape, dtype=y.dtype))
    return tuple(pulled)


def _groups(call: Call, inputs: tuple[Node, ...], parts: int) -> list[tuple[Node, ...]]:
    """The optimised values, their gradients and their states: (x, g, ...) for each."""
    if not inputs or len(inputs) % parts:
        raise call.error(f"{len(inputs)} inputs are not divided by {parts}")
    count = len(inputs) // parts
    return [inputs[i::count] for i in range(count)]


def _weights(call: Call, x: Node, g: Node) -> Node:
    decay = call.number("norm_coefficient", 0.0)
    return g if decay == 0 else g + decay * x


@onnx_op("Adagrad", domain=_DOMAIN)
def adagrad(call: Call, rate: Node, step: Node, *inputs: Node) -> tuple[Node, ...]:
    """One step of Adagrad: new values, then new sums of squares."""
    epsilon, decay = call.number("epsilon", 1e-6), call.number("decay_factor", 0.0)
    values, sums = [], []
    for x, g, total in _groups(call, inputs, 3):
        g = _weights(call, x, g)
        slower = rate / (1 + decay * step.astype(rate.dtype))
        squares = total + gn.square(g)
        values.append(x - slower.astype(x.dtype) * g / (gn.sqrt(squares) + epsilon))
        sums.append(squares)
    return (*values, *sums)


@onnx_op("Momentum", domain=_DOMAIN)
def momentum(call: Call, rate: Node, step: Node, *inputs: Node) -> tuple[Node, ...]:
    """One step of gradient descent with momentum, or with that of Nesterov: new values, then new velocities."""
    alpha, beta, mode = call.number("alpha"), call.number("beta"), call.text("mode")
    if mode not in ("standard", "nesterov"):
        raise call.error(f"mode is standard or nesterov, not {mode!r}")
    values, velocities = [], []
    for x, g, velocity in _groups(call, inputs, 3):
        g = _weights(call, x, g)
        weight = gn.where(step > 0, beta, 1.0).astype(x.dtype)  # the first gradient counts in full
        after = alpha * velocity + weight * g
        values.append(x - rate.astype(x.dtype) * (g + alpha * after if mode == "nesterov" else after))
        velocities.append(after)
    return (*values, *velocities)


@onnx_op("Adam", domain=_DOMAIN)
def adam(call: Call, rate: Node, step: Node, *inputs: Node) -> tuple[Node, ...]:
    """One step of Adam: new values, then new means and new means of squares."""
    alpha, beta, epsilon = call.number("alpha", 0.9), call.number("beta", 0.999), call.number("epsilon", 1e-6)
    after = call.number("norm_coefficient_post", 0.0)
    values, means, squares = [], [], []
    for x, g, mean, square in _groups(call, inputs, 4):
        g = _weights(call, x, g)
        first = alpha * mean + (1 - alpha) * g
        second = beta * square + (1 - beta) * gn.square(g)
        t = step.astype(x.dtype)
        corrected = gn.sqrt(1 - beta**t) / (1 - alpha**t)
        pace = rate.astype(x.dtype) * gn.where(step > 0, corrected, 1.0).astype(x.dtype)
        moved = x - pace * first / (gn.sqrt(second) + epsilon)
        values.append((1 - after) * moved)
        means.append(first)
        squares.append(second)
    return (*values, *means, *squares)

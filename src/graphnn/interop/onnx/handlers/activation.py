"""Activation functions, and the exponentials normalised along an axis."""

from __future__ import annotations

from collections.abc import Callable

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.dims import product
from graphnn.ir.node import Node
from graphnn.ir.spec import normalize_axis


@onnx_op("Relu")
def relu(call: Call, x: Node) -> Node:
    """max(x, 0)"""
    return gn.relu(x)


@onnx_op("LeakyRelu")
def leaky_relu(call: Call, x: Node) -> Node:
    """X, or alpha x below 0."""
    return gn.leaky_relu(x, negative_slope=call.number("alpha", 0.01))


@onnx_op("PRelu")
def prelu(call: Call, x: Node, slope: Node) -> Node:
    """X, or slope x below 0; before version 7 a vector of slopes belongs to axis 1."""
    if call.opset < 7 and slope.ndim == 1 and x.ndim > 2:
        slope = gn.reshape(slope, (slope.shape[0], *[1] * (x.ndim - 2)))
    if x.dtype.is_floating:
        return gn.prelu(x, slope)
    return gn.where(x > 0, x, slope * x)


@onnx_op("ThresholdedRelu")
def thresholded_relu(call: Call, x: Node) -> Node:
    """X above alpha, else 0."""
    return gn.where(x > call.number("alpha", 1.0), x, 0)


@onnx_op("Elu")
def elu(call: Call, x: Node) -> Node:
    """X, or alpha (exp(x) - 1) below 0."""
    return gn.elu(x, alpha=call.number("alpha", 1.0))


@onnx_op("Celu")
def celu(call: Call, x: Node) -> Node:
    """X, or alpha (exp(x / alpha) - 1) below 0."""
    return gn.celu(x, alpha=call.number("alpha", 1.0))


@onnx_op("Selu")
def selu(call: Call, x: Node) -> Node:
    """Gamma times elu; the constants that keep mean and variance are those of gn.selu."""
    early = call.opset < 6
    alpha = call.number("alpha", 1.6732 if early else 1.67326319217681884765625)
    gamma = call.number("gamma", 1.0507 if early else 1.05070102214813232421875)
    if (alpha, gamma) == (1.67326319217681884765625, 1.05070102214813232421875):
        return gn.selu(x)
    return gamma * gn.elu(x, alpha=alpha)


@onnx_op("Sigmoid")
def sigmoid(call: Call, x: Node) -> Node:
    """1 / (1 + exp(-x))"""
    return gn.sigmoid(x)


@onnx_op("HardSigmoid")
def hard_sigmoid(call: Call, x: Node) -> Node:
    """alpha x + beta, held between 0 and 1."""
    return gn.hard_sigmoid(x, slope=call.number("alpha", 0.2), offset=call.number("beta", 0.5))


@onnx_op("HardSwish")
def hard_swish(call: Call, x: Node) -> Node:
    """X times its hard sigmoid."""
    return gn.hard_swish(x)


@onnx_op("Softplus")
def softplus(call: Call, x: Node) -> Node:
    """log(1 + exp(x))"""
    return gn.softplus(x)


@onnx_op("Softsign")
def softsign(call: Call, x: Node) -> Node:
    """x / (1 + |x|)"""
    return gn.softsign(x)


@onnx_op("Mish")
def mish(call: Call, x: Node) -> Node:
    """X tanh(softplus(x))."""
    return gn.mish(x)


@onnx_op("Swish")
def swish(call: Call, x: Node) -> Node:
    """X sigmoid(alpha x)."""
    alpha = call.number("alpha", 1.0)
    return gn.silu(x) if alpha == 1.0 else x * gn.sigmoid(alpha * x)


@onnx_op("SwiGLU")
def swiglu(call: Call, gate: Node, value: Node) -> Node:
    """The swish of a gate, times a value of the same shape."""
    if gate.shape != value.shape:
        raise call.error(f"the gate {gate.spec} and the value {value.spec} have one shape")
    return swish(call, gate) * value


@onnx_op("Gelu")
def gelu(call: Call, x: Node) -> Node:
    """X times the normal distribution function, or its approximation by tanh."""
    approximate = call.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise call.error(f"approximate is none or tanh, not {approximate!r}")
    return gn.gelu(x, approximate=approximate)


@onnx_op("Shrink")
def shrink(call: Call, x: Node) -> Node:
    """X moved towards 0 by bias; 0 within lambd."""
    bias, width = call.number("bias", 0.0), call.number("lambd", 0.5)
    if x.dtype.is_floating:
        return gn.where(x < -width, x + bias, gn.where(x > width, x - bias, 0))
    wide = x.astype("float64")
    return gn.where(wide < -width, wide + bias, gn.where(wide > width, wide - bias, 0)).astype(x.dtype)


def hardmax_along(x: Node, axis: int = -1) -> Node:
    """1 for the first largest element along an axis, else 0."""
    place = normalize_axis("Hardmax", axis, x.ndim)
    first = gn.argmax(x, axis=place, keepdims=True)
    shape = [1] * x.ndim
    shape[place] = -1
    return (gn.reshape(gn.arange(x.shape[place]), shape) == first).astype(x.dtype)


def along_axis(function: Callable[..., Node]) -> tuple[Callable[..., Node], Callable[..., Node]]:
    """Two handlers: before version 13, all axes from `axis` on counted as one."""

    def flattened(call: Call, x: Node) -> Node:
        axis = normalize_axis(call.op, call.integer("axis", 1), max(x.ndim, 1))
        table = gn.reshape(x, (product(x.shape[:axis]), product(x.shape[axis:])))
        return gn.reshape(function(table, axis=-1), x.shape)

    def handler(call: Call, x: Node) -> Node:
        return function(x, axis=call.integer("axis", -1))

    return flattened, handler


_NORMALISED: dict[str, Callable[..., Node]] = {
    "Softmax": gn.softmax,
    "LogSoftmax": gn.log_softmax,
    "Hardmax": hardmax_along,
}
for _name, _function in _NORMALISED.items():
    _early, _late = along_axis(_function)
    onnx_op(_name)(_early)
    onnx_op(_name, since=13)(_late)

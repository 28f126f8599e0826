"""Element-wise arithmetic, comparison, logic and bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import graphnn as gn
from graphnn.interop.onnx.registry import Call, onnx_op
from graphnn.ir.node import Node


def aligned(call: Call, x: Node, y: Node) -> tuple[Node, Node]:
    """The operands as today's broadcasting wants them: before version 7, y said where it begins."""
    if call.opset >= 7:
        return x, y
    if not call.flag("broadcast"):
        if x.shape != y.shape:
            raise call.error(f"shapes {x.spec} and {y.spec} differ, and broadcast is not set")
        return x, y
    axis = call.integer("axis", x.ndim - y.ndim)
    axis = axis + x.ndim if axis < 0 else axis
    after = x.ndim - y.ndim - axis
    if axis < 0 or after < 0:
        raise call.error(f"{y.spec} does not fit {x.spec} from axis {axis} on")
    return x, gn.reshape(y, (*y.shape, *[1] * after))


def binary(function: Callable[..., Node]) -> Callable[..., Node]:
    """The handler of an operation with two operands."""

    def handler(call: Call, x: Node, y: Node) -> Node:
        return function(*aligned(call, x, y))

    return handler


def unary(function: Callable[..., Node]) -> Callable[..., Node]:
    """The handler of an operation with one operand."""

    def handler(call: Call, x: Node) -> Node:
        return function(x)

    return handler


for _name, _function in {
    "Add": gn.add,
    "Sub": gn.subtract,
    "Mul": gn.multiply,
    "And": gn.logical_and,
    "Or": gn.logical_or,
    "Xor": gn.logical_xor,
    "Equal": gn.equal,
    "Greater": gn.greater,
    "GreaterOrEqual": gn.greater_equal,
    "Less": gn.less,
    "LessOrEqual": gn.less_equal,
    "BitwiseAnd": gn.bitwise_and,
    "BitwiseOr": gn.bitwise_or,
    "BitwiseXor": gn.bitwise_xor,
}.items():
    onnx_op(_name)(binary(_function))

for _name, _single in {
    "Abs": gn.abs,
    "Neg": gn.negative,
    "Sign": gn.sign,
    "Reciprocal": gn.reciprocal,
    "Floor": gn.floor,
    "Ceil": gn.ceil,
    "Round": gn.round,
    "Sqrt": gn.sqrt,
    "Exp": gn.exp,
    "Log": gn.log,
    "Erf": gn.erf,
    "Sin": gn.sin,
    "Cos": gn.cos,
    "Tan": gn.tan,
    "Asin": gn.asin,
    "Acos": gn.acos,
    "Atan": gn.atan,
    "Sinh": gn.sinh,
    "Cosh": gn.cosh,
    "Tanh": gn.tanh,
    "Asinh": gn.asinh,
    "Acosh": gn.acosh,
    "Atanh": gn.atanh,
    "Not": gn.logical_not,
    "BitwiseNot": gn.bitwise_invert,
    "IsNaN": gn.isnan,
}.items():
    onnx_op(_name)(unary(_single))


@onnx_op("Div")
def div(call: Call, x: Node, y: Node) -> Node:
    """Quotients; those of integers are truncated."""
    x, y = aligned(call, x, y)
    if x.dtype.is_floating:
        return gn.divide(x, y)
    quotient = gn.floor_divide(x, y)
    if x.dtype.kind == "uint":
        return quotient
    # Rounded down is not truncated where the signs differ and something is left over.
    up = ((x < 0) ^ (y < 0)) & (x - quotient * y != 0)
    return quotient + up.astype(x.dtype)


@onnx_op("Mod")
def mod(call: Call, x: Node, y: Node) -> Node:
    """What is left of a division: with the sign of y, or that of x for fmod=1."""
    if not call.flag("fmod"):
        if x.dtype.is_floating and call.opset < 28:
            raise call.error("floating-point operands need fmod=1")
        return gn.remainder(x, y)
    if x.dtype.is_floating:  # of magnitudes it is exact
        return gn.copysign(gn.remainder(gn.abs(x), gn.abs(y)), x)
    rest = gn.remainder(x, y)
    return rest if x.dtype.kind == "uint" else gn.where((rest != 0) & ((x < 0) ^ (rest < 0)), rest - y, rest)


@onnx_op("Pow")
def power(call: Call, x: Node, y: Node) -> Node:
    """Powers in the data type of the base."""
    x, y = aligned(call, x, y)
    if x.dtype is y.dtype:
        return gn.pow(x, y)
    if x.dtype.is_floating:
        return gn.pow(x, y.astype(x.dtype))
    if y.dtype.is_floating:
        return gn.pow(x.astype("float64"), y.astype("float64")).astype(x.dtype)
    return gn.pow(x, y.astype(x.dtype))


@onnx_op("BitShift")
def bit_shift(call: Call, x: Node, y: Node) -> Node:
    """Bits moved up or down."""
    direction = call.text("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise call.error(f"direction is LEFT or RIGHT, not {direction!r}")
    return gn.bitwise_left_shift(x, y) if direction == "LEFT" else gn.bitwise_right_shift(x, y)


@onnx_op("IsInf")
def is_inf(call: Call, x: Node) -> Node:
    """Infinities of the signs asked for."""
    positive, negative = call.flag("detect_positive", True), call.flag("detect_negative", True)
    if positive and negative:
        return gn.isinf(x)
    if not positive and not negative:
        return gn.full(x.shape, False)
    return gn.isinf(x) & (x > 0 if positive else x < 0)


def variadic(function: Callable[..., Node]) -> Callable[..., Node]:
    """The handler of an operation with any number of operands."""

    def handler(call: Call, *inputs: Node) -> Node:
        return reduce(function, inputs)

    return handler


onnx_op("Max")(variadic(gn.maximum))
onnx_op("Min")(variadic(gn.minimum))
onnx_op("Sum")(variadic(gn.add))


@onnx_op("Mean")
def mean(call: Call, *inputs: Node) -> Node:
    """The mean of several arrays, element by element."""
    return reduce(gn.add, inputs) / len(inputs)


@onnx_op("Clip")
def clip_by_attributes(call: Call, x: Node) -> Node:
    """min(max(x, low), high), with bounds in the file."""
    lowest, highest = -3.4028234663852886e38, 3.4028234663852886e38  # the default: the range of float32
    low, high = call.number("min", lowest), call.number("max", highest)
    return gn.clip(x, None if low <= lowest else low, None if high >= highest else high)


@onnx_op("Clip", since=11)
def clip(call: Call, x: Node, low: Node | None = None, high: Node | None = None) -> Node:
    """min(max(x, low), high); each bound may be left out."""
    if low is not None and high is not None:
        return gn.clip(x, low, high)
    if low is not None:
        return gn.maximum(x, low)
    return x if high is None else gn.minimum(x, high)


@onnx_op("Where")
def where(call: Call, condition: Node, x: Node, y: Node) -> Node:
    """X where the condition holds, else y."""
    return gn.where(condition, x, y)


@onnx_op("Identity")
def identity(call: Call, x: Node) -> Node:
    """The same value."""
    return x

"""One form for what can be written in several: needless casts and copies go, numbers stand on the right. All exact."""

from __future__ import annotations

import functools

import numpy as np

from graphnn.ir.dtype import DType, bfloat16, float16, float32, float64
from graphnn.ir.leaves import Constant, Payload
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.ops.arithmetic import Add, Multiply, positive
from graphnn.ops.bitwise import Astype, StopGradient, astype, stop_gradient
from graphnn.ops.comparison import Equal, NotEqual
from graphnn.ops.movement import broadcast_to
from graphnn.rewrite.pattern import var
from graphnn.rewrite.rule import group, rewrites, rule

_x = var("x")


@rewrites(
    Add, Multiply, Equal, NotEqual, reading=Constant, example=lambda x: (Add()(_number(2.0), x), Add()(x, _number(2.0)))
)
def numbers_right(node: Node) -> Node | None:
    """2 + x -> x + 2"""
    left, right = node.inputs
    if isinstance(left.op, Constant) and not isinstance(right.op, Constant):
        return node.op(right, left)
    return None


def _number(value: float) -> Node:
    return Constant(Payload(np.asarray(value)))()


@rewrites(
    Astype,
    reading=Astype,
    example=lambda x=Spec((2, 3), float32): (astype(astype(x, float64), float32), x),
)
def cast_of_cast(node: Node) -> Node | None:
    """x.astype(wide).astype(t) -> x.astype(t), where the first cast loses nothing"""
    (middle,) = node.inputs
    if not isinstance(middle.op, Astype):
        return None
    (x,) = middle.inputs
    if not is_lossless(x.dtype, middle.dtype):
        return None
    # What an integer becomes of a float that it cannot hold is up to the processor, and may differ with the width.
    if node.dtype.is_integer and middle.dtype.is_floating and node.dtype is not x.dtype:
        return None
    return astype(x, node.dtype)


@rewrites(Astype, example=lambda x: (Astype(float64)(x), x))
def cast_to_itself(node: Node) -> Node | None:
    """x.astype(t) -> x, where x is of the type t"""
    (x,) = node.inputs
    return x if x.dtype is node.dtype else None


_DIGITS = {float16: 11, bfloat16: 8, float32: 24, float64: 53}  # of the significand, in bits


@functools.cache
def is_lossless(a: DType, b: DType) -> bool:
    """Whether every value of the data type a is one of b."""
    if a is b or a.kind == "bool":
        return True
    if a.is_floating:
        # bfloat16 has the range of float32, float16 more digits and less range.
        return b.is_floating and a.bits < b.bits
    width = a.bits - (a.kind == "int")  # without the sign
    if b.is_integer:
        return width <= b.bits - (b.kind == "int") and not (a.kind == "int" and b.kind == "uint")
    return b.is_floating and width <= _DIGITS[b]


@rewrites(Constant, example=lambda: (_full(), broadcast_to(_number(2.0), (2, 3))))
def number_for_array(node: Node) -> Node | None:
    """A constant array of equal numbers -> one number, repeated"""
    assert isinstance(node.op, Constant)
    array = node.op.payload.array
    if array.ndim == 0 or array.size == 0:
        return None
    bits = array.reshape(-1).view(f"u{array.itemsize}")
    if (bits != bits[0]).any():
        return None
    return broadcast_to(Constant(Payload(array.reshape(-1)[0]))(), array.shape)


def _full() -> Node:
    return Constant(Payload(np.full((2, 3), 2.0)))()


@rewrites(StopGradient, gradients=False, example=lambda x: (stop_gradient(x), x))
def stop_gradient_is_over(node: Node) -> Node | None:
    """stop_gradient(x) -> x, as all derivatives have been taken"""
    return node.inputs[0]


CANONICAL = group(
    "canonical",
    rule("positive", positive(_x), _x, example=lambda x: (positive(x), x)),
    cast_to_itself,
    cast_of_cast,
    number_for_array,
    numbers_right,
    stop_gradient_is_over,
)

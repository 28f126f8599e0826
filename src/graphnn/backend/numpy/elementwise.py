"""Kernels of the element-wise operations: mostly one ufunc each."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn.backend.numpy.lower import Kernel, in_float32, lower
from graphnn.errors import LoweringError
from graphnn.ir.node import Node
from graphnn.ir.op import Elementwise
from graphnn.ops import arithmetic, bitwise, comparison, exponential, random, trigonometric
from graphnn.ops.comparison import Where
from graphnn.ops.exponential import scalar_value

UFUNCS: dict[type[Any], Any] = {
    arithmetic.Add: np.add,
    arithmetic.Subtract: np.subtract,
    arithmetic.Multiply: np.multiply,
    arithmetic.Divide: np.divide,
    arithmetic.FloorDivide: np.floor_divide,
    arithmetic.Remainder: np.remainder,
    arithmetic.Negative: np.negative,
    arithmetic.Positive: np.positive,
    arithmetic.Abs: np.absolute,
    arithmetic.Sign: np.sign,
    arithmetic.Square: np.square,
    arithmetic.Reciprocal: np.reciprocal,
    arithmetic.Maximum: np.maximum,
    arithmetic.Minimum: np.minimum,
    arithmetic.Clip: np.clip,
    arithmetic.Hypot: np.hypot,
    arithmetic.Copysign: np.copysign,
    exponential.Exp: np.exp,
    exponential.Exp2: np.exp2,
    exponential.Expm1: np.expm1,
    exponential.Log: np.log,
    exponential.Log1p: np.log1p,
    exponential.Log2: np.log2,
    exponential.Log10: np.log10,
    exponential.Logaddexp: np.logaddexp,
    exponential.Sqrt: np.sqrt,
    trigonometric.Sin: np.sin,
    trigonometric.Cos: np.cos,
    trigonometric.Tan: np.tan,
    trigonometric.Asin: np.arcsin,
    trigonometric.Acos: np.arccos,
    trigonometric.Atan: np.arctan,
    trigonometric.Sinh: np.sinh,
    trigonometric.Cosh: np.cosh,
    trigonometric.Tanh: np.tanh,
    trigonometric.Asinh: np.arcsinh,
    trigonometric.Acosh: np.arccosh,
    trigonometric.Atanh: np.arctanh,
    trigonometric.Atan2: np.arctan2,
    bitwise.BitwiseAnd: np.bitwise_and,
    bitwise.BitwiseOr: np.bitwise_or,
    bitwise.BitwiseXor: np.bitwise_xor,
    bitwise.BitwiseInvert: np.bitwise_not,
    bitwise.BitwiseLeftShift: np.left_shift,
    bitwise.BitwiseRightShift: np.right_shift,
    comparison.Equal: np.equal,
    comparison.NotEqual: np.not_equal,
    comparison.Less: np.less,
    comparison.LessEqual: np.less_equal,
    comparison.Greater: np.greater,
    comparison.GreaterEqual: np.greater_equal,
    comparison.LogicalAnd: np.logical_and,
    comparison.LogicalOr: np.logical_or,
    comparison.LogicalXor: np.logical_xor,
    comparison.LogicalNot: np.logical_not,
    comparison.Isnan: np.isnan,
    comparison.Isinf: np.isinf,
    comparison.Isfinite: np.isfinite,
    comparison.Signbit: np.signbit,
}

_ROUNDING: dict[type[Any], Any] = {
    arithmetic.Floor: np.floor,
    arithmetic.Ceil: np.ceil,
    arithmetic.Trunc: np.trunc,
    arithmetic.Round: np.rint,
}


def _ufunc(op: Elementwise, node: Node) -> Kernel:
    ufunc = UFUNCS[type(op)]
    count = getattr(ufunc, "nin", 3)  # np.clip is no ufunc
    if len(node.inputs) != count:  # NumPy would take one more for the array to write to
        raise LoweringError(f"{op.name} takes {count} operands, not {len(node.inputs)}", at=str(node.source or ""))
    return in_float32(ufunc, node)


def _rounding(op: Elementwise, node: Node) -> Kernel:
    # Integers are whole already; older NumPy would turn them into floats.
    return in_float32(_ROUNDING[type(op)], node) if node.dtype.is_floating else np.positive


for _class in UFUNCS:
    lower.register(_class, _ufunc)
for _class in _ROUNDING:
    lower.register(_class, _rounding)


@lower.register
def _(op: exponential.Pow, node: Node) -> Kernel:
    exponent = scalar_value(node.inputs[1])
    # The two powers that are much faster than the general one, with the same result.
    if exponent == 2.0 and node.inputs[0].dtype is node.dtype:
        return in_float32(lambda x, y: np.square(x), node)
    if exponent == 0.5 and node.dtype.is_floating and node.inputs[0].dtype is node.dtype:
        return in_float32(lambda x, y: np.where(x == -np.inf, np.inf, np.sqrt(x) + 0), node)
    return in_float32(np.power, node)


@lower.register
def _(op: arithmetic.Nextafter, node: Node) -> Kernel:
    return np.nextafter  # not through float32: what is next depends on the data type


@lower.register
def _(op: exponential.Erf, node: Node) -> Kernel:
    from scipy.special import erf

    return in_float32(erf, node, also_float16=True)


@lower.register
def _(op: Where, node: Node) -> Kernel:
    dtype = node.dtype.numpy
    if all(n.dtype is node.dtype for n in node.inputs[1:]):
        return np.where

    return lambda c, x, y: np.where(c, np.asarray(x).astype(dtype), np.asarray(y).astype(dtype))


@lower.register
def _(op: bitwise.Astype, node: Node) -> Kernel:
    dtype = node.dtype.numpy
    return lambda x: np.asarray(x).astype(dtype)


@lower.register
def _(op: bitwise.StopGradient, node: Node) -> Kernel:
    return lambda x: x


@lower.register
def _(op: random.Advance, node: Node) -> Kernel:
    return lambda value, state, following: value

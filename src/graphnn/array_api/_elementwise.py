"""Functions of each element; their text is that of the operations of graphnn that they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphnn.array_api._array import Array, ArrayLike, apply, array_of, arrays_of, dtype_of, number, wrap
from graphnn.array_api._run import run
from graphnn.errors import DTypeError
from graphnn.functions.creation import zeros_like
from graphnn.ir.dtype import promote
from graphnn.ir.node import Node
from graphnn.ops import arithmetic, bitwise, comparison, exponential, trigonometric


def _first_paragraph(function: Callable[..., Any]) -> str:
    text = (function.__doc__ or "").split("\n\n")[0]
    return f"{text}\n\n    See `graphnn.{function.__name__}`."


def _unary(function: Callable[[Any], Node]) -> Callable[[Array], Array]:
    def made(x: Array, /) -> Array:
        return wrap(run(function, [array_of(name, x)])[0])

    name = made.__name__ = made.__qualname__ = function.__name__
    made.__doc__ = _first_paragraph(function)
    return made


def _binary(function: Callable[[Any, Any], Node]) -> Callable[[ArrayLike, ArrayLike], Array]:
    def made(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return apply(function, x1, x2)

    made.__name__ = made.__qualname__ = function.__name__
    made.__doc__ = _first_paragraph(function)
    return made


abs = _unary(arithmetic.abs)
acos = _unary(trigonometric.acos)
acosh = _unary(trigonometric.acosh)
add = _binary(arithmetic.add)
asin = _unary(trigonometric.asin)
asinh = _unary(trigonometric.asinh)
atan = _unary(trigonometric.atan)
atan2 = _binary(trigonometric.atan2)
atanh = _unary(trigonometric.atanh)
bitwise_and = _binary(bitwise.bitwise_and)
bitwise_invert = _unary(bitwise.bitwise_invert)
bitwise_left_shift = _binary(bitwise.bitwise_left_shift)
bitwise_or = _binary(bitwise.bitwise_or)
bitwise_right_shift = _binary(bitwise.bitwise_right_shift)
bitwise_xor = _binary(bitwise.bitwise_xor)
ceil = _unary(arithmetic.ceil)
copysign = _binary(arithmetic.copysign)
cos = _unary(trigonometric.cos)
cosh = _unary(trigonometric.cosh)
divide = _binary(arithmetic.divide)
equal = _binary(comparison.equal)
exp = _unary(exponential.exp)
expm1 = _unary(exponential.expm1)
floor = _unary(arithmetic.floor)
floor_divide = _binary(arithmetic.floor_divide)
greater = _binary(comparison.greater)
greater_equal = _binary(comparison.greater_equal)
hypot = _binary(arithmetic.hypot)
isfinite = _unary(comparison.isfinite)
isinf = _unary(comparison.isinf)
isnan = _unary(comparison.isnan)
less = _binary(comparison.less)
less_equal = _binary(comparison.less_equal)
log = _unary(exponential.log)
log1p = _unary(exponential.log1p)
log2 = _unary(exponential.log2)
log10 = _unary(exponential.log10)
logaddexp = _binary(exponential.logaddexp)
logical_and = _binary(comparison.logical_and)
logical_not = _unary(comparison.logical_not)
logical_or = _binary(comparison.logical_or)
logical_xor = _binary(comparison.logical_xor)
maximum = _binary(arithmetic.maximum)
minimum = _binary(arithmetic.minimum)
multiply = _binary(arithmetic.multiply)
negative = _unary(arithmetic.negative)
nextafter = _binary(arithmetic.nextafter)
not_equal = _binary(comparison.not_equal)
positive = _unary(arithmetic.positive)
pow = _binary(exponential.pow)
reciprocal = _unary(arithmetic.reciprocal)
remainder = _binary(arithmetic.remainder)
round = _unary(arithmetic.round)
sign = _unary(arithmetic.sign)
signbit = _unary(comparison.signbit)
sin = _unary(trigonometric.sin)
sinh = _unary(trigonometric.sinh)
sqrt = _unary(exponential.sqrt)
square = _unary(arithmetic.square)
subtract = _binary(arithmetic.subtract)
tan = _unary(trigonometric.tan)
tanh = _unary(trigonometric.tanh)
trunc = _unary(arithmetic.trunc)


def clip(x: Array, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """x, but at least `min` and at most `max`, in the data type of x; None stands for no bound.

    See `graphnn.clip`.
    """
    array = array_of("clip", x)
    dtype = dtype_of(array)
    bounds = []
    for bound in (min, max):
        if isinstance(bound, Array) and promote(dtype, bound.dtype) is not dtype:
            raise DTypeError(f"clip: {dtype} cannot hold all of {bound.dtype}", "Cast the bounds to the type of x.")
        if bound is not None:
            bounds.append(array_of("clip", bound) if isinstance(bound, Array) else number("clip", bound, dtype))
    return wrap(run(_clip, [array, *bounds], has_min=min is not None, has_max=max is not None)[0])


def _clip(x: Node, *bounds: Node, has_min: bool, has_max: bool) -> Node:
    if not bounds:
        return arithmetic.positive(x)
    bounds = tuple(bound.astype(x.dtype) for bound in bounds)
    return arithmetic.clip(x, bounds[0] if has_min else None, bounds[-1] if has_max else None)


def conj(x: Array, /) -> Array:
    """The complex conjugate: x itself, for graphnn's numbers are real."""
    return positive(x)


def real(x: Array, /) -> Array:
    """The real part: x itself, for graphnn's numbers are real."""
    return positive(x)


def imag(x: Array, /) -> Array:
    """The imaginary part: zeros, for graphnn's numbers are real."""
    return wrap(run(_imaginary, arrays_of("imag", x))[0])


def _imaginary(x: Node) -> Node:
    arithmetic.positive(x)  # a bool has no imaginary part
    return zeros_like(x)

"""Means, variances, norms and the sums in the logarithmic domain."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphnn.errors import DTypeError
from graphnn.functions.creation import size_node
from graphnn.ir.dims import product
from graphnn.ir.dtype import float32
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent
from graphnn.ir.spec import normalize_axes
from graphnn.ops.arithmetic import abs, square
from graphnn.ops.bitwise import astype, stop_gradient
from graphnn.ops.comparison import isfinite, where
from graphnn.ops.composite import composite
from graphnn.ops.exponential import exp, log, pow, sqrt
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Reshape, broadcast_to
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import max, min, reduced_shape, sum

Axes = int | Sequence[int] | None


@composite(latex=r"\operatorname{{mean}}_{{{axis}}}\left({0}\right)")
def mean(x: Operand, /, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """Arithmetic mean ``sum(x) / n`` over the given axes, or over all; NaN for n = 0.

    >>> gn.evaluate(gn.mean([[1.0, 2.0], [3.0, 5.0]], axis=0))
    array([2. , 3.5], dtype=float32)
    """
    node = as_node(x)
    if not node.dtype.is_floating:
        raise DTypeError(f"mean takes floating-point arrays, not {node.dtype}", "Cast it: x.astype('float32').mean().")
    if node.dtype.bits == 16:  # neither the sum nor the number of elements may overflow
        return astype(mean(astype(node, float32), axis, keepdims=keepdims), node.dtype)
    axes = normalize_axes("mean", axis, node.ndim)
    count = product(node.shape[i] for i in axes)
    return sum(node, axis=axes, keepdims=keepdims) / size_node(count, node.dtype)


@composite(latex=r"\operatorname{{var}}_{{{axis}}}\left({0}\right)")
def var(x: Operand, /, axis: Axes = None, *, correction: float = 0.0, keepdims: bool = False) -> Node:
    """Variance ``sum((x - mean(x))**2) / (n - correction)``; ``correction=1`` for the unbiased estimate of a sample.

    >>> gn.evaluate(gn.var([1.0, 2.0, 3.0])).round(4)
    np.float32(0.6667)
    """
    node = as_node(x)
    check_kind("var", "floating-point", (node.dtype,))
    if node.dtype.bits == 16:
        wide = astype(node, float32)
        return astype(var(wide, axis, correction=correction, keepdims=keepdims), node.dtype)
    axes = normalize_axes("var", axis, node.ndim)
    count = size_node(product(node.shape[i] for i in axes), node.dtype)
    deviation = node - mean(node, axis=axes, keepdims=True)
    divisor = count - correction if correction else count
    return sum(square(deviation), axis=axes, keepdims=keepdims) / divisor


@composite(latex=r"\operatorname{{std}}_{{{axis}}}\left({0}\right)")
def std(x: Operand, /, axis: Axes = None, *, correction: float = 0.0, keepdims: bool = False) -> Node:
    """Standard deviation ``sqrt(var(x))``. Where all elements are equal, where it has a kink, its derivative is 0.

    >>> gn.evaluate(gn.std([1.0, 2.0, 3.0])).round(4)
    np.float32(0.8165)
    """
    variance = var(x, axis=axis, correction=correction, keepdims=keepdims)
    return where(variance != 0, sqrt(variance), variance)  # the root of 0 has no derivative; the variance has, and is 0


def _spread(value: Node, x: Node, axes: tuple[int, ...]) -> Node:
    return broadcast_to(Reshape(reduced_shape(x.shape, axes, True))(value), x.shape)


@composite(latex=r"\left\lVert {0} \right\rVert_{{{ord}}}")
def vector_norm(x: Operand, /, axis: Axes = None, *, keepdims: bool = False, ord: float = 2.0) -> Node:
    """p-norm ``sum(abs(x)**ord)**(1/ord)`` over the given axes, or over all.

    ``ord=inf`` is the largest magnitude, ``ord=-inf`` the smallest, ``ord=0`` the number of elements that are not zero.
    At the zero vector, where the norm has a kink, its derivative is 0.

    >>> gn.evaluate(gn.vector_norm([3.0, 4.0]))
    array(5., dtype=float32)
    """
    node = as_node(x)
    check_kind("vector_norm", "floating-point", (node.dtype,))
    axes = normalize_axes("vector_norm", axis, node.ndim)
    if ord == math.inf:
        return max(abs(node), axis=axes, keepdims=keepdims)
    if ord == -math.inf:
        return min(abs(node), axis=axes, keepdims=keepdims)
    if ord == 0:
        return sum(astype(node != 0, node.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return sum(abs(node), axis=axes, keepdims=keepdims)
    if ord == 2:
        total = sum(square(node), axis=axes, keepdims=keepdims)
        # The root is asked only where it has a derivative; where not, the norm is 0 and so is its derivative.
        return where(total > 0, sqrt(total), total)
    total = sum(pow(abs(node), ord), axis=axes, keepdims=keepdims)
    return where(total > 0, pow(total, 1 / ord), total)


@composite(latex=r"\operatorname{{logsumexp}}_{{{axis}}}\left({0}\right)")
def logsumexp(x: Operand, /, axis: Axes = None, *, keepdims: bool = False) -> Node:
    """``log(sum(exp(x)))`` without overflow: the largest element is taken out first. -inf where all elements are.

    Its derivative is ``exp(x - logsumexp(x))``, which is softmax(x).

    >>> gn.evaluate(gn.logsumexp([1000.0, 1000.0])).round(2)
    np.float32(1000.69)
    """
    node = as_node(x)
    axes = normalize_axes("logsumexp", axis, node.ndim)
    top, weights = _weights(node, axes)
    total = log(sum(weights, axis=axes, keepdims=True)) + top
    return total if keepdims else Reshape(reduced_shape(node.shape, axes, False))(total)


def _weights(x: Node, axes: tuple[int, ...]) -> tuple[Node, Node]:
    """The largest element along axes, as a constant, and ``exp(x - largest)``, which cannot overflow."""
    top = max(x, axis=axes, keepdims=True)
    top = stop_gradient(where(isfinite(top), top, 0))
    return top, exp(x - top)


@logsumexp.rule
def _(g: Node, x: Node, *, out: Node, axis: Axes, keepdims: bool) -> tuple[Cotangent, ...]:
    # Not exp(x - out): far from 0 the rounding of out would cost digits of every weight.
    axes = normalize_axes("logsumexp", axis, x.ndim)
    _, weights = _weights(x, axes)
    total = sum(weights, axis=axes, keepdims=True)
    return (_spread(g, x, axes) * (weights / where(total == 0, 1, total)),)  # 0 only where all elements are -inf

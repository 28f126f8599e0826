"""Activation functions and the normalised exponentials. All are exact and free of overflow for any finite input."""

from __future__ import annotations

import math

from graphnn.errors import DTypeError, GraphError
from graphnn.ir.dtype import bool_
from graphnn.ir.node import Node
from graphnn.ir.op import Cotangent, Masked
from graphnn.ir.spec import normalize_axis
from graphnn.ops.arithmetic import abs, clip, maximum, minimum
from graphnn.ops.bitwise import stop_gradient
from graphnn.ops.comparison import where
from graphnn.ops.composite import composite
from graphnn.ops.exponential import erf, exp, expm1, log, log1p
from graphnn.ops.kinds import check_kind
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import max, sum
from graphnn.ops.trigonometric import tanh


@composite(latex=r"\operatorname{{relu}}\left({0}\right)", elementwise=True)
def relu(x: Operand, /) -> Node:
    """Rectified linear unit ``max(x, 0)``. Its derivative is 1 for x > 0, else 0, also at 0.

    >>> gn.evaluate(gn.relu([-1.0, 0.0, 2.0]))
    array([0., 0., 2.], dtype=float32)
    """
    return maximum(x, 0)


@relu.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    return (Masked(g, out > 0),)


@composite(latex=r"\operatorname{{leaky\_relu}}\left({0}\right)", elementwise=True)
def leaky_relu(x: Operand, /, *, negative_slope: float = 0.01) -> Node:
    """``x`` for x > 0, else ``negative_slope * x``; the derivative at 0 is the slope.

    Source: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> gn.evaluate(gn.leaky_relu([-1.0, 2.0]))
    array([-0.01,  2.  ], dtype=float32)
    """
    node = as_node(x)
    return where(node > 0, node, negative_slope * node)


@composite(latex=r"\operatorname{{elu}}\left({0}\right)", elementwise=True)
def elu(x: Operand, /, *, alpha: float = 1.0) -> Node:
    """Exponential linear unit: ``x`` for x > 0, else ``alpha * (exp(x) - 1)``.

    Source: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", 2016.

    >>> gn.evaluate(gn.elu([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ], dtype=float32)
    """
    node = as_node(x)
    return where(node > 0, node, alpha * expm1(minimum(node, 0)))


@elu.rule
def _(g: Node, x: Node, *, out: Node, alpha: float) -> tuple[Cotangent, ...]:
    return (g * where(x > 0, 1, alpha * exp(minimum_or_zero(x))),)


def minimum_or_zero(x: Node) -> Node:
    """``x`` where it is not positive, else 0: with the derivative 1 at 0, where `minimum` has 1/2."""
    return where(x > 0, 0, x)


@composite(latex=r"\operatorname{{selu}}\left({0}\right)", elementwise=True)
def selu(x: Operand, /) -> Node:
    """Scaled exponential linear unit: ``s * x`` for x > 0, else ``s * a * (exp(x) - 1)``.

    The constants s = 1.0507009873554805 and a = 1.6732632423543772 keep mean 0 and variance 1.
    Source: Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", 2017.

    >>> gn.evaluate(gn.selu([-1.0, 2.0])).round(4)
    array([-1.1113,  2.1014], dtype=float32)
    """
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


@composite(latex=r"\sigma\left({0}\right)", elementwise=True)
def sigmoid(x: Operand, /) -> Node:
    """Logistic function ``1 / (1 + exp(-x))``, between 0 and 1. Its derivative is ``s * (1 - s)``.

    >>> gn.evaluate(gn.sigmoid([0.0, 2.0])).round(4)
    array([0.5   , 0.8808], dtype=float32)
    """
    node = as_node(x)
    small = exp(-abs(node))  # at most 1, so nothing overflows
    return where(node >= 0, 1, small) / (1 + small)


@sigmoid.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    return (g * (out * sigmoid(-x)),)  # 1 - s(x) is s(-x), without cancellation


@composite(latex=r"\operatorname{{silu}}\left({0}\right)", elementwise=True)
def silu(x: Operand, /) -> Node:
    """Sigmoid linear unit ``x * sigmoid(x)``, also known as swish.

    Source: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units for neural network function approximation", 2018.

    >>> gn.evaluate(gn.silu([0.0, 2.0])).round(4)
    array([0.    , 1.7616], dtype=float32)
    """
    node = as_node(x)
    return node * sigmoid(node)


@composite(latex=r"\operatorname{{softplus}}\left({0}\right)", elementwise=True)
def softplus(x: Operand, /) -> Node:
    """``log(1 + exp(x))``, a smooth relu. Its derivative is sigmoid(x).

    >>> gn.evaluate(gn.softplus([0.0, 1000.0])).round(4)
    array([6.931e-01, 1.000e+03], dtype=float32)
    """
    node = as_node(x)
    return maximum(node, 0) + log1p(exp(-abs(node)))


@softplus.rule
def _(g: Node, x: Node, *, out: Node) -> tuple[Cotangent, ...]:
    return (g * sigmoid(x),)


@composite(latex=r"\operatorname{{gelu}}\left({0}\right)", elementwise=True)
def gelu(x: Operand, /, *, approximate: str = "none") -> Node:
    """Gaussian error linear unit ``x * (1 + erf(x / sqrt(2))) / 2``, or its approximation by tanh.

    ``approximate="tanh"``: ``x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x**3)))``.
    Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016.

    >>> gn.evaluate(gn.gelu([0.0, 2.0])).round(4)
    array([0.    , 1.9545], dtype=float32)
    """
    node = as_node(x)
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (node + 0.044715 * (node * node * node))
        return 0.5 * node * (1 + tanh(inner))
    if approximate != "none":
        raise GraphError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r}")
    return 0.5 * node * (1 + erf(node * math.sqrt(0.5)))


@composite(latex=r"\operatorname{{prelu}}\left({0}, {1}\right)", elementwise=True)
def prelu(x: Operand, slope: Operand, /) -> Node:
    """``x`` for x > 0, else ``slope * x`` with a slope that is learned; the derivative by x at 0 is the slope.

    A slope for each channel is a vector where channels are last.

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.

    >>> gn.evaluate(gn.prelu([[-1.0, -1.0], [2.0, 2.0]], [0.5, 0.1]))
    array([[-0.5, -0.1],
           [ 2. ,  2. ]], dtype=float32)
    """
    node, factor = as_node(x), as_node(slope)
    return where(node > 0, node, factor * node)


@composite(latex=r"\operatorname{{celu}}\left({0}\right)", elementwise=True)
def celu(x: Operand, /, *, alpha: float = 1.0) -> Node:
    """``x`` for x > 0, else ``alpha * (exp(x / alpha) - 1)``: an `elu` whose derivative at 0 is 1 for every alpha.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    >>> gn.evaluate(gn.celu([-1.0, 2.0], alpha=2.0)).round(4)
    array([-0.7869,  2.    ], dtype=float32)
    """
    node = as_node(x)
    return where(node > 0, node, alpha * expm1(minimum_or_zero(node) / alpha))


@composite(latex=r"\operatorname{{mish}}\left({0}\right)", elementwise=True)
def mish(x: Operand, /) -> Node:
    """``x * tanh(softplus(x))``, smooth and not monotone.

    Source: Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.

    >>> gn.evaluate(gn.mish([0.0, 2.0])).round(4)
    array([0.   , 1.944], dtype=float32)
    """
    node = as_node(x)
    return node * tanh(softplus(node))


@composite(latex=r"\operatorname{{hard\_sigmoid}}\left({0}\right)", elementwise=True)
def hard_sigmoid(x: Operand, /, *, slope: float = 1 / 6, offset: float = 0.5) -> Node:
    """``min(max(slope * x + offset, 0), 1)``, a sigmoid of three straight lines; the derivative at the bends is the slope.

    Source: Courbariaux, Bengio, David, "BinaryConnect", 2015; with the slope 1/6: Howard et al., "Searching for
    MobileNetV3", ICCV 2019.

    >>> gn.evaluate(gn.hard_sigmoid([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    return clip(slope * as_node(x) + offset, 0, 1)


@composite(latex=r"\operatorname{{hard\_swish}}\left({0}\right)", elementwise=True)
def hard_swish(x: Operand, /) -> Node:
    """``x * hard_sigmoid(x)``: 0 below -3, x above 3, and ``x * (x + 3) / 6`` between.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019.

    >>> gn.evaluate(gn.hard_swish([-4.0, 0.0, 3.0]))
    array([-0.,  0.,  3.], dtype=float32)
    """
    node = as_node(x)
    return node * hard_sigmoid(node)


@composite(latex=r"\operatorname{{softsign}}\left({0}\right)", elementwise=True)
def softsign(x: Operand, /) -> Node:
    """``x / (1 + abs(x))``, between -1 and 1. Its derivative is ``1 / (1 + abs(x))**2``, also at 0.

    Source: Turian, Bergstra, Bengio, "Quadratic features and deep architectures for chunking", 2009.

    >>> gn.evaluate(gn.softsign([-1.0, 0.0, 3.0]))
    array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    node = as_node(x)
    return node / (1 + abs(node))


@composite(latex=r"\operatorname{{softmax}}_{{{axis}}}\left({0}\right)")
def softmax(x: Operand, /, axis: int = -1) -> Node:
    """Normalised exponential ``exp(x) / sum(exp(x))`` along an axis: positive numbers that sum to 1.

    >>> gn.evaluate(gn.softmax([0.0, 1.0, 1000.0])).round(4)
    array([0., 0., 1.], dtype=float32)
    """
    node = as_node(x)
    place = normalize_axis("softmax", axis, node.ndim)
    weights = exp(node - stop_gradient(max(node, axis=place, keepdims=True)))
    return weights / sum(weights, axis=place, keepdims=True)


@softmax.rule
def _(g: Node, x: Node, *, out: Node, axis: int) -> tuple[Cotangent, ...]:
    weighted = g * out
    return (weighted - out * sum(weighted, axis=axis, keepdims=True),)


@composite(latex=r"\operatorname{{masked\_softmax}}_{{{axis}}}\left({0}, {1}\right)")
def masked_softmax(x: Operand, mask: Operand, /, axis: int = -1) -> Node:
    """The `softmax` of the elements where a mask is True, and 0 elsewhere; zeros where it is True for none.

    Parameters
    ----------
    x : floating-point; what is masked may be anything, also infinite or NaN
    mask : bool; it broadcasts to the shape of x

    Raises
    ------
    DTypeError
        If the mask is not bool.

    >>> gn.evaluate(
    ...     gn.masked_softmax([[0.0, 0.0, 9.0], [1.0, 2.0, 3.0]], [[True, True, False], [False] * 3])
    ... )
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 0. ]], dtype=float32)
    """
    node, allowed = as_node(x), as_node(mask)
    check_kind("masked_softmax", "floating-point", (node.dtype,))
    if allowed.dtype is not bool_:
        raise DTypeError(f"masked_softmax: the mask is bool, not {allowed.dtype}", "Cast it: mask.astype('bool').")
    place = normalize_axis("masked_softmax", axis, node.ndim)
    scores = where(allowed, node, -math.inf)
    # Of nothing at all the largest element is -inf: taken away from itself it would be no number.
    top = max(scores, axis=place, keepdims=True)
    weights = where(allowed, exp(scores - stop_gradient(where(top == -math.inf, 0, top))), 0)
    total = sum(weights, axis=place, keepdims=True)
    return weights / where(total == 0, 1, total)


@masked_softmax.rule
def _(g: Node, x: Node, mask: Node, *, out: Node, axis: int) -> tuple[Cotangent, ...]:
    weighted = g * out
    return weighted - out * sum(weighted, axis=axis, keepdims=True), None


@composite(latex=r"\operatorname{{log\_softmax}}_{{{axis}}}\left({0}\right)")
def log_softmax(x: Operand, /, axis: int = -1) -> Node:
    """``log(softmax(x)) = x - logsumexp(x)`` along an axis, without overflow.

    >>> gn.evaluate(gn.log_softmax([0.0, 1000.0]))
    array([-1000.,     0.], dtype=float32)
    """
    node = as_node(x)
    place = normalize_axis("log_softmax", axis, node.ndim)
    shifted = node - stop_gradient(max(node, axis=place, keepdims=True))
    # The largest of these is 0: the sum neither overflows nor vanishes, and is that of softmax.
    return shifted - log(sum(exp(shifted), axis=place, keepdims=True))


@log_softmax.rule
def _(g: Node, x: Node, *, out: Node, axis: int) -> tuple[Cotangent, ...]:
    return (g - exp(out) * sum(g, axis=axis, keepdims=True),)

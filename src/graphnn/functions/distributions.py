"""Random numbers of other distributions: made of one draw of uniform ones by the inverse of the distribution function.

All are computed in float64 and then rounded to the data type asked for. Location and scale may be nodes: the result is
``loc + scale * standard``, so derivatives by them are exact (the reparametrisation of Kingma and Welling, 2014).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphnn.errors import DifferentiationError, DTypeError, ShapeError
from graphnn.functions.sampling import below, fresh_bits
from graphnn.ir.dims import Dim, Size, as_size, product
from graphnn.ir.dtype import DEFAULT_FLOAT, DType, as_dtype, float64, int8, int64, result_dtype, uint64
from graphnn.ir.leaves import Constant, Iota, constant
from graphnn.ir.node import Node, explain
from graphnn.ir.spec import Shape, as_shape, broadcast, shape_text
from graphnn.ops.arithmetic import clip
from graphnn.ops.bitwise import StopGradient, astype
from graphnn.ops.comparison import where
from graphnn.ops.exponential import log, sqrt
from graphnn.ops.indexing import take, take_along_axis
from graphnn.ops.kinds import check_kind
from graphnn.ops.movement import Part, Reshape
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import argmax
from graphnn.ops.sorting import argsort
from graphnn.ops.special import erfinv


def normal(
    source: Node, shape: Any, *, loc: Operand = 0.0, scale: Operand = 1.0, draw: int = 0, dtype: Any = None
) -> Node:
    """Normally distributed numbers with the mean `loc` and the standard deviation `scale`.

    ``loc + scale * sqrt(2) * erfinv(2 u - 1)`` for u equally likely in (0, 1), which reaches 8.2 standard deviations.
    Source: Devroye, "Non-uniform random variate generation", 1986, II.2 (inversion).

    Parameters
    ----------
    source : a stream, which a compiled function then advances, or a fixed key as uint64[2]
    shape : the shape of the result, to which loc and scale are broadcast; sizes may be named
    loc, scale : numbers, arrays or nodes; the derivatives by them are 1 and ``(x - loc) / scale``
    draw : tells draws from one stream in one step apart; those with equal numbers are equal
    dtype : a floating-point type; that of loc and scale unless told, float32 if they are Python numbers

    Raises
    ------
    ShapeError
        If loc or scale does not broadcast to the shape.
    DTypeError
        If the data type is no floating-point type.

    >>> z = gn.evaluate(gn.normal(gn.stream(0), (1000,), loc=3.0))
    >>> bool(abs(z.mean() - 3.0) < 0.1), bool(abs(z.std() - 1.0) < 0.1)
    (True, True)
    """
    standard = math.sqrt(2.0) * erfinv(2.0 * _inside(source, shape, draw) - 1.0)
    return _placed("normal", standard, loc, scale, dtype)


def truncated_normal(
    source: Node,
    shape: Any,
    *,
    low: float = -2.0,
    high: float = 2.0,
    loc: Operand = 0.0,
    scale: Operand = 1.0,
    draw: int = 0,
    dtype: Any = None,
) -> Node:
    """Normally distributed numbers, of which only those from low to high standard deviations off `loc` can occur.

    ``loc + scale * sqrt(2) * erfinv(a + (b - a) u)``, ``a = erf(low / sqrt(2))``, ``b = erf(high / sqrt(2))``, for u equally
    likely in (0, 1). Source: Devroye, "Non-uniform random variate generation", 1986, II.2 (inversion).

    Parameters
    ----------
    low, high : Python numbers in standard deviations, infinite ones too; at least 2**-20 of all normal numbers must lie
        between them, so that float64 resolves them
    source, shape, loc, scale, draw, dtype : see `normal`

    >>> z = gn.evaluate(gn.truncated_normal(gn.stream(0), (1000,), scale=0.5))
    >>> bool(abs(z).max() <= 1.0)
    True
    """
    start, stop = math.erf(low / math.sqrt(2.0)), math.erf(high / math.sqrt(2.0))
    if not (stop - start) / 2 >= 2.0**-20:
        raise ShapeError(
            f"truncated_normal: too little of the normal distribution lies from low={low} to high={high}",
            "They are in standard deviations, low is the smaller one, and 2**-20 of all numbers must lie between them.",
        )
    share = start + (stop - start) * _inside(source, shape, draw)
    standard = math.sqrt(2.0) * erfinv(share)
    # The rounding of the last steps must not lead outside.
    return _placed("truncated_normal", clip(standard, low, high), loc, scale, dtype)


def exponential(source: Node, shape: Any, *, scale: Operand = 1.0, draw: int = 0, dtype: Any = None) -> Node:
    """Exponentially distributed numbers with the mean `scale`: ``-scale * log(u)`` for u equally likely in (0, 1).

    Source: Devroye, "Non-uniform random variate generation", 1986, II.2 (inversion).

    Parameters
    ----------
    scale : the mean, a number, an array or a node; the derivative by it is ``x / scale``
    source, shape, draw, dtype : see `normal`

    >>> t = gn.evaluate(gn.exponential(gn.stream(0), (1000,), scale=2.0))
    >>> bool(t.min() > 0), bool(1.8 < t.mean() < 2.2)
    (True, True)
    """
    return _placed("exponential", -log(_inside(source, shape, draw)), 0.0, scale, dtype)


def gumbel(
    source: Node, shape: Any, *, loc: Operand = 0.0, scale: Operand = 1.0, draw: int = 0, dtype: Any = None
) -> Node:
    """Gumbel distributed numbers: ``loc - scale * log(-log(u))`` for u equally likely in (0, 1).

    The largest of many numbers is distributed so. Source: Gumbel, "Statistics of extremes", 1958.

    Parameters
    ----------
    source, shape, loc, scale, draw, dtype : see `normal`

    >>> z = gn.evaluate(gn.gumbel(gn.stream(0), (1000,)))
    >>> bool(abs(z.mean() - 0.5772) < 0.15)
    True
    """
    return _placed("gumbel", _gumbel(source, shape, draw), loc, scale, dtype)


def gamma(
    source: Node, concentration: Operand, shape: Any, *, scale: Operand = 1.0, draw: int = 0, dtype: Any = None
) -> Node:
    """Gamma distributed numbers, of density ``x**(a-1) exp(-x / scale) / (gamma(a) scale**a)``, a the concentration.

    With ``d = a - 1/3`` a candidate is ``d v``, ``v = (1 + z / (3 sqrt(d)))**3`` for normal z. It is accepted with the
    probability ``exp(z**2 / 2 + d - d v + d log(v))``, in all ``exp(d) gamma(a) d**(1/2 - a) / sqrt(2 pi)``, which grows from
    0.951 at a = 1 to 1. Of 8 candidates the first accepted is taken; where none is, with a probability below 3e-11, v is 1.
    For a < 1 a number for a + 1 is multiplied by ``u**(1/a)``.
    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000.

    Parameters
    ----------
    concentration : broadcast to the shape: a positive number, an array of such, or a node under `stop_gradient`, for which
        the result is NaN where it is not positive
    scale : a number, an array or a node; the derivative by it is ``x / scale``
    source, shape, draw, dtype : see `normal`

    Raises
    ------
    DifferentiationError
        If the concentration is a node that could have a derivative: it has none here; see `stop_gradient`.

    >>> x = gn.evaluate(gn.gamma(gn.stream(0), 3.0, (1000,)))
    >>> bool(x.min() > 0), bool(2.8 < x.mean() < 3.2)
    (True, True)
    """
    sizes = as_shape(shape)
    wanted = _float_type("gamma", dtype, concentration, scale)
    node = as_node(concentration, float64)
    check_kind("gamma", "floating-point", (node.dtype,))
    if isinstance(node.op, Constant):
        if not (node.op.payload.array > 0).all():
            raise ShapeError("gamma: the concentration holds a number that is not positive")
    elif not isinstance(node.op, StopGradient):
        error = DifferentiationError(
            "gamma has no derivative by the concentration", "To take it as fixed: gn.stop_gradient(concentration)."
        )
        raise explain(error, (node,))
    a = _fitted("gamma", "concentration", astype(node, float64), sizes)
    d = where(a < 1.0, a + 1.0, a) - 1.0 / 3.0
    u = _inside(source, (2 * _ROUNDS + 1, *sizes), draw)
    z = math.sqrt(2.0) * erfinv(2.0 * u[:_ROUNDS] - 1.0)
    root = 1.0 + z / (3.0 * sqrt(d))
    v = where(root > 0.0, root, 1.0) ** 3
    accepted = (root > 0.0) & (log(u[_ROUNDS:-1]) < 0.5 * z * z + d * (1.0 - v + log(v)))
    first = argmax(astype(accepted, int8), axis=0, keepdims=True)
    picked = take_along_axis(where(accepted, v, 1.0), first, axis=0)[0]
    standard = d * picked * where(a < 1.0, u[-1] ** (1.0 / a), 1.0)
    if not isinstance(node.op, Constant):  # which has been checked
        standard = where(a > 0.0, standard, math.nan)
    return _placed("gamma", standard, 0.0, scale, wanted)


_ROUNDS = 8


def categorical(source: Node, logits: Operand, shape: Any = None, *, draw: int = 0) -> Node:
    """Random classes (int64), the class k with the probability ``softmax(logits)[k]``: ``argmax(logits + gumbel)``.

    Source: Maddison, Tarlow, Minka, "A* sampling", NeurIPS 2014 (the Gumbel-max trick). It has no derivative.

    Parameters
    ----------
    source : a stream, which a compiled function then advances, or a fixed key as uint64[2]
    logits : ``[..., classes]``, logarithms of the probabilities up to a constant; ``-inf`` is never chosen
    shape : the shape of the result, to which ``[...]`` is broadcast; that shape itself unless told
    draw : tells draws from one stream in one step apart; those with equal numbers are equal

    Raises
    ------
    ShapeError
        If logits are a scalar, or do not broadcast to the shape.

    >>> gn.evaluate(gn.categorical(gn.stream(0), [-np.inf, 0.0, -np.inf], (3,)))
    array([1, 1, 1])
    """
    node = as_node(logits, float64)
    check_kind("categorical", "floating-point", (node.dtype,))
    if node.ndim == 0:
        raise explain(
            ShapeError("categorical: the last axis of the logits counts the classes, a scalar has none"), (node,)
        )
    sizes = node.shape[:-1] if shape is None else as_shape(shape)
    whole = (*sizes, node.shape[-1])
    scores = _fitted("categorical", "logits", astype(node, float64), whole)
    return argmax(scores + _gumbel(source, whole, draw), axis=-1)


def choice(
    source: Node,
    x: Operand | Dim | str,
    shape: Any = (),
    *,
    replace: bool = True,
    p: Operand | None = None,
    draw: int = 0,
) -> Node:
    """Parts of x along its first axis, or of the numbers 0 ... x - 1 if x is a size, chosen at random.

    With replacement each is drawn by itself. Without, the parts are ordered by random bits, or by ``log(p) + gumbel`` where p
    is given, and the first taken: that is as if one after the other were drawn, by p among those that are left.
    Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", Information Processing Letters 97, 2006.

    Parameters
    ----------
    source : a stream, which a compiled function then advances, or a fixed key as uint64[2]
    x : ``[n, ...]``, or an int, a name or a `Dim` for the numbers 0 ... n - 1 (int64)
    shape : how many; the result has the shape ``[*shape, ...]``
    replace : whether a part may be chosen again
    p : ``[n]`` probabilities, or weights in proportion to them; equal unless told
    draw : tells draws from one stream in one step apart; those with equal numbers are equal

    Raises
    ------
    ShapeError
        If there is nothing to choose from, too little for a choice without replacement, or p does not fit x.

    >>> gn.evaluate(gn.choice(gn.stream(0), [5.0, 6.0, 7.0], (3,), replace=False))
    array([5., 7., 6.], dtype=float32)
    >>> gn.evaluate(gn.choice(gn.stream(0), 3, (2, 2), p=[0.0, 1.0, 0.0]))
    array([[1, 1],
           [1, 1]])
    """
    node = None if isinstance(x, (int, np.integer, str, Dim)) else as_node(x)
    if node is not None and node.ndim == 0:
        raise explain(
            ShapeError("choice: a scalar node has no parts", "A number of choices is an int or a name."), (node,)
        )
    n = as_size(x) if node is None else node.shape[0]
    sizes = as_shape(shape)
    wanted = product(sizes)
    weights, possible = (None, n) if p is None else _weights(p, n)
    if isinstance(possible, int) and isinstance(wanted, int) and wanted > possible and not (replace and possible):
        how = "" if replace else " without replacement"
        raise ShapeError(f"choice: {wanted} of {possible} parts that can occur are not to be had{how}")
    if replace and isinstance(n, int) and n > 2**32:
        raise ShapeError(f"choice: from {n} places, more than 2**32")
    if replace and weights is not None:
        chosen = categorical(source, log(weights), sizes, draw=draw)
    elif replace:
        chosen = below(fresh_bits(source, sizes, draw), n)
    else:
        if weights is None:
            order = argsort(fresh_bits(source, (n,), draw), axis=0)
        else:
            order = argsort(log(weights) + _gumbel(source, (n,), draw), axis=0, descending=True)
        if isinstance(n, int) and isinstance(wanted, int):
            first = Part(0, 0, wanted)(order)
        else:  # a name may turn out to be too small: then the check of the indices tells
            first = take(order, Iota(wanted, int64)(), axis=0)
        chosen = Reshape(sizes)(first)
    return chosen if node is None else take(node, chosen, axis=0)


def _weights(p: Operand, n: Size) -> tuple[Node, Size]:
    """Weights in float64, and how many parts can be chosen, as far as that is known."""
    node = as_node(p, float64)
    check_kind("choice", "floating-point", (node.dtype,))
    if node.shape != (n,):
        raise explain(ShapeError(f"choice: p has the shape {shape_text(node.shape)}, not {shape_text((n,))}"), (node,))
    if isinstance(node.op, Constant):
        array = np.asarray(node.op.payload.array, np.float64)
        if not (np.isfinite(array) & (array >= 0)).all():
            raise ShapeError("choice: p holds a number that is negative, infinite or NaN")
        return astype(node, float64), int(np.count_nonzero(array))
    return astype(node, float64), n


def _inside(source: Node, shape: Any, draw: int) -> Node:
    """Float64 numbers, equally likely in (0, 1) without its ends: (k + 1/2) / 2**52, which are exact and symmetric."""
    return (astype(fresh_bits(source, shape, draw) >> constant(12, uint64), float64) + 0.5) * 2.0**-52


def _gumbel(source: Node, shape: Any, draw: int) -> Node:
    return -log(-log(_inside(source, shape, draw)))


def _placed(name: str, standard: Node, loc: Operand, scale: Operand, dtype: Any) -> Node:
    """``loc + scale * standard`` in the data type asked for."""
    wanted = _float_type(name, dtype, loc, scale)
    out = astype(standard, wanted)
    if not _is_number(scale, 1):
        if isinstance(scale, (int, float)) and not scale >= 0:
            raise ShapeError(f"{name}: the scale is negative or NaN: {scale!r}")
        out = out * _fitted(name, "scale", astype(as_node(scale, wanted), wanted), out.shape)
    if not _is_number(loc, 0):
        out = out + _fitted(name, "loc", astype(as_node(loc, wanted), wanted), out.shape)
    return out


def _is_number(value: Operand, number: int) -> bool:
    return isinstance(value, (int, float)) and value == number


def _float_type(name: str, dtype: Any, *operands: Operand) -> DType:
    if dtype is None:
        nodes = [as_node(value) for value in operands if type(value) not in (bool, int, float, list, tuple)]
        strong = [node.dtype for node in nodes if not (isinstance(node.op, Constant) and node.op.weak)]
        wanted = result_dtype(name, *strong) if strong else DEFAULT_FLOAT
    else:
        wanted = as_dtype(dtype)
    if not wanted.is_floating:
        raise DTypeError(f"{name} makes floating-point numbers, not {wanted}", "Choose one: dtype='float32'.")
    return wanted


def _fitted(name: str, what: str, x: Node, shape: Shape) -> Node:
    """x, if it broadcasts to the shape of the result and does not enlarge it."""
    try:
        fits = broadcast(name, x.shape, shape) == shape
    except ShapeError:
        fits = False
    if not fits:
        error = ShapeError(f"{name}: {what} of shape {shape_text(x.shape)} does not broadcast to {shape_text(shape)}")
        raise explain(error, (x,))
    return x

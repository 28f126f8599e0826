"""Formulas that lose digits or overflow -> the functions that do not. These change results, towards the exact ones.

They are on by default; ``passes=rewrite.without("stability")`` switches all of them off, ``without("log1p")`` one.
"""

from __future__ import annotations

from typing import Any

from graphnn.functions import statistics
from graphnn.functions.activations import log_softmax, sigmoid, softmax, softplus
from graphnn.functions.special import log1mexp, log_sigmoid
from graphnn.functions.statistics import logsumexp, mean
from graphnn.ir.dtype import float64
from graphnn.ir.node import Node
from graphnn.ir.spec import Spec
from graphnn.ops.arithmetic import Abs, Negative, Subtract, abs, square
from graphnn.ops.exponential import erf, exp, expm1, log, log1p
from graphnn.ops.linalg import Logabsdet, det
from graphnn.ops.reduction import sum
from graphnn.ops.special import erfc
from graphnn.rewrite.pattern import var
from graphnn.rewrite.rule import group, rule

_x = var("x")
_rows, _square = var("x", ("m", "n")), var("x", ("n", "n"))


def _is_shifted(x: Node, axes: tuple[int, ...]) -> bool:
    """Whether something is subtracted from x that is the same along the axes: it needs no protection, or has it."""
    if not isinstance(x.op, Subtract) or x.inputs[0].shape != x.shape or x.inputs[0].dtype is not x.dtype:
        return False
    shift = x.inputs[1]
    return all(shift.ndim + axis - x.ndim < 0 or shift.shape[shift.ndim + axis - x.ndim] == 1 for axis in axes)


def _is_minus_abs(x: Node) -> bool:
    return isinstance(x.op, Negative) and isinstance(x.inputs[0].op, Abs)  # nothing can overflow


# Numbers near 1 and 0: these see bodies of composites as well, and give plain operations.
DIGITS = group(
    "stability",
    rule("log1p", log(1 + _x), log1p(_x), exact=False, example=lambda x: (log(1 + x), log1p(x))),
    rule("log1p_minus", log(1 - _x), log1p(-_x), exact=False, example=lambda x: (log(1 - x), log1p(-x))),
    rule("expm1", exp(_x) - 1, expm1(_x), exact=False, example=lambda x: (exp(x) - 1, expm1(x))),
    rule("expm1_plus", exp(_x) + (-1), expm1(_x), exact=False, example=lambda x: (exp(x) + (-1.0), expm1(x))),
    # Not -expm1(x), which would be -0.0 at 0.
    rule("expm1_minus", 1 - exp(_x), 0 - expm1(_x), exact=False, example=lambda x: (1 - exp(x), 0 - expm1(x))),
    rule("erfc", 1 - erf(_x), erfc(_x), exact=False, example=lambda x: (1 - erf(x), erfc(x))),
    rule("erf", 1 - erfc(_x), erf(_x), exact=False, example=lambda x: (1 - erfc(x), erf(x))),
    rule("log_exp", log(exp(_x)), _x, exact=False, example=lambda x: (log(exp(x)), x)),
    rule(
        "log_abs_det",
        log(abs(det(_square))),
        lambda x: Logabsdet()(x),
        exact=False,
        example=lambda x=Spec((3, 3), float64): (log(abs(det(x))), Logabsdet()(x)),
    ),
)

# What is known by name: these come before composites are expanded, and give composites.
NAMED = group(
    "stability",
    rule(
        "softplus", log1p(exp(_x)), softplus(_x), where=lambda x: not _is_minus_abs(x), exact=False,
        example=lambda x: (log1p(exp(x)), softplus(x)),
    ),
    rule(
        "log1mexp", log(0 - expm1(_x)), log1mexp(-_x), exact=False,
        example=lambda x: (log(0 - expm1(x * -2)), log1mexp(-(x * -2))),
    ),
    rule(
        "log_of_sigmoid", log(sigmoid(_x)), log_sigmoid(_x), exact=False,
        example=lambda x: (log(sigmoid(x)), log_sigmoid(x)),
    ),
    rule(
        "one_minus_sigmoid", 1 - sigmoid(_x), sigmoid(-_x), exact=False,
        example=lambda x: (1 - sigmoid(x), sigmoid(-x)),
    ),
    rule(
        "log1p_of_sigmoid", log1p(-sigmoid(_x)), log_sigmoid(-_x), exact=False,
        example=lambda x: (log1p(-sigmoid(x)), log_sigmoid(-x)),
    ),
    # 1 / (1 + exp(-x)) itself loses nothing, and its gradient reads the exponential: it stays. What is made of it does lose.
    rule(
        "sigmoid", exp(_x) / (1 + exp(_x)), sigmoid(_x), exact=False,
        example=lambda x: (exp(x) / (1 + exp(x)), sigmoid(x)),
    ),
    rule(
        "one_minus_reciprocal", 1 - 1 / (1 + exp(_x)), sigmoid(_x), exact=False,
        example=lambda x: (1 - 1 / (1 + exp(x)), sigmoid(x)),
    ),
    rule(
        "log_of_reciprocal", log(1 / (1 + exp(_x))), log_sigmoid(-_x), exact=False,
        example=lambda x: (log(1 / (1 + exp(x))), log_sigmoid(-x)),
    ),
    rule(
        "log_of_softmax", log(softmax(_rows, axis=0)), log_softmax(_rows, axis=0), free=("axis",), exact=False,
        example=lambda x: (log(softmax(x, axis=0)), log_softmax(x, axis=0)),
    ),
    rule(
        "softmax", exp(_rows) / sum(exp(_rows), axis=0, keepdims=True),
        lambda x, axes: softmax(x.inputs[0] if _is_shifted(x, axes) else x, axis=axes[0]),
        free=("axes",), where=lambda x, axes: len(axes) == 1 and _has_some(x, axes), exact=False,
        example=lambda x: (exp(x) / sum(exp(x), axis=1, keepdims=True), softmax(x, axis=1)),
    ),
    rule(
        "logsumexp", log(sum(exp(_rows), axis=0)), lambda x, axes, keepdims: logsumexp(x, axis=axes, keepdims=keepdims),
        free=("axes", "keepdims"), where=lambda x, axes: not _is_shifted(x, axes) and _has_some(x, axes), exact=False,
        example=lambda x: (log(sum(exp(x), axis=1)), logsumexp(x, axis=(1,))),
    ),
    rule(
        "minus_logsumexp", _rows - logsumexp(_rows, axis=0, keepdims=True),
        lambda x, axis: log_softmax(x, axis=_only(axis) or 0),
        free=("axis",), where=lambda axis: _only(axis) is not None, exact=False,
        example=lambda x: (x - logsumexp(x, axis=1, keepdims=True), log_softmax(x, axis=1)),
    ),
    # The difference of two large numbers may be anything, even negative.
    rule(
        "variance", mean(square(_rows), axis=0) - square(mean(_rows, axis=0)),
        lambda x, axis, keepdims: statistics.var(x, axis=axis, keepdims=keepdims),
        free=("axis", "keepdims"), exact=False,
        example=lambda x: (mean(square(x), axis=1) - square(mean(x, axis=1)), statistics.var(x, axis=1)),
    ),
)  # fmt: skip


def _has_some(x: Node, axes: Any) -> bool:
    """Whether there is anything along the axes: nothing has the sum 0, but no maximum."""
    return all(x.shape[axis] != 0 for axis in axes)


def _only(axis: Any) -> int | None:
    if isinstance(axis, tuple):
        return axis[0] if len(axis) == 1 else None
    return axis if isinstance(axis, int) else None

"""Metrics: what people read beside the loss. Each is a function ``(outputs, targets)`` of nodes that gives a scalar.

All are means over the examples, so that the mean over batches, weighted by their sizes, is the value of the whole.
"""

from __future__ import annotations

from typing import Any

from graphnn.errors import DTypeError, ShapeError
from graphnn.functions.statistics import mean
from graphnn.ir.dtype import DEFAULT_FLOAT
from graphnn.ir.node import Node
from graphnn.ir.spec import shape_text
from graphnn.nn.elsewhere import unknown
from graphnn.ops.arithmetic import abs, square
from graphnn.ops.bitwise import astype
from graphnn.ops.composite import composite
from graphnn.ops.operands import Operand, as_node
from graphnn.ops.reduction import argmax

__all__ = ["accuracy", "binary_accuracy", "mean_absolute_error", "mean_squared_error"]


@composite(latex=r"\operatorname{{accuracy}}\left({0}, {1}\right)")
def accuracy(outputs: Operand, targets: Operand, /) -> Node:
    """The share of examples whose largest output is that of the right class; of equal outputs the first counts.

    Parameters
    ----------
    outputs : ``[..., classes]``; logits or probabilities
    targets : class numbers, integers ``[...]``; or probabilities or one-hot rows, ``[..., classes]``

    Raises
    ------
    ShapeError, DTypeError
        If the targets do not fit the outputs, or there is only one class: every answer would be right.

    >>> from graphnn import metrics
    >>> gn.evaluate(metrics.accuracy([[2.0, 1.0], [0.0, 3.0]], [0, 0]))
    array(0.5, dtype=float32)
    """
    y, t = as_node(outputs), as_node(targets)
    if y.ndim == 0 or t.shape not in (y.shape, y.shape[:-1]):
        hint = "Class numbers are integers [batch] for outputs [batch, classes]."
        if y.ndim and t.shape == (*y.shape[:-1], 1):
            hint = "Take the last axis away: targets[:, 0]."
        raise ShapeError(f"accuracy: targets {shape_text(t.shape)} do not fit outputs {shape_text(y.shape)}", hint)
    if t.shape == y.shape[:-1] and not t.dtype.is_integer:
        raise DTypeError(
            f"accuracy: class numbers are integers, not {t.dtype}",
            "Cast them, targets.astype('int64'); for yes-or-no answers use binary_accuracy.",
        )
    if y.shape[-1] == 1:
        raise ShapeError(
            f"accuracy: outputs {shape_text(y.shape)} have one class only, so every answer would be right",
            "For yes-or-no answers use binary_accuracy, with targets of the same shape.",
        )
    right = argmax(y, axis=-1) == (t if t.shape != y.shape else argmax(t, axis=-1))
    return mean(astype(right, DEFAULT_FLOAT))


@composite(latex=r"\operatorname{{binary\_accuracy}}\left({0}, {1}\right)")
def binary_accuracy(logits: Operand, targets: Operand, /, *, threshold: float = 0.0) -> Node:
    """The share of elements where ``logits > threshold`` is what the target says, which is yes above 0.5.

    Parameters
    ----------
    logits : any shape; the numbers before the sigmoid. For probabilities give ``threshold=0.5``.
    targets : the same shape; 0 and 1, False and True, or probabilities
    threshold : where yes begins; the logit 0 is the probability 0.5

    Raises
    ------
    ShapeError
        If the shapes differ, even where they would broadcast.

    >>> from graphnn import metrics
    >>> gn.evaluate(metrics.binary_accuracy([2.0, -1.0], [1, 1]))
    array(0.5, dtype=float32)
    """
    y, t = _pair("binary_accuracy", logits, targets)
    yes = t if t.dtype.kind == "bool" else astype(t, y.dtype) > 0.5
    return mean(astype((y > threshold) == yes, DEFAULT_FLOAT))


@composite(latex=r"\operatorname{{mean\_absolute\_error}}\left({0}, {1}\right)")
def mean_absolute_error(outputs: Operand, targets: Operand, /) -> Node:
    """``mean(abs(outputs - targets))`` for floating-point outputs and targets of the same shape.

    >>> from graphnn import metrics
    >>> gn.evaluate(metrics.mean_absolute_error([1.0, 2.0], [1.0, 4.0]))
    array(1., dtype=float32)
    """
    y, t = _pair("mean_absolute_error", outputs, targets)
    return mean(abs(y - astype(t, y.dtype)))


@composite(latex=r"\operatorname{{mean\_squared\_error}}\left({0}, {1}\right)")
def mean_squared_error(outputs: Operand, targets: Operand, /) -> Node:
    """``mean((outputs - targets)**2)`` for floating-point outputs and targets of the same shape.

    >>> from graphnn import metrics
    >>> gn.evaluate(metrics.mean_squared_error([1.0, 2.0], [1.0, 4.0]))
    array(2., dtype=float32)
    """
    y, t = _pair("mean_squared_error", outputs, targets)
    return mean(square(y - astype(t, y.dtype)))


def _pair(name: str, outputs: Operand, targets: Operand) -> tuple[Node, Node]:
    """Both as nodes of one shape, the outputs floating-point."""
    y, t = as_node(outputs), as_node(targets)
    if not y.dtype.is_floating:
        raise DTypeError(
            f"{name} takes floating-point outputs, not {y.dtype}", f"The order is {name}(outputs, targets)."
        )
    if y.shape != t.shape:
        raise ShapeError(
            f"{name}: outputs {shape_text(y.shape)} and targets {shape_text(t.shape)} differ in shape",
            "Both must have the same shape; nothing is broadcast here.",
        )
    return y, t


_ELSEWHERE = {
    "Accuracy": "Metrics are functions: metrics.accuracy.",
    "accuracy_score": "Write metrics.accuracy(outputs, targets).",
    "categorical_accuracy": "Write metrics.accuracy(outputs, targets); targets may be rows of probabilities.",
    "sparse_categorical_accuracy": "Write metrics.accuracy(outputs, targets).",
    "BinaryAccuracy": "Metrics are functions: metrics.binary_accuracy.",
    "MeanAbsoluteError": "Metrics are functions: metrics.mean_absolute_error.",
    "MeanSquaredError": "Metrics are functions: metrics.mean_squared_error.",
}


def __getattr__(name: str) -> Any:
    raise unknown("graphnn.metrics", name, _ELSEWHERE, __all__)
